//! The Date field of the gateway's own answers (RFC 9110 §5.6.7), formatted once a second by the sweep.

use fastgate_core::calendar::{MONTHS, civil};

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];

/// Seconds since 1970 as an IMF-fixdate.
pub(crate) fn format(unix_seconds: u64) -> [u8; 29] {
    let days = unix_seconds / 86_400;
    let second = unix_seconds % 86_400;
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 00 Jan 0000 00:00:00 GMT";
    out[..3].copy_from_slice(DAYS[usize::try_from(days % 7).unwrap_or(0)]);
    out[8..11].copy_from_slice(MONTHS[usize::try_from(month - 1).unwrap_or(0)]);
    for (at, value) in
        [(5, day), (14, year % 100), (12, year / 100), (17, second / 3_600), (20, second / 60 % 60), (23, second % 60)]
    {
        out[at] = b'0' + u8::try_from(value / 10 % 10).unwrap_or(0);
        out[at + 1] = b'0' + u8::try_from(value % 10).unwrap_or(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn known_dates() {
        assert_eq!(&format(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&format(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(&format(1_798_761_599), b"Thu, 31 Dec 2026 23:59:59 GMT");
    }
}
