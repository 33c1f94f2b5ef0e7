//! Routing: which route a request meets, what its path captured, and where rewrites and redirects lead.
//!
//! The rule, in this order; at the first difference the earlier one wins:
//!
//! 1. the higher `priority`;
//! 2. host: exact, then wildcard (longer first), then none;
//! 3. path: exact, then template (segment by segment: literal, `{id}`, `{rest:path}`), then the longest prefix, then
//!    regex, then no path at all;
//! 4. a method predicate before none; then more headers; then more query parameters;
//! 5. what the rule leaves open is settled so that the order of the file never matters: a client address predicate
//!    before none, a route that names HEAD before one that has it from GET, then the route's name.
//!
//! A candidate whose predicates fail passes to the next, also to less specific hosts. A route with `GET` also matches
//! `HEAD` (RFC 9110 §9.3.2); `OPTIONS` is never implied. 405 is the answer only if nothing but the method was missing.
//! Two routes that match the same requests at the same priority are an error.
//!
//! All paths here are the canonical path: percent-decoded once, runs of `/` merged, `;…` cut from each segment.

mod captures;
mod channel;
mod compile;
mod conflict;
mod explain;
mod host;
mod index;
mod layout;
mod pattern;
mod percent;
mod predicate;
mod rank;
mod redirect;
mod regexes;
mod rewrite;
mod table;
mod template;

use std::fmt;
use std::net::IpAddr;

pub use captures::Captures;
pub use channel::{ChannelTemplate, MAX_CHANNEL, NoChannel, is_channel};
pub use explain::{Missing, Verdict};
pub(crate) use percent::form;
pub use redirect::Redirector;
pub(crate) use regexes::search;
pub use rewrite::{RewriteError, Rewriter};
pub use table::RouteTable;

/// The header fields of a request, as far as routing needs them.
pub trait Fields {
    /// Calls `each` for every value of the (lower-case) name, in order, until it returns false.
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool);
}

/// What a route is looked up by.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// Index in the snapshot's listeners.
    pub listener: usize,
    /// Canonical: lower case, no port, no trailing dot; may be empty.
    pub host: &'a [u8],
    /// The canonical path.
    pub path: &'a [u8],
    /// As received.
    pub method: &'a [u8],
    /// Without the `?`.
    pub query: Option<&'a [u8]>,
    /// The client's address; `None` where it is not known.
    pub client: Option<IpAddr>,
    /// The header fields.
    pub fields: &'a dyn Fields,
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Index in the snapshot's routes, and which of the route's matches held.
    Route(usize, usize),
    /// Nothing but the method was missing.
    MethodNotAllowed(Allow),
    /// No route.
    NotFound,
}

/// The methods that would have been served (RFC 9110 §10.2.1); displays as `GET, HEAD, POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    value: String,
}

impl Allow {
    /// The value of the `Allow` field.
    pub fn as_str(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}
