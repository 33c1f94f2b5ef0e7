//! How often: the limits of a route, of the consumer and of its key, judged one after the other.
//!
//! A request that one limit refuses gives back what the earlier ones had counted of it. Meanwhile, on another worker, a
//! request may be refused that would have passed a moment later; none ever passes that should not.

mod account;
mod fields;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;

use fastgate_core::limit::{Key, Now, Outcome, Rule, Verdict};
use fastgate_core::snapshot::policies::{self as plain, ApiKey, Part};

use super::key::{self, Keyed};
use super::{Ask, Compile, Consumer, Denial, Resumed, Step};
use crate::clock;
use crate::fault::FaultKind;
use crate::rt;
use account::Limiter;
use account::Shown;
pub(crate) use account::{Family, State, sweep};
use shared::{One, Shared};

/// Limits that one level may have.
const MOST: usize = 32;

/// The rates of a route or of a consumer.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Judged before anybody is asked who they are.
    early: Level,
    /// Judged when that is known.
    late: Level,
}

/// Limits that are judged together.
#[derive(Debug, Default)]
struct Level {
    rates: Arc<[Rate]>,
    /// Some of them are counted in the store.
    shared: bool,
}

impl From<Vec<Rate>> for Level {
    fn from(rates: Vec<Rate>) -> Self {
        Self { shared: rates.iter().any(|rate| rate.shared.is_some()), rates: rates.into() }
    }
}

/// What a request counts for: its key, and its address where clients choose the key.
#[derive(Debug)]
struct Keys {
    key: Key,
    address: Option<Key>,
    cost: u64,
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
    /// Where the store counts it.
    shared: Option<Box<Shared>>,
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
        Some(Self { early: Level::default(), late: rates(limits, cx)?.into() })
    }

    /// Those that need no identity.
    pub(crate) fn judge_early(&self, ask: &Ask<'_>) -> Step {
        let Level { rates, shared } = &self.early;
        match shared {
            _ if rates.is_empty() => Step::Pass,
            false => take_all(rates.iter(), ask),
            true => shared::take_all(One::of(rates).collect(), ask),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.late.rates.iter().any(|rate| *rate.name == *name)
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
    let stands = |rate: &Rate| own.is_none_or(|own| !own.has(&rate.name));
    if [route, own, key].into_iter().flatten().any(|limits| limits.late.shared) {
        let mut all: Vec<One> = Vec::new();
        for limits in [route, own, key].into_iter().flatten() {
            all.extend(One::of(&limits.late.rates));
            if route.is_some_and(|route| std::ptr::eq(route, limits)) {
                all.retain(|one| stands(one.rate()));
            }
        }
        return shared::take_all(all, ask);
    }
    let [of_route, of_consumer, of_key] =
        [route, own, key].map(|limits| limits.map_or(&[][..], |limits| &limits.late.rates));
    let left = of_route.iter().filter(|rate| stands(rate));
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
        if let Some(delay) = limit.then.iter().find(|step| matches!(step, plain::Then::Delay(30_001..))) {
            let message = format!("found {delay:?} milliseconds; allowed: a delay of at most 30s");
            cx.invalid("then", message);
            return None;
        }
        let keyed = Keyed::new(cx.state.limits.hasher(), &limit.per);
        // The same limit, as wide as so many keys.
        let wide = |n: u64| n.saturating_mul(limit.keys_per_address.max(1));
        let wider = || plain::Limit { count: wide(limit.count), burst: wide(limit.burst), ..limit.clone() };
        let wider = keyed.is_chosen().then(wider);
        let by_address = match &wider {
            Some(wider) => {
                let rule = compile(wider, cx)?;
                let limiter = cx.state.limits.limiter(wider, &rule, true);
                Some((rule, limiter))
            }
            None => None,
        };
        let shared = match limit.sync_ms {
            Some(_) => Some(Box::new(Shared::compile(limit, wider.as_ref(), cx)?)),
            None => None,
        };
        Some(Self {
            name: limit.name.as_str().into(),
            limiter: cx.state.limits.limiter(limit, &rule, false),
            rule,
            keyed,
            by_address,
            shared,
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

    fn keys(&self, ask: &Ask<'_>) -> Keys {
        let address = self.by_address.is_some().then(|| self.keyed.address(ask));
        Keys { key: self.keyed.key(ask), address, cost: self.cost(ask) }
    }

    fn take(&self, keys: &Keys, now: Now) -> Verdict {
        let Keys { key, address, cost } = keys;
        let verdict = self.limiter.take(&self.rule, key, now, *cost);
        let (Some((rule, limiter)), Some(address), true) = (&self.by_address, address, verdict.passes()) else {
            return verdict;
        };
        let wide = limiter.take(rule, address, now, *cost);
        if wide.passes() {
            return verdict;
        }
        self.limiter.give_back(&self.rule, key, now, *cost);
        wide
    }

    fn give_back(&self, keys: &Keys, now: Now) {
        self.limiter.give_back(&self.rule, &keys.key, now, keys.cost);
        if let (Some((rule, limiter)), Some(address)) = (&self.by_address, &keys.address) {
            limiter.give_back(rule, address, now, keys.cost);
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
        let verdict = rate.take(&rate.keys(ask), now);
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
                rates.take(i).for_each(|earlier| earlier.give_back(&earlier.keys(ask), now));
                return refuse(rate, &verdict).into();
            }
        }
    }
    told.put(ask);
    if delay == 0 {
        return Step::Pass;
    }
    let Some(place) = ask.worker.shared.registry.guards.limits.wait() else {
        rates.for_each(|rate| rate.give_back(&rate.keys(ask), now));
        return crowded().into();
    };
    Step::Wait(Box::pin(async move {
        rt::sleep(std::time::Duration::from_millis(delay)).await;
        drop(place);
        Resumed::default()
    }))
}

fn crowded() -> Denial {
    let reason = "too many requests are being delayed";
    Denial::new(FaultKind::RateLimited, "limits", reason).with("Retry-After", "1")
}

fn refuse(rate: &Rate, verdict: &Verdict) -> Denial {
    let denial = Denial::new(FaultKind::RateLimited, "limits", format!("limit {}", rate.name));
    rate.fields.refused(denial, verdict)
}
