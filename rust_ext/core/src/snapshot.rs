//! The snapshot: plain data, compiled once from the user's config, that crosses into the engine in one call.
//!
//! It is the contract between `fastgate.config` (which writes it as JSON) and the engine (which compiles it into
//! live objects and swaps them in by pointer). Every default is resolved by the writer: the engine invents none.
//! Times are whole milliseconds, sizes are bytes. Unknown keys are refused, so that the two sides cannot drift.

mod files;
mod internal;
mod logs;
pub mod policies;
mod realtime;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use files::{Coding, Reads, Static};
pub use internal::{Internal, InternalServes};
pub use logs::{AccessLog, Level, LineFormat, LogFormat, LogTarget, Logs};
pub use policies::Policies;
pub use realtime::{
    ClientPublish, Endpoint, Origins, PublicationFormat, PublishCall, PublishKey, Queue, Realtime, Redis, SecretString,
    Source, WhenFull,
};

/// The version of this contract; a snapshot of another version is refused.
pub const VERSION: u32 = 1;

/// Everything the engine needs to know, as one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Must equal [`VERSION`].
    pub version: u32,
    /// Worker threads; 0 lets the engine choose (the CPUs this process may use). Fixed at start: a reload keeps it.
    pub workers: u32,
    /// Give each worker a descriptor table of its own even where the shared one is large enough (tests force it).
    pub private_descriptors: bool,
    /// Ceilings of the whole process.
    pub limits: Limits,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Where requests go.
    pub services: Vec<Service>,
    /// Which request goes where.
    pub routes: Vec<Route>,
    /// Header names written from identity: every client's copy (aliases included) is removed on every route.
    pub reserved_headers: Vec<String>,
    /// Name servers to ask (`ADDR:PORT`); none: the system's configuration.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// What is logged.
    #[serde(default)]
    pub logs: Logs,
    /// Where the engine itself says how it is; without one nothing is opened.
    #[serde(default)]
    pub internal: Vec<Internal>,
    /// The hub.
    #[serde(default)]
    pub realtime: Realtime,
    /// Policies, found by the number that routes name.
    #[serde(default)]
    pub policies: Vec<Policies>,
    /// Who uses the gateway.
    #[serde(default)]
    pub consumers: Vec<policies::Consumer>,
    /// Secrets under which API keys are digested, by name.
    #[serde(default)]
    pub key_pepper: BTreeMap<String, SecretString>,
    /// Where security decisions are recorded; `None`: nowhere.
    #[serde(default)]
    pub audit: Option<policies::Audit>,
}

impl Snapshot {
    /// Whether requests are counted by tenant.
    #[must_use]
    pub fn counts_tenants(&self) -> bool {
        self.internal.iter().any(|internal| internal.tenants)
    }
}

/// Ceilings of the process (the config's top-level `limits`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Client connections open at once, all workers together; 0: as many as one descriptor table holds.
    pub max_connections: u32,
    /// Bytes of a request head, request line included.
    pub headers: u32,
    /// Field lines of a request head.
    pub header_count: u16,
    /// Bytes of a request target.
    pub uri: u32,
    /// Time a client has for a whole head, from its first byte.
    pub header_timeout_ms: u64,
    /// Time without progress after which a peer that does not read is dropped.
    pub write_stall_ms: u64,
    /// Bytes a second below which a request body is too slow, averaged since its start after a grace of 10 s; 0: off.
    pub body_min_rate: u32,
    /// Age at which a keep-alive connection is closed together with an answer.
    pub connection_age_ms: u64,
    /// Accepted connections a second and worker; 0: no limit.
    pub accept_rate: u32,
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// Time between readiness going down and the listeners closing.
    pub notice_ms: u64,
    /// Time in-flight requests have before they are cut.
    pub limit_ms: u64,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The name in the config.
    pub name: String,
    /// `ADDR:PORT` (IPv6 in brackets) or `unix:/path`.
    pub bind: String,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What becomes of `%2F` in a path.
    pub encoded_slash: EncodedSlash,
    /// What becomes of dot segments in a path.
    pub dot_segments: DotSegments,
    /// What becomes of header names with an underscore.
    pub underscore_headers: UnderscoreHeaders,
    /// What this listener serves.
    pub serves: Serves,
    /// TLS is spoken here; `None`: cleartext.
    #[serde(default)]
    pub tls: Option<policies::ListenerTls>,
    /// Every request is redirected to https.
    #[serde(default)]
    pub redirect_https: bool,
    /// Peers that send the PROXY protocol; none: nobody does.
    #[serde(default)]
    pub proxy_protocol: Vec<IpNet>,
}

