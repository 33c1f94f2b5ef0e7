//! How often: the limits of a route, of the consumer and of its key, judged one after the other.
//!
//! A request that one limit refuses gives back what the earlier ones had counted of it. Meanwhile, on another worker, a
//! request may be refused that would have passed a moment later; none ever passes that should not.

mod account;
mod fields;

use std::collections::HashMap;

use fastgate_core::limit::{Now, Outcome, Rule, Verdict};
use fastgate_core::snapshot::policies::{self as plain, ApiKey, Part};

use super::key::{self, Keyed};
use super::{Ask, Compile, Consumer, Denial, Resumed, Step};
use crate::clock;
use crate::fault::FaultKind;
use crate::rt;
use account::Limiter;
use account::Shown;
pub(crate) use account::{Family, State, sweep};

/// Limits that one level may have.
const MOST: usize = 32;

/// The rates of a route or of a consumer.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Judged before anybody is asked who they are.
    early: Box<[Rate]>,
    /// Judged when that is known.
    late: Box<[Rate]>,
}

/// One limit.
#[derive(Debug)]
struct Rate {
    name: Box<str>,
    rule: Rule,
    limiter: Limiter,
    keyed: Keyed,
    /// What one address may use where clients choose the key.
    by_address: Option<(Rule, Limiter)>,
    cost: u64,
    cost_from: Option<Part>,
    dry_run: bool,
    fields: fields::Fields,
}

impl Limits {
    /// Of a route, a service or the gateway.
    pub(crate) fn of_route(limits: &[plain::Limit], cx: &mut Compile<'_>) -> Option<Self> {
        let snapshot = cx.snapshot;
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for (limit, rate) in limits.iter().zip(rates(limits, cx)?) {
            let parts = limit.per.iter().chain(&limit.cost_from);
            // One that a consumer replaces can only be judged when the consumer is known.
            let replaced = || snapshot.consumers.iter().any(|c| c.limits.iter().any(|own| own.name == limit.name));
            if parts.clone().any(key::needs_identity) || replaced() { late.push(rate) } else { early.push(rate) }
        }
        Some(Self { early: early.into(), late: late.into() })
    }

    /// Of a consumer or a key.
    pub(crate) fn of_consumer(limits: &[plain::Limit], cx: &mut Compile<'_>) -> Option<Self> {
        Some(Self { early: Box::default(), late: rates(limits, cx)?.into() })
    }

    /// Those that need no identity.
    pub(crate) fn judge_early(&self, ask: &Ask<'_>) -> Step {
        if self.early.is_empty() { Step::Pass } else { take_all(self.early.iter(), ask) }
    }

    fn has(&self, name: &str) -> bool {
        self.late.iter().any(|rate| *rate.name == *name)
    }
}

/// The limits of a consumer's keys.
pub(crate) fn of_keys(keys: &[ApiKey], cx: &mut Compile<'_>) -> HashMap<Box<str>, Limits> {
    let with = keys.iter().enumerate().filter(|(_, key)| !key.limits.is_empty());
    with.filter_map(|(i, key)| {
        let limits = cx.below(&format!("api_keys.{i}.limits"), |cx| Limits::of_consumer(&key.limits, cx))?;
        Some((key.name.as_str().into(), limits))
    })
    .collect()
}

/// Judges a route's limits and the consumer's own together: the consumer's replace those of the same name.
pub(crate) fn judge(route: Option<&Limits>, consumer: Option<&Consumer>, ask: &Ask<'_>) -> Step {
    let own = consumer.and_then(|consumer| consumer.limits.as_ref());
    let key = consumer.filter(|consumer| !consumer.key_limits.is_empty()).and_then(|consumer| {
        let key = ask.identity()?.key.as_deref()?;
        consumer.key_limits.get(key)
    });
    if route.is_none() && own.is_none() && key.is_none() {
        return Step::Pass;
    }
    let [of_route, of_consumer, of_key] = [route, own, key].map(|limits| limits.map_or(&[][..], |limits| &limits.late));
    let left = of_route.iter().filter(|rate| own.is_none_or(|own| !own.has(&rate.name)));
    take_all(left.chain(of_consumer).chain(of_key), ask)
}

fn rates(limits: &[plain::Limit], cx: &mut Compile<'_>) -> Option<Vec<Rate>> {
    if limits.len() > MOST {
        cx.invalid("", format!("found {} limits; allowed: at most {MOST}", limits.len()));
        return None;
    }
    let compiled: Vec<Option<Rate>> =
        limits.iter().enumerate().map(|(i, limit)| cx.below(&i.to_string(), |cx| Rate::compile(limit, cx))).collect();
    compiled.into_iter().collect()
}

