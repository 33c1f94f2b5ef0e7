//! The engine as a value: started from a snapshot, changed by another, drained, stopped.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastgate_core::snapshot::{Invalid, Snapshot};

use crate::background::Background;
use crate::clock::Clock;
use crate::files::Budget;
use crate::handed::{self, Handed, Known};
use crate::health::Status;
use crate::host::{Host, Level};
use crate::hub::{Hub, Post};
use crate::internal::{self, Opened, Opening};
use crate::listen::{self, Bind};
use crate::live::Live;
use crate::log::{Log, Writer};
use crate::metrics::Metrics;
use crate::redis::Settings;
use crate::rt::Inbox;
use crate::start_error::StartError;
use crate::target::Registry;
use crate::thread::{self, Start};
use crate::worker::{Message, Series, Shared, WorkerShared};
use crate::{adopt, clock, descriptors};

/// How long a change waits for listeners that are gone to close, so that their addresses are free when it returns.
const CLOSING: Duration = Duration::from_secs(2);

/// A running engine: worker threads, a background thread and a log thread. Dropping it stops them.
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    control: Mutex<Control>,
    ended: Arc<(Mutex<usize>, Condvar)>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    background: Background,
    /// Listening sockets that were handed over at start.
    handed: Vec<Known>,
    /// It drains or stops: nothing changes any more.
    ending: AtomicBool,
}

/// What only the control side touches, one change at a time.
#[derive(Debug, Default)]
struct Control {
    /// By listener key: its name and where it listens.
    binds: HashMap<String, Bind>,
    /// Where the internal ones listen.
    internal: Vec<Opened>,
    /// Snapshots that were replaced, kept until no worker uses them, so that they are dropped here.
    retired: Vec<Arc<Live>>,
}

impl Engine {
    /// Judges a snapshot without starting anything: everything that is wrong with it.
    #[must_use]
    pub fn validate(snapshot: &Snapshot) -> Vec<Invalid> {
        let mut found = Live::compile(snapshot, &Registry::for_check()).err().unwrap_or_default();
        found.extend(Settings::of(snapshot).err().unwrap_or_default());
        found
    }

