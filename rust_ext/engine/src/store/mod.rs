//! The store: calls of the one script in Redis, by which processes share their limits.
//!
//! Each worker has a connection of its own to each server ([`link`]), on which calls are pipelined, so nothing is locked
//! and nobody waits for another thread. A call is answered within [`CALL`], or it has failed; a server that fails is not
//! asked any more until it has answered probes ([`fastgate_core::store::Breaker`]), so that requests wait for it no more.

mod lane;
mod limiter;
mod link;
mod report;
pub(crate) mod revocations;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fastgate_core::limit::Hasher;
use fastgate_core::resp::{Server, slot};
use fastgate_core::snapshot::policies::AuthMethod;
use fastgate_core::snapshot::{Invalid, Snapshot};
use fastgate_core::store::{Answer, Rule, secret};

use crate::clock::{self, Clock};
use crate::dns::Resolver;
use crate::log::Log;
use crate::redis::Settings;
use crate::rt::{self, Task};

pub(crate) use limiter::{Decision, Digest, Limiter, Waiting};
pub(crate) use report::{Failed, Figures};

use lane::{Call, Lane};

/// What a call may take; a request never waits longer for the store. Tests share their machine with others.
const CALL: Duration = Duration::from_millis(if cfg!(test) { 400 } else { 4 });

/// Calls on their way to one server, a worker; one more fails at once.
const MAX_CALLS: usize = 4_096;

/// Between two looks at the cluster's map.
const MAP_PAUSE: Duration = Duration::from_millis(500);

/// Where the store is, as a snapshot says it.
#[derive(Debug)]
pub(crate) struct Place {
    settings: Settings,
    resolvers: Vec<SocketAddr>,
}

impl Place {
    /// That of a snapshot; `None`: nothing in it asks the store.
    ///
    /// # Errors
    /// Settings that are wrong, or none where something asks the store.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Option<Arc<Self>>, Vec<Invalid>> {
        let of_consumer = |consumer: &fastgate_core::snapshot::policies::Consumer| {
            let keys = consumer.api_keys.iter().flat_map(|key| &key.limits);
            consumer.limits.iter().chain(keys).any(|limit| limit.sync_ms.is_some())
        };
        let asked = snapshot.policies.iter().flat_map(|policies| &policies.limits).any(|limit| limit.sync_ms.is_some())
            || snapshot.consumers.iter().any(of_consumer);
        asked.then(|| Self::there(snapshot, "a limit is shared through the store, and there is none")).transpose()
    }

    /// Where revocations are shared; `None`: nowhere.
    ///
    /// # Errors
    /// As [`Place::of`].
    pub(crate) fn of_revocations(snapshot: &Snapshot) -> Result<Option<Arc<Self>>, Vec<Invalid>> {
        let methods =
            snapshot.policies.iter().filter_map(|policies| policies.auth.as_ref()).flat_map(|auth| &auth.any_of);
        let asked = methods.into_iter().any(|method| match method {
            AuthMethod::Jwt(jwt) => jwt.revocation.as_ref().is_some_and(|revocation| revocation.store),
            _ => false,
        });
        asked.then(|| Self::there(snapshot, "revocations are kept in the store, and there is none")).transpose()
    }

    fn there(snapshot: &Snapshot, missing: &str) -> Result<Arc<Self>, Vec<Invalid>> {
        let settings = Settings::of(snapshot)?.ok_or_else(|| vec![Invalid::new("realtime.redis", missing)])?;
        Ok(Arc::new(Self { settings, resolvers: snapshot.resolvers.clone() }))
    }

    /// Stands before every key.
    pub(crate) fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// Hashes keys of limits as every process of this store does.
    pub(crate) fn hasher(&self) -> Hasher {
        Hasher::new(secret(self.settings.password.as_deref(), &self.settings.prefix))
    }
}

/// A worker's side of the store. Dropping it ends its connections.
pub(crate) struct Store {
    inner: Rc<Inner>,
    /// Of the first server; the others have theirs in their lanes.
    _first: Task,
    /// What this worker holds of each key.
    leases: limiter::Leases,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.inner.place).finish_non_exhaustive()
    }
}

/// What the connections of one worker share.
struct Inner {
    place: Arc<Place>,
    figures: Arc<Figures>,
    log: Log,
    clock: Clock,
    first: Rc<Lane>,
    /// Of a cluster: the lanes by their slots, in order.
    ranges: RefCell<Vec<(u16, u16, Rc<Lane>)>>,
    mapped: Cell<Option<Duration>>,
    resolver: RefCell<Option<Resolver>>,
    random: Cell<u64>,
}

impl Store {
    /// Begins to connect.
    pub(crate) fn start(place: Arc<Place>, figures: Arc<Figures>, log: Log) -> Self {
        let first = Rc::new(Lane::new(place.settings.server.clone()));
        let inner = Rc::new(Inner {
            place,
            figures,
            log,
            clock: Clock::start(),
            first: first.clone(),
            ranges: RefCell::default(),
            mapped: Cell::new(None),
            resolver: RefCell::default(),
            random: Cell::new(clock::seed(0)),
        });
        let task = rt::task(link::keep(inner.clone(), first));
        Self { inner, _first: task, leases: limiter::Leases::default() }
    }

