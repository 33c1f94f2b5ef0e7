//! Key sets of identity providers: fetched by URL or through discovery, kept when their provider is down or lies,
//! fetched again when a token names a key that is not there, and never more than once in ten seconds (class J8).

mod remote;
mod task;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) use remote::Remote;

use crate::fetch::{Fetcher, Place};

/// Where a key set is.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Its own URL.
    Url(Arc<Place>),
    /// In the metadata of an issuer.
    Issuer {
        /// As it is configured, byte for byte.
        issuer: String,
        /// Where its metadata is.
        metadata: Arc<Place>,
    },
}

impl Origin {
    fn place(&self) -> &Arc<Place> {
        match self {
            Self::Url(place) | Self::Issuer { metadata: place, .. } => place,
        }
    }

    /// Whether both lead to the same keys by the same rules.
    fn same(&self, other: &Self) -> bool {
        let issuer = |origin: &Self| match origin {
            Self::Url(_) => None,
            Self::Issuer { issuer, .. } => Some(issuer.clone()),
        };
        let (a, b) = (self.place(), other.place());
        let trust = |place: &Place| place.trust.as_ref().map(Arc::as_ptr);
        issuer(self) == issuer(other) && a.url == b.url && a.reach == b.reach && trust(a) == trust(b)
    }
}

/// What is counted of all key sets.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Fetches that brought other keys, the same keys, and none.
    pub(crate) changed: AtomicU64,
    pub(crate) same: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Requests that found the queue for a fresh key full.
    pub(crate) full: AtomicU64,
}

impl Figures {
    /// By result.
    pub(crate) fn refreshes(&self) -> [(&'static str, u64); 3] {
        [("changed", &self.changed), ("same", &self.same), ("failed", &self.failed)]
            .map(|(name, counter)| (name, counter.load(Relaxed)))
    }
}

/// Every key set in use, so that a reload keeps what was fetched.
#[derive(Debug)]
pub(crate) struct Sources<T> {
    known: Mutex<Vec<Weak<Remote<T>>>>,
    pub(crate) figures: Arc<Figures>,
}

impl<T> Default for Sources<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), figures: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Sources<T> {
    /// The key set of that origin; a new one is fetched from now on.
    pub(crate) fn get(&self, origin: Origin, parse: Parse<T>, fetcher: &Fetcher) -> Arc<Remote<T>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|remote| remote.strong_count() > 0);
        if let Some(same) = known.iter().filter_map(Weak::upgrade).find(|remote| remote.origin.same(&origin)) {
            return same;
        }
        let new = Arc::new(Remote::new(origin, parse, self.figures.clone()));
        known.push(Arc::downgrade(&new));
        let (weak, figures) = (Arc::downgrade(&new), fetcher.figures.clone());
        fetcher.run(move |client| crate::rt::spawn(task::keep(weak, client, figures)));
        new
    }

    /// Key sets in use, and those that were never fetched.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let remotes: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        (remotes.len(), remotes.iter().filter(|remote| remote.current().is_none()).count())
    }
}

/// Reads a key set; its error is for the log.
pub(crate) type Parse<T> = fn(&[u8]) -> Result<T, String>;
