//! Compiling routes into the table: every match is read and judged, ranked by the rule, then laid out for look-ups.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::conflict;
use super::host::{self, Host};
use super::index::{Index, NONE};
use super::layout::{Growing, GrowingTree, Layout};
use super::pattern::{self, Segment};
use super::predicate::{self, HEAD, Methods, Predicates};
use super::rank::{self, Draft, PathRank, Place};
use super::regexes;
use super::table::{Candidate, CapturePattern, RouteTable};
use crate::snapshot::{Action, EncodedSlash, Invalid, Listener, Match, PathMatch, Route};

/// Candidates (hosts of matches of routes) of one table.
const MAX_CANDIDATES: usize = 1_000_000;
/// Matches of one route.
const MAX_MATCHES: usize = u16::MAX as usize;

/// What one match says beside its hosts.
struct Parsed {
    path: ParsedPath,
    pattern: u32,
    methods: u64,
    predicates: u32,
}

enum ParsedPath {
    Template(Vec<Segment>),
    Prefix(Vec<Vec<u8>>),
    Regex(u32),
    None,
}

struct Compiler<'a> {
    routes: &'a [Route],
    listeners: &'a [Listener],
    faults: Vec<Invalid>,
    methods: Methods,
    predicates: Vec<Predicates>,
    predicate_ids: HashMap<String, u32>,
    patterns: Vec<CapturePattern>,
    pattern_ids: HashMap<CapturePattern, u32>,
    regexes: Vec<regex::bytes::Regex>,
    regex_ids: HashMap<&'a str, u32>,
    listener_sets: Vec<u64>,
    set_ids: HashMap<Vec<u64>, u32>,
    hosts: HashMap<Host, u32>,
    trees: Vec<GrowingTree>,
    nodes: Vec<Growing>,
    drafts: Vec<Draft>,
}

pub(super) fn table(routes: &[Route], listeners: &[Listener]) -> Result<RouteTable, Vec<Invalid>> {
    let mut compiler = Compiler {
        routes,
        listeners,
        faults: Vec::new(),
        methods: Methods::new(),
        predicates: Vec::new(),
        predicate_ids: HashMap::new(),
        patterns: Vec::new(),
        pattern_ids: HashMap::new(),
        regexes: Vec::new(),
        regex_ids: HashMap::new(),
        listener_sets: Vec::new(),
        set_ids: HashMap::new(),
        hosts: HashMap::new(),
        trees: Vec::new(),
        nodes: Vec::new(),
        drafts: Vec::new(),
    };
    compiler.read();
    rank::sort(&mut compiler.drafts, routes);
    compiler.find_conflicts();
    if compiler.faults.is_empty() { Ok(compiler.lay_out()) } else { Err(compiler.faults) }
}

impl<'a> Compiler<'a> {
    fn fault(&mut self, path: String, message: impl Into<String>) {
        self.faults.push(Invalid::new(path, message));
    }

    /// Reads every match of every route into drafts and grows the trees.
    fn read(&mut self) {
        for (r, route) in self.routes.iter().enumerate() {
            let (set, keep) = self.listeners_of(r, route);
            if route.matches.is_empty() {
                self.fault(format!("routes.{r}.matches"), "a route needs at least one match");
            }
            if route.matches.len() > MAX_MATCHES {
                self.fault(format!("routes.{r}.matches"), format!("a route has at most {MAX_MATCHES} matches"));
                continue;
            }
            for (m, one) in route.matches.iter().enumerate() {
                let hosts = self.hosts_of(&format!("routes.{r}.matches.{m}"), one);
                let Some(parsed) = self.parse(&format!("routes.{r}.matches.{m}"), one, keep) else { continue };
                if self.drafts.len() + hosts.len() > MAX_CANDIDATES {
                    let message = format!("too many routes: at most {MAX_CANDIDATES} hosts of matches in all");
                    return self.fault("routes".into(), message);
                }
                for host in hosts {
                    let draft = self.draft(r, m, one, &parsed, host, set);
                    self.drafts.push(draft);
                }
            }
        }
    }

