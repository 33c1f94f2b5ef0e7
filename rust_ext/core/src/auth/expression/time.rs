//! Timestamps (RFC 3339) and durations in expressions: nanoseconds, within the bounds of the CEL specification.

use super::value::{OVERFLOW, Result, Trouble};
use crate::calendar::civil;

pub(super) const SECOND: i128 = 1_000_000_000;
/// 0001-01-01T00:00:00Z and the last second of 9999.
const YEARS: std::ops::RangeInclusive<i128> = -62_135_596_800 * SECOND..=253_402_300_800 * SECOND - 1;
/// Some ten thousand years.
const SPAN: i128 = 315_576_000_000 * SECOND;

const NO_TIMESTAMP: Trouble = Trouble("a text that is no timestamp");
const NO_DURATION: Trouble = Trouble("a text that is no duration");

/// A timestamp within the years 1 to 9999.
pub(super) fn timestamp(ns: i128) -> Result<i128> {
    if YEARS.contains(&ns) { Ok(ns) } else { Err(OVERFLOW) }
}

/// A duration of at most some ten thousand years.
pub(super) fn duration(ns: i128) -> Result<i128> {
    if (-SPAN..=SPAN).contains(&ns) { Ok(ns) } else { Err(OVERFLOW) }
}

/// `2026-11-21T15:26:16.5Z`, `…+01:00`.
pub(super) fn read_timestamp(text: &str) -> Result<i128> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Result<i128> {
        let digits = bytes.get(from..to).filter(|d| d.iter().all(u8::is_ascii_digit)).ok_or(NO_TIMESTAMP)?;
        Ok(digits.iter().fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0')))
    };
    let mark = |at: usize, mark: &[u8]| match bytes.get(at) {
        Some(byte) if mark.contains(byte) => Ok(()),
        _ => Err(NO_TIMESTAMP),
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    for (at, sign) in [(4, &b"-"[..]), (7, b"-"), (10, b"Tt"), (13, b":"), (16, b":")] {
        mark(at, sign)?;
    }
    let mut at = 19;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return Err(NO_TIMESTAMP);
        }
        fraction = number(at + 1, at + 1 + digits)? * 10i128.pow(u32::try_from(9 - digits).unwrap_or(0));
        at += 1 + digits;
    }
    let offset = match bytes.get(at) {
        Some(b'Z' | b'z') if bytes.len() == at + 1 => 0,
        Some(sign @ (b'+' | b'-')) if bytes.len() == at + 6 => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            mark(at + 3, b":")?;
            if hours > 23 || minutes > 59 {
                return Err(NO_TIMESTAMP);
            }
            (hours * 60 + minutes) * 60 * if *sign == b'+' { 1 } else { -1 }
        }
        _ => return Err(NO_TIMESTAMP),
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i128::from(leap),
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(NO_TIMESTAMP);
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    timestamp(seconds * SECOND + fraction)
}

/// Days since 1970-01-01, in eras of 400 years that begin on 1 March.
fn days(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `1h30m`, `-1.5s`, `250ms`: a sign, then numbers with units `h m s ms us ns`.
pub(super) fn read_duration(text: &str) -> Result<i128> {
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0;
    if rest.is_empty() {
        return Err(NO_DURATION);
    }
    while !rest.is_empty() {
        let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
        let point = rest[whole..].starts_with('.');
        let fraction = if point { rest[whole + 1..].bytes().take_while(u8::is_ascii_digit).count() } else { 0 };
        if whole + fraction == 0 || whole > 15 || fraction > 15 {
            return Err(NO_DURATION);
        }
        let unit = &rest[whole + usize::from(point) + fraction..];
        let (scale, length) = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("ms", 1_000_000),
            ("h", 3_600 * SECOND),
            ("m", 60 * SECOND),
            ("s", SECOND),
        ]
        .into_iter()
        .find(|(name, _)| unit.starts_with(name))
        .map(|(name, scale)| (scale, name.len()))
        .ok_or(NO_DURATION)?;
        let digits = |text: &str| text.bytes().fold(0i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        total += digits(&rest[..whole]) * scale;
        if fraction > 0 {
            let scale_down = 10i128.pow(u32::try_from(fraction).unwrap_or(0));
            total += digits(&rest[whole + 1..whole + 1 + fraction]) * scale / scale_down;
        }
        duration(total)?;
        rest = &unit[length..];
    }
    Ok(total * sign)
}

/// RFC 3339 in UTC, with as many digits of a second as it has.
pub(super) fn show_timestamp(ns: i128) -> String {
    let (seconds, fraction) = (ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    let [year, month, day, hour, minute, second] = fields(seconds);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction > 0 {
        text += format!(".{fraction:09}").trim_end_matches('0');
    }
    text + "Z"
}

/// Seconds, with a fraction where there is one.
pub(super) fn show_duration(ns: i128) -> String {
    let (seconds, fraction) = (ns.abs() / SECOND, ns.abs() % SECOND);
    let mut text = format!("{}{seconds}", if ns < 0 { "-" } else { "" });
    if fraction > 0 {
        text += format!(".{fraction:09}").trim_end_matches('0');
    }
    text + "s"
}

/// A part of a timestamp in UTC, by the name of its function.
pub(super) fn part(name: &str, ns: i128) -> Option<i64> {
    let seconds = ns.div_euclid(SECOND);
    let [year, month, day, hour, minute, second] = fields(seconds);
    let day_number = seconds.div_euclid(86_400);
    i64::try_from(match name {
        "getFullYear" => year,
        "getMonth" => month - 1,
        "getDate" => day,
        "getDayOfMonth" => day - 1,
        "getDayOfWeek" => (day_number + 4).rem_euclid(7),
        "getDayOfYear" => day_number - days(year, 1, 1),
        "getHours" => hour,
        "getMinutes" => minute,
        "getSeconds" => second,
        "getMilliseconds" => ns.rem_euclid(SECOND) / 1_000_000,
        _ => return None,
    })
    .ok()
}

/// Year, month, day, hour, minute, second.
fn fields(seconds: i128) -> [i128; 6] {
    // Shifted by whole eras of 400 years, so that days before 1970 have a number, too.
    let shifted = seconds.div_euclid(86_400) + 5 * 146_097;
    let (year, month, day) = civil(u64::try_from(shifted).unwrap_or(0));
    let of_day = seconds.rem_euclid(86_400);
    [i128::from(year) - 2_000, i128::from(month), i128::from(day), of_day / 3_600, of_day / 60 % 60, of_day % 60]
}

/// A duration in whole units, by the name of its function.
pub(super) fn duration_part(name: &str, ns: i128) -> Option<i64> {
    i64::try_from(match name {
        "getHours" => ns / (3_600 * SECOND),
        "getMinutes" => ns / (60 * SECOND),
        "getSeconds" => ns / SECOND,
        "getMilliseconds" => ns % SECOND / 1_000_000,
        _ => return None,
    })
    .ok()
}
