//! Deadlines of a worker's connections: a dense array of 32-bit ticks, swept twice a second.
//!
//! A connection changes its deadline by one store; no timer object exists. The sweep wakes the connection's task and
//! never touches a descriptor: the task sees that its time has passed and decides.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

/// Time in tenths of a second since the worker's start: 13 years fit.
pub(crate) type Tick = u32;

/// Milliseconds of one tick.
pub(crate) const TICK_MS: u64 = 100;

/// Milliseconds between sweeps, and so the grain of every deadline.
pub(crate) const SWEEP_MS: u64 = 500;

/// How far behind the clock may be between two sweeps: added to every deadline, so that none comes early.
pub(crate) const GRAIN: Tick = 5;
const _: () = assert!(GRAIN as u64 * TICK_MS == SWEEP_MS);

/// Time-outs below this go on the runtime's wheel instead.
pub(crate) const WHEEL_BELOW_MS: u64 = 5_000;

const NEVER: Tick = Tick::MAX;
const EXPIRED: Tick = 0;

/// The ticks of a duration, rounded up.
pub(crate) fn ticks(ms: u64) -> Tick {
    Tick::try_from(ms.div_ceil(TICK_MS)).unwrap_or(NEVER - 1)
}

#[derive(Debug, Default)]
struct Table {
    due: Vec<Cell<Tick>>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

/// The table and the worker's own coarse clock.
#[derive(Debug)]
pub(crate) struct Deadlines {
    now: Cell<Tick>,
    table: RefCell<Table>,
}

impl Deadlines {
    /// An empty table at tick 1 (0 means expired).
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(1), table: RefCell::default() })
    }

    /// The tick of the last sweep.
    pub(crate) fn now(&self) -> Tick {
        self.now.get()
    }

    /// A slot for the task that polls now.
    pub(crate) fn slot(self: &Rc<Self>) -> Slot {
        let mut table = self.table.borrow_mut();
        let index = table.free.pop().unwrap_or_else(|| {
            table.due.push(Cell::new(NEVER));
            table.wakers.push(None);
            u32::try_from(table.due.len() - 1).expect("connections are fewer than 2^32")
        });
        table.due[index as usize].set(NEVER);
        Slot { index, deadlines: self.clone() }
    }

    /// Slots that somebody holds.
    #[cfg(feature = "simulation")]
    pub(crate) fn in_use(&self) -> usize {
        let table = self.table.borrow();
        table.due.len() - table.free.len()
    }

    /// Moves the clock and wakes whoever's time has passed.
    pub(crate) fn sweep(&self, now: Tick) {
        self.now.set(now.max(1));
        let mut woken = Vec::new();
        {
            let table = self.table.borrow();
            for (due, waker) in table.due.iter().zip(&table.wakers) {
                let tick = due.get();
                if tick != EXPIRED && tick <= now {
                    due.set(EXPIRED);
                    woken.extend(waker.clone());
                }
            }
        }
        for waker in woken {
            waker.wake();
        }
    }
}

/// One connection's deadline; the slot is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    index: u32,
    deadlines: Rc<Deadlines>,
}

impl Slot {
    /// The current tick.
    pub(crate) fn now(&self) -> Tick {
        self.deadlines.now()
    }

    /// Says whom the sweep wakes: once, when the connection's task first runs.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.deadlines.table.borrow_mut().wakers[self.index as usize] = Some(waker.clone());
    }

    /// Sets the deadline.
    pub(crate) fn set(&self, at: Tick) {
        self.deadlines.table.borrow().due[self.index as usize].set(at.max(1));
    }

    /// Sets the deadline that long from now, rounded up to the sweep behind it: never early, up to 0.5 s late.
    pub(crate) fn set_after(&self, after: Tick) {
        self.set(self.now().saturating_add(after).saturating_add(GRAIN));
    }

    /// Whether the sweep found the deadline passed.
    pub(crate) fn expired(&self) -> bool {
        self.deadlines.table.borrow().due[self.index as usize].get() == EXPIRED
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.deadlines.table.borrow_mut();
        table.due[self.index as usize].set(NEVER);
        table.wakers[self.index as usize] = None;
        table.free.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_deadline_is_seen_once_and_a_freed_slot_is_used_again() {
        let deadlines = Deadlines::new();
        let slot = deadlines.slot();
        slot.wakes(Waker::noop());
        slot.set_after(ticks(1_000));
        // It may have been set just before the sweep at 6: at 11, half a second is missing.
        deadlines.sweep(11);
        assert!(!slot.expired());
        deadlines.sweep(16);
        assert!(slot.expired());
        slot.set_after(5);
        assert!(!slot.expired());
        let index = slot.index;
        drop(slot);
        assert_eq!(deadlines.slot().index, index);
    }
}
