//! What is logged, where to and how.

use serde::{Deserialize, Serialize};

/// The logs of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// One line a request; `None`: no access log.
    pub access: Option<AccessLog>,
    /// The least important diagnostic lines.
    pub level: Level,
    /// How the host writes them.
    pub format: LineFormat,
    /// Query parameters whose values no line shows.
    pub redact_query: Vec<String>,
    /// Headers whose values no line shows.
    pub redact_headers: Vec<String>,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Where lines go.
    pub to: LogTarget,
    /// What they look like.
    pub format: LogFormat,
    /// The share of requests that is logged, 0-1; a route's own replaces it.
    pub sample: f64,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file of that path.
    File(String),
    /// A syslog daemon: the path of its datagram socket, or `HOST:PORT` for UDP.
    Syslog(String),
}

/// What lines look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object each.
    Json,
    /// Apache's combined format.
    Combined,
    /// Text with `{name}` in it.
    Template(String),
}

/// How diagnostic lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// A sentence and `name=value`.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

/// How important a diagnostic line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// Normal life.
    #[default]
    Info,
    /// Something to look at; service goes on.
    Warning,
    /// Something failed.
    Error,
}
