//! A WebSocket that echoes: payloads pass through as they come, whole frames are never held.

use crate::websocket::{HEADER, Header};

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Where in the client's frames the echo stands.
#[derive(Debug, Default)]
pub struct Tunnel {
    partial: Vec<u8>,
    mask: [u8; 4],
    left: u64,
    closing: bool,
}

impl Tunnel {
    /// Echoes `input` to `out`; true once the client's Close has been answered.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> bool {
        loop {
            if self.left > 0 {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                self.unmask(&input[..take], out);
                self.left -= take as u64;
                input = &input[take..];
            }
            if self.left == 0 && self.closing {
                return true;
            }
            if input.is_empty() {
                return false;
            }
            let known = self.partial.len();
            self.partial.extend_from_slice(&input[..input.len().min(HEADER - known)]);
            let Some((header, length)) = Header::read(&self.partial) else { return false };
            input = &input[length - known..];
            self.partial.clear();
            self.start(header, out);
        }
    }

    fn start(&mut self, header: Header, out: &mut Vec<u8>) {
        let opcode = header.first & 0x0f;
        self.closing = opcode == CLOSE;
        self.mask = header.mask.unwrap_or_default();
        self.left = header.length;
        let first = if opcode == PING { header.first & 0xf0 | PONG } else { header.first };
        Header { first, mask: None, ..header }.write(out);
    }

    fn unmask(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if self.mask == [0; 4] {
            out.extend_from_slice(payload);
        } else {
            out.extend(payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            self.mask.rotate_left(payload.len() % 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tunnel;

    #[test]
    fn echoes_the_same_in_every_split() {
        // "Hello" masked (RFC 6455 §5.7), a masked ping, a masked close.
        let input =
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x81\x00\x00\x00\x00p\x88\x82\x01\x02\x03\x04\x02\xea";
        for cut in 0..input.len() {
            let (mut tunnel, mut out) = (Tunnel::default(), Vec::new());
            assert!(!tunnel.feed(&input[..cut], &mut out));
            assert!(tunnel.feed(&input[cut..], &mut out));
            assert_eq!(out, b"\x81\x05Hello\x8a\x01p\x88\x02\x03\xe8", "{cut}");
        }
    }
}
