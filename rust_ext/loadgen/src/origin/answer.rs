//! What the origin says to which path, rendered once and kept.

use std::collections::HashMap;
use std::rc::Rc;

use crate::pattern;

/// The content of every answer whose path asks for nothing else.
pub const PLAIN: u64 = 128;
/// The largest content a path may ask for.
pub const LARGEST: u64 = 64 * 1024 * 1024;
/// The longest wait a path may ask for, in milliseconds.
pub const LONGEST_DELAY: u64 = 60_000;
/// Content of one chunk of a chunked answer.
const CHUNK: u64 = 16 * 1024;
/// Rendered answers kept; further ones are rendered anew each time.
const KEPT: usize = 64;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Head and body as sent.
    pub bytes: Vec<u8>,
    /// Length of the head.
    pub head: usize,
    /// Where the content starts (behind the first chunk's size line).
    pub content: usize,
    /// The end of the connection ends the content.
    pub close: bool,
}

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// `/b/N`: N bytes with Content-Length; also every path not listed here, with 128.
    Bytes(u64),
    /// `/c/N`: N bytes, chunked.
    Chunked(u64),
    /// `/close`, `/close/N`: N bytes ended by the end of the connection.
    Close(u64),
    /// `/delay/MS`: 128 bytes, later.
    Delay(u64),
    /// `/echo`: the request's content.
    Echo,
    /// `/ws`: a WebSocket that echoes.
    WebSocket,
    /// `/stats`: the counters as JSON; not counted itself.
    Stats,
    /// A number that is none or too large: 400.
    Wrong,
}

impl Asked {
    /// What this path asks for.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        let sized = |rest: &[u8], most: u64, make: fn(u64) -> Self| {
            let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse::<u64>().ok());
            number.filter(|n| *n <= most).map_or(Self::Wrong, make)
        };
        match path {
            b"/echo" => Self::Echo,
            b"/ws" => Self::WebSocket,
            b"/stats" => Self::Stats,
            b"/close" => Self::Close(PLAIN),
            [b'/', b'b', b'/', rest @ ..] => sized(rest, LARGEST, Self::Bytes),
            [b'/', b'c', b'/', rest @ ..] => sized(rest, LARGEST, Self::Chunked),
            [b'/', b'c', b'l', b'o', b's', b'e', b'/', rest @ ..] => sized(rest, LARGEST, Self::Close),
            [b'/', b'd', b'e', b'l', b'a', b'y', b'/', rest @ ..] => sized(rest, LONGEST_DELAY, Self::Delay),
            _ => Self::Bytes(PLAIN),
        }
    }

    /// Bytes of content of the answer to a request with `sent` bytes of content.
    #[must_use]
    pub fn content_length(self, sent: u64) -> u64 {
        match self {
            Self::Bytes(n) | Self::Chunked(n) | Self::Close(n) => n,
            Self::Echo => sent,
            Self::Delay(_) => PLAIN,
            Self::WebSocket | Self::Stats | Self::Wrong => 0,
        }
    }
}

/// Renders answers and keeps the first of them.
#[derive(Debug, Default)]
pub struct Answers {
    kept: HashMap<Asked, Rc<Answer>>,
}

impl Answers {
    /// The answer with content for `asked`.
    pub fn get(&mut self, asked: Asked) -> Rc<Answer> {
        if let Some(answer) = self.kept.get(&asked) {
            return Rc::clone(answer);
        }
        let answer = Rc::new(render(asked));
        if self.kept.len() < KEPT {
            self.kept.insert(asked, Rc::clone(&answer));
        }
        answer
    }
}

fn render(asked: Asked) -> Answer {
    let length = asked.content_length(0);
    let framing = match asked {
        Asked::Chunked(_) => "Transfer-Encoding: chunked\r\n".to_owned(),
        Asked::Close(_) => "Connection: close\r\n".to_owned(),
        _ => format!("Content-Length: {length}\r\n"),
    };
    let mut bytes = head("200 OK", &framing);
    let head = bytes.len();
    let mut content = head;
    if matches!(asked, Asked::Chunked(_)) {
        // Whole periods, so that the pattern runs on from chunk to chunk.
        for at in (0..length).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            let size = CHUNK.min(length - at);
            bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            if at == 0 {
                content = bytes.len();
            }
            pattern::fill(&mut bytes, usize::try_from(size).unwrap_or(0));
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        pattern::fill(&mut bytes, usize::try_from(length).unwrap_or(0));
    }
    Answer { bytes, head, content, close: matches!(asked, Asked::Close(_)) }
}

/// A head with these framing lines.
#[must_use]
pub fn head(status: &str, framing: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nServer: fastgate-origin\r\nContent-Type: text/plain\r\n{framing}\r\n").into_bytes()
}

/// An answer without content.
#[must_use]
pub fn empty(status: &str, close: bool) -> Vec<u8> {
    head(status, if close { "Content-Length: 0\r\nConnection: close\r\n" } else { "Content-Length: 0\r\n" })
}

/// A small JSON answer.
#[must_use]
pub fn json(content: &str) -> Vec<u8> {
    let mut bytes = head("200 OK", &format!("Content-Length: {}\r\n", content.len()));
    bytes.extend_from_slice(content.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Answers, Asked, LARGEST};
    use crate::chunked::Chunked;
    use crate::pattern;

    #[test]
    fn paths_ask_for_what_they_say() {
        for (path, asked) in [
            ("/", Asked::Bytes(128)),
            ("/b/0", Asked::Bytes(0)),
            ("/b/x", Asked::Wrong),
            ("/b/67108865", Asked::Wrong),
            ("/c/70", Asked::Chunked(70)),
            ("/close", Asked::Close(128)),
            ("/close/9", Asked::Close(9)),
            ("/delay/5", Asked::Delay(5)),
            ("/delay/60001", Asked::Wrong),
            ("/r17/x", Asked::Bytes(128)),
        ] {
            assert_eq!(Asked::of(path.as_bytes()), asked, "{path}");
        }
        assert_eq!(Asked::Echo.content_length(LARGEST), LARGEST);
    }

    #[test]
    fn the_pattern_runs_on_through_chunks() {
        let answer = Answers::default().get(Asked::Chunked(40_001));
        let (mut seen, mut right) = (0, true);
        let (used, ended) = Chunked::default()
            .feed(&answer.bytes[answer.head..], |data| {
                right &= pattern::holds(data, seen);
                seen += data.len() as u64;
            })
            .expect("valid");
        assert!(ended && right && seen == 40_001 && answer.head + used == answer.bytes.len());
        assert_eq!(&answer.bytes[answer.content..answer.content + 3], b"abc");
    }
}
