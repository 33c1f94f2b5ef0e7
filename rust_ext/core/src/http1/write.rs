//! Writing the parts of a message: numbers, chunks, trailers.

use super::{ReservedNames, Span, Trailers, simd};

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
    let bytes = u128::from_le_bytes(number.to_be_bytes());
    let (low, high) = simd::hex((bytes >> 4).to_le_bytes(), bytes.to_le_bytes());
    for (slot, digits) in buf.as_chunks_mut::<16>().0.iter_mut().zip([low, high]) {
        *slot = digits;
    }
}

/// Writes a span of a head; up to 32 bytes with no call, all at once, then what is too much goes.
#[inline(always)]
pub(crate) fn span(out: &mut Vec<u8>, bytes: &[u8], span: Span) {
    let chunk = bytes.get(span.start as usize..).and_then(<[u8]>::first_chunk::<32>);
    match chunk {
        Some(chunk) if span.len <= 32 => {
            let end = out.len().wrapping_add(span.len as usize);
            out.extend_from_slice(chunk);
            out.truncate(end);
        }
        _ => out.extend_from_slice(span.of(bytes)),
    }
}

/// Writes a request id, which is 32 bytes where the gateway made it.
#[inline(always)]
pub(crate) fn id(out: &mut Vec<u8>, id: &[u8]) {
    match <&[u8; 32]>::try_from(id) {
        Ok(own) => out.extend_from_slice(own),
        Err(_) => out.extend_from_slice(id),
    }
}

/// Each octet in decimal with a dot behind it, and how long that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut table = [([b'.'; 4], 2); 256];
    let mut i = 0;
    while i < 256 {
        let [hundreds, tens, ones] = [b'0' + (i / 100) as u8, b'0' + (i / 10 % 10) as u8, b'0' + (i % 10) as u8];
        table[i] = match i {
            100.. => ([hundreds, tens, ones, b'.'], 4),
            10.. => ([tens, ones, b'.', b'.'], 3),
            _ => ([ones, b'.', b'.', b'.'], 2),
        };
        i += 1;
    }
    table
};

/// Writes an IPv4 address.
#[inline]
pub(crate) fn ipv4(out: &mut Vec<u8>, octets: [u8; 4]) {
    let mut text = [0; 16];
    let mut len = 0_usize;
    for octet in octets {
        let (digits, width) = OCTETS[usize::from(octet)];
        if let Some(slot) = text.get_mut(len..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *slot = digits;
        }
        len = len.wrapping_add(usize::from(width));
    }
    // All sixteen at once, then what is too much goes: no call for a few bytes.
    let end = out.len().wrapping_add(len.wrapping_sub(1));
    out.extend_from_slice(&text);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits() {
        let mut buf = [0; 32];
        hex32(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, &mut buf);
        assert_eq!(&buf, b"0123456789abcdeffedcba9876543210");
    }

    #[test]
    fn addresses() {
        for octets in [[0, 0, 0, 0], [255, 255, 255, 255], [127, 0, 0, 1], [9, 10, 99, 100], [192, 168, 1, 20]] {
            let mut out = Vec::new();
            ipv4(&mut out, octets);
            assert_eq!(out, std::net::Ipv4Addr::from(octets).to_string().as_bytes());
        }
    }

    #[test]
    fn chunk_heads() {
        for len in [1, 9, 10, 15, 16, 255, 256, 65536, usize::MAX] {
            let mut out = Vec::new();
            chunk_head(&mut out, len);
            assert_eq!(out, format!("{len:x}\r\n").as_bytes());
        }
        let mut out = Vec::new();
        chunk_head(&mut out, 0);
        assert!(out.is_empty());
    }
}