    /// The listeners of a route as a set, and whether one of them keeps `%2F`.
    fn listeners_of(&mut self, r: usize, route: &Route) -> (u32, bool) {
        let listeners = self.listeners;
        let serving = || (0..listeners.len()).filter(|&at| listeners[at].serves.takes(&route.action));
        let Some(names) = &route.listeners else {
            let set = self.listener_set(serving());
            return (set, serving().any(|at| listeners[at].encoded_slash == EncodedSlash::Keep));
        };
        let mut chosen = Vec::new();
        if names.is_empty() {
            self.fault(
                format!("routes.{r}.listeners"),
                "an empty list serves nobody: leave it out to serve on every listener",
            );
        }
        for (i, name) in names.iter().enumerate() {
            match self.listeners.iter().position(|l| l.name == *name) {
                Some(at) if listeners[at].serves.takes(&route.action) => chosen.push(at),
                Some(_) => {
                    let what = match route.action {
                        Action::Realtime(_) => "endpoints",
                        Action::Publish(_) => "the publish API",
                        _ => "HTTP routes",
                    };
                    let message = format!("the listener {name:?} does not serve {what}");
                    self.fault(format!("routes.{r}.listeners.{i}"), message);
                }
                None => {
                    let known: Vec<&str> = self.listeners.iter().map(|l| l.name.as_str()).collect();
                    let message = format!("no listener is named {name:?}; there are: {}", known.join(", "));
                    self.fault(format!("routes.{r}.listeners.{i}"), message);
                }
            }
        }
        let keep = chosen.iter().any(|&at| self.listeners[at].encoded_slash == EncodedSlash::Keep);
        (self.listener_set(chosen), keep)
    }

    fn listener_words(&self) -> usize {
        self.listeners.len().div_ceil(64).max(1)
    }

    fn listener_set(&mut self, chosen: impl IntoIterator<Item = usize>) -> u32 {
        let mut set = vec![0u64; self.listener_words()];
        for at in chosen {
            set[at / 64] |= 1 << (at % 64);
        }
        let next = self.set_ids.len() as u32;
        *self.set_ids.entry(set).or_insert_with_key(|set| {
            self.listener_sets.extend_from_slice(set);
            next
        })
    }

    fn hosts_of(&mut self, at: &str, one: &Match) -> Vec<Host> {
        if one.hosts.is_empty() {
            return vec![Host::Any];
        }
        let mut hosts = Vec::new();
        for (i, text) in one.hosts.iter().enumerate() {
            match host::parse(text) {
                Ok(host) if !hosts.contains(&host) => hosts.push(host),
                Ok(_) => {}
                Err(message) => self.fault(format!("{at}.hosts.{i}"), message),
            }
        }
        hosts
    }

    /// Everything of a match but its hosts; `None` if any part is at fault.
    fn parse(&mut self, at: &str, one: &'a Match, keep: bool) -> Option<Parsed> {
        let before = self.faults.len();
        let (path, captures) = match self.parse_path(one.path.as_ref(), keep) {
            Ok(parsed) => parsed,
            Err(message) => {
                self.fault(format!("{at}.path"), message);
                (ParsedPath::None, CapturePattern::Nothing)
            }
        };
        let mut methods = 0;
        for (i, name) in one.methods.iter().enumerate() {
            match self.methods.intern(name) {
                Ok(bit) => methods |= bit,
                Err(message) => self.fault(format!("{at}.methods.{i}"), message),
            }
        }
        let predicates = self.parse_predicates(at, one);
        if self.faults.len() > before {
            return None;
        }
        let next = self.patterns.len() as u32;
        let pattern = *self.pattern_ids.entry(captures).or_insert_with_key(|captures| {
            self.patterns.push(captures.clone());
            next
        });
        Some(Parsed { path, pattern, methods, predicates })
    }

