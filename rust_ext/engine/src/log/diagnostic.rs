//! Diagnostic lines: filtered by level, limited for each reason, queued, and handed to the host by one thread.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use fastgate_core::http1::Reason;
use fastgate_core::snapshot;

use crate::deadlines::{Tick, ticks};
use crate::fault::{FaultKind, Source};
use crate::guard::Denial;
use crate::host::{Host, Level, Line};
use crate::worker::Worker;

/// Lines that may wait; beyond it a line is dropped and counted.
const QUEUE: usize = 1024;

/// Lines about single requests, a second, a worker and a reason; the others are counted.
const MAX_LINES: u32 = 5;

/// The places of kinds in [`Limits`]: faults, reasons, folders, the PROXY protocol, handshakes.
const REASONS: usize = FaultKind::ALL.len();
const FOLDERS: usize = REASONS + Reason::ALL.len();
const PROXY: usize = FOLDERS + 1;
const HANDSHAKES: usize = PROXY + 1;

/// Where lines go in.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    queue: SyncSender<Line>,
    /// The least important level that is written.
    least: Arc<AtomicU8>,
}

impl Log {
    /// The two ends of the queue.
    pub(crate) fn new() -> (Self, Receiver<Line>) {
        let (queue, receiver) = sync_channel(QUEUE);
        (Self { queue, least: Arc::new(AtomicU8::new(Level::Info as u8)) }, receiver)
    }

    /// Writes lines of this level and above from now on.
    pub(crate) fn set_level(&self, level: snapshot::Level) {
        self.least.store(Level::from(level) as u8, Relaxed);
    }

    /// Whether lines of that level are written.
    pub(crate) fn writes(&self, level: Level) -> bool {
        level as u8 >= self.least.load(Relaxed)
    }

    /// Adds a line without fields; `false` when it was dropped for want of room.
    pub(crate) fn line(&self, level: Level, message: impl Into<String>) -> bool {
        self.add(Line::new(level, message))
    }

    /// Adds a line; `false` when it was dropped for want of room.
    pub(crate) fn add(&self, line: Line) -> bool {
        !self.writes(line.level) || !matches!(self.queue.try_send(line), Err(TrySendError::Full(_)))
    }
}

/// Hands lines to the host until every sender is gone.
pub(crate) fn run(lines: Receiver<Line>, host: &Arc<dyn Host>) {
    for line in lines {
        host.log_line(&line);
    }
}

/// How often each reason was logged of late, so that a log does not become the attack.
#[derive(Debug)]
pub(crate) struct Limits(RefCell<Vec<Window>>);

/// The current second of one reason.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    since: Tick,
    lines: u32,
    /// Lines that were held back since the last one that was written.
    held_back: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self(RefCell::new(vec![Window::default(); HANDSHAKES + 1]))
    }
}

