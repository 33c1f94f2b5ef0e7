//! One subscriber: its connection, where it stands, and the frames of a server as RFC 6455 allows them.

use std::ops::Range;
use std::os::fd::OwnedFd;

use super::sequence::Sequence;
use super::shared::Shared;
use crate::websocket::{self, Header};

/// The largest message that is taken for one.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Handshake,
    Open,
    Ended,
}

/// What a subscriber that did not read for a while lost, and what of it the server told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Losses {
    pub(super) missing: u64,
    pub(super) told: u64,
}

/// One subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) fd: Option<OwnedFd>,
    pub(super) phase: Phase,
    /// It reads nothing for now.
    pub(super) stalled: bool,
    pub(super) room: u32,
    pub(super) sequence: Sequence,
    pub(super) started: u64,
    /// The beginning of a frame, or of the answer's head, that has not come as a whole.
    pub(super) partial: Vec<u8>,
    /// There once it was stalled: its losses count apart.
    pub(super) slow: Option<Box<Losses>>,
    /// There where it is in every room, not only in its own.
    pub(super) all: Option<Box<All>>,
}

/// A subscriber of every room.
#[derive(Debug)]
pub(super) struct All {
    /// Rooms whose subscription is confirmed.
    pub(super) confirmed: usize,
    pub(super) sequences: Vec<Sequence>,
}

impl Subscriber {
    /// One of a room that expects its publication `next`.
    pub(super) fn new(room: u32, next: u64, started: u64) -> Self {
        Self {
            fd: None,
            phase: Phase::Connecting,
            stalled: false,
            room,
            sequence: Sequence::new(next),
            started,
            partial: Vec::new(),
            slow: None,
            all: None,
        }
    }

    /// Its place in a room; `None`: it is not in that one.
    pub(super) fn sequence(&mut self, room: u32) -> Option<&mut Sequence> {
        match &mut self.all {
            Some(all) => all.sequences.get_mut(room as usize),
            None => Some(&mut self.sequence).filter(|_| room == self.room),
        }
    }

    /// Enters its rooms.
    pub(super) fn join(&self, shared: &Shared) {
        self.rooms().for_each(|room| shared.join(room));
    }

    /// Leaves its rooms.
    pub(super) fn leave(&self, shared: &Shared) {
        self.rooms().for_each(|room| shared.leave(room));
    }

    fn rooms(&self) -> Range<u32> {
        match &self.all {
            Some(all) => 0..u32::try_from(all.sequences.len()).unwrap_or(u32::MAX),
            None => self.room..self.room + 1,
        }
    }

    /// Gives up what has not come; how much that is.
    pub(super) fn settle(&mut self, shared: &Shared) -> u64 {
        let rooms = self.rooms();
        rooms.filter_map(|room| self.sequence(room).map(|one| one.settle(shared.published(room)))).sum()
    }
}

/// A frame of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Data(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// With its code; 1005 where there is none.
    Close(u16),
}

/// The first frame and its length; `None`: more bytes are needed.
///
/// # Errors
/// A frame that a server may not send, or that no server here should: masked, reserved bits, unknown opcodes,
/// fragments, long control frames.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ()> {
    let Some((header, at)) = Header::read(bytes) else { return Ok(None) };
    let opcode = header.first & 0x0f;
    let control = opcode >= 8;
    let known = matches!(opcode, 1 | 2 | 8 | 9 | 10) && header.first & 0xf0 == 0x80;
    if !known || header.mask.is_some() || header.length > if control { 125 } else { LARGEST } {
        return Err(());
    }
    let end = at + usize::try_from(header.length).map_err(|_| ())?;
    let Some(payload) = bytes.get(at..end) else { return Ok(None) };
    let frame = match opcode {
        9 => Frame::Ping(payload),
        10 => Frame::Pong,
        8 => Frame::Close(match *payload {
            [] => 1005,
            [high, low, ..] => u16::from_be_bytes([high, low]),
            [_] => return Err(()),
        }),
        _ => Frame::Data(payload),
    };
    Ok(Some((frame, end)))
}

/// Appends a masked frame.
pub(super) fn write_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    Header { first: 0x80 | opcode, length: payload.len() as u64, mask: Some(mask) }.write(out);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The handshake's request.
pub(super) fn request(path: &str, host: &str) -> Vec<u8> {
    let key = websocket::KEY;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// Length of the handshake's answer; `None`: more bytes are needed.
///
/// # Errors
/// Not a 101, a wrong `Sec-WebSocket-Accept`, or a head that does not end.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > 16_384 { Err(()) } else { Ok(None) };
    };
    let head = &bytes[..end];
    let accepted = memchr::memmem::find(head, websocket::ACCEPT.as_bytes()).is_some();
    if head.starts_with(b"HTTP/1.1 101 ") && accepted { Ok(Some(end + 4)) } else { Err(()) }
}

/// The number in a server's notice of dropped publications: `{"dropped":N}`.
pub(super) fn dropped(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.strip_prefix(b"{\"dropped\":")?.strip_suffix(b"}")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Frame, answer, dropped, frame, write_frame};
    use crate::websocket;

    #[test]
    fn frames_of_a_server_are_read_and_others_refused() {
        assert_eq!(frame(b"\x81\x02hix"), Ok(Some((Frame::Data(b"hi"), 4))));
        assert_eq!(frame(b"\x82\x02h"), Ok(None));
        assert_eq!(frame(b"\x89\x00"), Ok(Some((Frame::Ping(b""), 2))));
        assert_eq!(frame(b"\x8a\x00"), Ok(Some((Frame::Pong, 2))));
        assert_eq!(frame(b"\x88\x02\x0b\xc0"), Ok(Some((Frame::Close(3008), 4))));
        assert_eq!(frame(b"\x88\x00"), Ok(Some((Frame::Close(1005), 2))));
        for wrong in [b"\x01\x00".as_slice(), b"\xc1\x00", b"\x83\x00", b"\x80\x00", b"\x89\x7e\x00\x7e", b"\x88\x01x"]
        {
            assert_eq!(frame(wrong), Err(()), "{wrong:?}");
        }
        let mut masked = Vec::new();
        write_frame(1, b"hi", &mut masked);
        assert_eq!(frame(&masked), Err(()));
    }

    #[test]
    fn only_the_right_answer_opens() {
        let right = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {}\r\n\r\n", websocket::ACCEPT);
        assert_eq!(answer(right.as_bytes()), Ok(Some(right.len())));
        assert_eq!(answer(&right.as_bytes()[..right.len() - 1]), Ok(None));
        assert_eq!(answer(b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: x\r\n\r\n"), Err(()));
        assert_eq!(answer(b"HTTP/1.1 503 x\r\n\r\n"), Err(()));
        assert_eq!((dropped(b"{\"dropped\":12}"), dropped(b"{\"dropped\":}"), dropped(b"{}")), (Some(12), None, None));
    }
}
