//! A request head, parsed once (RFC 9112 §3, §5, §6; the rules of `RequestRules`).

use super::field::{self, Field, FieldKind, Line, Read, read_line};
use super::host::{self, Piece};
use super::message::Meaning;
use super::request_line::{self, Form, RequestLine};
use super::{Framing, Method, Progress, Reason, RequestRules, Span, Version, scan, target, websocket};
use crate::snapshot::{DotSegments, UnderscoreHeaders};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Fields,
    Done,
}

/// A request head: spans over the received bytes, which are passed to every accessor.
///
/// Plain data. The accessors mean something only after [`Progress::Complete`]; with other bytes than those parsed they
/// give empty slices or nonsense, never a panic.
#[derive(Debug, Clone)]
pub struct Request {
    fields: Vec<Field>,
    /// Canonical host and path where they differ from the received bytes.
    scratch: Vec<u8>,
    stage: Stage,
    /// Where the line being read begins.
    line: usize,
    /// No LF stands between `line` and here.
    seen: usize,
    /// Field lines read, left-out ones included.
    lines: usize,
    /// Where the first field line begins.
    fields_start: usize,
    method: Method,
    version: Version,
    form: Form,
    method_span: Span,
    authority: Span,
    raw_path: Piece,
    path: Piece,
    query: Option<Span>,
    host: Piece,
    has_host: bool,
    has_id: bool,
    expect: bool,
    meaning: Meaning,
}

impl Default for Request {
    fn default() -> Self {
        Self::new()
    }
}

impl Request {
    /// An empty one; it allocates nothing until it parses.
    pub fn new() -> Self {
        Self {
            fields: Vec::new(),
            scratch: Vec::new(),
            stage: Stage::Start,
            line: 0,
            seen: 0,
            lines: 0,
            fields_start: 0,
            method: Method::Other,
            version: Version::Http11,
            form: Form::Origin,
            method_span: Span::default(),
            authority: Span::default(),
            raw_path: Piece::default(),
            path: Piece::default(),
            query: None,
            host: Piece::default(),
            has_host: false,
            has_id: false,
            expect: false,
            meaning: Meaning::default(),
        }
    }

    /// Makes it ready for another head; capacity is kept.
    #[inline]
    pub fn clear(&mut self) {
        self.fields.clear();
        self.scratch.clear();
        self.stage = Stage::Start;
        self.line = 0;
        self.seen = 0;
        self.lines = 0;
        self.authority = Span::default();
        self.raw_path = Piece::default();
        self.path = Piece::default();
        self.query = None;
        self.host = Piece::default();
        self.has_host = false;
        self.has_id = false;
        self.expect = false;
        self.meaning = Meaning::default();
    }

