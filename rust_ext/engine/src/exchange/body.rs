//! Bodies on their way: framing taken off on one side, put on anew on the other, content never copied twice.

use std::io::{self, IoSlice};
use std::ops::Range;

use fastgate_core::http1::{ChunkedDecoder, Framing, Reason, ReservedNames, ResponseFraming, Trailers, write};

use crate::transport::{Stream, Transport};

/// A body as it is received.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Everything has come, or there never was one.
    Done,
    /// That many bytes are missing.
    Length(u64),
    /// Chunked; boxed, so that other bodies do not carry its size.
    Chunked(Box<ChunkedDecoder>),
    /// Until the sender closes.
    UntilClose,
}

impl From<Framing> for Reader {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(n) => Self::Length(n),
            Framing::Chunked => Self::Chunked(Box::default()),
        }
    }
}

impl From<ResponseFraming> for Reader {
    fn from(framing: ResponseFraming) -> Self {
        match framing {
            ResponseFraming::None | ResponseFraming::Length(0) => Self::Done,
            ResponseFraming::Length(n) => Self::Length(n),
            ResponseFraming::Chunked => Self::Chunked(Box::default()),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }
}

impl Reader {
    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes what belongs to the body from `input`: fills `ranges` with its content, says how many bytes it used.
    ///
    /// A chunked body that has ended keeps its trailers; the caller puts `Done` in its place.
    pub(crate) fn take(&mut self, input: &[u8], ranges: &mut Vec<Range<usize>>) -> Result<Taken, Reason> {
        ranges.clear();
        match self {
            Self::Done => Ok(Taken { used: 0, ended: true }),
            Self::UntilClose => {
                if !input.is_empty() {
                    ranges.push(0..input.len());
                }
                Ok(Taken { used: input.len(), ended: false })
            }
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                if n > 0 {
                    ranges.push(0..n);
                }
                *left -= n as u64;
                let ended = *left == 0;
                if ended {
                    *self = Self::Done;
                }
                Ok(Taken { used: n, ended })
            }
            Self::Chunked(decoder) => {
                let decoded = decoder.decode(input, ranges)?;
                Ok(Taken { used: decoded.consumed, ended: decoded.ended })
            }
        }
    }

    /// The trailers of a chunked body that has ended.
    pub(crate) fn trailers(&self) -> Option<&Trailers> {
        match self {
            Self::Chunked(decoder) => decoder.trailers(),
            Self::Done | Self::Length(_) | Self::UntilClose => None,
        }
    }
}

/// What [`Reader::take`] found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Bytes of the input that belong to the body, framing included.
    pub(crate) used: usize,
    /// The body is complete.
    pub(crate) ended: bool,
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// As it is: the length is known, or the end is the connection's.
    Plain,
    /// In chunks, one for each read.
    Chunked,
}

/// Content up to this size is copied behind its head, so that one plain write takes both.
const COPY_BYTES: usize = 2 * 1024;

/// Most pieces of content in one call; more are copied together.
const MAX_PIECES: usize = 30;

/// Sends what `out` holds and then the content, framed; what did not go out is added to `tail`.
///
/// `out` is left empty. A `tail` that is not empty must have been sent before.
pub(crate) fn send(stream: &Stream, out: &mut Vec<u8>, content: &Content<'_>, tail: &mut Vec<u8>) -> io::Result<usize> {
    debug_assert!(tail.is_empty(), "what waits goes first");
    let total: usize = content.ranges.iter().map(ExactSizeIterator::len).sum();
    if content.writer == Writer::Chunked && total > 0 {
        write::chunk_head(out, total);
    }
    let copied = total <= COPY_BYTES || content.ranges.len() > MAX_PIECES;
    if copied {
        for range in content.ranges {
            out.extend_from_slice(&content.input[range.clone()]);
        }
    }
    let split = out.len();
    if content.writer == Writer::Chunked {
        if total > 0 {
            out.extend_from_slice(b"\r\n");
        }
        if content.ended {
            write::last_chunk(out, content.trailers, content.reserved);
        }
    }
    if out.is_empty() && total == 0 {
        return Ok(0);
    }
    let sent = if copied {
        write_pieces(stream, &[IoSlice::new(out)], tail)
    } else {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES + 2];
        let mut n = 0;
        let (before, after) = out.split_at(split);
        for piece in std::iter::once(before)
            .chain(content.ranges.iter().map(|range| &content.input[range.clone()]))
            .chain(std::iter::once(after))
            .filter(|piece| !piece.is_empty())
        {
            pieces[n] = IoSlice::new(piece);
            n += 1;
        }
        write_pieces(stream, &pieces[..n], tail)
    };
    out.clear();
    sent
}

/// What [`send`] sends behind `out`.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// The bytes that the ranges are of.
    pub(crate) input: &'a [u8],
    /// The content within it.
    pub(crate) ranges: &'a [Range<usize>],
    /// How it is framed.
    pub(crate) writer: Writer,
    /// It is complete with this.
    pub(crate) ended: bool,
    /// Trailers that go with the end of a chunked body.
    pub(crate) trailers: Option<&'a Trailers>,
    /// Names that may not stand in them.
    pub(crate) reserved: Option<&'a ReservedNames>,
}

impl Content<'_> {
    /// None at all: only a head is sent.
    pub(crate) const NONE: Content<'static> =
        Content { input: &[], ranges: &[], writer: Writer::Plain, ended: false, trailers: None, reserved: None };
}

fn write_pieces(stream: &Stream, pieces: &[IoSlice<'_>], tail: &mut Vec<u8>) -> io::Result<usize> {
    let sent = match stream.try_writev(pieces) {
        Ok(n) => n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    let mut skip = sent;
    for piece in pieces {
        if skip >= piece.len() {
            skip -= piece.len();
        } else {
            tail.extend_from_slice(&piece[skip..]);
            skip = 0;
            #[cfg(feature = "planted")]
            if crate::planted::is(crate::planted::Fault::CutTail) {
                break;
            }
        }
    }
    Ok(sent)
}

/// Sends what waits; `true` when nothing waits any more.
pub(crate) fn flush(stream: &Stream, tail: &mut Vec<u8>) -> io::Result<usize> {
    match stream.try_writev(&[IoSlice::new(tail)]) {
        Ok(n) => {
            if n == tail.len() {
                // An idle connection holds no memory.
                *tail = Vec::new();
            } else {
                tail.drain(..n);
            }
            Ok(n)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}
