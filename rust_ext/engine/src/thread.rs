//! A worker's thread: start-up in the order that descriptor tables demand, the message loop, drain and end.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::time::Duration;

use crate::accept::{self, Listener};
use crate::adopt;
use crate::clock::{self, Clock, Meter};
use crate::deadlines::SWEEP_MS;
use crate::descriptors::Foreign;
use crate::dial::Dialer;
use crate::host::Level;
use crate::hub;
use crate::listen::{self, Bind};
use crate::live::Live;
use crate::rt::{self, Runtime, Socket};
use crate::sys;
use crate::worker::{Message, Shared, Worker};

/// The exit status that asks a supervisor to start the process again.
const EX_SOFTWARE: i32 = 70;

/// What a worker's thread is started with.
pub(crate) struct Start {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// Every runtime exists once all have met here; only then may a table be unshared.
    pub(crate) built: Arc<Barrier>,
    /// A table of its own, without these descriptors of others.
    pub(crate) private: Option<Vec<Foreign>>,
    pub(crate) descriptor_limit: u32,
    pub(crate) adopt: OwnedFd,
    /// Its own copies of the listening sockets that were handed over.
    pub(crate) handed: Vec<(Bind, OwnedFd)>,
    pub(crate) started: Sender<Result<(), String>>,
}

/// The thread's body.
pub(crate) fn run(start: Start) {
    sys::mask_all_signals();
    let meter = Arc::new(Meter::new());
    let runtime = Runtime::woken({
        let meter = meter.clone();
        move || {
            meter.read();
        }
    });
    start.built.wait();
    let unshared = match &start.private {
        Some(others) => sys::private_descriptors()
            .map(|()| others.iter().filter_map(|other| other.still()).for_each(sys::close_inherited)),
        None => Ok(()),
    };
    let runtime = match unshared.and(runtime) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = start.started.send(Err(format!("a worker cannot start: {error}")));
            return;
        }
    };
    let worker = Worker::new(start.index, start.shared, Dialer::default(), clock::seed(start.index), meter);
    worker.descriptor_limit.set(start.descriptor_limit);
    *worker.handed.borrow_mut() = start.handed;
    runtime.block_on(async {
        *worker.date.borrow_mut() = crate::date::format(clock::unix_seconds());
        match Socket::new(start.adopt) {
            Ok(channel) => spawn_vital(&worker, "adopt", adopt::run(worker.clone(), channel)),
            Err(error) => {
                let _ = start.started.send(Err(format!("a worker cannot start: {error}")));
                return;
            }
        }
        spawn_vital(&worker, "sweep", sweep(worker.clone()));
        let end = Rc::new(End::default());
        spawn_vital(&worker, "messages", messages(worker.clone(), end.clone()));
        let _ = start.started.send(Ok(()));
        end.wait().await;
    });
    worker.ended();
    worker.listeners.borrow_mut().clear();
    worker.pools.clear();
    worker.hub.end(&worker);
    worker.store.take();
    // Tasks are dropped here: connections close, counts are released, lines end.
    runtime.end();
    worker.leave_lines();
}

/// The worker's end, waited for by its thread.
#[derive(Default)]
struct End {
    reached: Cell<bool>,
    waker: Cell<Option<std::task::Waker>>,
}

impl End {
    fn reach(&self) {
        self.reached.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            self.waker.set(Some(cx.waker().clone()));
            if self.reached.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Starts a task that the worker cannot do without: its panic ends the process, for a supervisor to start it again.
pub(crate) fn spawn_vital(worker: &Rc<Worker>, name: &'static str, task: impl Future<Output = ()> + 'static) {
    let worker = worker.clone();
    let mut task = Box::pin(task);
    rt::spawn(poll_fn(move |cx| {
        catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))).unwrap_or_else(|_| {
            worker.shared.host.log(Level::Error, &format!("the {name} task panicked; the process ends"));
            std::process::exit(EX_SOFTWARE)
        })
    }));
}

async fn sweep(worker: Rc<Worker>) {
    let clock = Clock::start();
    loop {
        rt::sleep(Duration::from_millis(SWEEP_MS)).await;
        worker.beat();
        worker.deadlines.sweep(clock.tick());
        worker.sweep_lines();
        worker.pools.sweep(worker.deadlines.now());
        *worker.date.borrow_mut() = crate::date::format(clock::unix_seconds());
    }
}

