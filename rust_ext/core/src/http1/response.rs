//! A response head, parsed once (RFC 9112 §4, §5, §6).

use super::field::{self, Field, FieldKind, Read, line_end, read_line, tidy_lines};
use super::message::Meaning;
use super::request_view::is_protocol;
use super::scan::value_end;
use super::{Method, Progress, Reason, ResponseFraming, Span, Version};

/// Bytes of a response head; beyond it the origin is at fault.
const HEAD_BYTES: usize = 64 * 1024;
/// Field lines of a response head.
const FIELD_COUNT: usize = 200;

/// The status line of most responses.
const USUAL_LINE: &[u8; 17] = b"HTTP/1.1 200 OK\r\n";

/// A response head: spans over the received bytes, which are passed to every accessor.
///
/// Plain data, used like `Request`. A reason it gives is the origin's fault: the client gets 502.
#[derive(Debug, Clone)]
pub struct Response {
    fields: Vec<Field>,
    /// Where the line being read begins.
    line: usize,
    /// No LF stands between `line` and here.
    seen: usize,
    has_status: bool,
    done: bool,
    head_only: bool,
    status: u16,
    version: Version,
    reason_phrase: Span,
    meaning: Meaning,
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// An empty one; it allocates nothing until it parses.
    pub fn new() -> Self {
        Self {
            fields: Vec::new(),
            line: 0,
            seen: 0,
            has_status: false,
            done: false,
            head_only: false,
            status: 0,
            version: Version::Http11,
            reason_phrase: Span::default(),
            meaning: Meaning::default(),
        }
    }

    /// Makes it ready for another head; capacity is kept.
    #[inline]
    pub fn clear(&mut self) {
        self.fields.clear();
        self.line = 0;
        self.seen = 0;
        self.has_status = false;
        self.done = false;
        self.meaning = Meaning::default();
    }

    /// Reads a head from the beginning of `bytes`, the answer to a request of that method; resumable like `Request`.
    ///
    /// # Errors
    /// The first complete line that breaks a rule, or a limit passed: 64 KiB, 200 field lines.
    pub fn parse(&mut self, bytes: &[u8], request_method: Method) -> Result<Progress, Reason> {
        self.head_only = request_method == Method::Head;
        if self.seen > self.line {
            let unseen = bytes.get(self.seen..).unwrap_or_default();
            if memchr::memchr(b'\n', unseen).is_none() {
                return self.wait(bytes);
            }
        }
        if !self.has_status {
            // What is not HTTP at all need not wait for a line end.
            if bytes.first().is_some_and(|&b| b != b'H') {
                return Err(Reason::StatusLine);
            }
            match self.status_line(bytes) {
                Ok(true) => {}
                Ok(false) => return self.wait(bytes),
                Err(reason) => return self.refuse(bytes, reason),
            }
        }
        while !self.done {
            self.tidy_fields(bytes)?;
            match read_line(bytes, self.line) {
                Read::Field(line) => self.field(bytes, line.field, line.next)?,
                Read::End(next) => {
                    if next > HEAD_BYTES {
                        return Err(Reason::HeadTooLarge);
                    }
                    self.line = next;
                    self.meaning.mark_named(&mut self.fields, bytes, None)?;
                    self.done = true;
                }
                Read::Incomplete => return self.wait(bytes),
                Read::Bad(reason) => return self.refuse(bytes, reason),
            }
        }
        Ok(Progress::Complete(self.line))
    }

    #[cold]
    fn wait(&mut self, bytes: &[u8]) -> Result<Progress, Reason> {
        self.seen = bytes.len();
        if bytes.len() > HEAD_BYTES { Err(Reason::HeadTooLarge) } else { Ok(Progress::Incomplete) }
    }

    /// A line is judged when it is complete, so that the verdict does not depend on how the bytes were cut.
    #[cold]
    fn refuse(&mut self, bytes: &[u8], reason: Reason) -> Result<Progress, Reason> {
        match memchr::memchr(b'\n', bytes.get(self.line..).unwrap_or_default()) {
            None => self.wait(bytes),
            Some(at) if self.line.wrapping_add(at) >= HEAD_BYTES => Err(Reason::HeadTooLarge),
            Some(_) => Err(reason),
        }
    }

    /// `VERSION SP 3DIGIT [SP REASON] CRLF`; many origins leave the space before an empty reason out.
    #[inline(always)]
    fn status_line(&mut self, bytes: &[u8]) -> Result<bool, Reason> {
        if bytes.first_chunk() != Some(USUAL_LINE) {
            return self.any_status_line(bytes);
        }
        self.status = 200;
        self.version = Version::Http11;
        self.reason_phrase = Span::new(13, 15);
        self.line = USUAL_LINE.len();
        self.has_status = true;
        Ok(true)
    }

