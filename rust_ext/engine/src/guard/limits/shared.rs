//! Limits that are counted in the store: asked all at once, so that a request waits for one answer's time, and given back
//! where one of them refuses.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastgate_core::limit::{Now, Outcome, Verdict};
use fastgate_core::snapshot::policies::{Limit, StoreFailure};
use fastgate_core::store::Answer;

use super::account::{Delayed, Shown};
use super::fields::Told;
use super::{Keyed, Keys, Rate, crowded, refuse};
use crate::clock;
use crate::fault::FaultKind;
use crate::guard::{Ask, Compile, Denial, End, Resumed, Step};
use crate::rt;
use crate::store::{Decision, Digest, Failed, Limiter, Store, Waiting};
use crate::worker::Worker;

/// The store's part of a limit.
#[derive(Debug)]
pub(super) struct Shared {
    limiter: Limiter,
    /// What one address may use where clients choose the key.
    by_address: Option<Limiter>,
    /// Makes the keys that every process makes.
    keyed: Keyed,
    on_failure: StoreFailure,
}

impl Shared {
    /// Of a limit, and of the wider one that counts addresses.
    pub(super) fn compile(limit: &Limit, wider: Option<&Limit>, cx: &mut Compile<'_>) -> Option<Self> {
        // Without a place it has been said already that there is none.
        let place = cx.store.clone()?;
        let mut compile = |limit: &Limit, by_address| {
            Limiter::compile(limit, place.prefix(), by_address)
                .map_err(|error| cx.invalid(error.field, error.message))
                .ok()
        };
        let by_address = match wider {
            Some(wider) => Some(compile(wider, true)?),
            None => None,
        };
        Some(Self {
            limiter: compile(limit, false)?,
            by_address,
            keyed: Keyed::new(place.hasher(), &limit.per),
            on_failure: limit.on_store_failure,
        })
    }

    fn limiter(&self, wide: bool) -> &Limiter {
        self.by_address.as_ref().filter(|_| wide).unwrap_or(&self.limiter)
    }
}

/// One limit of a request, and what is known of it. It owns what it needs: it may live across a wait.
pub(super) struct One {
    rates: Arc<[Rate]>,
    at: usize,
    cost: u64,
    /// For the counts of this process, where these may decide.
    keys: Option<Keys>,
    /// What this process counted.
    local: Option<Verdict>,
    /// What the store is asked: for the key, and for the address where clients choose the key.
    calls: Vec<Call>,
}

struct Call {
    wide: bool,
    digest: Digest,
    known: Known,
}

enum Known {
    Waiting(Waiting),
    /// A lease decided.
    Leased(Verdict),
    Answered(Answer),
    Failed(Failed),
}

impl Call {
    fn verdict(&self) -> Option<&Verdict> {
        match &self.known {
            Known::Leased(verdict) | Known::Answered(Answer { verdict, .. }) => Some(verdict),
            Known::Waiting(_) | Known::Failed(_) => None,
        }
    }
}

/// When a limit is asked: before what costs more than itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// This process counts.
    Here,
    /// A lease may decide.
    Leased,
    /// The store decides.
    Asked,
}

/// What a limit came to.
enum Came {
    /// It has decided.
    To(Verdict),
    /// Nobody has asked it, because another one refuses.
    Nothing,
    /// The store did not, and nothing stands in its place.
    Open,
    /// The store did not, and the request is refused for that.
    Closed(Failed),
}

impl One {
    /// Each of these limits.
    pub(super) fn of(rates: &Arc<[Rate]>) -> impl Iterator<Item = Self> {
        let one = |at| Self { rates: rates.clone(), at, cost: 0, keys: None, local: None, calls: Vec::new() };
        (0..rates.len()).map(one)
    }

    pub(super) fn rate(&self) -> &Rate {
        &self.rates[self.at]
    }

    fn shared(&self) -> Option<&Shared> {
        self.rate().shared.as_deref()
    }

