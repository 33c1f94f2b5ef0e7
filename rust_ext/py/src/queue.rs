//! What waits for the executor thread: requests with hooks, and lines for the log. Bounded, one wake-up a sleep.
//!
//! The lock is held for a push or a batch's pops and never while anyone waits for the GIL, so a worker that posts is
//! never behind Python. Bounds: [`MAX_JOBS`] requests, beyond which a request fails at once with 500; [`MAX_LINES`] log
//! lines, beyond which they are counted and the count is logged.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fastgate_engine::host::{self, HookJob, Host, Level};

use crate::job::Job;
use wake::Wake;

/// Requests that may wait for the executor.
pub const MAX_JOBS: usize = 65_536;
/// Log lines that may wait for the executor.
pub const MAX_LINES: usize = 1_024;

/// What stands before each field of a line's text; control characters of the text itself are escaped.
pub const FIELD: char = '\u{1f}';

/// A line for Python's `logging`: its fields follow the message, each as [`FIELD`] and `name=value`.
pub struct Line {
    pub level: Level,
    pub message: String,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<Job>>,
    lines: VecDeque<Line>,
    lost_lines: u64,
    sleeping: bool,
    closed: bool,
}

/// The queue between the engine's threads and the executor.
pub struct Queue {
    waiting: Mutex<Waiting>,
    wake: Wake,
    refused: AtomicU64,
}

/// What [`Queue::next`] found.
pub enum Next {
    /// Requests were put into the batch (at least one), or lines wait, or both.
    Work,
    /// Nothing more will come.
    Closed,
}

impl Queue {
    /// An empty queue.
    ///
    /// # Errors
    /// The system has no descriptor left for the wake-up.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { waiting: Mutex::default(), wake: Wake::new()?, refused: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change under this lock is a single push, pop or store: a panic leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends jobs in one go; those that find no room are dropped, which answers 500.
    pub fn post(&self, jobs: impl IntoIterator<Item = Box<Job>>) {
        let mut refused = Vec::new();
        let mut waiting = self.lock();
        for job in jobs {
            if waiting.closed || waiting.jobs.len() >= MAX_JOBS {
                refused.push(job);
            } else {
                waiting.jobs.push_back(job);
            }
        }
        self.wake(waiting);
        self.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
    }

    /// Wakes the executor if it sleeps; the call to the system is made without the lock.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let sleeps = std::mem::take(&mut waiting.sleeping);
        drop(waiting);
        if sleeps {
            self.wake.set();
        }
    }

    /// Waits for work and moves up to `max` requests into `batch`. Blocks; never called with the GIL held.
    pub fn next(&self, max: usize, mut batch: impl FnMut(Box<Job>)) -> Next {
        loop {
            let mut waiting = self.lock();
            if waiting.closed {
                return Next::Closed;
            }
            if !waiting.jobs.is_empty() || !waiting.lines.is_empty() {
                let count = waiting.jobs.len().min(max);
                waiting.jobs.drain(..count).for_each(&mut batch);
                return Next::Work;
            }
            waiting.sleeping = true;
            drop(waiting);
            self.wake.wait();
        }
    }

    /// The oldest line that waits for the log; after a loss, a line that says how many were lost.
    pub fn line(&self) -> Option<Line> {
        let mut waiting = self.lock();
        if let Some(line) = waiting.lines.pop_front() {
            return Some(line);
        }
        let lost = std::mem::take(&mut waiting.lost_lines);
        (lost > 0)
            .then(|| Line { level: Level::Warning, message: format!("{lost} log lines were lost: Python was busy") })
    }

    /// Refuses everything from now on, fails what waits and lets [`Queue::next`] return.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let jobs = std::mem::take(&mut waiting.jobs);
        waiting.sleeping = false;
        drop(waiting);
        // Unconditionally: an executor may be on its way to sleep with the flag already taken by a poster.
        self.wake.set();
        drop(jobs);
    }

    /// Requests that found the queue full or closed, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests that wait now.
    pub fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }
}

impl Host for Queue {
    fn on_request(&self, job: HookJob) {
        self.post([Box::new(Job::from(job))]);
    }

    fn log(&self, level: Level, message: &str) {
        self.log_line(&host::Line::new(level, message));
    }

    fn log_line(&self, line: &host::Line) {
        let mut waiting = self.lock();
        if waiting.closed {
            // The executor is gone: the last words of a stopping engine go where a process without logging writes.
            drop(waiting);
            let _ = writeln!(io::stderr(), "{line}");
        } else if waiting.lines.len() < MAX_LINES {
            waiting.lines.push_back(Line { level: line.level, message: text(line) });
            self.wake(waiting);
        } else {
            waiting.lost_lines += 1;
        }
    }
}

fn text(line: &host::Line) -> String {
    let mut text = escaped(&line.message);
    for (name, value) in &line.fields {
        text.push(FIELD);
        text.push_str(name);
        text.push('=');
        text.push_str(&escaped(value));
    }
    text
}

/// The text with its control characters escaped; a line break between findings stays.
fn escaped(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' { c.escape_unicode().collect() } else { c.to_string() };
    text.chars().map(visible).collect()
}

/// One descriptor to sleep on: an eventfd, or a pipe where there is none.
mod wake {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::io::{read, retry_on_intr, write};

    pub struct Wake {
        reader: OwnedFd,
        #[cfg(not(target_os = "linux"))]
        writer: OwnedFd,
    }

    impl Wake {
        #[cfg(target_os = "linux")]
        pub fn new() -> io::Result<Self> {
            let reader = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
            Ok(Self { reader })
        }

        #[cfg(not(target_os = "linux"))]
        pub fn new() -> io::Result<Self> {
            let (reader, writer) = rustix::pipe::pipe()?;
            for end in [&reader, &writer] {
                rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            }
            Ok(Self { reader, writer })
        }

        fn writer(&self) -> &OwnedFd {
            #[cfg(target_os = "linux")]
            return &self.reader;
            #[cfg(not(target_os = "linux"))]
            return &self.writer;
        }

        /// Ends one [`Wake::wait`], now or later.
        pub fn set(&self) {
            // It can fail only where the counter is full, and then the sleeper wakes anyway.
            let _ = retry_on_intr(|| write(self.writer(), &1u64.to_ne_bytes()));
        }

        /// Sleeps until the next [`Wake::set`]; a spurious return is harmless to the caller's loop.
        pub fn wait(&self) {
            let _ = retry_on_intr(|| read(&self.reader, &mut [0u8; 8]));
        }
    }
}