    #[inline(never)]
    fn any_status_line(&mut self, bytes: &[u8]) -> Result<bool, Reason> {
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', a, b, c, rest @ ..] = bytes else {
            return Err(Reason::StatusLine);
        };
        if !(a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit()) || *a == b'0' {
            // A line that ends too early is as short as it is in a shorter input.
            return Err(if [a, b, c].contains(&&b'\n') { Reason::StatusLine } else { Reason::StatusCode });
        }
        let digit = |b: &u8| u16::from(b & 15);
        self.status = digit(a).wrapping_mul(100).wrapping_add(digit(b).wrapping_mul(10)).wrapping_add(digit(c));
        self.version = if *minor == b'1' { Version::Http11 } else { Version::Http10 };
        let from = match rest {
            [] => return Ok(false),
            [b' ', ..] => 13,
            [b'\r' | b'\n', ..] => 12,
            _ => return Err(Reason::StatusCode),
        };
        let stop = value_end(bytes, from);
        let Some(next) = line_end(bytes, stop, Reason::StatusLine)? else { return Ok(false) };
        if next > HEAD_BYTES {
            return Err(Reason::HeadTooLarge);
        }
        self.reason_phrase = Span::new(from, stop);
        self.line = next;
        self.has_status = true;
        Ok(true)
    }

    /// Takes tidy lines over, up to one that is not.
    #[inline(always)]
    fn tidy_fields(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        // A line that ends behind the limit is not read here.
        let within = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
        loop {
            let first = self.fields.len();
            let tidy = tidy_lines(within, self.line, &mut self.fields, FIELD_COUNT.saturating_sub(first), 0);
            self.line = tidy.next;
            // Taken out for as long as the others change.
            let fields = std::mem::take(&mut self.fields);
            let mut telling = fields.iter().skip(first).filter(|field| field.kind > FieldKind::Host);
            let judged = telling.try_for_each(|field| self.meaning_of(bytes, field, field.line_end()));
            self.fields = fields;
            judged?;
            let Some(mut field) = tidy.held else { return Ok(()) };
            field.recognise_long(bytes);
            self.field(bytes, field, tidy.next)?;
        }
    }

    fn field(&mut self, bytes: &[u8], field: Field, next: usize) -> Result<(), Reason> {
        if next > HEAD_BYTES {
            return Err(Reason::HeadTooLarge);
        }
        self.line = next;
        if self.fields.len() >= FIELD_COUNT {
            return Err(Reason::TooManyFields);
        }
        if field.kind > FieldKind::Host {
            self.meaning_of(bytes, &field, next)?;
        }
        self.fields.push(field);
        Ok(())
    }

    /// Fields that say something about the message itself.
    #[inline(never)]
    fn meaning_of(&mut self, bytes: &[u8], field: &Field, next: usize) -> Result<(), Reason> {
        let value = field.value.of(bytes);
        match field.kind {
            FieldKind::ContentLength => self.meaning.content_length(value),
            FieldKind::TransferEncoding => {
                let raw = Span::new(field.name.end(), next).of(bytes);
                self.meaning.transfer_encoding(value, raw, self.version)
            }
            FieldKind::Connection => self.meaning.connection(value),
            _ => Ok(()),
        }
    }

    /// The status code, 100-999.
    #[inline]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The version the origin speaks.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The reason phrase; may be empty.
    #[inline]
    pub fn reason_phrase<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.reason_phrase.of(bytes)
    }

    /// Every field line, in order.
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
    pub fn framing(&self) -> ResponseFraming {
        if self.head_only || self.bodiless() || self.status == 304 {
            return ResponseFraming::None;
        }
        match self.meaning.length {
            _ if self.meaning.chunked => ResponseFraming::Chunked,
            Some(length) => ResponseFraming::Length(length),
            None => ResponseFraming::UntilClose,
        }
    }

    /// A status that never has a body (RFC 9110 §6.4.1), whatever the method.
    #[inline]
    fn bodiless(&self) -> bool {
        self.status < 200 || self.status == 204
    }

    /// Whether the origin's connection can carry another exchange: not for a body that ends with the connection, and not
    /// where a status without body announces one.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        let announced = self.meaning.chunked || self.meaning.length.is_some_and(|length| length > 0);
        self.meaning.keeps_alive(self.version)
            && self.framing() != ResponseFraming::UntilClose
            && !(self.bodiless() && announced)
    }

    /// The one protocol of `Upgrade`, if `Connection` names it and the version is 1.1.
    pub fn upgrade<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if !self.meaning.upgrade || self.version != Version::Http11 {
            return None;
        }
        field::only(&self.fields, bytes, FieldKind::Upgrade).filter(|value| is_protocol(value))
    }

    /// The length that an answer to HEAD or a 304 announces for the content it does not carry.
    #[inline]
    pub(crate) fn announced_length(&self) -> Option<u64> {
        if self.bodiless() { None } else { self.meaning.length }
    }

    /// Where the status line ends, when it may be written again as it stands.
    #[inline]
    pub(crate) fn verbatim_line(&self) -> Option<usize> {
        let same = self.version == Version::Http11 && self.reason_phrase.start == 13;
        same.then(|| self.reason_phrase.end().wrapping_add(2))
    }
}
