//! What is judged by where a request comes from, and what browsers are told: address lists, CORS, CSRF, headers that
//! make browsers stricter, and the PROXY protocol.

mod addresses;
mod cors;
mod csrf;
mod file;
mod headers;
pub mod proxy;

pub use addresses::{AddressTable, Collision, MAX_NETWORKS, Side, Verdict};
pub use cors::{Cors, Preflight, Refused};
pub use csrf::{CrossSite, Csrf};
pub use file::{MAX_FILE, networks};
pub use headers::{SecurityHeaders, is_local};

use ipnet::IpNet;

use crate::snapshot::policies::IpRules;

/// Builds the table of a policy: its own networks, then those of its files, one text a file in the order of the rules.
///
/// # Errors
/// A sentence: which file and line, or which network stands in both lists, or that there are too many.
pub fn address_table(rules: &IpRules, allow_files: &[&[u8]], deny_files: &[&[u8]]) -> Result<AddressTable, String> {
    let mut entries: Vec<(IpNet, Side)> = Vec::new();
    for (list, side) in [(&rules.allow, Side::Allow), (&rules.deny, Side::Deny)] {
        entries.extend(list.iter().map(|net| (*net, side)));
    }
    let files = [(&rules.allow_files, allow_files, Side::Allow), (&rules.deny_files, deny_files, Side::Deny)];
    for (names, texts, side) in files {
        for (name, text) in names.iter().zip(texts) {
            let read = networks(text).map_err(|reason| format!("{name}: {reason}"))?;
            if entries.len().saturating_add(read.len()) > MAX_NETWORKS {
                return Err(format!("{name}: more than {MAX_NETWORKS} networks, the most one policy takes"));
            }
            entries.extend(read.into_iter().map(|net| (net, side)));
        }
    }
    let only_allowed = !rules.allow.is_empty() || !rules.allow_files.is_empty();
    AddressTable::new(&entries, only_allowed).map_err(|Collision(net)| format!("{net} is both allowed and denied"))
}
