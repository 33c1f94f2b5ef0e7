//! Whether the gateway is ready and how it is: what `/readyz` and `/healthz` say.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::clock;
use crate::metrics::process::Process;
use crate::tls::{Validity, validity};
use crate::worker::{ENDED, Shared};

/// A worker that has not swept for so long is stuck; it sweeps twice a second.
const STALLED_NS: u64 = 5_000_000_000;

/// Share of a limit, in percent, above which descriptors or memory are short.
const SHORT: u64 = 90;

/// Targets that are listed with their trouble; the others are counted.
const MAX_LISTED: usize = 100;

/// What the control side says about itself.
#[derive(Debug)]
pub(crate) struct Status {
    started_ns: u64,
    ready: Mutex<Ready>,
    config: Mutex<Config>,
}

#[derive(Debug)]
struct Ready {
    /// Why it is not ready, if so.
    because: Option<String>,
    /// It ends: it will not be ready again.
    ending: Option<&'static str>,
}

/// What became of snapshots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// 1 from the start, one more with each reload that succeeded.
    pub(crate) generation: u64,
    /// When the current one was applied, in seconds since 1970.
    pub(crate) applied_at: u64,
    /// Reloads that succeeded.
    pub(crate) succeeded: u64,
    /// Reloads that failed.
    pub(crate) failed: u64,
    /// When and why the last reload failed; none if it succeeded.
    pub(crate) error: Option<(u64, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    /// Not ready yet.
    pub(crate) fn new() -> Self {
        let because = Some("starting".to_owned());
        Self {
            started_ns: clock::monotonic_ns(),
            ready: Mutex::new(Ready { because, ending: None }),
            config: Mutex::default(),
        }
    }

    /// Ready, or not for that reason; an engine that ends stays unready.
    pub(crate) fn set_ready(&self, because: Option<String>) {
        lock(&self.ready).because = because;
    }

    /// Not ready from now on.
    pub(crate) fn ending(&self, word: &'static str) {
        lock(&self.ready).ending = Some(word);
    }

    /// Why it is not ready; `None` if it is.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let ready = lock(&self.ready);
        ready.ending.map(str::to_owned).or_else(|| ready.because.clone())
    }

    /// The first snapshot is in use.
    pub(crate) fn started(&self) {
        let mut config = lock(&self.config);
        config.generation = 1;
        config.applied_at = clock::unix_seconds();
        drop(config);
        self.set_ready(None);
    }

    /// A reload ended, with a reason if it failed.
    pub(crate) fn reloaded(&self, error: Option<String>) {
        let mut config = lock(&self.config);
        let now = clock::unix_seconds();
        if let Some(error) = error {
            config.failed += 1;
            config.error = Some((now, error));
        } else {
            config.generation += 1;
            config.applied_at = now;
            config.succeeded += 1;
            config.error = None;
        }
    }

    /// What became of snapshots so far.
    pub(crate) fn config(&self) -> Config {
        lock(&self.config).clone()
    }

    /// Reloads by result.
    pub(crate) fn reloads(&self) -> Value {
        let config = lock(&self.config);
        json!({"success": config.succeeded, "failure": config.failed})
    }

    /// Seconds since the engine started, to the millisecond.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit in 53 bits")]
    pub(crate) fn uptime_seconds(&self) -> f64 {
        (clock::monotonic_ns().saturating_sub(self.started_ns) / 1_000_000) as f64 / 1e3
    }
}

/// How one part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Well.
    Ok,
    /// It serves, but somebody should look.
    Degraded,
    /// It does not serve.
    Down,
}

