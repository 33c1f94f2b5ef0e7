//! What is counted of the gateway's own requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::FetchError;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A key set.
    Jwks,
    /// An issuer's metadata.
    Discovery,
    /// What a token is worth.
    Introspection,
    /// Whether a request may pass.
    ExtAuth,
}

const PURPOSES: [&str; 4] = ["jwks", "discovery", "introspection", "ext_auth"];

const RESULTS: usize = FetchError::NAMES.len() + 1;

/// Calls by purpose and result.
#[derive(Debug, Default)]
pub(crate) struct Figures([[AtomicU64; RESULTS]; PURPOSES.len()]);

impl Figures {
    /// Counts one.
    pub(crate) fn count(&self, purpose: Purpose, error: Option<&FetchError>) {
        self.0[purpose as usize][error.map_or(0, |error| error.index() + 1)].fetch_add(1, Relaxed);
    }

    /// Those that are not zero: purpose, result, calls.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        PURPOSES.iter().zip(&self.0).flat_map(|(purpose, results)| {
            let names = std::iter::once("answered").chain(FetchError::NAMES);
            names.zip(results).map(|(name, n)| (*purpose, name, n.load(Relaxed))).filter(|(.., n)| *n > 0)
        })
    }
}
