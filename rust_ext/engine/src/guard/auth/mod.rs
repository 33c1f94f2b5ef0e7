//! Who is asking: the methods in their order, what a bad credential gets, and the budget of those that fail.

mod basic;
mod common;
mod ext_auth;
mod introspection;
pub(crate) mod jwt;
pub(crate) mod key_source;
mod keys;
mod mtls;
mod pool;
mod signature;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use fastgate_core::auth::failures::{Budget, Failures};
use fastgate_core::auth::{Identity, Scheme, Shown, authorization, cookie, header, query};
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;

pub(crate) use common::Common;

use super::{Ask, Compile, Denial, End, Step, Waiting};
use crate::fault::FaultKind;
use crate::metrics::policies::{Outcome, Proof};
use crate::worker::Worker;

/// What is kept of credentials for the whole process.
#[derive(Debug, Default)]
pub(crate) struct State {
    failures: Failures,
    pool: pool::Pool,
    nonces: signature::Nonces,
}

/// What a method says of a request.
pub(crate) enum Verdict {
    /// It shows no credential of this kind.
    Absent,
    /// It comes from there.
    Known(Arc<Identity>),
    /// It shows one that is not good; why, for the log alone.
    Bad(String),
    /// Its address has shown too many that were not good: nothing costly is done for it now.
    Spent,
    /// That takes a while.
    Wait(Waiting),
    /// Nobody can say.
    Deny(Box<Denial>),
}

#[derive(Debug)]
enum Method {
    ApiKey(keys::ApiKeys),
    Basic(Arc<basic::Basic>),
    Jwt(Arc<jwt::Jwt>),
    Introspection(introspection::Introspected),
    ExtAuth(ext_auth::Asked),
    Mtls(mtls::Mtls),
    Signature(Box<signature::Signature>),
}

impl Method {
    fn proof(&self) -> Proof {
        match self {
            Self::ApiKey(_) => Proof::ApiKey,
            Self::Basic(_) => Proof::Basic,
            Self::Jwt(_) => Proof::Jwt,
            Self::Introspection(_) => Proof::Introspection,
            Self::ExtAuth(_) => Proof::ExtAuth,
            Self::Mtls(_) => Proof::Mtls,
            Self::Signature(_) => Proof::Signature,
        }
    }

    fn judge(&self, ask: &Ask<'_>, common: &Arc<Common>, number: usize) -> Verdict {
        match self {
            Self::ApiKey(keys) => keys.judge(ask),
            Self::Basic(basic) => basic.judge(ask, common, number),
            Self::Jwt(jwt) => jwt.judge(ask, common, number),
            Self::Introspection(one) => one.judge(ask, common, number),
            Self::ExtAuth(one) => one.judge(ask),
            Self::Mtls(mtls) => mtls.judge(ask),
            Self::Signature(signature) => signature.judge(ask, common),
        }
    }
}

/// Ways to prove it, in their order: the first whose credential is present counts.
#[derive(Debug)]
pub(crate) struct Auth {
    methods: Box<[Method]>,
    /// Who shows no credential.
    anonymous: Option<Arc<Identity>>,
    common: Arc<Common>,
}

impl Auth {
    pub(crate) fn compile(plain: &plain::Auth, forward_credentials: bool, cx: &mut Compile<'_>) -> Option<Self> {
        let bearers = plain.any_of.iter().filter(|method| reads_bearer(method)).count();
        let others = introspection::Others::of(plain.any_of.iter().filter(|method| reads_bearer(method)));
        let methods: Vec<Option<(Method, common::Challenge)>> = plain
            .any_of
            .iter()
            .enumerate()
            .map(|(i, method)| {
                cx.below(&format!("any_of.{i}"), |cx| method_of(method, bearers > 1, others, forward_credentials, cx))
            })
            .collect();
        let anonymous = match &plain.anonymous {
            None => None,
            Some(name) => match cx.known().anonymous(name) {
                Some(identity) => Some(identity),
                None => {
                    cx.invalid("anonymous", format!("there is no consumer {name:?}; allowed: one of consumers"));
                    return None;
                }
            },
        };
        if plain.any_of.is_empty() {
            cx.invalid("any_of", "an empty list; allowed: at least one method");
        }
        let (methods, challenges): (Vec<_>, Vec<_>) =
            methods.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let common = Common {
            challenges: challenges.into(),
            budget: Budget::new(plain.failures, plain.failures_ms),
            state: cx.state.auth.clone(),
        };
        Some(Self { methods: methods.into(), anonymous, common: Arc::new(common) })
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        let (step, proof) = self.prove(ask);
        let count = |outcome| ask.worker.metrics().auth.count(proof, outcome);
        match step {
            Step::Pass => count(Outcome::Accepted),
            Step::Deny(ref denial) => count(denial.kind.into()),
            Step::Answer(_) => count(Outcome::Refused),
            Step::Wait(waiting) => return Step::Wait(counted(waiting, ask.worker.clone(), proof)),
        }
        step
    }

