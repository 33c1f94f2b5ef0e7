//! The trail of security decisions: records in one order, through the log thread, with a bound and a count of what is
//! lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastgate_core::log::Stamp;
use fastgate_core::log::audit::{self, Event, Place, Said, config_hash};
use fastgate_core::snapshot::Snapshot;

use super::sink::Sink;
use super::writer::{Batch, Writer};
use crate::clock;
use crate::engine::Engine;
use crate::worker::Shared;

/// Bytes that may wait for the log thread; beyond it records are dropped, and the next one that finds room says how
/// many.
const FULL: usize = 256 * 1024;

/// From here on what has gathered goes to the log thread without waiting for the sweep.
const MUCH: usize = 64 * 1024;

/// The trail of a process.
#[derive(Debug)]
pub(crate) struct Trail {
    /// Some sink is open: asked before anything is made of a decision.
    on: AtomicBool,
    boot: String,
    gathered: Mutex<Gathered>,
    /// Records that went on their way.
    pub(crate) recorded: AtomicU64,
    /// Records that found no room.
    pub(crate) dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Gathered {
    sink: Option<Arc<Sink>>,
    config: String,
    seq: u64,
    lost: u64,
    bytes: Vec<u8>,
    lines: u32,
    stamp: Stamp,
}

impl Trail {
    /// Nothing is recorded yet.
    pub(crate) fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
            boot: format!("{:016x}{:016x}", clock::seed(0), clock::seed(1)),
            gathered: Mutex::default(),
            recorded: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether anything is recorded.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Goes over to a config that is in use from now on.
    fn follow(&self, trail: Option<Opened>, writer: &Writer) {
        self.flush(writer);
        let mut gathered = lock(&self.gathered);
        self.on.store(trail.is_some(), Relaxed);
        let Opened { sink, config } = match trail {
            Some(opened) => opened,
            None => return gathered.sink = None,
        };
        gathered.sink = Some(sink);
        gathered.config = config;
    }

    /// Records what happened.
    pub(crate) fn record(&self, writer: &Writer, event: Event, said: &Said<'_>) {
        if !self.is_on() {
            return;
        }
        let mut gathered = lock(&self.gathered);
        let of = &mut *gathered;
        of.seq += 1;
        if of.bytes.len() >= FULL {
            Self::hand_over(of, writer);
        }
        if of.bytes.len() >= FULL {
            of.lost += 1;
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let (unix_ms, monotonic_ms) = (clock::unix_ms(), clock::monotonic_ns() / 1_000_000);
        if of.lost > 0 {
            let lost = Said { lost: Some(std::mem::take(&mut of.lost)), ..Said::default() };
            let place = Place { boot: &self.boot, config: &of.config, seq: of.seq, unix_ms, monotonic_ms };
            audit::write(&mut of.bytes, &mut of.stamp, &place, Event::Lost, &lost);
            of.lines += 1;
            of.seq += 1;
        }
        let place = Place { boot: &self.boot, config: &of.config, seq: of.seq, unix_ms, monotonic_ms };
        audit::write(&mut of.bytes, &mut of.stamp, &place, event, said);
        of.lines += 1;
        self.recorded.fetch_add(1, Relaxed);
        if of.bytes.len() >= MUCH {
            Self::hand_over(of, writer);
        }
    }

    /// Gives what has gathered to the log thread; what finds no room there waits here.
    pub(crate) fn flush(&self, writer: &Writer) {
        if self.is_on() {
            Self::hand_over(&mut lock(&self.gathered), writer);
        }
    }

    fn hand_over(of: &mut Gathered, writer: &Writer) {
        let Some(sink) = of.sink.clone().filter(|_| of.lines > 0) else { return };
        let (bytes, lines) = (std::mem::take(&mut of.bytes), std::mem::take(&mut of.lines));
        if let Err(batch) = writer.send(Batch { sink, bytes, lines, audit: true }) {
            of.bytes = batch.bytes;
            of.lines = batch.lines;
        }
    }
}

/// Where the records of a config go, opened before anything changes.
#[derive(Debug)]
pub(crate) struct Opened {
    sink: Arc<Sink>,
    config: String,
}

impl Shared {
    /// Opens where a config wants its records. The error is a whole sentence.
    pub(crate) fn open_trail(&self, snapshot: &Snapshot) -> Result<Option<Opened>, String> {
        let Some(wanted) = &snapshot.audit else { return Ok(None) };
        Ok(Some(Opened { sink: self.writer.sink(&wanted.to)?, config: config_hash(snapshot) }))
    }

