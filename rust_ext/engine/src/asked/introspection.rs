//! Token introspection: answers are remembered for their time, a token is asked about once however many show it, and
//! an endpoint that is down is no answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use fastgate_core::auth::Identity;
use fastgate_core::auth::introspection::{self, Cache, Key, Known, Verdict};
use fastgate_core::fetch::{Reach, Verb};
use fastgate_core::snapshot::policies as plain;

use super::{bounds, place};
use crate::clock::unix_ms;
use crate::fetch::{Call, FetchError, Fetcher, Got, Place, Purpose};
use crate::rt::{self, Answer, Reply};
use crate::trust::Trusts;

/// Answers remembered of each kind; and their bytes.
const MAX_ANSWERS: usize = 10_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of one answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What a token is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Worth {
    /// It is good.
    Good(Arc<Identity>),
    /// It is not.
    Bad,
    /// Nobody can say; why is for the log.
    Unknown(Arc<str>),
}

/// One endpoint, as a policy asks it.
pub(crate) struct Introspection {
    place: Arc<Place>,
    authorization: Option<Vec<u8>>,
    /// Keyed anew for each endpoint: no token stands in memory as it is, and none is known to another policy.
    key: hmac::Key,
    state: Mutex<State>,
    /// What it was made of.
    plain: plain::Introspection,
}

struct State {
    cache: Cache,
    /// Questions under way, and who waits for their answers.
    flights: HashMap<Key, Vec<Reply<Worth>>>,
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What one is compiled to be asked about: the token's key, once computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenKey(Key);

impl Introspection {
    fn new(plain: &plain::Introspection, trusts: &Trusts) -> Result<Self, (&'static str, String)> {
        let reach = Reach { private: plain.allow_private, loopback: false };
        let limit = bounds(MAX_ANSWER, plain.timeout_ms);
        let place = place(&plain.url, plain.ca.as_deref(), reach, limit, Purpose::Introspection, trusts)?;
        let authorization = match (&plain.client_id, &plain.client_secret) {
            (Some(id), Some(secret)) => Some(introspection::authorization(id, &secret.0)),
            (None, None) => None,
            (Some(_), None) => return Err(("client_id", "needs a client_secret beside it".to_owned())),
            (None, Some(_)) => return Err(("client_secret", "needs a client_id beside it".to_owned())),
        };
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| ("url", "cannot be asked: the system gives no randomness".to_owned()))?;
        let cache = Cache::new(MAX_ANSWERS, MAX_BYTES, plain.max_stale_ms.unwrap_or(0));
        let state = Mutex::new(State { cache, flights: HashMap::new() });
        Ok(Self { place, authorization, key, state, plain: plain.clone() })
    }

    /// What stands for a token.
    pub(crate) fn key(&self, token: &[u8]) -> TokenKey {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.key, token).as_ref());
        TokenKey(key)
    }

    /// What it was made of.
    #[cfg(test)]
    pub(super) fn plain(&self) -> plain::Introspection {
        self.plain.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known without asking; `now_ns` is the request's own clock.
    pub(crate) fn known(&self, key: TokenKey, now_ns: u64) -> Option<Worth> {
        match self.state().cache.look(&key.0, now_ns / 1_000_000, unix_ms()) {
            Known::Fresh(Verdict::Active(active)) => Some(Worth::Good(active.identity)),
            Known::Fresh(Verdict::Inactive) => Some(Worth::Bad),
            Known::Stale(_) | Known::Nothing => None,
        }
    }

    /// Asks, or waits for an answer to the same question.
    pub(crate) fn ask(
        self: &Arc<Self>,
        key: TokenKey,
        token: &[u8],
        now_ns: u64,
        fetcher: &Fetcher,
    ) -> impl Future<Output = Worth> + 'static + use<> {
        let joined = self.join(key);
        let (answer, first) = joined;
        if first {
            self.start(key, token, now_ns, fetcher);
        }
        async move { answer.await.unwrap_or_else(|| Worth::Unknown("the question was given up".into())) }
    }

    fn join(&self, key: TokenKey) -> (Answer<Worth>, bool) {
        let (reply, answer) = rt::oneshot();
        let mut state = self.state();
        let waiting = state.flights.entry(key.0).or_default();
        waiting.push(reply);
        (answer, waiting.len() == 1)
    }

    /// The question goes on when whoever asked it first has left: others may wait for its answer.
    fn start(self: &Arc<Self>, key: TokenKey, token: &[u8], now_ns: u64, fetcher: &Fetcher) {
        let mut fields: Vec<(Box<str>, Vec<u8>)> = vec![
            ("Content-Type".into(), b"application/x-www-form-urlencoded".to_vec()),
            ("Accept".into(), b"application/json".to_vec()),
        ];
        if let Some(authorization) = &self.authorization {
            fields.push(("Authorization".into(), authorization.clone()));
        }
        let body = Some(introspection::form(token));
        let call = Call { place: self.place.clone(), verb: Verb::Post, fields, body };
        let asked = fetcher.call(call);
        let this = self.clone();
        fetcher.run(move |_| {
            rt::spawn(async move {
                let got = asked.await;
                this.settle(key, got, now_ns / 1_000_000);
            });
        });
    }

    /// Takes an answer in, and gives it to all who wait. Its time begins when it was asked for.
    fn settle(&self, key: TokenKey, got: Result<Got, FetchError>, asked_ms: u64) {
        let read = match got {
            Ok(got) if got.status() == 200 => introspection::read_answer(&got.body)
                .map(|verdict| (verdict, got.body.len()))
                .map_err(|why| format!("{}: {why}", self.place.url)),
            Ok(got) => Err(format!("{} answers {}", self.place.url, got.status())),
            Err(error) => Err(format!("{} cannot be asked: {error}", self.place.url)),
        };
        let mut state = self.state();
        let worth = match read {
            Ok((verdict, bytes)) => {
                state.cache.put(key.0, &verdict, bytes, asked_ms);
                match verdict {
                    Verdict::Active(active) if active.expires_ms.is_some_and(|end| end <= unix_ms()) => Worth::Bad,
                    Verdict::Active(active) => Worth::Good(active.identity),
                    Verdict::Inactive => Worth::Bad,
                }
            }
            Err(why) => match state.cache.look(&key.0, asked_ms, unix_ms()) {
                Known::Stale(active) => Worth::Good(active.identity),
                _ => Worth::Unknown(why.into()),
            },
        };
        let waiting = state.flights.remove(&key.0).unwrap_or_default();
        drop(state);
        for reply in waiting {
            reply.send(worth.clone());
        }
    }
}

/// Every endpoint in use, so that a reload keeps what is known.
#[derive(Debug, Default)]
pub(crate) struct Introspections(Mutex<Vec<Weak<Introspection>>>);

impl Introspections {
    /// The endpoint of these settings.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence.
    pub(crate) fn get(
        &self,
        plain: &plain::Introspection,
        trusts: &Trusts,
    ) -> Result<Arc<Introspection>, (&'static str, String)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| one.strong_count() > 0);
        let new = Introspection::new(plain, trusts)?;
        let trust = |one: &Introspection| one.place.trust.as_ref().map(Arc::as_ptr);
        let same = |one: &Arc<Introspection>| one.plain == new.plain && trust(one) == trust(&new);
        if let Some(same) = known.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(same);
        }
        let new = Arc::new(new);
        known.push(Arc::downgrade(&new));
        Ok(new)
    }
}
