//! What a plain scalar means in the core schema (YAML 1.2.2 §10.3.2).

/// `None`: not an integer; `Some(None)`: one that is too large.
pub(super) fn integer(text: &str) -> Option<Option<i128>> {
    let bytes = text.as_bytes();
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return all.then(|| i128::from_str_radix(digits, radix).ok());
        }
    }
    let digits = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| text.parse().ok())
}

pub(super) fn float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).map_or((rest, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_good = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let some = !whole.is_empty() || fraction.is_some_and(|f| !f.is_empty());
    (some && digits(whole) && fraction.is_none_or(digits) && exponent_good)
        .then(|| rest.parse::<f64>().ok().map(|n| sign * n))?
}
