//! JSON: strings written ([`string`]), and texts judged strictly.
//!
//! A text is judged in one pass: [`parse`] cuts it into members and builds nothing, so that it can go on as sent;
//! [`build`] makes a value of it.
//!
//! RFC 8259 with what RFC 7493 (I-JSON) adds, because readers differ where it is left open: UTF-8, no name twice in one
//! object, no lone surrogate, no number beyond a double. Depth is bounded by [`MAX_DEPTH`], time is linear.

mod names;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::fmt;

use scan::Scanner;

pub use write::string;
pub(crate) use write::{content, gathered, plain_len, put, put_plain};

/// Arrays and objects within each other.
pub const MAX_DEPTH: usize = 64;

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are not UTF-8.
    Utf8,
    /// The text ends within a value.
    End,
    /// Something that cannot stand there.
    Syntax,
    /// A control character within a string.
    Control,
    /// An escape that JSON does not know.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// A number that is none, or that no double can hold.
    Number,
    /// A name that its object has already.
    Duplicate,
    /// More than [`MAX_DEPTH`] arrays and objects within each other.
    Depth,
    /// Something behind the value.
    Trailing,
}

/// Why a text is refused, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong.
    pub fault: Fault,
    /// Where, from 0.
    pub at: usize,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Utf8 => "bytes that are not UTF-8",
            Fault::End => "the text ends too early",
            Fault::Syntax => "what stands there is no JSON",
            Fault::Control => "a control character in a string",
            Fault::Escape => "an unknown escape in a string",
            Fault::Surrogate => "half of a surrogate pair in a string",
            Fault::Number => "a number that is not one, or too large",
            Fault::Duplicate => "a name that stands twice in one object",
            Fault::Depth => return write!(f, "more than {MAX_DEPTH} levels at byte {}", self.at),
            Fault::Trailing => "something behind the value",
        };
        write!(f, "{what} at byte {}", self.at)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value as it stands in a text that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    kind: Kind,
    text: &'a str,
}

impl<'a> Raw<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Its text, without space around it.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// The content of a string.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        (self.kind == Kind::String).then(|| scan::unescape(&self.text[1..self.text.len() - 1]))
    }

    /// The values of an array.
    #[must_use]
    pub fn items(self) -> Option<Vec<Raw<'a>>> {
        let mut items = Vec::new();
        let read = Scanner::new(self.text).items(|item| items.push(item));
        (self.kind == Kind::Array && read.is_ok()).then_some(items)
    }

    /// The names and values of an object, in order.
    #[must_use]
    pub fn members(self) -> Option<Vec<(Cow<'a, str>, Raw<'a>)>> {
        let mut members = Vec::new();
        let read = Scanner::new(self.text).members(|name, value| members.push((scan::unescape(name), value)));
        (self.kind == Kind::Object && read.is_ok()).then_some(members)
    }
}

/// Judges a text that must be one value, with nothing but space around it.
///
/// # Errors
/// [`Invalid`]: the first thing that is wrong.
pub fn parse(bytes: &[u8]) -> Result<Raw<'_>, Invalid> {
    let text = std::str::from_utf8(bytes).map_err(|error| Invalid { fault: Fault::Utf8, at: error.valid_up_to() })?;
    Scanner::new(text).whole()
}

/// Judges a text as [`parse`] does and builds its value in the same pass.
///
/// # Errors
/// [`Invalid`]: the first thing that is wrong.
pub fn build(bytes: &[u8]) -> Result<serde_json::Value, Invalid> {
    let text = std::str::from_utf8(bytes).map_err(|error| Invalid { fault: Fault::Utf8, at: error.valid_up_to() })?;
    Scanner::new(text).whole_built()
}
