//! How a service's target is chosen. Each chooser is a plain function over counters that the caller owns.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The next of `n` targets, one after the other; the counter is shared by all workers. `n` must be at least 1: 0 gives 0.
///
/// Where the counter wraps, one target may be met twice in a row if `n` is no power of two.
pub fn round_robin(counter: &AtomicUsize, n: usize) -> usize {
    match n {
        0 | 1 => 0,
        _ => counter.fetch_add(1, Ordering::Relaxed) % n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meets_every_target_in_turn() {
        let counter = AtomicUsize::new(0);
        let seen: Vec<usize> = (0..7).map(|_| round_robin(&counter, 3)).collect();
        assert_eq!(seen, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn stays_in_range_where_the_counter_wraps_and_for_one_or_none() {
        let counter = AtomicUsize::new(usize::MAX);
        assert!(round_robin(&counter, 3) < 3);
        assert_eq!(round_robin(&counter, 3), 0);
        assert_eq!((round_robin(&counter, 1), round_robin(&counter, 0)), (0, 0));
    }
}
