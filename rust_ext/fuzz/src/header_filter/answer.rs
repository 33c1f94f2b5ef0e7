//! The gateway's own answer, with whatever bytes a config or a hook may put into it.

use fastgate_core::filter::{Answer, Content, NO_EDITS, write_answer};
use fastgate_core::http1::{Method, Progress, Response, ResponseFraming, Version};

use crate::{knobs, reference};

/// One answer comes out whatever stands in its parts, as long as it says.
pub fn check(knobs: u8, text: &[u8]) {
    let parts: Vec<&[u8]> = text.splitn(4, |b| *b == b'|').collect();
    let part = |i: usize| parts.get(i).copied().unwrap_or_default();
    let (name, detail) = (String::from_utf8_lossy(part(0)), String::from_utf8_lossy(part(2)));
    let status = 200 + u16::from(knobs & 0x3f) * 6;
    let problem = knobs::bit(knobs, 7);
    let media_type = "text/plain";
    let a = Answer {
        status,
        detail: &detail,
        request_id: b"id-1",
        keep_alive: knobs::bit(knobs, 1),
        version: if knobs::bit(knobs, 0) { Version::Http10 } else { Version::Http11 },
        head_only: knobs::bit(knobs, 2),
        fields: &[(&name, part(1))],
        edits: &NO_EDITS,
        extra: None,
        content: if problem {
            Content::Problem
        } else {
            Content::Bytes { content_type: Some(media_type), body: part(3) }
        },
        date: part(1),
    };
    let mut out = Vec::new();
    write_answer(&mut out, &a);
    let method = if a.head_only { Method::Head } else { Method::Get };
    let mut response = Response::new();
    let Ok(Progress::Complete(length)) = response.parse(&out, method) else {
        panic!("{}", out.escape_ascii());
    };
    let (head, body) = out.split_at(length);
    let lines = reference::head(head, false).lines;
    assert!(lines.len() <= 7, "an answer has more lines than were asked for");
    assert_eq!(response.status(), status);
    assert_eq!(reference::values(&lines, "x-request-id"), [b"id-1"]);
    match response.framing() {
        ResponseFraming::None => assert!(body.is_empty(), "a body where none may be"),
        ResponseFraming::Length(length) => assert_eq!(length, body.len() as u64),
        other => panic!("{other:?}: an answer has a length"),
    }
    if problem && !body.is_empty() {
        let document: serde_json::Value = serde_json::from_slice(body).expect("a problem document is JSON");
        assert_eq!(document["detail"].as_str(), Some(&*detail));
        assert_eq!(document["status"].as_u64(), Some(status.into()));
    }
}
