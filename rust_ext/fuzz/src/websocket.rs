//! Target `websocket`: the frames of one direction, or offers of compression.

use fastgate_core::websocket::{
    Deflater, Event, Head, Opcode, Receiver, Role, Rules, Violation, is_close_code, negotiate_deflate, write_close,
    write_frame, write_masked_frame,
};

use crate::{knobs, websocket_model};

/// An event with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A message: binary or not.
    Message(bool, Vec<u8>),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// A close.
    Close(Option<u16>, Vec<u8>),
}

/// How a direction stands after the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// More may come; nothing is split.
    Idle,
    /// More must come.
    Split,
    /// Closed.
    Closed,
    /// Refused with a code.
    Refused(u16),
}

/// Whatever the bytes: no cut changes what is read, a slow model reads the same, what is written again is read again,
/// and memory stays within the limit. Bits of the first byte: 0 client, 1 compression, 2 small messages, 7 offers.
pub fn websocket(bytes: &[u8]) {
    let Some((chosen, bytes)) = knobs::split(bytes) else { return };
    if knobs::bit(chosen, 7) {
        return offers(bytes);
    }
    let role = if knobs::bit(chosen, 0) { Role::Client } else { Role::Server };
    let max_message = if knobs::bit(chosen, 2) { 60 } else { 1 << 20 };
    let rules = Rules { role, max_message, deflate: knobs::bit(chosen, 1) };
    let whole = read(&rules, bytes, &[]);
    let drip: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(read(&rules, bytes, &drip), whole, "fed byte by byte");
    for cut in knobs::cuts(bytes.len()) {
        assert_eq!(read(&rules, bytes, &[cut]), whole, "cut at {cut}");
    }
    if let Some(expected) = websocket_model::read(&rules, bytes) {
        assert_eq!(whole, expected, "the model reads something else");
    }
    write_again(&rules, &whole.0);
}

/// Reads the input cut at these places.
fn read(rules: &Rules, bytes: &[u8], cuts: &[usize]) -> (Vec<Said>, Stand) {
    let (mut receiver, mut said, mut from) = (Receiver::default(), Vec::new(), 0);
    for &to in cuts.iter().chain([&bytes.len()]) {
        let mut input = bytes[from..to].to_vec();
        let mut at = 0;
        loop {
            match receiver.next(rules, &mut input[at..]) {
                Ok((used, Some(event))) => {
                    let event = copy(&event, rules);
                    at += used;
                    assert!(at <= input.len(), "more was taken than there is");
                    let closed = matches!(event, Said::Close(..));
                    said.push(event);
                    if closed {
                        return (said, Stand::Closed);
                    }
                }
                Ok((used, None)) => {
                    assert_eq!(at + used, input.len(), "bytes were left");
                    break;
                }
                Err(violation) => {
                    well_described(violation);
                    return (said, Stand::Refused(violation.code()));
                }
            }
        }
        assert_eq!(receiver.held() == 0, receiver.is_idle());
        assert!(receiver.held() <= rules.max_message + rules.max_message / 1024 + 400, "{} held", receiver.held());
        from = to;
    }
    let stand = if receiver.is_idle() { Stand::Idle } else { Stand::Split };
    (said, stand)
}

fn copy(event: &Event<'_>, rules: &Rules) -> Said {
    match *event {
        Event::Message { binary, data } => {
            assert!(data.len() <= rules.max_message, "a message beyond the limit");
            assert!(binary || std::str::from_utf8(data).is_ok(), "text that is none");
            Said::Message(binary, data.to_vec())
        }
        Event::Ping(data) => Said::Ping(data.to_vec()),
        Event::Pong(data) => Said::Pong(data.to_vec()),
        Event::Close { code, reason } => {
            assert!(code.is_none_or(is_close_code), "a close code that must not be sent");
            Said::Close(code, reason.as_bytes().to_vec())
        }
    }
}

