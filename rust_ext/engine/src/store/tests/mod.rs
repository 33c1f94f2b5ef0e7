//! The store on a real redis-server: counted exactly, leased, and with a server that dies, hangs, lies and changes.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use fastgate_core::limit::{Outcome, Verdict};
use fastgate_core::snapshot;
use fastgate_core::snapshot::policies::{Limit, Then, Window};
use rustix::process::Signal;

use super::*;
use crate::hub::redis::tests::server::{DEADLINE, Server as Redis, cluster, is_installed, settings};
use crate::rt::Runtime;

const HOUR: u64 = 3_600_000;

fn store(redis: &snapshot::Redis) -> Store {
    let place = Place { settings: Settings::new(redis).unwrap(), resolvers: Vec::new() };
    Store::start(Arc::new(place), Arc::default(), Log::new().0)
}

/// A store that is connected.
async fn connected(redis: &snapshot::Redis) -> Store {
    let store = store(redis);
    until("the store is asked", || !store.inner.first.breaker.borrow().is_open()).await;
    store
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let clock = Clock::start();
    while !holds() {
        assert!(clock.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        rt::sleep(Duration::from_millis(2)).await;
    }
}

fn digest(n: u8) -> limiter::Digest {
    [n; 16]
}

async fn decided(decision: Decision) -> Result<Verdict, Failed> {
    match decision {
        Decision::Now(answer) => Ok(answer),
        Decision::Wait(waiting) => waiting.await.map(|answer| answer.verdict),
        Decision::Unknown(failed) => Err(failed),
    }
}

/// Takes one.
async fn take(limiter: &Limiter, store: &Store, key: u8) -> Result<Verdict, Failed> {
    decided(limiter.take(store, &digest(key), 1)).await
}

fn passes(result: &Result<Verdict, Failed>) -> bool {
    result.is_ok_and(|answer| answer.outcome == Outcome::Pass)
}

fn on_runtime<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    if is_installed() {
        Runtime::new().unwrap().block_on(test());
    }
}

#[test]
fn two_processes_share_a_limit_exactly() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let (one, other) = (connected(&redis.settings()).await, connected(&redis.settings()).await);
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 50), "", false).unwrap();
        let same = Limiter::compile(&Limit::rate(1, HOUR, 50), "", false).unwrap();
        let mut asked = Vec::new();
        for _ in 0..100 {
            asked.push(limiter.take(&one, &digest(1), 1));
            asked.push(same.take(&other, &digest(1), 1));
        }
        let mut known = Vec::new();
        for decision in asked {
            known.push(decided(decision).await);
        }
        let passed = known.iter().filter(|result| passes(result)).count();
        let unknown = known.iter().filter(|result| result.is_err()).count();
        // A call that the machine was too slow for may have been counted: what passed and what is not known are 50.
        assert!(passed <= 50 && passed + unknown >= 50, "{passed} passed, {unknown} are not known");
        let keys = redis.ask(&["KEYS", "*"]);
        let [key] = &keys[..] else { panic!("{keys:?}") };
        assert!(key.starts_with("fastgate:limit:rate:") && key.ends_with(":01010101010101010101010101010101"), "{key}");
        until("the store is asked", || !one.inner.first.breaker.borrow().is_open()).await;
        assert!(passes(&take(&limiter, &one, 2).await), "another key has a count of its own");
    });
}

#[test]
fn a_rate_flows_and_never_too_fast() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        let limiter = Limiter::compile(&Limit::rate(200, 1_000, 20), "", false).unwrap();
        let clock = Clock::start();
        let mut passed = 0_u32;
        while clock.elapsed() < Duration::from_millis(500) {
            passed += u32::from(passes(&take(&limiter, &store, 1).await));
        }
        let bound = 20.0 + 200.0 * clock.elapsed().as_secs_f64() + 1.0;
        assert!(passed >= 20 && f64::from(passed) <= bound, "{passed} of {bound}");
    });
}

