//! What all workers have counted, added up: the figures behind the statistics and the metrics text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fastgate_core::http1::Reason;
use serde_json::{Map, Value, json};

use super::histogram::{Sum, TimesSum};
use super::line::CLASSES;
use super::policies::TenantLine;
use super::{Book, Fold, Metrics, RouteLine, Times};
use crate::fault::FaultKind;
use crate::target::{Target, TargetState};
use crate::worker::Shared;

/// One route, all workers together.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct RouteSum {
    /// By class, as [`CLASSES`].
    pub(crate) answers: [u64; 6],
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl RouteSum {
    fn add(&mut self, line: &RouteLine) {
        for (own, counter) in self.answers.iter_mut().zip(&line.answers) {
            *own += counter.get();
        }
        self.received += line.received.get();
        self.sent += line.sent.get();
    }
}

fn sum_up<T: Fold, S: Default>(
    shared: &Shared,
    book: impl Fn(&Metrics) -> &Book<T>,
    add: impl Fn(&mut S, &T),
) -> BTreeMap<Arc<str>, S> {
    let mut sums: BTreeMap<Arc<str>, S> = BTreeMap::new();
    for worker in &shared.workers {
        for (name, line) in book(&worker.metrics).all() {
            add(sums.entry(name).or_default(), &line);
        }
    }
    sums
}

/// Every route that was asked.
pub(crate) fn routes(shared: &Shared) -> BTreeMap<Arc<str>, RouteSum> {
    sum_up(shared, |metrics| &metrics.routes, RouteSum::add)
}

/// What no route was asked for.
pub(crate) fn unrouted(shared: &Shared) -> RouteSum {
    let mut sum = RouteSum::default();
    shared.workers.iter().for_each(|worker| sum.add(&worker.metrics.unrouted));
    sum
}

/// The times of every service that was asked.
pub(crate) fn service_times(shared: &Shared) -> BTreeMap<Arc<str>, Box<TimesSum>> {
    sum_up(shared, |metrics| &metrics.services, |sum: &mut Box<TimesSum>, times: &Times| sum.add(times))
}

/// The times of every route that wants its own and was asked.
pub(crate) fn route_times(shared: &Shared) -> BTreeMap<Arc<str>, Box<TimesSum>> {
    sum_up(shared, |metrics| &metrics.route_times, |sum: &mut Box<TimesSum>, times: &Times| sum.add(times))
}

/// Every tenant that has a place, by outcome.
pub(crate) fn tenants(shared: &Shared) -> BTreeMap<Arc<str>, [u64; 3]> {
    let add = |sum: &mut [u64; 3], line: &TenantLine| sum.iter_mut().zip(line.counts()).for_each(|(own, n)| *own += n);
    sum_up(shared, |metrics| &metrics.tenants, add)
}

/// Connections of every listener: taken up, and ended.
pub(crate) fn listeners(shared: &Shared) -> BTreeMap<Arc<str>, (u64, u64)> {
    sum_up(
        shared,
        |metrics| &metrics.listeners,
        |sum: &mut (u64, u64), line| {
            // Read in this order a connection that ends meanwhile is not counted as one that never was.
            sum.1 += line.closed.get();
            sum.0 += line.opened.get();
        },
    )
}

/// The targets of a service that were wanted.
pub(crate) type ServiceTargets = (Arc<str>, Vec<(Arc<Target>, TargetState)>);

/// Every target that was wanted, by service; each once, however often its service names it.
pub(crate) fn targets(shared: &Shared) -> Vec<ServiceTargets> {
    let live = shared.live();
    let mut services = Vec::new();
    for service in &live.services {
        let mut targets: Vec<(Arc<Target>, TargetState)> = Vec::new();
        for target in service.targets.iter().map(|one| &one.target) {
            let known = targets.iter().any(|(other, _)| Arc::ptr_eq(other, target));
            if let Some(state) = target.state().filter(|_| !known) {
                targets.push((target.clone(), state));
            }
        }
        if !targets.is_empty() {
            services.push((service.name.clone(), targets));
        }
    }
    services
}

/// The counters without labels, by name.
pub(crate) fn plain(shared: &Shared) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for worker in &shared.workers {
        for (name, n) in worker.metrics.named() {
            *sums.entry(name).or_insert(0) += n;
        }
    }
    sums
}

/// Faults by kind.
pub(crate) fn faults(shared: &Shared) -> impl Iterator<Item = (FaultKind, u64)> {
    let sum = |kind: FaultKind| shared.workers.iter().map(|w| w.metrics.faults[kind as usize].get()).sum();
    FaultKind::ALL.iter().map(move |kind| (*kind, sum(*kind)))
}

