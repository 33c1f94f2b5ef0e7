//! Properties over generated connections: what was sent arrives, however it is fragmented and cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        ".{0,200}".prop_map(Sent::Text),
        vec(any::<u8>(), 0..400).prop_map(Sent::Binary),
        vec(any::<u8>(), 0..=125).prop_map(Sent::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Sent::Pong),
    ]
}

fn masked(out: &mut Vec<u8>, fin: bool, opcode: Opcode, key: [u8; 4], payload: &[u8]) {
    Head { fin, compressed: false, opcode, mask: Some(key), length: payload.len() as u64 }.write(out);
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
}

/// A message in fragments of `size` bytes, a pong behind each but the last.
fn fragmented(out: &mut Vec<u8>, got: &mut Vec<Got>, first: Opcode, data: &[u8], size: usize, key: [u8; 4]) {
    let mut pieces = data.chunks(size.max(1)).peekable();
    let mut opcode = first;
    loop {
        let piece = pieces.next().unwrap_or_default();
        let fin = pieces.peek().is_none();
        masked(out, fin, opcode, key, piece);
        if fin {
            break;
        }
        masked(out, true, Opcode::Pong, key, &piece[..piece.len().min(125)]);
        got.push(Got::Pong(piece[..piece.len().min(125)].to_vec()));
        opcode = Opcode::Continuation;
    }
}

fn cut(bytes: &[u8], mut cuts: Vec<usize>) -> Vec<Vec<u8>> {
    cuts.iter_mut().for_each(|at| *at %= bytes.len() + 1);
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn what_is_sent_arrives(
        all in vec((sent(), 1..200_usize, any::<[u8; 4]>()), 0..8),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (sent, size, key) in all {
            let event = match sent {
                Sent::Text(text) => {
                    fragmented(&mut bytes, &mut expected, Opcode::Text, text.as_bytes(), size, key);
                    Got::Text(text)
                }
                Sent::Binary(data) => {
                    fragmented(&mut bytes, &mut expected, Opcode::Binary, &data, size, key);
                    Got::Binary(data)
                }
                Sent::Ping(data) => {
                    write_masked_frame(&mut bytes, Opcode::Ping, key, &data);
                    Got::Ping(data)
                }
                Sent::Pong(data) => {
                    write_masked_frame(&mut bytes, Opcode::Pong, key, &data);
                    Got::Pong(data)
                }
            };
            expected.push(event);
        }
        let parts = cut(&bytes, cuts);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (got, receiver) = receive(&SERVER, &parts);
        prop_assert_eq!(got, expected);
        prop_assert!(receiver.is_idle());
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        bytes in vec(prop_oneof![Just(0x81_u8), Just(0x80), Just(0x01), Just(0x82), Just(0x89), any::<u8>()], 0..60),
        cuts in vec(any::<usize>(), 0..6),
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
    ) {
        let rules = Rules { role, max_message: 40, deflate: false };
        let parts = cut(&bytes, cuts);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (got, receiver) = receive(&rules, &parts);
        prop_assert_eq!(got, receive(&rules, &[&bytes]).0);
        prop_assert!(receiver.held() <= rules.max_message + 256, "{} held", receiver.held());
    }

    #[test]
    fn masking_is_undone_by_itself(data in vec(any::<u8>(), 0..70), key in any::<[u8; 4]>(), at in 0..70_usize) {
        let mut masked = data.clone();
        crate::websocket::apply_mask(&mut masked, key);
        let slow: Vec<u8> = data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
        prop_assert_eq!(&masked, &slow);
        let at = at.min(data.len());
        crate::websocket::apply_mask(&mut masked[..at], key);
        crate::websocket::apply_mask(&mut masked[at..], crate::websocket::mask::rotated(key, at));
        prop_assert_eq!(masked, data);
    }
}
