//! JSON Web Tokens as a way to prove who is asking: signatures once, the policy's own judgement at every request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use fastgate_core::auth::{
    Algorithms, Bounds, By, Consumers, HeaderMemo, Identity, MAX_REVOKED, Refused, Revocations, Rules, Shown, Token,
    TokenCache, Unkept, claim, claim_values,
};
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;
use fastgate_core::store::revoked::Revoked as Record;
use serde_json::Value;

use super::key_source::{KeySource, Sources};
use super::{Common, Verdict, busy, is_compact};
use crate::clock;
use crate::guard::{Ask, Compile, End, Resumed};
use crate::metrics::policies::TokenLine;

/// What is kept of tokens for the whole process.
#[derive(Debug, Default)]
pub(crate) struct State {
    sources: Sources,
    pub(crate) revoked: Arc<Revoked>,
}

/// What was revoked, in this process or as the store says. Nobody looks where nothing is.
#[derive(Debug, Default)]
pub(crate) struct Revoked {
    count: AtomicUsize,
    entries: RwLock<Revocations>,
    /// Those of the store were read.
    known: AtomicBool,
    shared: Mutex<Shared>,
}

/// What is between this process and the store.
#[derive(Debug, Default)]
struct Shared {
    joined: bool,
    /// What the store lacks; each has its place in `entries`, so there are no more.
    unsent: VecDeque<Record>,
    trouble: Option<String>,
}

impl Revoked {
    /// Revokes until a time, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Unkept`].
    pub(crate) fn revoke(&self, by: By, name: &str, until_ms: i64) -> Result<usize, Unkept> {
        let at_ms = now_ms();
        let count = self.keep(by, name, at_ms, until_ms)?;
        let mut shared = self.shared();
        if shared.joined {
            // Of the same one again, the first may wait still.
            if shared.unsent.len() >= MAX_REVOKED {
                return Err(Unkept::Full);
            }
            shared.unsent.push_back(Record { by, name: name.to_owned(), at_ms, until_ms });
        }
        Ok(count)
    }

    fn keep(&self, by: By, name: &str, at_ms: i64, until_ms: i64) -> Result<usize, Unkept> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let kept = entries.revoke(by, name, at_ms, until_ms);
        self.count.store(entries.len(), Relaxed);
        kept.map(|()| entries.len())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a store, which may lack any of them.
    pub(crate) fn join(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let record =
            |(by, name, at_ms, until_ms): (By, &str, i64, i64)| Record { by, name: name.to_owned(), at_ms, until_ms };
        let mut shared = self.shared();
        shared.joined = true;
        shared.unsent = entries.holding(now_ms()).map(record).collect();
    }

    /// There is none any more.
    pub(crate) fn leave(&self) {
        self.known.store(false, Relaxed);
        *self.shared() = Shared::default();
    }

    /// The first of those that the store lacks.
    pub(crate) fn unsent(&self, most: usize) -> Vec<Record> {
        self.shared().unsent.iter().take(most).cloned().collect()
    }

    /// It has so many of them.
    pub(crate) fn sent(&self, count: usize) {
        let mut shared = self.shared();
        let count = count.min(shared.unsent.len());
        shared.unsent.drain(..count);
    }

    /// Takes over what the store has.
    pub(crate) fn merge(&self, some: &[Record]) -> Result<(), ()> {
        let now = now_ms();
        let holding = some.iter().filter(|one| one.until_ms > now);
        let mut kept = holding.map(|one| self.keep(one.by, &one.name, one.at_ms, one.until_ms).map(|_| ()));
        kept.all(|kept| kept.is_ok()).then_some(()).ok_or(())
    }