/// Refused messages by reason.
pub(crate) fn refused(shared: &Shared) -> impl Iterator<Item = (Reason, u64)> {
    let sum = |i: usize| shared.workers.iter().map(|w| w.metrics.refused[i].get()).sum();
    Reason::ALL.iter().enumerate().map(move |(i, reason)| (*reason, sum(i)))
}

fn quantiles(sum: &Sum) -> Value {
    json!({
        "p50_us": sum.quantile_us(0.5),
        "p95_us": sum.quantile_us(0.95),
        "p99_us": sum.quantile_us(0.99),
    })
}

/// What is counted as one JSON object; see `Engine::stats_json`.
pub(crate) fn stats(shared: &Shared) -> Value {
    let mut out: Map<String, Value> = plain(shared).into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
    let unrouted = unrouted(shared);
    let mut all = unrouted;
    let mut by_route = Map::new();
    for (name, sum) in routes(shared) {
        for (own, n) in all.answers.iter_mut().zip(sum.answers) {
            *own += n;
        }
        all.received += sum.received;
        all.sent += sum.sent;
        by_route.insert((*name).to_owned(), classes(&sum));
    }
    let answers: Map<_, _> =
        CLASSES.iter().zip(all.answers).take(5).map(|(class, n)| ((*class).to_owned(), n.into())).collect();
    let connections = shared.connections.load(Relaxed);
    out.insert("answers".into(), answers.into());
    out.insert("unrouted".into(), classes(&unrouted));
    out.insert("routes".into(), by_route.into());
    out.insert("bytes".into(), json!({"received": all.received, "sent": all.sent}));
    out.insert("refused".into(), non_zero(refused(shared).map(|(reason, n)| (reason.name(), n))));
    out.insert("faults".into(), non_zero(faults(shared).map(|(kind, n)| (kind.name(), n))));
    out.insert("connections".into(), connections.into());
    out.insert("services".into(), services(shared));
    let by_listener = listeners(shared).into_iter().map(|(name, (opened, closed))| {
        ((*name).to_owned(), json!({"accepted": opened, "connections": opened.saturating_sub(closed)}))
    });
    out.insert("listeners".into(), by_listener.collect::<Map<_, _>>().into());
    out.insert("reloads".into(), shared.status.reloads());
    out.insert("uptime_seconds".into(), shared.status.uptime_seconds().into());
    let access = access_log(shared);
    out.remove("access_log_dropped");
    let dropped = json!({"queue_full": access.queue_full, "sink_failed": access.sink_failed});
    out.insert("access_log".into(), json!({"written": access.written, "dropped": dropped}));
    out.insert("realtime".into(), super::hub::stats(shared));
    out.insert("workers".into(), shared.workers.len().into());
    out.into()
}

/// Lines of the access log.
pub(crate) struct AccessLogSum {
    pub(crate) written: u64,
    pub(crate) queue_full: u64,
    pub(crate) sink_failed: u64,
}

/// What became of the access log's lines.
pub(crate) fn access_log(shared: &Shared) -> AccessLogSum {
    AccessLogSum {
        written: shared.writer.written.load(Relaxed),
        queue_full: shared.workers.iter().map(|worker| worker.metrics.access_log_dropped.get()).sum(),
        sink_failed: shared.writer.failed.load(Relaxed),
    }
}

fn classes(sum: &RouteSum) -> Value {
    non_zero(CLASSES.iter().copied().zip(sum.answers))
}

fn services(shared: &Shared) -> Value {
    let mut out = Map::new();
    for (name, sum) in service_times(shared) {
        let Value::Object(mut entry) = quantiles(&sum.total) else { continue };
        entry.insert("count".into(), sum.total.count().into());
        entry.insert("total".into(), quantiles(&sum.total));
        entry.insert("upstream".into(), quantiles(&sum.upstream));
        entry.insert("own".into(), quantiles(&sum.own));
        entry.insert("targets".into(), Value::Array(Vec::new()));
        out.insert((*name).to_owned(), entry.into());
    }
    for (name, targets) in targets(shared) {
        let targets = targets.iter().map(|(target, state)| {
            json!({
                "address": target.to_string(),
                "connections": state.open,
                "idle": state.idle,
                "waiting": state.waiting,
                "failures": state.failures,
            })
        });
        let entry = out.entry(&*name).or_insert_with(|| json!({"count": 0}));
        entry["targets"] = targets.collect();
    }
    out.into()
}

fn non_zero(counts: impl Iterator<Item = (&'static str, u64)>) -> Value {
    let counts = counts.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n.into()));
    counts.collect::<Map<_, _>>().into()
}
