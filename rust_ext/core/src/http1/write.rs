//! Writing the parts of a message: numbers, chunks, trailers.

use super::{ReservedNames, Trailers};

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Writes the size line of a chunk of `len` bytes; a length of 0 would end the body, so nothing is written for it.
#[inline]
pub fn chunk_head(out: &mut Vec<u8>, len: usize) {
    if len == 0 {
        return;
    }
    let mut text = [0; 18];
    let mut at = 16;
    let mut rest = len;
    while rest > 0 {
        at -= 1;
        text[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    text[16] = b'\r';
    text[17] = b'\n';
    out.extend_from_slice(&text[at..]);
}

/// Writes the last chunk, the trailers that may pass, and the end of the body.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&Trailers>, reserved: Option<&ReservedNames>) {
    match trailers {
        Some(trailers) => trailers.write(out, reserved),
        None => out.extend_from_slice(LAST_CHUNK),
    }
}

/// Writes a number in decimal.
#[inline]
pub fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a status code, three digits.
#[inline]
pub fn status(out: &mut Vec<u8>, status: u16) {
    let digit = |n: u16| b'0'.wrapping_add((n % 10) as u8);
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status)]);
}

/// Writes 128 bits as 32 hex digits.
#[inline]
pub fn hex32(number: u128, buf: &mut [u8; 32]) {
    for (slot, byte) in buf.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        slot[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        slot[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}