#[test]
fn a_quota_outlives_the_process() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let mut quota = Limit::rate(3, HOUR, 3);
        quota.window = Window::Rolling;
        let limiter = Limiter::compile(&quota, "gate:", false).unwrap();
        for left in [2, 1, 0] {
            let store = connected(&redis.settings()).await;
            let answer = take(&limiter, &store, 1).await.unwrap();
            assert_eq!((answer.outcome, answer.remaining), (Outcome::Pass, left));
        }
        let store = connected(&redis.settings()).await;
        let answer = take(&limiter, &store, 1).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Deny);
        // The part of the window that was used leaves it between one and 13/12 of its length later.
        assert!(((HOUR - 60_000) * 1_000_000..=HOUR * 1_000_000 * 13 / 12).contains(&answer.retry_ns), "{answer:?}");
        assert_eq!(redis.ask(&["KEYS", "gate:*"]).len(), 1);
    });
}

#[test]
fn a_script_that_is_gone_comes_again() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 1_000), "", false).unwrap();
        assert!(passes(&take(&limiter, &store, 1).await));
        redis.ask(&["SCRIPT", "FLUSH"]);
        let asked: Vec<_> = (0..10).map(|_| limiter.take(&store, &digest(1), 1)).collect();
        for decision in asked {
            let answer = decided(decision).await;
            assert!(!matches!(answer, Err(Failed::Refused)), "{answer:?}");
        }
        assert!(passes(&take(&limiter, &store, 1).await));
    });
}

#[test]
fn a_server_that_dies_costs_nothing_and_is_found_again() {
    on_runtime(async || {
        let mut redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 1_000), "", false).unwrap();
        assert!(passes(&take(&limiter, &store, 1).await));
        redis.kill();
        until("its breaker is open", || store.inner.first.breaker.borrow().is_open()).await;
        // Nobody waits: the answer is there without a turn of the loop.
        for _ in 0..1_000 {
            assert!(matches!(limiter.take(&store, &digest(1), 1), Decision::Unknown(Failed::Open)));
        }
        redis.restart();
        until("it is asked again", || !store.inner.first.breaker.borrow().is_open()).await;
        assert!(passes(&take(&limiter, &store, 1).await));
        assert!(store.inner.figures.opened.load(Relaxed) >= 1);
        drop(store);
    });
}

#[test]
fn a_server_that_hangs_is_waited_for_a_few_times() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 1_000), "", false).unwrap();
        assert!(passes(&take(&limiter, &store, 1).await));
        redis.signal(Signal::STOP);
        let mut late = 0;
        while !store.inner.first.breaker.borrow().is_open() {
            let result = take(&limiter, &store, 1).await;
            assert!(result.is_err());
            late += 1;
        }
        assert!(late <= 5, "{late} requests waited");
        assert!(matches!(limiter.take(&store, &digest(1), 1), Decision::Unknown(Failed::Open)));
        redis.signal(Signal::CONT);
        until("it is asked again", || !store.inner.first.breaker.borrow().is_open()).await;
        assert!(passes(&take(&limiter, &store, 1).await));
    });
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A folder for a socket of our own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("fastgate-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_server_that_lies_or_flaps_is_not_asked() {
    on_runtime(async || {
        use std::io::{Read, Write};
        let greeting = b"%1\r\n+server\r\n+redis\r\n$40\r\n0000000000000000000000000000000000000000\r\n";
        // Bytes that are no RESP3; answers to nothing; an answer of another shape; the end at once.
        for lie in [&b"HTTP/1.1 400\r\n"[..], b":1\r\n:2\r\n:3\r\n", b"+PONG\r\n*2\r\n:1\r\n:1\r\n", b""] {
            let folder = Folder::new();
            let path = folder.0.join("redis.sock");
            let listener = UnixListener::bind(&path).unwrap();
            let liar = std::thread::spawn(move || {
                let mut taken = 0;
                while taken < 4 {
                    let Ok((mut stream, _)) = listener.accept() else { break };
                    let mut asked = [0; 65_536];
                    // The greeting and the script, in whatever pieces.
                    let mut got = Vec::new();
                    while !got.windows(12).any(|part| part == b"unknown mode") {
                        let Ok(n @ 1..) = stream.read(&mut asked) else { break };
                        got.extend_from_slice(&asked[..n]);
                    }
                    let _ = stream.write_all(greeting);
                    let _ = stream.write_all(lie);
                    let _ = stream.read(&mut asked);
                    taken += 1;
                }
            });
            let store = store(&settings(&format!("unix:{}", path.display())));
            let limiter = Limiter::compile(&Limit::rate(1, HOUR, 1_000), "", false).unwrap();
            let clock = Clock::start();
            while !liar.is_finished() {
                assert!(clock.elapsed() < DEADLINE, "it comes back");
                assert!(!passes(&take(&limiter, &store, 1).await), "a lie was believed");
                rt::sleep(Duration::from_millis(2)).await;
            }
            liar.join().unwrap();
        }
    });
}

