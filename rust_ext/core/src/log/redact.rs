//! What no line may show: the values of named query parameters and headers.

use std::borrow::Cow;

/// What stands in the place of a value.
pub(super) const REDACTED: &[u8] = b"[redacted]";

/// Bytes of a parameter's name that are compared; a longer one is none that is listed.
const LONGEST_NAME: usize = 64;

/// The names whose values are left out, compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redact {
    query: Vec<Box<[u8]>>,
    headers: Vec<Box<[u8]>>,
    /// Two headers that most lines show are asked for once.
    pub(super) referer: bool,
    pub(super) user_agent: bool,
}

impl Redact {
    /// From the names of query parameters and of headers.
    #[must_use]
    pub fn new(query: &[String], headers: &[String]) -> Self {
        let list = |names: &[String]| names.iter().map(|n| n.to_ascii_lowercase().into_bytes().into()).collect();
        let redact = Self { query: list(query), headers: list(headers), ..Self::default() };
        Self { referer: redact.header(b"referer"), user_agent: redact.header(b"user-agent"), ..redact }
    }

    /// Whether a header's value (its name in lower case) is left out.
    pub(super) fn header(&self, name: &[u8]) -> bool {
        self.headers.iter().any(|listed| **listed == *name)
    }

    /// A query with the values of listed parameters replaced; borrowed where there is none.
    ///
    /// Parameters end at `&` and at `;` (and at `?` and `#`, for URLs). A name counts as the application would read it:
    /// percent-decoded, and without what follows a `[`.
    #[must_use]
    pub fn query<'a>(&self, query: &'a [u8]) -> Cow<'a, [u8]> {
        let mut redacted = Vec::new();
        // How much of the query is in `redacted`.
        let mut done = 0;
        let mut at = 0;
        for parameter in query.split(|byte| matches!(byte, b'&' | b';' | b'?' | b'#')) {
            if let Some(equals) = memchr::memchr(b'=', parameter)
                && equals + 1 < parameter.len()
                && self.lists(&parameter[..equals])
            {
                redacted.extend_from_slice(&query[done..=at + equals]);
                redacted.extend_from_slice(REDACTED);
                done = at + parameter.len();
            }
            at += parameter.len() + 1;
        }
        if done == 0 {
            return Cow::Borrowed(query);
        }
        redacted.extend_from_slice(&query[done..]);
        Cow::Owned(redacted)
    }

    /// A URL whose query and fragment are treated like a query.
    pub(super) fn url<'a>(&self, url: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(mark) = url.iter().position(|byte| matches!(byte, b'?' | b'#')) else { return Cow::Borrowed(url) };
        let (before, after) = url.split_at(mark + 1);
        match self.query(after) {
            Cow::Borrowed(_) => Cow::Borrowed(url),
            Cow::Owned(redacted) => Cow::Owned([before, &redacted].concat()),
        }
    }

    fn lists(&self, name: &[u8]) -> bool {
        let mut decoded = [0; LONGEST_NAME];
        let mut len = 0;
        let mut rest = name.iter();
        while let Some(&byte) = rest.next() {
            let byte = match (byte, rest.as_slice()) {
                (b'%', [high, low, ..]) => match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        rest.nth(1);
                        high << 4 | low
                    }
                    _ => byte,
                },
                _ => byte,
            };
            if byte == b'[' && len > 0 {
                break;
            }
            let Some(place) = decoded.get_mut(len) else { return false };
            *place = byte.to_ascii_lowercase();
            len += 1;
        }
        self.query.iter().any(|listed| **listed == decoded[..len])
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
