//! The Python side of `trait Host`: the object that an engine and an executor share, and simulated requests for both.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastgate_core::auth::Identity;
use fastgate_core::filter::Edit;
use fastgate_core::http1::{Progress, Request};
use fastgate_engine::host::{Decision, HookFailed};
use pyo3::exceptions::{PyOSError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Error;
use crate::identity;
use crate::job::{Job, Simulated};
use crate::primitives::default_rules;
use crate::process::{Owner, leave};
use crate::queue::{MAX_JOBS, Queue};

/// Where an engine leaves requests that have hooks, and lines for the log; an executor works on them.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct Host {
    queue: Arc<Queue>,
    owner: Owner,
}

impl Host {
    /// What the engine posts to.
    pub fn queue(&self) -> Result<Arc<Queue>, Error> {
        self.owner.check()?;
        Ok(Arc::clone(&self.queue))
    }
}

impl Drop for Host {
    /// In a forked process the jobs are the parent's: they are left alone.
    fn drop(&mut self) {
        if !self.owner.is_here() {
            leave(Arc::clone(&self.queue));
        }
    }
}

#[pymethods]
impl Host {
    #[new]
    fn new() -> PyResult<Self> {
        let queue =
            Queue::new().map_err(|e| PyOSError::new_err(format!("no descriptor for the executor's wake-up: {e}")))?;
        Ok(Self { queue: Arc::new(queue), owner: Owner::here() })
    }

    /// The address of the queue for the C table; valid as long as this object lives.
    fn _address(&self) -> PyResult<usize> {
        self.owner.check()?;
        Ok(Arc::as_ptr(&self.queue) as usize)
    }

    /// Refuses everything from now on, fails what waits and ends the executor's loop.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.owner.check()?;
        py.detach(|| self.queue.close());
        Ok(())
    }

    /// Requests that found the queue full (65,536) or closed, since the start.
    #[getter]
    fn refused(&self) -> u64 {
        self.queue.refused()
    }

    /// Requests that wait now.
    #[getter]
    fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Sends `count` requests with this head through the executor, without an engine or a socket.
    ///
    /// `identity` is who is asking, as a JSON object. Returns when each is decided; for tests and benchmarks. Raises
    /// `ValueError` for a head that is refused or not complete, an identity that is none, and a count that the queue
    /// cannot hold, `TimeoutError` when it takes longer than `timeout` seconds.
    #[pyo3(signature = (head, route, *, count = 1, timeout = 30.0, identity = None))]
    fn simulate(
        &self,
        py: Python<'_>,
        head: &[u8],
        route: &str,
        count: usize,
        timeout: f64,
        identity: Option<&[u8]>,
    ) -> PyResult<Simulation> {
        self.owner.check()?;
        if !(1..=MAX_JOBS).contains(&count) {
            return Err(PyValueError::new_err(format!("count is {count}: it must be 1 to {MAX_JOBS}")));
        }
        let limit = Duration::try_from_secs_f64(timeout).map_err(|e| PyValueError::new_err(format!("timeout: {e}")))?;
        let bytes: Arc<[u8]> = head.into();
        let identity = identity.map(identity::read).transpose().map_err(PyValueError::new_err)?.map(Arc::new);
        let (queue, tally) = (Arc::clone(&self.queue), Arc::new(Tally::new(count)));
        let jobs = (0..count)
            .map(|_| simulated(&bytes, route, identity.as_ref(), &tally))
            .collect::<PyResult<Vec<Box<Job>>>>()?;
        let seconds = py.detach(move || {
            let start = Instant::now();
            queue.post(jobs);
            tally.wait(limit).map(|outcomes| (start.elapsed().as_secs_f64(), outcomes))
        });
        match seconds {
            Some((seconds, outcomes)) => Ok(Simulation { seconds, outcomes }),
            None => Err(PyTimeoutError::new_err(format!("not every request was decided within {timeout} s"))),
        }
    }
}

fn simulated(
    bytes: &Arc<[u8]>,
    route: &str,
    identity: Option<&Arc<Identity>>,
    tally: &Arc<Tally>,
) -> PyResult<Box<Job>> {
    let mut request = Request::new();
    match request.parse(bytes, default_rules()) {
        Ok(Progress::Complete(_)) => {}
        Ok(Progress::Incomplete) => return Err(PyValueError::new_err("the head is not complete")),
        Err(reason) => return Err(Error::Refused(reason).into()),
    }
    let (bytes, identity, tally) = (Arc::clone(bytes), identity.cloned(), Some(Arc::clone(tally)));
    Ok(Box::new(Job::from(Simulated { route: route.to_owned(), bytes, request, identity, tally })))
}

type Outcome = Result<Decision, HookFailed>;

/// Collects the outcomes of simulated requests.
pub struct Tally {
    wanted: usize,
    outcomes: Mutex<Vec<Outcome>>,
    changed: Condvar,
}

impl Tally {
    fn new(wanted: usize) -> Self {
        Self { wanted, outcomes: Mutex::new(Vec::with_capacity(wanted)), changed: Condvar::new() }
    }

    /// Notes one outcome; only the last one wakes the caller, or the wake-ups would be what is measured.
    pub fn add(&self, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.push(outcome);
        if outcomes.len() >= self.wanted {
            self.changed.notify_one();
        }
    }

    fn wait(&self, limit: Duration) -> Option<Vec<Outcome>> {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut outcomes, _) = self
            .changed
            .wait_timeout_while(outcomes, limit, |outcomes| outcomes.len() < self.wanted)
            .unwrap_or_else(PoisonError::into_inner);
        (outcomes.len() >= self.wanted).then(|| std::mem::take(&mut *outcomes))
    }
}

/// What became of simulated requests.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct Simulation {
    /// From the first post to the last decision, in seconds.
    #[pyo3(get)]
    seconds: f64,
    outcomes: Vec<Outcome>,
}

#[pymethods]
impl Simulation {
    /// One dict a request: `failed`, `edits` (kind, name, value), `answer` (status, fields, body) or `None`.
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Vec<HashMap<&'static str, Bound<'py, PyAny>>>> {
        self.outcomes.iter().map(|outcome| describe(py, outcome)).collect()
    }
}

fn describe<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<HashMap<&'static str, Bound<'py, PyAny>>> {
    let bytes = |b: &[u8]| PyBytes::new(py, b);
    let decision = outcome.as_ref().ok();
    let edits: Vec<_> = decision
        .into_iter()
        .flat_map(|d| &d.edits)
        .map(|edit| match edit {
            Edit::Set(name, value) => ("set", bytes(name), Some(bytes(value))),
            Edit::Add(name, value) => ("add", bytes(name), Some(bytes(value))),
            Edit::Remove(name) => ("remove", bytes(name), None),
        })
        .collect();
    let answer = decision.and_then(|d| d.answer.as_ref()).map(|answer| {
        let fields: Vec<_> = answer.fields.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        (answer.status, fields, bytes(&answer.body))
    });
    Ok(HashMap::from([
        ("failed", outcome.is_err().into_pyobject(py)?.to_owned().into_any()),
        ("edits", edits.into_pyobject(py)?.into_any()),
        ("answer", answer.into_pyobject(py)?.into_any()),
    ]))
}
