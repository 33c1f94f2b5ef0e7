//! Lines from real requests, and the properties that no request may break.

use proptest::prelude::*;

use super::{Begin, End, Format, LONGEST, NAMES, Redact, Stamp, json_string};
use crate::calendar::civil;
use crate::http1::{Progress, Request, RequestRules};
use crate::snapshot::Snapshot;

const UNIX_MS: u64 = 1_795_274_776_042; // 2026-11-21T15:26:16.042Z

fn rules() -> RequestRules {
    let snapshot = Snapshot::from_json(include_bytes!("../../../engine/tests/data/minimal.json")).unwrap();
    RequestRules::new(&snapshot.limits, &snapshot.listeners[0], &[])
}

fn redact() -> Redact {
    Redact::new(&["token".into(), "code".into()], &["Authorization".into(), "x-key".into()])
}

fn line_of(format: &Format, head: Option<&[u8]>, end: &End<'_>) -> Vec<u8> {
    let mut request = Request::new();
    if let Some(head) = head {
        assert!(matches!(request.parse(head, &rules()), Ok(Progress::Complete(_))), "{}", head.escape_ascii());
    }
    let begin = Begin {
        unix_ms: UNIX_MS,
        request_id: b"abc",
        client: Some([192, 0, 2, 107].into()),
        listener: "public",
        request: head.map(|head| (&request, head)),
    };
    let (mut block, mut out) = (Vec::new(), b"before\n".to_vec());
    format.begin(&mut block, &begin, &redact(), &mut Stamp::default());
    format.finish(&mut out, &block, end);
    let line = out.strip_prefix(b"before\n").unwrap().strip_suffix(b"\n").unwrap();
    assert!(!line.contains(&b'\n'));
    line.to_vec()
}

fn text(format: &Format, head: Option<&[u8]>, end: &End<'_>) -> String {
    String::from_utf8(line_of(format, head, end)).unwrap()
}

const END: End<'static> = End {
    route: Some("all"),
    service: Some("origin"),
    target: Some("http://10.0.0.5:9000"),
    status: 200,
    bytes_in: 71,
    bytes_out: 1_234,
    body_bytes_out: 1_000,
    total_us: 1_002_345,
    upstream_us: Some(2_000),
    retries: 1,
    error: None,
    reason: None,
};

#[test]
fn a_json_line() {
    let head = b"GET /a%20b?x=1&token=secret HTTP/1.1\r\nHost: Example.org:80\r\nReferer: http://r/?code=1#token=2\r\n\
        User-Agent: curl/\"8\"\r\n\r\n";
    assert_eq!(
        text(&Format::json(), Some(head), &END),
        "{\"time\":\"2026-11-21T15:26:16.042Z\",\"request_id\":\"abc\",\"client\":\"192.0.2.107\",\
         \"listener\":\"public\",\"method\":\"GET\",\"host\":\"example.org\",\"path\":\"/a%20b\",\
         \"query\":\"x=1&token=[redacted]\",\"protocol\":\"HTTP/1.1\",\
         \"referer\":\"http://r/?code=[redacted]#token=[redacted]\",\"user_agent\":\"curl/\\\"8\\\"\",\
         \"route\":\"all\",\"service\":\"origin\",\"target\":\"http://10.0.0.5:9000\",\"status\":200,\"bytes_in\":71,\
         \"bytes_out\":1234,\"body_bytes_out\":1000,\"duration\":1.002345,\"duration_upstream\":0.002000,\
         \"duration_own\":1.000345,\"retries\":1,\"error\":null,\"reason\":null}"
    );
}

#[test]
fn numbers_and_times_of_every_size() {
    let format = Format::template("{bytes_in} {duration} {status}").unwrap();
    for n in (0..20).flat_map(|exponent| [10_u64.pow(exponent) - 1, 10_u64.pow(exponent)]).chain([u64::MAX]) {
        let end = End { bytes_in: n, total_us: n, status: 200, ..End::default() };
        let line = text(&format, None, &end);
        assert_eq!(line, format!("{n} {}.{:06} 200", n / 1_000_000, n % 1_000_000));
    }
}

