//! The one room that names tokio: spawning, readiness, timers, wake-ups.
//!
//! Everything else uses the few types below, so that the reactor can be replaced by changing this folder alone.

mod inbox;
mod oneshot;
mod set;
mod socket;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use inbox::Inbox;
pub(crate) use oneshot::{Answer, Reply, oneshot};
pub(crate) use set::{Event, Set};
#[cfg(feature = "simulation")]
pub(crate) use socket::read_would_block;
pub(crate) use socket::{Readiness, Socket};

/// Threads beside a runtime's own that may wait for a disk; they are started when needed and end when idle.
const BLOCKING_THREADS: usize = 4;

/// How long the end of a runtime waits for them.
const BLOCKING_END: Duration = Duration::from_secs(1);

/// A single-threaded runtime: made on its thread, never moved.
pub(crate) struct Runtime(tokio::runtime::LocalRuntime);

impl Runtime {
    /// A runtime with sockets and timers. Its descriptors exist when this returns.
    pub(crate) fn new() -> io::Result<Self> {
        Self::woken(|| {})
    }

    /// The same, with what is done each time it has waited.
    pub(crate) fn woken(on_wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("fastgate-files")
            .on_thread_unpark(on_wake)
            .build_local(tokio::runtime::LocalOptions::default())
            .map(Self)
    }

    /// Runs until the future ends; tasks it spawned are dropped with the runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    /// Ends it: tasks are dropped, and threads that wait for a disk that does not answer are left behind.
    pub(crate) fn end(self) {
        self.0.shutdown_timeout(BLOCKING_END);
    }
}

/// A job on a thread that may wait, one of a few that belong to this thread's runtime: started from here, they share
/// its descriptor table. Whoever starts jobs bounds their number.
pub(crate) struct Blocking<R>(tokio::task::JoinHandle<R>);

/// Starts one.
#[expect(clippy::disallowed_methods, reason = "the one place: few threads, the worker's own, for files alone")]
pub(crate) fn blocking<R: Send + 'static>(job: impl FnOnce() -> R + Send + 'static) -> Blocking<R> {
    Blocking(tokio::task::spawn_blocking(job))
}

impl<R> Blocking<R> {
    /// What it came to; `None` when it panicked or the runtime ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

/// Lets the others have their turn.
pub(crate) async fn yield_now() {
    tokio::task::yield_now().await;
}

/// Starts a task on the current thread's runtime.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    drop(tokio::task::spawn_local(future));
}

/// A task that ends when this is dropped.
pub(crate) struct Task(tokio::task::JoinHandle<()>);

/// Starts one on the current thread's runtime.
pub(crate) fn task(future: impl Future<Output = ()> + 'static) -> Task {
    Task(tokio::task::spawn_local(future))
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A timer on the runtime's wheel, for time-outs too short for the sweep.
pub(crate) struct Timer(Pin<Box<tokio::time::Sleep>>);

impl Timer {
    /// Fires that many milliseconds from now.
    pub(crate) fn new(ms: u64) -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::from_millis(ms))))
    }

    /// Fires that many milliseconds from now instead.
    pub(crate) fn reset(&mut self, ms: u64) {
        self.0.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(ms));
    }

    /// Waits until it fires.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// Waits.
pub(crate) async fn sleep(after: Duration) {
    tokio::time::sleep(after).await;
}

/// The future's output, or `None` when `limit` passed first.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// A runtime whose clock moves only when everything waits, for the simulation.
#[cfg(feature = "simulation")]
pub(crate) fn block_on_paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime without sockets needs nothing that can fail");
    runtime.block_on(future)
}

/// Tasks of the current runtime that have not ended.
#[cfg(feature = "simulation")]
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
