//! What a limit is known by in every process that shares it.

use super::Rule;
use crate::snapshot::policies::Limit;
use crate::websocket::sha1;

/// Where a limit stands and its name, for people, and a digest of all that makes two counts two: place, name, what is
/// counted (`by_address`: the addresses that choose the keys) and how. A rate's numbers may change and are not in it.
#[must_use]
pub fn name(limit: &Limit, by_address: bool, rule: &Rule) -> String {
    let what = format!("{}\0{}\0{:?}\0{by_address}\0{}", limit.scope, limit.name, limit.per, rule.kind());
    let digest = sha1(what.as_bytes());
    let number = digest[..4].iter().fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    // Braces would bring all its keys to one server of a cluster.
    let shown = format!("{}/{}", limit.scope, limit.name).replace(['{', '}'], "_");
    format!("{}:{number:08x}", shown.trim_start_matches('/'))
}