    /// Goes over to that config, and records that.
    pub(crate) fn follow_trail(&self, trail: Option<Opened>) {
        self.trail.follow(trail, &self.writer);
        self.audit(Event::ConfigApplied, &Said::default());
    }

    /// A reload has ended, with a reason if it failed.
    pub(crate) fn reloaded(&self, error: Option<String>) {
        if let Some(reason) = &error {
            self.audit(Event::ConfigRefused, &Said { reason: Some(reason), ..Said::default() });
        }
        self.status.reloaded(error);
    }

    /// Records what happened, where that is wanted.
    pub(crate) fn audit(&self, event: Event, said: &Said<'_>) {
        self.trail.record(&self.writer, event, said);
    }
}

impl Engine {
    /// Records that an API key was made or revoked: `key.created` or `key.revoked`, the key's name, and who did it.
    /// `false`: nothing is recorded, because no trail is wanted or the event has another name.
    pub fn audit_key(&self, event: &str, key: &str, actor: &str) -> bool {
        let Some(event) = Event::of_key(event).filter(|_| self.shared.trail.is_on()) else { return false };
        self.shared.audit(event, &Said { key: Some(key), actor: Some(actor), ..Said::default() });
        self.shared.trail.flush(&self.shared.writer);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use fastgate_core::snapshot::LogTarget;

    use super::*;
    use crate::log::Log;

    #[test]
    fn what_finds_no_room_is_counted_and_said() {
        let (log, _lines) = Log::new();
        // Its thread has not begun: nothing is taken but by this test.
        let writer = Writer::new(1, log);
        let sink = Arc::new(Sink::open(&LogTarget::Stderr).unwrap());
        let trail = Trail::new();
        trail.follow(Some(Opened { sink, config: "c".to_owned() }), &writer);
        let long = "x".repeat(500);
        let said = Said { reason: Some(&long), ..Said::default() };
        let mut made = 0_u64;
        while trail.dropped.load(Relaxed) < 3 {
            trail.record(&writer, Event::Denied, &said);
            made += 1;
            assert!(lock(&trail.gathered).bytes.len() < FULL + 2_048, "what waits has a bound");
        }
        assert_eq!(trail.recorded.load(Relaxed) + 3, made);
        let first = writer.take().unwrap();
        let text = String::from_utf8(first.bytes).unwrap();
        assert!(first.audit && text.lines().count() == first.lines as usize);
        assert!(text.starts_with("{\"boot\":") && text.contains("\"seq\":1,"));
        // There is room again: the next record goes behind one that says what is missing.
        trail.record(&writer, Event::Denied, &said);
        let mut last = String::new();
        while let Some(batch) = writer.take() {
            last = String::from_utf8(batch.bytes).unwrap();
        }
        trail.flush(&writer);
        let waiting = writer.take().map(|batch| String::from_utf8(batch.bytes).unwrap()).unwrap_or_default();
        let end = format!("{last}{waiting}");
        let lost = end.lines().rev().nth(1).unwrap();
        assert!(lost.contains("\"event\":\"audit.lost\"") && lost.contains("\"lost\":3"), "{lost}");
        assert!(lost.contains(&format!("\"seq\":{}", made + 1)));
        assert!(end.lines().next_back().unwrap().contains(&format!("\"seq\":{}", made + 2)));
    }
}
