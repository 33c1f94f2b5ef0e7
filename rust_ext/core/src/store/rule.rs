//! A limit of the config as the script takes it, and what the script answers.

use super::Script;
use crate::limit::{Outcome, RuleError, Verdict};
use crate::resp::{self, Node};
use crate::snapshot::policies::{Limit, Then, Window};

/// Numbers stay below it, where Lua's are exact.
const EXACT: u64 = 1 << 52;

/// The script's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The decision.
    pub verdict: Verdict,
    /// Units of cost that were counted.
    pub granted: u64,
    /// When, microseconds by the server's clock: what is given back later says so.
    pub at_us: u64,
}

/// A limit, compiled to arguments of the script.
#[derive(Debug, Clone)]
pub struct Rule {
    script: Script,
    /// Mode and numbers, written as words; behind them stand what is wanted and what is the least.
    head: Vec<u8>,
    /// The steps, written as words.
    tail: Vec<u8>,
    arguments: usize,
    delays: Box<[u64]>,
    most: u64,
    kind: Box<str>,
}

impl Rule {
    /// Compiles a limit.
    ///
    /// # Errors
    /// Numbers that the script cannot reckon with exactly, or a step behind the one that ends the list.
    pub fn compile(limit: &Limit) -> Result<Self, RuleError> {
        let wrong = |field, message| Err(RuleError { field, message });
        if limit.count == 0 || limit.burst == 0 || limit.window_ms == 0 {
            return wrong("count", "a rate, its burst and its window are at least 1");
        }
        let (mut tail, mut delays) = (Vec::new(), Vec::new());
        for (i, step) in limit.then.iter().enumerate() {
            match *step {
                Then::Delay(ms) => {
                    delays.push(ms);
                    resp::bulk(&mut tail, b"d");
                }
                Then::Deny(_) if i + 1 < limit.then.len() => return wrong("then", "nothing follows a deny"),
                Then::Deny(ms) if ms == 0 || ms > EXACT / 1_000_000 => {
                    return wrong("then", "a deny lasts from 1ms to a hundred years");
                }
                Then::Deny(ms) => number(&mut tail, ms),
            }
        }
        let stages = delays.len() as u64 + 1;
        let kind: &[u8] = match limit.window {
            Window::Flowing => b"",
            Window::Rolling => b"rolling",
            Window::Minute => b"minute",
            Window::Hour => b"hour",
            Window::Day => b"day",
            Window::Month => b"month",
        };
        let mut head = Vec::new();
        let (most, kind) = if kind.is_empty() {
            // The finest unit of time in which a burst's parts can be counted exactly.
            let window_us = limit.window_ms.saturating_mul(1_000);
            let fits = |unit: u64| {
                let parts = (window_us / unit).checked_mul(limit.burst).and_then(|parts| parts.checked_mul(stages));
                window_us.is_multiple_of(unit)
                    && parts.is_some_and(|parts| parts < EXACT)
                    && limit.count < EXACT / stages
            };
            let Some(unit) = [1, 1_000, 1_000_000].into_iter().find(|unit| fits(*unit)) else {
                return wrong("burst", "the burst is too large for a limit that is shared through the store");
            };
            resp::bulk(&mut head, b"r");
            [unit, limit.count, window_us / unit, limit.burst].into_iter().for_each(|n| number(&mut head, n));
            (limit.burst, format!("rate-{unit}-{}", window_us / unit))
        } else {
            let size = match limit.window {
                Window::Rolling => limit.window_ms,
                Window::Minute => 60_000,
                Window::Hour => 3_600_000,
                Window::Day | Window::Month | Window::Flowing => 86_400_000,
            };
            if limit.count > u64::from(u32::MAX) {
                return wrong("count", "a quota is at most 4294967295");
            }
            if !(12..=EXACT / 1_000_000).contains(&size) {
                return wrong("window", "a rolling window has at least 12ms");
            }
            resp::bulk(&mut head, b"q");
            resp::bulk(&mut head, kind);
            [size, limit.count, 0].into_iter().for_each(|n| number(&mut head, n));
            (limit.count, format!("{}-{size}", String::from_utf8_lossy(kind)))
        };
        let (script, arguments, delays) = (Script::default(), 7 + limit.then.len(), delays.into());
        Ok(Self { script, head, tail, arguments, delays, most, kind: kind.into() })
    }

    /// In what it counts: what was counted in another kind is nothing that it could read.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What can be had at once.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Writes the call that takes `wanted` units for a key, or fewer, but at least `least` or none.
    pub fn ask(&self, out: &mut Vec<u8>, key: &[u8], wanted: u64, least: u64) {
        self.script.call(out, key, self.arguments);
        out.extend_from_slice(&self.head);
        number(out, wanted.min(EXACT));
        number(out, least.clamp(1, EXACT));
        out.extend_from_slice(&self.tail);
    }

    /// Writes the call that gives back so many units, which a call was granted at that time of the server.
    pub fn give_back(&self, out: &mut Vec<u8>, key: &[u8], units: u64, at_us: u64) {
        self.script.call(out, key, 8);
        out.extend_from_slice(&self.head);
        number(out, units.min(EXACT));
        number(out, 0);
        number(out, at_us.min(EXACT));
    }

    /// Reads the answer; `None`: it is none that the script gives.
    #[must_use]
    pub fn read(&self, nodes: &[Node]) -> Option<Answer> {
        let [
            Node::List(6),
            Node::Integer(step),
            Node::Integer(granted),
            Node::Integer(remaining),
            Node::Integer(reset),
            Node::Integer(retry),
            Node::Integer(at),
        ] = nodes
        else {
            return None;
        };
        let outcome = match usize::try_from(*step) {
            Ok(0) => Outcome::Pass,
            Ok(step) => Outcome::Delay(*self.delays.get(step - 1)?),
            Err(_) if *step == -1 && *granted == 0 => Outcome::Deny,
            Err(_) => return None,
        };
        let whole = |n: &i64| u64::try_from(*n).ok();
        let ns = |us: &i64| Some(whole(us)?.saturating_mul(1_000));
        let (remaining, reset_ns, retry_ns) = (whole(remaining)?, ns(reset)?, ns(retry)?);
        let verdict = Verdict { outcome, remaining, reset_ns, retry_ns };
        Some(Answer { verdict, granted: whole(granted)?, at_us: whole(at)? })
    }
}

fn number(out: &mut Vec<u8>, n: u64) {
    resp::bulk(out, itoa::Buffer::new().format(n).as_bytes());
}