async fn messages(worker: Rc<Worker>, end: Rc<End>) {
    let mut prepared: Vec<(Bind, OwnedFd)> = Vec::new();
    loop {
        for message in worker.shared.workers[worker.index].inbox.receive().await {
            match message {
                Message::Hook(reply) => worker.hooks.deliver(reply),
                Message::Prepare(binds, answer) => {
                    let opened = prepare(&worker, binds);
                    let _ = answer.send(opened.map(|sockets| prepared = sockets));
                }
                Message::Abort => prepared.clear(),
                Message::Commit(live, binds, answer) => {
                    // A worker that is ending opens nothing any more.
                    if !worker.draining.get() {
                        commit(&worker, &live, &binds, std::mem::take(&mut prepared), &answer);
                    }
                    let _ = answer.send(());
                }
                Message::Drain => {
                    if !worker.draining.replace(true) {
                        spawn_vital(&worker, "drain", drain(worker.clone(), end.clone()));
                    }
                }
                Message::Hub(command) => hub::command(&worker, command),
                Message::Move(asked) => hub::go(&worker, asked),
                Message::Ping(answer) => {
                    let _ = answer.send(());
                }
                Message::Stop => end.reach(),
            }
        }
    }
}

/// Whether this worker listens there: on TCP each has a socket of its own, a Unix socket has one owner.
fn owns(worker: &Worker, bind: &Bind) -> bool {
    worker.index == 0 || matches!(bind, Bind::Tcp(_))
}

fn prepare(worker: &Worker, binds: Vec<Bind>) -> Result<Vec<(Bind, OwnedFd)>, (Bind, String)> {
    let mine = binds.into_iter().filter(|bind| owns(worker, bind));
    mine.map(|bind| match open(worker, &bind) {
        Ok(fd) => Ok((bind, fd)),
        Err(error) => Err((bind, listen::explain(&error))),
    })
    .collect()
}

/// Its own copy of a socket that was handed over, or a new one.
fn open(worker: &Worker, bind: &Bind) -> std::io::Result<OwnedFd> {
    match worker.handed.borrow().iter().find(|(handed, _)| handed == bind) {
        Some((_, fd)) => fd.try_clone(),
        None => listen::open(bind),
    }
}

/// Goes over to a snapshot: listeners that stay follow it, new ones start, those that are gone close.
fn commit(
    worker: &Rc<Worker>,
    live: &Arc<Live>,
    binds: &[Bind],
    mut prepared: Vec<(Bind, OwnedFd)>,
    closed: &Sender<()>,
) {
    let adopted = worker.adopt_live(live);
    let mut listeners = worker.listeners.borrow_mut();
    let mut kept = std::collections::HashMap::new();
    for (index, (bind, of)) in binds.iter().zip(&live.listeners).enumerate() {
        let key = of.key();
        let listener = match listeners.remove(&key) {
            Some(listener) => {
                listener.follow(worker, index, &adopted);
                listener
            }
            None => Listener::new(worker, key.clone(), index, adopted.clone()),
        };
        if let Bind::Tcp(address) = bind {
            listener.port.set(address.port());
        }
        if let Some(at) = prepared.iter().position(|(p, _)| p == bind) {
            let (bind, fd) = prepared.swap_remove(at);
            match Socket::new(fd) {
                Ok(socket) => {
                    spawn_vital(worker, "accept", accept::run(worker.clone(), listener.clone(), socket, bind));
                }
                Err(error) => worker.log(Level::Error, format!("listener {} cannot be polled: {error}", of.name)),
            }
        }
        kept.insert(key, listener);
    }
    for gone in listeners.values() {
        gone.close(Some(closed.clone()));
    }
    *listeners = kept;
    worker.follow_store(live);
    worker.prune(live);
}

/// Closes listeners after the notice, then waits for the last connection or the limit.
async fn drain(worker: Rc<Worker>, end: Rc<End>) {
    let shutdown = worker.shared.live().shutdown.clone();
    if shutdown.notice_ms > 0 {
        rt::sleep(Duration::from_millis(shutdown.notice_ms)).await;
    }
    for listener in worker.listeners.borrow().values() {
        listener.close(None);
    }
    spawn_vital(&worker, "hub drain", hub::drain(worker.clone(), shutdown.limit_ms));
    let last = poll_fn(|cx| {
        *worker.idle_waker.borrow_mut() = Some(cx.waker().clone());
        if worker.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    });
    let drained = rt::timeout(Duration::from_millis(shutdown.limit_ms), last).await;
    if drained.is_none() {
        let left = worker.connections.get();
        worker.log(Level::Warning, format!("{left} connections were still open at the shutdown limit and are cut"));
    }
    end.reach();
}
