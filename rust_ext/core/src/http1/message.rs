//! What both kinds of message share: framing fields and `Connection` (RFC 9112 §6, RFC 9110 §7.6.1).

use super::field::{Field, FieldKind};
use super::names::recognise_mapped;
use super::scan::{is_token, trim};
use super::{Reason, ReservedNames, Version};

/// Options of all `Connection` lines together, a bound on the work they make.
const MAX_OPTIONS: u8 = 32;

/// What the framing and connection fields said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meaning {
    pub length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// `Connection` names something that may be a field.
    names: bool,
    options: u8,
}

impl Meaning {
    /// RFC 9110 §8.6, RFC 9112 §6.3: one line of 1 to 19 digits, and never beside `Transfer-Encoding`.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Reason> {
        if self.length.is_some() {
            return Err(Reason::LengthRepeated);
        }
        if value.is_empty() || value.len() > 19 {
            return Err(Reason::LengthSyntax);
        }
        let mut length = 0_u64;
        for &b in value {
            if !b.is_ascii_digit() {
                return Err(Reason::LengthSyntax);
            }
            // 19 digits stay below 10^19 < 2^64.
            length = length.wrapping_mul(10).wrapping_add(u64::from(b & 15));
        }
        if self.chunked {
            return Err(Reason::LengthAndEncoding);
        }
        self.length = Some(length);
        Ok(())
    }

    /// RFC 9112 §6.1, §7: one line, exactly `chunked`; `raw` is the value with its white space.
    pub fn transfer_encoding(&mut self, value: &[u8], raw: &[u8], version: Version) -> Result<(), Reason> {
        if self.chunked {
            return Err(Reason::EncodingRepeated);
        }
        if version == Version::Http10 {
            return Err(Reason::EncodingVersion);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Self::not_chunked(value));
        }
        if raw.contains(&b'\t') {
            return Err(Reason::EncodingSyntax);
        }
        if self.length.is_some() {
            return Err(Reason::LengthAndEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    /// A well-formed list that ends in `chunked` (or does not name it) asks for a coding we do not know: 501.
    #[cold]
    fn not_chunked(value: &[u8]) -> Reason {
        let mut members = value.split(|&b| b == b',').map(trim).rev();
        let last = members.next().unwrap_or_default();
        let well_formed = is_token(last) && members.all(|m| is_token(m) && !m.eq_ignore_ascii_case(b"chunked"));
        if well_formed { Reason::EncodingUnknown } else { Reason::EncodingSyntax }
    }

    /// RFC 9110 §7.6.1.
    pub fn connection(&mut self, value: &[u8]) -> Result<(), Reason> {
        if value == b"keep-alive" || value == b"Keep-Alive" {
            self.keep_alive = true;
            return Ok(());
        }
        for option in options(value) {
            if !is_token(option) || self.options == MAX_OPTIONS {
                return Err(Reason::ConnectionSyntax);
            }
            self.options = self.options.wrapping_add(1);
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => self.names = true,
            }
        }
        Ok(())
    }

    /// Marks the fields that `Connection` names.
    ///
    /// # Errors
    /// In a request (`reserved` given) a named field that decides framing, identity or trust.
    #[inline]
    pub fn mark_named(
        &self,
        fields: &mut [Field],
        bytes: &[u8],
        reserved: Option<&ReservedNames>,
    ) -> Result<(), Reason> {
        if self.names { mark(fields, bytes, reserved) } else { Ok(()) }
    }

    /// Whether the connection can carry another message after this one (RFC 9112 §9.3).
    #[inline]
    pub fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

#[cold]
fn mark(fields: &mut [Field], bytes: &[u8], reserved: Option<&ReservedNames>) -> Result<(), Reason> {
    for i in 0..fields.len() {
        let Field { kind: FieldKind::Connection, value, .. } = fields[i] else { continue };
        for option in options(value.of(bytes)) {
            if reserved.is_some_and(|reserved| end_to_end(option) || reserved.matches(option)) {
                return Err(Reason::ConnectionNames);
            }
            for field in fields.iter_mut() {
                if field.name.len as usize == option.len() && field.name.of(bytes).eq_ignore_ascii_case(option) {
                    field.name_it();
                }
            }
        }
    }
    Ok(())
}

/// The options of one `Connection` value; empty list members are left out (RFC 9110 §5.6.1).
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim).filter(|option| !option.is_empty())
}

/// Fields that a client may not have removed on the way.
fn end_to_end(name: &[u8]) -> bool {
    use FieldKind as K;
    matches!(
        recognise_mapped(name),
        K::Host
            | K::ContentLength
            | K::TransferEncoding
            | K::ContentType
            | K::Authorization
            | K::Cookie
            | K::Origin
            | K::Expect
            | K::XRequestId
            | K::XForwardedFor
            | K::XForwardedProto
            | K::XForwardedHost
            | K::XForwarded
            | K::Forwarded
            | K::ClientClaim
    )
}
