//! Changes to headers: a route's, compiled at load, and a hook's, validated when they are made.

use crate::http1::{Field, is_token};
use crate::snapshot::HeaderEdits;

/// Names that belong to the gateway: they frame the message, manage the connection or name the host.
const OWNED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a header may not be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditError {
    /// The name is empty or not a token (RFC 9110 §5.1).
    Name,
    /// The value holds a control character or white space at an end (RFC 9110 §5.5).
    Value,
    /// The name belongs to the gateway.
    Owned,
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "a header name is letters, digits and !#$%&'*+-.^_`|~",
            Self::Value => "a header value holds no control character and does not begin or end with white space",
            Self::Owned => "Host, hop-by-hop and framing headers belong to the gateway",
        })
    }
}

impl std::error::Error for EditError {}

/// One change made by a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Replaces every field line of that name.
    Set(Box<[u8]>, Box<[u8]>),
    /// Adds a field line.
    Add(Box<[u8]>, Box<[u8]>),
    /// Removes every field line of that name.
    Remove(Box<[u8]>),
}

impl Edit {
    /// Replaces every field line of that name.
    ///
    /// # Errors
    /// A name or value that cannot be written, or a name that belongs to the gateway.
    pub fn set(name: &[u8], value: &[u8]) -> Result<Self, EditError> {
        judge(name, value)?;
        Ok(Self::Set(name.into(), value.into()))
    }

    /// Adds a field line.
    ///
    /// # Errors
    /// As [`Edit::set`].
    pub fn add(name: &[u8], value: &[u8]) -> Result<Self, EditError> {
        judge(name, value)?;
        Ok(Self::Add(name.into(), value.into()))
    }

    /// Removes every field line of that name.
    ///
    /// # Errors
    /// As [`Edit::set`].
    pub fn remove(name: &[u8]) -> Result<Self, EditError> {
        judge(name, b"")?;
        Ok(Self::Remove(name.into()))
    }

    /// Whether it takes away what the other side sent under that name.
    fn replaces(&self, name: &[u8]) -> bool {
        match self {
            Self::Set(n, _) | Self::Remove(n) => n.eq_ignore_ascii_case(name),
            Self::Add(..) => false,
        }
    }
}

fn judge(name: &[u8], value: &[u8]) -> Result<(), EditError> {
    if !is_token(name) {
        return Err(EditError::Name);
    }
    if OWNED.iter().any(|owned| name.eq_ignore_ascii_case(owned.as_bytes())) {
        return Err(EditError::Owned);
    }
    if is_value(value) { Ok(()) } else { Err(EditError::Value) }
}

/// Whether it may stand in a field value as it is (RFC 9110 §5.5).
pub(crate) fn is_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    !value.iter().any(|&b| b == 0x7f || (b < 0x20 && b != b'\t')) && !blank(value.first()) && !blank(value.last())
}

/// A route's header changes, checked and ready to be applied: remove, then set, then add.
#[derive(Debug, Clone, Default)]
pub struct CompiledEdits {
    edits: Vec<Edit>,
}

/// No changes.
pub static NO_EDITS: CompiledEdits = CompiledEdits { edits: Vec::new() };

impl CompiledEdits {
    /// Checks and compiles them.
    ///
    /// # Errors
    /// One sentence that names the first header that may not be changed so.
    pub fn new(edits: &HeaderEdits) -> Result<Self, String> {
        let mut compiled = Vec::new();
        let fail = |name: &str, error: EditError| format!("header {name:?}: {error}");
        for name in &edits.remove {
            compiled.push(Edit::remove(name.as_bytes()).map_err(|e| fail(name, e))?);
        }
        for (name, value) in &edits.set {
            compiled.push(Edit::set(name.as_bytes(), value.as_bytes()).map_err(|e| fail(name, e))?);
        }
        for (name, value) in &edits.add {
            compiled.push(Edit::add(name.as_bytes(), value.as_bytes()).map_err(|e| fail(name, e))?);
        }
        Ok(Self { edits: compiled })
    }

    /// Whether there is nothing to change.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }
}

/// The route's changes and a hook's together: the hook's come second.
#[derive(Clone, Copy)]
pub(crate) struct Edits<'a> {
    pub route: &'a CompiledEdits,
    pub hook: &'a [Edit],
}

impl Edits<'_> {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.route.is_empty() && self.hook.is_empty()
    }

    /// Whether a received field line of that name is taken away.
    pub fn take_away(&self, field: &Field, bytes: &[u8]) -> bool {
        self.replace(field.name.of(bytes))
    }

    /// Whether any change sets or removes that name.
    pub fn replace(&self, name: &[u8]) -> bool {
        self.route.edits.iter().chain(self.hook).any(|edit| edit.replaces(name))
    }

    /// Writes what is set and added. A later change of the same name wins over an earlier one.
    pub fn write(&self, out: &mut Vec<u8>) {
        let count = self.route.edits.len().wrapping_add(self.hook.len());
        let all = || self.route.edits.iter().chain(self.hook);
        for (i, edit) in all().enumerate().take(count) {
            let (Edit::Set(name, value) | Edit::Add(name, value)) = edit else { continue };
            if !all().skip(i.wrapping_add(1)).any(|later| later.replaces(name)) {
                line(out, name, value);
            }
        }
    }
}

/// Writes one field line.
#[inline]
pub(crate) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
