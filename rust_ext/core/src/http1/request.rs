//! A request head, parsed once (RFC 9112 §3, §5, §6; the rules of `RequestRules`).

use super::field::{self, Field, FieldKind, Line, Read, read_line, tidy_lines};
use super::host::{self, Piece};
use super::message::Meaning;
use super::request_line::{self, Form, RequestLine};
use super::{Method, Progress, Reason, RequestRules, Span, Version, scan, target};
use crate::snapshot::{DotSegments, UnderscoreHeaders};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
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
    pub(super) fields: Vec<Field>,
    /// Canonical host and path where they differ from the received bytes.
    pub(super) scratch: Vec<u8>,
    pub(super) stage: Stage,
    /// Where the line being read begins.
    pub(super) line: usize,
    /// No LF stands between `line` and here.
    pub(super) seen: usize,
    /// Field lines read, left-out ones included.
    pub(super) lines: usize,
    /// Where the first field line begins.
    pub(super) fields_start: usize,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) form: Form,
    pub(super) method_span: Span,
    pub(super) authority: Span,
    pub(super) raw_path: Piece,
    pub(super) path: Piece,
    pub(super) query: Option<Span>,
    pub(super) host: Piece,
    pub(super) has_host: bool,
    pub(super) has_id: bool,
    pub(super) expect: bool,
    pub(super) meaning: Meaning,
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
            self.tidy_fields(bytes, rules)?;
            match read_line(bytes, self.line) {
                Read::Field(line) => self.any_field(bytes, &line, rules)?,
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

    /// Takes tidy lines over, up to one that is not.
    #[inline(always)]
    fn tidy_fields(&mut self, bytes: &[u8], rules: &RequestRules) -> Result<(), Reason> {
        // A line that ends behind the limit is not read here.
        let within = bytes.get(..rules.head_bytes).unwrap_or(bytes);
        loop {
            let first = self.fields.len();
            let room = rules.header_count.saturating_sub(self.lines);
            let tidy = tidy_lines(within, self.line, &mut self.fields, room, rules.reserved.first_letters());
            self.lines = self.lines.wrapping_add(self.fields.len().wrapping_sub(first));
            self.line = tidy.next;
            // Taken out for as long as the others change.
            let fields = std::mem::take(&mut self.fields);
            let mut telling = fields.iter().skip(first).filter(|field| field.kind > FieldKind::Origin);
            let judged = telling.try_for_each(|field| self.meaning_of(bytes, field, field.line_end()));
            self.fields = fields;
            judged?;
            let Some(mut field) = tidy.held else { return Ok(()) };
            field.recognise_long(bytes);
            self.field(bytes, field, tidy.next, rules)?;
        }
    }

    /// Takes a line with a usual name over.
    fn field(&mut self, bytes: &[u8], field: Field, next: usize, rules: &RequestRules) -> Result<(), Reason> {
        if next > rules.head_bytes {
            return Err(Reason::HeadTooLarge);
        }
        if self.lines >= rules.header_count {
            return Err(Reason::TooManyFields);
        }
        self.line = next;
        self.lines = self.lines.wrapping_add(1);
        if rules.reserved.matches(field.name.of(bytes)) {
            return Ok(());
        }
        if field.kind > FieldKind::Origin {
            self.meaning_of(bytes, &field, next)?;
        }
        self.fields.push(field);
        Ok(())
    }

    #[inline(never)]
    fn any_field(&mut self, bytes: &[u8], line: &Line, rules: &RequestRules) -> Result<(), Reason> {
        // The limits come first for every line.
        let judged = line.next <= rules.head_bytes && self.lines < rules.header_count;
        if judged && line.odd && !self.keep_odd(bytes, line, rules)? {
            self.line = line.next;
            self.lines = self.lines.wrapping_add(1);
            return Ok(());
        }
        self.field(bytes, line.field, line.next, rules)
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
    fn meaning_of(&mut self, bytes: &[u8], field: &Field, next: usize) -> Result<(), Reason> {
        let value = field.value.of(bytes);
        match field.kind {
            FieldKind::Host => {
                if self.has_host {
                    return Err(Reason::HostRepeated);
                }
                self.has_host = true;
                if value.is_empty() {
                    return Err(Reason::HostMissing);
                }
                let length = self.scratch.len();
                let host = host::canonical(bytes, field.value, &mut self.scratch)?;
                if self.authority.len == 0 {
                    self.host = host;
                    self.authority = field.value;
                } else {
                    self.scratch.truncate(length);
                }
                Ok(())
            }
            FieldKind::ContentLength => self.meaning.content_length(value),
            FieldKind::TransferEncoding => {
                let raw = Span::new(field.name.end(), next).of(bytes);
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
}
