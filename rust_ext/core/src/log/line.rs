//! The two steps of a line: its beginning from a request's head, its end once everything is known.

use std::net::IpAddr;

use super::format::{Early, Format, Late};
use super::redact::{REDACTED, Redact};
use super::text::{self, Style, address, number, seconds};
use super::time::Stamp;
use crate::http1::{Request, Version, write};

/// Bytes of one mark.
const MARK: usize = 4;

/// What is known when a request begins.
#[derive(Debug)]
pub struct Begin<'a> {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Its id.
    pub request_id: &'a [u8],
    /// Who sent it; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// The listener's name.
    pub listener: &'a str,
    /// The request and the bytes it was parsed from; `None`: the message was refused.
    pub request: Option<(&'a Request, &'a [u8])>,
}

/// What is known when it has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct End<'a> {
    /// The route it met.
    pub route: Option<&'a str>,
    /// The service it went to.
    pub service: Option<&'a str>,
    /// The target, as configured.
    pub target: Option<&'a str>,
    /// The status that was sent; 0: none was.
    pub status: u16,
    /// Bytes received from the client.
    pub bytes_in: u64,
    /// Bytes sent to the client.
    pub bytes_out: u64,
    /// Those of them that are no head.
    pub body_bytes_out: u64,
    /// Microseconds from its head to its end.
    pub total_us: u64,
    /// Those of them for which it was with the upstream; `None`: it was not.
    pub upstream_us: Option<u64>,
    /// How often it was sent once more.
    pub retries: u32,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// The codec's reason behind it.
    pub reason: Option<&'a str>,
}

impl Format {
    /// Writes what is known at the beginning into an empty block: first where each run ends, then the text.
    pub fn begin(&self, block: &mut Vec<u8>, begin: &Begin<'_>, redact: &Redact, stamp: &mut Stamp) {
        block.resize(self.runs.len() * MARK, 0);
        for (i, run) in self.runs.iter().enumerate() {
            for (before, piece) in &run.early {
                before.put(block);
                self.early(block, piece, begin, redact, stamp);
            }
            let end = u32::try_from(block.len()).unwrap_or(u32::MAX);
            block[i * MARK..(i + 1) * MARK].copy_from_slice(&end.to_ne_bytes());
        }
    }

    /// Appends the whole line and its line break. The block must be one that [`Format::begin`] of this format wrote.
    pub fn finish(&self, out: &mut Vec<u8>, block: &[u8], end: &End<'_>) {
        let mut from = self.runs.len() * MARK;
        for (run, mark) in self.runs.iter().zip(block.as_chunks::<MARK>().0) {
            let to = u32::from_ne_bytes(*mark) as usize;
            out.extend_from_slice(block.get(from..to).unwrap_or_default());
            from = to;
            for (before, piece) in &run.late {
                before.put(out);
                self.late(out, piece, end);
            }
        }
    }

    #[inline(always)]
    fn early(&self, out: &mut Vec<u8>, piece: &Early, begin: &Begin<'_>, redact: &Redact, stamp: &mut Stamp) {
        let put = |out: &mut Vec<u8>, value: Option<&[u8]>| text::text(out, self.style, value);
        let of = begin.request;
        match piece {
            Early::Nothing => {}
            Early::Time => self.quoted(out, |out| stamp.rfc3339(out, begin.unix_ms)),
            Early::TimeCommon => self.quoted(out, |out| stamp.common(out, begin.unix_ms)),
            Early::RequestId => put(out, Some(begin.request_id)),
            Early::Client => match begin.client {
                Some(ip) => self.quoted(out, |out| address(out, ip)),
                None => put(out, None),
            },
            Early::Listener => put(out, Some(begin.listener.as_bytes())),
            // Methods and versions are made of letters that need no escaping: the parser has refused others.
            Early::Method => match of {
                Some((request, bytes)) => self.quoted(out, |out| out.extend_from_slice(request.method_bytes(bytes))),
                None => put(out, None),
            },
            Early::Host => put(out, of.map(|(request, bytes)| request.host(bytes))),
            Early::Path => put(out, of.map(|(request, bytes)| request.raw_path(bytes))),
            Early::Query => match of.and_then(|(request, bytes)| request.query(bytes)) {
                Some(query) => put(out, Some(&redact.query(query))),
                None => put(out, None),
            },
            Early::Protocol => match of {
                Some((request, _)) => self.quoted(out, |out| out.extend_from_slice(protocol(request))),
                None => put(out, None),
            },
            Early::Request => match of {
                Some((request, bytes)) => self.quoted(out, |out| request_line(out, request, bytes, redact)),
                None => put(out, None),
            },
            Early::Referer => match header(of, b"referer", redact.referer) {
                Some(url) => put(out, Some(&redact.url(url))),
                None => put(out, None),
            },
            Early::UserAgent => put(out, header(of, b"user-agent", redact.user_agent)),
            Early::Header(name) => put(out, header(of, name, redact.header(name))),
        }
    }

    #[inline(always)]
    fn late(&self, out: &mut Vec<u8>, piece: &Late, end: &End<'_>) {
        let put = |out: &mut Vec<u8>, value: Option<&str>| text::text(out, self.style, value.map(str::as_bytes));
        match piece {
            Late::Nothing => {}
            Late::Route => put(out, end.route),
            Late::Service => put(out, end.service),
            Late::Target => put(out, end.target),
            Late::Status if end.status == 0 && self.style == Style::Plain => out.push(b'-'),
            Late::Status if end.status >= 100 => write::status(out, end.status),
            Late::Status => number(out, u64::from(end.status)),
            Late::BytesIn => number(out, end.bytes_in),
            Late::BytesOut => number(out, end.bytes_out),
            // Combined has `-` for nothing.
            Late::BodyBytesOut if end.body_bytes_out == 0 && self.style == Style::Plain => out.push(b'-'),
            Late::BodyBytesOut => number(out, end.body_bytes_out),
            Late::Duration => seconds(out, end.total_us),
            Late::DurationUpstream => match end.upstream_us {
                Some(us) => seconds(out, us),
                // A number has no quote before it.
                None => out.extend_from_slice(if self.style == Style::Json { b"null" } else { b"-" }),
            },
            Late::DurationOwn => seconds(out, end.total_us.saturating_sub(end.upstream_us.unwrap_or(0))),
            Late::Retries => number(out, u64::from(end.retries)),
            Late::Error => put(out, end.error),
            Late::Reason => put(out, end.reason),
        }
    }

    /// Text that needs no escaping; in JSON the quote before it stands there already.
    fn quoted(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write(out);
        if self.style == Style::Json {
            out.push(b'"');
        }
    }
}

fn protocol(request: &Request) -> &'static [u8; 8] {
    match request.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// The request line as `%r` shows it; only templates have it, so it is always plain text.
fn request_line(out: &mut Vec<u8>, request: &Request, bytes: &[u8], redact: &Redact) {
    text::plain(out, request.method_bytes(bytes));
    out.push(b' ');
    text::plain(out, request.raw_path(bytes));
    if let Some(query) = request.query(bytes) {
        out.push(b'?');
        text::plain(out, &redact.query(query));
    }
    out.push(b' ');
    out.extend_from_slice(protocol(request));
}

/// The first value of a header.
fn header<'a>(of: Option<(&Request, &'a [u8])>, name: &[u8], redacted: bool) -> Option<&'a [u8]> {
    let (request, bytes) = of?;
    let value = request.get(bytes, name).next()?;
    Some(if redacted { REDACTED } else { value })
}
