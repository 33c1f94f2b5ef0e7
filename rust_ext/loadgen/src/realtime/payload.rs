//! What a publication carries: room, place in the room's order, time of sending; as JSON of a fixed form.

/// The smallest payload: all fields and no padding.
pub(super) const SMALLEST: usize = TAIL_AT + END.len();
const END: &[u8] = b"\"}";
const PADDING: u8 = b'.';
const PARTS: [&[u8]; 4] = [b"{\"c\":\"", b"\",\"s\":\"", b"\",\"t\":\"", b"\",\"p\":\""];
const ROOM_AT: usize = 6;
const NUMBER_AT: usize = ROOM_AT + 8 + 7;
const TIME_AT: usize = NUMBER_AT + 16 + 7;
const TAIL_AT: usize = TIME_AT + 16 + 7;

/// The meaning of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Payload {
    /// The room it was published to.
    pub(super) room: u32,
    /// Its place in the room's order, from 0.
    pub(super) number: u64,
    /// When it was sent, in nanoseconds since the client began.
    pub(super) at: u64,
}

impl Payload {
    /// Appends `size` bytes, at least [`SMALLEST`].
    pub(super) fn write(self, size: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(PARTS[0]);
        hex(u64::from(self.room), 8, out);
        for (part, value) in [(PARTS[1], self.number), (PARTS[2], self.at)] {
            out.extend_from_slice(part);
            hex(value, 16, out);
        }
        out.extend_from_slice(PARTS[3]);
        out.resize(start + size.max(SMALLEST) - END.len(), PADDING);
        out.extend_from_slice(END);
    }

    /// Reads one of exactly `size` bytes; `None`: a byte is not as it was written.
    pub(super) fn read(bytes: &[u8], size: usize) -> Option<Self> {
        let (tail, end) = bytes.get(TAIL_AT..)?.split_at_checked(size.checked_sub(TAIL_AT + END.len())?)?;
        let places = [0, NUMBER_AT - 7, TIME_AT - 7, TAIL_AT - 7];
        let fixed = PARTS.iter().zip(places).all(|(part, at)| &bytes[at..at + part.len()] == *part);
        if !fixed || end != END || !tail.iter().all(|byte| *byte == PADDING) {
            return None;
        }
        Some(Self {
            room: u32::try_from(number(&bytes[ROOM_AT..ROOM_AT + 8])?).ok()?,
            number: number(&bytes[NUMBER_AT..NUMBER_AT + 16])?,
            at: number(&bytes[TIME_AT..TIME_AT + 16])?,
        })
    }
}

fn hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    out.extend((0..digits).rev().map(|i| b"0123456789abcdef"[(value >> (4 * i) & 15) as usize]));
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Payload, SMALLEST};

    #[test]
    fn what_is_written_is_read_and_every_changed_byte_is_seen() {
        let payload = Payload { room: 0xabc_0123, number: 77, at: u64::MAX - 5 };
        for size in [SMALLEST, 128, 4096] {
            let mut bytes = Vec::new();
            payload.write(size, &mut bytes);
            assert_eq!((bytes.len(), Payload::read(&bytes, size)), (size, Some(payload)));
            assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            assert_eq!(Payload::read(&bytes[..size - 1], size), None);
            assert_eq!(Payload::read(&bytes, size + 1), None);
            for at in 0..size {
                bytes[at] ^= 1;
                assert_ne!(Payload::read(&bytes, size), Some(payload), "byte {at}");
                bytes[at] ^= 1;
            }
        }
        assert_eq!(Payload::read(b"", 128), None);
        assert_eq!(Payload::read(b"", 0), None);
    }
}