#[test]
fn values_and_texts_of_every_length() {
    for len in 0..100 {
        let literal = "l".repeat(len);
        let format =
            Format::template(&format!("{literal}{{path}}{literal}{{host}}{literal}{{route}}{literal}")).unwrap();
        for place in 0..=len {
            // One byte that needs care, at each place, and none at all.
            let mut path: Vec<u8> = (0..len).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
            if let Some(byte) = path.get_mut(place) {
                *byte = b'\\';
            }
            let route = String::from_utf8(path).unwrap();
            let shown = route.replace('\\', "\\\\");
            let end = End { route: Some(&route), ..END };
            let head = format!("GET /{literal} HTTP/1.1\r\nHost: h{literal}\r\n\r\n");
            let shown_route = if shown.is_empty() { "-" } else { &shown };
            let host = if len < 63 { format!("h{literal}") } else { "h".to_owned() };
            let head = if len < 63 { head } else { head.replace(&format!("Host: h{literal}"), "Host: h") };
            let line = text(&format, Some(head.as_bytes()), &end);
            assert_eq!(line, format!("{literal}/{literal}{literal}{host}{literal}{shown_route}{literal}"));
            let json: serde_json::Value =
                serde_json::from_slice(&line_of(&Format::json(), Some(head.as_bytes()), &end)).unwrap();
            assert_eq!((&json["route"], &json["host"]), (&route.into(), &host.into()));
        }
    }
}

#[test]
fn a_refused_message_has_a_line_too() {
    let end = End { status: 400, error: Some("refused"), reason: Some("host_missing"), ..End::default() };
    let line: serde_json::Value = serde_json::from_slice(&line_of(&Format::json(), None, &end)).unwrap();
    assert_eq!(line["method"], serde_json::Value::Null);
    assert_eq!((line["status"].as_u64(), line["reason"].as_str()), (Some(400), Some("host_missing")));
    assert_eq!(line["duration_upstream"], serde_json::Value::Null);
    assert_eq!(
        text(&Format::combined(), None, &end),
        "192.0.2.107 - - [21/Nov/2026:15:26:16 +0000] \"-\" 400 - \"-\" \"-\""
    );
}

#[test]
fn a_combined_line() {
    let head = b"GET /x?token=1 HTTP/1.0\r\nUser-Agent: \xe2\x80\xa8 \"\\\r\n\r\n";
    assert_eq!(
        text(&Format::combined(), Some(head), &END),
        "192.0.2.107 - - [21/Nov/2026:15:26:16 +0000] \"GET /x?token=[redacted] HTTP/1.0\" 200 1000 \"-\" \
         \"\\xe2\\x80\\xa8 \\\"\\\\\""
    );
    let unanswered = text(&Format::combined(), Some(head), &End::default());
    assert!(unanswered.contains(" - - \"-\" \"\\xe2"), "{unanswered}");
}

#[test]
fn a_template() {
    let format = Format::template("{{{status}}} {method} {route}\t{header.X-Key}|{header.x-a}|{duration}").unwrap();
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Key: k\r\nX-A: 1\r\nX-A: 2\r\n\r\n";
    assert_eq!(text(&format, Some(head), &END), "{200} GET all\t[redacted]|1|1.002345");
}

