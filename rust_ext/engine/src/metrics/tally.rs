//! What one request comes to: noted on its way, counted at its end exactly once, whatever happens to it.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::{RouteLine, Times};
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
    pub(crate) fn received(&self, bytes: usize) {
        self.line().received.add(bytes as u64);
    }

    /// Counts bytes of the answer.
    pub(crate) fn sent(&self, bytes: usize) {
        self.line().sent.add(bytes as u64);
    }

    /// The answer is through: its times are counted, and what follows belongs to no request.
    pub(crate) fn through(&self) {
        self.time(self.heard.get());
    }

    /// The gateway's own answer is through.
    pub(crate) fn ended(&self) {
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
        if self.status.get() == 0 {
            self.line().answered(0);
        }
        self.worker.metrics().finished.add(1);
    }
}
