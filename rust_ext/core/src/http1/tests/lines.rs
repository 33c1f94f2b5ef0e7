//! The quick reader of field lines against the slower one: it may leave a line to it, but never judge one otherwise.

use crate::http1::field::{Field, Read, read_line, tidy_lines};

const START: usize = 16;

/// What the quick reader says about the first line, if it takes it.
fn quick(bytes: &[u8]) -> Option<(Field, usize)> {
    let mut fields = Vec::with_capacity(1);
    let tidy = tidy_lines(bytes, START, &mut fields, 1, 0);
    let mut field = fields.first().copied().or(tidy.held)?;
    field.recognise_long(bytes);
    Some((field, tidy.next))
}

fn agree(bytes: &[u8]) -> bool {
    let Some((field, next)) = quick(bytes) else { return false };
    match read_line(bytes, START) {
        Read::Field(line) => assert_eq!((field, next), (line.field, line.next), "{}", bytes.escape_ascii()),
        _ => panic!("taken though it is no field line: {}", bytes.escape_ascii()),
    }
    true
}

const TAILS: [&str; 5] =
    ["", "\r\n", "\r\n0123456789", "B: c\r\n\r\n", "Cookie: 0123456789012345678901234567890123456789\r\n\r\n"];

#[test]
fn every_length_of_name_value_and_rest() {
    for name in 1..45 {
        for value in 0..70 {
            for tail in TAILS {
                let head = format!("GET / HTTP/1.1\r\n{}: {}\r\n{tail}", "n".repeat(name), "v".repeat(value));
                let taken = agree(head.as_bytes());
                assert_eq!(taken, (1..30).contains(&name) && value > 0 && head.len() >= 31, "{head:?}");
                for cut in START..head.len() - tail.len() {
                    assert!(!agree(&head.as_bytes()[..cut]), "{head:?} {cut}");
                }
            }
        }
    }
}

#[test]
fn every_byte_at_every_place() {
    for line in ["Host: a.example\r\n", "X-Forwarded-Proto: https\r\n", "Cookie: 0123456789012345678901234567890\r\n"] {
        for tail in TAILS {
            let head = format!("GET / HTTP/1.1\r\n{line}{tail}").into_bytes();
            for place in START..START + line.len() {
                for b in 0..=255 {
                    let mut head = head.clone();
                    head[place] = b;
                    agree(&head);
                }
            }
        }
    }
}

#[test]
fn known_names_are_recognised_alike() {
    for name in [
        "te",
        "Host",
        "DATE",
        "Content-Length",
        "content-type",
        "X-Forwarded-Abc",
        "X-Forwarded-For",
        "Upgrade",
        "Accept",
    ]
    .into_iter()
    .chain([
        "Transfer-Encoding",
        "X-Forwarded-Proto",
        "Sec-WebSocket-Version",
        "x-forwarded-client-certs",
        "Content-Lengtg",
    ]) {
        for tail in TAILS {
            assert!(agree(format!("GET / HTTP/1.1\r\n{name}: some value\r\n{tail}").as_bytes()), "{name}");
        }
    }
}
