//! Claims as what the gateway makes of them: lists of names, and values of header fields.

use serde_json::Value;

use super::identity::{Claims, claim};

/// Most names that one claim gives; those behind them are left out.
const MAX_NAMES: usize = 256;

/// Longest value of a header field made from a claim.
const MAX_FIELD: usize = 4096;

/// The names of a claim: the texts of a list, or one text; `words`: a text is cut at its spaces (RFC 8693 §4.2).
#[must_use]
pub fn names(claims: &Claims, path: &str, words: bool) -> Box<[Box<str>]> {
    match claim(claims, path) {
        Some(Value::String(text)) if words => {
            text.split(' ').filter(|name| !name.is_empty()).take(MAX_NAMES).map(Box::from).collect()
        }
        Some(Value::String(text)) => Box::new([text.as_str().into()]),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).take(MAX_NAMES).map(Box::from).collect(),
        _ => Box::default(),
    }
}

/// The value of a header field that says what a claim says (RFC 9110 §5.5); `None` where none says exactly that.
///
/// A text as it is, a number, `true` or `false`, a list of these with commas between them: an item that has a comma itself
/// would be read as two, so such a list has no value. Controls, spaces at an end and what is not ASCII are never written.
#[must_use]
pub fn field(claims: &Claims, path: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match claim(claims, path)? {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let start = out.len();
                scalar(item, &mut out)?;
                let item = &out[start..];
                if item.is_empty() || item.contains(&b',') || item.first() == Some(&b' ') || item.last() == Some(&b' ')
                {
                    return None;
                }
            }
        }
        one => scalar(one, &mut out)?,
    }
    let plain = out.iter().all(|byte| (0x20..0x7f).contains(byte));
    let whole = out.first().is_some_and(|byte| *byte != b' ') && out.last() != Some(&b' ');
    (plain && whole && out.len() <= MAX_FIELD).then_some(out)
}

fn scalar(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Claims {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn h5_only_what_can_be_written_is() {
        let of =
            |value: &str| field(&claims(&format!("{{\"c\":{value}}}")), "c").map(|v| String::from_utf8(v).unwrap());
        for (value, written) in [
            (r#""me""#, Some("me")),
            (r#""a b""#, Some("a b")),
            ("7", Some("7")),
            ("1.5", Some("1.5")),
            ("true", Some("true")),
            (r#"["a","b",3]"#, Some("a,b,3")),
            (r#""user,admin""#, Some("user,admin")),
            (r#"["user,admin"]"#, None),
            (r#"["a",""]"#, None),
            (r#""a\r\nX-Admin: 1""#, None),
            (r#""a\u0000""#, None),
            (r#""\u00e9""#, None),
            (r#"" a""#, None),
            (r#""a ""#, None),
            (r#""""#, None),
            ("[]", None),
            ("null", None),
            (r#"{"a":1}"#, None),
            (r#"[["a"]]"#, None),
        ] {
            assert_eq!(of(value).as_deref(), written, "{value}");
        }
        assert_eq!(of(&format!("\"{}\"", "a".repeat(MAX_FIELD + 1))), None);
        assert_eq!(field(&Claims::new(), "c"), None);
    }

    #[test]
    fn names_come_from_lists_and_words() {
        let claims = claims(r#"{"scope":"read  write","role":"a b","realm_access":{"roles":["x",1,"y"]},"n":3}"#);
        let of = |path, words| names(&claims, path, words).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("scope", true), ["read", "write"]);
        assert_eq!(of("role", false), ["a b"]);
        assert_eq!(of("realm_access.roles", false), ["x", "y"]);
        assert!(of("n", true).is_empty() && of("none", false).is_empty());
    }
}
