//! Replies and pushes, decoded into a flat list of nodes that is used again for the next one.

use std::fmt;
use std::ops::Range;

/// Longest line, which is the longest simple string or error.
const MAX_LINE: usize = 16 * 1024;

/// Longest line of a length or a number: a sign and 20 digits.
const MAX_NUMBER: usize = 21;

/// What a server may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a bulk string. A longer one is skipped where it is the last part of a push, refused elsewhere.
    pub bulk: usize,
    /// Nodes of one reply or push.
    pub nodes: usize,
}

/// One part of a reply or push; the parts of an aggregate follow it in order. Ranges count from the frame's begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A simple, bulk or verbatim string, a double or a big number, as its bytes.
    Text(Range<usize>),
    /// A bulk string that was too long and is not there: its length.
    Skipped(usize),
    /// An error.
    Error(Range<usize>),
    /// An integer; a boolean is 0 or 1.
    Integer(i64),
    /// Nothing.
    Null,
    /// So many nodes as a list or set; a map has twice its length.
    List(usize),
    /// So many nodes that are no reply.
    Push(usize),
}

/// What a decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is not a whole frame before at least so many bytes are there.
    Incomplete(usize),
    /// A frame of so many bytes; its nodes are with the decoder.
    Frame {
        /// Bytes that are done with.
        consumed: usize,
        /// Bytes that follow these, belong to a part that was too long, and are to be thrown away.
        skip: usize,
    },
}

/// Why bytes are no RESP3 that a pub/sub client is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A frame begins with a byte that is no type.
    Type(u8),
    /// A line does not end as it must, or is too long.
    Line,
    /// A length or number is none.
    Number,
    /// A bulk string does not end as it must.
    End,
    /// A string or the whole is too large.
    TooLarge,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(byte) => write!(f, "byte {byte:#04x} begins no reply"),
            Self::Line => f.write_str("a line does not end"),
            Self::Number => f.write_str("a length is no number"),
            Self::End => f.write_str("a string does not end where it should"),
            Self::TooLarge => f.write_str("a reply is too large"),
        }
    }
}

/// Reads one frame after the other.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    nodes: Vec<Node>,
}

impl Decoder {
    /// One that keeps to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, nodes: Vec::new() }
    }

    /// The nodes of the last frame.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Looks for a frame at the beginning of `input`.
    ///
    /// # Errors
    /// [`Malformed`]; the connection is of no use any more.
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        self.nodes.clear();
        let (mut at, mut expected) = (0, 1_usize);
        while expected > 0 {
            expected -= 1;
            let Some(&kind) = input.get(at) else { return Ok(Step::Incomplete(at + 1)) };
            let most = if matches!(kind, b'+' | b'-' | b',' | b'(') { MAX_LINE } else { MAX_NUMBER };
            let Some(line) = line(input, at + 1, most)? else { return Ok(Step::Incomplete(input.len() + 1)) };
            let text = &input[line.clone()];
            at = line.end + 2;
            let node = match kind {
                b'+' | b',' | b'(' => Node::Text(line),
                b'-' => Node::Error(line),
                b':' => Node::Integer(number(text)?),
                b'#' => Node::Integer(match text {
                    b"t" => 1,
                    b"f" => 0,
                    _ => return Err(Malformed::Number),
                }),
                b'_' if text.is_empty() => Node::Null,
                b'$' | b'!' | b'=' if text == b"-1" => Node::Null,
                b'*' if text == b"-1" => Node::Null,
                b'$' | b'!' | b'=' => {
                    let length = self.length(text)?;
                    if length > self.limits.bulk {
                        if expected > 0 || !matches!(self.nodes.first(), Some(Node::Push(_))) {
                            return Err(Malformed::TooLarge);
                        }
                        self.nodes.push(Node::Skipped(length));
                        let end = at + length + 2;
                        let consumed = end.min(input.len());
                        return Ok(Step::Frame { consumed, skip: end - consumed });
                    }
                    let end = at + length;
                    if input.len() < end + 2 {
                        return Ok(Step::Incomplete(end + 2));
                    }
                    if input[end..end + 2] != *b"\r\n" {
                        return Err(Malformed::End);
                    }
                    let range = std::mem::replace(&mut at, end + 2)..end;
                    if kind == b'!' { Node::Error(range) } else { Node::Text(range) }
                }
                b'*' | b'~' | b'>' | b'%' => {
                    let parts = self.length(text)? * if kind == b'%' { 2 } else { 1 };
                    expected += parts;
                    if self.nodes.len() + expected >= self.limits.nodes {
                        return Err(Malformed::TooLarge);
                    }
                    if kind == b'>' { Node::Push(parts) } else { Node::List(parts) }
                }
                other => return Err(Malformed::Type(other)),
            };
            self.nodes.push(node);
        }
        Ok(Step::Frame { consumed: at, skip: 0 })
    }

    /// A length: what is beyond 512 MiB, the largest string that Redis holds, is none.
    fn length(&self, text: &[u8]) -> Result<usize, Malformed> {
        let length = usize::try_from(number(text)?).map_err(|_| Malformed::Number)?;
        if length > 512 * 1024 * 1024 { Err(Malformed::TooLarge) } else { Ok(length) }
    }
}

