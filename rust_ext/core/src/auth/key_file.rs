//! The file of keys: one JSON object a line, so that a key is a line to add or to take away.

use serde::Deserialize;

use super::consumers::{Consumers, KeyFacts, Known};
use super::digest::{KeyTable, stored};
use crate::calendar::rfc3339;

/// Largest file, in bytes.
pub const MAX_KEY_FILE: usize = 64 * 1024 * 1024;

/// Longest line, in bytes.
const MAX_LINE: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    name: String,
    hash: String,
    #[serde(default)]
    consumer: Option<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// When it was made: for people.
    #[serde(default, borrow)]
    #[allow(dead_code, reason = "read and left to people")]
    created: Option<std::borrow::Cow<'a, str>>,
}

/// Reads a file of keys. Empty lines and lines that begin with `#` say nothing.
///
/// # Errors
/// The first line that is wrong, by its number, with what is allowed; nothing of it is shown.
pub fn parse(bytes: &[u8], consumers: &Consumers) -> Result<KeyTable<Known>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line}: not UTF-8")
    })?;
    let mut table = KeyTable::default();
    let mut names = std::collections::HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |message: String| format!("line {number}: {message}");
        if line.len() > MAX_LINE {
            return Err(fault(format!("{} bytes; allowed: at most {MAX_LINE}", line.len())));
        }
        let key: Line<'_> = serde_json::from_str(line).map_err(|error| fault(said(&error)))?;
        if key.name.is_empty() {
            return Err(fault("name: empty; allowed: a name".to_owned()));
        }
        if let Some(first) = names.insert(key.name.clone(), number) {
            return Err(fault(format!("name: the key of line {first} has that name")));
        }
        let digest = stored(&key.hash).map_err(|message| fault(format!("hash: {message}")))?;
        let expires = key.expires.as_deref().map(|text| {
            rfc3339(text).ok_or_else(|| fault("expires: allowed: a time such as 2027-01-01T00:00:00Z".to_owned()))
        });
        let facts = KeyFacts {
            name: &key.name,
            consumer: key.consumer.as_deref(),
            scopes: &key.scopes,
            expires_ms: expires.transpose()?,
        };
        table.insert(&digest, consumers.peppers(), consumers.known(&facts)).map_err(|m| fault(format!("hash: {m}")))?;
    }
    Ok(table)
}

/// What the JSON library says, without a value of the file.
fn said(error: &serde_json::Error) -> String {
    const ALLOWED: &str = "allowed: {\"name\", \"hash\", \"consumer\", \"expires\", \"scopes\", \"created\"}";
    let text = error.to_string();
    let fields = ["missing field", "duplicate field", "unknown field"];
    if let Some(kind) = fields.into_iter().find(|kind| text.starts_with(kind)) {
        // The field's name stands in the first pair of backquotes; an unknown one is whatever stands there.
        let name = text.split('`').nth(1).unwrap_or_default();
        return if kind == "unknown field" {
            format!("{kind}; {ALLOWED}")
        } else {
            format!("{kind} {name}; {ALLOWED}")
        };
    }
    format!("no such JSON object (column {}); {ALLOWED}", error.column())
}

#[cfg(test)]
mod tests {
    use super::super::consumers::tests::{ONE, acme, peppers};
    use super::*;

    fn consumers() -> Consumers {
        Consumers::new(&[acme(&[])], &peppers("a secret of some length")).unwrap()
    }

    #[test]
    fn keys_of_a_file() {
        let text = format!(
            "# keys\n\n{{\"name\":\"k1\",\"hash\":\"{ONE}\",\"consumer\":\"acme\",\"expires\":\"1970-01-01T00:00:01Z\",\
             \"scopes\":[\"a\"],\"created\":\"2026-11-21T00:00:00Z\"}}\r\n{{\"name\":\"k2\",\"hash\":\"sha256:{}\"}}\n\
             {{\"name\":\"k3\",\"hash\":\"hmac-sha256:p1:{}\",\"consumer\":\"new\"}}",
            "0".repeat(64),
            "1".repeat(64)
        );
        let table = parse(text.as_bytes(), &consumers()).unwrap();
        let known = table.find(b"one").unwrap();
        assert_eq!((table.len(), known.expires_ms), (3, Some(1_000)));
        assert_eq!((known.identity.consumer_index, &*known.identity.scopes[0]), (Some(0), "a"));
        let by_name = |name: &str| table.values().find(|known| known.identity.key.as_deref() == Some(name)).unwrap();
        assert_eq!((by_name("k2").identity.subject.as_deref(), &by_name("k2").identity.consumer), (Some("k2"), &None));
        let new = &by_name("k3").identity;
        assert_eq!((new.consumer.as_deref(), new.consumer_index, new.groups.len()), (Some("new"), None, 0));
        assert!(parse(b"", &consumers()).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let good = format!(r#"{{"name":"k1","hash":"{ONE}"}}"#);
        for (line, wanted) in [
            ("canary", "no such JSON object"),
            ("[]", "no such JSON object"),
            (r#"{"name":"canary"}"#, "missing field hash"),
            (r#"{"hash":"canary"}"#, "missing field name"),
            (r#"{"name":"a","canary":1}"#, "unknown field"),
            (r#"{"name":"a","name":"b","hash":"canary"}"#, "duplicate field name"),
            (r#"{"name":"a","hash":"canary"}"#, "hash: allowed: sha256:"),
            (r#"{"name":7,"hash":"canary"}"#, "no such JSON object"),
            (&good, "name: the key of line 1"),
            (&good.replace("k1", "k2"), "hash: this key is there twice"),
            (&good.replace("k1", ""), "name: empty"),
            (&good.replace("k1", "k2").replace('}', r#","expires":"canary"}"#), "expires: allowed"),
            (&format!(r#"{{"name":"a","hash":"hmac-sha256:p9:{}"}}"#, "0".repeat(64)), "there is no pepper \"p9\""),
            (&"x".repeat(MAX_LINE + 1), "bytes; allowed: at most"),
        ] {
            let said = parse(format!("{good}\n{line}\n").as_bytes(), &consumers()).unwrap_err();
            assert!(said.starts_with("line 2: ") && said.contains(wanted) && !said.contains("canary"), "{said}");
        }
        assert_eq!(parse(b"#\n\n\xff", &consumers()).unwrap_err(), "line 3: not UTF-8");
    }
}