#[test]
fn a_replica_is_left_and_its_successor_found() {
    on_runtime(async || {
        let (mut first, second) = (Redis::start(&[]), Redis::start(&["--replicaof", "127.0.0.1 1"]));
        let folder = Folder::new();
        let path = folder.0.join("redis.sock");
        let to = |server: &Redis| {
            let target = server.settings().url.strip_prefix("unix:").unwrap().to_owned();
            let _ = std::fs::remove_file(&path);
            symlink(target, &path).unwrap();
        };
        to(&first);
        let store = connected(&settings(&format!("unix:{}", path.display()))).await;
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 1_000), "", false).unwrap();
        assert!(passes(&take(&limiter, &store, 1).await));
        to(&second);
        first.kill();
        // It answers probes, and refuses to write.
        for _ in 0..3 {
            until("it is asked", || !store.inner.first.breaker.borrow().is_open()).await;
            assert!(!passes(&take(&limiter, &store, 1).await));
        }
        second.ask(&["REPLICAOF", "NO", "ONE"]);
        let clock = Clock::start();
        while !passes(&take(&limiter, &store, 1).await) {
            assert!(clock.elapsed() < DEADLINE, "the new master is asked");
            rt::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_cluster_is_asked_by_slots() {
    on_runtime(async || {
        let servers = cluster();
        let mut redis = settings(&format!("redis://127.0.0.1:{}", servers[0].port));
        redis.cluster = true;
        let store = store(&redis);
        let limiter = Limiter::compile(&Limit::rate(1, HOUR, 2), "", false).unwrap();
        let all_up = || {
            let ranges = store.inner.ranges.borrow();
            ranges.len() == 3 && ranges.iter().all(|(_, _, lane)| !lane.breaker.borrow().is_open())
        };
        until("all three are asked", all_up).await;
        let mut passed = 0;
        let mut unknown = 0;
        for key in 0..60 {
            for _ in 0..3 {
                match take(&limiter, &store, key).await {
                    Ok(answer) => passed += u32::from(answer.outcome == Outcome::Pass),
                    Err(_) => unknown += 1,
                }
            }
        }
        assert!(passed <= 120 && passed + unknown >= 120, "{passed} passed, {unknown} are not known");
        let counted = servers.iter().map(|server| server.ask(&["KEYS", "fastgate:*"]).len());
        let counted: Vec<usize> = counted.collect();
        assert!(counted.iter().all(|keys| *keys > 0), "{counted:?}");
    });
}

#[test]
fn leases_keep_their_bound_and_spare_calls() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let (one, other) = (connected(&redis.settings()).await, connected(&redis.settings()).await);
        let mut leased = Limit::rate(1_000, 1_000, 50);
        leased.sync_ms = Some(100);
        let limiters = [Limiter::compile(&leased, "", false).unwrap(), Limiter::compile(&leased, "", false).unwrap()];
        let clock = Clock::start();
        let (mut passed, mut asked) = (0_u32, 0_u32);
        while clock.elapsed() < Duration::from_millis(600) {
            for (limiter, store) in limiters.iter().zip([&one, &other]) {
                passed += u32::from(passes(&take(limiter, store, 1).await));
                asked += 1;
            }
            rt::yield_now().await;
        }
        // What docs/user/store.md promises: burst + rate * (t + sync).
        let bound = 50.0 + 1_000.0 * (clock.elapsed().as_secs_f64() + 0.1);
        assert!(passed >= 50 && f64::from(passed) <= bound, "{passed} of {bound}");
        let calls = one.inner.figures.answered.load(Relaxed) + other.inner.figures.answered.load(Relaxed);
        assert!(calls < u64::from(asked) / 4, "{calls} calls for {asked} requests");
    });
}

