//! Why a request meets the route it meets: every candidate in the order of the rule, with what it lacks. For people who
//! ask (`fastgate explain`), never for requests: it judges each predicate by itself and is slow.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::host::{self, Host};
use super::pattern::{self, Segment};
use super::predicate::{Methods, Predicates};
use super::rank::PathRank;
use super::{Lookup, RouteTable, regexes};
use crate::snapshot::{Listener, Match, PathMatch, Route, ValueMatch};

/// One match of one route, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Index in the snapshot's routes.
    pub route: usize,
    /// Which of its matches.
    pub of_match: usize,
    /// What of it does not hold, host and path first; none: it accepts the request.
    pub missing: Vec<Missing>,
    /// Leading segments of the path that fit.
    pub leading: usize,
    standing: Standing,
}

/// One predicate that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The key in the config: `hosts`, `prefix`, `path`, `regex`, `listeners`, `methods`, `headers`, `query`, `client_ip`.
    pub what: &'static str,
    /// The header or parameter; empty for the others.
    pub name: String,
    /// What is asked for.
    pub wanted: String,
}

/// What the rule compares, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    priority: Reverse<i32>,
    host: Reverse<(u8, usize)>,
    path: PathRank,
    methods: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    client: Reverse<bool>,
    head: Reverse<bool>,
}

impl Verdict {
    /// The first part of the rule in which two candidates differ: `priority`, `hosts`, the path's kind or length
    /// (`path`), `methods`, `headers`, `query`, `client_ip`, or `name`.
    pub fn differs_in(&self, other: &Self) -> &'static str {
        let (a, b) = (&self.standing, &other.standing);
        let parts = [
            ("priority", a.priority != b.priority),
            ("hosts", a.host != b.host),
            ("path", a.path != b.path),
            ("methods", a.methods != b.methods),
            ("headers", a.headers != b.headers),
            ("query", a.query != b.query),
            ("client_ip", a.client != b.client),
            ("methods", a.head != b.head),
        ];
        parts.iter().find(|(_, differs)| *differs).map_or("name", |(what, _)| what)
    }
}

impl RouteTable {
    /// Every match as (route, match), in the order in which they are tried; a match stands where its best host does.
    pub fn order(&self) -> Vec<(usize, usize)> {
        let mut seen = HashSet::new();
        let places = self.candidates.iter().map(|c| (c.route as usize, c.of_match as usize));
        places.filter(|place| seen.insert(*place)).collect()
    }

    /// Judges every match of every route for one request, in the order in which they are tried. `routes` and
    /// `listeners` are those the table was compiled from. The first without anything missing is what
    /// [`RouteTable::find`] finds.
    pub fn explain(&self, routes: &[Route], listeners: &[Listener], lookup: &Lookup<'_>) -> Vec<Verdict> {
        // The table forgets the host of a candidate: those of one match stand in the order of their hosts' rank.
        let mut places: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for (rank, candidate) in self.candidates.iter().enumerate() {
            places.entry((candidate.route, u32::from(candidate.of_match))).or_default().push(rank);
        }
        let mut verdicts: Vec<(usize, Verdict)> = places
            .into_iter()
            .map(|((route, of_match), ranks)| {
                let (route, of_match) = (route as usize, of_match as usize);
                let one = &routes[route].matches[of_match];
                let hosts = hosts(one);
                let fits = hosts.iter().position(|host| host_holds(host, lookup.host));
                let at = fits.unwrap_or(0);
                let rank = ranks.get(at).copied().unwrap_or(usize::MAX);
                (rank, verdict(&routes[route], route, of_match, &hosts[at], fits.is_some(), listeners, lookup))
            })
            .collect();
        verdicts.sort_by_key(|(rank, _)| *rank);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }
}

