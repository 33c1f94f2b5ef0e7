//! What a route that serves files needs to know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Files of a folder. The path behind the matched prefix is looked up below the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Static {
    /// The folder, absolute.
    pub root: String,
    /// Names to try, in order, for a path that ends with a slash; none: such paths are not found.
    pub index: Vec<String>,
    /// Codings whose files may stand beside a file (`app.js.br`), the preferred one first.
    #[serde(default)]
    pub precompressed: Vec<Coding>,
    /// The value of `Cache-Control`.
    #[serde(default)]
    pub cache_control: Option<String>,
    /// Media types by extension (lower case, no dot), before those that are built in.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Where files are read.
    #[serde(default)]
    pub reads: Reads,
}

/// A content coding that a file may be stored in beside itself (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// `.br`.
    Br,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstd,
}

impl Coding {
    /// What the file is called behind the name of the plain one.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Br => ".br",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The coding's name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether a client means it by that name.
    pub fn is_called(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// Where files are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// On the worker what the kernel holds in memory, on threads of their own what it does not.
    #[default]
    Auto,
    /// Always on threads of their own: for file systems that may wait even then (network, FUSE).
    Threads,
}
