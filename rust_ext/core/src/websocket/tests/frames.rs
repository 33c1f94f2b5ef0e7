//! Heads, lengths, masks, opcodes, control frames and close codes (RFC 6455 §5, §7.4).

use super::*;
use crate::websocket::{MAX_CONTROL, is_close_code, write_close, write_frame};

fn refused(bytes: &[u8]) -> Violation {
    match all_cuts(&SERVER, bytes).pop() {
        Some(Got::Refused(violation)) => violation,
        other => panic!("{bytes:02x?} gave {other:?}"),
    }
}

#[test]
fn the_examples_of_section_5_7() {
    // A masked "Hello"; the same in two fragments, masked; a masked ping.
    assert_eq!(all_cuts(&SERVER, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [Got::Text("Hello".into())]);
    let parts = [frame(false, Opcode::Text, b"Hel"), frame(true, Opcode::Continuation, b"lo")].concat();
    assert_eq!(all_cuts(&SERVER, &parts), [Got::Text("Hello".into())]);
    assert_eq!(all_cuts(&SERVER, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [Got::Pong(b"Hello".to_vec())]);

    let mut out = Vec::new();
    write_frame(&mut out, Opcode::Text, b"Hello");
    write_frame(&mut out, Opcode::Ping, b"Hello");
    assert_eq!(out, b"\x81\x05Hello\x89\x05Hello");
    for (size, head) in [(256, &b"\x82\x7e\x01\x00"[..]), (65_536, b"\x82\x7f\0\0\0\0\0\x01\0\0")] {
        let mut out = Vec::new();
        write_frame(&mut out, Opcode::Binary, &vec![7; size]);
        assert_eq!(out[..head.len()], *head);
        assert_eq!(out.len(), head.len() + size);
    }
}

#[test]
fn reserved_bits_and_opcodes_of_section_5_2() {
    for rsv in [0x40, 0x20, 0x10, 0x70] {
        assert_eq!(refused(&[0x81 | rsv]), Violation::ReservedBit);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(refused(&[0x80 | opcode]), Violation::UnknownOpcode);
    }
}

#[test]
fn lengths_of_section_5_2_are_minimal() {
    for wrong in [
        &b"\x82\xfe\x00\x7d"[..],
        b"\x82\xfe\x00\x00",
        b"\x82\xff\0\0\0\0\0\0\xff\xff",
        b"\x82\xff\0\0\0\0\0\0\0\x05",
        b"\x82\xff\x80\0\0\0\0\x01\0\0",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert_eq!(refused(wrong), Violation::Length, "{wrong:02x?}");
    }
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let payload = vec![0xa5; length];
        assert_eq!(all_cuts(&SERVER, &last(Opcode::Binary, &payload)), [Got::Binary(payload)]);
    }
}

#[test]
fn masks_of_section_5_1() {
    assert_eq!(refused(b"\x81\x05Hello"), Violation::Unmasked);
    assert_eq!(refused(b"\x89\x00"), Violation::Unmasked);
    let client = Rules { role: Role::Client, ..SERVER };
    assert_eq!(all_cuts(&client, b"\x81\x05Hello"), [Got::Text("Hello".into())]);
    assert_eq!(all_cuts(&client, &last(Opcode::Text, b"Hello")), [Got::Refused(Violation::Masked)]);
}

#[test]
fn control_frames_of_section_5_5() {
    assert_eq!(refused(&[0x09]), Violation::FragmentedControl);
    assert_eq!(refused(&[0x08, 0x80]), Violation::FragmentedControl);
    assert_eq!(refused(&[0x89, 0xfe]), Violation::LongControl);
    assert_eq!(refused(&[0x8a, 0xff]), Violation::LongControl);
    for length in [0, 1, 125] {
        let payload = vec![b'p'; length];
        let both = [last(Opcode::Ping, &payload), last(Opcode::Pong, &payload)].concat();
        assert_eq!(all_cuts(&SERVER, &both), [Got::Ping(payload.clone()), Got::Pong(payload)]);
    }
}

#[test]
fn close_frames_of_section_5_5_1() {
    let close = |body: &[u8]| all_cuts(&SERVER, &last(Opcode::Close, body)).pop().expect("an event");
    assert_eq!(close(b""), Got::Close(None, String::new()));
    assert_eq!(close(b"\x03"), Got::Refused(Violation::ShortClose));
    assert_eq!(close(&close_body(1000, "bye ✓".as_bytes())), Got::Close(Some(1000), "bye ✓".into()));
    assert_eq!(close(&close_body(1000, &[b'r'; MAX_REASON])), Got::Close(Some(1000), "r".repeat(MAX_REASON)));
    assert_eq!(close(&close_body(1000, b"\xce\xba\xed\xa0\x80")), Got::Refused(Violation::CloseReason));
    assert_eq!(close(&close_body(1000, b"cut \xe2\x9c")), Got::Refused(Violation::CloseReason));
    // Nothing behind a close is read (§5.5.1).
    let more = [last(Opcode::Close, b""), last(Opcode::Ping, b"x")].concat();
    assert_eq!(all_cuts(&SERVER, &more), [Got::Close(None, String::new())]);
}

#[test]
fn close_codes_of_section_7_4() {
    let allowed: Vec<u16> = (0..=u16::MAX).filter(|code| is_close_code(*code)).collect();
    let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    assert_eq!(allowed, expected);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(refused(&last(Opcode::Close, &close_body(code, b""))), Violation::CloseCode, "{code}");
    }
}

#[test]
fn a_written_reason_fits_and_stays_text() {
    let mut out = Vec::new();
    write_close(&mut out, 3008, "slow");
    assert_eq!(out, b"\x88\x06\x0b\xc0slow");
    // 41 characters of three bytes are 123; with one byte before them the last does not fit.
    for (reason, kept) in [("✓".repeat(41), 123), (format!("x{}", "✓".repeat(41)), 121), ("r".repeat(200), 123)] {
        let mut out = Vec::new();
        write_close(&mut out, 1001, &reason);
        assert_eq!(usize::from(out[1]), kept + 2);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok(&reason[..kept]));
    }
    let mut out = Vec::new();
    write_frame(&mut out, Opcode::Pong, &[1; 200]);
    assert_eq!(out.len(), 2 + MAX_CONTROL);
}

#[test]
fn each_violation_has_a_code_that_may_be_sent_and_a_reason_that_fits() {
    use Violation::*;
    for (violation, code) in [
        (ReservedBit, 1002),
        (UnknownOpcode, 1002),
        (Unmasked, 1002),
        (Masked, 1002),
        (Length, 1002),
        (FragmentedControl, 1002),
        (LongControl, 1002),
        (UnexpectedContinuation, 1002),
        (InterruptedMessage, 1002),
        (ShortClose, 1002),
        (CloseCode, 1002),
        (Text, 1007),
        (CloseReason, 1007),
        (Compression, 1007),
        (TooLarge, 1009),
    ] {
        assert_eq!(violation.code(), code, "{violation}");
        assert!(is_close_code(code) && violation.reason().len() <= MAX_REASON);
    }
}
