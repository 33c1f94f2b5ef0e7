//! Close frames: which codes may be sent, and how a body is read (RFC 6455 §5.5.1, §7.4).

use super::{Event, MAX_CONTROL, Violation};

/// Bytes of a reason: what a control frame has left beside the code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// Whether a code may stand in a close frame: those registered for it, and those of libraries and applications.
///
/// 1004 has no meaning; 1005, 1006 and 1015 are never sent (RFC 6455 §7.4.1). 1012 to 1014 came by the registry.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the body of a close frame.
pub(super) fn read_close(body: &[u8]) -> Result<Event<'_>, Violation> {
    let (code, reason) = match body {
        [] => return Ok(Event::Close { code: None, reason: "" }),
        [_] => return Err(Violation::ShortClose),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_close_code(code) {
        return Err(Violation::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::CloseReason)?;
    Ok(Event::Close { code: Some(code), reason })
}
