//! Threads for what takes long by design, argon2id: half the CPUs, with a short queue; started at first use.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Jobs that may wait.
pub(super) const QUEUE: usize = 32;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    ended: bool,
}

#[derive(Default)]
struct Inner {
    queue: Mutex<Queue>,
    more: Condvar,
}

/// The pool; its threads end with it.
#[derive(Default)]
pub(super) struct Pool(Arc<Inner>);

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// What a job has come to, and who waits for it.
struct Slot<R> {
    result: Option<R>,
    waker: Option<Waker>,
    gone: bool,
}

/// Tells who waits that nothing will come, where a job panicked.
struct Finish<R>(Arc<Mutex<Slot<R>>>);

impl<R> Drop for Finish<R> {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.gone = true;
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

/// What a job will have come to; `None` where it panicked.
pub(super) struct Outcome<R>(Arc<Mutex<Slot<R>>>);

impl<R> Future for Outcome<R> {
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let mut slot = lock(&self.0);
        if slot.gone {
            return Poll::Ready(slot.result.take());
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Pool {
    /// Starts a job; `None`: too many wait already.
    pub(super) fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Option<Outcome<R>> {
        let slot = Arc::new(Mutex::new(Slot { result: None, waker: None, gone: false }));
        let finish = Finish(slot.clone());
        self.put(Box::new(move || {
            let result = job();
            lock(&finish.0).result = Some(result);
        }))?;
        Some(Outcome(slot))
    }

    fn put(&self, job: Job) -> Option<()> {
        let mut queue = lock(&self.0.queue);
        if queue.idle <= queue.jobs.len() && queue.threads < most_threads() {
            let inner = self.0.clone();
            let started = thread::Builder::new().name("fastgate-argon2".to_owned()).spawn(move || work(&inner));
            if started.is_ok() {
                queue.threads += 1;
                queue.idle += 1;
            }
        }
        if queue.threads == 0 || queue.jobs.len() >= queue.idle + QUEUE {
            return None;
        }
        queue.jobs.push_back(job);
        self.0.more.notify_one();
        Some(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.ended = true;
        queue.jobs.clear();
        self.0.more.notify_all();
    }
}

fn most_threads() -> usize {
    thread::available_parallelism().map_or(1, |cpus| (cpus.get() / 2).max(1))
}

fn work(inner: &Inner) {
    let mut queue = lock(&inner.queue);
    loop {
        if queue.ended {
            return;
        }
        match queue.jobs.pop_front() {
            Some(job) => {
                queue.idle -= 1;
                drop(queue);
                // A job that panics ends alone; the one who waits is told by its drop.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                queue = lock(&inner.queue);
                queue.idle += 1;
            }
            None => queue = inner.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn wait<R>(future: impl Future<Output = R>) -> R {
        let mut future = Box::pin(future);
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn a_queue_has_its_bound_and_everything_in_it_is_done() {
        let pool = Pool::default();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut taken = Vec::new();
        for number in 0..most_threads() + QUEUE {
            let gate = gate.clone();
            taken.push(pool.run(move || (lock(&gate).recv().is_ok(), number)).expect("room"));
        }
        assert!(pool.run(|| ()).is_none(), "beyond the queue");
        for _ in &taken {
            go.send(()).unwrap();
        }
        for (number, one) in taken.into_iter().enumerate() {
            assert_eq!(wait(one), Some((true, number)));
        }
        assert_eq!(wait(pool.run(|| 7).expect("room again")), Some(7));
    }

    #[test]
    fn a_job_that_panics_ends_alone() {
        let pool = Pool::default();
        let outcome = wait(pool.run(|| -> u8 { std::panic::resume_unwind(Box::new("planted")) }).unwrap());
        assert_eq!(outcome, None);
        assert_eq!(wait(pool.run(|| 1).unwrap()), Some(1));
    }
}
