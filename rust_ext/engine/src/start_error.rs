//! Why an engine does not start or does not change.

use std::fmt;

use fastgate_core::snapshot::Invalid;

/// Why the engine could not start or change; `Display` is one clear sentence (a line for each finding of `Invalid`).
#[derive(Debug)]
pub enum StartError {
    /// The snapshot was refused: everything that is wrong with it.
    Invalid(Vec<Invalid>),
    /// A listener's address cannot be had.
    Bind {
        /// The listener's name.
        listener: String,
        /// The address it wanted.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The machine refused something else.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(found) => {
                let lines: Vec<_> = found.iter().map(|i| format!("{}: {}", i.path, i.message)).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Bind { listener, address, reason } => {
                write!(f, "listener {listener} cannot listen on {address}: {reason}")
            }
            Self::System(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}
