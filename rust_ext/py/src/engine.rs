//! The class `Engine`: control calls into a running engine. The GIL is released while the engine works.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fastgate_core::snapshot::Snapshot;
use fastgate_engine::host::{Host as HostTrait, NoHost};
use fastgate_engine::{Disconnect, Engine as Inner, Handed, RevokeBy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::error::{Error, pairs};
use crate::host::Host;
use crate::process::{Owner, leave};

/// How often a waiting call lets Python handle signals.
const SIGNALS: Duration = Duration::from_millis(100);
/// How long the end of the process waits for an engine's threads.
const AT_EXIT: Duration = Duration::from_secs(5);

/// Engines that the end of the process has to stop.
static RUNNING: Mutex<Vec<Weak<Running>>> = Mutex::new(Vec::new());

/// An engine and the process it belongs to.
pub struct Running {
    pub(crate) engine: Inner,
    owner: Owner,
}

/// A running engine. It belongs to the process that started it: a forked child cannot use it.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct Engine {
    running: Arc<Running>,
}

impl Engine {
    fn inner(&self) -> Result<&Inner, Error> {
        self.running.owner.check()?;
        Ok(&self.running.engine)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.running.owner.is_here() {
            self.running.engine.stop();
        } else {
            leave(Arc::clone(&self.running));
        }
    }
}

#[pymethods]
impl Engine {
    /// Starts the engine; returns once every listener accepts.
    ///
    /// `host` gets the requests of routes with hooks, and the log; without it those requests fail and the log goes to
    /// stderr. `handed` are listening sockets opened before this process, name and descriptor; the engine uses copies
    /// of them. Raises `InvalidSnapshot` for a snapshot the engine cannot run, `StartError` where the system refuses.
    #[new]
    #[pyo3(signature = (snapshot, host = None, handed = None))]
    fn new(py: Python<'_>, snapshot: &[u8], host: Option<&Host>, handed: Option<Vec<(String, i32)>>) -> PyResult<Self> {
        let handed = handed.unwrap_or_default().into_iter().map(copy).collect::<PyResult<Vec<_>>>()?;
        let host: Arc<dyn HostTrait> = match host {
            Some(host) => host.queue()?,
            None => Arc::new(NoHost),
        };
        let engine = py.detach(|| {
            let started = Inner::start_with(read(snapshot)?, host, handed).map_err(Error::from);
            give_memory_back();
            started
        })?;
        let running = Arc::new(Running { engine, owner: Owner::here() });
        let mut all = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&running));
        Ok(Self { running })
    }

    /// Every listener's name and the address it is bound to.
    fn addresses(&self) -> PyResult<Vec<(String, String)>> {
        Ok(self.inner()?.addresses())
    }

    /// Swaps in another snapshot; on any error the old one stays.
    ///
    /// Raises `InvalidSnapshot` or `StartError` as the constructor does.
    fn apply(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<()> {
        let engine = self.inner()?;
        Ok(py.detach(|| {
            let applied = engine.apply(read(snapshot)?).map_err(Error::from);
            give_memory_back();
            applied
        })?)
    }

    /// Whether every worker answers within `limit` seconds: none hangs.
    fn alive(&self, py: Python<'_>, limit: f64) -> PyResult<bool> {
        let engine = self.inner()?;
        let limit = Duration::try_from_secs_f64(limit).map_err(|e| PyValueError::new_err(format!("limit: {e}")))?;
        Ok(py.detach(|| engine.is_alive(limit)))
    }

    /// Begins a graceful end: the snapshot's `shutdown` says how long it may take. A second call changes nothing.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let engine = self.inner()?;
        py.detach(|| engine.drain());
        Ok(())
    }

    /// Ends now: open connections are cut.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let engine = self.inner()?;
        py.detach(|| engine.stop());
        Ok(())
    }

    /// Waits until every worker has ended, at most `timeout` seconds (`None`: for ever); returns whether they have.
    ///
    /// Python's signal handlers run meanwhile, within 100 ms; what they raise ends the wait.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let engine = self.inner()?;
        let limit = match timeout.map(Duration::try_from_secs_f64) {
            None => None,
            Some(Ok(limit)) => Instant::now().checked_add(limit),
            Some(Err(error)) => return Err(PyValueError::new_err(format!("timeout: {error}"))),
        };
        loop {
            let left = limit.map_or(SIGNALS, |limit| limit.saturating_duration_since(Instant::now()));
            if py.detach(|| engine.wait(Some(left.min(SIGNALS)))) {
                return Ok(true);
            }
            py.check_signals()?;
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// The address of what publishes, for the C table; valid as long as this object lives.
    fn _address(&self) -> PyResult<usize> {
        self.running.owner.check()?;
        Ok(Arc::as_ptr(&self.running) as usize)
    }

    /// Where each internal listener listens, by name.
    fn internal_addresses(&self) -> PyResult<Vec<(String, String)>> {
        Ok(self.inner()?.internal_addresses())
    }

    /// Says whether it wants traffic, and why not. Once it drains or stops it stays unready.
    #[pyo3(signature = (ready, reason = ""))]
    fn set_ready(&self, ready: bool, reason: &str) -> PyResult<()> {
        self.inner()?.set_ready(ready, reason);
        Ok(())
    }

    /// Counts a reload that failed before there was a snapshot to apply; `apply` counts its own.
    #[pyo3(signature = (reason = "the config is not valid"))]
    fn reload_failed(&self, reason: &str) -> PyResult<()> {
        self.inner()?.reload_failed(reason);
        Ok(())
    }

    /// Records in the audit trail that an API key was made or revoked: `key.created` or `key.revoked`, the key's name
    /// (never the key) and who did it. False: no trail is wanted, or the event has another name.
    fn audit_key(&self, py: Python<'_>, event: &str, key: &str, actor: &str) -> PyResult<bool> {
        let engine = self.inner()?;
        Ok(py.detach(|| engine.audit_key(event, key, actor)))
    }

    /// How it is and why: what `/healthz` says to a client on this machine.
    fn health<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.inner()?;
        let text = py.detach(|| engine.health_json());
        py.import("json")?.call_method1("loads", (text,))
    }

    /// Who is subscribed, to a channel or at all: `total`, and at most `limit` of them as `sessions`.
    #[pyo3(signature = (channel, limit))]
    fn sessions<'py>(&self, py: Python<'py>, channel: Option<&str>, limit: usize) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.inner()?;
        let text = py.detach(|| engine.sessions_json(channel, limit));
        py.import("json")?.call_method1("loads", (text,))
    }

    /// Ends a session, or every session of a channel, with that close code and reason; how many there were.
    ///
    /// Raises `ValueError` for what is no session's id, no code or no reason of a close frame.
    #[pyo3(signature = (session, channel, code, reason))]
    fn disconnect(
        &self,
        py: Python<'_>,
        session: Option<&str>,
        channel: Option<&str>,
        code: i64,
        reason: &str,
    ) -> PyResult<u64> {
        let engine = self.inner()?;
        let whom = match (session, channel) {
            (Some(id), None) => Disconnect::Session(id),
            (None, Some(name)) => Disconnect::Channel(name),
            _ => return Err(PyValueError::new_err("session or channel: one of them")),
        };
        let code = u16::try_from(code).unwrap_or(0);
        py.detach(|| engine.disconnect(whom, code, reason)).map_err(PyValueError::new_err)
    }

    /// Refuses tokens by `jti`, or those of a `sub` issued until now, for so many seconds; how many revocations there are.
    ///
    /// Raises `ValueError` where it cannot be kept.
    fn revoke_token(&self, by: &str, name: &str, seconds: u64) -> PyResult<usize> {
        let by = match by {
            "jti" => RevokeBy::Id,
            "sub" => RevokeBy::Subject,
            _ => return Err(PyValueError::new_err("jti or sub: one of them")),
        };
        self.inner()?.revoke_token(by, name, Duration::from_secs(seconds)).map_err(PyValueError::new_err)
    }

    /// The metrics in the Prometheus text format 0.0.4: what `/metrics` says.
    fn metrics_text(&self, py: Python<'_>) -> PyResult<String> {
        let engine = self.inner()?;
        Ok(py.detach(|| engine.metrics_text()))
    }

    /// How diagnostic lines should be written: ("debug", "info", "warning" or "error", "text" or "json").
    fn log_settings(&self) -> PyResult<(&'static str, &'static str)> {
        let (level, json) = self.inner()?.log_settings();
        Ok((level.name(), if json { "json" } else { "text" }))
    }

    /// Opens the access log's file anew, for whoever has moved it away: no line is lost or torn.
    ///
    /// Raises `StartError` where it cannot be opened; the old file goes on then.
    fn rotate_logs(&self, py: Python<'_>) -> PyResult<()> {
        let engine = self.inner()?;
        Ok(py.detach(|| engine.rotate_logs()).map_err(Error::System)?)
    }

    /// The counters, as one dict of plain values.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.inner()?.stats_json();
        py.import("json")?.call_method1("loads", (text,))
    }
}