    fn turn(&self) -> Turn {
        match self.shared() {
            None => Turn::Here,
            Some(shared) if shared.limiter.is_leased() => Turn::Leased,
            Some(_) => Turn::Asked,
        }
    }

    /// Whether it refuses, as far as is known: a dry run never does.
    fn refuses(&self) -> bool {
        let denies = |verdict: &Verdict| verdict.outcome == Outcome::Deny;
        !self.rate().dry_run
            && (self.local.as_ref().is_some_and(denies)
                || self.calls.iter().any(|call| call.verdict().is_some_and(denies)))
    }

    /// Asks the counts of this process.
    fn judge_here(&mut self, ask: &Ask<'_>, now: Now) {
        let keys = self.rate().keys(ask);
        self.local = Some(self.rate().take(&keys, now));
        self.keys = Some(keys);
    }

    /// Asks the store.
    fn judge_there(&mut self, ask: &Ask<'_>, store: Option<&Rc<Store>>) {
        let rates = self.rates.clone();
        let rate = &rates[self.at];
        let Some(shared) = &rate.shared else { return };
        self.cost = rate.cost(ask);
        if shared.on_failure == StoreFailure::Local {
            self.keys = Some(rate.keys(ask));
        }
        for wide in [false, true].into_iter().take(1 + usize::from(shared.by_address.is_some())) {
            let key = if wide { shared.keyed.address(ask) } else { shared.keyed.key(ask) };
            let digest = key.digest();
            let known = match store {
                None => Known::Failed(Failed::Open),
                Some(store) => match shared.limiter(wide).take(store, &digest, self.cost) {
                    Decision::Now(verdict) => Known::Leased(verdict),
                    Decision::Wait(waiting) => Known::Waiting(waiting),
                    Decision::Unknown(failed) => Known::Failed(failed),
                },
            };
            self.calls.push(Call { wide, digest, known });
            if self.refuses() {
                return;
            }
        }
    }

    fn waits(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.known, Known::Waiting(_)))
    }

    async fn answered(&mut self) {
        for call in &mut self.calls {
            if let Known::Waiting(waiting) = &mut call.known {
                call.known = match waiting.await {
                    Ok(answer) => Known::Answered(answer),
                    Err(failed) => Known::Failed(failed),
                };
            }
        }
    }

    /// What it came to, the counts of this process asked where the store's are not known.
    fn came(&mut self, now: Now) -> Came {
        if let Some(verdict) = self.local {
            return Came::To(verdict);
        }
        // A refusal stands, whatever else is known.
        let denied = self.calls.iter().filter_map(Call::verdict).find(|verdict| verdict.outcome == Outcome::Deny);
        if let Some(denied) = denied {
            return Came::To(*denied);
        }
        let failed = self.calls.iter().find_map(|call| match call.known {
            Known::Failed(failed) => Some(failed),
            _ => None,
        });
        let (Some(failed), Some(shared)) = (failed, self.shared()) else {
            return self.calls.first().and_then(Call::verdict).map_or(Came::Nothing, |verdict| Came::To(*verdict));
        };
        match (shared.on_failure, &self.keys) {
            (StoreFailure::Local, Some(keys)) => {
                let verdict = self.rate().take(keys, now);
                self.local = Some(verdict);
                Came::To(verdict)
            }
            (StoreFailure::Allow, _) => Came::Open,
            _ => Came::Closed(failed),
        }
    }

    /// Takes back what was counted for a request that goes no further. What a lease gave is lost: another rate comes.
    fn give_back(&self, store: Option<&Rc<Store>>, now: Now) {
        if let (Some(verdict), Some(keys)) = (&self.local, &self.keys)
            && verdict.passes()
        {
            self.rate().give_back(keys, now);
        }
        let (Some(shared), Some(store)) = (self.shared(), store) else { return };
        for call in &self.calls {
            if let Known::Answered(answer) = &call.known
                && answer.verdict.passes()
            {
                shared.limiter(call.wide).give_back(store, &call.digest, self.cost, answer);
            }
        }
    }
}

