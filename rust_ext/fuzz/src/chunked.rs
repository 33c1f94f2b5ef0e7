//! Target `chunked`: a chunked body and whatever follows it.

use std::ops::Range;

use fastgate_core::http1::{ChunkedDecoder, Decoded, Reason, ReservedNames, write};

use crate::{knobs, reference};

/// Whatever the bytes: ranges stay inside the input, no cut changes what comes out, and what was accepted is what the
/// slow model reads; written again it decodes to the same.
pub fn chunked(bytes: &[u8]) {
    let whole = decode(bytes, &[]);
    let drip: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(decode(bytes, &drip), whole, "fed byte by byte");
    for cut in knobs::cuts(bytes.len()) {
        assert_eq!(decode(bytes, &[cut]), whole, "cut at {cut}");
    }
    match &whole.verdict {
        Err(reason) => knobs::well_described(*reason),
        Ok(Decoded { consumed, ended: true }) => {
            judge(&bytes[..*consumed], &whole);
            write_again(&whole);
        }
        Ok(Decoded { consumed, ended: false }) => assert_eq!(*consumed, bytes.len(), "bytes of the body were left"),
    }
}

#[derive(Debug, PartialEq)]
struct Body {
    verdict: Result<Decoded, Reason>,
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Decodes the input cut at these places; the verdict counts from its beginning.
fn decode(bytes: &[u8], cuts: &[usize]) -> Body {
    let mut decoder = ChunkedDecoder::default();
    let mut body = Body { verdict: Ok(Decoded { consumed: 0, ended: false }), data: Vec::new(), trailers: Vec::new() };
    let mut from = 0;
    for &to in cuts.iter().chain([&bytes.len()]) {
        let part = &bytes[from..to];
        let mut ranges = Vec::new();
        let decoded = decoder.decode(part, &mut ranges);
        take(part, &ranges, &mut body.data);
        match decoded {
            Err(reason) => {
                body.verdict = Err(reason);
                return body;
            }
            Ok(Decoded { consumed, ended }) => {
                assert!(consumed <= part.len(), "more was consumed than there is");
                assert!(ended || consumed == part.len(), "a part was left although the body goes on");
                assert!(ranges.last().is_none_or(|r| r.end <= consumed), "data behind what was consumed");
                assert_eq!(ended, decoder.ended());
                body.verdict = Ok(Decoded { consumed: from + consumed, ended });
                if ended {
                    break;
                }
                assert!(decoder.trailers().is_none(), "trailers before the end");
            }
        }
        from = to;
    }
    if decoder.ended() {
        let mut ranges = Vec::new();
        let after = decoder.decode(b"5\r\nhello\r\n", &mut ranges);
        assert_eq!(after, Ok(Decoded { consumed: 0, ended: true }), "an ended body took more");
        assert!(ranges.is_empty());
        let kept = decoder.trailers().map(|t| t.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect());
        body.trailers = kept.unwrap_or_default();
        rewrite_trailers(&decoder, &body);
    }
    body
}

/// Copies the ranges; each must be new, inside the part and hold something.
fn take(part: &[u8], ranges: &[Range<usize>], data: &mut Vec<u8>) {
    let mut last = 0;
    for range in ranges {
        assert!(
            last <= range.start && range.start < range.end && range.end <= part.len(),
            "{range:?} of {}",
            part.len()
        );
        last = range.end;
        data.extend_from_slice(&part[range.clone()]);
    }
}

/// The body read line by line by the grammar (RFC 9112 §7.1).
fn judge(body: &[u8], got: &Body) {
    let mut rest = body;
    let mut data = Vec::new();
    let mut extensions = 0;
    loop {
        let line = line(&mut rest);
        let digits = line.iter().position(|b| *b == b';').unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        assert!((1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit), "a bad chunk size passed");
        assert!(extension.len() <= 256, "a long extension passed");
        check_extension(extension);
        extensions += extension.len();
        let size = u64::from_str_radix(std::str::from_utf8(size).expect("hex"), 16).expect("16 digits fit");
        if size == 0 {
            break;
        }
        let (chunk, behind) = rest.split_at(usize::try_from(size).expect("what was consumed fits"));
        data.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n").expect("CRLF follows the data");
    }
    assert!(extensions <= 16 * 1024, "many extensions passed");
    assert_eq!(data, got.data);

    let (section, mut kept) = (rest, got.trailers.iter());
    assert!(section.len() <= 8 * 1024, "a large trailer section passed");
    let mut next = kept.next();
    loop {
        let line = line(&mut rest);
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|b| *b == b':').expect("a trailer has a colon");
        let pair = (&line[..colon], reference::trim(&line[colon + 1..]));
        assert!(reference::is_token(pair.0), "a trailer without a name passed");
        if next.is_some_and(|(n, v)| (n.as_slice(), v.as_slice()) == pair) {
            next = kept.next();
        }
    }
    assert!(rest.is_empty(), "bytes behind the body were consumed");
    assert!(next.is_none(), "a trailer that was not sent");
    for (name, _) in &got.trailers {
        let name = name.to_ascii_lowercase();
        let mapped = reference::kind(&reference::mapped(&name));
        assert!(
            !reference::is_odd(&name) && mapped == fastgate_core::http1::FieldKind::Other,
            "{}",
            name.escape_ascii()
        );
        assert!(!matches!(&name[..], b"cache-control" | b"set-cookie" | b"location" | b"vary" | b"range" | b"age"));
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let at = rest.windows(2).position(|w| w == b"\r\n").expect("a line ends with CRLF");
    let line = &rest[..at];
    *rest = &rest[at + 2..];
    let bad = line.iter().any(|b| b.is_ascii_control() && *b != b'\t');
    assert!(!bad, "a control character passed: {}", line.escape_ascii());
    line
}

/// `*( ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn check_extension(text: &[u8]) {
    static GRAMMAR: std::sync::LazyLock<regex::bytes::Regex> = std::sync::LazyLock::new(|| {
        let token = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+";
        let quoted = r#""(?:[^"\\]|\\.)*""#;
        let grammar = format!(r"\A(?:;[ \t]*{token}(?:[ \t]*=[ \t]*(?:{token}|{quoted})|[ \t]*))*\z");
        regex::bytes::RegexBuilder::new(&grammar).unicode(false).build().expect("the grammar is an expression")
    });
    assert!(GRAMMAR.is_match(text), "a bad extension passed: {}", text.escape_ascii());
    let bare_end = text.last().is_some_and(|b| *b == b' ' || *b == b'\t');
    assert!(!bare_end, "white space before the line end passed");
}

