//! A slow reader of frames (RFC 6455 §5), written apart from the codec: all bytes at once, no state between calls.

use fastgate_core::websocket::{Role, Rules};

use crate::websocket::{Said, Stand};

/// What the bytes say; `None` where a compressed message comes, which the model cannot open.
pub fn read(rules: &Rules, bytes: &[u8]) -> Option<(Vec<Said>, Stand)> {
    let mut said = Vec::new();
    let mut message: Option<(u8, Vec<u8>)> = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let frame = match frame(rules, rest, message.as_ref()) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Some((said, Stand::Split)),
            Err(code) => return Some((said, Stand::Refused(code))),
        };
        if frame.compressed {
            return None;
        }
        let mut payload: Vec<u8> = rest[frame.head..].iter().take(frame.length).copied().collect();
        let whole = payload.len() == frame.length;
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= frame.key[i % 4];
        }
        rest = &rest[frame.head + payload.len()..];
        if frame.opcode < 8 {
            let (kind, mut data) = message.take().unwrap_or((frame.opcode, Vec::new()));
            data.extend(&payload);
            let ended = whole && frame.fin;
            if kind == 1 && !is_text(&data, ended) {
                return Some((said, Stand::Refused(1007)));
            }
            if ended {
                said.push(Said::Message(kind == 2, data));
            } else {
                message = Some((kind, data));
            }
        } else if whole {
            match frame.opcode {
                9 => said.push(Said::Ping(payload)),
                10 => said.push(Said::Pong(payload)),
                _ => return Some(close(said, &payload)),
            }
        }
        if !whole {
            return Some((said, Stand::Split));
        }
    }
    let stand = if message.is_some() { Stand::Split } else { Stand::Idle };
    Some((said, stand))
}

struct Frame {
    fin: bool,
    compressed: bool,
    opcode: u8,
    key: [u8; 4],
    length: usize,
    head: usize,
}

/// Reads a head; refused with a code, or not complete.
fn frame(rules: &Rules, bytes: &[u8], message: Option<&(u8, Vec<u8>)>) -> Result<Option<Frame>, u16> {
    let first = bytes[0];
    let (fin, opcode) = (first >= 0x80, first % 16);
    let compressed = first & 0x40 != 0;
    let may_compress = rules.deflate && (opcode == 1 || opcode == 2);
    if first & 0x30 != 0 || (compressed && !may_compress) || matches!(opcode, 3..=7 | 11..) || (opcode > 7 && !fin) {
        return Err(1002);
    }
    let Some(second) = bytes.get(1) else { return Ok(None) };
    let masked = *second >= 0x80;
    if masked != (rules.role == Role::Server) {
        return Err(1002);
    }
    let short = second % 128;
    if opcode > 7 && short > 125 {
        return Err(1002);
    }
    let more = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if bytes.len() < 2 + more {
        return Ok(None);
    }
    let long = bytes[2..2 + more].iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let length = if more == 0 { u64::from(short) } else { long };
    let least = [0, 126, 65_536][usize::from(short.saturating_sub(125))];
    if length < least || length >= 1 << 63 {
        return Err(1002);
    }
    let head = 2 + more + if masked { 4 } else { 0 };
    if bytes.len() < head {
        return Ok(None);
    }
    let mut key = [0; 4];
    if masked {
        key.copy_from_slice(&bytes[2 + more..head]);
    }
    if opcode < 8 {
        if (opcode == 0) != message.is_some() {
            return Err(1002);
        }
        let before = message.map_or(0, |(_, data)| data.len()) as u64;
        if !compressed && before + length > rules.max_message as u64 {
            return Err(1009);
        }
    }
    Ok(Some(Frame { fin, compressed, opcode, key, length: length as usize, head }))
}

fn close(mut said: Vec<Said>, body: &[u8]) -> (Vec<Said>, Stand) {
    let code = match body {
        [] => None,
        [_] => return (said, Stand::Refused(1002)),
        [high, low, ..] => Some(u16::from(*high) * 256 + u16::from(*low)),
    };
    let known = |code: u16| (1000..5000).contains(&code) && !matches!(code, 1004..=1006 | 1015..=2999);
    if !code.is_none_or(known) {
        return (said, Stand::Refused(1002));
    }
    let reason = body.get(2..).unwrap_or_default();
    if !is_text(reason, true) {
        return (said, Stand::Refused(1007));
    }
    said.push(Said::Close(code, reason.to_vec()));
    (said, Stand::Closed)
}

/// UTF-8 by the syntax of RFC 3629 §4; where it has not ended, a character may be cut.
fn is_text(mut bytes: &[u8], ended: bool) -> bool {
    while let Some((&first, rest)) = bytes.split_first() {
        let (count, low, high) = match first {
            0..=0x7f => (0, 0x80, 0xbf),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return false,
        };
        for i in 0..count {
            match rest.get(i) {
                None => return !ended,
                Some(byte) if i == 0 && (low..=high).contains(byte) => {}
                Some(0x80..=0xbf) if i > 0 => {}
                Some(_) => return false,
            }
        }
        bytes = &rest[count..];
    }
    true
}
