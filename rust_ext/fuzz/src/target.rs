//! Target `target`: the rules' byte, then a request target; the codec and the path model must agree on it.

use fastgate_core::http1::{Progress, Reason, Request, RequestRules};
use fastgate_core::snapshot::{DotSegments, EncodedSlash};

use crate::{knobs, path_model};

/// A target is accepted exactly where the model accepts it, with the model's canonical path; reading that again changes nothing.
pub fn target(data: &[u8]) {
    let Some((knobs, target)) = knobs::split(data) else { return };
    // The limits are the business of `request_head`.
    let rules = knobs::rules(knobs & 3);
    let slash = rules.encoded_slash;
    if target.len() > rules.uri_bytes {
        return;
    }
    let got = read(target, &rules);
    let Some(end) = path_model::path_length(target) else {
        if target.first() == Some(&b'/') {
            assert!(got.is_err(), "a byte that may not stand in a target passed");
        }
        return;
    };
    let resolve = rules.dot_segments == DotSegments::Resolve;
    let raw = if resolve { path_model::resolved(&target[..end], slash) } else { Some(target[..end].to_vec()) };
    let expected = raw.and_then(|raw| path_model::canonical(&raw, slash).map(|path| (raw, path)));
    match (got, expected) {
        (Err(reason), None) => knobs::well_described(reason),
        (Err(reason), Some((_, path))) => panic!("refused ({}) but is {}", reason.name(), path.escape_ascii()),
        (Ok(read), None) => panic!("{} passed", read.path.escape_ascii()),
        (Ok(read), Some((raw, path))) => {
            assert_eq!(read.raw, raw);
            assert_eq!(read.path, path);
            assert_eq!(read.query.as_deref(), target[end..].strip_prefix(b"?"));
            again(&read, &rules);
        }
    }
}

struct Read {
    raw: Vec<u8>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
}

fn read(target: &[u8], rules: &RequestRules) -> Result<Read, Reason> {
    let bytes = [b"DELETE ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    let mut request = Request::new();
    match request.parse(&bytes, rules)? {
        Progress::Incomplete => panic!("a whole head still waits"),
        // A CRLF in the target ends the line early.
        Progress::Complete(length) => assert!(length == bytes.len() || target.contains(&b'\n')),
    }
    Ok(Read {
        raw: request.raw_path(&bytes).to_vec(),
        path: request.path(&bytes).to_vec(),
        query: request.query(&bytes).map(<[u8]>::to_vec),
    })
}

/// Whoever reads the raw path or the canonical one next finds the same canonical path.
fn again(first: &Read, rules: &RequestRules) {
    let slash = rules.encoded_slash;
    path_model::is_clean(&first.path, slash);
    let strict = RequestRules { dot_segments: DotSegments::Refuse, ..rules.clone() };
    let second = read(&first.raw, &strict).expect("what is sent on is a path without dot segments");
    assert_eq!((second.raw, second.path.as_slice()), (first.raw.clone(), first.path.as_slice()));
    let encoded = path_model::encoded(&first.path, slash);
    if encoded.len() <= rules.uri_bytes {
        let third = read(&encoded, &strict).expect("a canonical path is a path");
        assert_eq!(third.path, first.path, "canonical twice is not canonical once");
    }
    if slash == EncodedSlash::Keep && !first.raw.windows(3).any(|w| w.eq_ignore_ascii_case(b"%2f")) {
        let refusing = RequestRules { encoded_slash: EncodedSlash::Refuse, ..strict };
        assert!(read(&first.raw, &refusing).is_ok_and(|r| r.path == first.path), "the setting changed another path");
    }
}
