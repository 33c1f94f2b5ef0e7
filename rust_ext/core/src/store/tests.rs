//! The breaker by table, leases against a slow exact store.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::{Hasher, Outcome};
use crate::resp::Node;
use crate::snapshot::policies::{Limit, Part, Then, Window};

fn words(rule: &Rule) -> String {
    words_of(|out| rule.ask(out, b"key", 3, 1))
}

fn words_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    let words: Vec<&str> = text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    words[4..].join(" ").trim_end().to_owned()
}

#[test]
fn a_limit_becomes_arguments() {
    assert_eq!(words(&Rule::compile(&Limit::rate(100, 1_000, 200)).unwrap()), "r 1 100 1000000 200 3 1");
    // Too many parts of a microsecond: milliseconds, then seconds.
    assert_eq!(words(&Rule::compile(&Limit::rate(7, 86_400_000, 100_000)).unwrap()), "r 1000 7 86400000 100000 3 1");
    assert_eq!(
        words(&Rule::compile(&Limit::rate(7, 86_400_000, 100_000_000)).unwrap()),
        "r 1000000 7 86400 100000000 3 1"
    );
    assert_eq!(Rule::compile(&Limit::rate(7, 86_400_000, 1 << 60)).unwrap_err().field, "burst");
    assert_eq!(Rule::compile(&Limit::rate(0, 1_000, 1)).unwrap_err().field, "count");
    let mut stepped = Limit::rate(10_000, 86_400_000, 1);
    stepped.window = Window::Day;
    stepped.then = vec![Then::Delay(200), Then::Deny(600_000)];
    let rule = Rule::compile(&stepped).unwrap();
    assert_eq!(words(&rule), "q day 86400000 10000 0 3 1 d 600000");
    assert_eq!(words_of(|out| rule.give_back(out, b"key", 5, 77)), "q day 86400000 10000 0 5 0 77");
    assert_eq!(rule.kind(), "day-86400000");
    let answer = |step| {
        let rest = [0, 7, 8, 9, 10].map(Node::Integer);
        [vec![Node::List(6), step], rest.to_vec()].concat()
    };
    let read = |step| rule.read(&answer(Node::Integer(step))).map(|answer| answer.verdict.outcome);
    assert_eq!(rule.read(&answer(Node::Integer(0))).unwrap().at_us, 10);
    assert_eq!(read(0), Some(Outcome::Pass));
    assert_eq!(read(1), Some(Outcome::Delay(200)));
    assert_eq!(read(-1), Some(Outcome::Deny));
    assert_eq!((read(2), read(-2)), (None, None), "no step of its");
    assert_eq!(rule.read(&answer(Node::Null)), None);
    stepped.then.reverse();
    assert_eq!(Rule::compile(&stepped).unwrap_err().field, "then");
}

#[test]
fn two_counts_have_two_names_and_one_keeps_its_own() {
    let known = |change: &dyn Fn(&mut Limit), by_address| {
        let mut limit = Limit { scope: "routes/{a}".to_owned(), ..Limit::rate(100, 1_000, 200) };
        change(&mut limit);
        name(&limit, by_address, &Rule::compile(&limit).unwrap())
    };
    let own = known(&|_| {}, false);
    assert!(own.starts_with("routes/_a_/rate:"), "{own}");
    assert_eq!(known(&|limit| (limit.count, limit.burst, limit.cost) = (7, 9, 2), false), own, "a reload keeps it");
    let others = [
        known(&|_| {}, true),
        known(&|limit| limit.scope = "routes/_a_".to_owned(), false),
        known(&|limit| limit.name = "other".to_owned(), false),
        known(&|limit| limit.per = vec![Part::Header("a".to_owned())], false),
        known(&|limit| limit.window = Window::Rolling, false),
        known(&|limit| limit.window_ms = 2_000, false),
        // A burst whose parts are counted by milliseconds.
        known(&|limit| (limit.window_ms, limit.burst) = (86_400_000, 100_000), false),
    ];
    for (i, one) in others.iter().enumerate() {
        assert!(*one != own && !others[..i].contains(one), "{one}");
    }
}

