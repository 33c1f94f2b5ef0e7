//! The head of a frame (RFC 6455 §5.2).

use super::{Role, Rules, Violation};

/// Bytes of the longest head: two, eight of length, four of the mask.
pub const MAX_HEAD: usize = 14;
/// Bytes of a control frame's payload (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV23: u8 = 0x30;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The end of this direction.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping or pong: may stand between the fragments of a message.
    #[inline]
    pub fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last frame of its message.
    pub fin: bool,
    /// The message is compressed (RFC 7692 §6); only on its first frame.
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
}

impl Head {
    /// Reads a head and its length in bytes; `None`: it is not complete. Each byte is judged as soon as it is there.
    #[inline]
    pub(super) fn read(bytes: &[u8], rules: &Rules) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::UnknownOpcode)?;
        let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
        let may_compress = rules.deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & RSV23 != 0 || compressed && !may_compress {
            return Err(Violation::ReservedBit);
        }
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let masked = second & MASKED != 0;
        match rules.role {
            Role::Server if !masked => return Err(Violation::Unmasked),
            Role::Client if masked => return Err(Violation::Masked),
            Role::Server | Role::Client => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(Violation::LongControl);
        }
        let (length, at) = match (short, &bytes[2..]) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
            (126.., _) => return Ok(None),
            (short, _) => (u64::from(short), 2),
        };
        if at == 4 && length < 126 || at == 10 && (length < 1 << 16 || length >> 63 != 0) {
            return Err(Violation::Length);
        }
        if !masked {
            return Ok(Some((Self { fin, compressed, opcode, mask: None, length }, at)));
        }
        let Some(&[a, b, c, d]) = bytes.get(at..at + 4) else { return Ok(None) };
        Ok(Some((Self { fin, compressed, opcode, mask: Some([a, b, c, d]), length }, at + 4)))
    }

    /// Appends the head.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.fin { FIN } else { 0 } | if self.compressed { RSV1 } else { 0 };
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let first = flags | self.opcode as u8;
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short @ 0..126), _) => out.extend_from_slice(&[first, masked | short]),
            (_, Ok(medium)) => {
                let [a, b] = medium.to_be_bytes();
                out.extend_from_slice(&[first, masked | 126, a, b]);
            }
            _ => {
                out.extend_from_slice(&[first, masked | 127]);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}
