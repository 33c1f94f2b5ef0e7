//! Routes, rewrites and look-ups as short lines of text, so that a fuzzer can write them and a person can read them.
//!
//! | line | meaning |
//! |---|---|
//! | `K` | the listener keeps `%2F` |
//! | `P prefix …`, `T template …`, `R regex …`, `N …` | a route by its path, or without one |
//! | `… @host +METHOD ^priority =header` | more of the same match: hosts, methods, a header that is there |
//! | `… ~name=value ~name !name &network` | query parameters of a value, there, not there; client addresses |
//! | `S prefix`, `X prefix`, `W template`, `L template` | strip, replace, rewrite or redirect by the route before |
//! | `? METHOD host target field client` | a look-up; `field` is a header that the request has |

use std::net::IpAddr;

use fastgate_core::snapshot::{EncodedSlash, Listener, Match, PathMatch, Redirect, Rewrite, Route, ValueMatch};
use serde_json::json;

use crate::knobs;

const MAX_ROUTES: usize = 8;
const MAX_OTHERS: usize = 16;

/// What an input says.
pub struct Input {
    pub listener: Listener,
    pub routes: Vec<Route>,
    /// With the index of the route before it.
    pub changes: Vec<(usize, Change)>,
    pub asks: Vec<Ask>,
}

pub enum Change {
    Rewrite(Rewrite),
    Redirect(Redirect),
}

/// A look-up.
pub struct Ask {
    pub method: String,
    pub host: String,
    pub target: String,
    pub field: String,
    pub client: Option<IpAddr>,
}

/// Reads the lines; those that are none are skipped.
pub fn read(data: &[u8]) -> Input {
    let text = String::from_utf8_lossy(data);
    let mut input = Input { listener: knobs::listener(), routes: Vec::new(), changes: Vec::new(), asks: Vec::new() };
    for line in text.split('\n') {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let change = match kind {
            "K" => {
                input.listener.encoded_slash = EncodedSlash::Keep;
                continue;
            }
            "P" | "T" | "R" | "N" if input.routes.len() < MAX_ROUTES => {
                input.routes.push(route(input.routes.len(), kind, rest));
                continue;
            }
            "?" if input.asks.len() < MAX_OTHERS => {
                input.asks.push(ask(rest));
                continue;
            }
            "S" => Change::Rewrite(Rewrite::StripPrefix(rest.into())),
            "X" => Change::Rewrite(Rewrite::ReplacePrefix(rest.into())),
            "W" => Change::Rewrite(Rewrite::Path(rest.into())),
            "L" => Change::Redirect(Redirect { to: rest.into(), status: 308 }),
            _ => continue,
        };
        if let Some(last) = input.routes.len().checked_sub(1)
            && input.changes.len() < MAX_OTHERS
        {
            input.changes.push((last, change));
        }
    }
    input
}

fn route(number: usize, kind: &str, rest: &str) -> Route {
    let mut parts = rest.split(' ');
    let path = match kind {
        "N" => None,
        _ => parts.next().map(str::to_owned).map(match kind {
            "P" => PathMatch::Prefix,
            "T" => PathMatch::Path,
            _ => PathMatch::Regex,
        }),
    };
    let mut route: Route = serde_json::from_value(json!({
        "name": format!("r{number}"), "priority": 0, "listeners": null, "rewrite": null, "host": "keep",
        "half_close_keep": false, "matches": [], "action": {"service": "s"}, "upgrade": [], "max_body": null,
        "on_request": false, "held_bytes": 65536,
        "timeouts": {"connect_ms": 1000, "response_ms": 1000, "idle_ms": 1000},
        "request_headers": {"set": [], "add": [], "remove": []},
        "response_headers": {"set": [], "add": [], "remove": []},
    }))
    .expect("the route is one");
    let mut one = Match {
        path,
        hosts: Vec::new(),
        methods: Vec::new(),
        headers: Default::default(),
        query: Default::default(),
        client_ip: Vec::new(),
    };
    for part in parts.take(8) {
        let mut chars = part.chars();
        match (chars.next(), chars.as_str()) {
            (Some('@'), host) => one.hosts.push(host.into()),
            (Some('+'), method) => one.methods.push(method.into()),
            (Some('^'), priority) => route.priority = priority.parse().unwrap_or_default(),
            (Some('='), name) => {
                one.headers.insert(name.into(), ValueMatch::Present(true));
            }
            (Some('~'), text) => {
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, ValueMatch::Exact(value.into())),
                    None => (text, ValueMatch::Present(true)),
                };
                one.query.insert(name.into(), value);
            }
            (Some('!'), name) => {
                one.query.insert(name.into(), ValueMatch::Present(false));
            }
            (Some('&'), network) => {
                if let Ok(network) = network.parse() {
                    one.client_ip.push(network);
                }
            }
            _ => {}
        }
    }
    route.matches.push(one);
    route
}

fn ask(rest: &str) -> Ask {
    let mut parts = rest.split(' ').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Ask { method: next(), host: next(), target: next(), field: next(), client: next().parse().ok() }
}