#[test]
fn every_name_can_be_used() {
    for name in NAMES {
        Format::template(&format!("{{{name}}}")).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn templates_that_are_refused() {
    for (template, says) in [
        ("jsn", "json, combined, or a template"),
        ("{stauts}", "there is no {stauts}; allowed: time, request_id"),
        ("{status", "a single {"),
        ("a } {status}", "a single }"),
        ("{status}\n", "control character '\\n'"),
        ("{header.}", "there is no {header.}"),
        ("{header.a b}", "there is no"),
        ("", "is not a format"),
    ] {
        let error = Format::template(template).unwrap_err();
        assert!(error.contains(says), "{template:?}: {error}");
    }
    assert!(Format::template(&"x".repeat(LONGEST + 1)).unwrap_err().contains("too long"));
}

#[test]
fn redacted_names() {
    let redact = redact();
    for (query, shown) in [
        ("", ""),
        ("token", "token"),
        ("token=", "token="),
        ("a=token&b=1", "a=token&b=1"),
        ("TOKEN=1;b=2", "TOKEN=[redacted];b=2"),
        ("to%6ben=1", "to%6ben=[redacted]"),
        ("token[0]=1&token%5B1%5D=2", "token[0]=[redacted]&token%5B1%5D=[redacted]"),
        ("xtoken=1&tokenx=2&%=3&%zz=4", "xtoken=1&tokenx=2&%=3&%zz=4"),
        ("a=1&code=2&token=3&b", "a=1&code=[redacted]&token=[redacted]&b"),
    ] {
        assert_eq!(redact.query(query.as_bytes()), shown.as_bytes(), "{query}");
    }
    let long = format!("{}=1", "t".repeat(100));
    assert_eq!(redact.query(long.as_bytes()), long.as_bytes());
}

#[test]
fn a_long_value_is_cut() {
    let mut out = Vec::new();
    json_string(&mut out, &b"x".repeat(LONGEST));
    assert_eq!(out.len(), LONGEST + 2);
    out.clear();
    json_string(&mut out, &b"x".repeat(LONGEST + 1));
    assert!(out.ends_with(b"x[cut]\"") && out.len() == LONGEST + 7);
}

#[test]
fn escapes() {
    for (value, shown) in [
        (&b"a\"b\\c\n\r\t\0\x7f"[..], r#""a\"b\\c\n\r\t\u0000\u007f""#),
        (b"\xff a \xc3\xa4\"", "\"\u{fffd} a \u{e4}\\\"\""),
        ("\u{85}\u{2028}\u{202e}x".as_bytes(), r#""\u0085\u2028\u202ex""#),
        (b"", "\"\""),
    ] {
        let mut out = Vec::new();
        json_string(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), shown);
    }
}

#[test]
fn known_dates() {
    for (day, date) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (20_453, (2025, 12, 31)), (20_778, (2026, 11, 21))]
    {
        assert_eq!(civil(day), date);
    }
    let mut out = Vec::new();
    Stamp::default().rfc3339(&mut out, 7);
    assert_eq!(out, b"1970-01-01T00:00:00.007Z");
    out.clear();
    Stamp::default().syslog(&mut out, 1_000);
    assert_eq!(out, b"Jan  1 00:00:01");
}

proptest! {
    #[test]
    fn any_bytes_make_one_json_string(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        json_string(&mut out, &value);
        prop_assert!(out.iter().all(|byte| *byte >= 0x20));
        let back: String = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(back, String::from_utf8_lossy(&value));
    }

    #[test]
    fn any_bytes_stay_between_their_quotes(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        super::text::plain(&mut out, &value);
        prop_assert!(out.iter().all(|byte| (0x20..0x7f).contains(byte)));
        let mut back = Vec::new();
        let mut rest = out.iter();
        while let Some(byte) = rest.next() {
            prop_assert!(*byte != b'"');
            if *byte != b'\\' {
                back.push(*byte);
                continue;
            }
            match rest.next() {
                Some(b'x') => {
                    let digits = [*rest.next().unwrap(), *rest.next().unwrap()];
                    back.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                Some(byte) => back.push(*byte),
                None => prop_assert!(false, "a lone backslash"),
            }
        }
        prop_assert_eq!(back, value);
    }

    #[test]
    fn any_query_keeps_what_is_not_listed(query in "[a-c=&;%\\[\\]tokendx0-9]{0,60}") {
        let redact = redact();
        let shown = redact.query(query.as_bytes()).into_owned();
        prop_assert_eq!(redact.query(&shown).into_owned(), shown.clone());
        let separators = |text: &[u8]| text.iter().filter(|b| matches!(**b, b'&' | b';')).count();
        prop_assert_eq!(separators(&shown), separators(query.as_bytes()));
    }

    #[test]
    fn any_template_is_judged_without_panic(template in "[{}a-z._ \"]{0,60}") {
        if let Ok(format) = Format::template(&template) {
            line_of(&format, None, &End::default());
        }
    }
}