fn well_described(violation: Violation) {
    assert!(is_close_code(violation.code()));
    let mut out = Vec::new();
    write_close(&mut out, violation.code(), violation.reason());
    assert_eq!(out.len(), violation.reason().len() + 4, "the reason was cut");
}

/// Each event, written by the other end, is read as the same.
fn write_again(rules: &Rules, said: &[Said]) {
    let mut out = Vec::new();
    for event in said {
        let mut body = Vec::new();
        let (opcode, payload) = match event {
            Said::Message(true, data) => (Opcode::Binary, data),
            Said::Message(false, data) => (Opcode::Text, data),
            Said::Ping(data) => (Opcode::Ping, data),
            Said::Pong(data) => (Opcode::Pong, data),
            Said::Close(code, reason) => {
                body.extend(code.iter().flat_map(|code| code.to_be_bytes()));
                body.extend(reason);
                (Opcode::Close, &body)
            }
        };
        match rules.role {
            Role::Server => write_masked_frame(&mut out, opcode, [1, 2, 3, 250], payload),
            Role::Client => write_frame(&mut out, opcode, payload),
        }
    }
    let ended = if matches!(said.last(), Some(Said::Close(..))) { Stand::Closed } else { Stand::Idle };
    assert_eq!(read(rules, &out, &[]), (said.to_vec(), ended));
    // And compressed, or as a fragment that must go on, where it is a message.
    if let Some(Said::Message(_, data)) = said.first() {
        let mask = (rules.role == Role::Server).then_some([0; 4]);
        if let Some(small) = rules.deflate.then(|| Deflater::new().deflate(data)).flatten() {
            assert!(small.len() < data.len(), "compressed it has grown");
            let length = small.len() as u64;
            let mut out = Vec::new();
            Head { fin: true, compressed: true, opcode: Opcode::Binary, mask, length }.write(&mut out);
            out.extend(small);
            assert_eq!(read(rules, &out, &[]), (vec![Said::Message(true, data.clone())], Stand::Idle));
        }
        let head = Head { fin: false, compressed: false, opcode: Opcode::Binary, mask, length: data.len() as u64 };
        let mut out = Vec::new();
        head.write(&mut out);
        out.extend(data);
        assert_eq!(read(rules, &out, &[]), (Vec::new(), Stand::Split));
    }
}

/// Lines of `Sec-WebSocket-Extensions`, each behind a NUL: what is taken follows the grammar (RFC 6455 §9.1).
fn offers(bytes: &[u8]) {
    static GRAMMAR: std::sync::LazyLock<regex::bytes::Regex> = std::sync::LazyLock::new(|| {
        let (token, space) = (r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", r"[ \t]*");
        let quoted = r#""(?:[!#$%&'*+.^_`|~0-9A-Za-z-]|\\[!#$%&'*+.^_`|~0-9A-Za-z-])+""#;
        let parameter = format!("{space};{space}{token}{space}(?:={space}(?:{token}|{quoted}))?");
        let extension = format!("{token}(?:{parameter})*");
        let list = format!(r"\A{space}(?:{extension})?{space}(?:,{space}(?:{extension})?{space})*\z");
        regex::bytes::RegexBuilder::new(&list).unicode(false).build().expect("the grammar is an expression")
    });
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let empty = |line: &&[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b','));
    let good = lines.iter().all(|line| GRAMMAR.is_match(line)) && !lines.iter().all(empty);
    let answer = negotiate_deflate(lines.iter().copied());
    assert_eq!(answer.is_ok(), good, "{}", bytes.escape_ascii());
    if let Ok(Some(answer)) = answer {
        let named = |line: &&[u8]| line.windows(18).any(|part| part == b"permessage-deflate");
        assert!(lines.iter().any(named), "agreed on what nobody offered");
        assert_eq!(negotiate_deflate([answer.as_bytes()]), Ok(Some(answer)), "the answer offered is not taken");
    }
}
