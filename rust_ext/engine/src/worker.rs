//! A worker: one thread, one runtime, its own buffers, pools and clock.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use fastgate_core::http1::Request;
use fastgate_core::snapshot::Snapshot;

use crate::accept::Listener;
use crate::buffers::{Blocks, Scratch};
use crate::clock::Meter;
use crate::deadlines::Deadlines;
use crate::dial::Dialer;
use crate::files::Budget;
use crate::guard::auth::jwt::Tokens;
use crate::health::Status;
use crate::host::{Decision, HookFailed, HookWork, Host};
use crate::hub::{self, Hub, Post, Shard};
use crate::listen::Bind;
use crate::live::Live;
use crate::log::access::Lines;
use crate::log::{Limits, Log, Trail, Writer};
use crate::metrics::{MAX_TIMED, Metrics, Places, RouteSlot, Times};
use crate::pool::{Pool, Pools};
use crate::publish::Api;
use crate::rt::Inbox;
use crate::store::{Place, Store};
use crate::target::Registry;

/// Spare request objects kept per worker.
const SPARE_REQUESTS: usize = 256;

/// What all threads of the engine share.
pub(crate) struct Shared {
    /// The current snapshot, for those who start or look; workers have their own pointer.
    pub(crate) live: Mutex<Arc<Live>>,
    /// One entry a worker.
    pub(crate) workers: Vec<WorkerShared>,
    /// Client connections open now, all workers together.
    pub(crate) connections: AtomicU32,
    /// The most there may be.
    pub(crate) max_connections: AtomicU32,
    pub(crate) registry: Registry,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) log: Log,
    /// The access log's thread.
    pub(crate) writer: Arc<Writer>,
    /// Security decisions.
    pub(crate) trail: Trail,
    /// Files open now.
    pub(crate) files: Arc<Budget>,
    /// Who has histograms of its own.
    pub(crate) series: Series,
    /// Whether it is ready, and what became of its snapshots.
    pub(crate) status: Status,
    /// Who is subscribed to what.
    pub(crate) hub: Hub,
    /// What the HTTP publish API counts and bounds.
    pub(crate) api: Api,
}

/// Tenants with counts of their own; the others share one.
pub(crate) const MAX_TENANTS: usize = 1_000;

/// Who has histograms or counts of its own, decided for all workers together.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) services: Places<MAX_TIMED>,
    pub(crate) routes: Places<MAX_TIMED>,
    pub(crate) tenants: Places<MAX_TENANTS>,
}

