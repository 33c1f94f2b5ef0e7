//! Policies of a snapshot are judged and compiled here, each part by its own file.

use std::collections::HashMap;
use std::sync::Arc;

use fastgate_core::auth::Consumers;
use fastgate_core::snapshot::policies as plain;
use fastgate_core::snapshot::{Invalid, Policies, Snapshot};

use super::{Guards, State, auth, concurrency, limits, network, require, tenant};
use crate::store::Place;

/// What the parts are compiled with.
pub(crate) struct Compile<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) state: &'a State,
    /// Where limits are shared, if any are.
    pub(crate) store: Option<Arc<Place>>,
    /// The path of the part in the snapshot.
    path: String,
    invalid: &'a mut Vec<Invalid>,
    known: Option<Arc<Consumers>>,
}

/// A consumer, and the policies that it brings.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// In the place of the route's.
    pub(crate) ip: Option<network::IpRules>,
    pub(crate) require: Option<require::Require>,
    pub(crate) concurrency: Option<concurrency::Concurrency>,
    /// Each in the place of the route's of that name, or besides them.
    pub(crate) limits: Option<limits::Limits>,
    /// Those of its keys, by the key's name, besides all others.
    pub(crate) key_limits: HashMap<Box<str>, limits::Limits>,
}

impl<'a> Compile<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        state: &'a State,
        store: Option<Arc<Place>>,
        invalid: &'a mut Vec<Invalid>,
    ) -> Self {
        Self { snapshot, state, store, path: String::new(), invalid, known: None }
    }

    /// Notes a fault below the part: `any_of.0.jwt.keys`, or `""` for the part itself.
    pub(crate) fn invalid(&mut self, path: &str, message: impl Into<String>) {
        let dot = if path.is_empty() { "" } else { "." };
        self.invalid.push(Invalid::new(format!("{}{dot}{path}", self.path), message));
    }

    /// The consumers and their keys, read once.
    pub(crate) fn known(&mut self) -> Arc<Consumers> {
        if self.known.is_none() {
            let read = Consumers::new(&self.snapshot.consumers, &self.snapshot.key_pepper);
            let read = read.unwrap_or_else(|found| {
                self.invalid.extend(found);
                Consumers::default()
            });
            self.known = Some(Arc::new(read));
        }
        self.known.clone().unwrap_or_default()
    }

    /// Compiles one part, whose faults are those of a path below this one.
    pub(crate) fn below<T>(&mut self, key: &str, compile: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let len = self.path.len();
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let part = compile(self);
        self.path.truncate(len);
        part
    }

    /// All policies, in the snapshot's order; a part that is `None` was not asked for or has faults.
    pub(crate) fn guards(&mut self) -> Vec<Arc<Guards>> {
        let snapshot = self.snapshot;
        let numbered = snapshot.policies.iter().enumerate();
        numbered
            .map(|(i, policies)| {
                Arc::new(self.below(&format!("policies.{i}"), |cx| Some(guards(policies, cx))).unwrap_or_default())
            })
            .collect()
    }

    /// All consumers, in the snapshot's order.
    pub(crate) fn consumers(&mut self) -> Vec<Consumer> {
        let snapshot = self.snapshot;
        self.known();
        let numbered = snapshot.consumers.iter().enumerate();
        numbered
            .filter_map(|(i, consumer)| self.below(&format!("consumers.{i}"), |cx| Some(self::consumer(consumer, cx))))
            .collect()
    }
}

fn guards(policies: &Policies, cx: &mut Compile<'_>) -> Guards {
    fn part<P, T>(
        cx: &mut Compile<'_>,
        key: &str,
        plain: Option<&P>,
        compile: impl FnOnce(&P, &mut Compile<'_>) -> Option<T>,
    ) -> Option<T> {
        cx.below(key, |cx| compile(plain?, cx))
    }
    let rates = (!policies.limits.is_empty()).then_some(&policies.limits[..]);
    Guards {
        security_headers: part(
            cx,
            "security_headers",
            policies.security_headers.as_ref(),
            network::SecurityHeaders::compile,
        ),
        cors: part(cx, "cors", policies.cors.as_ref(), network::Cors::compile),
        ip: part(cx, "ip", policies.ip.as_ref(), network::IpRules::compile),
        csrf: part(cx, "csrf", policies.csrf.as_ref(), network::Csrf::compile),
        auth: cx.below("auth", |cx| auth::Auth::compile(policies.auth.as_ref()?, policies.forward_credentials, cx)),
        tenant: part(cx, "tenant", policies.tenant.as_ref(), tenant::Tenant::compile),
        require: part(cx, "require", policies.require.as_ref(), require::Require::compile),
        limits: cx.below("limits", |cx| limits::Limits::of_route(rates?, cx)),
        concurrency: part(cx, "concurrency", policies.concurrency.as_ref(), concurrency::Concurrency::compile),
    }
}

fn consumer(consumer: &plain::Consumer, cx: &mut Compile<'_>) -> Consumer {
    let own = consumer.policies.as_deref();
    let rates = (!consumer.limits.is_empty()).then_some(&consumer.limits[..]);
    let part = |key: &str| format!("policies.{key}");
    Consumer {
        ip: cx.below(&part("ip"), |cx| network::IpRules::compile(own?.ip.as_ref()?, cx)),
        require: cx.below(&part("require"), |cx| require::Require::compile(own?.require.as_ref()?, cx)),
        concurrency: cx
            .below(&part("concurrency"), |cx| concurrency::Concurrency::compile(own?.concurrency.as_ref()?, cx)),
        limits: cx.below("limits", |cx| limits::Limits::of_consumer(rates?, cx)),
        key_limits: limits::of_keys(&consumer.api_keys, cx),
    }
}
