//! Limits from many threads: with the clock held and while it runs.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

use fastgate_core::limit::{Gcra, Hasher, Key, RateTable};

const SECOND: u64 = 1_000_000_000;

fn key(number: usize) -> Key {
    Hasher::new((0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)).one(&number.to_le_bytes())
}

#[test]
fn many_threads_with_the_clock_held_pass_exactly_the_burst() {
    for round in 0..20 {
        let rate = Gcra::new(10, SECOND, 1_000, &[]).expect("it fits");
        let table = RateTable::default();
        let passed: Vec<AtomicUsize> = (0..40).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (table, rate, passed) = (&table, &rate, &passed);
                scope.spawn(move || {
                    for call in 0..24_000 {
                        // Every thread meets every key, in its own order; keys seen once force rebuilds meanwhile.
                        let who = (call * 7 + thread * 11) % 40;
                        if table.take(rate, &key(who), SECOND, 2).passes() {
                            passed[who].fetch_add(1, Relaxed);
                        }
                        if call % 3 == 0 {
                            table.take(rate, &key(1_000 + round * 1_000_000 + thread * 100_000 + call), SECOND, 1);
                        }
                    }
                });
            }
        });
        for count in passed {
            assert_eq!(count.into_inner(), 500);
        }
    }
}

#[test]
fn many_threads_while_time_runs_never_pass_more_than_burst_and_rate() {
    let (count, burst) = (1_000, 50);
    let rate = Gcra::new(count, SECOND, burst, &[]).expect("it fits");
    let table = RateTable::new(5_000);
    let clock = AtomicU64::new(SECOND);
    let passed: Vec<AtomicU64> = (0..10).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..4_usize {
            let (table, rate, passed, clock) = (&table, &rate, &passed, &clock);
            scope.spawn(move || {
                for call in 0..100_000_usize {
                    let now = clock.fetch_add(5_000, Relaxed);
                    let who = (call + thread) % 10;
                    if table.take(rate, &key(who), now, 1).passes() {
                        passed[who].fetch_add(1, Relaxed);
                    }
                    // Slots that change hands all the time.
                    table.take(rate, &key(1_000 + call * 4 + thread), now, 1);
                    if call % 10_000 == 0 {
                        table.sweep(now);
                    }
                }
            });
        }
    });
    let most = burst + count * (clock.into_inner() - SECOND) / SECOND;
    for count in passed {
        let count = count.into_inner();
        assert!(count <= most && count > most * 9 / 10, "{count} of {most}");
    }
    assert_eq!(table.overflowed(), 0, "keys whose time had passed gave their slots away");
}
