//! Passing a connection to another worker: its descriptor by SCM_RIGHTS, its state as a few bytes.
//!
//! No descriptor number crosses a thread, even where the table is shared: the same code serves workers with private
//! tables and, later, another process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

use crate::accept;
use crate::host::Level;
use crate::hub::{self, HubState};
use crate::rt::{Readiness, Socket};
use crate::worker::Worker;

/// The most a state may take, and so the most bytes a connection may move with.
const MAX_STATE: usize = 64 * 1024;

/// What a connection takes along.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The listener it came by.
    pub(crate) bind: String,
    /// The client's address.
    pub(crate) peer: Option<IpAddr>,
    /// Bytes received and not used yet.
    pub(crate) pending: Vec<u8>,
    /// What a subscriber's connection is in the hub.
    pub(crate) hub: Option<HubState>,
}

impl State {
    fn encode(&self) -> Vec<u8> {
        let peer = self.peer.map(|peer| peer.to_string()).unwrap_or_default();
        // JSON holds no line break.
        let hub = self.hub.as_ref().map(|hub| serde_json::to_vec(hub).unwrap_or_default()).unwrap_or_default();
        let mut out = Vec::with_capacity(self.bind.len() + peer.len() + hub.len() + self.pending.len() + 3);
        for text in [self.bind.as_bytes(), peer.as_bytes(), &hub] {
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        out.extend_from_slice(&self.pending);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(4, |b| *b == b'\n');
        let bind = String::from_utf8(parts.next()?.to_vec()).ok()?;
        let peer = std::str::from_utf8(parts.next()?).ok()?;
        let peer = if peer.is_empty() { None } else { Some(peer.parse().ok()?) };
        let hub = parts.next()?;
        let hub = if hub.is_empty() { None } else { Some(serde_json::from_slice(hub).ok()?) };
        Some(Self { bind, peer, hub, pending: parts.next()?.to_vec() })
    }
}

/// The two ends of a worker's socket pair: for the others, and for itself.
pub(crate) fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// A worker with more room, when this one is full.
pub(crate) fn roomier(worker: &Worker) -> Option<usize> {
    let held = |index: usize| worker.shared.workers[index].descriptors.load(Relaxed);
    if held(worker.index) < worker.descriptor_limit.get() {
        return None;
    }
    (0..worker.shared.workers.len()).filter(|other| *other != worker.index).min_by_key(|other| held(*other))
}

/// Sends a connection to another worker.
pub(crate) fn send(worker: &Worker, to: usize, fd: OwnedFd, state: &State) -> io::Result<()> {
    let bytes = state.encode();
    if bytes.len() > MAX_STATE {
        return Err(io::Error::other("the connection holds too many bytes to be moved"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for the descriptor"));
    }
    let channel = &worker.shared.workers[to].adopt;
    rustix::net::sendmsg(channel, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes connections that others pass on, for as long as the worker lives.
pub(crate) async fn run(worker: Rc<Worker>, channel: Socket) {
    let mut buffer = vec![0; MAX_STATE];
    loop {
        let ready = std::future::poll_fn(|cx| channel.poll_ready(cx, Readiness::Read)).await;
        let received = ready.and_then(|()| channel.try_call(Readiness::Read, |fd| receive(&fd, &mut buffer)));
        match received {
            Ok((fd, n)) => match State::decode(&buffer[..n]) {
                Some(state) if state.hub.is_some() => hub::adopt(&worker, fd, state),
                Some(state) => accept::adopt(&worker, fd, state),
                None => worker.log(Level::Error, "a connection was passed on with a state that cannot be read"),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                worker.log(Level::Error, format!("connections cannot be adopted: {error}"));
                return;
            }
        }
    }
}

fn receive(channel: &impl AsFd, buffer: &mut [u8]) -> io::Result<(OwnedFd, usize)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        rustix::net::recvmsg(channel, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok((fd.ok_or_else(|| io::Error::other("a message without a descriptor"))?, message.bytes))
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn a_state_survives_the_way() {
        for peer in [None, Some("2001:db8::1".parse().unwrap())] {
            let state =
                State { bind: "127.0.0.1:80".into(), peer, hub: None, pending: b"GET / HTTP/1.1\r\n\n".to_vec() };
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
        assert_eq!(State::decode(b"no newline"), None);
    }
}