impl State {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// One part: how it is, why, and figures.
struct Check {
    name: &'static str,
    state: State,
    reasons: Vec<String>,
    figures: Value,
}

impl Check {
    fn new(name: &'static str, worst: State, reasons: Vec<String>, figures: Value) -> Self {
        let state = if reasons.is_empty() { State::Ok } else { worst };
        Self { name, state, reasons, figures }
    }
}

/// The whole state, and all of it as JSON.
pub(crate) fn health(shared: &Shared) -> (State, Value) {
    let process = Process::now();
    let not_ready = shared.status.not_ready();
    let checks = [
        workers(shared),
        config(shared),
        files(shared),
        tls(shared),
        targets(shared),
        store(shared),
        limit("descriptors", "open", process.descriptors, process.max_descriptors),
        limit("memory", "resident_bytes", process.resident_bytes, process.memory_limit_bytes),
    ];
    let worst = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    let state = if not_ready.is_some() { State::Down } else { worst };
    let mut reasons: Vec<String> = not_ready.iter().map(|reason| format!("not ready: {reason}")).collect();
    let mut parts = serde_json::Map::new();
    for check in checks {
        reasons.extend(check.reasons.iter().map(|reason| format!("{}: {reason}", check.name)));
        let mut part = check.figures;
        part["status"] = check.state.word().into();
        parts.insert(check.name.to_owned(), part);
    }
    let value = json!({
        "status": state.word(),
        "ready": not_ready.is_none(),
        "reasons": reasons,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": shared.status.uptime_seconds(),
        "checks": parts,
    });
    (state, value)
}

fn workers(shared: &Shared) -> Check {
    let now = clock::monotonic_ns();
    let mut reasons = Vec::new();
    let mut ended = 0;
    for (index, worker) in shared.workers.iter().enumerate() {
        match worker.beat.load(Relaxed) {
            ENDED => ended += 1,
            beat if now.saturating_sub(beat) > STALLED_NS => {
                let seconds = now.saturating_sub(beat) / 1_000_000_000;
                reasons.push(format!("worker {index} has been stuck for {seconds} s"));
            }
            _ => {}
        }
    }
    let connections = shared.connections.load(Relaxed);
    let max = shared.max_connections.load(Relaxed);
    let stalled = reasons.len();
    let figures = json!({
        "count": shared.workers.len(),
        "stalled": stalled,
        "ended": ended,
        "connections": connections,
        "max_connections": max,
    });
    let worst = if stalled == shared.workers.len() { State::Down } else { State::Degraded };
    if connections >= max {
        reasons.push(format!("all {max} connections are in use"));
    }
    Check::new("workers", worst, reasons, figures)
}

fn config(shared: &Shared) -> Check {
    let config = shared.status.config();
    let reasons = config.error.iter().map(|(_, why)| format!("the last reload failed: {why}")).collect();
    let figures = json!({
        "generation": config.generation,
        "applied_at": config.applied_at,
        "reloads": {"success": config.succeeded, "failure": config.failed},
        "last_failure_at": config.error.as_ref().map(|(at, _)| at),
    });
    Check::new("config", State::Degraded, reasons, figures)
}

fn files(shared: &Shared) -> Check {
    let (watched, refused) = shared.registry.guards.watchlist.state();
    Check::new("files", State::Degraded, refused, json!({"watched": watched}))
}

fn tls(shared: &Shared) -> Check {
    let now = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
    let Validity { reasons, listeners, ending, invalid } = validity(&shared.live(), now);
    let figures = json!({"listeners": listeners, "ending": ending, "invalid": invalid});
    Check::new("tls", State::Degraded, reasons, figures)
}

fn targets(shared: &Shared) -> Check {
    let live = shared.live();
    let mut reasons = Vec::new();
    let (mut count, mut failing) = (0_usize, 0_usize);
    for service in &live.services {
        for (i, one) in service.targets.iter().enumerate() {
            if service.targets[..i].iter().any(|other| std::sync::Arc::ptr_eq(&other.target, &one.target)) {
                continue;
            }
            count += 1;
            let failures = one.target.state().map_or(0, |state| state.failures);
            let why = match failures {
                _ if one.target.unresolved() => "its name does not resolve".to_owned(),
                0 => continue,
                _ if let Some(why) = one.target.trouble() => format!("TLS fails: {why}"),
                1 => "the last connection could not be opened".to_owned(),
                n => format!("the last {n} connections could not be opened"),
            };
            failing += 1;
            if reasons.len() < MAX_LISTED {
                reasons.push(format!("{} of service {}: {why}", one.target, service.name));
            }
        }
    }
    if failing > reasons.len() {
        reasons.push(format!("and {} more", failing - reasons.len()));
    }
    Check::new("targets", State::Degraded, reasons, json!({"count": count, "failing": failing}))
}

fn store(shared: &Shared) -> Check {
    let figures = &shared.registry.guards.store;
    let (lanes, down, open) = (figures.lanes.load(Relaxed), figures.down.load(Relaxed), figures.open.load(Relaxed));
    let broker = shared.hub.broker();
    let mut shown = json!({"configured": broker.is_some() || lanes > 0});
    let mut reasons: Vec<String> = Vec::new();
    if let Some(broker) = broker {
        let (trouble, denied) = (broker.trouble(), broker.denied());
        shown["server"] = broker.place().into();
        shown["connected"] = trouble.is_none().into();
        shown["reconnects"] = shared.hub.figures.reconnects.load(Relaxed).into();
        shown["refused_channels"] = denied.into();
        reasons.extend(trouble);
        if denied > 0 {
            reasons.push(format!("Redis does not let us subscribe {denied} channels"));
        }
    }
    if lanes > 0 {
        shown["limits"] = json!({"connections": lanes - down.min(lanes), "not_asked": open});
        if down > 0 {
            reasons.push(format!("{down} of {lanes} connections for limits are down"));
        }
        if open > 0 {
            reasons.push(format!(
                "{open} of {lanes} connections are not asked: their limits go on as on_store_failure says"
            ));
        }
    }
    let (joined, kept, unsent, trouble) = shared.registry.guards.jwt.revoked.state();
    if joined {
        shown["configured"] = true.into();
        shown["revocations"] = json!({"kept": kept, "unsent": unsent});
        reasons.extend(trouble.map(|why| format!("revocations: {why}")));
    }
    Check::new("store", State::Degraded, reasons, shown)
}

fn limit(name: &'static str, key: &str, used: Option<u64>, max: Option<u64>) -> Check {
    let mut reasons = Vec::new();
    if let (Some(used), Some(max)) = (used, max)
        && used.saturating_mul(100) >= max.saturating_mul(SHORT)
    {
        reasons.push(format!("{used} of {max} are in use"));
    }
    let mut figures = json!({"limit": max});
    figures[key] = used.into();
    Check::new(name, State::Degraded, reasons, figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_ends_stays_unready() {
        let status = Status::new();
        assert_eq!(status.not_ready().as_deref(), Some("starting"));
        status.started();
        assert_eq!(status.not_ready(), None);
        status.set_ready(Some("warming up".to_owned()));
        assert_eq!(status.not_ready().as_deref(), Some("warming up"));
        status.ending("draining");
        status.set_ready(None);
        assert_eq!(status.not_ready().as_deref(), Some("draining"));
    }

    #[test]
    fn a_failed_reload_shows_until_one_succeeds() {
        let status = Status::new();
        status.started();
        status.reloaded(Some("routes.a: no".to_owned()));
        let config = status.config();
        assert_eq!((config.generation, config.succeeded, config.failed), (1, 0, 1));
        assert_eq!(config.error.unwrap().1, "routes.a: no");
        status.reloaded(None);
        let config = status.config();
        assert_eq!((config.generation, config.succeeded, config.failed, config.error), (2, 1, 1, None));
    }

    #[test]
    fn what_is_short_of_its_limit_is_named() {
        assert_eq!(limit("memory", "used", Some(89), Some(100)).state, State::Ok);
        assert_eq!(limit("memory", "used", Some(90), Some(100)).state, State::Degraded);
        assert_eq!(limit("memory", "used", Some(1 << 40), None).state, State::Ok);
        assert_eq!(limit("memory", "used", None, None).figures, json!({"used": null, "limit": null}));
    }
}
