//! How often, and how many at once.

use serde::{Deserialize, Serialize};

/// One rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The name in the config.
    pub name: String,
    /// Where it stands in the config (`routes/projects`; empty: for all): with the name, whose count it is.
    #[serde(default)]
    pub scope: String,
    /// So many.
    pub count: u64,
    /// In so much time.
    pub window_ms: u64,
    /// So many at once; at least 1.
    pub burst: u64,
    /// What has a count of its own: the parts together are the key; empty: all requests of the rule share one.
    pub per: Vec<Part>,
    /// How much a request counts.
    pub cost: u64,
    /// The request header or claim that says how much it counts, in the place of `cost`.
    #[serde(default)]
    pub cost_from: Option<Part>,
    /// Counted and reported, not enforced.
    pub dry_run: bool,
    /// Counted by calendar or rolling windows in the place of a rate.
    pub window: Window,
    /// What happens at the limit, in order; empty: 429.
    pub then: Vec<Then>,
    /// How counts are shared with other processes: `None`: not at all; 0: each request asks the store; else leases
    /// renewed so often.
    pub sync_ms: Option<u64>,
    /// What counts while the store is down.
    pub on_store_failure: StoreFailure,
    /// The rate-limit fields go out with answers that pass, too.
    #[serde(default)]
    pub headers: bool,
    /// `X-RateLimit-*` go out, too.
    #[serde(default)]
    pub legacy_headers: bool,
    /// Where a header or a claim is counted: what one address may use, in keys.
    #[serde(default = "keys_per_address")]
    pub keys_per_address: u64,
}

impl Limit {
    /// A rate of all requests together, counted in this process.
    #[must_use]
    pub fn rate(count: u64, window_ms: u64, burst: u64) -> Self {
        Self {
            name: "rate".to_owned(),
            scope: String::new(),
            count,
            window_ms,
            burst,
            per: Vec::new(),
            cost: 1,
            cost_from: None,
            dry_run: false,
            window: Window::Flowing,
            then: Vec::new(),
            sync_ms: None,
            on_store_failure: StoreFailure::Local,
            headers: false,
            legacy_headers: false,
            keys_per_address: keys_per_address(),
        }
    }
}

fn keys_per_address() -> u64 {
    10
}

/// What a count is kept for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The consumer; without one, the client's address.
    Consumer,
    /// The tenant.
    Tenant,
    /// The client's address (IPv6: its /64).
    ClientIp,
    /// The API key.
    Key,
    /// The subject of the identity.
    Subject,
    /// The route.
    Route,
    /// The value of a header.
    Header(String),
    /// The value of a claim.
    Claim(String),
}

/// The kind of window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// None: the rate flows (GCRA).
    Flowing,
    /// The last `window_ms`.
    Rolling,
    /// Minutes, hours, days, months of the calendar, in UTC.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

/// What happens at a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The request waits, and passes.
    Delay(u64),
    /// 429 to every request of that key for so long, milliseconds.
    Deny(u64),
}

/// What counts while the store is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// This process's own counts.
    Local,
    /// Nothing: requests pass.
    Allow,
    /// Everything: 503.
    Deny,
}

/// Requests at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Where it stands in the config: whose count it is.
    #[serde(default)]
    pub scope: String,
    /// So many.
    pub max: u32,
    /// So many may wait.
    pub queue: u32,
    /// So long.
    pub wait_ms: u64,
    /// What has a count of its own.
    #[serde(default)]
    pub per: Vec<Part>,
}
