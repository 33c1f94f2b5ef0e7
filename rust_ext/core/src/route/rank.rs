//! The precedence rule, as an order of candidates.

use std::cmp::Reverse;

use super::table::Candidate;
use crate::snapshot::Route;

/// A candidate before it has its rank.
pub(super) struct Draft {
    pub(super) candidate: Candidate,
    pub(super) priority: i32,
    pub(super) host: Reverse<(u8, usize)>,
    pub(super) path: PathRank,
    /// Fewer first: 0 or 1, then headers, query parameters, 0 or 1.
    pub(super) predicates: (Reverse<bool>, Reverse<usize>, Reverse<usize>, Reverse<bool>),
    pub(super) head: Reverse<bool>,
    pub(super) place: Place,
    pub(super) named_methods: u64,
}

/// The path part of the rule; in the order of the variants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathRank {
    Exact,
    /// Segment by segment: literal 0, `{name}` 1, `{name:path}` 2.
    Template(Vec<u8>),
    Prefix(Reverse<usize>),
    Regex,
    None,
}

/// Which of a node's or tree's lists a candidate stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    End(u32),
    Rest(u32),
    Prefix(u32),
    Regex { tree: u32, regex: u32 },
    NoPath { tree: u32 },
}

/// Sorts the drafts by the rule, so that a candidate's place in the array is its rank.
pub(super) fn sort(drafts: &mut [Draft], routes: &[Route]) {
    let name = |d: &Draft| routes[d.candidate.route as usize].name.as_str();
    drafts.sort_by(|a, b| {
        b.priority
            .cmp(&a.priority)
            .then_with(|| a.host.cmp(&b.host))
            .then_with(|| a.path.cmp(&b.path))
            .then_with(|| a.predicates.cmp(&b.predicates))
            .then_with(|| a.head.cmp(&b.head))
            .then_with(|| name(a).cmp(name(b)))
            .then_with(|| (a.candidate.route, a.candidate.of_match).cmp(&(b.candidate.route, b.candidate.of_match)))
    });
}
