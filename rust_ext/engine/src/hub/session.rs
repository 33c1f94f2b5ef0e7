//! One subscriber: a descriptor and a few words; what it needs beyond them exists only while it does.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::websocket::Receiver;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use super::endpoint::Endpoint;
use super::frames::{Encoding, Frames, Prepared};
use super::queue::{GATHER, OVERHEAD, Pushed, Queue};
use crate::connection::Place;
use crate::deadlines::Tick;
use crate::transport::records::Records;

/// A session's place in one channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    /// The channel, as the shard knows it.
    pub(crate) channel: u32,
    /// Where it stands in the channel's list.
    pub(crate) position: u32,
}

/// A session's places; most have one, which needs no memory of its own.
#[derive(Debug)]
pub(crate) enum Memberships {
    One(Membership),
    Many(Box<[Membership]>),
}

impl Memberships {
    /// From as many as there are.
    pub(crate) fn new(all: Vec<Membership>) -> Self {
        match all[..] {
            [one] => Self::One(one),
            _ => Self::Many(all.into_boxed_slice()),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Membership] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    /// One more.
    pub(crate) fn add(&mut self, one: Membership) {
        let all = self.all().iter().copied().chain([one]).collect();
        *self = Self::new(all);
    }

    /// One fewer: the place it had.
    pub(crate) fn leave(&mut self, channel: u32) -> Option<u32> {
        let position = self.all().iter().find(|one| one.channel == channel)?.position;
        *self = Self::new(self.all().iter().copied().filter(|one| one.channel != channel).collect());
        Some(position)
    }

    /// The place in that channel has changed.
    pub(crate) fn moved(&mut self, channel: u32, position: u32) {
        let all = match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        };
        if let Some(membership) = all.iter_mut().find(|membership| membership.channel == channel) {
            membership.position = position;
        }
    }
}

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It gets publications.
    Open,
    /// It gets what was published before it departs; it is not read any more.
    Moving,
    /// Its last frame waits to be written; nothing else is.
    Closing,
    /// Everything is out; what the client still sends is thrown away until it ends too.
    Closed,
}

/// A subscriber.
#[derive(Debug)]
pub(crate) struct Session {
    /// None while a session is expected whose socket has not come yet.
    fd: Option<OwnedFd>,
    /// The TLS on it.
    records: Option<Box<Records>>,
    pub(crate) phase: Phase,
    pub(crate) encoding: Encoding,
    /// The tick of its last bytes, of the ping it has not answered (0: none), and of its beginning.
    pub(crate) heard: Tick,
    pub(crate) pinged: Tick,
    pub(crate) since: Tick,
    /// The code it closes with.
    pub(crate) code: u16,
    /// It stands in the list of those with something gathered in this turn.
    pub(crate) gathered: bool,
    /// Messages it lost.
    pub(crate) drops: u32,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) memberships: Memberships,
    pub(crate) receiver: Receiver,
    queue: Option<Box<Queue>>,
    /// When its next message may come (GCRA), in nanoseconds.
    pub(crate) publish_at: u64,
    pub(crate) peer: Option<IpAddr>,
    /// Its place in all counts; it comes with the socket.
    pub(crate) place: Option<Place>,
}

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// What a write with TLS took; 0 when nothing fits.
fn sealed(wrote: io::Result<usize>) -> Result<usize, Gone> {
    match wrote {
        Ok(n) => Ok(n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(_) => Err(Gone),
    }
}

/// What became of publications for a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Messages that are out, or will be.
    pub(crate) messages: u32,
    /// Messages that were dropped.
    pub(crate) dropped: u32,
    /// There is no room, and the policy is to disconnect.
    pub(crate) full: bool,
}

impl Session {
    /// A new one.
    pub(crate) fn new(
        fd: Option<OwnedFd>,
        encoding: Encoding,
        now: Tick,
        endpoint: Arc<Endpoint>,
        memberships: Memberships,
        peer: Option<IpAddr>,
        place: Option<Place>,
    ) -> Self {
        Self {
            fd,
            records: None,
            phase: Phase::Open,
            encoding,
            heard: now,
            pinged: 0,
            since: now,
            code: 1006,
            gathered: false,
            drops: 0,
            endpoint,
            memberships,
            receiver: Receiver::default(),
            queue: None,
            publish_at: 0,
            peer,
            place,
        }
    }

