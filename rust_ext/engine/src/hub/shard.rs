//! A worker's part of the hub: its sessions and their channels. It lives on the worker's thread and has no task a
//! session: one watches all their sockets, one delivers, one looks after time.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::websocket::write_close;

use super::fanout::{self, Job};
use super::frames::Spare;
use super::moving::Moves;
use super::session::{Gone, Membership, Memberships, Phase, Session};
use super::slab::{Key, Slab};
use super::table::Table;
use super::{Entrance, ping, reading};
use crate::connection::Conn;
use crate::deadlines::{GRAIN, Tick, ticks};
use crate::metrics::hub::Lost as Why;
use crate::rt::Set;
use crate::sys;
use crate::thread::spawn_vital;
use crate::transport::Stream;
use crate::worker::Worker;

/// How long a client has to end its side after ours has ended, or to take the last frame.
const LINGER_MS: u64 = 2_000;

/// Bytes that the kernel takes for a client before they are on their way; more would wait where no policy reaches.
const NOT_SENT: u32 = 128 * 1024;

/// Nothing until the first subscriber comes.
#[derive(Debug, Default)]
pub(crate) struct Shard(RefCell<Option<Box<Inner>>>);

/// What there is from then on.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) set: Rc<Set>,
    pub(crate) sessions: Slab,
    pub(crate) table: Table,
    /// Deliveries under way, one a channel at most.
    pub(crate) jobs: VecDeque<Job>,
    /// Sessions in several channels with something gathered in this turn.
    pub(crate) gathered: Vec<Key>,
    /// Sessions that had more to read than fits.
    pub(crate) again: Vec<Key>,
    /// What preparing frames needs.
    pub(crate) spare: Spare,
    /// Sessions on their way to other workers, or from them.
    pub(crate) moves: Moves,
}

impl Shard {
    /// Its state, if there is any.
    pub(crate) fn get(&self) -> Option<RefMut<'_, Inner>> {
        RefMut::filter_map(self.0.borrow_mut(), |inner| inner.as_deref_mut()).ok()
    }

    /// Subscribers on this worker.
    pub(crate) fn len(&self) -> usize {
        self.get().map_or(0, |inner| inner.sessions.len())
    }

    /// Its state, with its tasks from the first time on.
    pub(crate) fn begin(&self, worker: &Rc<Worker>) -> io::Result<RefMut<'_, Inner>> {
        let mut inner = self.0.borrow_mut();
        if inner.is_none() {
            let set = Rc::new(Set::new()?);
            *inner = Some(Box::new(Inner {
                set: set.clone(),
                sessions: Slab::default(),
                table: Table::default(),
                jobs: VecDeque::new(),
                gathered: Vec::new(),
                again: Vec::new(),
                spare: Spare::default(),
                moves: Moves::default(),
            }));
            spawn_vital(worker, "hub", reading::run(worker.clone(), set));
            spawn_vital(worker, "delivery", fanout::run(worker.clone()));
            spawn_vital(worker, "ping", ping::run(worker.clone()));
        }
        RefMut::filter_map(inner, |inner| inner.as_deref_mut()).map_err(|_| io::ErrorKind::NotFound.into())
    }

    /// Ends everything at once: the worker ends.
    pub(crate) fn end(&self, worker: &Worker) {
        let inner = self.0.borrow_mut().take();
        if let Some(mut inner) = inner {
            let keys: Vec<Key> = inner.sessions.iter().map(|(key, _)| key).collect();
            for key in keys {
                inner.remove(worker, key);
            }
        }
    }
}

/// A connection goes on as a session. What was to be said first goes out first.
pub(crate) fn enter(conn: Conn, entrance: Entrance) {
    let worker = conn.worker.clone();
    let peer = conn.peer;
    let (stream, place, pending) = conn.into_parts();
    let (fd, records) = match stream {
        Stream::Socket(socket) => (socket.into_inner(), None),
        Stream::Tls(tls) => {
            let (fd, records) = tls.into_parts();
            (fd, Some(records))
        }
        // Only sockets can be watched together.
        #[cfg(feature = "simulation")]
        Stream::Memory(_) => return,
    };
    // One that is no TCP socket has a bound of its own.
    let _ = sys::limit_unsent(&fd, NOT_SENT);
    let mut inner = match worker.hub.begin(&worker) {
        Ok(inner) => inner,
        Err(error) => return worker.log(crate::host::Level::Error, format!("no subscriber can be served: {error}")),
    };
    let Entrance { endpoint, encoding, joined, head } = entrance;
    let now = worker.deadlines.now();
    let key = inner.sessions.next();
    let mut memberships = Vec::with_capacity(1);
    for name in joined.stays() {
        let (channel, position) = inner.table.join(&name, key);
        memberships.push(Membership { channel, position });
    }
    let memberships = Memberships::new(memberships);
    let due = ping::due(&worker, &endpoint, now);
    let line = &worker.metrics().hub;
    line.opened[usize::from(encoding.sse)].add(1);
    let mut session = Session::new(Some(fd), encoding, now, endpoint, memberships, peer, Some(place));
    if let Some(records) = records {
        session.seal(records);
    }
    inner.sessions.insert(key, session, due);
    inner.start(&worker, key, &head, pending);
    if inner.sessions.get_mut(key).is_some_and(|session| session.has_more()) {
        inner.again.push(key);
    }
}

