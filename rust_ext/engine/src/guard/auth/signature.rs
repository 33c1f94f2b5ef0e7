//! Signed requests (RFC 9421): the keys of the policy, and the nonces that were there before.
//!
//! A signature that covers `content-digest` proves that field; the body streams on, and the target compares it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fastgate_core::auth::signature::{Components, Keys, Message, Refusal, Replay, Rules, is_signed, judge};
use fastgate_core::auth::{Algorithm, Consumers, Identity, KeySet};
use fastgate_core::snapshot::policies as plain;

use super::{Common, Verdict, busy};
use crate::clock;
use crate::guard::{Ask, Compile};

/// Nonces of all policies of the process: a signature counts once, whichever route it is shown to.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<Replay>);

/// Signed requests.
#[derive(Debug)]
pub(super) struct Signature {
    rules: Rules,
    ring: Ring,
    consumers: Arc<Consumers>,
}

#[derive(Debug)]
struct Ring(BTreeMap<String, KeySet>);

/// The algorithms of RFC 9421 by their names; the stronger one of RSA first.
const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("rsa-pss-sha512", Algorithm::Ps512),
    ("rsa-v1_5-sha256", Algorithm::Rs256),
    ("ecdsa-p256-sha256", Algorithm::Es256),
    ("ecdsa-p384-sha384", Algorithm::Es384),
    ("ed25519", Algorithm::EdDsa),
    ("hmac-sha256", Algorithm::Hs256),
];

impl Signature {
    pub(super) fn compile(plain: &plain::Signature, cx: &mut Compile<'_>) -> Option<Self> {
        let components = Components::read(&plain.components)
            .map_err(|(number, message)| cx.invalid(&format!("components.{number}"), message))
            .ok();
        let mut ring = BTreeMap::new();
        for (id, text) in &plain.keys {
            match key(&text.0) {
                Ok(set) => drop(ring.insert(id.clone(), set)),
                Err(message) => cx.invalid(&format!("keys.{id}"), message),
            }
        }
        let rules =
            Rules { components: components?, max_age_ms: plain.max_age_ms, skew_ms: plain.skew_ms, nonce: plain.nonce };
        let consumers = cx.known();
        (ring.len() == plain.keys.len()).then_some(Self { rules, ring: Ring(ring), consumers })
    }

    pub(super) fn judge(&self, ask: &Ask<'_>, common: &Common) -> Verdict {
        if !is_signed(ask) {
            return Verdict::Absent;
        }
        // To verify is costly: an address that has shown too many bad ones buys none.
        if common.is_spent(ask.about.client.ip, ask.now_ns()) {
            return Verdict::Spent;
        }
        let now = clock::unix_ms();
        let nonces = &common.state.nonces.0;
        let judged = judge(ask, &self.rules, &self.ring, now, |key, nonce, until| {
            nonces.lock().unwrap_or_else(PoisonError::into_inner).note(key, nonce, now, until)
        });
        match judged {
            Ok(id) => {
                let mut identity =
                    Identity { method: "signature", subject: Some(id.as_str().into()), ..Identity::default() };
                self.consumers.become_consumer(&mut identity, &id);
                Verdict::Known(Arc::new(identity))
            }
            Err(Refusal::Full) => Verdict::Deny(Box::new(busy("signature: no room for another nonce"))),
            Err(refusal) => Verdict::Bad(format!("signature: {refusal}")),
        }
    }
}

/// A PEM public key, a JWK, or a secret of at least 256 bits, which is for HMAC.
fn key(text: &str) -> Result<KeySet, String> {
    static SETS: AtomicU64 = AtomicU64::new(0);
    let generation = SETS.fetch_add(1, Ordering::Relaxed);
    let start = text.trim_start();
    let set = if start.starts_with('{') || start.starts_with("-----BEGIN") {
        KeySet::parse(text.as_bytes(), generation, true)?
    } else {
        KeySet::secret(text.as_bytes(), generation)?
    };
    if set.len() != 1 {
        return Err("a keyid has one key".to_owned());
    }
    if ALGORITHMS.iter().all(|(_, algorithm)| !set.algorithms().contains(*algorithm)) {
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        return Err(format!("the key is for none of {}", names.join(", ")));
    }
    Ok(set)
}

impl Keys for Ring {
    fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    fn verify(&self, id: &str, alg: Option<&str>, base: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let set = self.0.get(id).ok_or(Refusal::UnknownKey)?;
        let mut judged = Err(Refusal::Algorithm);
        for (name, algorithm) in ALGORITHMS {
            if alg.is_some_and(|alg| alg != name) || judged.is_ok() {
                continue;
            }
            if let Ok(chosen) = set.choose(algorithm, None) {
                judged = set.verify(chosen, base, signature).map_err(|_| Refusal::Signature);
            }
        }
        judged
    }
}

impl Message for Ask<'_> {
    fn method(&self) -> &[u8] {
        self.head.method_bytes(self.bytes)
    }

    fn scheme(&self) -> &str {
        Ask::scheme(self)
    }

    fn authority(&self) -> &[u8] {
        self.head.authority(self.bytes)
    }

    fn path(&self) -> &[u8] {
        self.head.raw_path(self.bytes)
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query(self.bytes)
    }

    fn field<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        self.head.get(self.bytes, name.as_bytes()).for_each(take);
    }
}
