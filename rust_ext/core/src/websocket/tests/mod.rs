//! The rules of RFC 6455 as tables, each with its section; properties that hold for any bytes.

mod compression;
mod frames;
mod messages;
mod properties;

use super::{Event, Head, MAX_REASON, Opcode, Receiver, Role, Rules, Violation, write_masked_frame};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const SERVER: Rules = Rules { role: Role::Server, max_message: 1 << 16, deflate: false };

/// An event with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Refused(Violation),
}

impl Got {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::Message { binary: true, data } => Self::Binary(data.to_vec()),
            Event::Message { binary: false, data } => {
                Self::Text(String::from_utf8(data.to_vec()).expect("text is UTF-8"))
            }
            Event::Ping(data) => Self::Ping(data.to_vec()),
            Event::Pong(data) => Self::Pong(data.to_vec()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

/// Feeds parts as they come over a connection; a close or a violation ends it.
fn receive(rules: &Rules, parts: &[&[u8]]) -> (Vec<Got>, Receiver) {
    let (mut got, mut receiver) = (Vec::new(), Receiver::default());
    for part in parts {
        let mut input = part.to_vec();
        let mut at = 0;
        loop {
            match receiver.next(rules, &mut input[at..]) {
                Ok((used, Some(event))) => {
                    at += used;
                    let event = Got::of(event);
                    let ended = matches!(event, Got::Close(..));
                    got.push(event);
                    if ended {
                        return (got, receiver);
                    }
                }
                Ok((used, None)) => {
                    assert_eq!(at + used, input.len(), "bytes were left");
                    break;
                }
                Err(violation) => {
                    got.push(Got::Refused(violation));
                    return (got, receiver);
                }
            }
        }
    }
    (got, receiver)
}

/// What a server makes of these bytes, which must not depend on how they are cut.
fn all_cuts(rules: &Rules, bytes: &[u8]) -> Vec<Got> {
    let (whole, _) = receive(rules, &[bytes]);
    let drip: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(receive(rules, &drip).0, whole, "byte by byte");
    for at in 0..bytes.len().min(300) {
        let (left, right) = bytes.split_at(at);
        assert_eq!(receive(rules, &[left, right]).0, whole, "cut at {at}");
    }
    whole
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Head { fin, compressed: false, opcode, mask: Some(KEY), length: payload.len() as u64 }.write(&mut out);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn last(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_masked_frame(&mut out, opcode, KEY, payload);
    out
}

fn close_body(code: u16, reason: &[u8]) -> Vec<u8> {
    assert!(reason.len() <= MAX_REASON);
    [&code.to_be_bytes()[..], reason].concat()
}
