//! Times as lines show them, always UTC; the text of a second is made once.

use super::text::two;
use crate::calendar::{MONTHS, civil};

/// The texts of one second, kept for the lines of the same second.
#[derive(Debug)]
pub struct Stamp {
    second: u64,
    /// `2026-11-21T15:26:16.000Z`
    rfc3339: [u8; 24],
    /// `21/Nov/2026:15:26:16`
    common: [u8; 20],
}

impl Default for Stamp {
    fn default() -> Self {
        let mut stamp = Self { second: 0, rfc3339: *b"0000-00-00T00:00:00.000Z", common: *b"00/Jan/0000:00:00:00" };
        stamp.format();
        stamp
    }
}

impl Stamp {
    /// Goes to that second.
    fn seek(&mut self, second: u64) {
        if second != self.second {
            self.second = second;
            self.format();
        }
    }

    fn format(&mut self) {
        let (year, month, day) = civil(self.second / 86_400);
        let second = self.second % 86_400;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        for (at, value) in [(0, year / 100), (2, year), (5, month), (8, day), (11, hour), (14, minute), (17, second)] {
            set(&mut self.rfc3339, at, value);
        }
        for (at, value) in [(0, day), (7, year / 100), (9, year), (12, hour), (15, minute), (18, second)] {
            set(&mut self.common, at, value);
        }
        self.common[3..6].copy_from_slice(MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12]);
    }

    /// Appends RFC 3339 with milliseconds: `2026-11-21T15:26:16.042Z`.
    pub fn rfc3339(&mut self, out: &mut Vec<u8>, unix_ms: u64) {
        self.seek(unix_ms / 1_000);
        let mut text = self.rfc3339;
        let ms = u32::try_from(unix_ms % 1_000).unwrap_or(0);
        (text[20], [text[21], text[22]]) = (two(ms / 100)[1], two(ms));
        out.extend_from_slice(&text);
    }

    /// Appends the time of the common log format, without brackets: `21/Nov/2026:15:26:16 +0000`.
    pub fn common(&mut self, out: &mut Vec<u8>, unix_ms: u64) {
        self.seek(unix_ms / 1_000);
        out.extend_from_slice(&self.common);
        out.extend_from_slice(b" +0000");
    }

    /// Appends the time of a local syslog line (RFC 3164 §4.1.2): `Nov  1 15:26:16`.
    pub fn syslog(&mut self, out: &mut Vec<u8>, unix_ms: u64) {
        self.seek(unix_ms / 1_000);
        out.extend_from_slice(&self.common[3..6]);
        out.push(b' ');
        out.push(if self.common[0] == b'0' { b' ' } else { self.common[0] });
        out.push(self.common[1]);
        out.push(b' ');
        out.extend_from_slice(&self.common[12..]);
    }
}

/// The last two decimal digits of a value.
fn set(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 2].copy_from_slice(&two(u32::try_from(value).unwrap_or(0)));
}
