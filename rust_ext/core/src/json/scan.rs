//! The scanner: one pass over the text, at most [`MAX_DEPTH`] calls deep.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::names::Names;
use super::{Fault, Invalid, Kind, MAX_DEPTH, Raw, plain_len};

/// Digits up to which a number without exponent surely fits a double.
const SURE_DIGITS: usize = 300;

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// One value and nothing else.
    pub(super) fn whole(self) -> Result<Raw<'a>, Invalid> {
        self.alone(Self::value)
    }

    /// The same, built in the same pass.
    pub(super) fn whole_built(self) -> Result<Value, Invalid> {
        self.alone(Self::build)
    }

    fn alone<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Invalid>) -> Result<T, Invalid> {
        self.space();
        let value = read(&mut self)?;
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
                self.members(|_, _| {})?;
                Kind::Object
            }
            Some(b'[') => {
                self.items(|_| {})?;
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

    /// A value, judged as [`value`](Self::value) does and built.
    fn build(&mut self) -> Result<Value, Invalid> {
        let start = self.at;
        Ok(match self.peek() {
            Some(b'"') => Value::String(unescape(self.string()?).into_owned()),
            Some(b'{') => {
                let mut members = Map::new();
                self.object(|scanner, name, at| {
                    let name = unescape(name);
                    if members.contains_key(&*name) {
                        return Err(Invalid { fault: Fault::Duplicate, at });
                    }
                    members.insert(name.into_owned(), scanner.build()?);
                    Ok(())
                })?;
                Value::Object(members)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(|scanner| {
                    items.push(scanner.build()?);
                    Ok(())
                })?;
                Value::Array(items)
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Value::Number(number(&self.text[start..self.at]).ok_or(Invalid { fault: Fault::Number, at: start })?)
            }
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return Err(self.fault(Fault::Syntax)),
        })
    }

    fn word<T>(&mut self, word: &str, is: T) -> Result<T, Invalid> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(is)
    }

    fn enter(&mut self, opening: u8) -> Result<(), Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(Fault::Depth));
        }
        self.depth += 1;
        self.expect(opening)
    }

    /// An array.
    pub(super) fn items(&mut self, mut each: impl FnMut(Raw<'a>)) -> Result<(), Invalid> {
        self.array(|scanner| {
            each(scanner.value()?);
            Ok(())
        })
    }

    /// An array whose items are read by `item`.
    fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Invalid>) -> Result<(), Invalid> {
        self.enter(b'[')?;
        self.space();
        if self.peek() != Some(b']') {
            loop {
                self.space();
                item(self)?;
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
    pub(super) fn members(&mut self, mut each: impl FnMut(&'a str, Raw<'a>)) -> Result<(), Invalid> {
        let mut names = Names::default();
        self.object(|scanner, name, at| {
            if !names.is_new(unescape(name)) {
                return Err(Invalid { fault: Fault::Duplicate, at });
            }
            each(name, scanner.value()?);
            Ok(())
        })
    }

    /// An object whose values are read by `member`; it is told the name as written and where it stands.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a str, usize) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        self.enter(b'{')?;
        self.space();
        if self.peek() != Some(b'}') {
            loop {
                self.space();
                let start = self.at;
                let name = self.string()?;
                self.space();
                self.expect(b':')?;
                self.space();
                member(self, name, start)?;
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

    /// A string; what stands between its quotes, as written.
    fn string(&mut self) -> Result<&'a str, Invalid> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_len(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                None => return Err(self.fault(Fault::End)),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.fault(Fault::Control)),
                Some(_) => self.at += 1,
            }
        }
        let inner = &self.text[start..self.at];
        self.at += 1;
        Ok(inner)
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

/// A number that was judged: whole where it fits 64 bits, else a double.
fn number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    // `-0` is a double, for its sign.
    match text.parse::<i64>() {
        Ok(whole) if whole != 0 => Some(whole.into()),
        _ => text.parse::<f64>().ok().and_then(Number::from_f64),
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