#[test]
fn what_cannot_be_leased_is_asked_for_one_by_one() {
    let leased = |limit: &Limit| Limiter::compile(limit, "", false).unwrap().is_leased();
    let rate = |count| Limit { sync_ms: Some(100), ..Limit::rate(count, 1_000, 50) };
    assert!(leased(&rate(100)));
    assert!(!leased(&rate(99)), "fewer than ten in an interval");
    assert!(!leased(&Limit { sync_ms: Some(0), ..rate(100) }));
    assert!(!leased(&Limit { window: Window::Day, ..rate(1_000_000) }));
    assert!(!leased(&Limit { then: vec![Then::Deny(1_000)], ..rate(100) }));
    assert_eq!(Limiter::compile(&rate(0), "", false).map(|_| ()).unwrap_err().field, "count");
}

#[test]
fn what_is_given_back_can_be_had_again_and_no_more() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        let day = |window| Limit { window, ..Limit::rate(3, 24 * HOUR, 3) };
        // The rate brings one in eight hours.
        for limit in [Limit::rate(3, 24 * HOUR, 3), day(Window::Rolling), day(Window::Day), day(Window::Month)] {
            let what = format!("{:?}", limit.window);
            let limiter = Limiter::compile(&limit, "", false).unwrap();
            let told = async |units| match limiter.take(&store, &digest(1), units) {
                Decision::Wait(waiting) => waiting.await.unwrap(),
                _ => panic!("{what}: the store is not asked"),
            };
            let taken = told(2).await;
            assert_eq!((taken.granted, taken.verdict.remaining), (2, 1), "{what}");
            limiter.give_back(&store, &digest(1), 1, &taken);
            assert_eq!(told(2).await.granted, 2, "{what}: one of two came back");
            assert_eq!(told(1).await.granted, 0, "{what}: and no more");
            // A key that nobody has counted stays as it is.
            limiter.give_back(&store, &digest(9), 5, &taken);
            limiter.give_back(&store, &digest(1), 3, &taken);
            assert_eq!(told(4).await.granted, 0, "{what}: never more than all");
            // Of what was taken so long ago, time may have brought that much: it is there a moment later.
            let (clock, mut all) = (Clock::start(), told(3).await.granted);
            while all == 0 && clock.elapsed() < DEADLINE {
                rt::sleep(Duration::from_millis(1)).await;
                all = told(3).await.granted;
            }
            assert_eq!(all, 3, "{what}");
            assert!(redis.ask(&["KEYS", "*:09*"]).is_empty(), "{what}");
        }
    });
}

#[test]
fn time_gives_back_before_a_caller_can() {
    on_runtime(async || {
        let redis = Redis::start(&[]);
        let store = connected(&redis.settings()).await;
        // One in ten milliseconds: what is given back later than that has come back by itself.
        let limiter = Limiter::compile(&Limit::rate(100, 1_000, 1), "", false).unwrap();
        let (clock, mut judged) = (Clock::start(), 0);
        while judged < 5 {
            assert!(clock.elapsed() < DEADLINE, "the machine is too slow to tell");
            rt::sleep(Duration::from_millis(15)).await;
            let Decision::Wait(waiting) = limiter.take(&store, &digest(1), 1) else { continue };
            let Ok(taken) = waiting.await else { continue };
            rt::sleep(Duration::from_millis(15)).await;
            let before = clock.elapsed();
            if passes(&take(&limiter, &store, 1).await) {
                limiter.give_back(&store, &digest(1), 1, &taken);
                let again = take(&limiter, &store, 1).await;
                if clock.elapsed() - before < Duration::from_millis(10) {
                    assert!(!passes(&again), "{again:?}");
                    judged += 1;
                }
            }
        }
    });
}