impl Series {
    /// Keeps places for the tenants that the config names, before others take them.
    pub(crate) fn follow(&self, snapshot: &Snapshot) {
        if snapshot.counts_tenants() {
            snapshot.consumers.iter().filter_map(|consumer| consumer.tenant.as_deref()).for_each(|tenant| {
                self.tenants.place(tenant);
            });
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// The beat of a worker that has ended.
pub(crate) const ENDED: u64 = u64::MAX;

/// What others may touch of a worker; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerShared {
    pub(crate) inbox: Inbox<Message>,
    pub(crate) metrics: Metrics,
    /// When it last swept, in nanoseconds; [`ENDED`] once it has ended.
    pub(crate) beat: AtomicU64,
    /// Descriptors of connections it holds, so that others know whom to pass a connection to.
    pub(crate) descriptors: AtomicU32,
    /// Where others put connections: the sending end of its socket pair.
    pub(crate) adopt: OwnedFd,
    /// Publications for its members.
    pub(crate) post: Post,
}

/// What reaches a worker from other threads: messages, never descriptors.
#[derive(Debug)]
pub(crate) enum Message {
    /// A hook's decision.
    Hook(HookReply),
    /// Open these addresses and hold them ready; the answer is the first failure.
    Prepare(Vec<Bind>, Sender<Result<(), (Bind, String)>>),
    /// Go over to this snapshot, with what was prepared.
    Commit(Arc<Live>, Vec<Bind>, Sender<()>),
    /// Close what was prepared.
    Abort,
    /// Something about its subscribers.
    Hub(hub::Command),
    /// Let some subscribers move to another worker.
    #[cfg_attr(not(test), allow(dead_code, reason = "balance and hand-over will ask for it; its test does now"))]
    Move(hub::Move),
    /// Say that you are alive.
    Ping(Sender<()>),
    /// Finish what is under way, accept nothing new.
    Drain,
    /// End now.
    Stop,
}

/// A hook's decision and what it was lent.
#[derive(Debug)]
pub(crate) struct HookReply {
    pub(crate) ticket: u64,
    pub(crate) work: Box<HookWork>,
    pub(crate) outcome: Result<Decision, HookFailed>,
}

/// A snapshot as one worker uses it: pools found, no look-up on the hot path.
#[derive(Debug)]
pub(crate) struct WorkerLive {
    pub(crate) live: Arc<Live>,
    /// By service and target, as in the snapshot.
    pub(crate) pools: Vec<Vec<Rc<Pool>>>,
    /// Counters by route.
    pub(crate) routes: Box<[RouteSlot]>,
    /// Times by service.
    pub(crate) services: Box<[OnceCell<Arc<Times>>]>,
}

/// One worker's state; lives on its thread only.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Arc<Meter>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) scratch: RefCell<Scratch>,
    pub(crate) blocks: Blocks,
    #[expect(clippy::vec_box, reason = "a request moves in and out as one pointer")]
    pub(crate) requests: RefCell<Vec<Box<Request>>>,
    pub(crate) pools: Pools,
    pub(crate) dialer: Dialer,
    pub(crate) hooks: Hooks,
    pub(crate) listeners: RefCell<HashMap<String, Rc<Listener>>>,
    /// Listening sockets that were handed over at start, in this worker's own table.
    pub(crate) handed: RefCell<Vec<(Bind, OwnedFd)>>,
    /// Listeners that still accept.
    pub(crate) accepting: Cell<u32>,
    pub(crate) draining: Cell<bool>,
    pub(crate) connections: Cell<u32>,
    /// Whoever waits for the last listener to close and the last connection to end.
    pub(crate) idle_waker: RefCell<Option<Waker>>,
    random: Cell<u64>,
    /// How many diagnostic lines there were of late.
    pub(crate) limits: Limits,
    /// Lines of the access log.
    pub(crate) lines: Lines,
    /// Descriptors after which connections go to other workers.
    pub(crate) descriptor_limit: Cell<u32>,
    pub(crate) date: RefCell<[u8; 29]>,
    /// Its subscribers.
    pub(crate) hub: Shard,
    /// Tokens whose signatures it knows.
    pub(crate) tokens: Tokens,
    /// Its side of the store, where limits are shared.
    pub(crate) store: RefCell<Option<Rc<Store>>>,
}

impl Worker {
    /// A worker whose randomness starts from `seed`.
    pub(crate) fn new(index: usize, shared: Arc<Shared>, dialer: Dialer, seed: u64, clock: Arc<Meter>) -> Rc<Self> {
        Rc::new(Self {
            index,
            shared,
            clock,
            deadlines: Deadlines::new(),
            scratch: RefCell::new(Scratch::new()),
            blocks: Blocks::default(),
            requests: RefCell::default(),
            pools: Pools::default(),
            dialer,
            hooks: Hooks::default(),
            listeners: RefCell::default(),
            handed: RefCell::default(),
            accepting: Cell::new(0),
            draining: Cell::new(false),
            connections: Cell::new(0),
            idle_waker: RefCell::new(None),
            random: Cell::new(seed),
            limits: Limits::default(),
            lines: Lines::default(),
            descriptor_limit: Cell::new(u32::MAX),
            date: RefCell::new(crate::date::format(0)),
            hub: Shard::default(),
            tokens: Tokens::new(|| crate::clock::seed(index)),
            store: RefCell::default(),
        })
    }

    /// Whether nothing is left that a drain would wait for.
    pub(crate) fn is_idle(&self) -> bool {
        self.connections.get() == 0 && self.accepting.get() == 0
    }