impl Rate {
    fn compile(limit: &plain::Limit, cx: &mut Compile<'_>) -> Option<Self> {
        let compile = |limit: &plain::Limit, cx: &mut Compile<'_>| match Rule::compile(limit) {
            Ok(rule) => Some(rule),
            Err(error) => {
                cx.invalid(error.field, error.message);
                None
            }
        };
        let rule = compile(limit, cx)?;
        if limit.sync_ms.is_some() {
            // Counting in this process alone would let pass what the store should have refused.
            cx.invalid("sync_ms", super::compile::NOT_YET);
            return None;
        }
        if let Some(delay) = limit.then.iter().find(|step| matches!(step, plain::Then::Delay(30_001..))) {
            let message = format!("found {delay:?} milliseconds; allowed: a delay of at most 30s");
            cx.invalid("then", message);
            return None;
        }
        let keyed = Keyed::new(cx.state.limits.hasher(), &limit.per);
        let by_address = if keyed.is_chosen() {
            // The same limit, as wide as so many keys.
            let wide = |n: u64| n.saturating_mul(limit.keys_per_address.max(1));
            let wider = plain::Limit { count: wide(limit.count), burst: wide(limit.burst), ..limit.clone() };
            let rule = compile(&wider, cx)?;
            let limiter = cx.state.limits.limiter(&wider, &rule, true);
            Some((rule, limiter))
        } else {
            None
        };
        Some(Self {
            name: limit.name.as_str().into(),
            limiter: cx.state.limits.limiter(limit, &rule, false),
            rule,
            keyed,
            by_address,
            cost: limit.cost,
            cost_from: limit.cost_from.clone(),
            dry_run: limit.dry_run,
            fields: fields::Fields::new(limit),
        })
    }

    fn cost(&self, ask: &Ask<'_>) -> u64 {
        match &self.cost_from {
            // At least what every request costs: a client cannot make itself cheaper.
            Some(part) => key::number(part, ask).map_or(self.cost, |said| said.max(self.cost)),
            None => self.cost,
        }
    }

    fn take(&self, ask: &Ask<'_>, now: Now) -> Verdict {
        let cost = self.cost(ask);
        let key = self.keyed.key(ask);
        let verdict = self.limiter.take(&self.rule, &key, now, cost);
        let Some((rule, limiter)) = self.by_address.as_ref().filter(|_| verdict.passes()) else { return verdict };
        let wide = limiter.take(rule, &self.keyed.address(ask), now, cost);
        if wide.passes() {
            return verdict;
        }
        self.limiter.give_back(&self.rule, &key, now, cost);
        wide
    }

    fn give_back(&self, ask: &Ask<'_>, now: Now) {
        let cost = self.cost(ask);
        self.limiter.give_back(&self.rule, &self.keyed.key(ask), now, cost);
        if let Some((rule, limiter)) = &self.by_address {
            limiter.give_back(rule, &self.keyed.address(ask), now, cost);
        }
    }
}

fn take_all<'a>(rates: impl Iterator<Item = &'a Rate> + Clone, ask: &Ask<'_>) -> Step {
    let quotas = rates.clone().any(|rate| matches!(rate.rule, Rule::Quota(_)));
    let now = Now { monotonic_ns: ask.now_ns(), unix_ms: if quotas { clock::unix_ms() } else { 0 } };
    let worker = ask.worker.index;
    let mut delay = 0;
    let mut told = fields::Told::default();
    for (i, rate) in rates.clone().enumerate() {
        let verdict = rate.take(ask, now);
        let line = rate.limiter.line();
        if rate.dry_run {
            line.count(worker, if verdict.outcome == Outcome::Pass { Shown::Allowed } else { Shown::DryRun });
            continue;
        }
        told.add(&rate.fields, &verdict);
        match verdict.outcome {
            Outcome::Pass => line.count(worker, Shown::Allowed),
            Outcome::Delay(ms) => {
                line.count(worker, Shown::Delayed);
                delay = delay.max(ms);
            }
            Outcome::Deny => {
                line.count(worker, Shown::Denied);
                rates.take(i).for_each(|earlier| earlier.give_back(ask, now));
                return refuse(rate, &verdict).into();
            }
        }
    }
    told.put(ask);
    if delay == 0 {
        return Step::Pass;
    }
    let Some(place) = ask.worker.shared.registry.guards.limits.wait() else {
        rates.for_each(|rate| rate.give_back(ask, now));
        let reason = "too many requests are being delayed";
        return Denial::new(FaultKind::RateLimited, "limits", reason).with("Retry-After", "1").into();
    };
    Step::Wait(Box::pin(async move {
        rt::sleep(std::time::Duration::from_millis(delay)).await;
        drop(place);
        Resumed::default()
    }))
}

fn refuse(rate: &Rate, verdict: &Verdict) -> Denial {
    let denial = Denial::new(FaultKind::RateLimited, "limits", format!("limit {}", rate.name));
    rate.fields.refused(denial, verdict)
}