    /// Reads a head from the beginning of `bytes`.
    ///
    /// Call it again with the same bytes and more behind them while it is incomplete; each complete line is judged
    /// once, so a drip of single bytes costs no more than twice the work.
    ///
    /// # Errors
    /// The first complete line that breaks a rule, or a limit passed. Nothing of the head is to be used then.
    pub fn parse(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<Progress, Reason> {
        if self.seen > self.line {
            let unseen = bytes.get(self.seen..).unwrap_or_default();
            if memchr::memchr(b'\n', unseen).is_none() {
                return self.wait(bytes, rules);
            }
        }
        if self.stage == Stage::Start && !self.request_line(bytes, rules)? {
            return self.wait(bytes, rules);
        }
        while self.stage == Stage::Fields {
            match read_line(bytes, self.line) {
                Read::Field(line) => {
                    if line.next > rules.head_bytes {
                        return Err(Reason::HeadTooLarge);
                    }
                    self.line = line.next;
                    self.field(bytes, line, rules)?;
                }
                Read::End(next) => {
                    if next > rules.head_bytes {
                        return Err(Reason::HeadTooLarge);
                    }
                    self.line = next;
                    self.finish(bytes, rules)?;
                }
                Read::Incomplete => return self.wait(bytes, rules),
                Read::Bad(reason) => return self.refuse(bytes, rules, reason),
            }
        }
        Ok(Progress::Complete(self.line))
    }

    /// The head is incomplete: remembers how far it was seen, or finds it too large already.
    #[cold]
    fn wait(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<Progress, Reason> {
        self.seen = bytes.len();
        if bytes.len() > rules.head_bytes { Err(self.too_large()) } else { Ok(Progress::Incomplete) }
    }

    /// A line is judged when it is complete, so that the verdict does not depend on how the bytes were cut.
    #[cold]
    fn refuse(&mut self, bytes: &[u8], rules: &RequestRules, reason: Reason) -> Result<Progress, Reason> {
        match memchr::memchr(b'\n', bytes.get(self.line..).unwrap_or_default()) {
            None => self.wait(bytes, rules),
            Some(at) if self.line.wrapping_add(at) >= rules.head_bytes => Err(self.too_large()),
            Some(_) => Err(reason),
        }
    }

    fn too_large(&self) -> Reason {
        if self.stage == Stage::Start { Reason::UriTooLong } else { Reason::HeadTooLarge }
    }

    /// The request line and, before it, at most one empty line (RFC 9112 §2.2); false while incomplete.
    #[inline(always)]
    fn request_line(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<bool, Reason> {
        if let Some(line) = request_line::tidy(bytes, self.line, rules) {
            self.take_line(&line);
            return Ok(true);
        }
        self.any_request_line(bytes, rules)
    }

    #[inline(never)]
    fn any_request_line(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<bool, Reason> {
        match bytes.get(self.line..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(false),
            [b'\r', b'\n', ..] if self.line == 0 => {
                self.line = 2;
                return self.any_request_line(bytes, rules);
            }
            [b'\r', b'\n', ..] => return Err(Reason::EmptyLine),
            [b'\r', ..] => return self.refuse(bytes, rules, Reason::BareCr).map(|_| false),
            [b'\n', ..] => return Err(Reason::BareLf),
            // A TLS hello and the like need not wait for a line end.
            [first, ..] if !scan::is_token_byte(*first) => return Err(Reason::RequestLine),
            _ => {}
        }
        match request_line::read(bytes, self.line, rules).and_then(|line| self.target(bytes, line, rules)) {
            Ok(found) => Ok(found),
            Err(reason) => match self.refuse(bytes, rules, reason)? {
                Progress::Incomplete | Progress::Complete(_) => Ok(false),
            },
        }
    }

    /// Takes the request line over; the path becomes canonical here.
    fn target(&mut self, bytes: &[u8], line: Option<RequestLine>, rules: &RequestRules) -> Result<bool, Reason> {
        let Some(line) = line else { return Ok(false) };
        if line.next > rules.head_bytes {
            return Err(Reason::UriTooLong);
        }
        let begin = self.line;
        self.take_line(&line);
        // Judged below; until then nothing is taken over.
        self.line = begin;
        self.stage = Stage::Start;
        if line.complex {
            self.complex_path(bytes, rules)?;
        }
        if line.form != Form::Origin {
            self.other_form(bytes)?;
        }
        self.line = line.next;
        self.stage = Stage::Fields;
        Ok(true)
    }

    #[inline(always)]
    fn take_line(&mut self, line: &RequestLine) {
        self.method = line.method;
        self.method_span = line.method_span;
        self.version = line.version;
        self.form = line.form;
        self.query = line.query;
        self.authority = line.authority;
        self.raw_path = Piece { span: line.path, own: false };
        self.path = self.raw_path;
        self.line = line.next;
        self.fields_start = line.next;
        self.stage = Stage::Fields;
    }

    #[cold]
    fn complex_path(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<(), Reason> {
        let mut from = self.scratch.len();
        let received = self.raw_path.span.of(bytes);
        if rules.dot_segments == DotSegments::Resolve {
            target::resolve(received, rules.encoded_slash, &mut self.scratch)?;
            if self.scratch.get(from..).unwrap_or_default() == received {
                self.scratch.truncate(from);
            } else {
                self.raw_path = Piece { span: Span::new(from, self.scratch.len()), own: true };
                from = self.scratch.len();
            }
        }
        if self.raw_path.own {
            let resolved = self.raw_path.span.of(&self.scratch).to_vec();
            target::canonical(&resolved, rules.encoded_slash, &mut self.scratch)?;
        } else {
            target::canonical(received, rules.encoded_slash, &mut self.scratch)?;
        }
        self.path = Piece { span: Span::new(from, self.scratch.len()), own: true };
        Ok(())
    }

    /// Absolute-form and `*`: the host of the URL wins over `Host` (RFC 9112 §3.2.2).
    #[cold]
    fn other_form(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if self.form == Form::Asterisk {
            return Ok(());
        }
        self.host = host::canonical(bytes, self.authority, &mut self.scratch)?;
        if self.path.span.len == 0 {
            if self.method == Method::Options && self.query.is_none() {
                // RFC 9112 §3.2.4
                self.form = Form::Asterisk;
            }
            let text: &[u8] = if self.form == Form::Asterisk { b"*" } else { b"/" };
            let from = self.scratch.len();
            self.scratch.extend_from_slice(text);
            self.path = Piece { span: Span::new(from, self.scratch.len()), own: true };
            self.raw_path = self.path;
        }
        Ok(())
    }

    #[inline]
    fn field(&mut self, bytes: &[u8], line: Line, rules: &RequestRules) -> Result<(), Reason> {
        if self.lines >= rules.header_count {
            return Err(Reason::TooManyFields);
        }
        self.lines = self.lines.wrapping_add(1);
        if line.odd && !self.keep_odd(bytes, &line, rules)? {
            return Ok(());
        }
        let Field { kind, name, .. } = line.field;
        let first = bytes.get(name.start as usize).copied().unwrap_or_default();
        if rules.reserved.may_match(first) && rules.reserved.matches(name.of(bytes)) {
            return Ok(());
        }
        if kind > FieldKind::Origin {
            self.meaning_of(bytes, &line)?;
        }
        self.fields.push(line.field);
        Ok(())
    }

    /// Unusual names: the underscore rule, and an alias of a name the gateway gives meaning to is left out.
    #[cold]
    fn keep_odd(&self, bytes: &[u8], line: &Line, rules: &RequestRules) -> Result<bool, Reason> {
        if line.field.name.of(bytes).contains(&b'_') {
            match rules.underscore_headers {
                UnderscoreHeaders::Drop => return Ok(false),
                UnderscoreHeaders::Refuse => return Err(Reason::FieldUnderscore),
                UnderscoreHeaders::Pass => {}
            }
        }
        Ok(field::alias(bytes, line.field.name) == FieldKind::Other)
    }

    /// Fields that say something about the message itself.
    #[inline(never)]
    fn meaning_of(&mut self, bytes: &[u8], line: &Line) -> Result<(), Reason> {
        let value = line.field.value.of(bytes);
        match line.field.kind {
            FieldKind::Host => {
                if self.has_host {
                    return Err(Reason::HostRepeated);
                }
                self.has_host = true;
                if value.is_empty() {
                    return Err(Reason::HostMissing);
                }
                let length = self.scratch.len();
                let host = host::canonical(bytes, line.field.value, &mut self.scratch)?;
                if self.authority.len == 0 {
                    self.host = host;
                    self.authority = line.field.value;
                } else {
                    self.scratch.truncate(length);
                }
                Ok(())
            }
            FieldKind::ContentLength => self.meaning.content_length(value),
            FieldKind::TransferEncoding => {
                let raw = Span::new(line.field.name.end(), line.next).of(bytes);
                self.meaning.transfer_encoding(value, raw, self.version)
            }
            FieldKind::Connection => self.meaning.connection(value),
            FieldKind::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                self.expect = true;
                Ok(())
            }
            FieldKind::Expect => Err(Reason::ExpectUnknown),
            FieldKind::XRequestId => {
                self.has_id = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn finish(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<(), Reason> {
        if !self.has_host && self.version == Version::Http11 {
            return Err(Reason::HostMissing);
        }
        self.meaning.mark_named(&mut self.fields, bytes, Some(&rules.reserved))?;
        self.stage = Stage::Done;
        Ok(())
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as received.
    #[inline]
    pub fn method_bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.method_span.of(bytes)
    }

    /// The version the client speaks.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the target is `*` (RFC 9112 §3.2.4); path and raw path are `*` then.
    #[inline]
    pub fn is_asterisk(&self) -> bool {
        self.form == Form::Asterisk
    }

    /// The path as received, or with its dot segments resolved where the listener says so.
    #[inline]
    pub fn raw_path<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.raw_path.of(bytes, &self.scratch)
    }

    /// The query without its `?`; empty for a bare `?`.
    #[inline]
    pub fn query<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.query.map(|span| span.of(bytes))
    }

    /// The canonical path.
    #[inline]
    pub fn path<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.path.of(bytes, &self.scratch)
    }

    /// The canonical host: lower case, no port, no trailing dot, IPv6 in brackets; empty for HTTP/1.0 without Host.
    #[inline]
    pub fn host<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        self.host.of(bytes, &self.scratch)
    }

    /// `host[:port]` as received.
    #[inline]
    pub fn authority<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.authority.of(bytes)
    }

    /// Every field line that survived the underscore and reserved-name rules, in order.
    #[inline]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Every value of that name (lower case), in order.
    pub fn get<'a>(&self, bytes: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        field::values(&self.fields, bytes, name)
    }

    /// How the body is delimited.
    #[inline]
    pub fn framing(&self) -> Framing {
        match self.meaning.length {
            _ if self.meaning.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::None,
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.framing(), Framing::None | Framing::Length(0))
    }

    /// Whether the client can send another request on this connection.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.meaning.keeps_alive(self.version)
    }

    /// Whether the client waits for `100 Continue`: never for HTTP/1.0 or without a body (RFC 9110 §10.1.1).
    #[inline]
    pub fn expect_continue(&self) -> bool {
        self.expect && self.version == Version::Http11 && self.has_body()
    }

    /// The one protocol of `Upgrade` (RFC 9110 §7.8), if `Connection` names it, the version is 1.1 and there is no body.
    pub fn upgrade<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !self.meaning.upgrade || self.version != Version::Http11 || self.has_body() {
            return None;
        }
        field::only(&self.fields, bytes, FieldKind::Upgrade).filter(|value| is_protocol(value))
    }

    /// The key of a valid WebSocket opening handshake (RFC 6455 §4.2.1).
    pub fn websocket_key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let asked = self.upgrade(bytes)?.eq_ignore_ascii_case(b"websocket") && self.method == Method::Get;
        let version = field::only(&self.fields, bytes, FieldKind::SecWebSocketVersion)?;
        let key = field::only(&self.fields, bytes, FieldKind::SecWebSocketKey)?;
        (asked && version == b"13" && websocket::is_key(key)).then_some(key)
    }

    /// Where the request line is, when it may be written again as it stands.
    #[inline]
    pub(crate) fn verbatim_line(&self) -> Option<(usize, usize)> {
        let same = self.form == Form::Origin && self.version == Version::Http11 && !self.raw_path.own;
        same.then_some((self.method_span.start as usize, self.fields_start))
    }

    /// Whether the client sent an `X-Request-Id`.
    #[inline]
    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    /// What `Content-Length` said.
    #[inline]
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.meaning.length
    }
}

/// `protocol-name ["/" protocol-version]` (RFC 9110 §7.8).
pub(super) fn is_protocol(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |&b| b == b'/');
    parts.all(scan::is_token)
}