/// Returns to the system what a large snapshot left behind: its plain form, and the one it replaced.
#[expect(unsafe_code, reason = "the allocator's own call has no safe form")]
fn give_memory_back() {
    // SAFETY: it takes a flag, touches only blocks that are free, and may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// The engine's own copy of a descriptor that Python holds.
#[expect(unsafe_code, reason = "Python hands descriptors over as numbers")]
fn copy((name, number): (String, i32)) -> PyResult<Handed> {
    if number < 0 {
        return Err(PyValueError::new_err(format!("{number} is not a descriptor")));
    }
    // SAFETY: the number is borrowed for this one call, which only asks the kernel for a copy; a number that is not
    // open is an error of that call, and nothing else is done with it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(Handed { name, fd: borrowed.try_clone_to_owned()? })
}

fn read(snapshot: &[u8]) -> Result<Snapshot, Error> {
    Snapshot::from_json(snapshot).map_err(|found| Error::Invalid(vec![found]))
}

/// What the engine finds wrong with a snapshot: (path in the snapshot, sentence), empty when it can run.
#[pyfunction]
pub fn validate(py: Python<'_>, snapshot: &[u8]) -> Vec<(String, String)> {
    py.detach(|| match Snapshot::from_json(snapshot) {
        Ok(snapshot) => pairs(Inner::validate(&snapshot)),
        Err(found) => pairs(vec![found]),
    })
}

/// Stops every engine of this process and waits for their threads, at most 5 s.
#[pyfunction]
#[pyo3(name = "_stop_all")]
pub fn stop_all(py: Python<'_>) {
    let all = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    let (own, foreign): (Vec<_>, Vec<_>) =
        all.iter().filter_map(Weak::upgrade).partition(|running| running.owner.is_here());
    foreign.into_iter().for_each(leave);
    py.detach(|| {
        own.iter().for_each(|running| running.engine.stop());
        let limit = Instant::now() + AT_EXIT;
        for running in &own {
            running.engine.wait(Some(limit.saturating_duration_since(Instant::now())));
        }
        drop(own);
    });
}

/// Has `threading` stop the engines before the interpreter ends: engine threads must not outlive it.
///
/// # Errors
/// The interpreter is ending already.
pub fn stop_at_exit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let threading = module.py().import("threading")?;
    threading.call_method1("_register_atexit", (module.getattr("_stop_all")?,))?;
    Ok(())
}
