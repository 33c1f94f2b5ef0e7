//! Reads one answer in whatever pieces it comes and checks every byte that can be known.

use memchr::{memchr, memmem};

use super::plan::TAG;
use crate::chunked::Chunked;
use crate::pattern;

const HEAD_LIMIT: usize = 64 * 1024;

/// Why an exchange failed; each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection could not be made.
    Connect,
    /// The connection ended before the answer did.
    Closed,
    /// Not the status expected.
    Status,
    /// Not as much content as expected.
    Length,
    /// Content of the right length, but not the pattern.
    Content,
    /// The tag of another request: answers were mixed up.
    Mixed,
    /// Not HTTP/1.1, or framed against its rules.
    Malformed,
    /// Bytes that belong to no answer.
    Surplus,
    /// A WebSocket handshake with the wrong Sec-WebSocket-Accept.
    Handshake,
    /// Nothing came until the run's time was over.
    Timeout,
    /// Due in an open loop, but never sent: the gateway was too slow for the rate.
    Unsent,
}

impl Fault {
    /// The name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Status => "status",
            Self::Length => "length",
            Self::Content => "content",
            Self::Mixed => "mixed",
            Self::Malformed => "malformed",
            Self::Surplus => "surplus",
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
            Self::Unsent => "unsent",
        }
    }
}

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// Bytes of content; `None`: any, unchecked.
    pub content: Option<u64>,
    /// The number its content must begin with.
    pub tag: Option<u64>,
    /// No content follows the head.
    pub head_only: bool,
    /// The Sec-WebSocket-Accept of a handshake.
    pub accept: Option<&'static str>,
}

#[derive(Debug, Default)]
enum Body {
    #[default]
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// One answer being read.
#[derive(Debug, Default)]
pub struct Answer {
    partial: Vec<u8>,
    reading_body: bool,
    body: Body,
    seen: u64,
    first: Vec<u8>,
    wrong: bool,
    close: bool,
}

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Complete {
    /// Bytes of the input that belong to it.
    pub used: usize,
    /// The connection ends with it.
    pub close: bool,
}

impl Answer {
    /// Starts anew; capacity stays.
    pub fn clear(&mut self) {
        self.partial.clear();
        self.first.clear();
        (self.reading_body, self.body, self.seen, self.wrong, self.close) = (false, Body::None, 0, false, false);
    }

    /// Takes a piece; `None`: more is needed.
    ///
    /// # Errors
    /// The first fault; the connection cannot be used further.
    pub fn feed(&mut self, input: &[u8], expected: &Expected) -> Result<Option<Complete>, Fault> {
        if self.reading_body {
            return self.content(input, 0, expected);
        }
        if self.partial.is_empty()
            && let Some(end) = memmem::find(input, b"\r\n\r\n")
            && !interim(input)?
        {
            return self.head(input, end, expected);
        }
        let known = self.partial.len();
        self.partial.extend_from_slice(input);
        let mut bytes = std::mem::take(&mut self.partial);
        let mut start = 0;
        while let Some(end) = memmem::find(&bytes[start..], b"\r\n\r\n") {
            if !interim(&bytes[start..])? {
                let complete = self.head(&bytes[start..], end, expected)?;
                return Ok(complete.map(|c| Complete { used: start + c.used - known, ..c }));
            }
            start += end + 4;
        }
        bytes.drain(..start);
        self.partial = bytes;
        if self.partial.len() > HEAD_LIMIT { Err(Fault::Malformed) } else { Ok(None) }
    }

    /// The connection ended: the end of an answer framed by it, or a fault.
    ///
    /// # Errors
    /// [`Fault::Closed`] unless that is how the answer ends.
    pub fn end(&mut self, expected: &Expected) -> Result<Complete, Fault> {
        match self.body {
            Body::UntilClose if self.reading_body => {
                self.close = true;
                self.judge(0, expected)
            }
            _ => Err(Fault::Closed),
        }
    }

    /// `bytes` hold a whole head whose empty line is at `end`.
    fn head(&mut self, bytes: &[u8], end: usize, expected: &Expected) -> Result<Option<Complete>, Fault> {
        let mut lines = &bytes[..end + 2];
        let status = status(lines)?;
        let after = end + 4;
        if status != expected.status {
            return Err(Fault::Status);
        }
        let mut body = if matches!(status, 101 | 204 | 304) { Body::None } else { Body::UntilClose };
        let mut accepted = expected.accept.is_none();
        while let Some(at) = memchr(b'\n', lines) {
            lines = &lines[at + 1..];
            let Some(colon) = memchr(b':', lines) else { break };
            let value = || lines[colon + 1..memchr(b'\r', lines).unwrap_or(lines.len())].trim_ascii();
            let name = &lines[..colon];
            match colon {
                10 if name.eq_ignore_ascii_case(b"connection") => self.close |= value().eq_ignore_ascii_case(b"close"),
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let number = std::str::from_utf8(value()).ok().and_then(|v| v.parse().ok());
                    if !matches!(body, Body::UntilClose) {
                        return Err(Fault::Malformed);
                    }
                    body = Body::Length(number.ok_or(Fault::Malformed)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    if !matches!(body, Body::UntilClose) || !value().eq_ignore_ascii_case(b"chunked") {
                        return Err(Fault::Malformed);
                    }
                    body = Body::Chunked(Chunked::default());
                }
                20 if name.eq_ignore_ascii_case(b"sec-websocket-accept") => {
                    accepted = expected.accept.is_none_or(|accept| value() == accept.as_bytes());
                }
                _ => {}
            }
        }
        if !accepted {
            return Err(Fault::Handshake);
        }
        self.reading_body = true;
        if expected.head_only || matches!(body, Body::None | Body::Length(0)) {
            if let (true, Body::Length(length), Some(content)) = (expected.head_only, &body, expected.content)
                && *length != content
            {
                return Err(Fault::Length);
            }
            self.body = Body::None;
            return self.judge(after, expected).map(Some);
        }
        self.body = body;
        self.content(&bytes[after..], after, expected)
    }

