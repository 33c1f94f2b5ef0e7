//! Hubs of one and two processes over real servers.

pub(crate) mod server;
mod storms;

use std::sync::atomic::Ordering::Relaxed;

use crate::hub::Sender;
use server::{Process, Server, is_installed, secret, settings, subscribed, until};

fn sender(slot: u32) -> Option<Sender> {
    Some(Sender { worker: 0, slot, generation: 1, echo: false })
}

#[test]
fn two_processes_are_one_hub() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let (one, other) = (Process::start(&server.settings()), Process::start(&server.settings()));
    one.join("a");
    other.join("a");
    other.join("b");
    until("both are subscribed", || server.subscribers("app:a") == ":2" && server.subscribers("app:b") == ":1");
    // The sender is known where it stands, and nowhere else.
    assert_eq!(one.publish("a", b"1", sender(7)).members, 0);
    let (here, there) = (one.next(), other.next());
    assert_eq!((&*here.channel, &*here.payload, here.from), ("a", &b"1"[..], sender(7)));
    assert_eq!((&*there.payload, there.from), (&b"1"[..], None));
    // Nobody here is in it.
    one.publish("b", b"2", None);
    assert_eq!(other.next_text(), "b 2");
    // A publisher who knows nothing of fastgate; equal bytes of another are not one's own.
    server.ask(&["PUBLISH", "app:a", "1"]);
    assert_eq!(one.next().from, None);
    assert_eq!(other.next_text(), "a 1");
    server.ask(&["PUBLISH", "a", "without the prefix"]);
    // Order is the server's, for both the same.
    for n in 0..1_000 {
        [&one, &other][n % 2].publish("a", n.to_string().as_bytes(), sender(9));
    }
    let order: Vec<_> = (0..1_000).map(|_| one.next()).collect();
    let same: Vec<_> = (0..1_000).map(|_| other.next()).collect();
    for (i, (a, b)) in order.iter().zip(&same).enumerate() {
        assert_eq!(a.payload, b.payload, "number {i}");
        assert!(a.from.is_some() != b.from.is_some(), "number {i} has one sender");
    }
    let figures = &one.shared.hub.figures;
    assert_eq!((figures.dropped.load(Relaxed), figures.returned.load(Relaxed)), (0, 0));
}

#[test]
fn a_member_that_joins_gets_what_is_published_after() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let process = Process::start(&server.settings());
    for n in 0..200 {
        let channel = format!("c{n}");
        process.join(&channel);
        process.publish(&channel, b"x", None);
        assert_eq!(process.next_text(), format!("{channel} x"));
    }
}

#[test]
fn a_publication_that_is_too_large_is_skipped() {
    let Some((server, process)) = subscribed(&[]) else { return };
    server.ask(&["PUBLISH", "app:a", &"x".repeat(3 << 20)]);
    let largest = "y".repeat(1 << 20);
    server.ask(&["PUBLISH", "app:a", &largest]);
    assert_eq!(*process.next().payload, *largest.as_bytes());
    assert_eq!(process.shared.hub.figures.dropped.load(Relaxed), 1);
    assert_eq!(process.shared.hub.figures.reconnects.load(Relaxed), 0);
}

#[test]
fn users_and_passwords() {
    if !is_installed() {
        return;
    }
    let server = Server::start_with(&["--requirepass", "s3cret"], Some("s3cret"));
    let mut redis = server.settings();
    for (password, reason) in [(None, "NOAUTH"), (Some("hunter2"), "WRONGPASS")] {
        redis.password = password.map(secret);
        let process = Process::start_without(&redis);
        until("it is refused", || process.trouble().is_some_and(|trouble| trouble.contains(reason)));
        process.join("a");
        assert_eq!(process.publish("a", b"1", None).members, 1, "delivered here");
        assert_eq!(process.next_text(), "a 1");
        // Said once, however often it is tried; and never the password.
        until("it has tried again", || {
            process.shared.hub.broker().is_some()
                && server.ask(&["INFO", "stats"]).iter().any(|line| {
                    line.strip_prefix("total_connections_received:")
                        .is_some_and(|n| n.trim().parse::<u32>().unwrap() > 8)
                })
        });
        let lines: Vec<_> = process.lines.try_iter().map(|line| line.message).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains("hunter2") && lines[0].contains(reason), "{lines:?}");
    }
    redis.password = Some(secret("s3cret"));
    drop(Process::start(&redis));
    // A user that may do what is needed, and in its own channels alone.
    server.ask(&[
        "ACL",
        "SETUSER",
        "gate",
        "on",
        ">pw",
        "resetchannels",
        "&app:room:*",
        "+publish",
        "+subscribe",
        "+unsubscribe",
        "+ping",
    ]);
    redis.username = Some("gate".to_owned());
    redis.password = Some(secret("pw"));
    let process = Process::start_without(&redis);
    for channel in ["room:1", "other", "room:2"] {
        process.join(channel);
    }
    until("it is connected", || process.trouble().is_none());
    until("what is allowed is subscribed", || server.channels() == ["app:room:1", "app:room:2"]);
    until("the rest is known", || process.shared.hub.broker().unwrap().denied() == 1);
    process.publish("room:2", b"1", None);
    assert_eq!(process.next_text(), "room:2 1");
    assert_eq!(process.publish("other", b"2", None).members, 1, "delivered here");
    assert_eq!(process.next_text(), "other 2");
    // One that nobody here is in is refused by the server, and lost with a line.
    process.publish("elsewhere", b"3", None);
    until("it was refused", || process.lines.try_iter().any(|line| line.message.contains("publish to \"elsewhere\"")));
}

#[test]
fn a_change_of_settings_moves_the_subscriptions() {
    if !is_installed() {
        return;
    }
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let process = Process::start(&old.settings());
    process.join("a");
    until("it is subscribed", || old.subscribers("app:a") == ":1");
    let settings = crate::redis::Settings::new(&old.settings()).unwrap();
    process.redis.follow(&process.shared, Some(settings));
    assert_eq!(process.trouble(), None, "the same settings change nothing");
    process.redis.follow(&process.shared, Some(crate::redis::Settings::new(&new.settings()).unwrap()));
    until("it has moved", || old.channels().is_empty() && new.subscribers("app:a") == ":1");
    process.publish("a", b"1", None);
    assert_eq!(process.next_text(), "a 1");
    process.redis.follow(&process.shared, None);
    until("it has left", || new.channels().is_empty());
    assert_eq!(process.publish("a", b"2", None).members, 1);
    assert_eq!(process.next_text(), "a 2");
}

#[test]
fn a_server_that_is_not_there_is_said_once() {
    let process = Process::start_without(&settings("redis://127.0.0.1:1"));
    until("it was tried", || process.trouble().is_some_and(|trouble| trouble.contains("cannot be reached")));
    process.join("a");
    assert_eq!(process.publish("a", b"1", None).members, 1);
    assert_eq!(process.next_text(), "a 1");
    assert_eq!(process.lines.try_iter().count(), 1);
}
