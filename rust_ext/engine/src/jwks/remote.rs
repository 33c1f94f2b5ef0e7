//! One key set of a provider: what was last fetched, and who waits for more.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fastgate_core::auth::refresh::Refresh;
use serde_json::Value;

use super::{Figures, Origin, Parse};
use crate::rt::{self, Answer, Inbox, Reply};

/// Keys of one set.
const MAX_KEYS: usize = 64;

/// Requests that wait for a fresh key; beyond it they are judged by the keys that are there.
const MAX_WAITING: usize = 64;

/// How long one waits.
const WAIT: Duration = Duration::from_secs(10);

/// A key set that is fetched.
pub(crate) struct Remote<T> {
    pub(super) origin: Origin,
    parse: Parse<T>,
    value: ArcSwapOption<T>,
    state: Mutex<State>,
    /// Rings when somebody waits, and when nobody needs it any more.
    pub(super) bell: Arc<Inbox<()>>,
    pub(super) figures: Arc<Figures>,
}

struct State {
    refresh: Refresh,
    waiting: Vec<Reply<()>>,
    /// The keys as they were fetched.
    keys: Option<Value>,
}

impl<T> fmt::Debug for Remote<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A wait for the next fetch.
pub(crate) struct Waiting(Option<Answer<()>>);

impl Waiting {
    /// Ends when a fetch has ended, whatever it brought, and after ten seconds at the latest.
    pub(crate) async fn wait(self) {
        if let Some(answer) = self.0 {
            let _ = rt::timeout(WAIT, answer).await;
        }
    }

    /// Whether there is a place in the queue.
    pub(crate) fn has_place(&self) -> bool {
        self.0.is_some()
    }
}

impl<T> Remote<T> {
    pub(super) fn new(origin: Origin, parse: Parse<T>, figures: Arc<Figures>) -> Self {
        let state = State { refresh: Refresh::default(), waiting: Vec::new(), keys: None };
        let bell = Arc::new(Inbox::new());
        Self { origin, parse, value: ArcSwapOption::empty(), state: Mutex::new(state), bell, figures }
    }

    /// The keys; `None` before the first fetch that brought some.
    pub(crate) fn current(&self) -> Option<Arc<T>> {
        self.value.load_full()
    }

    /// Asks for a fetch, for a key that is not in the set.
    pub(crate) fn refresh(&self) -> Waiting {
        let mut state = self.state();
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.retain(|reply| !reply.is_closed());
        }
        if state.waiting.len() >= MAX_WAITING {
            self.figures.full.fetch_add(1, Relaxed);
            return Waiting(None);
        }
        let (reply, answer) = rt::oneshot();
        state.waiting.push(reply);
        drop(state);
        self.bell.send([()]);
        Waiting(Some(answer))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next fetch begins, on the clock that [`Remote::begin`] and the others are given.
    pub(super) fn next(&self) -> u64 {
        let mut state = self.state();
        state.waiting.retain(|reply| !reply.is_closed());
        let wanted = !state.waiting.is_empty();
        state.refresh.next(wanted)
    }

    pub(super) fn begin(&self, now: u64) {
        self.state().refresh.begin(now);
    }

    /// Takes what was fetched; whether the keys are others.
    ///
    /// # Errors
    /// What is wrong with it; the keys from before stay.
    pub(super) fn take(&self, body: &[u8], max_age: Option<u64>, now: u64) -> Result<bool, String> {
        let document: Value = serde_json::from_slice(body).map_err(|_| "it is no JSON".to_owned())?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("it has no list of keys")?;
        match keys.len() {
            0 => return Err("it holds no key".to_owned()),
            1..=MAX_KEYS => {}
            _ => return Err(format!("it holds more than {MAX_KEYS} keys")),
        }
        let mut state = self.state();
        let changed = state.keys.as_ref().and_then(Value::as_array) != Some(keys);
        if changed {
            self.value.store(Some(Arc::new((self.parse)(body)?)));
            state.keys = document.get("keys").cloned();
        }
        state.refresh.succeeded(now, max_age);
        Ok(changed)
    }

    /// A fetch brought nothing; how many in a row.
    pub(super) fn failed(&self, now: u64, random: u64) -> u32 {
        let mut state = self.state();
        state.refresh.failed(now, random);
        state.refresh.failures()
    }

    /// Lets those who wait go on.
    pub(super) fn release(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        for reply in waiting {
            reply.send(());
        }
    }
}

impl<T> Drop for Remote<T> {
    fn drop(&mut self) {
        // Its task finds it gone.
        self.bell.send([()]);
    }
}
