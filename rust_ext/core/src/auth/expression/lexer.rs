//! Tokens of an expression (the lexis of the CEL specification).

use std::borrow::Cow;

use super::Fault;
use super::value::Value;

#[derive(Debug, Clone)]
pub(super) enum Token {
    Name(String),
    Literal(Value<'static>),
    /// Digits of a whole number, which a minus may stand before: its magnitude.
    Whole(u64),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "=", "&",
];

/// Every token with the byte where it begins; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]);
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            found.push((at, Token::End));
            return Ok(found);
        };
        let (token, length) = if let Some(read) = string(rest, at)? {
            read
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Name(rest[..length].to_owned()), length)
        } else if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            number(rest, at)?
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return Err(Fault::new(at, format!("{first:?} means nothing here")));
        };
        found.push((at, token));
        at += length;
    }
}

/// Bytes of blanks and comments.
fn blank(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
        at += blanks;
        if text[at..].starts_with("//") {
            at += text[at..].find('\n').unwrap_or(text.len() - at);
        } else if blanks == 0 {
            return at;
        }
    }
}

fn number(text: &str, at: usize) -> Result<(Token, usize), Fault> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut length = if hexadecimal {
        2 + text[2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len() - 2)
    } else {
        digits(text)
    };
    let mut fraction = false;
    if !hexadecimal {
        if text[length..].starts_with('.') && text[length + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            length += 1 + digits(&text[length + 1..]);
            fraction = true;
        }
        if text[length..].starts_with(['e', 'E']) {
            let sign = usize::from(text[length + 1..].starts_with(['+', '-']));
            let exponent = digits(&text[length + 1 + sign..]);
            if exponent > 0 {
                length += 1 + sign + exponent;
                fraction = true;
            }
        }
    }
    let written = &text[..length];
    let bad = || Fault::new(at, format!("{written} is no number that fits"));
    let unsigned = !fraction && text[length..].starts_with(['u', 'U']);
    let token = if fraction {
        let value: f64 = written.parse().map_err(|_| bad())?;
        if !value.is_finite() {
            return Err(bad());
        }
        Token::Literal(Value::Double(value))
    } else {
        let magnitude =
            if hexadecimal { u64::from_str_radix(&written[2..], 16) } else { written.parse() }.map_err(|_| bad())?;
        if unsigned { Token::Literal(Value::Uint(magnitude)) } else { Token::Whole(magnitude) }
    };
    let length = length + usize::from(unsigned);
    if text[length..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Fault::new(at, format!("{written} runs into what follows")));
    }
    Ok((token, length))
}

/// A string or bytes literal, if one begins here.
fn string(text: &str, at: usize) -> Result<Option<(Token, usize)>, Fault> {
    let prefix = text.bytes().take(3).take_while(|b| b"rRbB".contains(b)).count();
    let (mut raw, mut bytes) = (0, 0);
    for letter in text[..prefix].bytes() {
        *if letter.eq_ignore_ascii_case(&b'r') { &mut raw } else { &mut bytes } += 1;
    }
    let body = &text[prefix..];
    if raw > 1 || bytes > 1 || !body.starts_with(['"', '\'']) {
        return Ok(None);
    }
    let quote = if body.starts_with("\"\"\"") || body.starts_with("'''") { &body[..3] } else { &body[..1] };
    let mut out = Vec::new();
    let mut here = quote.len();
    loop {
        let rest = &body[here..];
        if rest.starts_with(quote) {
            here += quote.len();
            break;
        }
        let open = || Fault::new(at, "this text has no end".to_owned());
        let next = rest.chars().next().ok_or_else(open)?;
        if (next == '\n' || next == '\r') && quote.len() == 1 {
            return Err(open());
        }
        if next == '\\' && raw == 0 {
            here += 1 + escape(&rest[1..], bytes > 0, at + prefix + here, &mut out)?;
        } else {
            here += next.len_utf8();
            out.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    let value = if bytes > 0 {
        Value::Bytes(Cow::Owned(out))
    } else {
        // Escapes of text are whole characters: it is UTF-8 by construction.
        Value::Text(Cow::Owned(String::from_utf8(out).map_err(|_| Fault::new(at, "no UTF-8".to_owned()))?))
    };
    Ok(Some((Token::Literal(value), prefix + here)))
}

/// What stands behind a backslash: appends what it means, returns its length.
fn escape(text: &str, bytes: bool, at: usize, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let bad = || Fault::new(at, "this escape is not known".to_owned());
    let first = text.chars().next().ok_or_else(bad)?;
    let simple = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '?' | '"' | '\'' | '`' => first as u8,
        _ => 0,
    };
    if simple != 0 {
        out.push(simple);
        return Ok(1);
    }
    let (skip, count, radix) = match first {
        'x' | 'X' => (1, 2, 16),
        'u' if !bytes => (1, 4, 16),
        'U' if !bytes => (1, 8, 16),
        '0'..='3' => (0, 3, 8),
        _ => return Err(bad()),
    };
    let digits = text.get(skip..skip + count).filter(|d| d.chars().all(|c| c.is_digit(radix))).ok_or_else(bad)?;
    let code = u32::from_str_radix(digits, radix).map_err(|_| bad())?;
    if bytes {
        out.push(u8::try_from(code).map_err(|_| bad())?);
    } else {
        let character = char::from_u32(code).ok_or_else(bad)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(skip + count)
}
