//! permessage-deflate: the examples of RFC 7692, offers, limits while inflating, what does not decompress.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::websocket::{Deflater, MalformedExtensions, negotiate_deflate, write_compressed};

const DEFLATE: Rules = Rules { deflate: true, ..SERVER };
/// "Hello" (RFC 7692 §7.2.3.1).
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

fn compressed(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let first = opcode != Opcode::Continuation;
    let mut out = Vec::new();
    Head { fin, compressed: first, opcode, mask: Some(KEY), length: payload.len() as u64 }.write(&mut out);
    out.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn only(rules: &Rules, payload: &[u8]) -> Got {
    let mut got = all_cuts(rules, &compressed(true, Opcode::Text, payload));
    assert_eq!(got.len(), 1, "{got:?}");
    got.remove(0)
}

#[test]
fn the_examples_of_section_7_2_3() {
    let hello = || Got::Text("Hello".into());
    assert_eq!(only(&DEFLATE, HELLO), hello());
    // In two fragments; without compression; with a last block; in two blocks; empty.
    let split =
        [compressed(false, Opcode::Text, &HELLO[..3]), compressed(true, Opcode::Continuation, &HELLO[3..])].concat();
    assert_eq!(all_cuts(&DEFLATE, &split), [hello()]);
    assert_eq!(only(&DEFLATE, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), hello());
    assert_eq!(only(&DEFLATE, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello());
    assert_eq!(only(&DEFLATE, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), hello());
    assert_eq!(only(&DEFLATE, b"\x00"), Got::Text(String::new()));
    // A message may come as it is; the next one is not changed by what came before.
    let both =
        [compressed(true, Opcode::Text, HELLO), last(Opcode::Text, b"Hello"), compressed(true, Opcode::Text, HELLO)];
    assert_eq!(all_cuts(&DEFLATE, &both.concat()), [hello(), hello(), hello()]);
}

#[test]
fn the_bit_of_section_6_stands_on_the_first_frame_of_a_data_message_only() {
    let refused = [Got::Refused(Violation::ReservedBit)];
    assert_eq!(all_cuts(&SERVER, &compressed(true, Opcode::Text, HELLO)), refused);
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        assert_eq!(all_cuts(&DEFLATE, &compressed(true, opcode, b"")), refused);
    }
    let mut continued = compressed(false, Opcode::Text, &HELLO[..3]);
    Head { fin: true, compressed: true, opcode: Opcode::Continuation, mask: Some(KEY), length: 0 }
        .write(&mut continued);
    assert_eq!(all_cuts(&DEFLATE, &continued), refused);
    assert_eq!(all_cuts(&DEFLATE, b"\xa1\x80"), refused);
}

#[test]
fn what_does_not_decompress_or_is_not_text_is_refused() {
    for wrong in [
        &b""[..],
        b"\xff\xff",
        &HELLO[..3],
        b"\x07",
        // A last block without the byte behind it, a stored block cut short, a distance before the beginning.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        b"\x00\x05\x00\xfa\xffHel",
        b"\x02\x02\x00",
    ] {
        assert_eq!(only(&DEFLATE, wrong), Got::Refused(Violation::Compression), "{wrong:02x?}");
    }
    assert_eq!(only(&DEFLATE, b"\x00\x02\x00\xfd\xff\xc3\x28\x00"), Got::Refused(Violation::Text));
    assert_eq!(only(&DEFLATE, b"\x00\x01\x00\xfe\xff\xc3\x00"), Got::Refused(Violation::Text));
}

#[test]
fn the_limit_holds_while_inflating() {
    let zeros = Deflater::new().deflate(&vec![b'0'; 1000]).expect("it gets smaller");
    assert!(zeros.len() < 30);
    let rules = |max_message| Rules { max_message, ..DEFLATE };
    assert_eq!(only(&rules(1000), &zeros), Got::Text("0".repeat(1000)));
    for short in [999, 500, 65, 64, 10, 1] {
        let expected = Got::Refused(Violation::TooLarge);
        assert_eq!(only(&rules(short), &zeros), expected, "{short}");
    }
    // A bomb takes no more memory than the limit.
    let bomb = Deflater::new().deflate(&vec![0; 50 << 20]).expect("it gets smaller");
    let (got, receiver) = receive(&rules(1 << 16), &[&compressed(true, Opcode::Binary, &bomb)]);
    assert_eq!(got, [Got::Refused(Violation::TooLarge)]);
    assert!(receiver.held() < (1 << 16) + 300, "{}", receiver.held());
    // What is nothing but empty blocks is bounded on the wire.
    let empty = [0, 0, 0, 0xff, 0xff].repeat(100);
    assert_eq!(only(&rules(100), &[&empty[..], b"\x00"].concat()), Got::Refused(Violation::TooLarge));
    assert_eq!(only(&rules(1000), &[&empty[..], b"\x00"].concat()), Got::Text(String::new()));
}

#[test]
fn what_gets_no_smaller_is_not_compressed() {
    let mut deflater = Deflater::new();
    assert_eq!(deflater.deflate(b""), None);
    assert_eq!(deflater.deflate(b"short"), None);
    let noise: Vec<u8> = (0..300_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(deflater.deflate(&noise), None);
    let mut out = Vec::new();
    let text = "the same words, ".repeat(20);
    write_compressed(&mut out, Opcode::Text, &deflater.deflate(text.as_bytes()).expect("it gets smaller"));
    let client = Rules { role: Role::Client, ..DEFLATE };
    assert_eq!(all_cuts(&client, &out), [Got::Text(text)]);
}

#[test]
fn offers() {
    let plain = Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    let window =
        Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15");
    for (offer, answer) in [
        ("permessage-deflate", plain),
        ("permessage-deflate; client_max_window_bits", plain),
        (" permessage-deflate ;\tclient_max_window_bits = 10 ", plain),
        ("permessage-deflate;client_max_window_bits=\"8\"", plain),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", plain),
        ("permessage-deflate; server_max_window_bits=15", window),
        ("permessage-deflate; server_max_window_bits=\"1\\5\"", window),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", plain),
        ("x-webkit-deflate-frame, , permessage-deflate; client_max_window_bits", plain),
        ("other; a=b; c=\"d\"", None),
        ("permessage-bzip2", None),
        ("permessage-deflate; server_max_window_bits=14", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=015", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=08", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=15", None),
        ("permessage-deflate; unknown", None),
    ] {
        assert_eq!(negotiate_deflate([offer.as_bytes()]), Ok(answer), "{offer}");
    }
    assert_eq!(negotiate_deflate(std::iter::empty()), Ok(None));
    assert_eq!(negotiate_deflate([&b"foo"[..], b"permessage-deflate"]), Ok(plain));
    for wrong in [
        "",
        " ",
        ",",
        ";",
        "a b",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate; =1",
        "a; b=",
        "a; b=\"",
        "a; b=\"c",
        "a; b=\"c d\"",
        "a; b=\"\"",
        "a; b=\"\\",
        "a; b=c d",
        "a=b",
        "permessage-deflate, a/b",
        "é",
    ] {
        assert_eq!(negotiate_deflate([wrong.as_bytes()]), Err(MalformedExtensions), "{wrong}");
        // Wherever it stands.
        assert!(
            wrong.len() < 2
                || negotiate_deflate([&b"permessage-deflate"[..], wrong.as_bytes()]).is_err()
                || wrong.trim().is_empty()
        );
    }
}

proptest! {
    #[test]
    fn what_is_compressed_arrives(
        pieces in vec(("[a-z ]{0,20}", 1..60_usize), 0..30),
        fragment in 1..400_usize,
    ) {
        let text: String = pieces.iter().map(|(text, count)| text.repeat(*count)).collect();
        let Some(payload) = Deflater::new().deflate(text.as_bytes()) else { return Ok(()) };
        prop_assert!(payload.len() < text.len());
        let mut bytes = Vec::new();
        let count = payload.chunks(fragment).count();
        for (i, piece) in payload.chunks(fragment).enumerate() {
            let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
            bytes.extend(compressed(i + 1 == count, opcode, piece));
            bytes.extend(last(Opcode::Ping, b""));
        }
        let (mut got, receiver) = receive(&Rules { max_message: text.len(), ..DEFLATE }, &[&bytes]);
        got.retain(|event| *event != Got::Ping(Vec::new()));
        prop_assert_eq!(got, vec![Got::Text(text)]);
        prop_assert!(receiver.is_idle());
    }

    #[test]
    fn any_bytes_inflate_to_a_message_within_the_limit_or_are_refused(payload in vec(any::<u8>(), 0..200)) {
        let rules = Rules { max_message: 150, ..DEFLATE };
        match receive(&rules, &[&compressed(true, Opcode::Binary, &payload)]).0.as_slice() {
            [Got::Binary(data)] => prop_assert!(data.len() <= 150),
            [Got::Refused(Violation::Compression | Violation::TooLarge)] => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
