//! The generic cell rate algorithm (ITU-T I.371, virtual scheduling): a rate with a burst, in one time a key.
//!
//! A key's time is the moment at which all it has used is paid back. A request moves it on by its cost; it passes if the
//! result is at most one burst ahead of now. So over any time t no more than `burst + rate * t` pass, and with the clock
//! held exactly `burst`.

use super::word::{LATEST, State};
use super::{Outcome, Step, Verdict};

/// A rate, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gcra {
    /// Nanoseconds that one unit of cost takes to be paid back; rounded up, so that the rate is never exceeded.
    interval: u64,
    /// One burst, in nanoseconds.
    burst: u64,
    steps: Box<[Step]>,
}

/// What becomes of a state.
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The state to store; `None`: nothing changes.
    pub(super) next: Option<State>,
}

impl Gcra {
    /// `count` in `window_ns`, and at most `burst` at once; over it `steps`, of which only the last may be a `Deny`.
    ///
    /// # Errors
    ///
    /// A number that does not fit: the burst must be paid back within four years.
    pub fn new(count: u64, window_ns: u64, burst: u64, steps: &[Step]) -> Result<Self, &'static str> {
        if count == 0 || burst == 0 || window_ns == 0 {
            return Err("a rate and its burst are at least 1");
        }
        let interval = window_ns.div_ceil(count);
        let most = LATEST / 4;
        let stages = u64::try_from(steps.len()).unwrap_or(u64::MAX).saturating_add(1);
        match interval.checked_mul(burst) {
            Some(ns) if ns.checked_mul(stages).is_some_and(|all| all <= most) => {
                Ok(Self { interval, burst: ns, steps: steps.into() })
            }
            _ => Err("the burst is so large that the rate pays it back in more than four years"),
        }
    }

    /// Decides on a request of that cost.
    pub(super) fn decide(&self, state: State, now: u64, cost: u64) -> Decision {
        if state.blocked && !state.over(now) {
            return Decision { verdict: self.verdict(Outcome::Deny, self.burst, state.until - now), next: None };
        }
        let base = if state.blocked { now } else { state.until.max(now) };
        let used = base - now;
        let ahead = used.saturating_add(self.interval.saturating_mul(cost));
        let taken = |outcome| Decision {
            verdict: self.verdict(outcome, ahead, 0),
            next: Some(State { until: now.saturating_add(ahead), blocked: false }),
        };
        if ahead <= self.burst {
            return taken(Outcome::Pass);
        }
        let mut allowed = self.burst;
        for step in &self.steps {
            match *step {
                Step::Delay(ms) => {
                    allowed = allowed.saturating_add(self.burst);
                    if ahead <= allowed {
                        return taken(Outcome::Delay(ms));
                    }
                }
                Step::Deny(ms) => {
                    let ns = ms.saturating_mul(1_000_000);
                    let until = now.saturating_add(ns);
                    return Decision {
                        verdict: self.verdict(Outcome::Deny, self.burst, ns),
                        next: Some(State { until, blocked: true }),
                    };
                }
            }
        }
        Decision { verdict: self.verdict(Outcome::Deny, used, ahead - allowed), next: None }
    }

    /// The state after a request of that cost has been given back.
    pub(super) fn given_back(&self, state: State, cost: u64) -> State {
        if state.blocked {
            return state;
        }
        State { until: state.until.saturating_sub(self.interval.saturating_mul(cost)), blocked: false }
    }

    fn verdict(&self, outcome: Outcome, used: u64, retry_ns: u64) -> Verdict {
        let remaining = self.burst.saturating_sub(used) / self.interval;
        Verdict { outcome, remaining, reset_ns: used.max(retry_ns), retry_ns }
    }
}