    /// Starts workers and listeners; returns once every listener listens.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub fn start(snapshot: Snapshot, host: Arc<dyn Host>) -> Result<Self, StartError> {
        Self::start_with(snapshot, host, Vec::new())
    }

    /// The same, with listening sockets that were opened before this process: a listener on the address of one of
    /// them, or with the bind `systemd:NAME`, takes it over.
    ///
    /// # Errors
    /// [`StartError`]; nothing keeps running then.
    pub fn start_with(snapshot: Snapshot, host: Arc<dyn Host>, handed: Vec<Handed>) -> Result<Self, StartError> {
        let handed = handed::known(handed).map_err(StartError::System)?;
        let system = |what: &str| {
            let what = what.to_owned();
            move |error: std::io::Error| StartError::System(format!("{what}: {error}"))
        };
        let registry = Registry::default();
        let live = Arc::new(Live::compile(&snapshot, &registry).map_err(StartError::Invalid)?);
        let plan = descriptors::Plan::new(&snapshot);
        let inherited =
            if plan.private { descriptors::inherited().map_err(system("/proc/self/fd"))? } else { Vec::new() };
        let (log, lines) = Log::new();
        let channels = (0..plan.workers).map(|_| adopt::channel()).collect::<Result<Vec<_>, _>>();
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.map_err(system("socketpair"))?.into_iter().unzip();
        // Each worker's copies exist before the first table is unshared, so that their numbers hold in its own.
        let copies: Vec<Vec<(Bind, OwnedFd)>> = (0..plan.workers)
            .map(|_| handed.iter().map(|one| Ok((one.bind.clone(), one.fd.try_clone()?))).collect())
            .collect::<Result<_, _>>()
            .map_err(system("a socket that was handed over"))?;
        let worker = |adopt| WorkerShared {
            inbox: Inbox::new(),
            metrics: Metrics::new(),
            beat: AtomicU64::new(clock::monotonic_ns()),
            descriptors: AtomicU32::new(0),
            adopt,
            post: Post::new(),
        };
        let shared = Arc::new(Shared {
            live: Mutex::new(live),
            workers: senders.into_iter().map(worker).collect(),
            connections: AtomicU32::new(0),
            max_connections: AtomicU32::new(plan.max_connections),
            registry,
            host,
            writer: Writer::new(plan.workers, log.clone()),
            log,
            files: Budget::new(plan.files),
            series: Series::default(),
            status: Status::new(),
            hub: Hub::default(),
            api: crate::publish::Api::default(),
            trail: crate::log::Trail::new(),
        });
        // All runtimes and their wake-up descriptors exist before the first table is unshared.
        let built = Arc::new(Barrier::new(plan.workers + 2));
        let background = Background::start(shared.clone(), &snapshot.resolvers, built.clone())
            .map_err(system("the background thread cannot start"))?;
        let engine = Self {
            shared,
            control: Mutex::default(),
            ended: Arc::new((Mutex::new(0), Condvar::new())),
            threads: Mutex::default(),
            background,
            handed,
            ending: AtomicBool::new(false),
        };
        engine.start_log(lines);
        engine.start_workers(receivers.into_iter().zip(copies).collect(), &plan, &inherited, &built)?;
        engine.change(&snapshot, None)?;
        engine.shared.status.started();
        Ok(engine)
    }

    fn start_workers(
        &self,
        receivers: Vec<(OwnedFd, Vec<(Bind, OwnedFd)>)>,
        plan: &descriptors::Plan,
        inherited: &[descriptors::Foreign],
        built: &Arc<Barrier>,
    ) -> Result<(), StartError> {
        let (started, answers) = channel();
        let numbers: Vec<(usize, i32)> = receivers
            .iter()
            .enumerate()
            .flat_map(|(index, (adopt, handed))| {
                let handed = handed.iter().map(|(_, fd)| fd.as_raw_fd());
                handed.chain([adopt.as_raw_fd()]).map(move |fd| (index, fd))
            })
            .collect();
        for (index, (adopt, handed)) in receivers.into_iter().enumerate() {
            let start = Start {
                index,
                shared: self.shared.clone(),
                built: built.clone(),
                private: plan.private.then(|| descriptors::others(&numbers, index, inherited)),
                descriptor_limit: plan.worker_descriptors,
                adopt,
                handed,
                started: started.clone(),
            };
            let ended = Ended(self.ended.clone(), Box::new(self.background.closer()));
            let run = move || {
                let _ended = ended;
                thread::run(start);
            };
            *lock(&self.ended.0) += 1;
            let handle = spawn(&format!("fastgate-{index}"), run).unwrap_or_else(|error| {
                // Threads that wait at the barrier would wait for ever.
                self.shared.host.log(Level::Error, &format!("a worker thread cannot start: {error}"));
                std::process::exit(70)
            });
            lock(&self.threads).push(handle);
        }
        drop(started);
        for answer in answers.iter().take(self.shared.workers.len()) {
            answer.map_err(StartError::System)?;
        }
        Ok(())
    }

    /// Where each listener listens, by name: `ADDR:PORT` or `unix:/path`.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, String)> {
        let control = lock(&self.control);
        let live = self.shared.live();
        let shown = live
            .listeners
            .iter()
            .filter_map(|listener| Some((listener.name.clone(), control.binds.get(&listener.key())?.show())));
        shown.collect()
    }

    /// Goes over to another snapshot: judged, compiled and its listeners opened first, then swapped by pointer.
    ///
    /// # Errors
    /// [`StartError`]; everything stays as it was then. The number of workers never changes. An engine that drains or
    /// has ended refuses.
    pub fn apply(&self, snapshot: Snapshot) -> Result<(), StartError> {
        if self.ending.load(Relaxed) {
            return Err(StartError::System("the gateway is ending".to_owned()));
        }
        let applied = Live::compile(&snapshot, &self.shared.registry)
            .map_err(StartError::Invalid)
            .and_then(|live| self.change(&snapshot, Some(Arc::new(live))));
        self.shared.reloaded(applied.as_ref().err().map(ToString::to_string));
        applied
    }

    /// Opens what is new, then commits on every worker. At start the current snapshot is committed.
    fn change(&self, snapshot: &Snapshot, replacement: Option<Arc<Live>>) -> Result<(), StartError> {
        let mut control = lock(&self.control);
        let live = replacement.clone().unwrap_or_else(|| self.shared.live());
        let redis = Settings::of(snapshot).map_err(StartError::Invalid)?;
        // Before anything changes: a log that cannot be written is an error. Workers' tables are their own by now, so
        // that no copy of this descriptor keeps a rotated file open.
        if let Some(access) = &live.access {
            access.open(&self.shared.writer).map_err(StartError::System)?;
        }
        let audit = self.shared.open_trail(snapshot).map_err(StartError::System)?;
        let mut binds = HashMap::new();
        let mut fresh = Vec::new();
        let mut holders = Vec::new();
        for listener in &live.listeners {
            let key = listener.key();
            let bind = match control.binds.get(&key) {
                Some(bind) => bind.clone(),
                None => {
                    let wanted = Bind::parse(&listener.bind)
                        .map_err(|message| StartError::Invalid(vec![Invalid::new("listeners", message)]))?;
                    let failed = |reason| StartError::Bind {
                        listener: listener.name.clone(),
                        address: listener.bind.clone(),
                        reason,
                    };
                    let bind = match handed::find(&self.handed, &wanted) {
                        Some(known) if binds.values().any(|bind| *bind == known.bind) => {
                            return Err(failed("another listener has that socket already".to_owned()));
                        }
                        Some(known) => known.bind.clone(),
                        // Our own workers hold an address that overlaps: nobody else can, and they may share it.
                        None if control.binds.values().any(|own| handed::overlap(own, &wanted)) => wanted,
                        None => {
                            let (bind, holder) =
                                listen::settle(&wanted).map_err(|error| failed(listen::explain(&error)))?;
                            holders.extend(holder);
                            bind
                        }
                    };
                    fresh.push(bind.clone());
                    bind
                }
            };
            binds.insert(key, bind);
        }
        let Opening { opened, places, warnings } = internal::open(snapshot, &control.internal)?;
        self.prepare(&fresh, &live)?;
        if let Some(replacement) = replacement {
            let old = std::mem::replace(&mut *lock(&self.shared.live), replacement);
            control.retired.push(old);
            let max = descriptors::Plan::new(snapshot).max_connections;
            self.shared.max_connections.store(max, Relaxed);
        }
        self.shared.follow_trail(audit);
        self.shared.series.follow(snapshot);
        self.shared.log.set_level(live.level);
        let ordered: Vec<Bind> = live.listeners.iter().map(|listener| binds[&listener.key()].clone()).collect();
        let (sender, answers) = channel();
        for worker in &self.shared.workers {
            worker.inbox.send([Message::Commit(live.clone(), ordered.clone(), sender.clone())]);
        }
        drop(sender);
        self.answers(&answers);
        // What is left of the senders belongs to listeners that close.
        let clock = Clock::start();
        while answers.recv_timeout(CLOSING.saturating_sub(clock.elapsed())).is_ok() {}
        control.binds = binds;
        control.internal = opened;
        self.background.redis.follow(&self.shared, redis);
        self.background.listen(places);
        self.shared.registry.announce(&self.shared.log);
        for warning in warnings {
            let _ = self.shared.log.line(Level::Warning, warning);
        }
        control.retired.retain(|retired| Arc::strong_count(retired) > 1);
        drop(holders);
        self.background.look_again();
        Ok(())
    }

    fn prepare(&self, fresh: &[Bind], live: &Live) -> Result<(), StartError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let (sender, answers) = channel();
        for worker in &self.shared.workers {
            worker.inbox.send([Message::Prepare(fresh.to_vec(), sender.clone())]);
        }
        drop(sender);
        let answers = self.answers(&answers);
        if answers.len() < self.shared.workers.len() {
            return Err(StartError::System("the gateway is ending".to_owned()));
        }
        let failed = answers.into_iter().filter_map(Result::err).next_back();
        let Some((bind, reason)) = failed else { return Ok(()) };
        for worker in &self.shared.workers {
            worker.inbox.send([Message::Abort]);
        }
        let address = bind.show();
        let named = live.listeners.iter().find(|listener| listener.bind == address);
        Err(StartError::Bind { listener: named.map_or_else(String::new, |l| l.name.clone()), address, reason })
    }

    /// One answer of every worker, or fewer when they have ended.
    pub(crate) fn answers<T>(&self, answers: &Receiver<T>) -> Vec<T> {
        self.some_answers(answers, self.shared.workers.len())
    }

    /// So many answers, or fewer when the workers have ended.
    pub(crate) fn some_answers<T>(&self, answers: &Receiver<T>, wanted: usize) -> Vec<T> {
        let mut got = Vec::with_capacity(wanted);
        while got.len() < wanted {
            match answers.recv_timeout(Duration::from_millis(100)) {
                Ok(answer) => got.push(answer),
                Err(RecvTimeoutError::Timeout) if *lock(&self.ended.0) > 0 => {}
                Err(_) => break,
            }
        }
        got
    }

    /// Whether every worker answers within `limit`: none hangs.
    #[must_use]
    pub fn is_alive(&self, limit: Duration) -> bool {
        let (sender, answers) = channel();
        for worker in &self.shared.workers {
            worker.inbox.send([Message::Ping(sender.clone())]);
        }
        drop(sender);
        let clock = Clock::start();
        let answer = |_: &WorkerShared| answers.recv_timeout(limit.saturating_sub(clock.elapsed())).is_ok();
        self.shared.workers.iter().all(answer)
    }

    /// Ends gracefully: no new connections, requests under way are finished, each answer closes its connection, and
    /// what is left at `shutdown.limit` is cut. Calling it again changes nothing.
    pub fn drain(&self) {
        self.ending.store(true, Relaxed);
        self.shared.status.ending("draining");
        self.tell(|| Message::Drain);
    }

    /// Ends now.
    pub fn stop(&self) {
        self.ending.store(true, Relaxed);
        self.shared.status.ending("stopping");
        self.tell(|| Message::Stop);
    }

    pub(crate) fn tell(&self, message: impl Fn() -> Message) {
        for worker in &self.shared.workers {
            worker.inbox.send([message()]);
        }
    }

    /// Waits until every worker has ended; `false` when `timeout` passed first.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let (running, changed) = &*self.ended;
        let running = lock(running);
        match timeout {
            None => {
                drop(changed.wait_while(running, |running| *running > 0));
                true
            }
            Some(timeout) => {
                let waited = changed.wait_timeout_while(running, timeout, |running| *running > 0);
                *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
            }
        }
    }

    /// Where each internal listener listens, by name.
    #[must_use]
    pub fn internal_addresses(&self) -> Vec<(String, String)> {
        lock(&self.control).internal.iter().map(|one| (one.wanted.name.clone(), one.bind.show())).collect()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        self.background.stop();
        for thread in lock(&self.threads).drain(..) {
            let _ = thread.join();
        }
    }
}

/// One running worker fewer, told to whoever waits; also when its thread panicked.
struct Ended(Arc<(Mutex<usize>, Condvar)>, Box<dyn Fn() + Send + Sync>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut running = lock(&self.0.0);
        *running -= 1;
        if *running == 0 {
            (self.1)();
        }
        drop(running);
        self.0.1.notify_all();
    }
}

impl Shared {
    /// The current snapshot.
    pub(crate) fn live(&self) -> Arc<Live> {
        lock(&self.live).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a named engine thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        crate::sys::mask_all_signals();
        run();
    })
}