    fn content(&mut self, input: &[u8], before: usize, expected: &Expected) -> Result<Option<Complete>, Fault> {
        let (seen, first, wrong) = (&mut self.seen, &mut self.first, &mut self.wrong);
        let mut check = |data: &[u8]| {
            if expected.content.is_some() {
                let skip = match expected.tag {
                    Some(_) => (TAG - first.len()).min(data.len()),
                    None => 0,
                };
                first.extend_from_slice(&data[..skip]);
                *wrong |= !pattern::holds(&data[skip..], *seen + skip as u64);
            }
            *seen += data.len() as u64;
        };
        let (used, ended) = match &mut self.body {
            Body::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                check(&input[..used]);
                *left -= used as u64;
                (used, *left == 0)
            }
            Body::Chunked(chunked) => chunked.feed(input, check).map_err(|_| Fault::Malformed)?,
            Body::UntilClose => {
                check(input);
                (input.len(), false)
            }
            Body::None => (0, true),
        };
        if ended { self.judge(before + used, expected).map(Some) } else { Ok(None) }
    }

    fn judge(&mut self, used: usize, expected: &Expected) -> Result<Complete, Fault> {
        if !expected.head_only && expected.content.is_some_and(|length| length != self.seen) {
            return Err(Fault::Length);
        }
        if expected.tag.is_some_and(|tag| self.first != format!("{tag:016x}").as_bytes()) {
            return Err(Fault::Mixed);
        }
        if self.wrong { Err(Fault::Content) } else { Ok(Complete { used, close: self.close }) }
    }
}

/// Whether an answer begins here that another one follows.
fn interim(head: &[u8]) -> Result<bool, Fault> {
    status(head).map(|status| (100..200).contains(&status) && status != 101)
}

fn status(head: &[u8]) -> Result<u16, Fault> {
    match head {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a, b, c, b' ' | b'\r', ..]
            if [a, b, c].iter().all(|d| d.is_ascii_digit()) =>
        {
            Ok([a, b, c].iter().fold(0, |n, d| n * 10 + u16::from(**d - b'0')))
        }
        _ => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Complete, Expected, Fault};

    const PLAIN: Expected = Expected { status: 200, content: Some(5), tag: None, head_only: false, accept: None };

    fn whole(bytes: &str, expected: &Expected) -> Result<Option<Complete>, Fault> {
        Answer::default().feed(bytes.as_bytes(), expected)
    }

    #[test]
    fn reads_the_same_in_every_split() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
        ] {
            for cut in 0..text.len() {
                let mut answer = Answer::default();
                assert_eq!(answer.feed(&text.as_bytes()[..cut], &PLAIN), Ok(None), "{text} at {cut}");
                let rest = answer.feed(&text.as_bytes()[cut..], &PLAIN);
                assert_eq!(rest, Ok(Some(Complete { used: text.len() - cut, close: false })), "{text} at {cut}");
            }
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(whole(&format!("{ok}abcdX"), &PLAIN), Err(Fault::Content));
        assert_eq!(whole("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", &PLAIN), Err(Fault::Length));
        assert_eq!(whole("HTTP/1.1 502 Bad\r\nContent-Length: 5\r\n\r\nabcde", &PLAIN), Err(Fault::Status));
        assert_eq!(whole("SSH-2.0\r\n\r\n", &PLAIN), Err(Fault::Malformed));
        let tagged = Expected { content: Some(20), tag: Some(0x2a), ..PLAIN };
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";
        assert!(whole(&format!("{head}000000000000002aqrst"), &tagged).is_ok_and(|done| done.is_some()));
        assert_eq!(whole(&format!("{head}000000000000002bqrst"), &tagged), Err(Fault::Mixed));
        let upgrade = Expected { status: 101, content: Some(0), accept: Some("yes"), ..PLAIN };
        assert_eq!(whole("HTTP/1.1 101 S\r\nSec-WebSocket-Accept: no\r\n\r\n", &upgrade), Err(Fault::Handshake));
    }

    #[test]
    fn an_end_is_an_answer_only_where_it_frames_one() {
        let mut answer = Answer::default();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nabc", &PLAIN), Ok(None));
        assert_eq!(answer.feed(b"de", &PLAIN), Ok(None));
        assert_eq!(answer.end(&PLAIN), Ok(Complete { used: 0, close: true }));
        assert_eq!(Answer::default().end(&PLAIN), Err(Fault::Closed));
    }
}
