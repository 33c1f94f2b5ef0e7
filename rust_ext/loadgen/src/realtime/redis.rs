//! The little of Redis's protocol (RESP 2) that its subscribers and publishers need.

use memchr::memchr;

use super::subscriber::Frame;

/// A command.
pub(super) fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The first message pushed and its length; confirmations of subscriptions count as pongs. `None`: more bytes are needed.
///
/// # Errors
/// Anything else.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ()> {
    let Some((count, mut at)) = line(bytes, b'*')? else { return Ok(None) };
    let (Some((kind, next)), 3) = (text(bytes, at)?, count) else { return if count == 3 { Ok(None) } else { Err(()) } };
    at = next;
    let Some((_, next)) = text(bytes, at)? else { return Ok(None) };
    at = next;
    match kind {
        b"subscribe" => Ok(line(&bytes[at..], b':')?.map(|(_, length)| (Frame::Pong, at + length))),
        b"message" => Ok(text(bytes, at)?.map(|(payload, end)| (Frame::Data(payload), end))),
        _ => Err(()),
    }
}

/// A text at `at` and where it ends.
fn text(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, ()> {
    let Some((length, head)) = line(&bytes[at..], b'$')? else { return Ok(None) };
    let start = at + head;
    Ok(bytes.get(start..start + length + 2).map(|text| (&text[..length], start + length + 2)))
}

/// The number behind a mark and the length of the line.
fn line(bytes: &[u8], mark: u8) -> Result<Option<(usize, usize)>, ()> {
    match bytes.first() {
        None => return Ok(None),
        Some(first) if *first != mark => return Err(()),
        Some(_) => {}
    }
    let Some(end) = memchr(b'\n', bytes) else { return if bytes.len() > 32 { Err(()) } else { Ok(None) } };
    let digits = bytes[1..end].strip_suffix(b"\r").ok_or(())?;
    let number = std::str::from_utf8(digits).map_err(|_| ())?.parse().map_err(|_| ())?;
    Ok(Some((number, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::{command, frame};
    use crate::realtime::subscriber::Frame;

    #[test]
    fn what_a_subscriber_gets() {
        let mut bytes = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n".to_vec();
        assert_eq!(frame(&bytes), Ok(Some((Frame::Pong, bytes.len()))));
        bytes.clear();
        command(&[b"message", b"a", b"hello"], &mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(frame(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(frame(&bytes), Ok(Some((Frame::Data(b"hello"), bytes.len()))));
        for wrong in [b"-ERR x\r\n".as_slice(), b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*3\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n"]
        {
            assert_eq!(frame(wrong), Err(()));
        }
    }
}