/// Judges all of them: those of this process first, then those that leases may decide, then the others.
pub(super) fn take_all(mut all: Vec<One>, ask: &Ask<'_>) -> Step {
    let now = Now { monotonic_ns: ask.now_ns(), unix_ms: clock::unix_ms() };
    let store = ask.worker.store.borrow().clone();
    let mut refused = false;
    'asking: for turn in [Turn::Here, Turn::Leased, Turn::Asked] {
        for one in all.iter_mut().filter(|one| one.turn() == turn) {
            if turn == Turn::Here {
                one.judge_here(ask, now)
            } else {
                one.judge_there(ask, store.as_ref())
            }
            refused |= one.refuses();
            if refused {
                // Nobody else is asked.
                break 'asking;
            }
        }
    }
    let worker = ask.worker.clone();
    if !refused && all.iter().any(One::waits) {
        return Step::Wait(Box::pin(async move {
            for one in &mut all {
                one.answered().await;
            }
            let now = Now { monotonic_ns: clock::monotonic_ns(), unix_ms: clock::unix_ms() };
            match settle(all, &worker, store.as_ref(), now) {
                Ok(Passed { told, delay }) => {
                    let extra = told.fields();
                    wait(delay).await;
                    Resumed { extra, ..Resumed::default() }
                }
                Err(denial) => Resumed { end: Some(End::Deny(Box::new(denial))), ..Resumed::default() },
            }
        }));
    }
    match settle(all, &worker, store.as_ref(), now) {
        Ok(Passed { told, delay }) => {
            told.put(ask);
            match delay {
                None => Step::Pass,
                delay => Step::Wait(Box::pin(async move {
                    wait(delay).await;
                    Resumed::default()
                })),
            }
        }
        Err(denial) => denial.into(),
    }
}

async fn wait(delay: Option<(Delayed, u64)>) {
    if let Some((place, ms)) = delay {
        rt::sleep(Duration::from_millis(ms)).await;
        drop(place);
    }
}

/// A request that they let pass.
struct Passed {
    told: Told,
    delay: Option<(Delayed, u64)>,
}

fn settle(mut all: Vec<One>, worker: &Worker, store: Option<&Rc<Store>>, now: Now) -> Result<Passed, Denial> {
    let judged = judge(&mut all, worker, now).and_then(|(told, ms)| {
        let place = || worker.shared.registry.guards.limits.wait().ok_or_else(crowded);
        let delay = if ms > 0 { Some((place()?, ms)) } else { None };
        Ok(Passed { told, delay })
    });
    if judged.is_err() {
        all.iter().for_each(|one| one.give_back(store, now));
    }
    judged
}

/// What all of them came to: what the client is told, and for how many milliseconds it waits.
fn judge(all: &mut [One], worker: &Worker, now: Now) -> Result<(Told, u64), Denial> {
    let (mut told, mut delay) = (Told::default(), 0);
    for one in all {
        let came = one.came(now);
        let rate = one.rate();
        let count = |shown| rate.limiter.line().count(worker.index, shown);
        match came {
            Came::Nothing => {}
            Came::Open => count(Shown::Allowed),
            Came::Closed(_) if rate.dry_run => count(Shown::DryRun),
            Came::Closed(failed) => {
                count(Shown::Denied);
                let reason = format!("limit {}: {failed}", rate.name);
                return Err(Denial::new(FaultKind::PolicyUnavailable, "limits", reason).with("Retry-After", "1"));
            }
            Came::To(verdict) if rate.dry_run => {
                count(if verdict.outcome == Outcome::Pass { Shown::Allowed } else { Shown::DryRun });
            }
            Came::To(verdict) => {
                told.add(&rate.fields, &verdict);
                match verdict.outcome {
                    Outcome::Pass => count(Shown::Allowed),
                    Outcome::Delay(ms) => {
                        count(Shown::Delayed);
                        delay = delay.max(ms);
                    }
                    Outcome::Deny => {
                        count(Shown::Denied);
                        return Err(refuse(rate, &verdict));
                    }
                }
            }
        }
    }
    Ok((told, delay))
}