/// Written anew, in chunks of other sizes, the body decodes to the same.
fn write_again(body: &Body) {
    let mut out = Vec::new();
    for (i, chunk) in body.data.chunks(7).enumerate() {
        write::chunk_head(&mut out, chunk.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(write::CHUNK_END);
        if i == 0 {
            // An empty chunk would end the body.
            write::chunk_head(&mut out, 0);
        }
    }
    write::last_chunk(&mut out, None, None);
    let again = decode(&out, &[]);
    assert_eq!(again.verdict, Ok(Decoded { consumed: out.len(), ended: true }));
    assert_eq!(again.data, body.data);
}

/// Trailers written anew decode to the same fields, less the reserved ones.
fn rewrite_trailers(decoder: &ChunkedDecoder, body: &Body) {
    let reserved = ReservedNames::new(&["X-User-Id"]);
    let mut out = Vec::new();
    write::last_chunk(&mut out, decoder.trailers(), Some(&reserved));
    let mut again = ChunkedDecoder::default();
    let decoded = again.decode(&out, &mut Vec::new());
    assert_eq!(decoded, Ok(Decoded { consumed: out.len(), ended: true }), "{}", out.escape_ascii());
    let is_reserved =
        |n: &[u8]| n.eq_ignore_ascii_case(b"x-user-id") || n.to_ascii_lowercase().starts_with(b"x-consumer-");
    let all = body.trailers.iter().map(|(n, v)| (&n[..], &v[..]));
    let expected: Vec<_> = all.filter(|(n, _)| !is_reserved(n)).collect();
    let got: Vec<_> = again.trailers().into_iter().flat_map(|t| t.iter()).collect();
    assert_eq!(got, expected);
}