    fn prove(&self, ask: &Ask<'_>) -> (Step, Proof) {
        for (number, method) in self.methods.iter().enumerate() {
            let step = match method.judge(ask, &self.common, number) {
                Verdict::Absent => continue,
                Verdict::Known(identity) => known(ask, identity),
                Verdict::Bad(reason) => self.common.failed(ask.about.client.ip, ask.now_ns(), number, reason).into(),
                Verdict::Spent => self.common.spent(ask.about.client.ip, ask.now_ns()).into(),
                Verdict::Wait(waiting) => Step::Wait(waiting),
                Verdict::Deny(denial) => Step::Deny(denial),
            };
            return (step, method.proof());
        }
        match &self.anonymous {
            Some(identity) => (known(ask, identity.clone()), Proof::Anonymous),
            None => (self.common.refuse(None, "no credential").into(), Proof::Nothing),
        }
    }
}

/// The same wait, counted at its end.
fn counted(waiting: Waiting, worker: Rc<Worker>, proof: Proof) -> Waiting {
    Box::pin(async move {
        let resumed = waiting.await;
        let outcome = match &resumed.end {
            None => Outcome::Accepted,
            Some(End::Deny(denial)) => denial.kind.into(),
            Some(End::Answer(_)) => Outcome::Refused,
        };
        worker.metrics().auth.count(proof, outcome);
        resumed
    })
}

fn known(ask: &Ask<'_>, identity: Arc<Identity>) -> Step {
    // One phase alone finds out who is asking.
    let _ = ask.about.find().identity.set(identity);
    Step::Pass
}

fn method_of(
    method: &plain::AuthMethod,
    shared_bearer: bool,
    others: introspection::Others,
    forward: bool,
    cx: &mut Compile<'_>,
) -> Option<(Method, common::Challenge)> {
    match method {
        plain::AuthMethod::ApiKey(plain) => cx.below("api_key", |cx| {
            let keys = keys::ApiKeys::compile(plain, shared_bearer, forward, cx)?;
            Some((Method::ApiKey(keys), common::Challenge::of("ApiKey realm=\"api\"")))
        }),
        plain::AuthMethod::Basic(plain) => cx.below("basic", |cx| {
            let challenge = basic::challenge(&plain.realm, cx)?;
            Some((Method::Basic(Arc::new(basic::Basic::compile(plain, forward, cx)?)), challenge))
        }),
        plain::AuthMethod::Jwt(plain) => cx.below("jwt", |cx| {
            let challenge =
                common::Challenge { plain: "Bearer".into(), failed: "Bearer error=\"invalid_token\"".into() };
            Some((Method::Jwt(Arc::new(jwt::Jwt::compile(plain, shared_bearer, cx)?)), challenge))
        }),
        plain::AuthMethod::Introspection(plain) => cx.below("introspection", |cx| {
            let one = introspection::Introspected::compile(plain, others, cx)?;
            let failed = "Bearer error=\"invalid_token\"".into();
            Some((Method::Introspection(one), common::Challenge { plain: "Bearer".into(), failed }))
        }),
        plain::AuthMethod::ExtAuth(plain) => cx.below("ext_auth", |cx| {
            // It gives answers of its own: there is nothing to say in its place.
            Some((Method::ExtAuth(ext_auth::Asked::compile(plain, cx)?), common::Challenge::of("")))
        }),
        plain::AuthMethod::Mtls(plain) => cx.below("mtls", |cx| {
            // No scheme is registered for a certificate of the connection; a 401 has to name one (RFC 9110 §15.5.2).
            Some((Method::Mtls(mtls::Mtls::compile(plain, cx)?), common::Challenge::of("Certificate realm=\"api\"")))
        }),
        plain::AuthMethod::Signature(plain) => cx.below("signature", |cx| {
            let signature = Box::new(signature::Signature::compile(plain, cx)?);
            Some((Method::Signature(signature), common::Challenge::of("Signature")))
        }),
    }
}

