//! The command line of the realtime client.

use std::net::SocketAddr;

use super::payload::SMALLEST;
use crate::args::Args;

/// The help.
pub const USAGE: &str = "usage: fastgate-realtime --to ADDR:PORT [--path PATH] [--rooms N (1)] [--size BYTES (128)] [--threads N (1)]
    [--subscribe-redis CHANNEL]
    [--publish-ws PATH | --publish-redis CHANNEL | --publish-http PATH [--publish-body TEXT] [--publish-header LINE]...]
    [--publish-to ADDR:PORT]

Subscribers connect to PATH ({room} in it: the number of the room), each to one room, all rooms alike full. With
--subscribe-redis they are clients of Redis instead, each subscribed to every room. More than one thread: each has its own
descriptor table. Publishers: one WebSocket a room, or one connection to Redis or to an HTTP API (its body: {payload},
{room}). Commands are lines of JSON on stdin, each answered by a line with what was counted since the answer before:
    {\"op\":\"open\",\"count\":N,\"at_once\":N,\"seconds\":N}   connect so many more; so many handshakes at once
    {\"op\":\"reopen\", as above}                         end all and connect as many anew
    {\"op\":\"publishers\"}                               connect the publishers
    {\"op\":\"publish\",\"messages\":N,\"burst\":N,\"rate\":N,\"settle\":SECONDS}
          so many messages in turn to every room, bursts of them in one write; without a rate (messages a second) the
          next goes once all subscribers have the last
    {\"op\":\"stall\",\"count\":N}, {\"op\":\"resume\"}         so many subscribers stop reading; they read again and are judged
    {\"op\":\"count\"}, {\"op\":\"close\"}
When stdin ends the process does; status 1: something was lost, doubled, out of order, wrong or refused.";

/// What a run is about.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub(super) to: SocketAddr,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) rooms: usize,
    pub(super) size: usize,
    pub(super) threads: usize,
    /// Subscribers are clients of Redis; the template of a channel.
    pub(super) redis: Option<String>,
    pub(super) publish: Option<Publish>,
}

/// Where publications go.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) to: SocketAddr,
    pub(super) way: Way,
}

/// How publications go.
#[derive(Debug)]
pub(super) enum Way {
    /// By a WebSocket a room; its path.
    WebSocket(String),
    /// By POST.
    Http { path: String, body: String, headers: Vec<String> },
    /// By PUBLISH; the channel.
    Redis(String),
}

impl Plan {
    /// Reads the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(mut args: Args) -> Result<Self, String> {
        let to: SocketAddr = args.required("--to")?;
        let path: String = args.one("--path")?.unwrap_or_else(|| "/".to_owned());
        let rooms = args.one("--rooms")?.unwrap_or(1_usize);
        let size = args.one("--size")?.unwrap_or(128_usize);
        let threads = args.one("--threads")?.unwrap_or(1_usize);
        let redis = args.one("--subscribe-redis")?;
        let publish = publish(&mut args, to)?;
        args.finish()?;
        if !(1..=100_000).contains(&rooms) || !(1..=64).contains(&threads) || !(SMALLEST..=1 << 20).contains(&size) {
            return Err(format!("rooms: 1 to 100000; threads: 1 to 64; size: {SMALLEST} to 1048576"));
        }
        if !path.starts_with('/') {
            return Err("--path begins with /".to_owned());
        }
        Ok(Self { to, host: to.to_string(), path, rooms, size, threads, redis, publish })
    }

    /// The path of a room.
    pub(super) fn path_of(&self, room: u32) -> String {
        of_room(&self.path, room)
    }
}

/// A template with the number of a room in it.
pub(super) fn of_room(template: &str, room: u32) -> String {
    template.replace("{room}", &room.to_string())
}

fn publish(args: &mut Args, to: SocketAddr) -> Result<Option<Publish>, String> {
    let to = args.one("--publish-to")?.unwrap_or(to);
    let (socket, redis) = (args.one("--publish-ws")?, args.one("--publish-redis")?);
    let http: Option<String> = args.one("--publish-http")?;
    let body = args.one("--publish-body")?.unwrap_or_else(|| "{payload}".to_owned());
    let headers = args.all("--publish-header")?;
    let way = match (socket, redis, http) {
        (None, None, None) => return Ok(None),
        (Some(path), None, None) => Way::WebSocket(path),
        (None, Some(channel), None) => Way::Redis(channel),
        (None, None, Some(path)) => Way::Http { path, body, headers },
        _ => return Err("one of --publish-ws, --publish-redis, --publish-http".to_owned()),
    };
    Ok(Some(Publish { to, way }))
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::args::Args;

    fn parse(args: &str) -> Result<Plan, String> {
        Plan::parse(Args::new(args.split(' ')))
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(parse("--to 127.0.0.1:1 --path /r/{room} --rooms 7").unwrap().path_of(6), "/r/6");
        for (args, reason) in [
            ("--rooms 1", "--to is required"),
            ("--to 127.0.0.1:1 --rooms 0", "rooms: 1"),
            ("--to 127.0.0.1:1 --size 10", "size: "),
            ("--to 127.0.0.1:1 --path r", "--path begins"),
            ("--to 127.0.0.1:1 --publish-ws / --publish-http /", "one of"),
            ("--to 127.0.0.1:1 --what", "unknown argument"),
        ] {
            assert!(parse(args).unwrap_err().contains(reason), "{args}");
        }
    }
}