fn verdict(
    route: &Route,
    number: usize,
    of_match: usize,
    host: &Host,
    host_fits: bool,
    listeners: &[Listener],
    lookup: &Lookup<'_>,
) -> Verdict {
    let one = &route.matches[of_match];
    let mut missing = Vec::new();
    let mut lack = |what: &'static str, name: &str, wanted: String| {
        missing.push(Missing { what, name: name.to_owned(), wanted });
    };
    if !host_fits {
        lack("hosts", "", one.hosts.join(", "));
    }
    let (path, what, text, leading) = path_of(one.path.as_ref(), lookup.path);
    if !path.1 {
        lack(what, "", text);
    }
    let here = listeners.get(lookup.listener);
    let served = here.is_some_and(|l| l.serves.takes(&route.action))
        && route.listeners.as_ref().is_none_or(|names| here.is_some_and(|l| names.contains(&l.name)));
    if !served {
        lack("listeners", "", route.listeners.clone().unwrap_or_default().join(", "));
    }
    let method = str::from_utf8(lookup.method).unwrap_or("");
    if !one.methods.is_empty() && !serves(&one.methods, method) {
        lack("methods", "", one.methods.join(", "));
    }
    for (name, value) in &one.headers {
        if !holds(&Match { headers: BTreeMap::from([(name.clone(), value.clone())]), ..nothing() }, lookup) {
            lack("headers", name, said(value));
        }
    }
    for (name, value) in &one.query {
        if !holds(&Match { query: BTreeMap::from([(name.clone(), value.clone())]), ..nothing() }, lookup) {
            lack("query", name, said(value));
        }
    }
    if !holds(&Match { client_ip: one.client_ip.clone(), ..nothing() }, lookup) {
        lack("client_ip", "", one.client_ip.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    let standing = Standing {
        priority: Reverse(route.priority),
        host: Reverse(host_rank(host)),
        path: path.0,
        methods: Reverse(!one.methods.is_empty()),
        headers: Reverse(one.headers.len()),
        query: Reverse(one.query.len()),
        client: Reverse(!one.client_ip.is_empty()),
        head: Reverse(one.methods.iter().any(|m| m == "HEAD")),
    };
    Verdict { route: number, of_match, missing, leading, standing }
}

fn serves(names: &[String], method: &str) -> bool {
    let mut methods = Methods::new();
    let named = names.iter().filter_map(|name| methods.intern(name).ok()).fold(0, |all, bit| all | bit);
    Methods::served(named) & methods.bit(method.as_bytes()) != 0
}

fn nothing() -> Match {
    Match {
        path: None,
        hosts: Vec::new(),
        methods: Vec::new(),
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        client_ip: Vec::new(),
    }
}

fn holds(part: &Match, lookup: &Lookup<'_>) -> bool {
    Predicates::compile(part).is_ok_and(|predicates| predicates.hold(lookup))
}

fn said(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => format!("exactly {text:?}"),
        ValueMatch::Present(true) => "present".to_owned(),
        ValueMatch::Present(false) => "absent".to_owned(),
        ValueMatch::Regex(text) => format!("matching {text:?}"),
    }
}

/// The hosts of a match without doubles, in the order of their rank; at least one.
fn hosts(one: &Match) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    for host in one.hosts.iter().filter_map(|text| host::parse(text).ok()) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.is_empty() {
        hosts.push(Host::Any);
    }
    hosts.sort_by_key(|host| Reverse(host_rank(host)));
    hosts
}

fn host_rank(host: &Host) -> (u8, usize) {
    match host {
        Host::Exact(_) => (2, 0),
        Host::Wildcard(suffix) => (1, suffix.len()),
        Host::Any => (0, 0),
    }
}

fn host_holds(host: &Host, asked: &[u8]) -> bool {
    match host {
        Host::Any => true,
        Host::Exact(name) => name == asked,
        Host::Wildcard(suffix) => asked.len() > suffix.len() && asked.ends_with(suffix),
    }
}

/// The rank of a path predicate and whether it holds; its key, its text, and how many leading segments fit.
fn path_of(path: Option<&PathMatch>, asked: &[u8]) -> ((PathRank, bool), &'static str, String, usize) {
    let have: Option<Vec<&[u8]>> = asked.strip_prefix(b"/").map(|rest| rest.split(|b| *b == b'/').collect());
    let have_or_none = have.as_deref().unwrap_or_default();
    match path {
        None => ((PathRank::None, true), "path", String::new(), 0),
        Some(PathMatch::Regex(text)) => {
            let holds = regexes::whole(text).is_ok_and(|regex| regex.is_match(asked));
            ((PathRank::Regex, holds), "regex", text.clone(), 0)
        }
        Some(PathMatch::Prefix(text)) => {
            let wanted = pattern::prefix(text, true).unwrap_or_default();
            let leading = wanted.iter().zip(have_or_none).take_while(|(w, h)| w == *h).count();
            let holds = have.is_some() && leading == wanted.len();
            let length = wanted.iter().map(|s| s.len() + 1).sum();
            ((PathRank::Prefix(Reverse(length)), holds), "prefix", text.clone(), leading)
        }
        Some(PathMatch::Path(text)) => {
            let wanted = pattern::template(text, true).unwrap_or_default();
            let shape: Vec<u8> = wanted.iter().map(shape).collect();
            let leading = wanted.iter().zip(have_or_none).take_while(|(w, h)| segment_holds(w, h)).count();
            let rest = matches!(wanted.last(), Some(Segment::Rest(_)));
            let holds = have.is_some() && leading == wanted.len() && (rest || have_or_none.len() == wanted.len());
            let exact = shape.iter().all(|s| *s == 0);
            let rank = if exact { PathRank::Exact } else { PathRank::Template(shape) };
            ((rank, holds), "path", text.clone(), leading)
        }
    }
}

fn shape(segment: &Segment) -> u8 {
    match segment {
        Segment::Literal(_) => 0,
        Segment::Capture(_) => 1,
        Segment::Rest(_) => 2,
    }
}

fn segment_holds(wanted: &Segment, have: &[u8]) -> bool {
    match wanted {
        Segment::Literal(bytes) => bytes == have,
        Segment::Capture(_) => !have.is_empty(),
        Segment::Rest(_) => true,
    }
}
