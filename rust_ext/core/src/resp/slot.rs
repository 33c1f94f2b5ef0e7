//! Which slot of a cluster a key or a channel of sharded pub/sub belongs to (Redis cluster specification).

/// Slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of a name: that of its hash tag, the text between its first `{` and the next `}`, where that is not empty.
#[must_use]
pub fn slot(name: &[u8]) -> u16 {
    let tag = name.iter().position(|b| *b == b'{').and_then(|open| {
        let rest = &name[open + 1..];
        rest.iter().position(|b| *b == b'}').filter(|length| *length > 0).map(|length| &rest[..length])
    });
    crc16(tag.unwrap_or(name)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| (crc << 8) ^ TABLE[usize::from(crc >> 8 ^ u16::from(*byte))])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256; `try_from` is not const")]
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `redis-cli cluster keyslot` says.
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"room:1"), slot(b"{room:1}"));
    }

    #[test]
    fn only_a_tag_that_holds_something_counts() {
        assert_eq!(slot(b"{user}.a"), slot(b"{user}.b"));
        assert_eq!(slot(b"x{user}{y}"), slot(b"user"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{bar"), crc16(b"foo{bar") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}"), slot(b"{bar"));
    }
}
