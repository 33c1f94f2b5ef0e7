//! What one request comes to: noted on its way, counted at its end exactly once, whatever happens to it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::log::{Begin, End};

use super::{RouteLine, Times};
use crate::fault::{Fault, FaultKind};
use crate::log::access::{Access, Place, Record, Sample, add};
use crate::log::tunnel::TunnelLine;
use crate::worker::{Worker, WorkerLive};

/// No route or service is known yet.
const NONE: u32 = u32::MAX;

/// One worker's counters of one route of one snapshot, found at first use.
#[derive(Debug, Default)]
pub(crate) struct RouteSlot {
    line: OnceCell<Arc<RouteLine>>,
    times: OnceCell<Arc<Times>>,
}

/// One request on its way. Dropped anywhere, it counts the request's end.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    worker: &'a Worker,
    live: &'a WorkerLive,
    /// When the head was complete, in nanoseconds.
    begun: u64,
    /// When the upstream was asked; 0: it was not.
    asked: Cell<u64>,
    /// When the last bytes of its answer came.
    heard: Cell<u64>,
    route: Cell<u32>,
    service: Cell<u32>,
    status: Cell<u16>,
    timed: Cell<bool>,
    /// Its line in the access log, if it may get one.
    record: Place,
}

impl<'a> Tally<'a> {
    /// Counts the beginning of a request whose head has just been read.
    pub(crate) fn begin(worker: &'a Worker, live: &'a WorkerLive) -> Self {
        worker.metrics().requests.add(1);
        Self {
            worker,
            live,
            begun: worker.clock.last(),
            asked: Cell::new(0),
            heard: Cell::new(0),
            route: Cell::new(NONE),
            service: Cell::new(NONE),
            status: Cell::new(0),
            timed: Cell::new(false),
            record: Place::default(),
        }
    }

    /// Notes the route.
    pub(crate) fn routed(&self, route: usize) {
        let slot = &self.live.routes[route];
        if slot.line.get().is_none() {
            let name = &self.live.live.routes[route].name;
            let _ = slot.line.set(self.worker.metrics().routes.line(name));
        }
        self.route.set(u32::try_from(route).unwrap_or(NONE));
    }

    /// Notes the service; from here on the request is timed.
    pub(crate) fn serviced(&self, service: usize) {
        self.service.set(u32::try_from(service).unwrap_or(NONE));
    }

    /// Notes that the upstream is being asked; the first time counts.
    pub(crate) fn asked(&self) {
        if self.asked.get() == 0 {
            self.asked.set(self.worker.clock.read());
        }
    }

    /// Notes that bytes of the upstream's answer have come.
    pub(crate) fn heard(&self) {
        self.heard.set(self.worker.clock.last());
    }

    /// The route's counters; those of no route before one is known.
    pub(crate) fn line(&self) -> &RouteLine {
        let slot = self.live.routes.get(self.route.get() as usize);
        slot.and_then(|slot| slot.line.get()).map_or(&self.worker.metrics().unrouted, |line| &**line)
    }

    /// The route's counters for what outlives the request.
    pub(crate) fn shared_line(&self) -> Option<Arc<RouteLine>> {
        self.live.routes.get(self.route.get() as usize).and_then(|slot| slot.line.get().cloned())
    }

    /// Counts the answer, when its head is written.
    pub(crate) fn answered(&self, status: u16) {
        self.status.set(status);
        self.line().answered(status);
    }

    /// Counts bytes of the request.
    #[inline]
    pub(crate) fn received(&self, bytes: usize) {
        self.line().received.add(bytes as u64);
        self.record.with(|record| add(&record.received, bytes));
    }

    /// Counts bytes of the answer.
    #[inline]
    pub(crate) fn sent(&self, bytes: usize) {
        self.line().sent.add(bytes as u64);
        self.record.with(|record| add(&record.sent, bytes));
    }

    /// The answer is through: its times are counted, and what follows belongs to no request.
    pub(crate) fn through(&self) {
        self.record.with(|record| record.ended.set(true));
        self.time(self.heard.get());
    }

    /// The gateway's own answer is through.
    pub(crate) fn ended(&self) {
        self.record.with(|record| record.ended.set(true));
        self.time(0);
    }

    /// Counts the times of a request that reached its service, once. `heard` is when the upstream was done; 0: never.
    fn time(&self, heard: u64) {
        let Some(cell) = self.live.services.get(self.service.get() as usize) else { return };
        if self.timed.replace(true) {
            return;
        }
        let now = self.worker.clock.read();
        let total = now.saturating_sub(self.begun);
        let asked = self.asked.get();
        let heard = if heard == 0 { now } else { heard };
        let upstream = if asked == 0 { 0 } else { heard.saturating_sub(asked) };
        let times = match cell.get() {
            Some(times) => times,
            None => self.first_times(cell),
        };
        times.record(total, upstream);
        self.record.with(|record| record.times.set(Some((total / 1_000, upstream / 1_000))));
        if let Some(times) = self.route_times() {
            times.record(total, upstream);
        }
    }

