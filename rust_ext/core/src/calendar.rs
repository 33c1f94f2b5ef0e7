//! The Gregorian calendar, as dates in headers and lines need it.

/// Months as HTTP (RFC 9110 §5.6.7) and the common log format write them.
pub const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Year, month and day (both from 1) of a number of days since 1970-01-01, in eras of 400 years that begin on 1 March.
#[must_use]
pub fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// Days since 1970-01-01 of a date, month and day from 1: the way back from [`civil`].
#[must_use]
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era = year.rem_euclid(400);
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 719_469
}

/// Seconds since 1970 of a date and a time in UTC; a leap second counts as the one before it.
#[must_use]
pub fn seconds(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1 March of year 0, in years that begin with March.
    let (y, m) = if month > 2 { (year, month.checked_sub(3)?) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let leaps = (y / 4).checked_sub(y / 100)?.checked_add(y / 400)?;
    let in_year = (m.checked_mul(153)?.checked_add(2)? / 5).checked_add(day.checked_sub(1)?)?;
    let since_zero = y.checked_mul(365)?.checked_add(leaps)?.checked_add(in_year)?;
    let since_epoch = since_zero.checked_sub(719_468)?;
    since_epoch
        .checked_mul(24)?
        .checked_add(hour)?
        .checked_mul(60)?
        .checked_add(minute)?
        .checked_mul(60)?
        .checked_add(second.min(59))
}

/// Milliseconds since 1970 of a date and time as RFC 3339 §5.6 has it, `2027-01-01T00:00:00Z`; fractions are cut at
/// milliseconds.
#[must_use]
pub fn rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u64>().ok())
    };
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if !marks.iter().all(|&(at, mark)| text.get(at..at + 1).is_some_and(|found| found.eq_ignore_ascii_case(mark))) {
        return None;
    }
    let local =
        seconds(number(0, 4)?, number(5, 7)?, number(8, 10)?, number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("0", rest),
    };
    let ms = format!("{fraction:0<3}").get(..3).filter(|_| !fraction.is_empty())?.parse::<u64>().ok()?;
    let utc = if zone.eq_ignore_ascii_case("z") {
        local
    } else {
        let at = text.len().checked_sub(5).filter(|_| zone.len() == 6 && zone.get(3..4) == Some(":"))?;
        let (hours, minutes) = (number(at, at + 2)?, number(at + 3, at + 5)?);
        let away = hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        match zone.get(..1)? {
            "+" => local.checked_sub(away)?,
            "-" => local.checked_add(away)?,
            _ => return None,
        }
    };
    utc.checked_mul(1_000)?.checked_add(ms)
}

#[cfg(test)]
mod tests {
    use super::{civil, days, rfc3339};

    #[test]
    fn dates_of_rfc_3339() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2027-01-01T00:00:00Z", 1_798_761_600_000),
            ("2027-01-01t01:30:00.5+01:30", 1_798_761_600_500),
            ("2026-12-31T23:00:00.12345-01:00", 1_798_761_600_123),
            ("2024-02-29T12:00:60z", 1_709_208_059_000),
        ] {
            assert_eq!(rfc3339(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "2027",
            "2027-01-01",
            "2027-01-01 00:00:00Z",
            "2027-01-01T00:00:00",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-02-29T00:00:00Z",
            "2027-01-01T24:00:00Z",
            "2027-01-01T00:00:00.Z",
            "2027-01-01T00:00:00+1:00",
            "2027-01-01T00:00:00+24:00",
            "2027-01-01T00:00:00*01:00",
            "1969-12-31T23:59:59Z",
            "+027-01-01T00:00:00Z",
            "2027-01-01T00:00:00Zé",
            "2027-01-01T00:00:00é01:0",
            "2027-01-01T00:00:00+01:00 ",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
    }
    #[test]
    fn days_is_the_way_back_of_civil() {
        for number in (0..120_000).chain([146_096, 146_097, 2_932_896]) {
            let (year, month, day) = civil(number);
            let signed = |part: u64| i64::try_from(part).expect("it is small");
            assert_eq!(days(signed(year), signed(month), signed(day)), signed(number));
        }
        assert_eq!(days(2028, 3, 1) - days(2028, 2, 1), 29);
    }
}
