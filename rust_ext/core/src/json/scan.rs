//! The scanner: one pass over the text, at most [`MAX_DEPTH`] calls deep.

use std::borrow::Cow;

use super::names::Names;
use super::{Fault, Invalid, Kind, MAX_DEPTH, Raw};

/// Digits up to which a number without exponent surely fits a double.
const SURE_DIGITS: usize = 300;

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

type Each<'e, 'a> = &'e mut dyn FnMut(Raw<'a>);
type EachMember<'e, 'a> = &'e mut dyn FnMut(&'a str, Raw<'a>);

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// One value and nothing else.
    pub(super) fn whole(mut self) -> Result<Raw<'a>, Invalid> {
        self.space();
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() { Err(self.fault(Fault::Trailing)) } else { Ok(value) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, fault: Fault) -> Invalid {
        let fault = if self.at >= self.text.len() && fault == Fault::Syntax { Fault::End } else { fault };
        Invalid { fault, at: self.at }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.peek() != Some(byte) {
            return Err(self.fault(Fault::Syntax));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Raw<'a>, Invalid> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'{') => {
                self.members(&mut |_, _| {})?;
                Kind::Object
            }
            Some(b'[') => {
                self.items(&mut |_| {})?;
                Kind::Array
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.word("true", Kind::Bool)?,
            Some(b'f') => self.word("false", Kind::Bool)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            _ => return Err(self.fault(Fault::Syntax)),
        };
        Ok(Raw { kind, text: &self.text[start..self.at] })
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Invalid> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(kind)
    }

    fn enter(&mut self, opening: u8) -> Result<(), Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(Fault::Depth));
        }
        self.depth += 1;
        self.expect(opening)
    }

    /// An array.
    pub(super) fn items(&mut self, each: Each<'_, 'a>) -> Result<(), Invalid> {
        self.enter(b'[')?;
        self.space();
        if self.peek() != Some(b']') {
            loop {
                self.space();
                each(self.value()?);
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        self.expect(b']')
    }

    /// An object; names come as they are written.
    pub(super) fn members(&mut self, each: EachMember<'_, 'a>) -> Result<(), Invalid> {
        self.enter(b'{')?;
        self.space();
        if self.peek() != Some(b'}') {
            let mut names = Names::default();
            loop {
                self.space();
                let start = self.at;
                self.string()?;
                let name = &self.text[start + 1..self.at - 1];
                if !names.is_new(unescape(name)) {
                    return Err(Invalid { fault: Fault::Duplicate, at: start });
                }
                self.space();
                self.expect(b':')?;
                self.space();
                each(name, self.value()?);
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
            }
        }
        self.depth -= 1;
        self.expect(b'}')
    }

    fn string(&mut self) -> Result<(), Invalid> {
        self.expect(b'"')?;
        loop {
            match self.peek() {
                None => return Err(self.fault(Fault::End)),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault(Fault::Control)),
                Some(_) => self.at += 1,
            }
        }
        self.expect(b'"')
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            None => return Err(self.fault(Fault::End)),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let half = Err(Invalid { fault: Fault::Surrogate, at: start });
                self.at += 1;
                match self.unit()? {
                    0xd800..=0xdbff => {
                        if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                            return half;
                        }
                        self.at += 2;
                        if !matches!(self.unit()?, 0xdc00..=0xdfff) {
                            return half;
                        }
                    }
                    0xdc00..=0xdfff => return half,
                    _ => {}
                }
            }
            Some(_) => return Err(Invalid { fault: Fault::Escape, at: start }),
        }
        Ok(())
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Invalid> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let fault = if self.at < self.text.len() { Fault::Escape } else { Fault::End };
            unit = unit << 4 | digit.ok_or(self.fault(fault))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault(if self.at < self.text.len() { Fault::Number } else { Fault::End }));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        self.digits()?;
        if self.text.as_bytes()[first] == b'0' && self.at > first + 1 {
            return Err(Invalid { fault: Fault::Number, at: first });
        }
        let mut sure = self.at - start < SURE_DIGITS;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            sure = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        if sure || self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(());
        }
        Err(Invalid { fault: Fault::Number, at: start })
    }
}

/// The content of a string that was judged, from what stands between its quotes.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = inner.find('\\') else { return Cow::Borrowed(inner) };
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    let mut next = Some(first);
    while let Some(at) = next {
        out.push_str(&rest[..at]);
        let unit = |rest: &str, at: usize| u32::from_str_radix(rest.get(at..at + 4).unwrap_or_default(), 16).ok();
        let (c, used) = match rest.as_bytes().get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => match (unit(rest, at + 2), unit(rest, at + 8)) {
                (Some(high @ 0xd800..=0xdbff), Some(low)) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                }
                (unit, _) => (unit.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            },
            Some(itself) => (char::from(*itself), 2),
            None => break,
        };
        out.push(c);
        rest = rest.get(at + used..).unwrap_or_default();
        next = rest.find('\\');
    }
    out.push_str(rest);
    Cow::Owned(out)
}
