//! The chunked transfer coding, decoded strictly (RFC 9112 §7.1).

use std::ops::Range;

use super::Reason;
use super::scan::{hex, is_token_byte, is_value_byte};
use super::trailers::{TrailerReader, Trailers};

/// Bytes of one chunk's extensions.
const MAX_EXTENSION: u16 = 256;
/// Bytes of all extensions of a body.
const MAX_EXTENSIONS: u16 = 16 * 1024;
/// Hex digits of a chunk size.
const MAX_DIGITS: u8 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Size,
    /// After `;`: white space or the first byte of a name.
    ExtensionStart,
    ExtensionName,
    /// White space after a name: `=` or `;` must follow.
    ExtensionNameEnd,
    /// After `=`: white space, a token or a quoted string.
    ValueStart,
    ValueToken,
    Quoted,
    QuotedPair,
    /// After a closing quote: `;` or the line end.
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// After the last chunk: the empty line or a trailer.
    Trailer,
    LastLf,
    Trailers,
    Ended,
}

/// What one call decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that belong to the body; less than its length only when it ended.
    pub consumed: usize,
    /// The last chunk and the trailer section have been read.
    pub ended: bool,
}

/// An incremental decoder that never copies data: it says which ranges of its input are body data.
///
/// At most 16 hex digits of size with nothing around them; well-formed extensions are ignored, up to 256 bytes a chunk
/// and 16 KiB a body; trailers up to 8 KiB. After an error it is of no further use.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    /// Bytes of the current chunk still to come, or its size while that is read.
    remaining: u64,
    trailers: Option<Box<TrailerReader>>,
    extension: u16,
    extensions: u16,
    digits: u8,
    state: State,
}

const _: () = assert!(size_of::<ChunkedDecoder>() <= 64);

impl ChunkedDecoder {
    /// Decodes the next part of a body; appends the ranges of `input` that are data.
    ///
    /// # Errors
    /// The first byte that breaks the coding or a limit.
    pub fn decode(&mut self, input: &[u8], data: &mut Vec<Range<usize>>) -> Result<Decoded, Reason> {
        let mut at = 0;
        while let Some(&b) = input.get(at) {
            match self.state {
                State::Data => {
                    let there = input.len().wrapping_sub(at);
                    let take = usize::try_from(self.remaining).map_or(there, |n| n.min(there));
                    let end = at.wrapping_add(take);
                    data.push(at..end);
                    self.remaining = self.remaining.wrapping_sub(take as u64);
                    at = end;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    continue;
                }
                State::Trailers => {
                    let Some(reader) = self.trailers.as_mut() else { return Err(Reason::TrailerSyntax) };
                    let (consumed, ended) = reader.read(input.get(at..).unwrap_or_default())?;
                    at = at.wrapping_add(consumed);
                    if ended {
                        self.state = State::Ended;
                    }
                    continue;
                }
                State::Ended => break,
                State::Trailer if b != b'\r' => {
                    self.trailers = Some(Box::default());
                    self.state = State::Trailers;
                    continue;
                }
                _ => self.state = self.step(b)?,
            }
            at = at.wrapping_add(1);
        }
        Ok(Decoded { consumed: at, ended: self.state == State::Ended })
    }

    /// Everything but data and trailers goes byte by byte.
    #[inline]
    fn step(&mut self, b: u8) -> Result<State, Reason> {
        match self.state {
            State::Size => self.size(b),
            State::SizeLf => match b {
                b'\n' => Ok(self.line_read()),
                _ => Err(Reason::BareCr),
            },
            State::DataCr => match b {
                b'\r' => Ok(State::DataLf),
                b'\n' => Err(Reason::BareLf),
                _ => Err(Reason::ChunkEnd),
            },
            State::DataLf => match b {
                b'\n' => Ok(State::Size),
                _ => Err(Reason::BareCr),
            },
            State::Trailer => Ok(State::LastLf),
            State::LastLf => match b {
                b'\n' => Ok(State::Ended),
                _ => Err(Reason::BareCr),
            },
            state => self.extension(state, b),
        }
    }

    #[inline]
    fn size(&mut self, b: u8) -> Result<State, Reason> {
        if let Some(digit) = hex(b) {
            if self.digits == MAX_DIGITS {
                return Err(Reason::ChunkSize);
            }
            self.digits = self.digits.wrapping_add(1);
            // 16 hex digits are 64 bits.
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match b {
            b'\n' => Err(Reason::BareLf),
            _ if self.digits == 0 => Err(Reason::ChunkSize),
            b'\r' => Ok(State::SizeLf),
            b';' => {
                self.extension = 0;
                self.count_extension()?;
                Ok(State::ExtensionStart)
            }
            _ => Err(Reason::ChunkSize),
        }
    }

    fn line_read(&mut self) -> State {
        self.digits = 0;
        if self.remaining == 0 { State::Trailer } else { State::Data }
    }

    fn count_extension(&mut self) -> Result<(), Reason> {
        self.extension = self.extension.wrapping_add(1);
        self.extensions = self.extensions.wrapping_add(1);
        if self.extension > MAX_EXTENSION || self.extensions > MAX_EXTENSIONS {
            Err(Reason::ChunkExtensionTooLong)
        } else {
            Ok(())
        }
    }

    /// `*( ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 §7.1.1).
    #[cold]
    fn extension(&mut self, state: State, b: u8) -> Result<State, Reason> {
        use State as S;
        let next = match (state, b) {
            (S::ExtensionStart | S::ExtensionNameEnd | S::ValueStart, b' ' | b'\t') => state,
            (S::ExtensionName, b' ' | b'\t') => S::ExtensionNameEnd,
            (S::ExtensionStart | S::ExtensionName, _) if is_token_byte(b) => S::ExtensionName,
            (S::ExtensionName | S::ExtensionNameEnd, b'=') => S::ValueStart,
            (S::ValueStart, b'"') => S::Quoted,
            (S::ValueStart | S::ValueToken, _) if is_token_byte(b) => S::ValueToken,
            (S::Quoted, b'"') => S::QuotedEnd,
            (S::Quoted, b'\\') => S::QuotedPair,
            (S::Quoted | S::QuotedPair, _) if is_value_byte(b) => S::Quoted,
            (S::ExtensionName | S::ExtensionNameEnd | S::ValueToken | S::QuotedEnd, b';') => S::ExtensionStart,
            (S::ExtensionName | S::ValueToken | S::QuotedEnd, b'\r') => return Ok(S::SizeLf),
            (_, b'\n') => return Err(Reason::BareLf),
            _ => return Err(Reason::ChunkExtension),
        };
        self.count_extension()?;
        Ok(next)
    }

    /// Whether the body, trailers included, has been read.
    #[inline]
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The trailer fields that may be passed on; `None` when there is none, or while the body has not ended.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_ref().filter(|_| self.ended()).map(|reader| reader.kept()).filter(|kept| !kept.is_empty())
    }
}