/// What becomes of `%2F` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlash {
    /// 400.
    Refuse,
    /// Kept, still encoded, as part of its segment.
    Keep,
}

/// What becomes of dot segments in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DotSegments {
    /// 400.
    Refuse,
    /// Removed as in RFC 3986 §5.2.4; the upstream gets the resolved path.
    Resolve,
}

/// What becomes of header names with an underscore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnderscoreHeaders {
    /// The field line is left out.
    Drop,
    /// Kept, unless it is an alias of a reserved name.
    Pass,
    /// 400.
    Refuse,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serves {
    /// Proxied HTTP routes.
    pub http: bool,
    /// Hub endpoints.
    pub realtime: bool,
    /// The publish API.
    pub publish: bool,
}

impl Serves {
    /// Whether a route with this action is served here.
    pub fn takes(self, action: &Action) -> bool {
        match action {
            Action::Service(_) | Action::Respond(_) | Action::Redirect(_) | Action::Static(_) => self.http,
            Action::Realtime(_) => self.realtime,
            Action::Publish(_) => self.publish,
        }
    }
}

/// A named group of targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name in the config; inline services are named after their route.
    pub name: String,
    /// At least one.
    pub targets: Vec<Target>,
    /// How a target is chosen.
    pub balance: Balance,
    /// Connections to each target.
    pub pool: Pool,
    /// How TLS is spoken to targets whose URL is https; `None`: as by default.
    #[serde(default)]
    pub tls: Option<policies::ServiceTls>,
}

/// One upstream address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `http://HOST[:PORT]` or `unix:/path`, as written.
    pub url: String,
    /// Where to connect.
    pub address: Address,
    /// The Host header under `host: target`.
    pub authority: String,
    /// At least 1.
    pub weight: u32,
    /// Its URL is https.
    #[serde(default)]
    pub tls: bool,
}

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A literal address.
    Ip {
        /// The address.
        ip: IpAddr,
        /// 1-65535.
        port: u16,
    },
    /// A name, resolved off the hot path and again by its TTL.
    Name {
        /// The host name.
        name: String,
        /// 1-65535.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(String),
}

/// How a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// One after the other.
    RoundRobin,
}

/// Connections to each target of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Connections to one target, all workers together, busy or idle.
    pub max_per_target: u32,
    /// Age at which an unused connection is closed.
    pub idle_ms: u64,
}

/// One route: what it matches and what it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The name in the config.
    pub name: String,
    /// Higher wins before anything else is compared.
    pub priority: i32,
    /// Any of them; at least one.
    pub matches: Vec<Match>,
    /// Names of listeners that serve it; `None`: every one.
    pub listeners: Option<Vec<String>>,
    /// What happens.
    pub action: Action,
    /// Applied to the path before it goes upstream.
    pub rewrite: Option<Rewrite>,
    /// What the upstream sees as Host.
    pub host: HostPolicy,
    /// A client's FIN while an answer is pending: answer first (`true`) or cancel the upstream work.
    pub half_close_keep: bool,
    /// Protocols passed on in `Upgrade`, lower case.
    pub upgrade: Vec<String>,
    /// Time-outs of the exchange.
    pub timeouts: Timeouts,
    /// Bytes of a request body that only streams through; `None`: no limit.
    pub max_body: Option<u64>,
    /// Changes to the request's headers.
    pub request_headers: HeaderEdits,
    /// Changes to the response's headers.
    pub response_headers: HeaderEdits,
    /// Run the host's request hooks (Python) before a target is chosen.
    pub on_request: bool,
    /// Bytes the gateway holds for a client that does not read.
    pub held_bytes: u32,
    /// Times of this route's requests get histograms of their own, besides those of its service.
    #[serde(default)]
    pub histogram: bool,
    /// The share of its requests in the access log, 0-1; `None`: the log's own.
    #[serde(default)]
    pub access_log_sample: Option<f64>,
    /// Its policies, by their number among the snapshot's; `None`: it has none.
    #[serde(default)]
    pub policies: Option<u32>,
}

