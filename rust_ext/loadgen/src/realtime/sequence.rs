//! What one subscriber has had of its room: which number comes next, and which of the last 64 are still missing.

/// What a number means to the one who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next one.
    Next,
    /// So many before it have not come.
    Gap(u64),
    /// One that was missing: it came out of order.
    Late,
    /// It has been here before, or so long ago that it cannot be told apart.
    Duplicate,
}

/// The place of one subscriber in the order of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    next: u64,
    /// Bit i: the number `next - 1 - i` has come.
    came: u64,
}

impl Sequence {
    /// One that expects `next`, and nothing of before.
    pub(super) fn new(next: u64) -> Self {
        Self { next, came: u64::MAX }
    }

    /// Takes a number.
    pub(super) fn take(&mut self, number: u64) -> Verdict {
        if let Some(back) = self.next.checked_sub(number).and_then(|n| n.checked_sub(1)) {
            let bit = u32::try_from(back).ok().and_then(|back| 1_u64.checked_shl(back)).unwrap_or(0);
            if bit == 0 || self.came & bit != 0 {
                return Verdict::Duplicate;
            }
            self.came |= bit;
            return Verdict::Late;
        }
        let missing = number - self.next;
        let shift = u32::try_from(missing + 1).unwrap_or(u32::MAX);
        self.came = self.came.checked_shl(shift).unwrap_or(0) | 1;
        self.next = number + 1;
        if missing == 0 { Verdict::Next } else { Verdict::Gap(missing) }
    }

    /// Gives up what has not come before `next`; how many those are.
    pub(super) fn settle(&mut self, next: u64) -> u64 {
        let missing = next.saturating_sub(self.next);
        if missing > 0 {
            *self = Self { next, came: self.came.checked_shl(u32::try_from(missing).unwrap_or(u32::MAX)).unwrap_or(0) };
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::{Sequence, Verdict::*};

    #[test]
    fn loss_order_and_duplicates_are_told_apart() {
        let mut sequence = Sequence::new(5);
        let came = [5, 6, 8, 7, 7, 8, 4, 9, 200, 199, 199, 100, 201];
        let said: Vec<_> = came.iter().map(|number| sequence.take(*number)).collect();
        assert_eq!(
            said,
            [
                Next,
                Next,
                Gap(1),
                Late,
                Duplicate,
                Duplicate,
                Duplicate,
                Next,
                Gap(190),
                Late,
                Duplicate,
                Duplicate,
                Next
            ]
        );
        assert_eq!(sequence.next, 202);
    }

    #[test]
    fn what_is_missing_at_the_end_is_counted_once() {
        let mut sequence = Sequence::new(0);
        sequence.take(0);
        assert_eq!((sequence.settle(4), sequence.settle(4)), (3, 0));
        assert_eq!((sequence.take(4), sequence.take(2), sequence.take(0)), (Next, Late, Duplicate));
        assert_eq!(sequence.settle(1_000), 995);
        assert_eq!(sequence.take(999 - 70), Duplicate);
    }
}
