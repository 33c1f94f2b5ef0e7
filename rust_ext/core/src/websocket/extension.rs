//! Negotiates permessage-deflate in an opening handshake (RFC 6455 §9.1, RFC 7692 §5, §7.1).

use crate::http1::is_token;

/// A `Sec-WebSocket-Extensions` that does not follow the grammar: the handshake is to be refused (RFC 6455 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedExtensions;

const NAME: &[u8] = b"permessage-deflate";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// An asked window is to be repeated (RFC 7692 §7.1.2.1).
const ANSWER_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// The value of the answer's `Sec-WebSocket-Extensions` to the values of a request's; `None`: nothing is agreed on.
///
/// The first offer of permessage-deflate that can be met is taken, always without context takeover in either direction.
/// An offer with a parameter unknown, twice or out of range is declined (RFC 7692 §7.1), and so is one that asks for a
/// smaller window than 32 KiB: a broadcast is compressed once for all.
pub fn negotiate_deflate<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'static str>, MalformedExtensions> {
    let (mut answer, mut extensions, mut lines) = (None, 0_usize, 0_usize);
    for value in values {
        lines += 1;
        let mut rest = value;
        loop {
            rest = skip_space(rest);
            match rest {
                [] => break,
                [b',', after @ ..] => rest = after,
                _ => {
                    let offer;
                    (offer, rest) = extension(rest)?;
                    extensions += 1;
                    answer = answer.or(offer);
                }
            }
        }
    }
    if extensions == 0 && lines > 0 { Err(MalformedExtensions) } else { Ok(answer) }
}

/// Reads one extension up to the comma behind it; gives the answer to it if it is an offer that can be met.
fn extension(bytes: &[u8]) -> Result<(Option<&'static str>, &[u8]), MalformedExtensions> {
    let (name, mut rest) = token(bytes)?;
    let mut offer = Offer::default();
    loop {
        rest = skip_space(rest);
        match rest {
            [] | [b',', ..] => break,
            [b';', after @ ..] => {
                let (parameter, after) = token(skip_space(after))?;
                let value;
                (value, rest) = parameter_value(skip_space(after))?;
                offer.take(parameter, value.as_deref());
            }
            _ => return Err(MalformedExtensions),
        }
    }
    Ok((if name == NAME { offer.answer() } else { None }, rest))
}

/// The value behind a parameter's name, without quotes; what was quoted must be a token too (RFC 6455 §9.1).
fn parameter_value(bytes: &[u8]) -> Result<(Option<Vec<u8>>, &[u8]), MalformedExtensions> {
    let Some(rest) = bytes.strip_prefix(b"=") else { return Ok((None, bytes)) };
    let rest = skip_space(rest);
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (value, rest) = token(rest)?;
        return Ok((Some(value.to_vec()), rest));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next().ok_or(MalformedExtensions)? {
            b'"' if is_token(&value) => return Ok((Some(value), bytes.as_slice())),
            b'"' => return Err(MalformedExtensions),
            b'\\' => value.push(*bytes.next().ok_or(MalformedExtensions)?),
            byte => value.push(*byte),
        }
    }
}

fn token(bytes: &[u8]) -> Result<(&[u8], &[u8]), MalformedExtensions> {
    let end = bytes.iter().position(|byte| !is_token(&[*byte])).unwrap_or(bytes.len());
    if end == 0 { Err(MalformedExtensions) } else { Ok(bytes.split_at(end)) }
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len());
    &bytes[end..]
}

/// What a client offers (RFC 7692 §7.1).
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: bool,
    client_max_window_bits: bool,
    declined: bool,
}

impl Offer {
    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let (seen, good) = match name {
            b"server_no_context_takeover" => (&mut self.server_no_context_takeover, value.is_none()),
            b"client_no_context_takeover" => (&mut self.client_no_context_takeover, value.is_none()),
            b"server_max_window_bits" => (&mut self.server_max_window_bits, value == Some(b"15")),
            b"client_max_window_bits" => (&mut self.client_max_window_bits, value.is_none_or(is_window)),
            _ => (&mut self.declined, false),
        };
        self.declined |= !good || std::mem::replace(seen, true);
    }

    fn answer(&self) -> Option<&'static str> {
        match (self.declined, self.server_max_window_bits) {
            (true, _) => None,
            (false, true) => Some(ANSWER_WITH_WINDOW),
            (false, false) => Some(ANSWER),
        }
    }
}

/// 8 to 15, without leading zeros (RFC 7692 §7.1.2).
fn is_window(value: &[u8]) -> bool {
    matches!(value, [b'8' | b'9'] | [b'1', b'0'..=b'5'])
}
