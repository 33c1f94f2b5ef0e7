//! The little of RFC 6455 that the origin's echo and the client's tunnels need.

/// Long enough for every frame header.
pub const HEADER: usize = 14;
/// The key of the load client's handshakes (the example of RFC 6455 §1.3).
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What must be answered to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A frame header as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    /// Bytes of payload.
    pub length: u64,
    /// The masking key; `None` on frames from a server.
    pub mask: Option<[u8; 4]>,
}

impl Header {
    /// Reads a header and its length; `None`: more bytes are needed.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        if second & 0x80 == 0 {
            return Some((Self { first, length, mask: None }, at));
        }
        let mask = bytes.get(at..at + 4)?.try_into().ok()?;
        Some((Self { first, length, mask: Some(mask) }, at + 4))
    }

    /// Appends the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(self.first);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ 0..=125), _) => out.push(masked | short),
            (_, Ok(medium)) => {
                out.push(masked | 126);
                out.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
    }
}

#[cfg(test)]
mod tests {
    use fastgate_core::websocket::websocket_accept;

    use super::{ACCEPT, Header, KEY};

    #[test]
    fn key_and_accept_belong_together() {
        assert_eq!(websocket_accept(KEY.as_bytes()), *ACCEPT.as_bytes());
    }

    #[test]
    fn headers_survive_the_wire() {
        for length in [0, 125, 126, 65_535, 65_536, u64::MAX] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let (header, mut bytes) = (Header { first: 0x82, length, mask }, Vec::new());
                header.write(&mut bytes);
                assert_eq!(Header::read(&bytes), Some((header, bytes.len())));
                assert_eq!(Header::read(&bytes[..bytes.len() - 1]), None);
            }
        }
    }
}
