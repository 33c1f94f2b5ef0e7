//! Target `credentials`: lines of `Authorization`, cookies, query parameters, Basic credentials; files of keys and users.

use fastgate_core::auth::{self, Authorization, Consumers, MAX_BASIC, MAX_CREDENTIAL, Scheme, Shown};
use fastgate_core::auth::{key_file, password};
use regex::bytes::Regex;

/// Whatever the bytes: what is taken has the grammar of its RFC, is there once, and is what stood there.
///
/// The first line is a query, every other one a line of a header.
pub fn credentials(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let query = lines.next().unwrap_or_default();
    let lines: Vec<&[u8]> = lines.collect();
    authorization(&lines);
    cookie(&lines);
    parameter(query);
    for line in &lines {
        basic(line);
    }
    // Read or refused with a sentence; never shown.
    let said = key_file::parse(bytes, &Consumers::default()).err();
    assert!(said.is_none_or(|said| said.starts_with("line ")));
    let said = password::Users::parse(bytes).err();
    assert!(said.is_none_or(|said| said.starts_with("line ")));
}

fn authorization(lines: &[&[u8]]) {
    let grammar = |text: &str| Regex::new(text).expect("a pattern");
    let shown = auth::authorization(lines.iter().copied());
    assert_eq!(shown.is_present(), !lines.is_empty());
    let Shown::One(Authorization { scheme, credential }) = shown else {
        assert!(lines.len() != 1 || !grammar(r"(?-u)^[A-Za-z0-9]+( |$)").is_match(lines[0]));
        return;
    };
    let [line] = lines else { panic!("more than one line counts") };
    let wanted = match scheme {
        Scheme::Bearer => r"(?i-u)\Abearer +([a-z0-9._~+/-]+=*)\z",
        Scheme::Basic => r"(?i-u)\Abasic +([a-z0-9._~+/-]+=*)\z",
        Scheme::ApiKey => r"(?i-u)\Aapikey +([!-~]+)\z",
        Scheme::Other => r"(?s-u)\A[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\z| +)(.*)\z",
    };
    let found = grammar(wanted).captures(line).and_then(|found| found.get(1)).map(|found| found.as_bytes());
    assert_eq!(credential, found.filter(|value| scheme == Scheme::Other || value.len() <= MAX_CREDENTIAL));
    if scheme == Scheme::Other {
        assert!(!grammar(r"(?i-u)\A(?:bearer|basic|apikey)(?: |\z)").is_match(line));
    }
}

fn cookie(lines: &[&[u8]]) {
    let pairs = lines.iter().flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let named: Vec<&[u8]> = pairs
        .filter(|pair| pair.split(|&byte| byte == b'=').next().is_some_and(|name| name.trim_ascii_end() == b"t"))
        .collect();
    match auth::cookie(lines.iter().copied(), b"t") {
        Shown::Nothing => assert!(named.is_empty()),
        Shown::One(value) => {
            assert_eq!(named.len(), 1);
            assert!(named[0].ends_with(&[b"=", value].concat()) && value.iter().all(u8::is_ascii_graphic));
        }
        Shown::Bad => assert!(!named.is_empty()),
    }
}

fn parameter(query: &[u8]) {
    let parts: Vec<&[u8]> = query.split(|&byte| byte == b'&').collect();
    let split = |part: &[u8]| {
        let mut halves = part.splitn(2, |&byte| byte == b'=').map(<[u8]>::to_vec);
        (halves.next().unwrap_or_default(), halves.next())
    };
    let is_key = |part: &[u8]| {
        let (name, _) = split(part);
        name == b"key" || decode(&name).as_deref() == Some(b"key")
    };
    let named: Vec<&[u8]> = parts.iter().copied().filter(|part| is_key(part)).collect();
    match auth::query(query, b"key") {
        Shown::Nothing => assert!(named.is_empty()),
        Shown::One(value) => {
            assert_eq!(named.len(), 1);
            assert_eq!(split(named[0]).1.and_then(|written| decode(&written)).as_deref(), Some(&*value));
        }
        Shown::Bad => assert!(!named.is_empty()),
    }
    let others: Vec<&[u8]> = parts.iter().copied().filter(|part| !is_key(part)).collect();
    let kept = auth::without(query, [&b"key"[..]].into_iter());
    assert_eq!(kept, (!named.is_empty()).then(|| others.join(&b'&')));
}

fn basic(line: &[u8]) {
    let mut room = [0; MAX_BASIC];
    let Some((name, password)) = auth::basic(line, &mut room) else { return };
    assert!(!name.is_empty() && !name.contains(':'));
    assert_eq!(encode(format!("{name}:{password}").as_bytes()), line, "one text, one way to write it");
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
    let bits: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let mut text: Vec<u8> = bits
        .chunks(6)
        .map(|six| digits[(0..6).fold(0, |value, i| value * 2 + usize::from(six.get(i).copied().unwrap_or(false)))])
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push(b'=');
    }
    text
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            out.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    Some(out)
}
