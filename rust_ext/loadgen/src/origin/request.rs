//! As much of a request head as an origin behind a gateway needs; it trusts the gateway with the rest.

use memchr::{memchr, memchr_iter, memmem};

/// A longer head is refused.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// How the body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By Content-Length; 0 without one.
    Length(u64),
    /// By the chunked coding.
    Chunked,
}

/// A request head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The target up to the query.
    pub path: &'a [u8],
    /// The query, without `?`.
    pub query: &'a [u8],
    /// How the body is delimited.
    pub framing: Framing,
    /// The connection ends after the answer.
    pub close: bool,
    /// The client waits for a 100.
    pub expects_continue: bool,
    /// The key of a WebSocket handshake.
    pub websocket_key: Option<&'a [u8]>,
}

/// The request is not one an origin can answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Head<'a> {
    /// Reads a head and its length; `None`: more bytes are needed.
    ///
    /// # Errors
    /// [`Malformed`]: not HTTP/1, two framings, or longer than [`HEAD_LIMIT`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > HEAD_LIMIT { Err(Malformed) } else { Ok(None) };
        };
        let lines = &bytes[..end + 2];
        let mut starts = memchr_iter(b'\n', lines).map(|at| at + 1);
        let first = starts.next().ok_or(Malformed)?;
        let mut head = Self::request_line(&lines[..first - 2])?;
        let mut length = None;
        let mut from = first;
        for next in starts {
            let line = &lines[from..next - 2];
            from = next;
            let colon = memchr(b':', line).ok_or(Malformed)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            match colon {
                6 if name.eq_ignore_ascii_case(b"expect") => head.expects_continue = true,
                10 if name.eq_ignore_ascii_case(b"connection") => head.close |= value.eq_ignore_ascii_case(b"close"),
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).ok_or(Malformed)?;
                    if length.replace(number).is_some() {
                        return Err(Malformed);
                    }
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => head.framing = Framing::Chunked,
                17 if name.eq_ignore_ascii_case(b"sec-websocket-key") => head.websocket_key = Some(value),
                _ => {}
            }
        }
        if let Some(length) = length {
            if head.framing == Framing::Chunked {
                return Err(Malformed);
            }
            head.framing = Framing::Length(length);
        }
        Ok(Some((head, end + 4)))
    }

    fn request_line(line: &'a [u8]) -> Result<Self, Malformed> {
        let space = memchr(b' ', line).ok_or(Malformed)?;
        let (method, rest) = (&line[..space], &line[space + 1..]);
        let target_end = rest.len().checked_sub(9).ok_or(Malformed)?;
        let close = match &rest[target_end..] {
            b" HTTP/1.1" => false,
            b" HTTP/1.0" => true,
            _ => return Err(Malformed),
        };
        let target = &rest[..target_end];
        let (path, query) = match memchr(b'?', target) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let framing = Framing::Length(0);
        Ok(Self { method, path, query, framing, close, expects_continue: false, websocket_key: None })
    }
}

#[cfg(test)]
mod tests {
    use super::{Framing, Head, Malformed};

    #[test]
    fn reads_what_an_origin_needs() {
        let bytes = b"POST /echo?t=1 HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 12\r\nExpect: 100-continue\r\n\r\nBODY";
        let (head, used) = Head::parse(bytes).expect("valid").expect("complete");
        assert_eq!((head.method, head.path, head.query), (&b"POST"[..], &b"/echo"[..], &b"t=1"[..]));
        assert_eq!((head.framing, head.expects_continue, head.close), (Framing::Length(12), true, false));
        assert_eq!(&bytes[used..], b"BODY");
        for cut in 0..used {
            assert_eq!(Head::parse(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn refuses_what_it_cannot_frame() {
        let both = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let twice = "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        for bad in ["x\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nx\r\n\r\n", both, twice]
        {
            assert_eq!(Head::parse(bad.as_bytes()), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Head::parse(&[b'a'; 70_000]), Err(Malformed));
    }
}
