//! The engine from outside: real sockets, a small origin, a host that can be told to panic.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgate_core::snapshot::{Action, Address, PathMatch, Respond, Route};
use fastgate_engine::host::{HookJob, Host, Level};
use fastgate_engine::{Engine, Snapshot, StartError};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Hooks panic on the worker, as a fault of the engine's own would.
struct Panics;

impl Host for Panics {
    fn on_request(&self, job: HookJob) {
        drop(job);
        panic!("forced by a test");
    }

    fn log(&self, _: Level, _: &str) {}
}

/// An origin that answers every head it reads, until its clients are gone.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() && stream.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn snapshot(origin: SocketAddr) -> Snapshot {
    let mut snapshot: Snapshot = Snapshot::from_json(include_bytes!("data/minimal.json")).unwrap();
    snapshot.listeners[0].bind = "127.0.0.1:0".to_owned();
    snapshot.services[0].targets[0].address = Address::Ip { ip: origin.ip(), port: origin.port() };
    snapshot
}

fn connect(engine: &Engine) -> TcpStream {
    let stream = TcpStream::connect(&engine.addresses()[0].1).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Sends a request and reads what comes until the content is there or the connection ends.
fn get(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with("ok") && !text.ends_with("}\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => text.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
            _ => break,
        }
    }
    text
}

fn stat(engine: &Engine, name: &str) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&engine.stats_json()).unwrap();
    stats[name].as_u64().unwrap()
}

#[test]
fn a_panic_ends_one_connection_and_is_counted() {
    let mut snapshot = snapshot(origin());
    let mut hooked = snapshot.routes[0].clone();
    hooked.name = "hooked".to_owned();
    hooked.matches[0].path = Some(PathMatch::Prefix("/hooked".to_owned()));
    hooked.on_request = true;
    snapshot.routes.push(hooked);
    let engine = Engine::start(snapshot, Arc::new(Panics)).unwrap();
    let mut bystander = connect(&engine);
    assert!(get(&mut bystander, "/").starts_with("HTTP/1.1 200"));
    assert_eq!(get(&mut connect(&engine), "/hooked"), "", "its connection ends without an answer");
    assert!(get(&mut bystander, "/").starts_with("HTTP/1.1 200"), "others go on");
    assert!(get(&mut connect(&engine), "/").starts_with("HTTP/1.1 200"), "and new ones come");
    assert_eq!(stat(&engine, "panics"), 1);
    drop(bystander);
    engine.drain();
    assert!(engine.wait(Some(Duration::from_secs(10))));
    assert_eq!(stat(&engine, "connections"), 0);
    assert_eq!(stat(&engine, "requests"), stat(&engine, "finished"));
}

fn respond(i: usize, template: &Route) -> Route {
    let mut route = template.clone();
    route.name = format!("r{i}");
    route.matches[0].path = Some(PathMatch::Path(format!("/r{i}/{{id}}/items")));
    route.action = Action::Respond(Respond { status: 200, headers: Vec::new(), body: Some("ok".to_owned()) });
    route
}

#[test]
fn ten_thousand_routes_swap_in_while_traffic_flows() {
    let before = snapshot(origin());
    let mut after = before.clone();
    after.routes.extend((0..10_000).map(|i| respond(i, &before.routes[0])));
    let engine = Engine::start(before, Arc::new(fastgate_engine::host::NoHost)).unwrap();
    let mut stream = connect(&engine);
    assert!(get(&mut stream, "/").starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    engine.apply(after).unwrap();
    println!("10,000 routes compiled and swapped in {:?}", started.elapsed());
    assert!(get(&mut stream, "/r9999/7/items").starts_with("HTTP/1.1 200"), "the same connection sees the new routes");
    assert_eq!(stat(&engine, "reused") + stat(&engine, "dialled"), 1, "and the upstream's pool is as it was");
}

#[test]
fn a_bad_snapshot_changes_nothing_and_a_taken_port_is_one_sentence() {
    let good = snapshot(origin());
    let engine = Engine::start(good.clone(), Arc::new(fastgate_engine::host::NoHost)).unwrap();
    let mut bad = good.clone();
    bad.routes[0].action = Action::Service("nowhere".to_owned());
    let Err(StartError::Invalid(found)) = engine.apply(bad) else { panic!("a bad snapshot was taken") };
    assert_eq!(found[0].path, "routes.0.action.service");
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut taken = good;
    let mut second = taken.listeners[0].clone();
    second.name = "second".to_owned();
    second.bind = holder.local_addr().unwrap().to_string();
    taken.listeners.push(second);
    let error = engine.apply(taken).unwrap_err().to_string();
    assert!(error.contains("listener second") && error.contains("in use"), "{error}");
    assert!(get(&mut connect(&engine), "/").starts_with("HTTP/1.1 200"));
}

#[test]
fn private_tables_serve_and_the_surplus_client_is_turned_away() {
    let mut snapshot = snapshot(origin());
    snapshot.private_descriptors = true;
    snapshot.workers = 2;
    snapshot.limits.max_connections = 3;
    let engine = Engine::start(snapshot, Arc::new(fastgate_engine::host::NoHost)).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| connect(&engine)).collect();
    for client in &mut clients {
        assert!(get(client, "/").starts_with("HTTP/1.1 200"));
    }
    let mut text = String::new();
    let _ = connect(&engine).read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("Retry-After"), "{text}");
    assert_eq!(stat(&engine, "turned_away"), 1);
    // A peer must see the end of a connection although other tables once knew its descriptor.
    engine.stop();
    assert!(engine.wait(Some(Duration::from_secs(10))));
    for mut client in clients {
        assert!(matches!(client.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
}
