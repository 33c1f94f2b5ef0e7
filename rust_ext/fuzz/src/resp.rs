//! Target `resp`: what a Redis server may send, and the URL it stands at.

use fastgate_core::resp::{self, Decoder, Limits, Node, SLOTS, Server, Step, slot};

use crate::knobs;

/// One part of a frame, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Error(Vec<u8>),
    Skipped(usize),
    Integer(i64),
    Null,
    List(usize),
    Push(usize),
}

/// How a stream stands after the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// More may come, or must.
    Open,
    /// So many bytes that follow are thrown away.
    Skipping(usize),
    Refused,
}

type Read = (Vec<Vec<Part>>, Stand);

/// Whatever the bytes: no cut changes what is read, a slow model reads the same, a command is read as it was written.
/// Bits of the first byte: 0 small limits, 7 a URL.
pub fn resp(bytes: &[u8]) {
    let Some((chosen, bytes)) = knobs::split(bytes) else { return };
    if knobs::bit(chosen, 7) {
        return url(bytes);
    }
    let limits =
        if knobs::bit(chosen, 0) { Limits { bulk: 16, nodes: 32 } } else { Limits { bulk: 1 << 20, nodes: 1 << 12 } };
    let whole = read(limits, bytes, &[]);
    let drip: Vec<usize> = (1..bytes.len().min(2_000)).collect();
    assert_eq!(read(limits, bytes, &drip), whole, "fed byte by byte");
    for cut in knobs::cuts(bytes.len()) {
        assert_eq!(read(limits, bytes, &[cut]), whole, "cut at {cut}");
    }
    assert_eq!(model(limits, bytes), whole, "the model reads something else");
    command(bytes);
}

/// Reads the stream cut at these places, as a connection does: nothing is looked at before what is needed is there.
fn read(limits: Limits, bytes: &[u8], cuts: &[usize]) -> Read {
    let (mut decoder, mut frames) = (Decoder::new(limits), Vec::new());
    let (mut at, mut need, mut skip) = (0, 1, 0);
    for &to in cuts.iter().chain([&bytes.len()]) {
        loop {
            let skipped = skip.min(to - at);
            (at, skip) = (at + skipped, skip - skipped);
            if to - at < need {
                break;
            }
            match decoder.decode(&bytes[at..to]) {
                Ok(Step::Incomplete(least)) => {
                    assert!(least > to - at, "it asks for {least} bytes and has {}", to - at);
                    need = least;
                }
                Ok(Step::Frame { consumed, skip: rest }) => {
                    assert!(consumed > 0 && consumed <= to - at, "{consumed} bytes taken of {}", to - at);
                    assert!(decoder.nodes().len() <= limits.nodes, "{} nodes", decoder.nodes().len());
                    let frame = &bytes[at..at + consumed];
                    frames.push(decoder.nodes().iter().map(|node| part(node, frame)).collect());
                    (at, need, skip) = (at + consumed, 1, rest);
                }
                Err(malformed) => {
                    assert!(!malformed.to_string().is_empty());
                    return (frames, Stand::Refused);
                }
            }
        }
    }
    (frames, if skip > 0 { Stand::Skipping(skip) } else { Stand::Open })
}

fn part(node: &Node, frame: &[u8]) -> Part {
    match node {
        Node::Text(range) => Part::Text(frame[range.clone()].to_vec()),
        Node::Error(range) => Part::Error(frame[range.clone()].to_vec()),
        Node::Skipped(length) => Part::Skipped(*length),
        Node::Integer(value) => Part::Integer(*value),
        Node::Null => Part::Null,
        Node::List(parts) => Part::List(*parts),
        Node::Push(parts) => Part::Push(*parts),
    }
}

/// Why the model stops.
enum Stop {
    More,
    Bad,
}

/// A reader of its own, slow and by recursion.
struct Model<'a> {
    rest: &'a [u8],
    limits: Limits,
    parts: Vec<Part>,
    /// Nodes of this frame that are known of.
    declared: usize,
    /// Bytes to throw away behind the frame.
    skip: usize,
}

fn model(limits: Limits, bytes: &[u8]) -> Read {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let mut one = Model { rest, limits, parts: Vec::new(), declared: 1, skip: 0 };
        match one.value() {
            Ok(()) if one.skip > one.rest.len() => {
                frames.push(one.parts);
                return (frames, Stand::Skipping(one.skip - one.rest.len()));
            }
            Ok(()) => {
                rest = &one.rest[one.skip..];
                frames.push(one.parts);
            }
            Err(Stop::More) => break,
            Err(Stop::Bad) => return (frames, Stand::Refused),
        }
    }
    (frames, Stand::Open)
}

