//! Faults planted on purpose: each must be found by the simulation. One build holds all, one is on at a time.

use std::cell::Cell;

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An upstream connection with bytes behind the answer goes back to the pool.
    UncleanReuse,
    /// Pipelined bytes that came in one read with the end of a body are lost.
    LostPipeline,
    /// A request is sent again although a part of its answer was seen.
    LateRetry,
    /// Of a short write, the pieces behind the one that was cut are lost.
    CutTail,
    /// A target's count is not released when the client leaves.
    LeakedCount,
}

impl Fault {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::UncleanReuse, Self::LostPipeline, Self::LateRetry, Self::CutTail, Self::LeakedCount];
}

thread_local! {
    static ON: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Puts a fault into this thread's engine, or takes it out.
pub fn plant(fault: Option<Fault>) {
    ON.set(fault);
}

/// Whether this fault is in.
pub(crate) fn is(fault: Fault) -> bool {
    ON.get() == Some(fault)
}
