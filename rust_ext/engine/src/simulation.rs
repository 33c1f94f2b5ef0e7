//! Entry points of the simulation: one worker's connections over the in-memory transport, driven from one thread by
//! a seed. Nothing here decides anything; it opens doors that only the simulation may use.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastgate_core::snapshot::{Invalid, Snapshot};

use crate::accept::Listener;
use crate::clock::Meter;
use crate::connection::{self, Conn};
use crate::deadlines::{SWEEP_MS, TICK_MS, Tick};
use crate::dial::Dialer;
use crate::fault::FaultKind;
use crate::files::Budget;
use crate::health::Status;
use crate::host::{Host, Line};
use crate::hub::{Hub, Post};
use crate::live::Live;
use crate::log::{Log, Writer};
use crate::metrics::{Metrics, report};
use crate::rt::{self, Inbox};
use crate::sync::Counted;
use crate::target::{Registry, Target};
use crate::transport::Stream;
pub use crate::transport::memory::{End, Got, pair};
use crate::worker::{Message, Series, Shared, Worker, WorkerLive, WorkerShared};

#[cfg(feature = "planted")]
pub use crate::planted::{Fault as Planted, plant};

/// What the simulation does when the engine opens a connection: after so many milliseconds there is one, or not. The
/// origin's end is its own business.
pub type OnDial = Rc<RefCell<dyn FnMut() -> (u64, Option<End>)>>;

/// The simulation's dialer.
#[derive(Clone)]
pub struct Dial(pub OnDial);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    pub(crate) async fn open(&self, _target: &Arc<Target>) -> Result<Stream, FaultKind> {
        let (after_ms, end) = (self.0.borrow_mut())();
        if after_ms > 0 {
            rt::sleep(Duration::from_millis(after_ms)).await;
        }
        end.map(Stream::Memory).ok_or(FaultKind::Connect)
    }
}

/// The most bytes that exchanges held beyond what they may plan for, since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    /// For a client that does not read, beyond the route's `held_bytes`.
    pub to_client_over: usize,
    /// For an upstream that does not read, beyond the route's `held_bytes`.
    pub to_upstream_over: usize,
    /// Of a response head that came in pieces.
    pub partial: usize,
    /// Of pipelined requests.
    pub pending: usize,
}

thread_local! {
    static HELD: Cell<Held> = const {
        Cell::new(Held { to_client_over: 0, to_upstream_over: 0, partial: 0, pending: 0 })
    };
}

/// Notes what an exchange holds at the end of a turn.
pub(crate) fn note(held: Held) {
    let most = HELD.get();
    HELD.set(Held {
        to_client_over: most.to_client_over.max(held.to_client_over),
        to_upstream_over: most.to_upstream_over.max(held.to_upstream_over),
        partial: most.partial.max(held.partial),
        pending: most.pending.max(held.pending),
    });
}

/// What is held now; all of it must be zero after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Client connections of the worker.
    pub connections: u32,
    /// Client connections of the process.
    pub counted: u32,
    /// Connections that the worker says it holds descriptors of.
    pub descriptors: u32,
    /// Slots of deadlines in use.
    pub deadlines: usize,
    /// Connections to targets, busy and idle.
    pub upstreams: u32,
    /// Requests that wait for a hook.
    pub hooks: usize,
    /// Tasks besides the simulation's own.
    pub tasks: usize,
}