impl<'a> Model<'a> {
    fn value(&mut self) -> Result<(), Stop> {
        let (&kind, rest) = self.rest.split_first().ok_or(Stop::More)?;
        self.rest = rest;
        match kind {
            b'+' | b',' | b'(' => {
                let text = self.line(16 * 1024)?;
                self.parts.push(Part::Text(text.to_vec()));
            }
            b'-' => {
                let text = self.line(16 * 1024)?;
                self.parts.push(Part::Error(text.to_vec()));
            }
            b':' => {
                let text = self.line(21)?;
                self.parts.push(Part::Integer(integer(text)?));
            }
            b'#' => match self.line(21)? {
                b"t" => self.parts.push(Part::Integer(1)),
                b"f" => self.parts.push(Part::Integer(0)),
                _ => return Err(Stop::Bad),
            },
            b'_' => match self.line(21)? {
                b"" => self.parts.push(Part::Null),
                _ => return Err(Stop::Bad),
            },
            b'$' | b'!' | b'=' => return self.string(kind),
            b'*' | b'~' | b'>' | b'%' => {
                let text = self.line(21)?;
                if kind == b'*' && text == b"-1" {
                    self.parts.push(Part::Null);
                    return Ok(());
                }
                let parts = length(text)? * if kind == b'%' { 2 } else { 1 };
                self.declared += parts;
                if self.declared > self.limits.nodes {
                    return Err(Stop::Bad);
                }
                self.parts.push(if kind == b'>' { Part::Push(parts) } else { Part::List(parts) });
                for _ in 0..parts {
                    self.value()?;
                }
            }
            _ => {
                // Its line is looked at first.
                self.line(21)?;
                return Err(Stop::Bad);
            }
        }
        Ok(())
    }

    fn string(&mut self, kind: u8) -> Result<(), Stop> {
        let text = self.line(21)?;
        if text == b"-1" {
            self.parts.push(Part::Null);
            return Ok(());
        }
        let length = length(text)?;
        if length > self.limits.bulk {
            let last = self.parts.len() + 1 == self.declared;
            if !last || !matches!(self.parts.first(), Some(Part::Push(_))) {
                return Err(Stop::Bad);
            }
            self.parts.push(Part::Skipped(length));
            self.skip = length + 2;
            return Ok(());
        }
        let bytes = self.rest.get(..length).ok_or(Stop::More)?;
        match self.rest.get(length..length + 2) {
            None => return Err(Stop::More),
            Some(b"\r\n") => {}
            Some(_) => return Err(Stop::Bad),
        }
        self.rest = &self.rest[length + 2..];
        self.parts.push(if kind == b'!' { Part::Error(bytes.to_vec()) } else { Part::Text(bytes.to_vec()) });
        Ok(())
    }

    fn line(&mut self, most: usize) -> Result<&'a [u8], Stop> {
        for at in 0..=most {
            match self.rest.get(at) {
                None => return Err(Stop::More),
                Some(b'\r') => {
                    let line = &self.rest[..at];
                    match self.rest.get(at + 1) {
                        None => return Err(Stop::More),
                        Some(b'\n') => self.rest = &self.rest[at + 2..],
                        Some(_) => return Err(Stop::Bad),
                    }
                    return Ok(line);
                }
                Some(_) => {}
            }
        }
        Err(Stop::Bad)
    }
}

/// Decimal digits with or without a minus, digit by digit.
fn integer(text: &[u8]) -> Result<i64, Stop> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut value = 0_i128;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Stop::Bad);
        }
        value = value * 10 + i128::from(digit - b'0');
    }
    if digits.is_empty() {
        return Err(Stop::Bad);
    }
    i64::try_from(if negative { -value } else { value }).map_err(|_| Stop::Bad)
}

fn length(text: &[u8]) -> Result<usize, Stop> {
    let length = usize::try_from(integer(text)?).map_err(|_| Stop::Bad)?;
    if length > 512 << 20 { Err(Stop::Bad) } else { Ok(length) }
}

/// A command of any words is read as these words, whatever they hold.
fn command(bytes: &[u8]) {
    let words: Vec<&[u8]> = bytes.split(|b| *b == b' ').take(64).collect();
    let mut out = Vec::new();
    resp::command(&mut out, &words);
    let expected = std::iter::once(Part::List(words.len())).chain(words.iter().map(|word| Part::Text(word.to_vec())));
    let limits = Limits { bulk: bytes.len(), nodes: 65 };
    assert_eq!(read(limits, &out, &[]), (vec![expected.collect()], Stand::Open), "a command is read as another");
    assert!(words.iter().all(|word| slot(word) < SLOTS));
}

/// A URL that is taken is shown as a place, never with a password; what is refused is refused in words of our own.
fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Server::parse(text) {
        Ok(Server::Tcp { host, port, tls }) => {
            assert!(port > 0 && !host.is_empty() && !host.contains('@'));
            assert_eq!(tls, text.starts_with("rediss:"));
            let scheme = if tls { "rediss" } else { "redis" };
            let server = Server::Tcp { host, port, tls };
            assert_eq!(Server::parse(&format!("{scheme}://{server}")), Ok(server), "shown, it is another");
        }
        Ok(server @ Server::Unix(_)) => assert_eq!(Server::parse(&server.to_string()), Ok(server)),
        Err(reason) => assert!(!reason.is_empty()),
    }
}
