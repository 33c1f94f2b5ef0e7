//! Commands: arrays of bulk strings.

/// Begins a command of `n` words.
pub fn array(out: &mut Vec<u8>, n: usize) {
    header(out, b'*', n);
}

/// Adds one word.
pub fn bulk(out: &mut Vec<u8>, word: &[u8]) {
    bulk_of(out, &[word]);
}

/// Adds one word that is made of several pieces.
pub fn bulk_of(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    header(out, b'$', pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\r\n");
}

/// A whole command.
pub fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    array(out, words.len());
    for word in words {
        bulk(out, word);
    }
}

fn header(out: &mut Vec<u8>, kind: u8, n: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"PUBLISH", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$7\r\nPUBLISH\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
        out.clear();
        bulk_of(&mut out, &[b"app:", b"room"]);
        assert_eq!(out, b"$8\r\napp:room\r\n");
    }
}