/// Whether what the target is told has names that may be written: framing and hop-by-hop headers are nobody's.
fn headers_can_be_written(headers: &BTreeMap<String, String>, cx: &mut Compile<'_>) -> Option<()> {
    for name in headers.keys() {
        if let Err(why) = Edit::set(name.as_bytes(), b"x") {
            cx.invalid("headers", format!("found {name}: {why}"));
            return None;
        }
    }
    Some(())
}

/// Whether a method reads `Authorization: Bearer`.
fn reads_bearer(method: &plain::AuthMethod) -> bool {
    let header = match method {
        plain::AuthMethod::Jwt(jwt) => &jwt.token.header,
        plain::AuthMethod::Introspection(one) => &one.token.header,
        plain::AuthMethod::ApiKey(keys) => &keys.header,
        _ => return false,
    };
    header.as_deref().is_some_and(is_authorization)
}

fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

/// Whether a token has the three parts of a signed one (RFC 7515 §3.1): where several methods read `Bearer`, `jwt` takes
/// these, `api_key` what fastgate made, and introspection the rest.
pub(crate) fn is_compact(token: &[u8]) -> bool {
    token.iter().filter(|&&byte| byte == b'.').count() == 2
}

/// Where a method reads tokens, the header's name in lower case, as a look-up wants it.
pub(crate) fn places(of: &plain::TokenPlaces) -> plain::TokenPlaces {
    plain::TokenPlaces { header: of.header.as_deref().map(str::to_ascii_lowercase), ..of.clone() }
}

/// The token in the [`places`] that a method reads, in their order; one that is there in two places is bad.
pub(crate) fn token<'a>(ask: &Ask<'a>, places: &plain::TokenPlaces) -> Shown<std::borrow::Cow<'a, [u8]>> {
    use std::borrow::Cow;
    let (head, bytes) = (ask.head, ask.bytes);
    let mut found = Shown::Nothing;
    let mut take = |shown: Shown<Cow<'a, [u8]>>| {
        if shown.is_present() {
            found = if found.is_present() { Shown::Bad } else { shown };
        }
    };
    if let Some(name) = &places.header {
        let lines = head.get(bytes, name.as_bytes());
        take(if is_authorization(name) {
            match authorization(lines) {
                Shown::One(one) if one.scheme == Scheme::Bearer => {
                    one.credential.map_or(Shown::Bad, |token| Shown::One(Cow::Borrowed(token)))
                }
                Shown::Bad => Shown::Bad,
                _ => Shown::Nothing,
            }
        } else {
            match header(lines) {
                Shown::One(value) => Shown::One(Cow::Borrowed(value)),
                Shown::Bad => Shown::Bad,
                Shown::Nothing => Shown::Nothing,
            }
        });
    }
    if let Some(name) = &places.cookie {
        take(match cookie(head.get(bytes, b"cookie"), name.as_bytes()) {
            Shown::One(value) => Shown::One(Cow::Borrowed(value)),
            Shown::Bad => Shown::Bad,
            Shown::Nothing => Shown::Nothing,
        });
    }
    if let Some(name) = &places.query {
        take(query(head.query(bytes).unwrap_or_default(), name.as_bytes()));
    }
    found
}

/// A refusal of a credential that nobody can judge now.
pub(crate) fn busy(reason: &'static str) -> Denial {
    Denial::new(FaultKind::PolicyUnavailable, "auth", reason).with("Retry-After", *b"1")
}
