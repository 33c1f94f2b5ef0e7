//! Reads the chunked coding (RFC 9112 §7.1) piece by piece; extensions and trailer lines are skipped.

/// A size line or trailer line longer than this is refused.
const LINE: u32 = 8 * 1024;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    Data,
    DataEnd,
    Trailer,
}

/// Where in a chunked body the reader stands.
#[derive(Debug, Clone, Default)]
pub struct Chunked {
    state: State,
    left: u64,
    digits: u32,
    line: u32,
}

/// The body does not follow the chunked coding.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Chunked {
    /// Hands the data in `input` to `data` and returns how much of `input` belongs to the body and whether it ended.
    ///
    /// # Errors
    /// [`Malformed`] for anything that is not the coding.
    pub fn feed(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        while at < input.len() {
            if self.state == State::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                data(&input[at..at + take]);
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataEnd;
                    self.line = 0;
                }
                continue;
            }
            let byte = input[at];
            at += 1;
            self.line += 1;
            if self.line > LINE {
                return Err(Malformed);
            }
            if self.step(byte)? {
                *self = Self::default();
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// One byte outside of chunk data; true at the end of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if self.digits < 15 => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from((byte as char).to_digit(16).unwrap_or(0));
            }
            (State::Size, b';') if self.digits > 0 => self.state = State::Extension,
            (State::Size, b'\r') if self.digits > 0 => self.state = State::Extension,
            (State::Extension, b'\n') => {
                self.line = 0;
                self.digits = 0;
                self.state = if self.left == 0 { State::Trailer } else { State::Data };
            }
            (State::DataEnd, b'\r') if self.line == 1 => {}
            (State::DataEnd, b'\n') if self.line == 2 => {
                self.line = 0;
                self.state = State::Size;
            }
            (State::Trailer, b'\r') if self.line == 1 => self.digits = 1,
            (State::Trailer, b'\n') if self.digits == 1 && self.line == 2 => return Ok(true),
            (State::Trailer, b'\n') => self.line = 0,
            (State::Trailer, _) => self.digits = 0,
            (State::Extension, _) => {}
            _ => return Err(Malformed),
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunked, Malformed};

    #[test]
    fn reads_the_same_in_every_split() {
        let body = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\nNEXT";
        for cut in 0..body.len() - 4 {
            let (mut reader, mut data) = (Chunked::default(), Vec::new());
            let first = reader.feed(&body[..cut], |d| data.extend_from_slice(d)).expect("valid");
            assert_eq!(first, (cut, false));
            let (used, ended) = reader.feed(&body[cut..], |d| data.extend_from_slice(d)).expect("valid");
            assert!(ended && &body[cut + used..] == b"NEXT" && data == b"hello world", "{cut}");
        }
    }

    #[test]
    fn refuses_what_is_not_the_coding() {
        for bad in ["x", "\r\n", "5\r\nhelloX", "1234567890123456\r\n", ";\r\n", "3\r\nabc\n"] {
            assert_eq!(Chunked::default().feed(bad.as_bytes(), |_| {}), Err(Malformed), "{bad:?}");
        }
        assert_eq!(Chunked::default().feed(&[b"0\r\n".as_slice(), &[b'a'; 9000]].concat(), |_| {}), Err(Malformed));
    }
}