    /// All that the store has was read.
    pub(crate) fn know(&self) {
        self.known.store(true, Relaxed);
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Relaxed)
    }

    /// Notes what is wrong with the store; what is said of it, if that is news: `None` that nothing is any more.
    pub(crate) fn is_news(&self, trouble: Option<String>) -> Option<Option<String>> {
        let mut shared = self.shared();
        if shared.trouble == trouble {
            return None;
        }
        shared.trouble.clone_from(&trouble);
        Some(trouble)
    }

    /// Whether the store is followed, how many are kept and how many it lacks, and what is wrong with it.
    pub(crate) fn state(&self) -> (bool, usize, usize, Option<String>) {
        let shared = self.shared();
        (shared.joined, self.count.load(Relaxed), shared.unsent.len(), shared.trouble.clone())
    }

    fn covers(&self, token: &Token, now_ms: i64) -> bool {
        self.count.load(Relaxed) > 0 && {
            self.entries.read().unwrap_or_else(PoisonError::into_inner).covers(token, now_ms)
        }
    }
}

fn now_ms() -> i64 {
    i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX / 2)
}

/// A worker's tokens.
pub(crate) struct Tokens(RefCell<Known>);

struct Known {
    cache: TokenCache<Arc<Derived>>,
    headers: HeaderMemo,
}

impl Tokens {
    /// None yet; `seed` is not to be guessed.
    pub(crate) fn new(seed: impl Fn() -> u64) -> Self {
        let cache = TokenCache::new([seed(), seed(), seed(), seed()], Bounds::default());
        Self(RefCell::new(Known { cache, headers: HeaderMemo::default() }))
    }

    /// Notes how many there are, and what they hold.
    fn measure(&self, line: &TokenLine) {
        let cache = &self.0.borrow().cache;
        line.tokens.set(cache.len() as u64);
        line.bytes.set(cache.bytes() as u64);
    }
}

/// What a policy made of a token's claims.
#[derive(Debug)]
struct Derived {
    policy: u64,
    proved: Proved,
}

/// Who is asking, and what the target is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    pub(crate) identity: Arc<Identity>,
    pub(crate) edits: Arc<[Edit]>,
}

/// What a token came to.
#[derive(Debug)]
pub(crate) enum Proof {
    /// It is good.
    Good(Proved),
    /// It is not, for a reason that the client is not told.
    Bad(Refused),
    /// There are no keys.
    NoKeys,
}

/// The policy.
#[derive(Debug)]
pub(crate) struct Jwt {
    /// Another one for each that is compiled: what was derived by one is not taken for that of another.
    number: u64,
    keys: Arc<KeySource>,
    rules: Rules,
    pub(crate) token: plain::TokenPlaces,
    headers: Box<[(Box<str>, Box<str>)]>,
    roles_from: Box<str>,
    scopes_from: Box<str>,
    groups_from: Box<str>,
    consumer_from: Option<Box<str>>,
    consumers: Arc<Consumers>,
    /// Another method reads `Bearer` too: what is a signed token is this one's.
    shared_bearer: bool,
    revoked: Option<Arc<Revoked>>,
    /// Those of the store count, too.
    from_store: bool,
}

