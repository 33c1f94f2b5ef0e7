//! Tables and properties of the static files' logic.

use proptest::prelude::*;

use super::*;
use crate::filter::CompiledEdits;
use crate::http1::Version;
use crate::route::Fields;
use crate::snapshot::{Coding, HeaderEdits};

/// Fields as name and value.
struct Sent<'a>(&'a [(&'a str, &'a str)]);

impl Fields for Sent<'_> {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        for (_, value) in self.0.iter().filter(|(n, _)| n.as_bytes() == name) {
            if !each(value.as_bytes()) {
                return;
            }
        }
    }
}

#[test]
fn ranges() {
    let part = Selected::Part;
    for (value, length, wanted) in [
        ("bytes=0-0", 10, part(0..1)),
        ("bytes=0-", 10, part(0..10)),
        ("bytes=3-5", 10, part(3..6)),
        ("BYTES=3-99", 10, part(3..10)),
        ("bytes=-3", 10, part(7..10)),
        ("bytes=-30", 10, part(0..10)),
        ("bytes= , 2-3 ,", 10, part(2..4)),
        ("bytes=9-", 10, part(9..10)),
        ("bytes=0-18446744073709551615", 10, part(0..10)),
        ("bytes=0-99999999999999999999999", 10, part(0..10)),
        ("bytes=10-", 10, Selected::Unsatisfiable),
        ("bytes=99999999999999999999999-", 10, Selected::Unsatisfiable),
        ("bytes=-0", 10, Selected::Unsatisfiable),
        ("bytes=10-,-0", 10, Selected::Unsatisfiable),
        // One of several lies within the content.
        ("bytes=10-20,2-3", 10, part(2..4)),
        // Several do.
        ("bytes=0-1,4-5", 10, Selected::Whole),
        ("bytes=0-,0-,0-", 10, Selected::Whole),
        // Not valid, or of another unit.
        ("bytes", 10, Selected::Whole),
        ("bytes=", 10, Selected::Whole),
        ("bytes=,", 10, Selected::Whole),
        ("bytes=5-3", 10, Selected::Whole),
        ("bytes=a-3", 10, Selected::Whole),
        ("bytes=1-+3", 10, Selected::Whole),
        ("bytes=1 - 3", 10, Selected::Whole),
        ("bytes=-", 10, Selected::Whole),
        ("bytes=--3", 10, Selected::Whole),
        ("bytes=1-2-3", 10, Selected::Whole),
        ("bytes =1-2", 10, Selected::Whole),
        ("lines=1-2", 10, Selected::Whole),
        // Content without bytes is sent as it is.
        ("bytes=0-", 0, Selected::Whole),
        ("bytes=-1", 0, Selected::Whole),
    ] {
        assert_eq!(select(value.as_bytes(), length), wanted, "{value} of {length}");
    }
    let many = format!("bytes={}", vec!["20-30"; 17].join(","));
    assert_eq!(select(many.as_bytes(), 10), Selected::Whole);
}

