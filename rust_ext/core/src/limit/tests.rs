//! Limits against slow exact models, alone and from many threads.

use std::collections::HashMap;

use proptest::prelude::*;

use super::window::Used;
use super::*;

const SECOND: u64 = 1_000_000_000;
const HASHER: fn() -> Hasher = || Hasher::new((0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210));

fn key(number: usize) -> Key {
    HASHER().one(&number.to_le_bytes())
}

/// The token bucket by its definition: of no stretch of time that ends now may more be used than burst + rate * time.
struct Exact {
    count: u64,
    window: u64,
    burst: u64,
    passed: Vec<(u64, u64)>,
}

impl Exact {
    fn take(&mut self, now: u64, cost: u64) -> bool {
        let mut used = cost;
        let fits = |used: u64, begin: u64| {
            let earned = u128::from(self.count) * u128::from(now - begin);
            u128::from(used - self.burst.min(used)) * u128::from(self.window) <= earned
        };
        let mut ok = fits(used, now);
        for &(at, had) in self.passed.iter().rev() {
            used += had;
            ok &= fits(used, at);
        }
        if ok {
            self.passed.push((now, cost));
        }
        ok
    }
}

/// The same for a quota in rolling windows.
fn most_in_any(passed: &[(u64, u64)], window: u64) -> u64 {
    let within = |end: u64| passed.iter().filter(|(at, _)| *at <= end && at + window > end).map(|(_, cost)| cost).sum();
    passed.iter().map(|(end, _)| within(*end)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_rate_decides_as_the_exact_model(
        count in 1_u64..20,
        burst in 1_u64..12,
        unit in 1_u64..1_000_000,
        calls in prop::collection::vec((0_u64..3_000_000, 1_u64..5, 0_usize..3), 1..150),
    ) {
        // An interval of whole nanoseconds, so that both reckon the same.
        let window = count * unit;
        let rate = Gcra::new(count, window, burst, &[]).expect("it fits");
        let table = RateTable::default();
        let mut models: HashMap<usize, Exact> = HashMap::new();
        let mut now = 5;
        for (pause, cost, who) in calls {
            now += pause;
            let model = models.entry(who).or_insert(Exact { count, window, burst, passed: vec![] });
            let judged = table.judge(&rate, &key(who), now, cost);
            let verdict = table.take(&rate, &key(who), now, cost);
            prop_assert_eq!(judged, verdict);
            prop_assert_eq!(verdict.passes(), model.take(now, cost));
            if !verdict.passes() && cost <= burst {
                prop_assert!(!table.judge(&rate, &key(who), now + verdict.retry_ns - 1, cost).passes());
                prop_assert!(table.judge(&rate, &key(who), now + verdict.retry_ns, cost).passes());
            } else if verdict.remaining > 0 {
                prop_assert!(table.judge(&rate, &key(who), now, verdict.remaining).passes());
                prop_assert!(!table.judge(&rate, &key(who), now, verdict.remaining + 1).passes());
            }
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_is_never_exceeded(
        count in 1_u64..5_000_000, window in 1_u64..10_000_000_000, burst in 1_u64..9,
        pauses in prop::collection::vec(0_u64..5_000_000_000, 1..100),
    ) {
        let rate = Gcra::new(count, window, burst, &[]).expect("it fits");
        let table = RateTable::default();
        let mut model = Exact { count, window, burst, passed: vec![] };
        let mut now = 1;
        for pause in pauses {
            now += pause;
            if table.take(&rate, &key(0), now, 1).passes() {
                prop_assert!(model.take(now, 1));
            }
        }
    }

    #[test]
    fn what_is_given_back_can_be_had_again(burst in 1_u64..50, cost in 1_u64..50, pause in 0_u64..SECOND) {
        let rate = Gcra::new(10, SECOND, burst, &[]).expect("it fits");
        let table = RateTable::default();
        let now = 3 * SECOND;
        table.take(&rate, &key(1), now, 1);
        let before = table.judge(&rate, &key(1), now + pause, 1);
        if table.take(&rate, &key(1), now + pause, cost).passes() {
            table.give_back(&rate, &key(1), now + pause, cost);
        }
        prop_assert_eq!(table.judge(&rate, &key(1), now + pause, 1), before);
    }

    #[test]
    fn no_rolling_window_sees_more_than_its_quota(
        count in 1_u64..30, window in 12_u64..5_000,
        calls in prop::collection::vec((0_u64..700, 1_u64..4), 1..200),
    ) {
        let quota = Quota::new(count, Span::Rolling(window), &[]).expect("it fits");
        let mut used = Used::default();
        let mut now = 1_700_000_000_000;
        let mut passed = vec![];
        for (pause, cost) in calls {
            now += pause;
            let verdict = quota.decide(&mut used, now, cost, true);
            if verdict.passes() {
                passed.push((now, cost));
            } else if cost <= count {
                // Refused for no more than what was used in a window and a part of one.
                let part = window.div_ceil(12);
                let recent: u64 = passed.iter().filter(|(at, _)| at + part * 13 > now).map(|(_, cost)| cost).sum();
                prop_assert!(recent + cost > count);
                let retry = verdict.retry_ns / 1_000_000;
                prop_assert!(retry > 0 && retry <= part * 13);
                prop_assert!(!quota.decide(&mut used.clone(), now + retry - 1, cost, false).passes());
                prop_assert!(quota.decide(&mut used.clone(), now + retry, cost, false).passes());
            }
        }
        prop_assert!(most_in_any(&passed, window) <= count);
    }

    #[test]
    fn a_calendar_window_counts_exactly(
        count in 1_u64..20, calls in prop::collection::vec((0_u64..20_000, 1_u64..3), 1..300),
    ) {
        let quota = Quota::new(count, Span::Calendar(Calendar::Minute), &[]).expect("it fits");
        let table = QuotaTable::default();
        let mut now = 1_700_000_000_000;
        let mut used: HashMap<u64, u64> = HashMap::new();
        for (pause, cost) in calls {
            now += pause;
            let had = used.entry(now / 60_000).or_default();
            let verdict = table.take(&quota, &key(0), now, cost);
            prop_assert_eq!(verdict.passes(), *had + cost <= count);
            if verdict.passes() {
                *had += cost;
            } else {
                prop_assert_eq!(verdict.retry_ns / 1_000_000, 60_000 - now % 60_000);
            }
            prop_assert_eq!(verdict.remaining, count - *had);
        }
    }
}

#[test]
fn what_a_key_owes_survives_rebuilds() {
    let rate = Gcra::new(1, 3_600 * SECOND, 2, &[]).expect("it fits");
    let table = RateTable::default();
    for who in 0..50_000 {
        assert!(table.take(&rate, &key(who), SECOND, 2).passes());
    }
    table.sweep(2 * SECOND);
    assert_eq!(table.keys(), 50_000);
    for who in 0..50_000 {
        assert!(!table.take(&rate, &key(who), 2 * SECOND, 1).passes());
    }
    let full = table.bytes();
    assert!(full < 64 * 50_000, "{full}");
    table.sweep(9_000 * SECOND);
    assert_eq!(table.keys(), 0);
    assert!(table.bytes() < 40_000, "{}", table.bytes());
}

#[test]
fn at_the_bound_new_keys_share_the_count_of_their_network() {
    let rate = Gcra::new(1, 60 * SECOND, 3, &[]).expect("it fits");
    let table = RateTable::new(6_400);
    let hasher = HASHER();
    let of = |who: usize, client: &str| {
        let mut parts = hasher.begin();
        parts.bytes(&who.to_le_bytes());
        hasher.end(&parts, client.parse().ok())
    };
    let passed = |who, client| table.take(&rate, &of(who, client), SECOND, 1).passes();
    assert!((0..6_400).all(|who| passed(who, "192.0.2.1")));
    assert_eq!((table.keys(), table.overflowed()), (6_400, 0));
    let shared = (7_000..7_100).filter(|who| passed(*who, "192.0.2.1")).count();
    assert_eq!((shared, table.overflowed()), (3, 100), "one count for 192.0.0.0/16");
    assert!(!passed(8_300, "192.0.99.1"), "the same /16");
    assert!(passed(8_300, "198.51.100.1") && passed(8_301, "2001:db8:1:2::1"));
    assert!((8_302..8_304).all(|who| passed(who, "2001:db8:1:3::1")), "the same /48");
    assert!(!passed(8_304, "2001:db8:1:4::1"));
    assert!((0..6_400).all(|who| passed(who, "192.0.2.1")), "known keys have their own");
    let later = 600 * SECOND;
    assert!(
        (9_000..9_100).all(|who| table.take(&rate, &of(who, "192.0.2.1"), later, 3).passes()),
        "dead keys made room"
    );
}

#[test]
fn a_full_table_of_quotas_shares_too() {
    let quota = Quota::new(2, Span::Calendar(Calendar::Day), &[]).expect("it fits");
    let table = QuotaTable::new(64);
    let now = 1_700_000_000_000;
    let passed = (0..1_000).filter(|who| table.take(&quota, &key(*who), now, 1).passes()).count();
    assert!(table.keys() <= 64 && table.overflowed() >= 936);
    assert!(passed >= table.keys() && passed <= table.keys() + 2 * 64, "{passed}");
    table.sweep(&quota, now + 2 * 86_400_000);
    assert_eq!(table.keys(), 0);
}

#[test]
fn steps_delay_then_block() {
    let steps = [Step::Delay(200), Step::Deny(600_000)];
    let rate = Gcra::new(1, SECOND, 2, &steps).expect("it fits");
    let table = RateTable::default();
    let outcomes: Vec<Outcome> = (0..6).map(|_| table.take(&rate, &key(0), SECOND, 1).outcome).collect();
    let delay = Outcome::Delay(200);
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Pass, delay, delay, Outcome::Deny, Outcome::Deny]);
    let blocked = table.take(&rate, &key(0), 300 * SECOND, 1);
    assert_eq!((blocked.outcome, blocked.retry_ns), (Outcome::Deny, 301 * SECOND), "whatever the rate says");
    assert!(!table.judge(&rate, &key(0), 601 * SECOND - 1, 1).passes());
    let after = table.take(&rate, &key(0), 601 * SECOND, 1);
    assert_eq!((after.outcome, after.remaining), (Outcome::Pass, 1), "as if it had not been seen");

    let quota = Quota::new(2, Span::Calendar(Calendar::Day), &steps).expect("it fits");
    let quotas = QuotaTable::default();
    let noon = 1_700_000_000_000;
    let outcomes: Vec<Outcome> = (0..6).map(|_| quotas.take(&quota, &key(0), noon, 1).outcome).collect();
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Pass, delay, delay, Outcome::Deny, Outcome::Deny]);
    assert!(!quotas.judge(&quota, &key(0), noon + 599_999, 1).passes());
}