/// One way to match. Absent parts match everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// On the canonical path.
    pub path: Option<PathMatch>,
    /// Exact, or `*.` and a suffix of one or more labels; lower case, no port.
    pub hosts: Vec<String>,
    /// Upper case.
    pub methods: Vec<String>,
    /// By lower-case name; all must hold.
    pub headers: BTreeMap<String, ValueMatch>,
    /// By name; all must hold.
    pub query: BTreeMap<String, ValueMatch>,
    /// Any of them; empty: every address.
    pub client_ip: Vec<IpNet>,
}

/// How a path is matched, always on its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatch {
    /// Whole segments; captures the remainder, leading `/` included, as `rest`.
    Prefix(String),
    /// Exact, or a template: `{id}` is one segment, `{rest:path}` the remainder.
    Path(String),
    /// A linear-time expression on the whole path.
    Regex(String),
}

/// How a header or query value is matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueMatch {
    /// Byte for byte.
    Exact(String),
    /// There (`true`) or not there (`false`).
    Present(bool),
    /// A linear-time expression on the whole value.
    Regex(String),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Proxy to the service of that name.
    Service(String),
    /// Answer directly.
    Respond(Respond),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer with files of a folder.
    Static(Static),
    /// Let a subscriber into the hub.
    Realtime(Endpoint),
    /// Take publications (`realtime.keys` says from whom).
    Publish(PublishCall),
}

/// A fixed answer. Without a body, 4xx and 5xx get a problem document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// 200-599.
    pub status: u16,
    /// Field lines, in order.
    pub headers: Vec<(String, String)>,
    /// The content, verbatim.
    pub body: Option<String>,
}

/// A redirect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// A template over the captures, `{host}`, `{path}`, `{query}`; the query is kept unless the template has a `?`.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// Applied to the path before it goes upstream; the query is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rewrite {
    /// Remove this prefix (whole segments) from the received path.
    StripPrefix(String),
    /// Put something else in the place of the matched prefix.
    ReplacePrefix(String),
    /// A template over the captures.
    Path(String),
}

/// What the upstream sees as Host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPolicy {
    /// What the client sent.
    Keep,
    /// The target's own authority.
    Target,
    /// A fixed name.
    Name(String),
}

/// Time-outs of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection to a target stands.
    pub connect_ms: u64,
    /// From the last byte of the request sent to the response's head.
    pub response_ms: u64,
    /// Without a byte either way while bodies or a tunnel flow.
    pub idle_ms: u64,
}

/// Changes to headers: remove, then set, then add.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEdits {
    /// Replaces every field line of that name.
    pub set: Vec<(String, String)>,
    /// Adds a field line.
    pub add: Vec<(String, String)>,
    /// Removes every field line of that name.
    pub remove: Vec<String>,
}

/// Why a snapshot was refused: a path into it and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Dotted path, list indices as numbers: `routes.3.matches.0.path`.
    pub path: String,
    /// What was wrong and what is allowed.
    pub message: String,
}

impl Invalid {
    /// One finding.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl Snapshot {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// One [`Invalid`] that names where the text departs from the contract.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Invalid> {
        let snapshot: Self =
            serde_json::from_slice(bytes).map_err(|e| Invalid::new("", format!("not a snapshot: {e}")))?;
        if snapshot.version == VERSION {
            Ok(snapshot)
        } else {
            Err(Invalid::new("version", format!("snapshot version {} is not {VERSION}", snapshot.version)))
        }
    }
}
