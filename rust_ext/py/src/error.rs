//! The exceptions of the boundary and the one conversion to them.

use fastgate_core::http1::Reason;
use fastgate_core::snapshot::Invalid;
use fastgate_engine::StartError as EngineError;
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    fastgate._engine,
    InvalidSnapshot,
    PyValueError,
    "The engine cannot run this snapshot; args[0]: a list of (path in the snapshot, sentence)."
);
create_exception!(
    fastgate._engine,
    StartError,
    PyOSError,
    "The system refuses what the snapshot asks for; args[0]: one sentence."
);
create_exception!(
    fastgate._engine,
    RequestRefused,
    PyValueError,
    "A request head that the gateway refuses; args: the reason's name, the status it is answered with, a sentence."
);

/// Everything that can go wrong between Python and the engine.
pub enum Error {
    /// The snapshot is wrong.
    Invalid(Vec<Invalid>),
    /// The system refuses.
    System(String),
    /// A request head is refused.
    Refused(Reason),
    /// The engine belongs to the process this one was forked from.
    Forked {
        /// The process that started it.
        owner: u32,
    },
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Invalid(found) => Self::Invalid(found),
            other => Self::System(other.to_string()),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(found) => InvalidSnapshot::new_err((pairs(found),)),
            Error::System(sentence) => StartError::new_err((sentence,)),
            Error::Refused(reason) => RequestRefused::new_err((reason.name(), reason.status(), reason.detail())),
            Error::Forked { owner } => PyRuntimeError::new_err(format!(
                "this engine was started by process {owner}; a forked process has to start one of its own"
            )),
        }
    }
}

/// Findings as Python sees them.
pub fn pairs(found: Vec<Invalid>) -> Vec<(String, String)> {
    found.into_iter().map(|f| (f.path, f.message)).collect()
}