#[test]
fn months_end_where_the_calendar_says() {
    let at = |text: &str| {
        let part = |range: std::ops::Range<usize>| text[range].parse().expect("a number");
        u64::try_from(crate::calendar::days(part(0..4), part(5..7), part(8..10))).expect("after 1970") * 86_400_000
    };
    for (day, end) in [("2026-02-01", "2026-03-01"), ("2026-02-28", "2026-03-01"), ("2026-12-31", "2027-01-01")] {
        assert_eq!(Calendar::Month.window(at(day) + 5).1, at(end));
    }
    assert_ne!(Calendar::Month.window(at("2026-12-31")).0, Calendar::Month.window(at("2027-01-01")).0);
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    assert!(Gcra::new(0, SECOND, 1, &[]).is_err());
    assert!(Gcra::new(1, 86_400 * SECOND, 1_000_000_000, &[]).is_err());
    assert!(Gcra::new(1_000_000_000, SECOND, 1_000_000_000, &[]).is_ok());
    assert!(Quota::new(1 << 32, Span::Rolling(1_000), &[]).is_err());
}

#[test]
fn keys_differ_by_where_their_parts_end() {
    let hasher = HASHER();
    let of = |values: &[&str]| {
        let mut parts = hasher.begin();
        values.iter().for_each(|value| parts.bytes(value.as_bytes()));
        hasher.end(&parts, None)
    };
    assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    assert_ne!(of(&["a"]), of(&["a", ""]));
    assert_ne!(of(&["a"]), Hasher::new((1, 2)).one(b"a"), "the secret counts");
    let address = |text: &str| {
        let mut parts = hasher.begin();
        parts.address(text.parse().expect("an address"));
        hasher.end(&parts, None)
    };
    assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"), "one /64");
    assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
}
