//! The compiled table and the look-up.
//!
//! All candidates stand in one array, sorted by the rule: a candidate's number *is* its rank. Each host pattern has a
//! tree of path segments; a node lists the candidates whose pattern ends there, and knows the best rank below it. A
//! look-up walks every branch that fits, but none that cannot better what it already holds: exact whatever the
//! priorities say, and nearly always one straight walk. The depth is bounded by the longest pattern.

use memchr::{memchr, memrchr};
use regex::bytes::Regex;

use super::index::{Index, NONE};
use super::predicate::{Methods, Predicates};
use super::{Captures, Found, Lookup, compile};
use crate::snapshot::{Invalid, Listener, Route};

/// Routes, compiled for look-ups; immutable, shared by all workers.
#[derive(Debug)]
pub struct RouteTable {
    pub(super) candidates: Vec<Candidate>,
    pub(super) predicates: Vec<Predicates>,
    pub(super) patterns: Vec<CapturePattern>,
    pub(super) regexes: Vec<Regex>,
    /// Sets of listeners, one bit each, `listener_words` words a set.
    pub(super) listener_sets: Vec<u64>,
    pub(super) listener_words: usize,
    pub(super) listeners: usize,
    pub(super) methods: Methods,
    /// (0, host) and (1, suffix with its dot) to a tree.
    pub(super) hosts: Index,
    /// Dots in the longest wildcard suffix; no longer suffix is looked up.
    pub(super) wildcard_labels: usize,
    pub(super) any_host: Option<u32>,
    pub(super) trees: Vec<Tree>,
    pub(super) nodes: Vec<Node>,
    /// (node, segment) to node.
    pub(super) edges: Index,
    /// Segments that are the only literal below their node.
    pub(super) labels: Vec<u8>,
    /// Candidate numbers, rising within each list.
    pub(super) lists: Vec<u32>,
}

/// One host of one match of one route: half a cache line.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Candidate {
    pub(super) methods: u64,
    pub(super) route: u32,
    pub(super) of_match: u16,
    /// Something in the route reads what the path captured.
    pub(super) reads_captures: bool,
    pub(super) listener_set: u32,
    pub(super) predicates: u32,
    pub(super) pattern: u32,
    /// For regexes.
    pub(super) regex: u32,
}

/// Candidates of one place, rising: a stretch of [`RouteTable::lists`], or the only one in place, as nearly always.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    /// At most one; [`NONE`]: none.
    One(u32),
    /// From and to.
    Many(u32, u32),
}

/// The patterns of one host pattern.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: u32,
    pub(super) regexes: List,
    pub(super) no_path: List,
    /// Best rank in it.
    pub(super) best: u32,
}

/// A place in the tree: the segments so far. One cache line, so that a step down a large tree costs one miss.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    /// Best rank here or below.
    pub(super) best: u32,
    /// Below `{name}`.
    pub(super) capture: u32,
    pub(super) literals: Literals,
    /// The path ends here.
    pub(super) end: List,
    /// `{name:path}` follows.
    pub(super) rest: List,
    /// A prefix ends here.
    pub(super) prefix: List,
}

/// The literal segments below a node.
#[derive(Debug, Clone, Copy)]
pub(super) enum Literals {
    None,
    /// One: compared in place.
    One {
        child: u32,
        start: u32,
        end: u32,
    },
    /// More: in [`RouteTable::edges`].
    Many,
}

/// What a match captures.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(super) enum CapturePattern {
    Nothing,
    /// Canonical bytes of the prefix.
    Prefix(u32),
    /// (number of the segment, takes the remainder, name), in order.
    Segments(Vec<(u32, bool, Box<str>)>),
    /// Named groups.
    Regex(u32),
}

struct Search<'a> {
    lookup: &'a Lookup<'a>,
    method: u64,
    /// Rank of the candidate held; [`NONE`] so far.
    best: u32,
    /// Methods of candidates that lacked nothing else.
    allow: u64,
}

impl RouteTable {
    /// Compiles all routes; `listeners` are those of the same snapshot.
    ///
    /// # Errors
    /// Every fault at once: paths into the snapshot (`routes.3.matches.0.path`) and a sentence each. Of two routes that
    /// match the same requests the later one is named as the path (`routes.j`), the earlier one in the sentence.
    pub fn compile(routes: &[Route], listeners: &[Listener]) -> Result<Self, Vec<Invalid>> {
        compile::table(routes, listeners)
    }

    /// Finds the route of a request by the rule of this module; `captures` holds what its path captured, or nothing.
    pub fn find(&self, lookup: &Lookup<'_>, captures: &mut Captures) -> Found {
        self.find_where(lookup, captures, |_| true)
    }

    /// The same, but `captures` stays empty where no step of the route reads it: most routes pay nothing for it.
    pub fn find_lean(&self, lookup: &Lookup<'_>, captures: &mut Captures) -> Found {
        self.find_where(lookup, captures, |candidate| candidate.reads_captures)
    }

    #[inline]
    fn find_where(
        &self,
        lookup: &Lookup<'_>,
        captures: &mut Captures,
        captured: impl FnOnce(&Candidate) -> bool,
    ) -> Found {
        captures.clear();
        if lookup.listener >= self.listeners {
            return Found::NotFound;
        }
        let mut search = Search { lookup, method: self.methods.bit(lookup.method), best: NONE, allow: 0 };
        self.search_hosts(&mut search);
        if let Some(candidate) = self.candidates.get(search.best as usize) {
            if captured(candidate) {
                self.capture(candidate, lookup.path, captures);
            }
            Found::Route(candidate.route as usize, candidate.of_match as usize)
        } else if search.allow != 0 {
            Found::MethodNotAllowed(self.methods.allow(search.allow))
        } else {
            Found::NotFound
        }
    }

