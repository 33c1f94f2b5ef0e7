//! Where workers leave notes for the thread: subscriptions that changed, publications to carry.
//!
//! One lane a server; a channel's lane follows from its slot. A lane takes notes only while its connection lives: what
//! is subscribed is asked of the hub anew with each connection, so nothing piles up while there is none.
//!
//! Lock order: a shard of the hub's channels before the desk; so nothing is delivered while the desk is locked.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastgate_core::resp::{SLOTS, Server, slot};

use super::flight::Outgoing;
use crate::hub::{Broker, Sender};
use crate::redis::Settings;
use crate::rt::Inbox;
use crate::worker::Shared;

/// Bytes of publications that may wait or be without an answer, a lane.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Publications taken at once.
const TAKEN: usize = 1024;

/// A channel's slot that no server has.
const NOWHERE: u16 = u16::MAX;

/// One server's notes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) server: Server,
    /// Wakes the connection's task.
    pub(super) bell: Arc<Inbox<()>>,
    /// The cluster has this server no more.
    gone: bool,
    /// Notes of subscriptions are taken.
    listens: bool,
    /// Publications are taken too: everything that is subscribed has been noted.
    up: bool,
    /// What is wanted of a channel, the last word alone: both cancel out.
    changes: HashMap<Arc<str>, bool>,
    /// Channels that the server does not let us subscribe.
    denied: HashSet<Arc<str>>,
    /// Channels may belong to another lane now.
    moved: bool,
    waiting: VecDeque<Outgoing>,
    /// Bytes of what waits and of what has no answer.
    bytes: usize,
    /// Why it is not up.
    trouble: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<Lane>,
    /// Of a cluster: the lane of each slot.
    slots: Option<Box<[u16]>>,
    /// Another has taken its place.
    closed: bool,
}

/// Notes for the thread, and the broker that the hub sees.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) settings: Settings,
    state: Mutex<State>,
}

/// What a lane's connection takes.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) moved: bool,
    pub(super) changes: HashMap<Arc<str>, bool>,
    pub(super) publications: Vec<Outgoing>,
}

