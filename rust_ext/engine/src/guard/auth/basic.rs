//! Basic credentials (RFC 7617): argon2id in a pool of its own, good ones remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastgate_core::auth::password::{MAX_USER_FILE, Users};
use fastgate_core::auth::{
    Consumers, Digest, Identity, MAX_BASIC, Pepper, Scheme, Shown, authorization, basic as decode,
};
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;

use super::common::{Challenge, Common};
use super::{Verdict, busy};
use crate::clock;
use crate::guard::{Ask, Compile, End, Resumed};
use crate::watched::Watched;

/// Good credentials that are remembered.
const REMEMBERED: usize = 4_096;

/// For so long.
const REMEMBERED_NS: u64 = 300_000_000_000;

/// Users of a file.
#[derive(Debug)]
pub(super) struct Basic {
    users: Arc<Watched<Users>>,
    consumers: Arc<Consumers>,
    forward: bool,
    good: Mutex<Good>,
    /// What remembered credentials are known by is made under this, and it never leaves the process.
    secret: Pepper,
}

/// Credentials that were verified lately, of one state of the file.
#[derive(Debug, Default)]
struct Good {
    generation: u64,
    entries: HashMap<Digest, (Arc<Identity>, u64)>,
}

/// The challenge of a realm.
pub(super) fn challenge(realm: &str, cx: &mut Compile<'_>) -> Option<Challenge> {
    if realm.bytes().all(|byte| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\')) {
        return Some(Challenge::of(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")));
    }
    cx.invalid("realm", "allowed: visible ASCII characters and spaces, no quotes and no backslashes");
    None
}

impl Basic {
    pub(super) fn compile(plain: &plain::Basic, forward: bool, cx: &mut Compile<'_>) -> Option<Self> {
        let users = match Watched::file(&plain.users_file, MAX_USER_FILE as u64, Users::parse) {
            Ok(users) => users,
            Err(message) => {
                cx.invalid("users_file", message);
                return None;
            }
        };
        cx.state.watchlist.add(&users);
        let secret = [0, 1, 2, 3].map(|part| clock::seed(part).to_le_bytes());
        Some(Self {
            users,
            consumers: cx.known(),
            forward,
            good: Mutex::default(),
            secret: Pepper::new("basic", secret.as_flattened()),
        })
    }

    pub(super) fn judge(self: &Arc<Self>, ask: &Ask<'_>, common: &Arc<Common>, number: usize) -> Verdict {
        let credential = match authorization(ask.head.get(ask.bytes, b"authorization")) {
            Shown::Nothing => return Verdict::Absent,
            Shown::Bad => return Verdict::Bad("basic: more than one Authorization, or one that is none".to_owned()),
            Shown::One(one) if one.scheme == Scheme::Basic => one.credential,
            Shown::One(_) => return Verdict::Absent,
        };
        let mut room = [0; MAX_BASIC];
        let Some((name, password)) = credential.and_then(|text| decode(text, &mut room)) else {
            return Verdict::Bad("basic: no name and password in base64".to_owned());
        };
        let (ip, now) = (ask.about.client.ip, ask.now_ns());
        let generation = self.users.generation();
        let digest = self.secret.digest(credential.unwrap_or_default());
        if let Some(identity) = self.remembered(&digest, generation, now) {
            self.strip(ask);
            return Verdict::Known(identity);
        }
        if common.is_spent(ip, now) {
            return Verdict::Spent;
        }
        let users = self.users.get();
        let (user, password) = (name.to_owned(), password.to_owned());
        let checked = common.state.pool.run(move || {
            let (hash, known) = users.hash_of(&user);
            let good = hash.verify(password.as_bytes()) && known;
            (user, good)
        });
        let Some(checked) = checked else {
            return Verdict::Deny(Box::new(busy("basic: too many passwords wait to be verified")));
        };
        self.strip(ask);
        let (this, common) = (self.clone(), common.clone());
        Verdict::Wait(Box::pin(async move {
            match checked.await {
                Some((user, true)) => {
                    let identity = this.identity(&user);
                    this.remember(digest, identity.clone(), generation, clock::monotonic_ns());
                    Resumed { identity: Some(identity), ..Resumed::default() }
                }
                Some((_, false)) => {
                    let reason = "basic: wrong name or password".to_owned();
                    let denial = common.failed(ip, clock::monotonic_ns(), number, reason);
                    Resumed { end: Some(End::Deny(Box::new(denial))), ..Resumed::default() }
                }
                None => {
                    let denial = busy("basic: the verification failed");
                    Resumed { end: Some(End::Deny(Box::new(denial))), ..Resumed::default() }
                }
            }
        }))
    }

    /// A user is the consumer of that name, where there is one.
    fn identity(&self, user: &str) -> Arc<Identity> {
        let mut identity = Identity { method: "basic", subject: Some(user.into()), ..Identity::default() };
        self.consumers.become_consumer(&mut identity, user);
        Arc::new(identity)
    }

    fn strip(&self, ask: &Ask<'_>) {
        if !self.forward
            && let Ok(edit) = Edit::remove(b"authorization")
        {
            ask.edit(edit);
        }
    }

    fn remembered(&self, digest: &Digest, generation: u64, now_ns: u64) -> Option<Arc<Identity>> {
        let good = lock(&self.good);
        let (identity, until) = good.entries.get(digest)?;
        (good.generation == generation && *until > now_ns).then(|| identity.clone())
    }

    fn remember(&self, digest: Digest, identity: Arc<Identity>, generation: u64, now_ns: u64) {
        let mut good = lock(&self.good);
        if good.generation != generation {
            good.entries.clear();
            good.generation = generation;
        }
        if good.entries.len() >= REMEMBERED {
            good.entries.retain(|_, (_, until)| *until > now_ns);
        }
        if good.entries.len() < REMEMBERED && self.users.generation() == generation {
            good.entries.insert(digest, (identity, now_ns.saturating_add(REMEMBERED_NS)));
        }
    }
}

fn lock(good: &Mutex<Good>) -> MutexGuard<'_, Good> {
    good.lock().unwrap_or_else(PoisonError::into_inner)
}
