//! The thread that writes the access log: takes full buffers over a bounded queue, counts what could not be written.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use fastgate_core::snapshot::LogTarget;

use super::diagnostic::Log;
use super::sink::{Sink, Written};
use crate::clock::Clock;
use crate::engine::spawn;
use crate::host::{Level, Line};

/// Buffers that may wait for the thread; beyond it their lines are dropped and counted.
const QUEUE: usize = 64;

/// Empty buffers kept for workers.
const SPARE: usize = 16;

/// Looks of 100 ms at a reader that is not ready, once the process ends.
const LAST_LOOKS: u32 = 10;

/// How long a worker that ends waits for room in the queue, and the last one for the thread.
const LAST_WAIT: Duration = Duration::from_secs(1);
const END_WAIT: Duration = Duration::from_secs(3);

/// How often somebody who waits looks again.
const MOMENT: Duration = Duration::from_millis(20);

/// Time between two lines about a sink that fails.
const COMPLAIN: Duration = Duration::from_secs(10);

/// Whole lines on their way to a sink.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) sink: Arc<Sink>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u32,
    /// They are records of the audit trail.
    pub(crate) audit: bool,
}

/// `None` is the end.
type Note = Option<Batch>;

/// Everybody's end of the queue, and the sinks that are open.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: SyncSender<Note>,
    /// The other end, until the thread starts with the first sink.
    waiting: Mutex<Option<Receiver<Note>>>,
    sinks: Mutex<Vec<Weak<Sink>>>,
    spare: Mutex<Vec<Vec<u8>>>,
    /// Workers that may still send something.
    workers: AtomicUsize,
    ending: AtomicBool,
    ended: (Mutex<bool>, Condvar),
    log: Log,
    /// Lines that are out.
    pub(crate) written: AtomicU64,
    /// Lines that a sink did not take.
    pub(crate) failed: AtomicU64,
    /// Records of the audit trail that are out, and that a sink did not take.
    pub(crate) audit_written: AtomicU64,
    pub(crate) audit_failed: AtomicU64,
}

