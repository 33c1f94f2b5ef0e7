//! Deterministic simulation: connections over the in-memory transport, driven from one thread by a seed.
//!
//! `FASTGATE_SIM_SEEDS=N` sets how many seeds run, `FASTGATE_SIM_SEED=N` replays one and prints its events.

mod book;
mod client;
mod drive;
mod origin;
mod plan;
mod rng;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};

use drive::{EVENTS, Outcome, simulate};
use fastgate_engine::Snapshot;

/// Seeds of one run.
const SEEDS: u64 = 10_000;

/// Two snapshots that differ in every limit an exchange uses.
fn snapshots() -> Vec<Snapshot> {
    [snapshot(1_000, 800, 6_000, 4_096, 3), snapshot(6_000, 3_000, 1_000, 700, 2)].into()
}

fn snapshot(response_ms: u64, wheel_ms: u64, idle_ms: u64, held_bytes: u32, max_per_target: u32) -> Snapshot {
    let service = |name: &str, port: u16| {
        serde_json::json!({
            "name": name, "balance": "round_robin",
            "targets": [{
                "url": "http://192.0.2.1", "authority": "origin.example", "weight": 1,
                "address": {"ip": {"ip": "192.0.2.1", "port": port}},
            }],
            "pool": {"max_per_target": max_per_target, "idle_ms": 3_000},
        })
    };
    let route = |name: &str, methods: &[&str], action: serde_json::Value| {
        let short = name == "w";
        serde_json::json!({
            "name": name, "priority": 0, "listeners": null, "rewrite": null, "host": "keep", "action": action,
            "matches": [{
                "path": {"prefix": format!("/{name}")}, "hosts": [], "methods": methods,
                "headers": {}, "query": {}, "client_ip": [],
            }],
            "half_close_keep": short, "upgrade": if name == "t" { vec!["echo"] } else { vec![] }, "on_request": name == "h",
            "timeouts": {
                "connect_ms": 900, "response_ms": if short { wheel_ms } else { response_ms },
                "idle_ms": if short { wheel_ms } else { idle_ms },
            },
            "max_body": if short { Some(3_000) } else { None },
            "request_headers": {"set": [], "add": [["X-Route", name]], "remove": []},
            "response_headers": {"set": [], "add": [], "remove": []},
            "held_bytes": held_bytes,
        })
    };
    let to = |service: &str| serde_json::json!({"service": service});
    let snapshot = serde_json::json!({
        "version": 1, "workers": 1, "private_descriptors": false,
        "limits": {
            "max_connections": 100, "headers": 32_768, "header_count": 100, "uri": 8_192,
            "header_timeout_ms": 1_000, "write_stall_ms": 2_000, "body_min_rate": 0,
            "connection_age_ms": 3_600_000, "accept_rate": 0,
        },
        "shutdown": {"notice_ms": 0, "limit_ms": 1_000},
        "listeners": [{
            "name": "main", "bind": "127.0.0.1:80", "trusted_proxies": [], "encoded_slash": "refuse",
            "dot_segments": "refuse", "underscore_headers": "drop",
            "serves": {"http": true, "realtime": false, "publish": false},
        }],
        "services": [service("one", 1), service("two", 2)],
        "routes": [
            route("p", &[], to("one")),
            route("w", &[], to("two")),
            route("h", &[], to("one")),
            route("t", &[], to("two")),
            route("g", &["GET"], to("two")),
            route("s", &[], serde_json::json!({"respond": {"status": 200, "headers": [], "body": "fixed"}})),
        ],
        "reserved_headers": [],
    });
    Snapshot::from_json(snapshot.to_string().as_bytes()).expect("a valid snapshot")
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// One seed; a panic anywhere is a finding like any other.
fn judge(seed: u64, snapshots: &[Snapshot], trace: bool) -> Result<Outcome, String> {
    let judged = catch_unwind(AssertUnwindSafe(|| simulate(seed, snapshots, trace)));
    let shorten = |broken: String| broken.chars().take(2_000).collect();
    judged.unwrap_or_else(|_| Err("a panic".to_owned())).map_err(shorten)
}

#[test]
fn invariants_hold_for_every_seed() {
    let snapshots = snapshots();
    if let Some(seed) = number("FASTGATE_SIM_SEED") {
        let outcome = judge(seed, &snapshots, true);
        assert!(outcome.is_ok(), "seed {seed}: {}", outcome.unwrap_err());
        println!("seed {seed}: {outcome:?}");
        return;
    }
    let seeds = number("FASTGATE_SIM_SEEDS").unwrap_or(SEEDS);
    let mut all = Outcome::default();
    for seed in 0..seeds {
        match judge(seed, &snapshots, false) {
            Ok(one) => {
                assert!(one.events >= EVENTS, "seed {seed} had only {} events", one.events);
                all.add(one);
            }
            Err(broken) => panic!("seed {seed}: {broken}\nreplay with FASTGATE_SIM_SEED={seed}"),
        }
    }
    println!("{seeds} seeds: {all:?}");
    assert!(seeds < 100 || (all.retried > 0 && all.reloads > 0 && all.answers * 2 > all.requests), "too tame: {all:?}");
}

#[test]
fn a_seed_is_replayed_exactly() {
    let snapshots = snapshots();
    for seed in 0..200 {
        let (one, other) = (judge(seed, &snapshots, false), judge(seed, &snapshots, false));
        assert_eq!(one, other, "seed {seed} went two ways");
    }
}

/// Within so many seeds every planted fault must show.
#[cfg(feature = "planted")]
const FOUND_WITHIN: u64 = 1_000;

#[cfg(feature = "planted")]
#[test]
fn every_planted_fault_is_found() {
    use fastgate_engine::simulation::{Planted, plant};
    let snapshots = snapshots();
    for fault in Planted::ALL {
        let found = (0..FOUND_WITHIN).find_map(|seed| {
            plant(Some(*fault));
            let outcome = judge(seed, &snapshots, false);
            plant(None);
            outcome.err().map(|broken| (seed, broken))
        });
        let (seed, broken) = found.unwrap_or_else(|| panic!("{fault:?} was not found within {FOUND_WITHIN} seeds"));
        // The engine itself is sound at that seed: it is the fault that was found.
        assert!(judge(seed, &snapshots, false).is_ok(), "seed {seed} fails without {fault:?}, too");
        let short: String = broken.chars().take(160).collect();
        println!("{fault:?}: found at seed {seed}: {short}");
    }
}
