//! A session moves to another worker under publications, without loss, repetition or another order.
//!
//! In the channel's own order, under its lock, the old worker is told that the session departs and the new one that it
//! arrives: what was published before goes to the old one, what comes after waits at the new one for the socket. Once
//! the old worker has given the session all that it owes, socket and state go the one way that connections move.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};

use super::endpoint::Endpoint;
use super::frames::{Encoding, Prepared};
use super::session::{Membership, Memberships, Phase, Session};
use super::shard::Inner;
use super::slab::{Key, NEVER};
use super::upgrade::Joined;
use super::{Parcel, ping};
use crate::adopt::{self, State};
use crate::connection::Place;
use crate::deadlines::Tick;
use crate::host::Level;
use crate::sync::Counted;
use crate::worker::Worker;

/// Bytes that a session may move with.
const MAX_UNSENT: usize = 32 * 1024;

/// Up to so many sessions are to move to another worker; the answer is how many went.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) to: usize,
    pub(crate) most: usize,
    pub(crate) answer: Sender<usize>,
}

/// A session that a worker is to wait for.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) id: u64,
    endpoint: Arc<Endpoint>,
    encoding: Encoding,
}

/// Sessions on their way.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    next: u64,
    /// Leaving this worker.
    departing: HashMap<Key, Departure>,
    /// Coming to this worker.
    arriving: HashMap<u64, Key>,
}

/// A session that leaves.
#[derive(Debug)]
struct Departure {
    to: usize,
    id: u64,
    channels: Vec<Arc<str>>,
    /// Channels that have yet to let it go.
    left: usize,
}

/// A session as it moves: everything but its socket, and what no other process could use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HubState {
    id: u64,
    /// The route of its endpoint.
    route: String,
    channels: Vec<String>,
    sse: bool,
    deflate: bool,
    /// The listener it is counted at.
    listener: String,
    drops: u32,
    /// Tenths of a second since it connected.
    age: Tick,
    /// Bytes that were for the client and did not fit yet.
    pub(crate) unsent: Vec<u8>,
}

/// Moves them.
pub(crate) fn go(worker: &Rc<Worker>, asked: Move) {
    let Move { to, most, answer } = asked;
    let gone = worker.hub.get().map_or(0, |mut inner| {
        let open = |session: &Session| {
            let here = session.phase == Phase::Open && session.place.is_some() && session.can_move();
            here && session.receiver.is_idle() && session.queued() < MAX_UNSENT
        };
        let all: Vec<Key> = inner.sessions.iter().filter(|(_, one)| open(one)).map(|(key, _)| key).take(most).collect();
        all.into_iter().filter(|key| inner.depart(worker, *key, to)).count()
    });
    // Whoever asked may have given up.
    let _ = answer.send(gone);
}