impl Writer {
    /// A writer for that many workers; its thread starts with the first sink.
    pub(crate) fn new(workers: usize, log: Log) -> Arc<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        Arc::new(Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
            sinks: Mutex::default(),
            spare: Mutex::default(),
            workers: AtomicUsize::new(workers),
            ending: AtomicBool::new(false),
            ended: (Mutex::new(true), Condvar::new()),
            log,
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            audit_written: AtomicU64::new(0),
            audit_failed: AtomicU64::new(0),
        })
    }

    /// The sink for that target: the one that is open, or a new one. The error is a whole sentence.
    pub(crate) fn sink(self: &Arc<Self>, target: &LogTarget) -> Result<Arc<Sink>, String> {
        let mut sinks = lock(&self.sinks);
        sinks.retain(|sink| sink.strong_count() > 0);
        if let Some(open) = sinks.iter().filter_map(Weak::upgrade).find(|sink| sink.target == *target) {
            return Ok(open);
        }
        let sink = Arc::new(Sink::open(target)?);
        if let Some(queue) = lock(&self.waiting).take() {
            let writer = self.clone();
            *lock(&self.ended.0) = false;
            spawn("fastgate-access", move || {
                let _ended = Ended(&writer);
                writer.run(&queue);
            })
            .map_err(|error| format!("the thread of the access log cannot start: {error}"))?;
        }
        sinks.push(Arc::downgrade(&sink));
        Ok(sink)
    }

    /// Opens every file anew; what is under way ends in the old one. The error names all that could not be opened and
    /// go on as they were.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        let sinks: Vec<_> = lock(&self.sinks).iter().filter_map(Weak::upgrade).collect();
        let failed: Vec<_> = sinks.iter().filter_map(|sink| sink.reopen().err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Takes a buffer; `Err` gives it back when the queue is full.
    pub(crate) fn send(&self, batch: Batch) -> Result<(), Batch> {
        self.queue.try_send(Some(batch)).map_err(|error| match error {
            TrySendError::Full(Some(batch)) | TrySendError::Disconnected(Some(batch)) => batch,
            TrySendError::Full(None) | TrySendError::Disconnected(None) => unreachable!("a batch was sent"),
        })
    }

    /// The next buffer, where no thread takes it.
    #[cfg(test)]
    pub(super) fn take(&self) -> Option<Batch> {
        lock(&self.waiting).as_ref().and_then(|queue| queue.try_recv().ok()).flatten()
    }

    /// An empty buffer, used before or new.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// The last words of a worker; the last worker of all waits until everything is written, at most a few seconds.
    pub(crate) fn leave(&self, last: Option<Batch>) -> u32 {
        let clock = Clock::start();
        let mut lost = 0;
        let mut last = last;
        while let Some(batch) = last.take() {
            if let Err(batch) = self.send(batch) {
                if clock.elapsed() > LAST_WAIT {
                    lost = batch.lines;
                    break;
                }
                self.wait_for_change();
                last = Some(batch);
            }
        }
        if self.workers.fetch_sub(1, SeqCst) == 1 {
            self.end(&clock);
        }
        lost
    }

    /// Waits until the thread has taken something, or a moment.
    fn wait_for_change(&self) {
        drop(self.ended.1.wait_timeout(lock(&self.ended.0), MOMENT));
    }

    fn end(&self, clock: &Clock) {
        self.ending.store(true, SeqCst);
        while !*lock(&self.ended.0) && self.queue.try_send(None).is_err() {
            if clock.elapsed() > END_WAIT {
                return;
            }
            self.wait_for_change();
        }
        let (ended, changed) = &self.ended;
        let left = END_WAIT.saturating_sub(clock.elapsed());
        drop(changed.wait_timeout_while(lock(ended), left, |ended| !*ended));
    }

    /// Writes until the end comes.
    fn run(&self, queue: &Receiver<Note>) {
        let clock = Clock::start();
        let mut complaints = [Complaint::of("access log"), Complaint::of("audit trail")];
        let mut looks = LAST_LOOKS;
        while let Ok(Some(batch)) = queue.recv() {
            self.ended.1.notify_all();
            let Written { failed } = batch.sink.write(&batch.bytes, &mut || {
                // While the process lives the queue fills up behind a reader that is slow; at its end there is a bound.
                if self.ending.load(SeqCst) {
                    looks = looks.saturating_sub(1);
                }
                looks > 0
            });
            let all = u64::from(batch.lines);
            let (error, lines) = failed.map_or((None, all), |(error, lines)| (Some(error), lines));
            let lost = all.saturating_sub(lines);
            let (written, failed) =
                if batch.audit { (&self.audit_written, &self.audit_failed) } else { (&self.written, &self.failed) };
            written.fetch_add(lines, Relaxed);
            failed.fetch_add(lost, Relaxed);
            let complaint = &mut complaints[usize::from(batch.audit)];
            if let Some(line) = complaint.about(batch.sink.name(), lost, error, clock.elapsed()) {
                self.log.add(line);
            }
            let mut bytes = batch.bytes;
            let mut spare = lock(&self.spare);
            if spare.len() < SPARE {
                bytes.clear();
                spare.push(bytes);
            }
        }
    }
}

/// When somebody was last told that lines are lost.
#[derive(Debug)]
struct Complaint {
    what: &'static str,
    at: Option<Duration>,
    lost: u64,
}

impl Complaint {
    fn of(what: &'static str) -> Self {
        Self { what, at: None, lost: 0 }
    }

    /// A line at the first loss, again while it goes on, and once when it is over.
    fn about(&mut self, sink: &str, lost: u64, error: Option<std::io::Error>, now: Duration) -> Option<Line> {
        self.lost += lost;
        let due = self.at.is_none_or(|at| now >= at + COMPLAIN);
        match error {
            Some(error) if due => {
                self.at = Some(now);
                let line = Line::new(Level::Error, format!("the {} cannot be written, lines are lost", self.what));
                Some(
                    line.with("to", sink.to_owned())
                        .with("error", error.to_string())
                        .with("lost", std::mem::take(&mut self.lost).to_string()),
                )
            }
            Some(_) => None,
            None if self.at.is_some() && due => {
                self.at = None;
                let line =
                    Line::new(Level::Info, format!("the {} is written again", self.what)).with("to", sink.to_owned());
                Some(line.with("lost", std::mem::take(&mut self.lost).to_string()))
            }
            None => None,
        }
    }
}

/// Tells the last worker that the thread has ended, also by a panic.
struct Ended<'a>(&'a Writer);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *lock(&self.0.ended.0) = true;
        self.0.ended.1.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