impl Jwt {
    /// Compiles the policy; its faults are those below its own path.
    pub(crate) fn compile(plain: &plain::Jwt, shared_bearer: bool, cx: &mut Compile<'_>) -> Option<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let names = plain.algorithms.iter().flatten().map(String::as_str);
        let algorithms = match Algorithms::named(names) {
            Ok(named) if plain.algorithms.is_some() => named,
            Ok(_) => Algorithms::ALL,
            Err(name) => {
                cx.invalid("algorithms", format!("{name} is not a known algorithm"));
                return None;
            }
        };
        let keys = match cx.state.jwt.sources.get(plain, cx.state) {
            Ok(keys) => keys,
            Err(why) => {
                // Where it stands in the config.
                let key = match &plain.keys {
                    plain::KeySource::Inline(_) => "keys",
                    plain::KeySource::File(_) | plain::KeySource::Url(_) => "jwks",
                    plain::KeySource::Discovery => "issuer",
                };
                cx.invalid(key, why);
                return None;
            }
        };
        if keys.current().is_some_and(|keys| keys.algorithms().and(algorithms).is_empty()) {
            cx.invalid("algorithms", "no key is for any of these; allowed: those that fit a key");
            return None;
        }
        super::headers_can_be_written(&plain.headers, cx)?;
        let boxed = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect::<Box<[Box<str>]>>();
        let path = |path: &Option<String>, default: &str| path.as_deref().unwrap_or(default).into();
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        Some(Self {
            number: LAST.fetch_add(1, Relaxed),
            keys,
            rules: Rules {
                issuer: plain.issuer.as_deref().map(Box::from),
                audience: plain.audience.as_deref().map(boxed),
                algorithms,
                types: boxed(&plain.types),
                skew_ms: ms(plain.skew_ms),
                max_age_ms: plain.max_age_ms.map(ms),
                required: boxed(&plain.required_claims),
            },
            token: super::places(&plain.token),
            headers: plain.headers.iter().map(|(name, claim)| (name.as_str().into(), claim.as_str().into())).collect(),
            roles_from: path(&plain.roles_from, "roles"),
            scopes_from: path(&plain.scopes_from, "scope"),
            groups_from: path(&plain.groups_from, "groups"),
            consumer_from: plain.consumer_from.as_deref().map(Box::from),
            consumers: cx.known(),
            shared_bearer,
            revoked: plain.revocation.is_some().then(|| cx.state.jwt.revoked.clone()),
            from_store: plain.revocation.as_ref().is_some_and(|revocation| revocation.store),
        })
    }

    /// What a token comes to whose signature is known already; `None`: it is not.
    pub(crate) fn remembered(&self, tokens: &Tokens, text: &[u8]) -> Option<Proof> {
        let keys = self.keys.current()?;
        let known = &mut *tokens.0.borrow_mut();
        let place = known.cache.find(keys.generation(), text)?;
        let token = known.cache.token(place)?;
        if let Err(why) = self.accept(token) {
            if why == Refused::Expired {
                known.cache.remove(place);
            }
            return Some(Proof::Bad(why));
        }
        if let Some(derived) = known.cache.derived(place).filter(|derived| derived.policy == self.number) {
            return Some(Proof::Good(derived.proved.clone()));
        }
        let proved = self.derive(token);
        known.cache.derive(place, Arc::new(Derived { policy: self.number, proved: proved.clone() }));
        Some(Proof::Good(proved))
    }

    /// What a token comes to that is seen for the first time: the costly way.
    pub(crate) fn verify(&self, tokens: &Tokens, text: &[u8]) -> Proof {
        let Some(keys) = self.keys.current() else { return Proof::NoKeys };
        let known = &mut *tokens.0.borrow_mut();
        let token = match Token::open(text, &keys, self.rules.algorithms, &mut known.headers) {
            Ok(token) => token,
            Err(why) => return Proof::Bad(why),
        };
        if let Err(why) = self.accept(&token) {
            return Proof::Bad(why);
        }
        let proved = self.derive(&token);
        // Keys that were swapped meanwhile are not those that it was verified with.
        if self.keys.current().is_some_and(|now| now.generation() == keys.generation())
            && let Some(place) = known.cache.put(keys.generation(), text, token)
        {
            known.cache.derive(place, Arc::new(Derived { policy: self.number, proved: proved.clone() }));
        }
        Proof::Good(proved)
    }

    fn accept(&self, token: &Token) -> Result<(), Refused> {
        let now = now_ms();
        self.rules.judge(token, now)?;
        match &self.revoked {
            Some(revoked) if revoked.covers(token, now) => Err(Refused::Revoked),
            _ => Ok(()),
        }
    }