    #[inline(always)]
    fn search_hosts(&self, search: &mut Search<'_>) {
        let host = search.lookup.host;
        if let Some(tree) = self.hosts.get(0, host) {
            self.search_tree(tree, search);
        }
        if self.wildcard_labels > 0 {
            self.search_wildcards(host, search);
        }
        if let Some(tree) = self.any_host {
            self.search_tree(tree, search);
        }
    }

    /// From the right, so that a host of thousands of labels costs no more look-ups than the longest wildcard has.
    fn search_wildcards(&self, host: &[u8], search: &mut Search<'_>) {
        let mut end = host.len();
        for _ in 0..self.wildcard_labels {
            match memrchr(b'.', &host[..end]) {
                Some(dot) if dot > 0 => end = dot,
                _ => return,
            }
            if let Some(tree) = self.hosts.get(1, &host[end..]) {
                self.search_tree(tree, search);
            }
        }
    }

    fn search_tree(&self, tree: u32, search: &mut Search<'_>) {
        let tree = &self.trees[tree as usize];
        if tree.best >= search.best {
            return;
        }
        if search.lookup.path.first() == Some(&b'/') {
            self.walk(tree.root, 1, search);
        }
        for &rank in self.list(&tree.regexes) {
            if rank >= search.best {
                break;
            }
            let regex = &self.regexes[self.candidates[rank as usize].regex as usize];
            if regex.is_match(search.lookup.path) && self.holds(rank, search) {
                search.best = rank;
            }
        }
        self.first(&tree.no_path, search);
    }

    /// `at` is where the next segment starts; beyond the path's end there is none.
    fn walk(&self, node: u32, at: usize, search: &mut Search<'_>) {
        let here = &self.nodes[node as usize];
        if here.best >= search.best {
            return;
        }
        let path = search.lookup.path;
        if at > path.len() {
            self.first(&here.end, search);
        } else {
            let rest = &path[at..];
            let segment = &rest[..memchr(b'/', rest).unwrap_or(rest.len())];
            let next = at + segment.len() + 1;
            match here.literals {
                Literals::None => {}
                Literals::One { child, start, end } => {
                    if &self.labels[start as usize..end as usize] == segment {
                        self.walk(child, next, search);
                    }
                }
                Literals::Many => {
                    if let Some(child) = self.edges.get(node, segment) {
                        self.walk(child, next, search);
                    }
                }
            }
            if here.capture != NONE && !segment.is_empty() {
                self.walk(here.capture, next, search);
            }
            self.first(&here.rest, search);
        }
        self.first(&here.prefix, search);
    }

    #[inline]
    fn list<'a>(&'a self, list: &'a List) -> &'a [u32] {
        match list {
            List::One(NONE) => &[],
            List::One(rank) => std::slice::from_ref(rank),
            List::Many(start, end) => &self.lists[*start as usize..*end as usize],
        }
    }

    /// Takes the first of a list that holds and betters what is held.
    #[inline]
    fn first(&self, list: &List, search: &mut Search<'_>) {
        for &rank in self.list(list) {
            if rank >= search.best {
                return;
            }
            if self.holds(rank, search) {
                search.best = rank;
                return;
            }
        }
    }

    /// Whether everything but the path (and the host) fits.
    #[inline]
    fn holds(&self, rank: u32, search: &mut Search<'_>) -> bool {
        let candidate = &self.candidates[rank as usize];
        let listener = search.lookup.listener;
        let word = candidate.listener_set as usize * self.listener_words + listener / 64;
        if self.listener_sets[word] >> (listener % 64) & 1 == 0 {
            return false;
        }
        let method = candidate.methods & search.method != 0;
        if !method && candidate.methods & !search.allow == 0 {
            return false;
        }
        let rest = self.predicates.get(candidate.predicates as usize).is_none_or(|p| p.hold(search.lookup));
        if rest && !method {
            search.allow |= candidate.methods;
        }
        rest && method
    }

    fn capture(&self, candidate: &Candidate, path: &[u8], captures: &mut Captures) {
        match &self.patterns[candidate.pattern as usize] {
            CapturePattern::Nothing => {}
            CapturePattern::Prefix(len) => {
                captures.set_prefix(*len);
                captures.push("rest", *len as usize, path.len());
            }
            CapturePattern::Segments(wanted) => {
                let (mut number, mut at) = (0, 1);
                for (segment, remainder, name) in wanted {
                    while number < *segment {
                        at += memchr(b'/', &path[at..]).map_or(0, |n| n + 1);
                        number += 1;
                    }
                    let len = path.len() - at;
                    let len = if *remainder { len } else { memchr(b'/', &path[at..]).unwrap_or(len) };
                    captures.push(name, at, at + len);
                }
            }
            CapturePattern::Regex(regex) => {
                let regex = &self.regexes[*regex as usize];
                let mut groups = regex.capture_locations();
                if regex.captures_read(&mut groups, path).is_some() {
                    for (number, name) in regex.capture_names().enumerate() {
                        if let (Some(name), Some((start, end))) = (name, groups.get(number)) {
                            captures.push(name, start, end);
                        }
                    }
                }
            }
        }
    }
}

const _: () = assert!(size_of::<Node>() == 64 && size_of::<Candidate>() == 32, "a large table costs few misses");
