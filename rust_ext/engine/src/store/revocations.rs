//! Revocations that processes share: what was revoked here is brought to the store, what was revoked elsewhere is read.
//!
//! One task a process, on the background thread; requests look at what it has brought and never wait for the store.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastgate_core::auth::MAX_REVOKED;
use fastgate_core::resp::{self, Node, Server, slot};
use fastgate_core::store::revoked::{self, Page};

use super::Place;
use crate::clock;
use crate::dns::Resolver;
use crate::guard::auth::jwt::Revoked;
use crate::host::Level;
use crate::redis::{self, CONNECT, Frame, Trouble, Wire};
use crate::rt;
use crate::worker::Shared;

/// Between two looks; while nothing is known, between two attempts.
const EVERY: Duration = Duration::from_millis(500);
const FIRST: Duration = Duration::from_millis(50);

/// Until an answer has come.
const ANSWER: Duration = Duration::from_secs(2);

/// Revocations that are brought at once.
const SOME: usize = 500;

const ROOM: usize = 16 * 1024;
const MAX_TEXT: usize = 4 * 1024;

/// Follows the store of the snapshot in use for as long as it is not dropped.
pub(crate) async fn follow(shared: Arc<Shared>, servers: Vec<SocketAddr>) {
    let revoked = shared.registry.guards.jwt.revoked.clone();
    let mut follower: Option<Follower> = None;
    loop {
        let place = shared.live().revocations.clone();
        let same = |follower: &Follower, place: &Place| follower.place.settings.same(&place.settings);
        match place {
            None if follower.take().is_some() => revoked.leave(),
            None => {}
            Some(place) if follower.as_ref().is_some_and(|follower| same(follower, &place)) => {}
            Some(place) => {
                revoked.leave();
                revoked.join();
                follower = Some(Follower { place, set: None, last: 0, line: None });
            }
        }
        if let Some(follower) = &mut follower {
            let turn = rt::timeout(CONNECT + ANSWER, follower.turn(&revoked, &servers)).await;
            let trouble = turn.unwrap_or(Err(Trouble::Silent)).err();
            if trouble.is_some() {
                follower.line = None;
            }
            let server = &follower.place.settings.server;
            if let Some(line) = revoked.is_news(trouble.map(|trouble| trouble.to_string())) {
                let (level, line) = match line {
                    Some(why) => (Level::Warning, format!("revocations in the store at {server}: {why}")),
                    None => (Level::Info, format!("revocations in the store at {server} are known")),
                };
                shared.host.log(level, &line);
            }
        }
        rt::sleep(if revoked.is_known() || follower.is_none() { EVERY } else { FIRST }).await;
    }
}

struct Follower {
    place: Arc<Place>,
    /// Which set was read, and up to where.
    set: Option<String>,
    last: u64,
    line: Option<Line>,
}

impl Follower {
    /// Brings what the store lacks, and reads what is new.
    async fn turn(&mut self, revoked: &Revoked, servers: &[SocketAddr]) -> Result<(), Trouble> {
        let key = format!("{}fastgate:revoked", self.place.prefix()).into_bytes();
        let line = match &mut self.line {
            Some(line) => line,
            none => none.insert(Line::open(&self.place, &key, servers).await?),
        };
        loop {
            let some = revoked.unsent(SOME);
            if some.is_empty() {
                break;
            }
            let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
            revoked::put(&mut line.wire.out, &key, clock::seed(0), now_ms, MAX_REVOKED, &some);
            line.answer(|frame| matches!(frame.nodes, [Node::Integer(1)]).then_some(())).await?;
            revoked.sent(some.len());
        }
        loop {
            revoked::ask(&mut line.wire.out, &key, self.last);
            let page = line.answer(|frame| revoked::read(frame.nodes, frame.bytes)).await?;
            let Page { revoked: some, set, last, full } = page;
            revoked.merge(&some).map_err(|()| Trouble::Refused("it has more than can be kept".to_owned()))?;
            if set.is_none() && full {
                self.last = last;
                continue;
            }
            if set != self.set {
                let was_read = self.set.is_some();
                (self.set, self.last) = (set, 0);
                if was_read {
                    // Another set than was read, or none: what it lacks is brought again, and all of it is read.
                    revoked.join();
                    if self.set.is_some() {
                        continue;
                    }
                }
            }
            self.last = if self.set.is_some() { last } else { 0 };
            break;
        }
        revoked.know();
        Ok(())
    }
}

/// A connection to the server that has the set.
struct Line {
    wire: Wire,
}

impl Line {
    async fn open(place: &Place, key: &[u8], servers: &[SocketAddr]) -> Result<Self, Trouble> {
        let first = place.settings.server.clone();
        let mut line = Self::greeted(place, &first, servers).await?;
        if place.settings.cluster {
            resp::command(&mut line.wire.out, &[b"CLUSTER", b"SLOTS"]);
            let map = line.answer(|frame| Some(redis::read_map(frame, &first))).await??;
            let slot = slot(key);
            let holds = |(from, to, _): &&(u16, u16, Server)| (*from..=*to).contains(&slot);
            let Some((_, _, server)) = map.iter().find(holds) else {
                return Err(Trouble::Refused("its cluster does not serve every slot".to_owned()));
            };
            if *server != first {
                line = Self::greeted(place, server, servers).await?;
            }
        }
        Ok(line)
    }

    async fn greeted(place: &Place, server: &Server, servers: &[SocketAddr]) -> Result<Self, Trouble> {
        let look_up =
            async |host: &str, port| Resolver::new(servers)?.look_up(host, port).await.map(|found| found.addresses);
        let carrier = redis::connect(&place.settings, server, look_up).await?;
        let mut line = Self { wire: Wire::new(carrier, ROOM, MAX_TEXT) };
        redis::greet(&place.settings, &mut line.wire.out);
        line.answer(|_| Some(())).await?;
        Ok(line)
    }

    /// Sends what was written and reads one answer; `None`: it is not the one that was asked for.
    async fn answer<T>(&mut self, read: impl Fn(Frame<'_>) -> Option<T>) -> Result<T, Trouble> {
        loop {
            self.wire.send().map_err(|error| Trouble::Broken(error.to_string()))?;
            match self.wire.next().map_err(Trouble::Malformed)? {
                Some(frame) if matches!(frame.nodes.first(), Some(Node::Push(_))) => continue,
                Some(frame) if matches!(frame.nodes.first(), Some(Node::Error(_))) => {
                    return Err(Trouble::refused(frame.text(0).unwrap_or_default()));
                }
                Some(frame) => return read(frame).ok_or(Trouble::Unexpected),
                None => {}
            }
            if !self.wire.read()? {
                poll_fn(|cx| self.wire.poll(cx)).await;
            }
        }
    }
}