    fn derive(&self, token: &Token) -> Proved {
        let claims = &token.claims;
        let mut identity = Identity {
            method: "jwt",
            subject: token.subject().map(Box::from),
            roles: claim_values::names(claims, &self.roles_from, false),
            groups: claim_values::names(claims, &self.groups_from, false),
            scopes: claim_values::names(claims, &self.scopes_from, true),
            claims: claims.clone(),
            ..Identity::default()
        };
        let named = self.consumer_from.as_deref().and_then(|path| claim(claims, path)).and_then(Value::as_str);
        if let Some(name) = named {
            self.consumers.become_consumer(&mut identity, name);
        }
        // A client's own copies are gone already: a claim that cannot be written leaves no header.
        let edits = self.headers.iter().filter_map(|(name, path)| {
            let value = claim_values::field(claims, path)?;
            Edit::set(name.as_bytes(), &value).ok()
        });
        Proved { edits: edits.collect(), identity: Arc::new(identity) }
    }

    /// What a request shows, and what it comes to.
    pub(super) fn judge(self: &Arc<Self>, ask: &Ask<'_>, common: &Arc<Common>, number: usize) -> Verdict {
        let text = match super::token(ask, &self.token) {
            Shown::Nothing => return Verdict::Absent,
            Shown::Bad => {
                return Verdict::Bad("jwt: more than one token, or one that is written as none is".to_owned());
            }
            Shown::One(text) => text,
        };
        if self.shared_bearer && !is_compact(&text) {
            return Verdict::Absent;
        }
        // Nobody knows what may have been revoked.
        if self.from_store && self.revoked.as_ref().is_some_and(|revoked| !revoked.is_known()) {
            return Verdict::Deny(Box::new(busy(NOT_KNOWN)));
        }
        let tokens = &ask.worker.tokens;
        let line = &ask.worker.metrics().tokens;
        if let Some(proof) = self.remembered(tokens, &text) {
            line.hits.add(1);
            if !matches!(proof, Proof::Good(_)) {
                tokens.measure(line);
            }
            return verdict(ask, proof);
        }
        line.misses.add(1);
        let (ip, now) = (ask.about.client.ip, ask.now_ns());
        if common.is_spent(ip, now) {
            return Verdict::Spent;
        }
        let generation = || self.keys.current().map(|keys| keys.generation());
        let judged_by = generation();
        let proof = self.verify(tokens, &text);
        tokens.measure(line);
        match (proof, &*self.keys) {
            (proof @ (Proof::NoKeys | Proof::Bad(Refused::UnknownKey)), KeySource::Remote(remote)) => {
                let waiting = remote.refresh();
                if !waiting.has_place() {
                    return verdict(ask, proof);
                }
                // A fetch that has ended meanwhile rings for nobody who came after it.
                let waiting = (generation() == judged_by).then_some(waiting);
                let (this, common, worker) = (self.clone(), common.clone(), ask.worker.clone());
                let text = text.into_owned();
                Verdict::Wait(Box::pin(async move {
                    if let Some(waiting) = waiting {
                        waiting.wait().await;
                    }
                    let proof = this.verify(&worker.tokens, &text);
                    worker.tokens.measure(&worker.metrics().tokens);
                    let denial = match proof {
                        Proof::Good(Proved { identity, edits }) => {
                            return Resumed { identity: Some(identity), edits: edits.to_vec(), ..Resumed::default() };
                        }
                        Proof::Bad(why) => common.failed(ip, clock::monotonic_ns(), number, format!("jwt: {why}")),
                        Proof::NoKeys => busy(NO_KEYS),
                    };
                    Resumed { end: Some(End::Deny(Box::new(denial))), ..Resumed::default() }
                }))
            }
            (proof, _) => verdict(ask, proof),
        }
    }
}

const NO_KEYS: &str = "jwt: no keys were ever had from where they are";

const NOT_KNOWN: &str = "jwt: revocations were never had from the store";

fn verdict(ask: &Ask<'_>, proof: Proof) -> Verdict {
    match proof {
        Proof::Good(Proved { identity, edits }) => {
            edits.iter().for_each(|edit| ask.edit(edit.clone()));
            Verdict::Known(identity)
        }
        Proof::Bad(why) => Verdict::Bad(format!("jwt: {why}")),
        Proof::NoKeys => Verdict::Deny(Box::new(busy(NO_KEYS))),
    }
}
