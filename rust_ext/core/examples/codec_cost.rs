//! Counts what the codec costs: N requests through parse and write, for callgrind.
//!
//! `codec_cost N [PART] [SIZE]`; PART is one of `request`, `request-write`, `response`, `response-write`, `all`; SIZE is `browser`
//! (8 and 6 fields) or `small` (2 and 3, what load generators and plain origins send). Two runs with different N, subtracted, give
//! the instructions of one round without start-up. `request-write` and `response-write` include the parse.

use fastgate_core::filter::{
    CompiledEdits, Incoming, Outgoing, client_address, request_id, write_request_head, write_response_head,
};
use fastgate_core::http1::{Progress, Request, RequestRules, ReservedNames, Response};
use fastgate_core::snapshot::{DotSegments, EncodedSlash, UnderscoreHeaders};

const REQUEST: &[u8] = b"GET /api/projects/42?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 128\r\nCache-Control: private, max-age=0\r\nConnection: keep-alive\r\n\r\n";
const SMALL_REQUEST: &[u8] = b"GET /api/items/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n";
const SMALL_RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nServer: origin\r\n\r\n";

fn main() {
    let mut args = std::env::args().skip(1);
    let rounds: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let part = args.next().unwrap_or_else(|| "all".into());
    let (head, answer) = match args.next().as_deref() {
        Some("small") => (SMALL_REQUEST, SMALL_RESPONSE),
        _ => (REQUEST, RESPONSE),
    };
    let request_side = matches!(part.as_str(), "all" | "request" | "request-write");
    let request_write = matches!(part.as_str(), "all" | "request-write");
    let response_side = matches!(part.as_str(), "all" | "response" | "response-write");
    let response_write = matches!(part.as_str(), "all" | "response-write");
    let rules = RequestRules {
        head_bytes: 32 * 1024,
        header_count: 100,
        uri_bytes: 8 * 1024,
        encoded_slash: EncodedSlash::Refuse,
        dot_segments: DotSegments::Refuse,
        underscore_headers: UnderscoreHeaders::Drop,
        trusted: Vec::new(),
        reserved: ReservedNames::new(&["X-User-Id"]),
    };
    let edits = CompiledEdits::default();
    let peer = Some(std::net::IpAddr::from([127, 0, 0, 1]));
    let (mut request, mut response) = (Request::new(), Response::new());
    let mut out = Vec::with_capacity(4096);
    let mut id = [0; 32];
    let mut written = 0;
    for round in 0..rounds {
        if request_side {
            request.clear();
            let progress = request.parse(std::hint::black_box(head), &rules);
            assert_eq!(progress, Ok(Progress::Complete(head.len())));
        }
        if request_write {
            out.clear();
            let client = client_address(&request, head, peer, &rules);
            let id = request_id(&request, head, u128::from(round), &mut id);
            let outgoing = Outgoing {
                path: request.raw_path(head),
                query: request.query(head),
                host: request.authority(head),
                client: &client,
                peer,
                scheme: "http",
                request_id: id,
                framing: request.framing(),
                upgrade: None,
                expect_continue: false,
                edits: &edits,
                hook_edits: &[],
            };
            write_request_head(&mut out, &request, head, &outgoing);
            written += std::hint::black_box(&out).len();
        }
        if response_side {
            response.clear();
            let progress = response.parse(std::hint::black_box(answer), request.method());
            assert_eq!(progress, Ok(Progress::Complete(answer.len())));
        }
        if response_write {
            out.clear();
            let incoming = Incoming {
                version: request.version(),
                framing: response.framing(),
                keep_alive: true,
                request_id: &id,
                upgrade: None,
                date: b"",
                edits: &edits,
                extra: None,
            };
            write_response_head(&mut out, &response, answer, &incoming);
            written += std::hint::black_box(&out).len();
        }
    }
    println!("{rounds} rounds of {part}, {written} bytes written");
    if rounds == 1 {
        println!("{}", String::from_utf8_lossy(&out));
    }
}