impl Inner {
    /// Begins a move; `false`: there is no such session or no such worker.
    fn depart(&mut self, worker: &Worker, key: Key, to: usize) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if to == worker.index || to >= worker.shared.workers.len() {
            return false;
        }
        session.phase = Phase::Moving;
        self.moves.next += 1;
        let id = self.moves.next << 16 | worker.index as u64;
        let expected = Arc::new(Expected { id, endpoint: session.endpoint.clone(), encoding: session.encoding });
        let names = session.memberships.all().iter().filter_map(|one| Some(self.table.get(one.channel)?.name.clone()));
        let names: Vec<Arc<str>> = names.collect();
        let departure = Departure { to, id, left: names.len(), channels: names.clone() };
        self.moves.departing.insert(key, departure);
        for name in &names {
            let (depart, arrive) = (Parcel::Depart(key, name.clone()), Parcel::Expect(expected.clone(), name.clone()));
            worker.shared.hub.channels.transfer(&worker.shared.workers, name, (worker.index, depart), (to, arrive));
        }
        true
    }

    /// Whether the process's counts of this session are another worker's already.
    pub(super) fn is_departing(&self, key: Key) -> bool {
        self.moves.departing.contains_key(&key)
    }

    /// The session of a departure ended on the way: whoever waits for it need not any more.
    pub(super) fn departure_ended(&mut self, worker: &Worker, key: Key) {
        if let Some(Departure { to, id, .. }) = self.moves.departing.remove(&key) {
            worker.shared.workers[to].post.put(Parcel::Forget(id));
        }
    }

    /// Everything that was published to a channel before a session departs lies here: the session gets it now.
    pub(super) fn settle(&mut self, worker: &Worker, key: Key, name: &Arc<str>) {
        let Some(channel) = self.table.find(name) else { return };
        let mut owed = Vec::new();
        if let (Some(job), Some(entry)) =
            (self.jobs.iter_mut().find(|job| job.channel() == channel), self.table.get(channel))
        {
            owed.extend(job.settle(key, &entry.members, worker.index));
        }
        if let Some(entry) = self.table.get_mut(channel) {
            let behind = entry.late.extract_if(.., |(late, _)| *late == key).last().map_or(0, |(_, offset)| offset);
            owed.extend(entry.waiting.iter().filter(|one| one.offset > behind).cloned());
        }
        let now = worker.deadlines.now();
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !owed.is_empty() {
            let all = owed.iter().map(|publication| &**publication);
            let prepared = Prepared::new(session.encoding, all, &mut self.spare);
            let before = session.queued();
            let given = session.deliver(&prepared, channel, now);
            worker.metrics().hub.waits(before, session.queued());
            if given.is_err() {
                return self.remove(worker, key);
            }
            worker.metrics().hub.deliveries.add(u64::from(given.map_or(0, |given| given.messages)));
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(position) = session.memberships.leave(channel) {
            self.left(channel, position);
        }
        let Some(departure) = self.moves.departing.get_mut(&key) else { return };
        departure.left -= 1;
        if departure.left == 0
            && let Some(departure) = self.moves.departing.remove(&key)
        {
            self.ship(worker, key, departure);
        }
    }

    /// Sends socket and state on.
    fn ship(&mut self, worker: &Worker, key: Key, departure: Departure) {
        let Departure { to, id, channels, .. } = departure;
        let Some(session) = self.take_out(worker, key) else { return };
        let unsent = session.unsent();
        let line = &worker.metrics().hub;
        let Session { endpoint, encoding, drops, since, peer, .. } = &session;
        let listeners = worker.metrics().listeners.all();
        let listener = session.place.as_ref().and_then(|place| place.listener(&listeners)).unwrap_or_default();
        let hub = HubState {
            id,
            route: endpoint.name.to_string(),
            channels: channels.iter().map(|name| name.to_string()).collect(),
            sse: encoding.sse,
            deflate: encoding.deflate,
            listener,
            drops: *drops,
            age: worker.deadlines.now().saturating_sub(*since),
            unsent,
        };
        let state = State { bind: String::new(), peer: *peer, pending: Vec::new(), hub: Some(hub) };
        let sse = usize::from(encoding.sse);
        let (fd, place) = session.into_parts();
        let (Some(fd), Some(place)) = (fd, place) else { return };
        if self.set.remove(&fd).is_ok() && adopt::send(worker, to, fd, &state).is_ok() {
            place.hand_over();
        } else {
            line.close(1006);
            line.closed[sse].add(1);
            worker.shared.workers[to].post.put(Parcel::Forget(id));
        }
    }

    /// A session will arrive: from here on what its channel gets waits for it.
    pub(super) fn expect(&mut self, worker: &Worker, expected: &Expected, name: &Arc<str>) {
        let key = match self.moves.arriving.get(&expected.id) {
            Some(key) => *key,
            None => {
                let key = self.sessions.next();
                let memberships = Memberships::Many(Box::default());
                let now = worker.deadlines.now();
                let session =
                    Session::new(None, expected.encoding, now, expected.endpoint.clone(), memberships, None, None);
                self.sessions.insert(key, session, NEVER);
                self.moves.arriving.insert(expected.id, key);
                key
            }
        };
        let (channel, position) = self.table.join(name, key);
        // What lies here already was published before: the other worker gives it to the session.
        if let Some(job) = self.jobs.iter_mut().find(|job| job.channel() == channel) {
            job.joins_late(key);
        }
        if let Some(entry) = self.table.get_mut(channel)
            && let Some(last) = entry.waiting.last()
        {
            entry.late.push((key, last.offset));
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.memberships.add(Membership { channel, position });
        }
    }

    /// A session that was expected will not come.
    pub(super) fn forget(&mut self, worker: &Worker, id: u64) {
        if let Some(key) = self.moves.arriving.remove(&id) {
            drop(self.take_out(worker, key));
        }
    }

    /// The socket of a session is here: first goes what the other worker had for it, then what has waited here.
    pub(super) fn arrive(&mut self, worker: &Rc<Worker>, arrival: Arrival) {
        let Arrival { fd, state } = arrival;
        let Some(hub) = &state.hub else { return };
        let line = worker.metrics().listeners.line(&hub.listener);
        let place = Place::moved(worker, line, Counted::already(&worker.shared));
        // One that nobody announced comes from another process.
        if !self.moves.arriving.contains_key(&hub.id) && !self.join_again(worker, hub) {
            worker.log(Level::Warning, format!("a subscriber of {} came, which has no place for it", hub.route));
            worker.metrics().hub.close(1006);
            worker.metrics().hub.closed[usize::from(hub.sse)].add(1);
            return;
        }
        let Some(key) = self.moves.arriving.remove(&hub.id) else { return };
        let now = worker.deadlines.now();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.peer = state.peer;
        session.drops = hub.drops;
        session.since = now.saturating_sub(hub.age);
        let before = session.queued();
        session.arrive(fd, place, &hub.unsent, now);
        worker.metrics().hub.waits(before, session.queued());
        let due = ping::due(worker, &session.endpoint, now);
        self.sessions.set_due(key.slot, due);
        self.flush(worker, key);
        self.start(worker, key, &[], state.pending);
    }

    /// Joins the channels of a session that another process had; `false`: its endpoint is gone, or full.
    fn join_again(&mut self, worker: &Rc<Worker>, hub: &HubState) -> bool {
        let live = worker.shared.live();
        let Some(endpoint) = live.endpoints.iter().find(|endpoint| *endpoint.name == *hub.route) else { return false };
        let Some(joined) = Joined::all(worker, endpoint, &hub.channels) else { return false };
        let encoding = endpoint.encoding(hub.sse, hub.deflate);
        let expected = Expected { id: hub.id, endpoint: endpoint.clone(), encoding };
        joined.stays().iter().for_each(|name| self.expect(worker, &expected, name));
        true
    }
}

