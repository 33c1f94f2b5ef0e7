//! Routes that match the same requests, so that nothing but chance would choose between them.

use std::collections::HashMap;

use super::rank::{Draft, Place};

/// Pairs (later, earlier) of routes with the same priority, host, path and predicates, and a method and a listener in
/// common. Each candidate is held against those before it up to the first that it collides with: of every pair one is
/// named, and a thousand equal routes give a thousand errors, not half a million.
pub(super) fn pairs(drafts: &[Draft], listener_sets: &[u64], words: usize) -> Vec<(u32, u32)> {
    let set = |id: u32| &listener_sets[id as usize * words..][..words];
    let mut groups: HashMap<(Place, i32, u32), Vec<usize>> = HashMap::with_capacity(drafts.len());
    let mut pairs = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        let group = groups.entry((draft.place, draft.priority, draft.candidate.predicates)).or_default();
        if let Some(other) = group.iter().map(|&other| &drafts[other]).find(|other| collide(draft, other, set)) {
            let (a, b) = (draft.candidate.route, other.candidate.route);
            pairs.push((a.max(b), a.min(b)));
        }
        group.push(at);
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn collide<'a>(a: &Draft, b: &Draft, set: impl Fn(u32) -> &'a [u64]) -> bool {
    let (x, y) = (a.named_methods, b.named_methods);
    a.candidate.route != b.candidate.route
        && (x & y != 0 || x == 0 && y == 0)
        && set(a.candidate.listener_set).iter().zip(set(b.candidate.listener_set)).any(|(x, y)| x & y != 0)
}