#[test]
fn processes_of_one_store_hash_alike() {
    let hasher = |password, prefix| Hasher::new(secret(password, prefix));
    let key = |hasher: Hasher| hasher.one(b"acme").digest();
    assert_eq!(key(hasher(Some("a"), "b")), key(hasher(Some("a"), "b")));
    assert_ne!(key(hasher(Some("a"), "b")), key(hasher(Some("ab"), "")));
    assert_ne!(key(hasher(None, "b")), key(hasher(None, "c")));
    assert_ne!(hasher(None, "").one(b"acme").digest(), hasher(None, "").one(b"acm").digest());
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_breaker_opens_by_failures_and_closes_by_probes() {
    let mut breaker = Breaker::default();
    assert!(breaker.is_open(), "nobody waits for a server that never answered");
    assert_eq!(breaker.probed(SECOND), Turn::Closed);
    for _ in 0..4 {
        assert_eq!(breaker.failed(SECOND), Turn::Same);
    }
    breaker.answered();
    for _ in 0..4 {
        assert_eq!(breaker.failed(SECOND), Turn::Same);
    }
    assert_eq!(breaker.failed(SECOND), Turn::Opened);
    assert_eq!(breaker.failed(SECOND), Turn::Same, "it is open already");
    assert_eq!(breaker.probed(SECOND), Turn::Same);
    breaker.probe_failed(1);
    assert_eq!(breaker.probed(SECOND), Turn::Same, "in a row");
    assert_eq!(breaker.probed(SECOND), Turn::Closed);
}

#[test]
fn a_server_that_fails_now_and_then_is_left_and_one_that_flaps_ever_longer() {
    let mut breaker = Breaker::default();
    breaker.probed(SECOND);
    let calls = (1..).find(|_| {
        breaker.answered();
        breaker.answered();
        breaker.failed(SECOND) == Turn::Opened
    });
    assert_eq!(calls, Some(16), "a quarter of the last 64");
    let mut needed = Vec::new();
    for _ in 0..7 {
        needed.push((1..).find(|_| breaker.probed(2 * SECOND) == Turn::Closed).unwrap());
        assert_eq!(breaker.break_off(3 * SECOND), Turn::Opened);
    }
    assert_eq!(needed, [2, 4, 8, 16, 32, 32, 32]);
    while breaker.probed(3 * SECOND) != Turn::Closed {}
    breaker.break_off(60 * SECOND);
    assert_eq!((1..).find(|_| breaker.probed(61 * SECOND) == Turn::Closed), Some(2), "it was good for long");
}

/// What the script does to a rate, in whole numbers, without steps.
#[derive(Debug)]
struct Exact {
    count: u64,
    window: u64,
    burst: u64,
    used: u64,
    at: u64,
}

impl Exact {
    fn take(&mut self, now: u64, wanted: u64, least: u64) -> (u64, u64) {
        self.used = self.used.saturating_sub((now - self.at) * self.count);
        self.at = now;
        let room = (self.burst * self.window).saturating_sub(self.used) / self.window;
        if room < least {
            let missing = self.used + least * self.window - self.burst * self.window;
            return (0, missing.div_ceil(self.count));
        }
        let granted = room.min(wanted);
        self.used += granted * self.window;
        (granted, 0)
    }
}

const SYNC: u64 = 100_000_000;

proptest! {
    /// Workers with leases, answers that come late or never: no span of time sees more than its bound, and what is
    /// asked for is less than what is served.
    #[test]
    fn leases_keep_the_bound(
        (rate, burst, workers) in (100_u64..2_000, 1_u64..400, 1_usize..5),
        steps in prop::collection::vec((0_u64..8_000_000, 0_usize..5, 1_u64..4, 0_u8..20), 1..600),
    ) {
        let mut store = Exact { count: rate, window: 1_000_000_000, burst, used: 0, at: 0 };
        let most = rate / 10;
        let mut leases = vec![Lease::default(); workers];
        // What is under way: when it is answered, whose, asked when, cost, wanted, whether it renews.
        let mut passed: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for (wait, who, cost, fate) in steps {
            now += wait;
            let who = who % workers;
            let ask = |store: &mut Exact, lease: &mut Lease, wanted: u64, least: u64, own: u64, renews: bool| {
                // The time that the question takes.
                let (asked, at) = (now, now);
                if fate == 0 {
                    // The server counts and its answer is lost.
                    store.take(at, wanted, least);
                    if renews { lease.failed() }
                    return false;
                }
                let (granted, retry) = store.take(at, wanted, least);
                if granted >= least {
                    if renews { lease.granted(asked, granted - own, SYNC) }
                    true
                } else {
                    lease.refused(now, retry, SYNC);
                    false
                }
            };
            match leases[who].take(now, cost, SYNC, most) {
                Taken::Pass(left, next) => {
                    prop_assert_eq!(left, leases[who].left(now));
                    passed.push((now, cost));
                    if let Some(wanted) = next {
                        prop_assert!(wanted <= most.max(1));
                        ask(&mut store, &mut leases[who], wanted, 1, 0, true);
                    }
                }
                Taken::Ask(wanted, renews) => {
                    prop_assert!(wanted >= cost && wanted <= most.max(cost));
                    if ask(&mut store, &mut leases[who], wanted, cost, cost, renews) {
                        passed.push((now, cost));
                    }
                }
                Taken::Deny(ns) => prop_assert!(ns > 0 && ns <= SYNC),
            }
        }
        for (i, (from, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &passed[i..] {
                sum += cost;
                let bound = burst * 1_000_000_000 + (to - from + SYNC) * rate;
                prop_assert!(sum * 1_000_000_000 <= bound, "{sum} within {} ns", to - from);
            }
        }
    }
}

#[test]
fn a_steady_key_asks_about_once_an_interval() {
    let mut store = Exact { count: 10_000, window: 1_000_000_000, burst: 10_000, used: 0, at: 0 };
    let (mut lease, mut asked, mut passed) = (Lease::default(), 0, 0);
    // 5,000 a second for two seconds.
    for now in (0..10_000).map(|n| n * 200_000) {
        let (wanted, own) = match lease.take(now, 1, SYNC, 1_000) {
            Taken::Pass(_, next) => {
                passed += 1;
                (next, 0)
            }
            Taken::Ask(wanted, true) => (Some(wanted), 1),
            other => panic!("{other:?}"),
        };
        if let Some(wanted) = wanted {
            asked += 1;
            let (granted, _) = store.take(now, wanted, 1);
            lease.granted(now, granted - own, SYNC);
            passed += own;
        }
    }
    assert_eq!(passed, 10_000);
    assert!(asked < 100, "{asked} questions for 20 intervals");
    assert!(lease.over(3_000_000_000, SYNC));
}
