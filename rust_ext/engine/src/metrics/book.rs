//! What is counted by name: found by a name that outlives snapshots, so that a reload never sets a counter back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names that no snapshot has any more and that are kept all the same. Beyond it they are added up under [`REMOVED`].
pub(crate) const MAX_REMOVED: usize = 1_000;

/// The name under which removed ones are added up.
pub(crate) const REMOVED: &str = "(removed)";

/// Services, and routes, with histograms of their own, first come first served; the others share [`OTHER`].
pub(crate) const MAX_TIMED: usize = 500;

/// The name under which the others are added up. No config can have it: names have no parentheses.
pub(crate) const OTHER: &str = "(other)";

/// What can be added up.
pub(crate) trait Fold: Default {
    /// Adds what another one has counted; only the owning worker may.
    fn absorb(&self, other: &Self);
}

/// One worker's counters by name: made at first use, read from any thread.
#[derive(Debug)]
pub(crate) struct Book<T>(Mutex<HashMap<Arc<str>, Arc<T>>>);

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Fold> Book<T> {
    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of that name, the same ones for the life of the process.
    pub(crate) fn line(&self, name: &str) -> Arc<T> {
        let mut entries = self.entries();
        if let Some(line) = entries.get(name) {
            return line.clone();
        }
        let line = Arc::new(T::default());
        entries.insert(name.into(), line.clone());
        line
    }

    /// The counters of that name, if it has any.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<T>> {
        self.entries().get(name).cloned()
    }

    /// All of them as they are now.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        self.entries().iter().map(|(name, line)| (name.clone(), line.clone())).collect()
    }

    /// Adds up removed names if there are more than [`MAX_REMOVED`]; those that somebody still counts with stay.
    pub(crate) fn prune<'a>(&self, present: impl ExactSizeIterator<Item = &'a str>) {
        let mut entries = self.entries();
        if entries.len() <= MAX_REMOVED {
            return;
        }
        let present: HashSet<&str> = present.collect();
        let stays = |name: &str| present.contains(name) || name == REMOVED || name == OTHER;
        if entries.keys().filter(|name| !stays(name)).count() <= MAX_REMOVED {
            return;
        }
        let removed = entries.entry(REMOVED.into()).or_default().clone();
        entries.retain(|name, line| {
            let kept = stays(name) || Arc::strong_count(line) > 1;
            if !kept {
                removed.absorb(line);
            }
            kept
        });
    }
}

/// Who has a place of its own, `MOST` of them: one decision for all workers, or their sums would not fit.
#[derive(Debug, Default)]
pub(crate) struct Places<const MOST: usize>(Mutex<HashSet<Arc<str>>>);

impl<const MOST: usize> Places<MOST> {
    /// The name itself while there is room, then [`OTHER`].
    pub(crate) fn place<'a>(&self, name: &'a str) -> &'a str {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.contains(name) {
            return name;
        }
        if taken.len() >= MOST {
            return OTHER;
        }
        taken.insert(name.into());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Counter;

    impl Fold for Counter {
        fn absorb(&self, other: &Self) {
            self.add(other.get());
        }
    }

    #[test]
    fn removed_names_are_added_up_beyond_the_bound_and_nothing_is_lost() {
        let book: Book<Counter> = Book::default();
        let kept = book.line("kept");
        for i in 0..=MAX_REMOVED {
            book.line(&format!("gone-{i}")).add(1);
        }
        book.prune(["kept", "held"].into_iter());
        assert_eq!(book.all().len(), 2, "the one that is kept, and the sum");
        let held = book.line("held");
        held.add(1);
        kept.add(1);
        assert_eq!(book.line(REMOVED).get(), MAX_REMOVED as u64 + 1);
        for i in 0..MAX_REMOVED {
            book.line(&format!("later-{i}")).add(1);
        }
        book.prune(["kept"].into_iter());
        assert_eq!(book.line("held").get(), 1, "somebody still counts with it");
        let sum: u64 = book.all().iter().map(|(_, line)| line.get()).sum();
        assert_eq!(sum, 2 * MAX_REMOVED as u64 + 3);
    }

    #[test]
    fn places_are_few_and_stay() {
        let places = Places::<MAX_TIMED>::default();
        for i in 0..MAX_TIMED {
            let name = format!("s{i}");
            assert_eq!(places.place(&name), name);
        }
        assert_eq!(places.place("late"), OTHER);
        assert_eq!(places.place("s7"), "s7");
    }
}