    fn parse_path(&mut self, path: Option<&'a PathMatch>, keep: bool) -> Result<(ParsedPath, CapturePattern), String> {
        Ok(match path {
            None => (ParsedPath::None, CapturePattern::Nothing),
            Some(PathMatch::Prefix(text)) => {
                let segments = pattern::prefix(text, keep)?;
                let len = segments.iter().map(|s| s.len() + 1).sum::<usize>() as u32;
                (ParsedPath::Prefix(segments), CapturePattern::Prefix(len))
            }
            Some(PathMatch::Path(text)) => {
                let segments = pattern::template(text, keep)?;
                let captures: Vec<_> = segments.iter().zip(0..).filter_map(|(s, i)| captured(s, i)).collect();
                let captures =
                    if captures.is_empty() { CapturePattern::Nothing } else { CapturePattern::Segments(captures) };
                (ParsedPath::Template(segments), captures)
            }
            Some(PathMatch::Regex(text)) => {
                let id = match self.regex_ids.get(&**text) {
                    Some(id) => *id,
                    None => {
                        self.regexes.push(regexes::whole(text)?);
                        let id = self.regexes.len() as u32 - 1;
                        self.regex_ids.insert(text, id);
                        id
                    }
                };
                let named = self.regexes[id as usize].capture_names().any(|name| name.is_some());
                (ParsedPath::Regex(id), if named { CapturePattern::Regex(id) } else { CapturePattern::Nothing })
            }
        })
    }

    /// The number of the match's predicates; equal ones are compiled once.
    fn parse_predicates(&mut self, at: &str, one: &Match) -> u32 {
        let Some(identity) = predicate::identity(one) else { return NONE };
        if let Some(id) = self.predicate_ids.get(&identity) {
            return *id;
        }
        match Predicates::compile(one) {
            Ok(compiled) => {
                let id = self.predicates.len() as u32;
                self.predicates.push(compiled);
                self.predicate_ids.insert(identity, id);
                id
            }
            Err(faults) => {
                for (below, message) in faults {
                    self.fault(format!("{at}.{below}"), message);
                }
                NONE
            }
        }
    }

    fn draft(&mut self, r: usize, m: usize, one: &Match, parsed: &Parsed, host: Host, set: u32) -> Draft {
        let host_rank = match &host {
            Host::Exact(_) => (2, 0),
            Host::Wildcard(suffix) => (1, suffix.len()),
            Host::Any => (0, 0),
        };
        let tree = self.tree(host);
        let (path, place) = self.place(tree, &parsed.path);
        let regex = if let Place::Regex { regex, .. } = place { regex } else { NONE };
        Draft {
            candidate: Candidate {
                methods: Methods::served(parsed.methods),
                route: r as u32,
                of_match: m as u16,
                listener_set: set,
                predicates: parsed.predicates,
                pattern: parsed.pattern,
                regex,
                reads_captures: reads_captures(&self.routes[r]),
            },
            priority: self.routes[r].priority,
            host: Reverse(host_rank),
            path,
            predicates: (
                Reverse(parsed.methods != 0),
                Reverse(one.headers.len()),
                Reverse(one.query.len()),
                Reverse(!one.client_ip.is_empty()),
            ),
            head: Reverse(parsed.methods & HEAD != 0),
            place,
            named_methods: parsed.methods,
        }
    }

    fn tree(&mut self, host: Host) -> u32 {
        let next = self.trees.len() as u32;
        *self.hosts.entry(host).or_insert_with(|| {
            self.trees.push(GrowingTree { root: self.nodes.len() as u32, ..GrowingTree::default() });
            self.nodes.push(Growing::default());
            next
        })
    }

    fn place(&mut self, tree: u32, path: &ParsedPath) -> (PathRank, Place) {
        let mut node = self.trees[tree as usize].root;
        match path {
            ParsedPath::None => (PathRank::None, Place::NoPath { tree }),
            ParsedPath::Regex(regex) => (PathRank::Regex, Place::Regex { tree, regex: *regex }),
            ParsedPath::Prefix(segments) => {
                for segment in segments {
                    node = self.child(node, Some(segment));
                }
                let len = segments.iter().map(|s| s.len() + 1).sum();
                (PathRank::Prefix(Reverse(len)), Place::Prefix(node))
            }
            ParsedPath::Template(segments) => {
                let shape: Vec<u8> = segments
                    .iter()
                    .map(|segment| match segment {
                        Segment::Literal(_) => 0,
                        Segment::Capture(_) => 1,
                        Segment::Rest(_) => 2,
                    })
                    .collect();
                for segment in segments {
                    match segment {
                        Segment::Literal(bytes) => node = self.child(node, Some(bytes)),
                        Segment::Capture(_) => node = self.child(node, None),
                        Segment::Rest(_) => return (PathRank::Template(shape), Place::Rest(node)),
                    }
                }
                let exact = shape.iter().all(|s| *s == 0);
                (if exact { PathRank::Exact } else { PathRank::Template(shape) }, Place::End(node))
            }
        }
    }