/// The same rule, said differently: specs as numbers, collected first and judged then.
fn model(specs: &[(Option<u64>, Option<u64>)], length: u64) -> Selected {
    let mut inside = Vec::new();
    for spec in specs {
        let (from, to) = match *spec {
            (Some(first), Some(last)) if first > last => return Selected::Whole,
            (Some(first), Some(last)) => (first, last),
            (Some(first), None) => (first, u64::MAX),
            (None, Some(0)) => (u64::MAX, u64::MAX),
            (None, Some(suffix)) => (length.saturating_sub(suffix), u64::MAX),
            (None, None) => return Selected::Whole,
        };
        if from < length {
            inside.push(from..to.min(length - 1) + 1);
        }
        if inside.len() > 1 {
            return Selected::Whole;
        }
    }
    match inside.pop() {
        Some(range) => Selected::Part(range),
        None if specs.is_empty() => Selected::Whole,
        None => Selected::Unsatisfiable,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_select_within_the_content(value in proptest::collection::vec(any::<u8>(), 0..40), length in any::<u64>()) {
        let mut field = b"bytes=".to_vec();
        field.extend(&value);
        for field in [&value, &field] {
            if let Selected::Part(range) = select(field, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }

    #[test]
    fn written_ranges_select_what_the_model_says(
        specs in proptest::collection::vec((proptest::option::of(0_u64..30), proptest::option::of(0_u64..30)), 1..5),
        length in 1_u64..25,
    ) {
        let show = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        let written: Vec<_> = specs.iter().map(|(a, b)| format!("{}-{}", show(*a), show(*b))).collect();
        let field = format!("bytes={}", written.join(", "));
        prop_assert_eq!(select(field.as_bytes(), length), model(&specs, length), "{}", field);
    }

    #[test]
    fn tags_and_dates_of_any_bytes_are_judged(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        struct All(Vec<u8>);
        impl Fields for All {
            fn values(&self, _: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
                each(&self.0);
            }
        }
        let tag = EntityTag::new((5, 6), 7, None, 1_000);
        let verdict = judge(&All(value.clone()), &Validators { tag: &tag, modified: Some(5), now: 1_000 });
        // An If-Match that names nothing known fails before anything else is looked at.
        let text = String::from_utf8_lossy(&value);
        prop_assert!(verdict == Verdict::Failed || text.contains('*') || text.contains("\"5-6-7\""), "{verdict:?} {text}");
    }

    #[test]
    fn what_is_looked_up_stays_below_the_root(path in "[a-c./%2fF\\\\ ]{0,30}") {
        let mut out = Vec::new();
        if relative(path.as_bytes(), &mut out).is_some() {
            let found = String::from_utf8(out).unwrap();
            prop_assert!(!found.starts_with('/') && !found.ends_with('/') && !found.contains("//"));
            prop_assert!(found.split('/').all(|name| !name.starts_with('.')));
        }
    }
}

#[test]
fn dates_in_three_forms() {
    let now = 1_764_000_000; // 2025
    for (value, wanted) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
        ("Thu, 31 Dec 2026 23:59:59 GMT", Some(1_798_761_599)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
        ("Thursday, 31-Dec-26 23:59:59 GMT", Some(1_798_761_599)),
        // 76 would be more than 50 years ahead.
        ("Saturday, 01-Jan-76 00:00:00 GMT", Some(189_302_400)),
        ("Sun, 29 Feb 1999 00:00:00 GMT", None),
        ("Sun, 31 Apr 2020 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Xyz, 06 Nov 1994 08:49:37 GMT", None),
        ("Wed, 31 Dec 1969 23:59:59 GMT", None),
        ("784111777", None),
        ("", None),
    ] {
        assert_eq!(parse_date(value.as_bytes(), now), wanted, "{value}");
    }
}

#[test]
fn conditions_in_their_order() {
    use Verdict::{Failed, NotModified};
    const ALL: Verdict = Verdict::Send { ranges: true };
    const NO_RANGES: Verdict = Verdict::Send { ranges: false };
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    let now = 784_200_000;
    let strong = EntityTag::new((784_111_777, 0), 16, None, now);
    let weak = EntityTag::new((784_111_777, 0), 16, None, 784_111_778);
    assert_eq!(strong.as_bytes(), b"\"2ebc98a1-0-10\"".as_slice());
    assert_eq!(weak.as_bytes(), b"W/\"2ebc98a1-0-10\"".as_slice());
    let tag = std::str::from_utf8(strong.as_bytes()).unwrap();
    let weak_tag = std::str::from_utf8(weak.as_bytes()).unwrap();
    let list = format!("\"a,b\" , ,{tag}");
    let table: &[(&[(&str, &str)], Verdict)] = &[
        (&[], ALL),
        (&[("if-match", tag)], ALL),
        (&[("if-match", "*")], ALL),
        (&[("if-match", &list)], ALL),
        (&[("if-match", weak_tag)], Failed),
        (&[("if-match", "\"other\"")], Failed),
        (&[("if-match", "no tag")], Failed),
        (&[("if-match", "\"other\""), ("if-match", tag)], ALL),
        // If-Match comes before If-Unmodified-Since, which is then not looked at.
        (&[("if-match", tag), ("if-unmodified-since", BEFORE)], ALL),
        (&[("if-unmodified-since", BEFORE)], Failed),
        (&[("if-unmodified-since", SAME)], ALL),
        (&[("if-unmodified-since", AFTER)], ALL),
        (&[("if-unmodified-since", "yesterday")], ALL),
        (&[("if-none-match", tag)], NotModified),
        (&[("if-none-match", weak_tag)], NotModified),
        (&[("if-none-match", "*")], NotModified),
        (&[("if-none-match", &list)], NotModified),
        (&[("if-none-match", "\"other\"")], ALL),
        (&[("if-none-match", "\"unclosed")], ALL),
        // If-None-Match comes before If-Modified-Since, which is then not looked at.
        (&[("if-none-match", "\"other\""), ("if-modified-since", SAME)], ALL),
        (&[("if-modified-since", BEFORE)], ALL),
        (&[("if-modified-since", SAME)], NotModified),
        (&[("if-modified-since", AFTER)], NotModified),
        (&[("if-modified-since", SAME), ("if-modified-since", SAME)], ALL),
        (&[("if-modified-since", "0")], ALL),
        (&[("if-match", "\"other\""), ("if-none-match", tag)], Failed),
        (&[("if-match", tag), ("if-none-match", tag)], NotModified),
        (&[("if-unmodified-since", AFTER), ("if-modified-since", AFTER)], NotModified),
        (&[("if-range", tag)], ALL),
        (&[("if-range", weak_tag)], NO_RANGES),
        (&[("if-range", "\"other\"")], NO_RANGES),
        (&[("if-range", &list)], NO_RANGES),
        (&[("if-range", SAME)], ALL),
        (&[("if-range", BEFORE)], NO_RANGES),
        (&[("if-range", AFTER)], NO_RANGES),
        (&[("if-range", "whatever")], NO_RANGES),
        (&[("if-none-match", tag), ("if-range", tag)], NotModified),
    ];
    for (fields, wanted) in table {
        let file = Validators { tag: &strong, modified: Some(784_111_777), now };
        assert_eq!(judge(&Sent(fields), &file), *wanted, "{fields:?}");
    }
    // A tag that may not show the next change is good for caches but not for ranges or changes.
    let young = Validators { tag: &weak, modified: Some(784_111_777), now: 784_111_778 };
    assert_eq!(judge(&Sent(&[("if-none-match", weak_tag)]), &young), NotModified);
    assert_eq!(judge(&Sent(&[("if-match", weak_tag)]), &young), Failed);
    assert_eq!(judge(&Sent(&[("if-range", weak_tag)]), &young), NO_RANGES);
    assert_eq!(judge(&Sent(&[("if-range", SAME)]), &young), NO_RANGES);
    // A file from before 1970 has no date.
    let old = Validators { tag: &strong, modified: None, now };
    assert_eq!(judge(&Sent(&[("if-unmodified-since", SAME), ("if-modified-since", SAME)]), &old), ALL);
    assert_eq!(judge(&Sent(&[("if-range", SAME)]), &old), NO_RANGES);
}

#[test]
fn codings_by_weight_then_by_offer() {
    use Coding::{Br, Gzip, Zstd};
    let all = [Br, Zstd, Gzip];
    for (value, wanted) in [
        ("", &[][..]),
        ("gzip, br", &[Br, Gzip]),
        ("gzip;q=1.0, br;q=0.5", &[Gzip, Br]),
        ("GZIP", &[Gzip]),
        ("x-gzip", &[Gzip]),
        ("*", &[Br, Zstd, Gzip]),
        ("*;q=0.1, br;q=0", &[Zstd, Gzip]),
        ("br;q=0, gzip;q=0.000", &[]),
        ("br;q=0.001", &[Br]),
        ("identity, br;q=0.5", &[]),
        ("identity;q=0.5, br;q=0.5", &[Br]),
        ("identity;q=0, br", &[Br]),
        ("br;q=2", &[]),
        ("br;q=0.1234", &[]),
        ("br;level=3", &[]),
        ("br ; q=0.3 ,, gzip", &[Gzip, Br]),
        ("deflate, brotli", &[]),
    ] {
        assert_eq!(accepted(&Sent(&[("accept-encoding", value)]), &all), wanted, "{value}");
    }
    assert_eq!(accepted(&Sent(&[]), &all), []);
    assert_eq!(accepted(&Sent(&[("accept-encoding", "br"), ("accept-encoding", "gzip")]), &all), [Br, Gzip]);
    assert_eq!(accepted(&Sent(&[("accept-encoding", "br")]), &[]), []);
}

#[test]
fn paths_below_the_root() {
    let long = "x".repeat(256);
    let deep = format!("/{}", "abcdefgh/".repeat(456));
    for (remainder, wanted) in [
        ("", Some((Wanted::File, ""))),
        ("/", Some((Wanted::Folder, ""))),
        ("/a.txt", Some((Wanted::File, "a.txt"))),
        ("/a/b/", Some((Wanted::Folder, "a/b"))),
        ("/a/b c/ü", Some((Wanted::File, "a/b c/ü"))),
        ("/...", None),
        ("/.git/config", None),
        ("/a/.env", None),
        ("/..", None),
        ("/a/../b", None),
        ("/.", None),
        ("/.well-known/x", Some((Wanted::File, ".well-known/x"))),
        ("/.well-known-not", None),
        ("/a%2Fb", None),
        ("/a%2e", Some((Wanted::File, "a%2e"))),
        ("/a\\b", None),
        ("/a\0b", None),
        (deep.as_str(), None),
        (long.as_str(), None),
    ] {
        let mut out = Vec::new();
        let found = relative(remainder.as_bytes(), &mut out);
        assert_eq!(found.map(|wanted| (wanted, std::str::from_utf8(&out).unwrap())), wanted, "{remainder}");
    }
}

#[test]
fn media_types_by_extension() {
    let own = |extension: &str| (extension == "bin").then_some("application/x-own");
    for (name, wanted) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.min.JS", "text/javascript; charset=utf-8"),
        ("dir.css/readme", "application/octet-stream"),
        ("a.svg", "image/svg+xml"),
        ("a.unknown", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.bin", "application/x-own"),
    ] {
        assert_eq!(media_type(name.as_bytes(), own), wanted, "{name}");
    }
    for bad in ["", "text", "text/", "/x", "text/html;", "te xt/x", "text/html\r\n", "text/html; a\0"] {
        assert!(!is_media_type(bad), "{bad:?}");
    }
    assert!(is_media_type("text/html; charset=utf-8") && is_media_type("application/x+y"));
}

fn head(change: impl FnOnce(&mut FileHead<'_>)) -> String {
    let tag = EntityTag::new((1, 2), 3, Some(Coding::Br), 10);
    let edits = CompiledEdits::new(&HeaderEdits {
        set: vec![("Cache-Control".into(), "no-store".into()), ("X-A".into(), "b".into())],
        add: vec![],
        remove: vec!["Last-Modified".into()],
    })
    .unwrap();
    let plain = CompiledEdits::default();
    let mut head = FileHead {
        status: 200,
        version: Version::Http11,
        keep_alive: true,
        request_id: b"id",
        date: b"D",
        modified: b"M",
        tag: &tag,
        media_type: "text/css",
        coding: Some(Coding::Br),
        varies: true,
        cache_control: Some("max-age=60"),
        part: 0..3,
        length: 3,
        edits: &plain,
        extra: None,
    };
    change(&mut head);
    if head.request_id == b"edited" {
        head.edits = &edits;
    }
    let mut out = Vec::new();
    write_file_head(&mut out, &head);
    String::from_utf8(out).unwrap()
}

#[test]
fn heads() {
    assert_eq!(
        head(|_| ()),
        "HTTP/1.1 200 OK\r\nDate: D\r\nETag: \"1-2-3.br\"\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\
         Last-Modified: M\r\nContent-Type: text/css\r\nX-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n\
         Content-Encoding: br\r\nContent-Length: 3\r\nX-Request-Id: id\r\n\r\n"
    );
    assert_eq!(
        head(|h| {
            h.status = 206;
            h.part = 1..3;
            h.keep_alive = false;
            h.varies = false;
            h.coding = None;
            h.cache_control = None;
        }),
        "HTTP/1.1 206 Partial Content\r\nDate: D\r\nETag: \"1-2-3.br\"\r\n\
         Last-Modified: M\r\nContent-Type: text/css\r\nX-Content-Type-Options: nosniff\r\nAccept-Ranges: bytes\r\n\
         Content-Range: bytes 1-2/3\r\nContent-Length: 2\r\nX-Request-Id: id\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(
        head(|h| {
            h.status = 304;
            h.request_id = b"edited";
        }),
        "HTTP/1.1 304 Not Modified\r\nDate: D\r\nETag: \"1-2-3.br\"\r\nVary: Accept-Encoding\r\n\
         X-Request-Id: edited\r\nCache-Control: no-store\r\nX-A: b\r\n\r\n"
    );
}

#[test]
fn redirects_stay_on_their_host() {
    for (path, query, wanted) in [
        ("/docs", None, "/docs/"),
        ("/docs", Some("a=b&c"), "/docs/?a=b&c"),
        ("/a b/ü%", Some(""), "/a%20b/%C3%BC%25/?"),
    ] {
        let location = redirect_location(path.as_bytes(), query.map(str::as_bytes));
        assert_eq!(std::str::from_utf8(&location).unwrap(), wanted);
    }
}