/// One worker with its listener, on a clock that moves only when the simulation says so.
pub struct World {
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    lives: Vec<Rc<WorkerLive>>,
    /// Lines of the log go nowhere, but the queue must have its other end.
    lines: Receiver<Line>,
    now_ms: Cell<u64>,
    own_tasks: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// Runs one simulation; tasks that are left are dropped with its runtime.
pub fn run<F: Future>(simulation: F) -> F::Output {
    rt::block_on_paused(simulation)
}

impl World {
    /// A world of these snapshots, the first one live. All share their first listener and their targets.
    ///
    /// # Errors
    /// What is wrong with a snapshot.
    ///
    /// # Panics
    /// Without a snapshot, or where `/dev/null` cannot be opened.
    pub fn new(snapshots: &[Snapshot], host: Arc<dyn Host>, dial: OnDial, seed: u64) -> Result<Self, Vec<Invalid>> {
        let registry = Registry::default();
        let lives = snapshots.iter().map(|snapshot| Live::compile(snapshot, &registry).map(Arc::new));
        let lives = lives.collect::<Result<Vec<_>, _>>()?;
        let (log, lines) = Log::new();
        let nowhere = std::fs::File::open("/dev/null").expect("/dev/null can be opened");
        let worker = WorkerShared {
            inbox: Inbox::new(),
            metrics: Metrics::new(),
            beat: AtomicU64::new(0),
            descriptors: AtomicU32::new(0),
            adopt: nowhere.into(),
            post: Post::new(),
        };
        let shared = Arc::new(Shared {
            live: Mutex::new(lives[0].clone()),
            workers: vec![worker],
            connections: AtomicU32::new(0),
            max_connections: AtomicU32::new(u32::MAX),
            registry,
            host,
            writer: Writer::new(1, log.clone()),
            log,
            files: Budget::new(64),
            series: Series::default(),
            status: Status::new(),
            hub: Hub::default(),
            api: crate::publish::Api::default(),
            trail: crate::log::Trail::new(),
        });
        let worker = Worker::new(0, shared, Dialer::Memory(Dial(dial)), seed, Arc::new(Meter::simulated()));
        let lives: Vec<_> = lives.iter().map(|live| worker.adopt_live(live)).collect();
        let listener = Listener::new(&worker, lives[0].live.listeners[0].key(), 0, lives[0].clone());
        HELD.set(Held::default());
        let messages = worker.clone();
        rt::spawn(async move {
            loop {
                for message in messages.shared.workers[0].inbox.receive().await {
                    if let Message::Hook(reply) = message {
                        messages.hooks.deliver(reply);
                    }
                }
            }
        });
        Ok(Self { worker, listener, lives, lines, now_ms: Cell::new(0), own_tasks: rt::tasks() })
    }

    /// A client connects.
    ///
    /// # Panics
    /// Beyond 2^32 connections.
    pub fn connect(&self, end: End, peer: IpAddr) {
        let count = Counted::up_to(&self.worker.shared, u32::MAX).expect("a simulation is small");
        connection::spawn(Conn::new(&self.worker, &self.listener, Stream::Memory(end), Some(peer), Vec::new(), count));
    }

    /// Goes over to that snapshot.
    pub fn reload(&self, snapshot: usize) {
        self.listener.follow(&self.worker, 0, &self.lives[snapshot]);
    }

    /// Connections end with their next answer.
    pub fn drain(&self) {
        self.worker.draining.set(true);
    }

    /// The clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Lets every task run until all wait; a millisecond passes.
    pub async fn settle(&self) {
        self.pass(1).await;
    }

    /// Lets time pass, with the sweeps that fall into it.
    pub async fn pass(&self, ms: u64) {
        let until = self.now_ms.get() + ms;
        while self.now_ms.get() < until {
            let now = self.now_ms.get();
            let sweep = (now / SWEEP_MS + 1) * SWEEP_MS;
            let next = sweep.min(until);
            rt::sleep(Duration::from_millis(next - now)).await;
            self.now_ms.set(next);
            self.worker.clock.set(next * 1_000_000);
            if next == sweep {
                self.worker.deadlines.sweep(Tick::try_from(next / TICK_MS).unwrap_or(Tick::MAX - 1) + 1);
                self.worker.pools.sweep(self.worker.deadlines.now());
            }
        }
        while self.lines.try_recv().is_ok() {}
    }

    /// The counters, as the engine reports them.
    #[must_use]
    pub fn stats(&self) -> serde_json::Value {
        report::stats(&self.worker.shared)
    }

    /// Requests begun and ended.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        (self.worker.metrics().requests.get(), self.worker.metrics().finished.get())
    }

    /// The most that was held since the world began.
    #[must_use]
    pub fn held(&self) -> Held {
        HELD.get()
    }

    /// What is held now.
    #[must_use]
    pub fn left(&self) -> Left {
        let shared = &self.worker.shared;
        Left {
            connections: self.worker.connections.get(),
            counted: shared.connections.load(Relaxed),
            descriptors: shared.workers[0].descriptors.load(Relaxed),
            deadlines: self.worker.deadlines.in_use(),
            upstreams: shared.registry.in_use().iter().map(|target| target.open()).sum(),
            hooks: self.worker.hooks.waiting(),
            tasks: rt::tasks() - self.own_tasks,
        }
    }

    /// Closes idle upstream connections, as a worker does at its end.
    pub fn close_pools(&self) {
        self.worker.pools.clear();
    }
}
