//! What a look-up costs: nanoseconds a find with 1, 600 and 10,000 routes, and the time to compile them.
//!
//! `cargo run --release -p fastgate-core --example route_cost`; the paths asked for are spread over all routes, so that
//! large tables also pay for their cache misses.

use std::hint::black_box;
use std::time::{Duration, Instant};

use fastgate_core::route::{Captures, Fields, Found, Lookup, RouteTable};
use fastgate_core::snapshot::{Listener, Route};
use serde_json::{Value, json};

/// Look-ups between two readings of the clock.
const BATCH: usize = 50;

struct NoFields;

impl Fields for NoFields {
    fn values(&self, _: &[u8], _: &mut dyn FnMut(&[u8]) -> bool) {}
}

/// A third each of exact paths, templates and prefixes; every tenth has a host, every fourth methods.
fn route(i: usize, last: bool) -> (Value, String, &'static str) {
    let (path, asked) = match i % 3 {
        _ if last => (json!({"prefix": "/api/v1/area1/only"}), "/api/v1/area1/only/7/parts".to_owned()),
        0 => (
            json!({"path": format!("/api/v1/area{}/item{i}/list", i % 40)}),
            format!("/api/v1/area{}/item{i}/list", i % 40),
        ),
        1 => (
            json!({"path": format!("/api/v1/area{}/item{i}/{{id}}", i % 40)}),
            format!("/api/v1/area{}/item{i}/8271", i % 40),
        ),
        _ => (
            json!({"prefix": format!("/api/v1/area{}/item{i}", i % 40)}),
            format!("/api/v1/area{}/item{i}/7/parts", i % 40),
        ),
    };
    let (hosts, host) =
        if i % 10 == 9 { (json!(["api.example.com"]), "api.example.com") } else { (json!([]), "www.example.org") };
    let methods = if i % 4 == 3 { json!(["GET", "POST"]) } else { json!([]) };
    let value = json!({
        "name": format!("route-{i}"), "priority": 0, "listeners": null, "rewrite": null, "host": "keep", "half_close_keep": false,
        "matches": [{"path": path, "hosts": hosts, "methods": methods, "headers": {}, "query": {}, "client_ip": []}],
        "action": {"service": "s"}, "upgrade": [], "max_body": null, "on_request": false, "held_bytes": 65536,
        "timeouts": {"connect_ms": 1000, "response_ms": 1000, "idle_ms": 1000},
        "request_headers": {"set": [], "add": [], "remove": []}, "response_headers": {"set": [], "add": [], "remove": []},
    });
    (value, asked, host)
}

fn main() {
    let listener: Listener = serde_json::from_value(json!({
        "name": "public", "bind": "127.0.0.1:0", "trusted_proxies": [], "encoded_slash": "refuse", "dot_segments": "refuse",
        "underscore_headers": "drop", "serves": {"http": true, "realtime": false, "publish": false},
    }))
    .expect("the listener is one");
    println!("{:>7} {:>12} {:>12} {:>12}", "routes", "compile ms", "ns a find", "over one");
    let mut one = 0.0;
    for count in [1, 600, 10_000] {
        let (values, asked): (Vec<Value>, Vec<(String, &str)>) =
            (0..count).map(|i| route(i, count == 1)).map(|(value, path, host)| (value, (path, host))).unzip();
        let routes: Vec<Route> =
            values.into_iter().map(|v| serde_json::from_value(v).expect("the route is one")).collect();
        let compile = (0..5).map(|_| time(|| drop(black_box(compiled(&routes, &listener))))).min().unwrap_or_default();
        let table = compiled(&routes, &listener);
        // A stride that meets every route, in no order that a prefetcher knows.
        let order: Vec<usize> = (0..count).map(|i| i * 7919 % count).collect();
        let mut captures = Captures::new();
        // Short runs, many of them: the best one was not interrupted by another process. A path is read just before it
        // is looked up, as in the engine, where it comes out of a buffer in the cache.
        let rounds = 20_000 / count;
        let best = (0..200)
            .map(|_| {
                (0..rounds)
                    .flat_map(|_| order.chunks(BATCH))
                    .map(|batch| {
                        black_box(batch.iter().map(|&i| read(&asked[i])).sum::<usize>());
                        time(|| {
                            for &i in batch {
                                let (path, host) = &asked[i];
                                let lookup = Lookup {
                                    listener: 0,
                                    host: host.as_bytes(),
                                    path: path.as_bytes(),
                                    method: b"GET",
                                    query: None,
                                    client: None,
                                    fields: &NoFields,
                                };
                                let found = table.find(black_box(&lookup), &mut captures);
                                assert_eq!(black_box(found), Found::Route(i, 0));
                            }
                        })
                    })
                    .sum::<Duration>()
            })
            .min()
            .unwrap_or_default();
        let ns = best.as_nanos() as f64 / (rounds * count) as f64;
        if count == 1 {
            one = ns;
        }
        println!("{count:>7} {:>12.2} {ns:>12.1} {:>+12.1}", compile.as_secs_f64() * 1e3, ns - one);
    }
}

fn compiled(routes: &[Route], listener: &Listener) -> RouteTable {
    RouteTable::compile(routes, std::slice::from_ref(listener)).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Touches every byte.
fn read((path, host): &(String, &str)) -> usize {
    path.bytes().chain(host.bytes()).map(usize::from).sum()
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