    /// Wakes whoever waits for that.
    pub(crate) fn perhaps_idle(&self) {
        if self.is_idle()
            && let Some(waker) = self.idle_waker.borrow_mut().take()
        {
            waker.wake();
        }
    }

    /// This worker's counters.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.workers[self.index].metrics
    }

    /// 64 bits that nobody relies on being secret (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 128 such bits.
    pub(crate) fn random_wide(&self) -> u128 {
        u128::from(self.random()) << 64 | u128::from(self.random())
    }

    /// A request object, used before or new.
    pub(crate) fn request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a request object back.
    pub(crate) fn give_request(&self, mut request: Box<Request>) {
        let mut spare = self.requests.borrow_mut();
        if spare.len() < SPARE_REQUESTS {
            request.clear();
            spare.push(request);
        }
    }

    /// The snapshot with this worker's pools.
    pub(crate) fn adopt_live(&self, live: &Arc<Live>) -> Rc<WorkerLive> {
        let pools = live.services.iter().map(|service| {
            let pool = |t: &crate::live::ServiceTarget| self.pools.pool(&t.target, service.pool_idle);
            service.targets.iter().map(pool).collect()
        });
        Rc::new(WorkerLive {
            live: live.clone(),
            pools: pools.collect(),
            routes: live.routes.iter().map(|_| RouteSlot::default()).collect(),
            services: live.services.iter().map(|_| OnceCell::new()).collect(),
        })
    }

    /// Goes over to the store of a snapshot; the connections stay where it is the same.
    pub(crate) fn follow_store(&self, live: &Live) {
        let mut store = self.store.borrow_mut();
        let same = match (&*store, &live.store) {
            (Some(store), Some(place)) => store.is_at(place),
            (None, None) => true,
            _ => false,
        };
        if !same {
            let figures = &self.shared.registry.guards.store;
            let start =
                |place: &Arc<Place>| Rc::new(Store::start(place.clone(), figures.clone(), self.shared.log.clone()));
            *store = live.store.as_ref().map(start);
        }
    }

    /// Shows that it is alive.
    pub(crate) fn beat(&self) {
        self.shared.workers[self.index].beat.store(self.clock.read(), Relaxed);
    }

    /// Shows that it has ended.
    pub(crate) fn ended(&self) {
        self.shared.workers[self.index].beat.store(ENDED, Relaxed);
    }

    /// Adds up what is counted by names that this snapshot has no more, where there are too many of them.
    pub(crate) fn prune(&self, live: &Live) {
        let metrics = self.metrics();
        metrics.routes.prune(live.routes.iter().map(|route| &*route.name));
        metrics.route_times.prune(live.routes.iter().map(|route| &*route.name));
        metrics.services.prune(live.services.iter().map(|service| &*service.name));
        metrics.listeners.prune(live.listeners.iter().map(|listener| listener.name.as_str()));
    }
}

/// Requests that wait for their hooks.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, HookSlot>>,
}

#[derive(Debug, Default)]
struct HookSlot {
    waker: Option<Waker>,
    reply: Option<HookReply>,
}

impl Hooks {
    /// A place to wait.
    pub(crate) fn ticket(&self) -> u64 {
        let ticket = self.next.get();
        self.next.set(ticket + 1);
        self.waiting.borrow_mut().insert(ticket, HookSlot::default());
        ticket
    }

    /// Delivers a reply; one that nobody waits for any more is dropped.
    pub(crate) fn deliver(&self, reply: HookReply) {
        if let Some(slot) = self.waiting.borrow_mut().get_mut(&reply.ticket) {
            slot.reply = Some(reply);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// The reply, once it is there.
    pub(crate) fn poll(&self, cx: &Context<'_>, ticket: u64) -> Poll<HookReply> {
        let mut waiting = self.waiting.borrow_mut();
        let slot = waiting.entry(ticket).or_default();
        if let Some(reply) = slot.reply.take() {
            return Poll::Ready(reply);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Requests that wait.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Gives the place up.
    pub(crate) fn forget(&self, ticket: u64) {
        self.waiting.borrow_mut().remove(&ticket);
    }
}
