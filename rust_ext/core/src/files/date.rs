//! `HTTP-date` as it is received: three forms, of which only one is still written (RFC 9110 §5.6.7).

use crate::calendar::{MONTHS, seconds};

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds since 1970 of an `HTTP-date`; `now` settles the century of a year of two digits.
pub fn parse_date(value: &[u8], now: u64) -> Option<u64> {
    match value {
        [_, _, _, b',', b' ', rest @ ..] if short_day(value) => fixdate(rest),
        [_, _, _, b' ', rest @ ..] if short_day(value) => asctime(rest),
        _ => {
            let comma = value.iter().position(|&b| b == b',')?;
            let (day, rest) = value.split_at_checked(comma)?;
            DAYS.iter().any(|name| name.as_bytes() == day).then_some(())?;
            rfc850(rest.strip_prefix(b", ")?, now)
        }
    }
}

fn short_day(value: &[u8]) -> bool {
    DAYS.iter().any(|name| value.get(..3) == name.as_bytes().get(..3))
}

/// `06 Nov 1994 08:49:37 GMT`.
fn fixdate(rest: &[u8]) -> Option<u64> {
    let [d1, d0, b' ', m2, m1, m0, b' ', y @ .., b' ', h1, h0, b':', n1, n0, b':', s1, s0, b' ', b'G', b'M', b'T'] =
        rest
    else {
        return None;
    };
    let [y3, y2, y1, y0] = y else { return None };
    let year = two(*y3, *y2)?.checked_mul(100)?.checked_add(two(*y1, *y0)?)?;
    seconds(year, month(&[*m2, *m1, *m0])?, two(*d1, *d0)?, two(*h1, *h0)?, two(*n1, *n0)?, two(*s1, *s0)?)
}

/// `06-Nov-94 08:49:37 GMT`.
fn rfc850(rest: &[u8], now: u64) -> Option<u64> {
    let [d1, d0, b'-', m2, m1, m0, b'-', y1, y0, b' ', h1, h0, b':', n1, n0, b':', s1, s0, b' ', b'G', b'M', b'T'] =
        rest
    else {
        return None;
    };
    let (month, day) = (month(&[*m2, *m1, *m0])?, two(*d1, *d0)?);
    let (hour, minute, second) = (two(*h1, *h0)?, two(*n1, *n0)?, two(*s1, *s0)?);
    // More than 50 years ahead: the last year in the past with the same two digits.
    let this_year = now.checked_div(31_556_952)?.checked_add(1970)?;
    let mut year = this_year.checked_div(100)?.checked_mul(100)?.checked_add(two(*y1, *y0)?)?;
    if year > this_year.checked_add(50)? {
        year = year.checked_sub(100)?;
    }
    seconds(year, month, day, hour, minute, second)
}

/// `Nov  6 08:49:37 1994`.
fn asctime(rest: &[u8]) -> Option<u64> {
    let [m2, m1, m0, b' ', d1, d0, b' ', h1, h0, b':', n1, n0, b':', s1, s0, b' ', y3, y2, y1, y0] = rest else {
        return None;
    };
    let day = two(if *d1 == b' ' { b'0' } else { *d1 }, *d0)?;
    let year = two(*y3, *y2)?.checked_mul(100)?.checked_add(two(*y1, *y0)?)?;
    seconds(year, month(&[*m2, *m1, *m0])?, day, two(*h1, *h0)?, two(*n1, *n0)?, two(*s1, *s0)?)
}

fn two(tens: u8, ones: u8) -> Option<u64> {
    let digit = |b: u8| b.is_ascii_digit().then(|| u64::from(b.wrapping_sub(b'0')));
    digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?)
}

fn month(name: &[u8; 3]) -> Option<u64> {
    MONTHS.iter().position(|month| *month == name).and_then(|i| u64::try_from(i).ok())?.checked_add(1)
}
