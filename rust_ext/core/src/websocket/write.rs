//! Writes frames; what is sent is never fragmented.

use super::{Head, MAX_CONTROL, MAX_HEAD, MAX_REASON, Opcode, apply_mask};

/// Appends a server's frame. A control frame's payload must not exceed [`MAX_CONTROL`] bytes; more is cut.
#[inline]
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    frame(out, opcode, false, None, payload);
}

/// Appends a server's data frame whose payload was compressed for permessage-deflate (RFC 7692 §6.1).
#[inline]
pub fn write_compressed(out: &mut Vec<u8>, opcode: Opcode, compressed: &[u8]) {
    frame(out, opcode, true, None, compressed);
}

/// Appends a client's frame, masked by `key`, which must come from a strong source of randomness (RFC 6455 §5.3).
#[inline]
pub fn write_masked_frame(out: &mut Vec<u8>, opcode: Opcode, key: [u8; 4], payload: &[u8]) {
    frame(out, opcode, false, Some(key), payload);
}

/// Appends a server's close frame; a reason longer than [`MAX_REASON`] bytes is cut between two characters.
pub fn write_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let mut body = [0; MAX_CONTROL];
    body[..2].copy_from_slice(&code.to_be_bytes());
    body[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    write_frame(out, Opcode::Close, &body[..2 + reason.len()]);
}

fn frame(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, mask: Option<[u8; 4]>, payload: &[u8]) {
    let payload = if opcode.is_control() { &payload[..payload.len().min(MAX_CONTROL)] } else { payload };
    out.reserve(MAX_HEAD + payload.len());
    Head { fin: true, compressed, opcode, mask, length: payload.len() as u64 }.write(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key);
    }
}
