//! Servers that die, hang, lie and come back, clusters, and members who come and go.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::Signal;

use super::sender;
use super::server::{Process, Server, cluster, is_installed, settings, subscribed, until};

/// A repeatable number after the other.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Joins and leaves at random; what has members at the end.
fn churn(process: &Process, dice: &mut Dice, turns: usize) -> BTreeSet<String> {
    let mut members = vec![0_u32; 100];
    for _ in 0..turns {
        let n = usize::try_from(dice.roll(100)).unwrap();
        let channel = format!("c{n}");
        if members[n] > 0 && dice.roll(5) < 3 {
            members[n] -= 1;
            process.leave(&channel);
        } else {
            members[n] += 1;
            process.join(&channel);
        }
    }
    let there = members.iter().enumerate().filter(|(_, members)| **members > 0);
    there.map(|(n, _)| format!("app:c{n}")).collect()
}

#[test]
fn what_is_subscribed_is_what_has_members() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let process = Process::start(&server.settings());
    let expected = churn(&process, &mut Dice(1), 20_000);
    assert!(expected.len() > 20 && expected.len() < 100, "{} channels", expected.len());
    let is = |server: &Server, expected: &BTreeSet<String>| {
        until("what is subscribed is exact", || server.channels().iter().eq(expected));
        assert!(expected.iter().all(|channel| server.subscribers(channel) == ":1"));
    };
    is(&server, &expected);
    // All of them leave, many come: batches.
    for channel in &expected {
        let channel = channel.strip_prefix("app:").unwrap();
        while process.shared.hub.channels.has(channel) {
            process.leave(channel);
        }
    }
    is(&server, &BTreeSet::new());
    (0..5_000).for_each(|n| process.join(&format!("many{n}")));
    is(&server, &(0..5_000).map(|n| format!("app:many{n}")).collect());
    // While the server is gone half of them leave, and others come.
    server.kill();
    (0..2_500).for_each(|n| process.leave(&format!("many{n}")));
    (0..10).for_each(|n| process.join(&format!("new{n}")));
    server.restart();
    let kept = (2_500..5_000).map(|n| format!("app:many{n}"));
    is(&server, &kept.chain((0..10).map(|n| format!("app:new{n}"))).collect());
    assert_eq!(process.shared.hub.figures.reconnects.load(Relaxed), 1);
}

#[test]
fn a_server_killed_in_mid_stream_costs_this_process_nothing() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let process = Process::start(&server.settings());
    process.join("a");
    let mut expected = 0_u32;
    let mut sent = 0;
    let send_500 = |sent: &mut u32| {
        for _ in 0..500 {
            process.publish("a", sent.to_string().as_bytes(), sender(1));
            *sent += 1;
        }
    };
    for _ in 0..3 {
        send_500(&mut sent);
        server.kill();
        // Delivered here, whether the connection's end has been seen or not.
        send_500(&mut sent);
        while expected < sent {
            let publication = process.next();
            assert_eq!(*publication.payload, *expected.to_string().as_bytes(), "each once, in order");
            assert_eq!(publication.from, sender(1));
            expected += 1;
        }
        assert!(process.trouble().is_some());
        server.restart();
        until("it is back", || process.trouble().is_none() && server.subscribers("app:a") == ":1");
    }
    assert_eq!(process.shared.hub.figures.reconnects.load(Relaxed), 3);
    let lines: Vec<_> = process.lines.try_iter().map(|line| line.message).collect();
    assert!(lines.iter().any(|line| line.ends_with("is connected again")), "{lines:?}");
}

#[test]
fn a_server_that_hangs_is_seen() {
    let Some((server, process)) = subscribed(&[]) else { return };
    // With nothing to say to it, and with something it does not answer.
    for quiet in [true, false] {
        server.signal(Signal::STOP);
        if !quiet {
            process.publish("a", b"waits", None);
        }
        until("it is given up", || process.trouble().is_some_and(|trouble| trouble.contains("does not answer")));
        if !quiet {
            assert_eq!(process.next_text(), "a waits");
        }
        assert_eq!(process.publish("a", b"here", None).members, 1);
        assert_eq!(process.next_text(), "a here");
        server.signal(Signal::CONT);
        until("it is back", || process.trouble().is_none() && server.subscribers("app:a") == ":1");
    }
    assert!(process.shared.hub.figures.silent.load(Relaxed) >= 2);
}

#[test]
fn a_server_that_closes_an_overrun_connection_is_connected_again() {
    let limit = ["--client-output-buffer-limit", "pubsub 256kb 0 0"];
    let Some((server, process)) = subscribed(&limit) else { return };
    // In one script, so that nothing is written in between.
    let script = "for i = 1, 1000 do redis.call('PUBLISH', 'app:a', string.rep('x', 10000)) end";
    server.ask(&["EVAL", script, "0"]);
    until("it was closed", || process.shared.hub.figures.reconnects.load(Relaxed) == 1);
    until("it is back", || process.trouble().is_none() && server.subscribers("app:a") == ":1");
    process.publish("a", b"last", None);
    while process.next_text() != "a last" {}
}