impl Desk {
    /// An empty one; a cluster has no lanes before its map is known.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut state = State::default();
        if settings.cluster {
            state.slots = Some(vec![NOWHERE; usize::from(SLOTS)].into());
        } else {
            state.lanes.push(Lane::new(settings.server.clone()));
        }
        Self { settings, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel's name at the server.
    pub(super) fn full_name(&self, channel: &str) -> String {
        [&self.settings.prefix, channel].concat()
    }

    fn route(&self, state: &State, channel: &str) -> Option<usize> {
        match &state.slots {
            None => Some(0),
            Some(slots) => {
                let lane = slots[usize::from(slot(self.full_name(channel).as_bytes()))];
                (lane != NOWHERE).then_some(usize::from(lane))
            }
        }
    }

    /// Whether a channel belongs to that lane.
    pub(super) fn belongs(&self, lane: usize, channel: &str) -> bool {
        self.settings.cluster.then(|| self.route(&self.lock(), channel)).is_none_or(|at| at == Some(lane))
    }

    /// The bell of a lane.
    pub(super) fn bell(&self, lane: usize) -> Arc<Inbox<()>> {
        self.lock().lanes[lane].bell.clone()
    }

    /// The connection of a lane lives: everything that has members here is noted, then publications are taken.
    pub(super) fn up(&self, shared: &Shared, lane: usize) {
        {
            let lane = &mut self.lock().lanes[lane];
            lane.listens = true;
            lane.changes.clear();
            lane.denied.clear();
        }
        shared.hub.channels.resubscribe(self);
        let lane = &mut self.lock().lanes[lane];
        lane.up = true;
        lane.trouble = None;
        lane.bell.send([()]);
    }

    /// Takes the notes of a lane; publications up to so many bytes.
    pub(super) fn take(&self, lane: usize, room: usize) -> Taken {
        let lane = &mut self.lock().lanes[lane];
        let mut taken = Taken {
            moved: std::mem::take(&mut lane.moved),
            changes: std::mem::take(&mut lane.changes),
            ..Taken::default()
        };
        let mut bytes = 0;
        while bytes < room && taken.publications.len() < TAKEN {
            let Some(one) = lane.waiting.pop_front() else { break };
            bytes += one.weight();
            taken.publications.push(one);
        }
        taken
    }

    /// So many bytes of publications are done with.
    pub(super) fn done(&self, lane: usize, bytes: usize) {
        if bytes > 0 {
            let lane = &mut self.lock().lanes[lane];
            lane.bytes = lane.bytes.saturating_sub(bytes);
        }
    }

    /// The server does not let us subscribe a channel: its publications stay here.
    pub(super) fn deny(&self, lane: usize, channel: &Arc<str>) {
        self.lock().lanes[lane].denied.insert(channel.clone());
    }

    /// The connection of a lane is gone. What it took and never gave back is delivered here, then what waited, in
    /// order; only then publications go their own way, so that none overtakes another.
    pub(super) fn fall(&self, shared: &Shared, lane: usize, lost: impl Iterator<Item = Outgoing>) {
        let mut lost: Vec<Outgoing> = lost.collect();
        loop {
            for one in lost.drain(..) {
                self.deliver(shared, &one);
            }
            let lane = &mut self.lock().lanes[lane];
            if lane.waiting.is_empty() {
                lane.listens = false;
                lane.up = false;
                lane.changes = HashMap::new();
                lane.denied = HashSet::new();
                lane.bytes = 0;
                return;
            }
            lost.extend(lane.waiting.drain(..));
        }
    }

    /// Delivers here what the server does not carry.
    pub(super) fn deliver(&self, shared: &Shared, one: &Outgoing) {
        let figures = &shared.hub.figures;
        figures.returned.fetch_add(1, Relaxed);
        if shared.hub.channels.deliver(&shared.workers, &one.channel, &one.payload, one.from).is_err() {
            figures.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Why a lane is not up.
    pub(super) fn set_trouble(&self, lane: usize, trouble: &str) {
        if let Some(lane) = self.lock().lanes.get_mut(lane) {
            lane.trouble = Some(trouble.to_owned());
        }
    }

    /// Another map of the cluster: servers by their slots. Lanes keep their number; which are new, and which are gone.
    pub(super) fn follow(&self, shared: &Shared, map: &[(u16, u16, Server)]) -> (Vec<usize>, Vec<usize>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (mut fresh, mut gone) = (Vec::new(), Vec::new());
        for (index, lane) in state.lanes.iter_mut().enumerate() {
            if !lane.gone && !map.iter().any(|(_, _, server)| *server == lane.server) {
                lane.gone = true;
                gone.push(index);
            }
        }
        let mut slots = vec![NOWHERE; usize::from(SLOTS)];
        for (first, last, server) in map {
            let known = state.lanes.iter().position(|lane| !lane.gone && lane.server == *server);
            let index = known.unwrap_or_else(|| {
                // A place may be taken again once its connection has fallen.
                let mut lanes = state.lanes.iter().enumerate();
                let spare = lanes.position(|(at, lane)| lane.gone && !lane.listens && !gone.contains(&at));
                let index = spare.unwrap_or(state.lanes.len());
                let lane = Lane::new(server.clone());
                if index == state.lanes.len() {
                    state.lanes.push(lane)
                } else {
                    state.lanes[index] = lane
                }
                fresh.push(index);
                index
            });
            let to = u16::try_from(index).unwrap_or(NOWHERE);
            slots[usize::from(*first)..=usize::from(*last)].fill(to);
        }
        let changed = state.slots.as_deref() != Some(&slots[..]);
        state.slots = Some(slots.into());
        if changed {
            for lane in state.lanes.iter_mut().filter(|lane| lane.listens) {
                lane.moved = true;
                lane.bell.send([()]);
            }
        }
        drop(guard);
        // Also when nothing changed: a server may have refused what it was asked in between.
        shared.hub.channels.resubscribe(self);
        (fresh, gone)
    }

    /// The server of a lane.
    pub(super) fn server(&self, lane: usize) -> Server {
        self.lock().lanes[lane].server.clone()
    }

    /// Servers of the cluster that are connected.
    pub(super) fn connected(&self) -> Vec<Server> {
        self.lock().lanes.iter().filter(|lane| lane.up).map(|lane| lane.server.clone()).collect()
    }

    /// Carries again what the cluster sent elsewhere.
    pub(super) fn again(&self, shared: &Shared, one: Outgoing) {
        if let Err(one) = self.put(one) {
            self.deliver(shared, &one);
        }
    }

    /// Takes nothing any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    fn put(&self, one: Outgoing) -> Result<(), Outgoing> {
        let mut state = self.lock();
        let Some(lane) = self.route(&state, &one.channel) else { return Err(one) };
        let closed = state.closed;
        let Some(lane) = state.lanes.get_mut(lane) else { return Err(one) };
        let bytes = lane.bytes + one.weight();
        if closed || !lane.up || bytes > MAX_BYTES || lane.denied.contains(&*one.channel) {
            return Err(one);
        }
        lane.bytes = bytes;
        let first = lane.waiting.is_empty();
        lane.waiting.push_back(one);
        if first {
            lane.bell.send([()]);
        }
        Ok(())
    }

    fn note(&self, channel: &Arc<str>, wanted: bool) {
        let mut state = self.lock();
        let Some(lane) = self.route(&state, channel) else { return };
        let Some(lane) = state.lanes.get_mut(lane).filter(|lane| lane.listens) else { return };
        if !wanted {
            lane.denied.remove(channel);
        }
        let first = lane.changes.is_empty();
        lane.changes.insert(channel.clone(), wanted);
        if first {
            lane.bell.send([()]);
        }
    }
}

impl Lane {
    fn new(server: Server) -> Self {
        Self {
            server,
            bell: Arc::new(Inbox::new()),
            gone: false,
            listens: false,
            up: false,
            changes: HashMap::new(),
            denied: HashSet::new(),
            moved: false,
            waiting: VecDeque::new(),
            bytes: 0,
            trouble: Some("it is being connected".to_owned()),
        }
    }
}

impl Broker for Desk {
    fn subscribe(&self, channel: &Arc<str>) {
        self.note(channel, true);
    }

    fn unsubscribe(&self, channel: &Arc<str>) {
        self.note(channel, false);
    }

    fn publish(&self, channel: &str, payload: &Arc<[u8]>, from: Option<Sender>) -> bool {
        self.put(Outgoing { channel: channel.into(), payload: payload.clone(), from, moves: 0 }).is_ok()
    }

    fn place(&self) -> String {
        self.settings.server.to_string()
    }

    fn trouble(&self) -> Option<String> {
        let state = self.lock();
        let lanes: Vec<&Lane> = state.lanes.iter().filter(|lane| !lane.gone).collect();
        if lanes.is_empty() {
            return Some(format!("Redis at {}: the cluster's map is not known", self.settings.server));
        }
        let down: Vec<&&Lane> = lanes.iter().filter(|lane| !lane.up).collect();
        let first = down.first()?;
        let why = first.trouble.as_deref().unwrap_or("it is not connected");
        let others = if down.len() > 1 { format!("; {} servers in all", down.len()) } else { String::new() };
        Some(format!("Redis at {}: {why}{others}", first.server))
    }

    fn denied(&self) -> usize {
        self.lock().lanes.iter().map(|lane| lane.denied.len()).sum()
    }
}
