//! Time: who is silent is pinged, who does not answer or makes no progress is ended. One sweep over a dense array,
//! twice a second, without a timer a session.

use std::rc::Rc;
use std::time::Duration;

use fastgate_core::websocket::{Opcode, write_frame};

use super::endpoint::Endpoint;
use super::fanout::TURN;
use super::session::{Gone, Phase};
use super::shard::Inner;
use super::slab::Key;
use crate::deadlines::{GRAIN, SWEEP_MS, TICK_MS, Tick};
use crate::metrics::hub::Lost as Why;
use crate::rt;
use crate::worker::Worker;

/// A comment that keeps an event stream alive.
const COMMENT: &[u8] = b":\n\n";

/// Pings of one sweep that do not count against its portion.
const FEW: usize = 64;

/// Ticks between two looks at a session for which something waits.
const RETRY: Tick = 10;

/// Slots between two looks at the clock.
const STRIDE: usize = 64;

/// When a session is looked at that was heard at `heard`: up to a tenth before its ping is due, so that sessions that
/// came together are not pinged together.
pub(crate) fn due(worker: &Worker, endpoint: &Endpoint, heard: Tick) -> Tick {
    let jitter = worker.random() % u64::from(endpoint.ping / 10 + 1);
    heard.saturating_add(endpoint.ping - Tick::try_from(jitter).unwrap_or(0))
}

/// Looks after time for as long as the worker lives.
pub(crate) async fn run(worker: Rc<Worker>) {
    loop {
        rt::sleep(Duration::from_millis(SWEEP_MS)).await;
        let mut sweep = Sweep::default();
        loop {
            let more = worker.hub.get().is_some_and(|mut inner| inner.sweep(&worker, &mut sweep));
            if !more {
                break;
            }
            rt::yield_now().await;
        }
    }
}

/// How far one sweep has come.
#[derive(Debug, Default)]
struct Sweep {
    slot: usize,
    pings: usize,
}

impl Inner {
    /// Looks at those whose time has come, for at most one turn; whether some are left.
    fn sweep(&mut self, worker: &Worker, sweep: &mut Sweep) -> bool {
        let now = worker.deadlines.now();
        let until = worker.clock.read() + TURN;
        let mut looked = 0;
        while sweep.slot < self.sessions.slots() {
            let slot = sweep.slot;
            sweep.slot += 1;
            if self.sessions.due(slot) > now {
                continue;
            }
            if let Some(key) = u32::try_from(slot).ok().and_then(|slot| self.sessions.key(slot)) {
                self.look(worker, key, now, &mut sweep.pings);
            }
            looked += 1;
            if looked % STRIDE == 0 && worker.clock.read() >= until {
                return true;
            }
        }
        false
    }

    /// Looks at one session and says when next.
    fn look(&mut self, worker: &Worker, key: Key, now: Tick, pings: &mut usize) {
        let all = self.sessions.len();
        let Some(session) = self.sessions.get_mut(key) else { return };
        match session.phase {
            Phase::Open => {}
            Phase::Moving => return,
            Phase::Closing | Phase::Closed => return self.remove(worker, key),
        }
        let endpoint = session.endpoint.clone();
        if let Some(since) = session.waits_since() {
            let stalled = since.saturating_add(endpoint.stall).saturating_add(GRAIN);
            if stalled <= now {
                session.code = 3008;
                let lost = session.lost();
                worker.metrics().hub.dropped(Why::Slow, lost);
                return self.remove(worker, key);
            }
            // A ping would only wait behind what waits already. The kernel tells of room; a look is for when it had no
            // memory.
            self.sessions.set_due(key.slot, stalled.min(now.saturating_add(RETRY)));
            return self.flush(worker, key);
        }
        if session.pinged > 0 {
            let late = session.pinged.saturating_add(endpoint.pong).saturating_add(GRAIN);
            if late <= now {
                return self.close(worker, key, 3012, "no pong");
            }
            return self.sessions.set_due(key.slot, late);
        }
        let next = due(worker, &endpoint, session.heard);
        if next > now {
            return self.sessions.set_due(key.slot, next);
        }
        // All sessions have their turn within half the time between two pings, so that many never get theirs at once.
        let sweeps = usize::try_from(u64::from(endpoint.ping) * TICK_MS / SWEEP_MS / 2).unwrap_or(1).max(1);
        if *pings >= FEW + all / sweeps {
            return;
        }
        *pings += 1;
        let sent = if session.encoding.sse {
            session.heard = now;
            session.control(COMMENT, now)
        } else {
            session.pinged = now;
            let mut frame = Vec::with_capacity(2);
            write_frame(&mut frame, Opcode::Ping, b"");
            session.control(&frame, now)
        };
        if sent == Err(Gone) {
            return self.remove(worker, key);
        }
        let wait = if session.encoding.sse { endpoint.ping } else { endpoint.pong.saturating_add(GRAIN) };
        self.sessions.set_due(key.slot, now.saturating_add(wait));
    }
}
