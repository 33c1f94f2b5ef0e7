//! The extension module `fastgate._engine`: PyO3 classes over the engine, the host of Python hooks, and the table of C
//! functions that `fastgate._core` calls. This file only registers.
//!
//! Two ways lead in: control (this module's classes, GIL held by the caller and released while the engine works) and
//! hot (the C table, pointers and lengths only). I/O threads never take the GIL: they post to [`queue::Queue`].

mod capi;
mod certs;
mod credentials;
mod development_key;
mod engine;
mod error;
mod explain;
mod host;
mod identity;
mod job;
mod primitives;
mod process;
mod queue;
mod rate;
mod token;
mod websocket;
mod yaml;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The engine of fastgate. Private: use `fastgate` or `fastgate.primitives`.
// The lock of the interpreter is what guards a view against its engine memory; free-threaded builds turn it on.
#[pyo3::pymodule(gil_used = true)]
mod _engine {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::certs::{dev_authority, dev_certificate};
    #[pymodule_export]
    use crate::credentials::{api_key_kind, check_users, hash_password, make_api_key};
    #[pymodule_export]
    use crate::development_key::DevelopmentKey;
    #[pymodule_export]
    use crate::engine::{Engine, stop_all, validate};
    #[pymodule_export]
    use crate::error::{InvalidSnapshot, RequestRefused, StartError};
    #[pymodule_export]
    use crate::explain::{explain, precedence};
    #[pymodule_export]
    use crate::host::{Host, Simulation};
    #[pymodule_export]
    use crate::primitives::{ParsedRequest, Router, parse_request};
    #[pymodule_export]
    use crate::rate::{RateDecision, RateLimiter};
    #[pymodule_export]
    use crate::token::{JwtVerifier, KeySet, TokenRefused, verify_jws};
    #[pymodule_export]
    use crate::websocket::{
        WebSocketParser, WebSocketViolation, websocket_deflate, websocket_extensions, websocket_frame,
    };

    /// Whether a reference dropped without the GIL would be kept for later instead of being a fault.
    #[pymodule_export]
    const REFERENCE_POOL: bool = !cfg!(pyo3_disable_reference_pool);

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("_C_API", crate::capi::capsule(module.py())?)?;
        crate::yaml::register(module)?;
        crate::engine::stop_at_exit(module)
    }
}
