//! Where the keys of tokens come from: the config, a file that is read again when it changes, or an identity provider.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fastgate_core::auth::discovery::metadata_url;
use fastgate_core::auth::{KeySet, MAX_SET};
use fastgate_core::fetch::Reach;
use fastgate_core::snapshot::policies as plain;

use crate::asked::place;
use crate::fetch::{Bounds, Purpose};
use crate::guard::State;
use crate::jwks::{Origin, Remote};
use crate::watched::Watched;

/// A number that no other key set of this process has.
pub(crate) fn generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}

/// Reads a key set that anybody may read, as an identity provider serves it.
pub(crate) fn published(text: &[u8]) -> Result<KeySet, String> {
    KeySet::parse(text, generation(), false)
}

/// A source of keys.
#[derive(Debug)]
pub(crate) enum KeySource {
    Fixed(Arc<KeySet>),
    File(Arc<Watched<KeySet>>),
    Remote(Arc<Remote<KeySet>>),
}

impl KeySource {
    /// The keys now; `None`: none were ever had.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Fixed(keys) => Some(keys.clone()),
            Self::File(file) => Some(file.get()),
            Self::Remote(remote) => remote.current(),
        }
    }
}

/// Sources in use, by what the config says of them: a reload keeps keys, and with them the tokens that are known.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Vec<(plain::KeySource, Weak<KeySource>)>>);

impl Sources {
    /// The source that the config names, read now if it is a new one.
    ///
    /// # Errors
    /// A sentence that quotes no key.
    pub(crate) fn get(&self, policy: &plain::Jwt, state: &State) -> Result<Arc<KeySource>, String> {
        let plain = &policy.keys;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, source)| source.strong_count() > 0);
        if let Some(source) = known.iter().find(|(of, _)| of == plain).and_then(|(_, source)| source.upgrade()) {
            return Ok(source);
        }
        let source = Arc::new(match plain {
            plain::KeySource::Inline(text) => {
                let keys = KeySet::parse(text.0.as_bytes(), generation(), true)?;
                // Of a provider's keys those that nobody can use are left out; of the config's own each is meant.
                if let Some(why) = keys.skipped().first() {
                    return Err(why.clone());
                }
                KeySource::Fixed(Arc::new(keys))
            }
            plain::KeySource::File(path) => {
                let file = Watched::file(path, MAX_SET as u64, |text| KeySet::parse(text, generation(), true))?;
                state.watchlist.add(&file);
                KeySource::File(file)
            }
            // These are found again by where they are.
            plain::KeySource::Url(url) => {
                let place = place(url, None, Reach::OWN, BOUNDS, Purpose::Jwks, &state.trusts);
                return Ok(remote(Origin::Url(place.map_err(|(_, why)| why)?), state));
            }
            plain::KeySource::Discovery => {
                let issuer = policy.issuer.clone().ok_or("discovery needs an issuer")?;
                let url = metadata_url(&issuer).map_err(|why| format!("the issuer is not where keys can be: {why}"))?;
                let metadata = place(&url.to_string(), None, Reach::OWN, BOUNDS, Purpose::Discovery, &state.trusts);
                return Ok(remote(Origin::Issuer { issuer, metadata: metadata.map_err(|(_, why)| why)? }, state));
            }
        });
        known.push((plain.clone(), Arc::downgrade(&source)));
        Ok(source)
    }
}

/// What a provider may take to answer.
const BOUNDS: Bounds = Bounds { bytes: MAX_SET, time: Duration::from_secs(5) };

fn remote(origin: Origin, state: &State) -> Arc<KeySource> {
    Arc::new(KeySource::Remote(state.key_sets.get(origin, published, &state.fetcher)))
}