    /// Goes on with the TLS that was spoken before.
    pub(crate) fn seal(&mut self, records: Records) {
        self.records = Some(Box::new(records));
    }

    /// Whether another read may yield something that its socket will not tell of.
    pub(crate) fn has_more(&self) -> bool {
        self.records.as_ref().is_some_and(|records| records.has_more())
    }

    /// Whether bytes wait for its socket, sealed or not.
    pub(crate) fn has_unsent(&self) -> bool {
        self.queue.is_some() || self.records.as_ref().is_some_and(|records| records.has_tail())
    }

    /// Whether it could go on at another worker: keys of TLS do not leave theirs.
    pub(crate) fn can_move(&self) -> bool {
        self.records.is_none()
    }

    /// Its descriptor.
    pub(crate) fn fd(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    /// Whether publications are for it.
    pub(crate) fn takes(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Moving)
    }

    /// What waits for it, in bytes with the keeping of them.
    pub(crate) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.weight())
    }

    /// The tick of the last progress, where something waits.
    pub(crate) fn waits_since(&self) -> Option<Tick> {
        self.queue.as_ref().map(|queue| queue.moved)
    }

    /// Messages that wait and of which nothing is out.
    pub(crate) fn lost(&self) -> u32 {
        self.queue.as_ref().map_or(0, |queue| u32::try_from(queue.messages()).unwrap_or(u32::MAX))
    }

    /// Reads what is there; 0 is the end.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        if let Some(records) = &mut self.records {
            return records.read(buffer, fd);
        }
        Ok(rustix::net::recv(fd, buffer, RecvFlags::DONTWAIT)?.0)
    }

    /// One send; 0 when nothing fits.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let Some(fd) = &self.fd else { return Ok(0) };
        if let Some(records) = &mut self.records {
            return sealed(records.write(&[IoSlice::new(bytes)], fd));
        }
        match rustix::net::send(fd, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(n) => Ok(n),
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    fn queue(&mut self, now: Tick) -> &mut Queue {
        self.queue.get_or_insert_with(|| Box::new(Queue::new(now)))
    }

    /// Sends a channel's publications: at once where nothing waits, else behind what does.
    #[inline]
    pub(crate) fn deliver(&mut self, prepared: &Prepared, channel: u32, now: Tick) -> Result<Delivered, Gone> {
        let mut parts = &prepared.parts[..];
        let mut messages = 0;
        while self.queue.is_none()
            && let [part, rest @ ..] = parts
        {
            let n = self.send(&part.bytes)?;
            if n < part.bytes.len() {
                let kept = self.keep(parts, n, channel, now);
                return Ok(Delivered { messages: messages + kept.messages, ..kept });
            }
            messages += u32::try_from(part.ends.len()).unwrap_or(u32::MAX);
            parts = rest;
        }
        let kept = self.keep(parts, 0, channel, now);
        Ok(Delivered { messages: messages + kept.messages, ..kept })
    }

    /// Lets publications wait, the first `sent` bytes of which are out.
    fn keep(&mut self, parts: &[Rc<Frames>], sent: usize, channel: u32, now: Tick) -> Delivered {
        if parts.is_empty() {
            return Delivered::default();
        }
        let (limit, policy) = (self.endpoint.queue.bytes as usize, self.endpoint.queue.when_full);
        let mut sent = u32::try_from(sent).unwrap_or(u32::MAX);
        let mut result = Delivered::default();
        let queue = self.queue(now);
        for part in parts {
            for range in part.messages() {
                if range.1 <= sent {
                    result.messages += 1;
                    continue;
                }
                if range.0 < sent {
                    queue.begin(part, range, sent - range.0, channel);
                    result.messages += 1;
                    continue;
                }
                match queue.push(part, range, channel, limit, policy) {
                    Pushed::Waits(dropped) => {
                        result.messages += 1;
                        result.dropped += dropped;
                    }
                    Pushed::Dropped(dropped) => result.dropped += dropped + 1,
                    Pushed::Full => {
                        result.full = true;
                        return result;
                    }
                }
            }
            sent = 0;
        }
        self.drops = self.drops.saturating_add(result.dropped);
        result
    }

    /// Lets publications wait for the end of a turn in which more may come, where there is room for them.
    pub(crate) fn gather(&mut self, prepared: &Prepared, channel: u32, now: Tick) -> Result<Delivered, Gone> {
        let bytes: usize = prepared.parts.iter().map(|part| part.bytes.len() + part.ends.len() * OVERHEAD).sum();
        if self.queued() + bytes > self.endpoint.queue.bytes as usize {
            self.flush(now)?;
            return self.deliver(prepared, channel, now);
        }
        Ok(self.keep(&prepared.parts, 0, channel, now))
    }

    /// Sends a control frame, or the head of an answer: at once, or before the data that waits.
    pub(crate) fn control(&mut self, frame: &[u8], now: Tick) -> Result<(), Gone> {
        if let Some(queue) = &mut self.queue {
            queue.control(frame);
            return Ok(());
        }
        let n = self.send(frame)?;
        if n < frame.len() {
            self.queue(now).begin_control(&frame[n..]);
        }
        Ok(())
    }

    /// Drops what has not begun and sends the last frame; how many messages were dropped.
    pub(crate) fn last(&mut self, frame: &[u8], now: Tick) -> Result<u32, Gone> {
        match &mut self.queue {
            Some(queue) => Ok(queue.end_with(frame)),
            None => self.control(frame, now).map(|()| 0),
        }
    }

    /// Writes what waits and fits; `true` when nothing is left.
    pub(crate) fn flush(&mut self, now: Tick) -> Result<bool, Gone> {
        let Some(fd) = &self.fd else { return Ok(self.queue.is_none()) };
        let Some(queue) = &mut self.queue else {
            if let Some(records) = &mut self.records {
                sealed(records.push(fd).map(|()| 0))?;
            }
            return Ok(true);
        };
        if queue.untold > 0
            && let Some(notice) = self.encoding.notice(queue.untold)
            && queue.control(&notice)
        {
            queue.untold = 0;
        }
        while !queue.is_empty() {
            let mut pieces: Vec<IoSlice<'_>> = Vec::with_capacity(GATHER);
            queue.gather(&mut pieces);
            let total: usize = pieces.iter().map(|piece| piece.len()).sum();
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let n = if let Some(records) = &mut self.records {
                match sealed(records.write(&pieces, fd))? {
                    0 => return Ok(false),
                    n => n,
                }
            } else {
                match rustix::net::sendmsg(fd, &pieces, &mut SendAncillaryBuffer::default(), flags) {
                    Ok(n) => n,
                    Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => return Ok(false),
                    Err(_) => return Err(Gone),
                }
            };
            drop(pieces);
            queue.advance(n);
            queue.moved = now;
            if n < total {
                return Ok(false);
            }
        }
        self.queue = None;
        Ok(true)
    }

    /// Ends our direction.
    pub(crate) fn shutdown(&mut self) {
        // A connection that is gone already has ended too.
        if let (Some(records), Some(fd)) = (&mut self.records, &self.fd) {
            let _ = records.shutdown(fd);
            return;
        }
        let _ = self.fd.as_ref().map(|fd| rustix::net::shutdown(fd, rustix::net::Shutdown::Write));
    }

    /// Says that nothing follows, where the connection has words for that (RFC 8446 §6.1). It is tried once.
    pub(crate) fn farewell(&mut self) {
        if self.records.is_some() {
            self.shutdown();
        }
    }

    /// What waits, as bytes in order.
    pub(crate) fn unsent(&self) -> Vec<u8> {
        self.queue.as_ref().map(|queue| queue.bytes()).unwrap_or_default()
    }

    /// Its socket has come, with bytes that another worker had for it: they go before everything else.
    pub(crate) fn arrive(&mut self, fd: OwnedFd, place: Place, unsent: &[u8], now: Tick) {
        self.fd = Some(fd);
        self.place = Some(place);
        if !unsent.is_empty() {
            self.queue(now).begin_control(unsent);
        }
    }

    /// Its descriptor and its place, without the rest.
    pub(crate) fn into_parts(self) -> (Option<OwnedFd>, Option<Place>) {
        (self.fd, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_small() {
        // Eight of them lead to the keys of a TLS connection, where there is one.
        assert!(size_of::<Session>() <= 136, "a session takes {} bytes", size_of::<Session>());
    }
}
