//! The background thread: what is slow and shared. It resolves names, whose results reach targets as values, and
//! serves the internal listeners; files are looked at beside it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastgate_core::snapshot::Address;

use crate::clock::Clock;
use crate::dns::{Lookup, Resolver};
use crate::engine;
use crate::fetch;
use crate::guard;
use crate::host::Level;
use crate::hub::redis::Redis;
use crate::internal::{Internals, Place};
use crate::rt::{self, Inbox, Runtime};
use crate::store;
use crate::target::{Key, Target};
use crate::watched;
use crate::worker::Shared;

/// Look-ups under way at once; the others wait for the next turn.
const PARALLEL: usize = 64;

enum Note {
    LookAgain,
    Internal(Vec<Place>),
    Found(Arc<Target>, Result<Lookup, String>),
    Stop,
}

/// The thread's handle.
pub(crate) struct Background {
    inbox: Arc<Inbox<Note>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The thread beside it, which none of what is slow here holds up.
    pub(crate) redis: Redis,
}

impl Background {
    /// Starts it; its runtime is built before `built` is passed.
    pub(crate) fn start(shared: Arc<Shared>, servers: &[SocketAddr], built: Arc<Barrier>) -> io::Result<Self> {
        let redis = Redis::start(shared.clone(), servers, built.clone())?;
        let inbox = Arc::new(Inbox::new());
        let notes = inbox.clone();
        let servers = servers.to_vec();
        let thread = engine::spawn("fastgate-bg", move || {
            let runtime = Runtime::new();
            built.wait();
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(run(&shared, &servers, &notes));
                    runtime.end();
                }
                Err(error) => shared.host.log(Level::Error, &format!("names will not resolve: {error}")),
            }
        })?;
        Ok(Self { inbox, thread: Mutex::new(Some(thread)), redis })
    }

    /// Targets have come or gone.
    pub(crate) fn look_again(&self) {
        self.inbox.send([Note::LookAgain]);
    }

    /// Internal listeners have come or gone.
    pub(crate) fn listen(&self, places: Vec<Place>) {
        self.inbox.send([Note::Internal(places)]);
    }

    /// What closes the internal listeners when there is nothing left to say anything about.
    pub(crate) fn closer(&self) -> impl Fn() + Send + Sync + use<> {
        let inbox = self.inbox.clone();
        move || inbox.send([Note::Internal(Vec::new())])
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.redis.stop();
        self.inbox.send([Note::Stop]);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// What is known of a named target's look-ups.
#[derive(Debug, Default)]
struct Watch {
    /// When it is due again; `None` while one is under way.
    due: Option<Duration>,
    failures: u32,
}

/// Resolves every named target, and again by its TTL, until told to stop.
async fn run(shared: &Arc<Shared>, servers: &[SocketAddr], inbox: &Arc<Inbox<Note>>) {
    rt::spawn(fetch::serve(&shared.registry.guards.fetcher, shared.log.clone(), servers.to_vec()));
    let clock = Clock::start();
    let internals = Internals::new(shared.clone());
    rt::spawn(watched::run(shared.clone()));
    rt::spawn(guard::limits::sweep(shared.clone()));
    rt::spawn(store::revocations::follow(shared.clone(), servers.to_vec()));
    let mut resolver = None;
    let mut watches: HashMap<Key, Watch> = HashMap::new();
    loop {
        let named = |target: &Arc<Target>| matches!(target.address(), Address::Name { .. });
        let targets: Vec<_> = shared.registry.in_use().into_iter().filter(named).collect();
        watches.retain(|key, _| targets.iter().any(|target| target.key() == key));
        if resolver.is_none() && !targets.is_empty() {
            match Resolver::new(servers) {
                Ok(new) => resolver = Some(new),
                Err(reason) => shared.host.log(Level::Error, &format!("names do not resolve: {reason}")),
            }
        }
        let mut busy = watches.values().filter(|watch| watch.due.is_none()).count();
        for target in targets {
            let watch = watches.entry(target.key().clone()).or_insert(Watch { due: Some(Duration::ZERO), failures: 0 });
            if busy < PARALLEL && watch.due.is_some_and(|due| due <= clock.elapsed()) {
                busy += 1;
                watch.due = None;
                rt::spawn(look_up(resolver.clone(), target, inbox.clone()));
            }
        }
        let next = watches.values().filter_map(|watch| watch.due).min().unwrap_or(Duration::from_secs(3_600));
        let wait = next.saturating_sub(clock.elapsed()).max(Duration::from_millis(10));
        for note in rt::timeout(wait, inbox.receive()).await.unwrap_or_default() {
            match note {
                Note::Stop => return,
                // What is new is looked up at the next turn; the rest keeps its time.
                Note::LookAgain => {}
                Note::Internal(places) => internals.follow(places),
                Note::Found(target, found) => {
                    let watch = watches.entry(target.key().clone()).or_default();
                    watch.due = Some(clock.elapsed() + settle(shared, &target, watch, found));
                }
            }
        }
    }
}

async fn look_up(resolver: Option<Resolver>, target: Arc<Target>, inbox: Arc<Inbox<Note>>) {
    let Address::Name { name, port } = target.address() else { return };
    let found = match &resolver {
        Some(resolver) => resolver.look_up(name, *port).await,
        None => Err(format!("{name} does not resolve: there is no resolver")),
    };
    inbox.send([Note::Found(target, found)]);
}

/// Gives a target the outcome of its look-up; how long until the next one.
fn settle(shared: &Shared, target: &Target, watch: &mut Watch, found: Result<Lookup, String>) -> Duration {
    match found {
        Ok(Lookup { addresses, ttl }) => {
            watch.failures = 0;
            target.resolved(Some(addresses));
            Duration::from_secs(ttl.clamp(1, 300))
        }
        Err(reason) => {
            watch.failures = watch.failures.saturating_add(1);
            if watch.failures == 1 {
                shared.host.log(Level::Warning, &reason);
            }
            // What was known before stays in use.
            target.resolved(None);
            Duration::from_secs((1 << watch.failures.min(5)).min(30))
        }
    }
}
