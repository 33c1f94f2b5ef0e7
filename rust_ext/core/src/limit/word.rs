//! The one atomic word of a key: a time, a mark that the key is blocked until then, and who owns the slot.
//!
//! Bits 0-58: nanoseconds of the monotonic clock (18 years). Bits 59-62: how often the slot changed hands, so that a
//! compare-and-swap prepared for one key cannot succeed for the next. Bit 63: blocked.

/// Bits of the time.
const TIME_BITS: u32 = 59;
/// The time alone.
pub(super) const TIME: u64 = (1 << TIME_BITS) - 1;
const BLOCKED: u64 = 1 << 63;
const OWNER: u64 = !(TIME | BLOCKED);

/// Never used: a search ends here.
pub(super) const EMPTY: u64 = 0;
/// Being given to another key.
pub(super) const TAKEN: u64 = u64::MAX;
/// Its table has been rebuilt; look there.
pub(super) const MOVED: u64 = u64::MAX - 1;
/// The latest time a word can hold; the two words above are beyond it.
pub(super) const LATEST: u64 = TIME - 2;

/// A state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Up to when the rate is used up (the theoretical arrival time of GCRA), or blocked.
    pub(super) until: u64,
    /// Refused until then, whatever the rate.
    pub(super) blocked: bool,
}

impl State {
    /// A key that has not been seen.
    pub(super) const FRESH: Self = Self { until: 0, blocked: false };

    /// What a word says.
    pub(super) fn of(word: u64) -> Self {
        Self { until: word & TIME, blocked: word & BLOCKED != 0 }
    }

    /// The word for the same owner as `word`'s.
    pub(super) fn word(self, word: u64) -> u64 {
        (word & OWNER) | self.bits()
    }

    /// The word for the owner after `word`'s.
    pub(super) fn next_owner(self, word: u64) -> u64 {
        ((word & OWNER).wrapping_add(1 << TIME_BITS) & OWNER) | self.bits()
    }

    fn bits(self) -> u64 {
        self.until.clamp(1, LATEST) | if self.blocked { BLOCKED } else { 0 }
    }

    /// Nothing is left of it at `now`: the same as a key that has not been seen.
    pub(super) fn over(self, now: u64) -> bool {
        self.until <= now
    }
}

/// Neither a key's state nor empty.
pub(super) fn in_flux(word: u64) -> bool {
    word >= MOVED
}