    #[cold]
    fn first_times<'c>(&self, cell: &'c OnceCell<Arc<Times>>) -> &'c Times {
        cell.get_or_init(|| {
            let name = &self.live.live.services[self.service.get() as usize].name;
            let place = self.worker.shared.series.services.place(name);
            self.worker.metrics().services.line(place)
        })
    }

    /// The route's name, once it is known.
    pub(crate) fn route_name(&self) -> Option<&str> {
        self.live.live.routes.get(self.route.get() as usize).map(|route| &*route.name)
    }

    /// The histograms of the route's own, if it wants any.
    fn route_times(&self) -> Option<&Times> {
        let index = self.route.get() as usize;
        let route = self.live.live.routes.get(index).filter(|route| route.histogram)?;
        let times = self.live.routes.get(index)?.times.get_or_init(|| {
            let place = self.worker.shared.series.routes.place(&route.name);
            self.worker.metrics().route_times.line(place)
        });
        Some(times)
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.time(0);
        if let Some(record) = self.record.take() {
            self.end_line(record);
        }
        if self.status.get() == 0 {
            self.line().answered(0);
        }
        self.worker.metrics().finished.add(1);
    }
}

/// The request's line in the access log.
impl Tally<'_> {
    /// Begins it, if this request may get one.
    pub(crate) fn begin_line(&self, access: &Access, sample: Sample, begin: Begin<'_>) {
        self.record.set(self.worker.begin_line(access, sample, self.begun, begin));
    }

    /// Notes the target, by its place in the service.
    pub(crate) fn targeted(&self, target: usize) {
        self.record.with(|record| record.target.set(u32::try_from(target).ok()));
    }

    /// Notes that the request is sent once more.
    pub(crate) fn retried(&self) {
        self.record.with(|record| record.retries.set(record.retries.get() + 1));
    }

    /// Notes bytes of a head among those sent.
    pub(crate) fn head(&self, bytes: usize) {
        self.record.with(|record| add(&record.heads, bytes));
    }

    /// Notes the head of a whole answer among what is sent.
    pub(crate) fn head_of(&self, answer: &[u8]) {
        self.record.with(|record| record.head_of(answer));
    }

    /// Notes what went wrong; the first fault counts.
    pub(crate) fn failed(&self, fault: Fault) {
        self.record.with(|record| record.fault.set(record.fault.get().or(Some(fault))));
    }

    fn end_line(&self, record: Box<Record>) {
        let live = &self.live.live;
        let Some(access) = &live.access else { return };
        let service = live.services.get(self.service.get() as usize);
        let target = service.zip(record.target.get()).and_then(|(service, at)| service.targets.get(at as usize));
        let since = |from: u64| self.worker.clock.read().saturating_sub(from) / 1_000;
        let times = record.times.get();
        let mut end = End {
            route: live.routes.get(self.route.get() as usize).map(|route| &*route.name),
            service: service.map(|service| &*service.name),
            target: target.map(|target| &*target.shown),
            status: self.status.get(),
            total_us: times.map_or_else(|| since(self.begun), |(total, _)| total),
            upstream_us: times.filter(|_| self.asked.get() > 0).map(|(_, upstream)| upstream),
            ..End::default()
        };
        if !record.ended.get() && record.fault.get().is_none() {
            // Nobody came to its end: it was cut.
            if std::thread::panicking() {
                end.error = Some("panic");
            } else {
                record.fault.set(Some(FaultKind::Shutdown.into()));
            }
        }
        self.worker.end_line(access, record, end);
    }

    /// Leaves the line to the tunnel that follows.
    pub(crate) fn tunnel_line(&self, worker: &Rc<Worker>) -> Option<Box<TunnelLine>> {
        let live = &self.live.live;
        let record = self.record.take()?;
        let service = live.services.get(self.service.get() as usize)?;
        let target = service.targets.get(record.target.get()? as usize)?;
        record.ended.set(false);
        Some(Box::new(TunnelLine {
            worker: worker.clone(),
            access: live.access.clone()?,
            route: live.routes.get(self.route.get() as usize)?.name.clone(),
            service: service.name.clone(),
            target: target.shown.clone(),
            status: self.status.get(),
            begun: self.begun,
            record,
        }))
    }
}
