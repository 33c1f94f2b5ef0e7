//! Quotas: so many in a window of the calendar, or in the last so-and-so long.
//!
//! A rolling window is counted in twelve parts and a thirteenth that is under way. All parts that reach into the window
//! count whole, so that no window of that length ever sees more than the quota; what was used comes back at most a
//! twelfth of the window late.

use super::{Outcome, Step, Verdict};
use crate::calendar;

/// Parts of a rolling window.
const PARTS: u64 = 12;
const SLOTS: usize = 13;

/// A window of the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

/// The window of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// It begins and ends with the calendar's.
    Calendar(Calendar),
    /// The last so many milliseconds.
    Rolling(u64),
}

/// A quota, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    span: Span,
    steps: Box<[Step]>,
}

/// What has been used of a quota.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// The number of the newest part (calendar: of the window).
    newest: u64,
    /// Refused until then, Unix milliseconds.
    blocked_until: u64,
    /// By number of the part; one for a calendar's window.
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parts {
    One(u32),
    Ring(Box<[u32; SLOTS]>),
}

impl Default for Parts {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Parts {
    fn sum(&self) -> u64 {
        match self {
            Self::One(count) => u64::from(*count),
            Self::Ring(ring) => ring.iter().map(|&count| u64::from(count)).sum(),
        }
    }

    fn at(&mut self, part: u64) -> &mut u32 {
        match self {
            Self::One(count) => count,
            Self::Ring(ring) => &mut ring[index(part)],
        }
    }
}

fn index(part: u64) -> usize {
    usize::try_from(part % SLOTS as u64).unwrap_or(0)
}

impl Quota {
    /// `count` in each window; over it `steps`, each `Delay` for as many again.
    ///
    /// # Errors
    ///
    /// More than 4,294,967,295, or a window that is none.
    pub fn new(count: u64, span: Span, steps: &[Step]) -> Result<Self, &'static str> {
        let count = u32::try_from(count).map_err(|_| "a quota is at most 4294967295")?;
        if count == 0 || matches!(span, Span::Rolling(ms) if ms < PARTS) {
            return Err("a quota is at least 1, in a window of at least 12ms");
        }
        Ok(Self { count, span, steps: steps.into() })
    }

    /// Whether both count in the same windows, so that one can go on with what the other counted.
    #[must_use]
    pub fn same_windows(&self, span: Span) -> bool {
        self.span == span
    }

    /// Decides on a request of that cost at that time (Unix milliseconds), and counts it if `take`.
    pub(super) fn decide(&self, used: &mut Used, now: u64, cost: u64, take: bool) -> Verdict {
        let end = self.forward(used, now);
        let count = u64::from(self.count);
        let had = used.parts.sum();
        if now < used.blocked_until {
            return self.verdict(Outcome::Deny, count, end - now, used.blocked_until - now);
        }
        let wanted = had.saturating_add(cost);
        let mut outcome = (wanted <= count).then_some(Outcome::Pass);
        let mut allowed = count;
        for step in &self.steps {
            if outcome.is_some() {
                break;
            }
            match *step {
                Step::Delay(ms) => {
                    allowed = allowed.saturating_add(count);
                    outcome = (wanted <= allowed).then_some(Outcome::Delay(ms));
                }
                Step::Deny(ms) => {
                    used.blocked_until = now.saturating_add(ms);
                    return self.verdict(Outcome::Deny, count, end - now, ms);
                }
            }
        }
        let Some(outcome) = outcome else {
            let retry = self.room_at(used, now, wanted - allowed, end) - now;
            return self.verdict(Outcome::Deny, had, end - now, retry);
        };
        if take {
            let newest = used.newest;
            let part = used.parts.at(newest);
            *part = part.saturating_add(u32::try_from(cost).unwrap_or(u32::MAX));
        }
        self.verdict(outcome, wanted, end - now, 0)
    }

    /// Gives back what a request took in the window under way.
    pub(super) fn give_back(&self, used: &mut Used, now: u64, cost: u64) {
        self.forward(used, now);
        let newest = used.newest;
        let part = used.parts.at(newest);
        *part = part.saturating_sub(u32::try_from(cost).unwrap_or(u32::MAX));
    }

    /// Nothing of it matters any more.
    pub(super) fn over(&self, used: &Used, now: u64) -> bool {
        let mut copy = used.clone();
        self.forward(&mut copy, now);
        copy.parts.sum() == 0 && now >= copy.blocked_until
    }

    /// Drops what has left the window; says when all that counts now will have left it.
    fn forward(&self, used: &mut Used, now: u64) -> u64 {
        let (part, end) = match self.span {
            Span::Calendar(unit) => unit.window(now),
            Span::Rolling(ms) => {
                let step = ms.div_ceil(PARTS);
                (now / step, (now / step + SLOTS as u64) * step)
            }
        };
        if let (Span::Rolling(_), Parts::One(_)) = (self.span, &used.parts) {
            used.parts = Parts::Ring(Box::new([0; SLOTS]));
            used.newest = part;
        } else if let (Span::Calendar(_), Parts::Ring(_)) = (self.span, &used.parts) {
            used.parts = Parts::One(0);
        }
        // A clock that was set back counts in the newest part there is.
        if part > used.newest {
            match &mut used.parts {
                Parts::One(count) => *count = 0,
                Parts::Ring(ring) => {
                    for gone in used.newest + 1..=part.min(used.newest + SLOTS as u64) {
                        ring[index(gone)] = 0;
                    }
                }
            }
            used.newest = part;
        }
        end.max(now)
    }

    /// When so many will have left the window.
    fn room_at(&self, used: &Used, now: u64, missing: u64, end: u64) -> u64 {
        let (Span::Rolling(ms), Parts::Ring(ring)) = (self.span, &used.parts) else { return end };
        let step = ms.div_ceil(PARTS);
        let mut freed = 0;
        for age in 1..=SLOTS as u64 {
            // The oldest part goes first, when the newest number is one more.
            freed += u64::from(ring[index(used.newest + age)]);
            if freed >= missing {
                return ((used.newest + age) * step).max(now);
            }
        }
        end
    }

    fn verdict(&self, outcome: Outcome, used: u64, reset_ms: u64, retry_ms: u64) -> Verdict {
        Verdict {
            outcome,
            remaining: u64::from(self.count).saturating_sub(used),
            reset_ns: reset_ms.saturating_mul(1_000_000),
            retry_ns: retry_ms.saturating_mul(1_000_000),
        }
    }
}

impl Calendar {
    /// The number of the window that a time (Unix milliseconds) is in, and its end.
    #[must_use]
    pub fn window(self, now: u64) -> (u64, u64) {
        let length = match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Month => {
                let (year, month, _) = calendar::civil(now / 86_400_000);
                let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let signed = |part: u64| i64::try_from(part).unwrap_or(i64::MAX / 1_000);
                let end = calendar::days(signed(next_year), signed(next_month), 1);
                return (year * 12 + month, u64::try_from(end).unwrap_or(0) * 86_400_000);
            }
        };
        (now / length, (now / length + 1) * length)
    }
}