    /// Whether it leads to the same place.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        self.inner.place.settings.same(&place.settings) && self.inner.place.resolvers == place.resolvers
    }

    /// Asks for so many units of a rule for a key, or fewer, but at least `least` or none.
    ///
    /// # Errors
    /// [`Failed`] at once where nobody is asked.
    pub(crate) fn ask(&self, rule: &Arc<Rule>, key: &[u8], wanted: u64, least: u64) -> Result<Asked, Failed> {
        let mut command = Vec::with_capacity(192);
        rule.ask(&mut command, key, wanted, least);
        self.put(rule, key, command)
    }

    /// Gives back so many units that were granted at that time.
    fn give_back(&self, rule: &Arc<Rule>, key: &[u8], units: u64, at_us: u64) {
        let mut command = Vec::with_capacity(192);
        rule.give_back(&mut command, key, units, at_us);
        // Where the store is not asked any more, it stays counted.
        let _ = self.put(rule, key, command);
    }

    fn put(&self, rule: &Arc<Rule>, key: &[u8], command: Vec<u8>) -> Result<Asked, Failed> {
        let call = Rc::new(Call::new(rule.clone(), command, self.inner.clock.elapsed()));
        let sent = match self.inner.lane(key) {
            Some(lane) => lane.put(call.clone()),
            None => Err(Failed::Open),
        };
        if let Err(failed) = sent {
            self.inner.figures.failed(failed);
            return Err(failed);
        }
        Ok(Asked { call })
    }

    /// Time on the clock that leases are kept by, nanoseconds.
    fn now_ns(&self) -> u64 {
        u64::try_from(self.inner.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A call under way.
pub(crate) struct Asked {
    call: Rc<Call>,
}

impl Asked {
    /// Waits for its answer, at most as long as a call may take.
    pub(crate) async fn answer(self) -> Result<Answer, Failed> {
        poll_fn(|cx| match self.call.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                self.call.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

impl Inner {
    fn settings(&self) -> &Settings {
        &self.place.settings
    }

    fn lane(&self, key: &[u8]) -> Option<Rc<Lane>> {
        if !self.settings().cluster {
            return Some(self.first.clone());
        }
        let slot = slot(key);
        let ranges = self.ranges.borrow();
        let at = ranges.partition_point(|(_, last, _)| *last < slot);
        ranges.get(at).filter(|(first, ..)| *first <= slot).map(|(_, _, lane)| lane.clone())
    }

    fn lane_of(&self, server: &Server) -> Option<Rc<Lane>> {
        self.ranges.borrow().iter().find(|(_, _, lane)| lane.server == *server).map(|(_, _, lane)| lane.clone())
    }

    /// Whether it is time to look at the cluster's map, which has been asked for then.
    fn wants_map(&self) -> bool {
        let now = self.clock.elapsed();
        let due = self.settings().cluster && self.mapped.get().is_none_or(|last| now.saturating_sub(last) >= MAP_PAUSE);
        if due {
            self.mapped.set(Some(now));
        }
        due
    }

    /// Whether a server of the cluster is not connected.
    fn misses_one(&self) -> bool {
        self.ranges.borrow().iter().any(|(_, _, lane)| lane.is_down())
    }

    /// Goes over to another map: servers that stay keep their connection.
    fn follow(self: &Rc<Self>, map: Vec<(u16, u16, Server)>) {
        let old = std::mem::take(&mut *self.ranges.borrow_mut());
        let mut ranges: Vec<(u16, u16, Rc<Lane>)> = Vec::with_capacity(map.len());
        for (first, last, server) in map {
            let same = |(_, _, lane): &&(u16, u16, Rc<Lane>)| lane.server == server;
            let known = ranges.iter().find(same).or_else(|| old.iter().find(same)).map(|(_, _, lane)| lane);
            let lane = match known.or_else(|| (self.first.server == server).then_some(&self.first)) {
                Some(lane) => lane.clone(),
                None => {
                    let lane = Rc::new(Lane::new(server));
                    *lane.task.borrow_mut() = Some(rt::task(link::keep(self.clone(), lane.clone())));
                    lane
                }
            };
            ranges.push((first, last, lane));
        }
        ranges.sort_unstable_by_key(|(first, ..)| *first);
        for (_, _, lane) in &old {
            if !Rc::ptr_eq(lane, &self.first) && !ranges.iter().any(|(_, _, kept)| Rc::ptr_eq(kept, lane)) {
                lane.end(&self.figures);
            }
        }
        *self.ranges.borrow_mut() = ranges;
    }

    /// A number nobody relies on being secret (splitmix64).
    fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let known = self.resolver.borrow().clone();
        let resolver = match known {
            Some(resolver) => resolver,
            None => {
                let new = Resolver::new(&self.place.resolvers)?;
                *self.resolver.borrow_mut() = Some(new.clone());
                new
            }
        };
        resolver.look_up(host, port).await.map(|found| found.addresses)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.inner.first.end(&self.inner.figures);
        for (_, _, lane) in self.inner.ranges.take() {
            lane.end(&self.inner.figures);
        }
    }
}