impl Inner {
    /// A new session says its first bytes, hears those that came already, and is watched from now on.
    pub(crate) fn start(&mut self, worker: &Worker, key: Key, head: &[u8], mut pending: Vec<u8>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !head.is_empty() && session.control(head, worker.deadlines.now()).is_err() {
            return self.remove(worker, key);
        }
        if !pending.is_empty() {
            self.heard(worker, key, &mut pending);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.fd().is_some_and(|fd| self.set.add(fd, key.number()).is_err()) {
            self.remove(worker, key);
        }
    }

    /// Ends a session in order: no more publications, one last frame with the code, then our direction.
    pub(crate) fn close(&mut self, worker: &Worker, key: Key, code: u16, reason: &str) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.takes()) else { return };
        let mut frame = Vec::new();
        if !session.encoding.sse {
            write_close(&mut frame, code, reason);
        }
        self.end_with(worker, key, code, &frame);
    }

    /// The same with that last frame, or none.
    pub(crate) fn end_with(&mut self, worker: &Worker, key: Key, code: u16, frame: &[u8]) {
        let now = worker.deadlines.now();
        self.leave(worker, key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.phase = Phase::Closing;
        session.code = code;
        let before = session.queued();
        let last = session.last(frame, now);
        let line = &worker.metrics().hub;
        line.waits(before, session.queued());
        match last {
            Err(Gone) => return self.remove(worker, key),
            Ok(dropped) => line.dropped(Why::Slow, dropped),
        }
        self.sessions.set_due(key.slot, after(now, LINGER_MS));
        self.flush(worker, key);
    }

    /// Writes what waits for a session; one whose last frame is out ends its direction.
    pub(crate) fn flush(&mut self, worker: &Worker, key: Key) {
        let now = worker.deadlines.now();
        let Some(session) = self.sessions.get_mut(key) else { return };
        let before = session.queued();
        let flushed = session.flush(now);
        worker.metrics().hub.waits(before, session.queued());
        match flushed {
            Err(Gone) => self.remove(worker, key),
            Ok(true) if session.phase == Phase::Closing => {
                session.shutdown();
                session.phase = Phase::Closed;
                self.sessions.set_due(key.slot, after(now, LINGER_MS));
            }
            Ok(true) => {}
            Ok(false) => self.sessions.due_by(key.slot, after(now, 0)),
        }
    }

    /// Takes a session out of its channels.
    fn leave(&mut self, worker: &Worker, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let memberships = std::mem::replace(&mut session.memberships, Memberships::Many(Box::default()));
        self.leave_all(worker, key, &memberships);
    }

    fn leave_all(&mut self, worker: &Worker, key: Key, memberships: &Memberships) {
        let hub = &worker.shared.hub;
        for Membership { channel, position } in memberships.all() {
            if let Some(name) = self.left(*channel, *position)
                && !self.is_departing(key)
            {
                hub.channels.leave(hub.broker().as_deref(), worker.index, &name);
            }
        }
        self.departure_ended(worker, key);
    }

    /// A place in a channel of this worker is free; the channel's name.
    pub(crate) fn left(&mut self, channel: u32, position: u32) -> Option<Arc<str>> {
        let (name, moved) = self.table.leave(channel, position)?;
        if let Some(session) = moved.and_then(|key| self.sessions.get_mut(key)) {
            session.memberships.moved(channel, position);
        }
        Some(name)
    }

    /// Ends a session at once; its counts are released.
    pub(crate) fn remove(&mut self, worker: &Worker, key: Key) {
        if let Some(mut session) = self.take_out(worker, key) {
            session.farewell();
            // One that was only expected was never counted.
            if session.place.is_none() {
                return;
            }
            let line = &worker.metrics().hub;
            line.close(session.code);
            line.closed[usize::from(session.encoding.sse)].add(1);
        }
    }

    /// Takes a session out, with its channels and what is counted of its queue.
    pub(crate) fn take_out(&mut self, worker: &Worker, key: Key) -> Option<Session> {
        let mut session = self.sessions.remove(key)?;
        let memberships = std::mem::replace(&mut session.memberships, Memberships::Many(Box::default()));
        self.leave_all(worker, key, &memberships);
        worker.metrics().hub.waits(session.queued(), 0);
        Some(session)
    }
}

/// The tick so long from now, never early.
pub(crate) fn after(now: Tick, ms: u64) -> Tick {
    now.saturating_add(ticks(ms)).saturating_add(GRAIN)
}