#[test]
fn a_server_that_lies_is_left() {
    let path = std::env::temp_dir().join(format!("fastgate-liar-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let lies: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"%0\r\n+OK\r\n",
        b"%0\r\n>3\r\n$7\r\nmessage\r\n$5\r\napp:a\r\n$9999999999\r\n",
        b"%0\r\n$3\r\nabcde\r\n",
        b"",
    ];
    let liar = std::thread::spawn(move || {
        for lie in lies {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(lie);
            // Until it is left; at the empty lie, so is it.
            if !lie.is_empty() {
                while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
            }
        }
    });
    let process = Process::start_without(&settings(&format!("unix:{}", path.display())));
    process.join("a");
    liar.join().unwrap();
    until("four lies were seen", || process.shared.hub.figures.malformed.load(Relaxed) == 4);
    until("its end is seen", || process.trouble().is_some_and(|trouble| trouble.contains("cannot be reached")));
    assert_eq!(process.publish("a", b"1", None).members, 1);
    let _ = std::fs::remove_file(&path);
}

#[test]
fn a_full_queue_is_delivered_here() {
    let Some((server, process)) = subscribed(&[]) else { return };
    server.signal(Signal::STOP);
    // 16 MiB wait for it, then this process has them for itself.
    let payload = vec![b'x'; 1 << 20];
    let members: u32 = (0..20).map(|_| process.publish("a", &payload, None).members).sum();
    assert!((4..=6).contains(&members), "{members} of 20 MiB were delivered here");
    server.signal(Signal::CONT);
    (0..20).for_each(|_| drop(process.next()));
}

#[test]
fn a_cluster_of_three() {
    if !is_installed() {
        return;
    }
    let mut servers = cluster();
    let mut redis = settings(&format!("redis://127.0.0.1:{}", servers[1].port));
    redis.cluster = true;
    let (one, other) = (Process::start(&redis), Process::start(&redis));
    let names: Vec<String> = (0..300).map(|n| format!("room:{n}")).collect();
    for name in &names {
        one.join(name);
        other.join(name);
    }
    let sharded = |server: &Server| server.ask(&["PUBSUB", "SHARDCHANNELS"]).len();
    until("all are subscribed", || {
        servers.iter().map(sharded).sum::<usize>() == 300
            && servers.iter().map(|s| s.channels().len()).sum::<usize>() == 300
    });
    assert!(servers.iter().all(|server| sharded(server) > 50), "each server has its share");
    for name in &names {
        one.publish(name, b"own", sender(3));
    }
    let mine: BTreeSet<_> = (0..300)
        .map(|_| one.next())
        .map(|p| (p.channel.to_string(), p.from))
        .map(|(c, from)| {
            assert_eq!(from, sender(3));
            c
        })
        .collect();
    let theirs: BTreeSet<_> = (0..300).map(|_| other.next().channel.to_string()).collect();
    assert_eq!((mine.len(), &mine), (300, &theirs));
    // Somebody else's plain PUBLISH, at whichever server.
    for (n, server) in servers.iter().enumerate() {
        server.ask(&["PUBLISH", "app:room:7", &n.to_string()]);
        assert_eq!(one.next_text(), format!("room:7 {n}"));
        assert_eq!(other.next_text(), format!("room:7 {n}"));
    }
    // A slot moves to another server: its channels follow, subscribed and published.
    let slot = servers[0].ask(&["CLUSTER", "KEYSLOT", "app:room:7"])[0].trim_start_matches(':').to_owned();
    let owner =
        servers.iter().position(|server| server.ask(&["PUBSUB", "SHARDCHANNELS", "app:room:7"]).len() == 1).unwrap();
    let to = (owner + 1) % 3;
    let id = servers[to].ask(&["CLUSTER", "MYID"])[0].clone();
    for server in [to, owner, 3 - to - owner] {
        servers[server].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    }
    until("the channel has moved", || {
        servers[to].ask(&["PUBSUB", "SHARDNUMSUB", "app:room:7"])[1] == ":2"
            && servers[to].subscribers("app:room:7") == ":2"
            && servers[owner].subscribers("app:room:7") == ":0"
    });
    one.publish("room:7", b"moved", sender(4));
    assert_eq!(one.next().from, sender(4));
    assert_eq!(other.next_text(), "room:7 moved");
    // One server dies: what is its own stays here, the rest goes on.
    servers[to].kill();
    until("it is seen", || one.trouble().is_some());
    assert_eq!(one.publish("room:7", b"here", None).members, 1);
    assert_eq!(one.next_text(), "room:7 here");
    let alive = names.iter().find(|name| {
        let sharded = servers[owner].ask(&["PUBSUB", "SHARDNUMSUB", &format!("app:{name}")]);
        sharded[1] == ":2"
    });
    // The cluster itself refuses everything once it sees that a server is gone; before and after nothing is lost here.
    let alive = alive.expect("a channel of a server that lives");
    one.publish(alive, b"still", None);
    assert_eq!(one.next_text(), format!("{alive} still"));
}
