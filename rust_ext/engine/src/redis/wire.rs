//! One connection's bytes: what was read and is no whole frame yet, and what waits to be sent.

use std::io;
use std::task::{Context, Poll};

use fastgate_core::resp::{Decoder, Limits, Malformed, Node, Step};

use super::trouble::Trouble;
use crate::carrier::Carrier;
use crate::transport::Readiness;

/// Largest frame.
const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Parts of a frame: the map of a cluster has up to a few for each of its slots.
const MAX_NODES: usize = 1 << 18;

/// Bytes that may wait unsent before no more notes are taken.
pub(crate) const MAX_UNSENT: usize = 256 * 1024;

/// A frame: its nodes, and the bytes that their ranges are of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The text of a node.
    pub(crate) fn text(&self, node: usize) -> Option<&'a [u8]> {
        match self.nodes.get(node)? {
            Node::Text(range) | Node::Error(range) => self.bytes.get(range.clone()),
            _ => None,
        }
    }
}

/// The bytes of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    carrier: Carrier,
    decoder: Decoder,
    input: Vec<u8>,
    /// Room to read into; more only while a frame is larger.
    room: usize,
    /// What was read and not decoded.
    unread: std::ops::Range<usize>,
    /// Bytes that a whole frame has at least.
    need: usize,
    /// Bytes to throw away.
    skip: usize,
    /// Commands, of which the first `sent` bytes have left.
    pub(crate) out: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// A connection that has just been opened, with room to read into, for strings up to `bulk` bytes.
    pub(crate) fn new(carrier: Carrier, room: usize, bulk: usize) -> Self {
        Self {
            carrier,
            decoder: Decoder::new(Limits { bulk, nodes: MAX_NODES }),
            input: vec![0; room],
            room,
            unread: 0..0,
            need: 1,
            skip: 0,
            out: Vec::new(),
            sent: 0,
        }
    }

    /// Bytes that have not left.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends what it can.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.carrier.try_write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.carrier.flush()?;
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            // What a large resubscription took is given back.
            self.out.shrink_to(2 * MAX_UNSENT);
        } else if self.sent > MAX_UNSENT {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }

    /// Reads once; `false` when nothing is there.
    pub(crate) fn read(&mut self) -> Result<bool, Trouble> {
        if self.unread.is_empty() {
            self.unread = 0..0;
            if self.input.len() > self.room {
                self.input.truncate(self.room);
                self.input.shrink_to_fit();
            }
        }
        if self.unread.start + self.need.max(self.room / 2) > self.input.len() {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            if self.need > self.input.len() {
                self.input.resize(self.need.next_power_of_two(), 0);
            }
        }
        match self.carrier.try_read(&mut self.input[self.unread.end..]) {
            Ok(0) => Err(Trouble::Ended),
            Ok(n) => {
                self.unread.end += n;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Trouble::Tls(error.to_string())),
            Err(error) => Err(Trouble::Broken(error.to_string())),
        }
    }

    /// The next whole frame of what was read.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, Malformed> {
        let skipped = self.skip.min(self.unread.len());
        self.skip -= skipped;
        self.unread.start += skipped;
        if self.unread.len() < self.need {
            return Ok(None);
        }
        match self.decoder.decode(&self.input[self.unread.clone()])? {
            Step::Incomplete(need) if need > MAX_FRAME => Err(Malformed::TooLarge),
            Step::Incomplete(need) => {
                self.need = need;
                Ok(None)
            }
            Step::Frame { consumed, skip } => {
                let bytes = self.unread.start..self.unread.start + consumed;
                self.unread.start += consumed;
                self.need = 1;
                self.skip = skip;
                Ok(Some(Frame { nodes: self.decoder.nodes(), bytes: &self.input[bytes] }))
            }
        }
    }

    /// Waits until there is something to read, or room for what waits.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error shows at the call that follows.
        let blocked = self.unsent() > 0 || self.carrier.has_unsent();
        let write = blocked && self.carrier.poll_ready(cx, Readiness::Write).is_ready();
        if self.carrier.poll_ready(cx, Readiness::Read).is_ready() || write { Poll::Ready(()) } else { Poll::Pending }
    }
}
