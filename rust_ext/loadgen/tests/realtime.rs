//! The realtime client and the floor of the hub together: a right server passes, and every planted fault is counted.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Process {
    fn start(program: &str, args: &str) -> Self {
        let mut child = Command::new(program)
            .args(args.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        line
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{command}").expect("is taken");
        serde_json::from_str(&self.line()).expect("an answer")
    }

    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().expect("ends").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn floor(args: &str) -> (Process, String) {
    let mut floor = Process::start(env!("CARGO_BIN_EXE_fastgate-hub-floor"), args);
    let address = floor.line().trim().strip_prefix("listening ").expect("an address").to_owned();
    (floor, address)
}

fn client(address: &str, args: &str) -> Process {
    let args = format!("--to {address} --path /r/{{room}} --publish-ws /r/{{room}} {args}");
    Process::start(env!("CARGO_BIN_EXE_fastgate-realtime"), &args)
}

#[test]
fn a_right_server_passes_every_command() {
    for (server, args) in [("", ""), ("--threads 2", "--threads 3")] {
        let (_floor, address) = floor(server);
        let mut client = client(&address, &format!("--rooms 5 {args}"));
        let opened = client.ask(&json!({"op": "open", "count": 203}));
        assert_eq!((&opened["open"], &opened["opened"], &opened["errors"]), (&203.into(), &203.into(), &0.into()));
        client.ask(&json!({"op": "publishers"}));
        // Five rooms with 41, 41, 41, 40 and 40 members.
        let paced = client.ask(&json!({"op": "publish", "messages": 50, "rate": 500}));
        assert_eq!((&paced["expected"], &paced["received"], &paced["errors"]), (&2030.into(), &2030.into(), &0.into()));
        let bursts = client.ask(&json!({"op": "publish", "messages": 105, "burst": 10}));
        // Ten bursts, two a room, and half a burst for the first.
        let expected = 20 * 203 + 5 * 41;
        assert_eq!(
            (&bursts["received"], &bursts["whole"], &bursts["errors"]),
            (&expected.into(), &true.into(), &0.into())
        );
        assert!(bursts["latency_us"]["p99"].as_f64() > Some(0.0) && bursts["complete_us"]["max"].as_f64() > Some(0.0));
        let anew = client.ask(&json!({"op": "reopen", "count": 100}));
        assert_eq!((&anew["open"], &anew["errors"]), (&100.into(), &0.into()));
        let after = client.ask(&json!({"op": "publish", "messages": 5}));
        assert_eq!((&after["received"], &after["errors"]), (&100.into(), &0.into()));
        assert_eq!(client.ask(&json!({"op": "close"}))["open"], 0);
        assert_eq!(client.end(), Some(0));
    }
}

#[test]
fn each_planted_fault_is_counted_and_fails_the_run() {
    for (fault, name) in
        [("drop", "lost"), ("duplicate", "duplicate"), ("reorder", "reordered"), ("corrupt", "corrupt")]
    {
        let (_floor, address) = floor(&format!("--plant {fault} --every 1000"));
        let mut client = client(&address, "");
        client.ask(&json!({"op": "open", "count": 101}));
        client.ask(&json!({"op": "publishers"}));
        let report = client.ask(&json!({"op": "publish", "messages": 100, "rate": 1000, "settle": 0.5}));
        assert_eq!(report["expected"], 10_100, "{fault}: {report}");
        let count = |name: &str| report["faults"][name].as_u64().unwrap_or(0);
        assert!(count(name) > 0, "{fault}: {report}");
        // What is held back as the last of its subscriber is lost; a corrupt one is lost too, since it is none.
        let lost = report["expected"].as_u64().expect("a number") - report["received"].as_u64().expect("a number");
        assert_eq!(count("lost"), lost, "{fault}: {report}");
        assert!(lost > 0 || fault == "duplicate" || fault == "reorder", "{fault}: {report}");
        assert!(lost == 0 || fault != "duplicate", "{fault}: {report}");
        assert_eq!(client.end(), Some(1), "{fault}");
    }
}

#[test]
fn a_server_that_ends_connections_fails_the_run() {
    let (floor, address) = floor("");
    let mut client = client(&address, "");
    assert_eq!(client.ask(&json!({"op": "open", "count": 20}))["open"], 20);
    drop(floor);
    let mut ended = 0;
    while ended < 20 {
        ended += client.ask(&json!({"op": "count"}))["faults"]["ended"].as_u64().unwrap_or(0);
    }
    let refused = client.ask(&json!({"op": "open", "count": 3}));
    assert_eq!((&refused["opened"], &refused["faults"]["refused"]), (&0.into(), &3.into()));
    assert_eq!(client.end(), Some(1));
}

#[test]
fn those_that_do_not_read_are_judged_apart() {
    let (_floor, address) = floor("");
    let mut client = client(&address, "--size 60000");
    client.ask(&json!({"op": "open", "count": 12}));
    client.ask(&json!({"op": "publishers"}));
    client.ask(&json!({"op": "stall", "count": 2}));
    // The floor ends who does not read; 30 MB are more than any socket buffer.
    let report = client.ask(&json!({"op": "publish", "messages": 500, "settle": 20}));
    assert_eq!((&report["expected"], &report["received"], &report["errors"]), (&5000.into(), &5000.into(), &0.into()));
    let slow = client.ask(&json!({"op": "resume"}));
    assert_eq!(slow["slow"], json!({"closed": 2, "complete": 0, "told": 0, "silent": 0}), "{slow}");
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_command_that_is_none_ends_the_client() {
    let (_floor, address) = floor("");
    for command in ["{\"op\":\"what\"}", "no json", "{\"op\":\"count\",\"x\":1}", "{\"op\":\"publish\"}"] {
        let mut client = client(&address, "");
        writeln!(client.child.stdin.as_mut().expect("piped"), "{command}").expect("is taken");
        assert_eq!(client.end(), Some(2), "{command}");
    }
}