/// The line that begins there, without its end; `None` while its end is not there.
fn line(input: &[u8], from: usize, most: usize) -> Result<Option<Range<usize>>, Malformed> {
    let rest = &input[from.min(input.len())..];
    match memchr::memchr(b'\r', &rest[..rest.len().min(most + 1)]) {
        None if rest.len() > most => Err(Malformed::Line),
        None => Ok(None),
        Some(length) => match rest.get(length + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(from..from + length)),
            Some(_) => Err(Malformed::Line),
        },
    }
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Number);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bulk: 16, nodes: 32 };

    fn whole(input: &[u8]) -> Result<(Step, Vec<Node>), Malformed> {
        let mut decoder = Decoder::new(LIMITS);
        decoder.decode(input).map(|step| (step, decoder.nodes.clone()))
    }

    fn nodes(input: &[u8]) -> Vec<Node> {
        let (step, nodes) = whole(input).unwrap();
        assert_eq!(step, Step::Frame { consumed: input.len(), skip: 0 });
        nodes
    }

    #[test]
    fn every_type_is_read() {
        assert_eq!(nodes(b"+OK\r\n"), [Node::Text(1..3)]);
        assert_eq!(nodes(b"-ERR no\r\n"), [Node::Error(1..7)]);
        assert_eq!(nodes(b"!3\r\nERR\r\n"), [Node::Error(4..7)]);
        assert_eq!(nodes(b":-12\r\n"), [Node::Integer(-12)]);
        assert_eq!(nodes(b"#t\r\n"), [Node::Integer(1)]);
        assert_eq!(nodes(b"_\r\n"), [Node::Null]);
        assert_eq!(nodes(b"$-1\r\n"), [Node::Null]);
        assert_eq!(nodes(b"$0\r\n\r\n"), [Node::Text(4..4)]);
        assert_eq!(nodes(b"=5\r\ntxt:a\r\n"), [Node::Text(4..9)]);
        assert_eq!(
            nodes(b"%1\r\n+a\r\n*1\r\n:1\r\n"),
            [Node::List(2), Node::Text(5..6), Node::List(1), Node::Integer(1)]
        );
        let push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n";
        assert_eq!(nodes(push), [Node::Push(3), Node::Text(8..15), Node::Text(21..22), Node::Text(28..30)]);
    }

    #[test]
    fn a_frame_is_the_same_wherever_it_is_cut() {
        let push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n+next";
        let expected = nodes(&push[..push.len() - 5]);
        for cut in 0..push.len() - 5 {
            let Step::Incomplete(need) = whole(&push[..cut]).unwrap().0 else { panic!("whole at {cut}") };
            assert!(need > cut && need <= push.len() - 5, "at {cut} it asks for {need}");
        }
        assert_eq!(whole(push).unwrap(), (Step::Frame { consumed: push.len() - 5, skip: 0 }, expected));
    }

    #[test]
    fn a_publication_that_is_too_long_is_skipped() {
        let mut push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$17\r\n".to_vec();
        let head = push.len();
        let (step, nodes) = whole(&push).unwrap();
        assert_eq!((step, nodes.last()), (Step::Frame { consumed: head, skip: 19 }, Some(&Node::Skipped(17))));
        push.extend_from_slice(b"01234567890123456\r\n+OK\r\n");
        assert_eq!(whole(&push).unwrap().0, Step::Frame { consumed: head + 19, skip: 0 });
        // Elsewhere nothing so long is expected.
        assert_eq!(whole(b"$17\r\n"), Err(Malformed::TooLarge));
        assert_eq!(whole(b">2\r\n$17\r\n"), Err(Malformed::TooLarge));
    }

    #[test]
    fn what_is_no_resp3_is_refused() {
        for (input, reason) in [
            (&b"HTTP/1.1 400\r\n"[..], Malformed::Type(b'H')),
            (b"?x\r\n", Malformed::Type(b'?')),
            (b"|1\r\n+a\r\n+b\r\n+c\r\n", Malformed::Type(b'|')),
            (b"_x\r\n", Malformed::Type(b'_')),
            (b"$?\r\n", Malformed::Number),
            (b"$+1\r\n", Malformed::Number),
            (b"$\r\n", Malformed::Number),
            (b"$-2\r\n", Malformed::Number),
            (b":1e5\r\n", Malformed::Number),
            (b":99999999999999999999\r\n", Malformed::Number),
            (b"#x\r\n", Malformed::Number),
            (b":1\rx", Malformed::Line),
            (b":1111111111111111111111", Malformed::Line),
            (b"$1\r\nabc", Malformed::End),
            (b"*99999999999\r\n", Malformed::TooLarge),
            (b"*32\r\n", Malformed::TooLarge),
            (b"*9\r\n*9\r\n*9\r\n*9\r\n", Malformed::TooLarge),
        ] {
            assert_eq!(whole(input), Err(reason), "{}", input.escape_ascii());
        }
        let mut long = vec![b'+'];
        long.resize(MAX_LINE + 3, b'a');
        assert_eq!(whole(&long), Err(Malformed::Line));
    }
}