/// A socket with its state, behind the parcels that announced it.
#[derive(Debug)]
pub(crate) struct Arrival {
    fd: OwnedFd,
    state: State,
}

/// Takes a session that another worker, or later another process, passes on: it stands in line behind what was put
/// into this worker's inbox before.
pub(crate) fn adopt(worker: &Rc<Worker>, fd: OwnedFd, state: State) {
    if let Err(error) = worker.hub.begin(worker) {
        // It was counted, and ends here.
        drop(Counted::already(&worker.shared));
        return worker.log(Level::Error, format!("no subscriber can be served: {error}"));
    }
    worker.shared.workers[worker.index].post.put(Parcel::Arrive(Box::new(Arrival { fd, state })));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use fastgate_core::snapshot::{self, Action, Endpoint as Config, Match, Origins, PathMatch, Snapshot};

    use super::*;
    use crate::Engine;
    use crate::host::NoHost;
    use crate::worker::Message;

    const MESSAGES: u32 = 6_000;

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::from_json(include_bytes!("../../tests/data/minimal.json")).unwrap();
        snapshot.workers = 3;
        snapshot.listeners[0].bind = "127.0.0.1:0".to_owned();
        let mut route = snapshot.routes[0].clone();
        route.name = "realtime.endpoints.two".to_owned();
        route.matches[0] = Match { path: Some(PathMatch::Path("/two".to_owned())), ..route.matches[0].clone() };
        route.action = Action::Realtime(Config {
            channels: vec!["a".to_owned(), "b".to_owned()],
            source: snapshot::Source::Local,
            format: snapshot::PublicationFormat::Text,
            wrap: false,
            websocket: true,
            sse: false,
            publish: None,
            max_members: 0,
            max_message: 1024,
            queue: snapshot::Queue { bytes: 1 << 20, when_full: snapshot::WhenFull::Disconnect },
            origins: Origins::Any,
            deflate: false,
        });
        snapshot.routes.push(route);
        snapshot
    }

    /// Connects, then reads numbers of two channels until both have had their last; `Err` names what is out of order.
    fn subscriber(mut stream: TcpStream) -> Result<TcpStream, String> {
        let mut read = |n: usize| {
            let mut bytes = vec![0; n];
            stream.read_exact(&mut bytes).map_err(|error| error.to_string())?;
            Ok::<_, String>(bytes)
        };
        let mut next = [0_u32; 2];
        while next != [MESSAGES; 2] {
            let head = read(2)?;
            if head[0] != 0x81 {
                return Err(format!("a frame begins with {:#x}", head[0]));
            }
            let text = String::from_utf8(read(usize::from(head[1]))?).unwrap();
            let (of, number) = text.split_once(' ').unwrap();
            let due = &mut next[usize::from(of == "b")];
            if number.parse() != Ok(*due) {
                return Err(format!("{of}: {number} came where {due} was due"));
            }
            *due += 1;
        }
        Ok(stream)
    }

    fn connect(engine: &Engine) -> TcpStream {
        let mut stream = TcpStream::connect(&engine.addresses()[0].1).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
            .write_all(
                b"GET /two HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        stream
    }

    #[test]
    fn sessions_move_under_publications_without_loss_or_another_order() {
        let engine = Engine::start(snapshot(), Arc::new(NoHost)).unwrap();
        let subscribers: Vec<_> = (0..8).map(|_| connect(&engine)).collect();
        let readers: Vec<_> = subscribers.into_iter().map(|one| std::thread::spawn(move || subscriber(one))).collect();
        let mut moved = 0;
        for number in 0..MESSAGES {
            for of in ["a", "b"] {
                engine.publish(of, &format!("{of} {number}").into_bytes().into()).unwrap();
            }
            if number % 40 == 0 {
                let (from, to) = ((number / 40) as usize % 3, (number / 40 + 1) as usize % 3);
                let (answer, answers) = channel();
                let asked = Move { to, most: 3, answer };
                engine.shared.workers[from].inbox.send([Message::Move(asked)]);
                moved += answers.recv_timeout(Duration::from_secs(20)).unwrap();
            }
        }
        let streams: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap().unwrap()).collect();
        assert!(moved > 50, "{moved} moves");
        assert_eq!(engine.shared.hub.channels.counts(), (2, 16));
        // The last turn counts what it sent when it is over.
        let sum = || crate::metrics::hub::sum(&engine.shared);
        let all = 8 * 2 * u64::from(MESSAGES);
        let counted = (0..10_000).any(|_| engine.is_alive(Duration::from_secs(20)) && sum().deliveries == all);
        assert!(counted, "{} deliveries, {all} messages", sum().deliveries);
        let sum = sum();
        drop(streams);
        assert_eq!((sum.opened[0], sum.open[0], sum.queued), (8, 8, 0));
    }

    #[test]
    fn a_state_survives_the_way() {
        let hub = HubState {
            id: 7,
            route: "realtime.endpoints.a".to_owned(),
            channels: vec!["a\nb".to_owned()],
            sse: false,
            deflate: true,
            listener: "public".to_owned(),
            drops: 3,
            age: 9,
            unsent: b"\x81\n".to_vec(),
        };
        let bytes = serde_json::to_vec(&hub).unwrap();
        assert!(!bytes.contains(&b'\n'));
        assert_eq!(serde_json::from_slice::<HubState>(&bytes).unwrap(), hub);
    }
}
