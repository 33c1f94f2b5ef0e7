//! The three binaries together: every case of the benchmark is right through the floor, and what is wrong is noticed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A server that is ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("says where it listens");
        let address = line.trim().strip_prefix("listening ").expect("an address").to_owned();
        Self { child, address }
    }

    fn origin(args: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_fastgate-origin"), args)
    }

    fn floor(origin: &Self) -> Self {
        Self::start(env!("CARGO_BIN_EXE_fastgate-floor"), &["--to", &origin.address])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(to: &str, args: &str) -> Value {
    let args = format!("--to {to} --timeout 20 {args}");
    let output = Command::new(env!("CARGO_BIN_EXE_fastgate-load")).args(args.split(' ')).output().expect("runs");
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.success(), report["errors"] == 0);
    report
}

fn stats(origin: &str) -> Value {
    let mut stream = TcpStream::connect(origin).expect("connects");
    stream.write_all(b"GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("content")).expect("JSON")
}

#[test]
fn every_case_passes_directly_and_through_the_floor() {
    let origin = Server::origin(&["--port", "0"]);
    let floor = Server::floor(&origin);
    for (args, requests) in [
        ("--connections 1 --requests 50", 50),
        ("--connections 64 --requests 2000 --tag", 2000),
        ("--connections 8 --requests 80 --path /b/16384", 80),
        ("--connections 8 --requests 80 --path /b/65536", 80),
        ("--connections 2 --requests 6 --path /b/10485760", 6),
        ("--connections 8 --requests 80 --path /c/1024", 80),
        ("--connections 8 --requests 80 --path /b/128 --body 1024", 80),
        ("--connections 2 --requests 8 --path /b/128 --body 3000000", 8),
        ("--connections 2 --requests 8 --path /echo --body 1000000", 8),
        ("--connections 4 --requests 40 --path /delay/1", 40),
        ("--connections 4 --requests 40 --path /close/5000", 40),
        ("--connections 8 --requests 700 --path-pattern /r{i}/x --count 600", 700),
        ("--connections 8 --requests 80 --tunnel 128", 80),
        ("--connections 2 --requests 8 --tunnel 100000", 8),
        ("--connections 8 --requests 100 --rate 1000", 100),
    ] {
        for to in [&origin.address, &floor.address] {
            let before = stats(&origin.address)["requests"].as_u64().expect("a number");
            let report = load(to, args);
            assert_eq!((&report["requests"], &report["errors"]), (&requests.into(), &0.into()), "{args}: {report}");
            let stats = stats(&origin.address);
            assert_eq!(stats["refused"], 0, "{args}");
            if !args.contains("--tunnel") {
                let warm: u64 = args.split(' ').nth(1).expect("connections").parse().expect("a number");
                assert_eq!(stats["requests"].as_u64(), Some(before + requests + warm), "{args}: each request once");
            }
        }
    }
}

#[test]
fn chunked_requests_and_unix_sockets_work() {
    let path = std::env::temp_dir().join(format!("fastgate-origin-{}.sock", std::process::id()));
    let path = path.to_str().expect("text");
    let origin = Server::origin(&["--unix", path]);
    assert_eq!(origin.address, format!("unix:{path}"));
    for args in ["--path /echo --body 70000 --chunked-body", "--path /b/9 --body 70000 --chunked-body", "--method HEAD"]
    {
        let report = load(&origin.address, &format!("--connections 4 --requests 40 {args}"));
        assert_eq!((&report["requests"], &report["errors"]), (&40.into(), &0.into()), "{args}: {report}");
    }
    drop(origin);
    std::fs::remove_file(path).expect("was there");
}

#[test]
fn wrong_answers_are_named() {
    let origin = Server::origin(&["--port", "0"]);
    for (args, fault) in [
        ("--expect-status 404", "status"),
        ("--expect-bytes 129", "length"),
        ("--path /b/x --expect-bytes 0", "status"),
        ("--path /delay/5000", "timeout"),
    ] {
        let timeout = if fault == "timeout" { "1" } else { "20" };
        let args = format!("--to {} --timeout {timeout} --requests 1 {args}", origin.address);
        let output = Command::new(env!("CARGO_BIN_EXE_fastgate-load")).args(args.split(' ')).output().expect("runs");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.code(), Some(1), "{args}");
        assert!(report["faults"][fault].as_u64() > Some(0), "{args}: {report}");
    }
}

#[test]
fn mixed_up_answers_are_noticed() {
    // A server that answers every request with the tag of the first one.
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if line.ends_with("\r\n\r\n") {
                        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0000000000000000";
                        let _ = reader.get_mut().write_all(answer.as_bytes());
                        line.clear();
                    }
                }
            });
        }
    });
    let report = load(&address, "--requests 5 --tag --expect-bytes 16");
    assert!(report["faults"]["mixed"].as_u64() > Some(0), "{report}");
}

#[test]
fn idle_connections_are_held_until_stdin_ends() {
    let origin = Server::origin(&["--port", "0"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_fastgate-load"))
        .args(["--to", &origin.address, "--connections", "300", "--idle"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    assert_eq!(stats(&origin.address)["requests"], 300);
    drop(child.stdin.take());
    let report: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
    assert_eq!((&report["requests"], &report["lost"], &report["errors"]), (&300.into(), &0.into(), &0.into()));
    assert!(child.wait().expect("ends").success());
}