    /// The node below `node` by a literal, or by a capture.
    fn child(&mut self, node: u32, literal: Option<&Vec<u8>>) -> u32 {
        let next = self.nodes.len() as u32;
        let parent = &mut self.nodes[node as usize];
        let child = match literal {
            Some(bytes) => match parent.children.get(bytes) {
                Some(child) => *child,
                None => *parent.children.entry(bytes.clone()).or_insert(next),
            },
            None => *parent.capture.get_or_insert(next),
        };
        if child == next {
            self.nodes.push(Growing::default());
        }
        child
    }

    /// Reports each pair of routes that match the same requests.
    fn find_conflicts(&mut self) {
        let pairs = conflict::pairs(&self.drafts, &self.listener_sets, self.listener_words());
        for (later, earlier) in pairs {
            let name = |r: u32| &self.routes[r as usize].name;
            let message = format!(
                "the routes {:?} (routes.{earlier}) and {:?} (routes.{later}) match the same requests: \
                 give one of them a `priority` or a narrower match",
                name(earlier),
                name(later)
            );
            self.fault(format!("routes.{later}"), message);
        }
    }

    fn lay_out(mut self) -> RouteTable {
        for (rank, draft) in (0u32..).zip(&self.drafts) {
            match draft.place {
                Place::End(node) => self.nodes[node as usize].end.push(rank),
                Place::Rest(node) => self.nodes[node as usize].rest.push(rank),
                Place::Prefix(node) => self.nodes[node as usize].prefix.push(rank),
                Place::Regex { tree, .. } => self.trees[tree as usize].regexes.push(rank),
                Place::NoPath { tree } => self.trees[tree as usize].no_path.push(rank),
            }
        }
        let mut layout = Layout::default();
        let nodes = layout.nodes(&self.nodes);
        let trees = self.trees.iter().map(|tree| layout.tree(tree, &nodes)).collect();
        let edges = self.nodes.iter().zip(0u32..).filter(|(node, _)| node.children.len() > 1);
        let edges: Vec<(u32, &[u8], u32)> =
            edges.flat_map(|(node, id)| node.children.iter().map(move |(key, child)| (id, &key[..], *child))).collect();
        let hosts: Vec<(u32, &[u8], u32)> = self
            .hosts
            .iter()
            .filter_map(|(host, tree)| match host {
                Host::Exact(name) => Some((0, &name[..], *tree)),
                Host::Wildcard(suffix) => Some((1, &suffix[..], *tree)),
                Host::Any => None,
            })
            .collect();
        let labels = |suffix: &[u8]| memchr::memchr_iter(b'.', suffix).count();
        RouteTable {
            wildcard_labels: hosts.iter().filter(|h| h.0 == 1).map(|h| labels(h.1)).max().unwrap_or(0),
            any_host: self.hosts.get(&Host::Any).copied(),
            hosts: Index::build(hosts.into_iter()),
            edges: Index::build(edges.into_iter()),
            listener_words: self.listener_words(),
            listeners: self.listeners.len(),
            listener_sets: self.listener_sets,
            methods: self.methods,
            candidates: self.drafts.into_iter().map(|d| d.candidate).collect(),
            predicates: self.predicates,
            patterns: self.patterns,
            regexes: self.regexes,
            trees,
            nodes,
            labels: layout.labels,
            lists: layout.lists,
        }
    }
}

/// Whether a step of the route reads what its path captured.
fn reads_captures(route: &Route) -> bool {
    let lean = matches!(route.action, Action::Service(_) | Action::Respond(_)) && route.rewrite.is_none();
    !lean || route.on_request
}

fn captured(segment: &Segment, number: u32) -> Option<(u32, bool, Box<str>)> {
    match segment {
        Segment::Literal(_) => None,
        Segment::Capture(name) => Some((number, false, name.as_str().into())),
        Segment::Rest(name) => Some((number, true, name.as_str().into())),
    }
}