impl Limits {
    /// Whether a line of that kind may be written now, and how many were held back before it.
    fn admit(&self, kind: usize, now: Tick) -> Option<u32> {
        let mut windows = self.0.borrow_mut();
        let window = windows.get_mut(kind)?;
        if now.wrapping_sub(window.since) >= ticks(1_000) {
            *window = Window { since: now, lines: 0, held_back: window.held_back };
        }
        if window.lines >= MAX_LINES {
            window.held_back = window.held_back.saturating_add(1);
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

impl Worker {
    /// Writes a diagnostic line, or counts that it was dropped.
    pub(crate) fn log(&self, level: Level, message: impl Into<String>) {
        self.log_line(Line::new(level, message));
    }

    fn log_line(&self, line: Line) {
        if !self.shared.log.add(line) {
            self.metrics().log_dropped.add(1);
        }
    }

    /// A line about a fault of the upstream or the gateway, a few a second of each kind.
    pub(crate) fn log_fault(&self, kind: FaultKind, reason: Option<Reason>, request_id: &[u8]) {
        if kind.source() == Source::Client {
            return;
        }
        self.log_limited(
            kind as usize,
            || {
                Line::new(Level::Warning, "a request failed")
                    .with("error", kind.name())
                    .with_some("reason", reason.map(Reason::name))
                    .with("request_id", String::from_utf8_lossy(request_id))
            },
            Level::Warning,
        );
    }

    /// A line about a request that a policy refused: why, which the client is not told.
    pub(crate) fn log_denial(&self, denial: &Denial, request_id: &[u8]) {
        let level = if denial.kind.source() == Source::Client { Level::Info } else { Level::Warning };
        self.log_limited(
            denial.kind as usize,
            || {
                Line::new(level, "a policy refused a request")
                    .with("policy", denial.policy)
                    .with("reason", denial.reason.clone())
                    .with("request_id", String::from_utf8_lossy(request_id))
            },
            level,
        );
    }

    /// A line about a refused message: the reason and the peer, none of its bytes.
    pub(crate) fn log_refused(&self, reason: Reason, peer: Option<IpAddr>) {
        self.log_limited(
            REASONS + reason as usize,
            || {
                let peer = peer.map_or_else(|| "local".to_owned(), |peer| peer.to_string());
                Line::new(Level::Info, "refused a message").with("reason", reason.name()).with("peer", peer)
            },
            Level::Info,
        );
    }

    /// A line about a connection without a PROXY protocol header that counts.
    pub(crate) fn log_proxy(&self, reason: &'static str, peer: Option<IpAddr>) {
        let peer = peer.map_or_else(|| "local".to_owned(), |peer| peer.to_string());
        let line = || Line::new(Level::Info, "refused a connection: PROXY protocol").with("reason", reason);
        self.log_limited(PROXY, || line().with("peer", peer), Level::Info);
    }

    /// A line about a folder whose files cannot be served.
    pub(crate) fn log_file(&self, root: &str, what: &str, error: &str) {
        let line = || Line::new(Level::Warning, format!("a folder {what}")).with("root", root).with("error", error);
        self.log_limited(FOLDERS, line, Level::Warning);
    }

    /// A line about a TLS handshake that failed.
    pub(crate) fn log_handshake(&self, error: &std::io::Error, peer: Option<IpAddr>) {
        let line = || {
            let peer = peer.map_or_else(|| "local".to_owned(), |peer| peer.to_string());
            Line::new(Level::Info, "a TLS handshake failed").with("error", error.to_string()).with("peer", peer)
        };
        self.log_limited(HANDSHAKES, line, Level::Info);
    }

    fn log_limited(&self, kind: usize, line: impl FnOnce() -> Line, level: Level) {
        if !self.shared.log.writes(level) {
            return;
        }
        match self.limits.admit(kind, self.deadlines.now()) {
            Some(0) => self.log_line(line()),
            Some(held_back) => self.log_line(line().with("held_back", held_back.to_string())),
            None => self.metrics().log_dropped.add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_limit() {
        let limits = Limits::default();
        let admitted = |kind, now| (0..100).filter_map(|_| limits.admit(kind, now)).collect::<Vec<_>>();
        assert_eq!(admitted(0, 1), [0; 5]);
        assert_eq!(admitted(1, 1), [0; 5]);
        assert_eq!(admitted(0, 6), [0; 0]);
        assert_eq!(admitted(0, 11), [195, 0, 0, 0, 0]);
        assert!(limits.admit(usize::MAX, 1).is_none());
    }

    #[test]
    fn less_important_lines_are_left_out() {
        let (log, lines) = Log::new();
        log.set_level(snapshot::Level::Warning);
        for level in [Level::Debug, Level::Info, Level::Warning, Level::Error] {
            assert!(log.line(level, "x"));
        }
        assert_eq!(lines.try_iter().map(|line| line.level).collect::<Vec<_>>(), [Level::Warning, Level::Error]);
        for _ in 0..QUEUE {
            assert!(log.line(Level::Error, "x"));
        }
        assert!(!log.line(Level::Error, "one too many"));
        assert!(log.line(Level::Info, "not wanted, so not dropped"));
    }
}
