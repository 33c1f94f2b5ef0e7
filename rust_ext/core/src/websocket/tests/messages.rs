//! Fragments, text, limits and memory (RFC 6455 §5.4, §8.1, §10.4).

use super::*;

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        frame(false, Opcode::Text, b"a"),
        last(Opcode::Ping, b"1"),
        frame(false, Opcode::Continuation, b""),
        last(Opcode::Pong, b"2"),
        frame(false, Opcode::Continuation, b"b"),
        last(Opcode::Ping, &[3; 125]),
        frame(true, Opcode::Continuation, b"c"),
        last(Opcode::Binary, b"next"),
    ]
    .concat();
    let expected = [
        Got::Ping(b"1".to_vec()),
        Got::Pong(b"2".to_vec()),
        Got::Ping(vec![3; 125]),
        Got::Text("abc".into()),
        Got::Binary(b"next".to_vec()),
    ];
    assert_eq!(all_cuts(&SERVER, &bytes), expected);
}

#[test]
fn fragments_come_in_order_and_one_message_at_a_time() {
    let cases = [
        (vec![frame(true, Opcode::Continuation, b"x")], Violation::UnexpectedContinuation),
        (vec![frame(false, Opcode::Continuation, b"x")], Violation::UnexpectedContinuation),
        (vec![last(Opcode::Text, b"x"), frame(true, Opcode::Continuation, b"x")], Violation::UnexpectedContinuation),
        (vec![frame(false, Opcode::Text, b"x"), last(Opcode::Text, b"y")], Violation::InterruptedMessage),
        (vec![frame(false, Opcode::Binary, b"x"), frame(false, Opcode::Binary, b"y")], Violation::InterruptedMessage),
    ];
    for (frames, violation) in cases {
        assert_eq!(all_cuts(&SERVER, &frames.concat()).pop(), Some(Got::Refused(violation)));
    }
}

#[test]
fn empty_messages_are_messages() {
    let empty = [frame(false, Opcode::Text, b""), frame(true, Opcode::Continuation, b"")].concat();
    let bytes = [last(Opcode::Text, b""), last(Opcode::Binary, b""), empty].concat();
    let text = || Got::Text(String::new());
    assert_eq!(all_cuts(&SERVER, &bytes), [text(), Got::Binary(Vec::new()), text()]);
}

/// Text with its first bad byte: from there on no other bytes could make it good.
const BAD_TEXT: &[(&[u8], usize)] = &[
    (b"ab\xff", 2),
    (b"\x80", 0),
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 12),
    (b"\xe2\x28\xa1", 1),
    (b"\xf0\x9f\x98x", 3),
];

#[test]
fn bad_text_is_refused_at_its_first_bad_byte() {
    for &(text, bad) in BAD_TEXT {
        assert_eq!(all_cuts(&SERVER, &last(Opcode::Text, text)), [Got::Refused(Violation::Text)], "{text:02x?}");
        // In a fragment that is not the last, and in a frame that has just begun.
        let announced = frame(false, Opcode::Text, &[text, &[b'x'; 50]].concat());
        let head = announced.len() - text.len() - 50;
        for frames in [frame(false, Opcode::Text, &text[..=bad]), announced[..=head + bad].to_vec()] {
            assert_eq!(all_cuts(&SERVER, &frames), [Got::Refused(Violation::Text)], "{text:02x?}");
        }
        assert_eq!(all_cuts(&SERVER, &frame(false, Opcode::Text, &text[..bad])), [], "{text:02x?}");
        assert_eq!(all_cuts(&SERVER, &last(Opcode::Binary, text)), [Got::Binary(text.to_vec())]);
    }
}

#[test]
fn characters_may_be_cut_by_fragments_but_not_by_the_end() {
    let text = "κόσμε \u{10ffff}\u{fffe}";
    for at in 0..text.len() {
        let (left, right) = text.as_bytes().split_at(at);
        let bytes = [frame(false, Opcode::Text, left), frame(true, Opcode::Continuation, right)].concat();
        assert_eq!(all_cuts(&SERVER, &bytes), [Got::Text(text.into())]);
        if !text.is_char_boundary(at) {
            assert_eq!(all_cuts(&SERVER, &last(Opcode::Text, left)), [Got::Refused(Violation::Text)]);
            let ended = [frame(false, Opcode::Text, left), frame(true, Opcode::Continuation, b"")].concat();
            assert_eq!(all_cuts(&SERVER, &ended), [Got::Refused(Violation::Text)]);
        }
    }
}

#[test]
fn a_message_has_a_limit() {
    let rules = Rules { max_message: 10, ..SERVER };
    let too_large = [Got::Refused(Violation::TooLarge)];
    assert_eq!(all_cuts(&rules, &last(Opcode::Binary, &[1; 10])), [Got::Binary(vec![1; 10])]);
    assert_eq!(all_cuts(&rules, &last(Opcode::Binary, &[1; 11])), too_large);
    // Refused by its head alone, whatever it announces.
    assert_eq!(all_cuts(&rules, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), too_large);
    let both = |size| [frame(false, Opcode::Text, &[b'a'; 6]), frame(true, Opcode::Continuation, &vec![b'b'; size])];
    assert_eq!(all_cuts(&rules, &both(4).concat()), [Got::Text("aaaaaabbbb".into())]);
    assert_eq!(all_cuts(&rules, &both(5).concat()), too_large);
    // Control frames are not part of it.
    let ping = last(Opcode::Ping, &[9; 125]);
    let mixed = [frame(false, Opcode::Text, &[b'a'; 6]), ping, frame(true, Opcode::Continuation, b"b")].concat();
    assert_eq!(all_cuts(&rules, &mixed), [Got::Ping(vec![9; 125]), Got::Text("aaaaaab".into())]);
}

#[test]
fn nothing_is_held_while_nothing_is_split() {
    assert_eq!(size_of::<Receiver>(), size_of::<usize>());
    let text = last(Opcode::Text, b"hello");
    let split = [frame(false, Opcode::Text, b"hel"), frame(true, Opcode::Continuation, b"lo")].concat();
    for bytes in [&text, &split, &last(Opcode::Ping, b"x")] {
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            let (_, receiver) = receive(&SERVER, &[left]);
            assert_eq!(receiver.is_idle(), at == 0 || at == bytes.len(), "cut at {at}");
            assert_eq!(receiver.held() == 0, receiver.is_idle());
            assert!(receive(&SERVER, &[left, right]).1.is_idle());
        }
    }
}

#[test]
fn memory_follows_what_came_and_not_what_was_announced() {
    let rules = Rules { max_message: 1 << 30, ..SERVER };
    let mut bytes = Vec::new();
    Head { fin: true, compressed: false, opcode: Opcode::Binary, mask: Some(KEY), length: 1 << 30 }.write(&mut bytes);
    bytes.extend_from_slice(&[0; 1000]);
    let (got, receiver) = receive(&rules, &[&bytes]);
    assert_eq!(got, []);
    assert!((1000..3000).contains(&receiver.held()), "{}", receiver.held());
    // And never more than the limit in all.
    let rules = Rules { max_message: 1500, ..SERVER };
    let parts = [frame(false, Opcode::Binary, &[0; 1000]), frame(false, Opcode::Continuation, &[0; 400])].concat();
    let (_, receiver) = receive(&rules, &[&parts]);
    assert!((1400..=1500 + 256).contains(&receiver.held()), "{}", receiver.held());
}
