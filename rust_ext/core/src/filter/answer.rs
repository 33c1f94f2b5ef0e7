//! The gateway's own answers: fixed content, or a problem document (RFC 9457).

use super::edits::{CompiledEdits, Edits, is_value, line};
use super::extra::{By, Extra};
use super::response_head::connection;
use crate::http1::{Version, is_token, write};
use crate::json;

/// What an answer carries.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// `application/problem+json` with type, title, status, detail and request id.
    Problem,
    /// These bytes.
    Bytes {
        /// The media type; none for an empty content.
        content_type: Option<&'a str>,
        /// The content.
        body: &'a [u8],
    },
}

/// An answer of the gateway itself.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// One sentence for the problem document; never a target's address, never a secret.
    pub detail: &'a str,
    /// Goes into `X-Request-Id` and the problem document.
    pub request_id: &'a [u8],
    /// The client's connection stays open behind this answer.
    pub keep_alive: bool,
    /// The client's.
    pub version: Version,
    /// The request was HEAD: the head only, with the length the content would have.
    pub head_only: bool,
    /// More fields. Those that could not be read back as one line each are left out, as are framing fields.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// The route's changes to what it answers.
    pub edits: &'a CompiledEdits,
    /// What policies add.
    pub extra: Option<&'a Extra>,
    /// What it carries.
    pub content: Content<'a>,
    /// The value of `Date`; empty for none.
    pub date: &'a [u8],
}

/// Fields an answer's own head decides.
const OWNED: &[&str] = &["connection", "content-length", "transfer-encoding", "date", "x-request-id", "keep-alive"];

/// Writes a whole answer, head and content.
pub fn write_answer(out: &mut Vec<u8>, a: &Answer<'_>) {
    let start = out.len();
    out.extend_from_slice(b"HTTP/1.1 ");
    write::status(out, a.status);
    out.push(b' ');
    out.extend_from_slice(status_phrase(a.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    let edits = Edits { route: a.edits, hook: &[] };
    if is_value(a.date) && !a.date.is_empty() && !edits.replace(b"date") {
        line(out, b"Date", a.date);
    }
    let typed =
        a.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) || edits.replace(b"content-type");
    for (name, value) in a.fields {
        let owned = OWNED.iter().any(|owned| name.eq_ignore_ascii_case(owned));
        let taken = a.extra.is_some_and(|extra| extra.takes_away(name.as_bytes()));
        if !owned && !taken && !edits.replace(name.as_bytes()) && is_token(name.as_bytes()) && is_value(value) {
            line(out, name.as_bytes(), value);
        }
    }
    let problem;
    let (content_type, body) = match a.content {
        Content::Problem => {
            problem = problem_document(a);
            (Some("application/problem+json"), problem.as_slice())
        }
        Content::Bytes { content_type, body } => (content_type, body),
    };
    // 1xx, 204 and 304 have no content (RFC 9110 §6.4.1).
    let bodiless = a.status < 200 || a.status == 204 || a.status == 304;
    if !bodiless {
        if let Some(content_type) = content_type.filter(|value| !typed && is_value(value.as_bytes())) {
            line(out, b"Content-Type", content_type.as_bytes());
        }
        out.extend_from_slice(b"Content-Length: ");
        write::decimal(out, body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    edits.write(out);
    if is_value(a.request_id) && !a.request_id.is_empty() && !edits.replace(b"x-request-id") {
        line(out, b"X-Request-Id", a.request_id);
    }
    connection(out, a.version, a.keep_alive);
    if let Some(extra) = a.extra {
        extra.write(out, start, &edits, By::Gateway);
    }
    out.extend_from_slice(b"\r\n");
    if !bodiless && !a.head_only {
        out.extend_from_slice(body);
    }
}

fn problem_document(a: &Answer<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"type\":\"about:blank\",\"title\":");
    json::string(&mut out, status_phrase(a.status).as_bytes());
    out.extend_from_slice(b",\"status\":");
    write::decimal(&mut out, u64::from(a.status));
    out.extend_from_slice(b",\"detail\":");
    json::string(&mut out, a.detail.as_bytes());
    out.extend_from_slice(b",\"request_id\":");
    json::string(&mut out, a.request_id);
    out.extend_from_slice(b"}\n");
    out
}

/// The reason phrase of a status code (RFC 9110 §15 and the IANA registry); empty for an unknown one.
pub fn status_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
