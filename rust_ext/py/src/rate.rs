//! A rate alone, behind `fastgate.primitives`: the GCRA of the gateway's limits, one atomic word a key.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fastgate_core::limit::{Gcra, Hasher, Key, MAX_KEYS, RateTable, Verdict};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// A limiter's time begins here, so that a key that has never been seen is one whose time has passed.
const BEGIN_NS: u64 = 1_000_000_000;
/// Four years, in which every burst is paid back.
const LONGEST_S: f64 = 126_144_000.0;
/// A full limiter does not look for keys whose time has passed more often than this.
const SWEEP_EVERY_NS: u64 = 1_000_000_000;
/// What a table can tell apart after its beginning: nine years.
const LATEST_S: f64 = 9.0 * 365.0 * 86_400.0;
/// What `sweep` and a full limiter do is bounded by the keys; a larger table is asked for by mistake.
const MOST_KEYS: usize = 100_000_000;

/// How often each key may do something: GCRA, a rate with a burst, as the gateway's `limits` count.
///
/// With the clock held exactly `burst` passes; over any time `t` no more than `burst + rate * t / per`. Threads share one
/// limiter without a lock where a key is known, and no thread waits for another's Python code.
///
/// `rate` units of cost come back in `per` seconds; `burst` (`rate` unless given) is had at once. `max_keys` are counted on
/// their own, at most 64 bytes each; beyond them new keys share 65,536 counts, some with others, so a key may be refused
/// for what others did, but none ever has more than its rate. A key whose time has passed makes room. `clock` is asked
/// for seconds at each call; where it goes back, keys have less until it has caught up. Without it the monotonic clock.
///
/// Raises `ValueError` for numbers that do not fit.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct RateLimiter {
    rate: Gcra,
    burst: u64,
    hasher: Hasher,
    table: RateTable,
    time: Time,
    /// When a full table was swept last, or began to be.
    swept: AtomicU64,
}

enum Time {
    Monotonic(Instant),
    Asked { clock: Py<PyAny>, begin: f64 },
}

/// What a limiter says of one call; true where it passes.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct RateDecision {
    /// Whether it passes.
    #[pyo3(get)]
    allowed: bool,
    /// Units of cost that are left now.
    #[pyo3(get)]
    remaining: u64,
    /// Seconds after which a call of the same cost may pass: 0 where it passed, infinite where the cost is over the burst.
    #[pyo3(get)]
    retry_after: f64,
    /// Seconds after which the whole burst is there again.
    #[pyo3(get)]
    reset: f64,
}

#[pymethods]
impl RateDecision {
    fn __bool__(&self) -> bool {
        self.allowed
    }

    fn __repr__(&self) -> String {
        let Self { allowed, remaining, retry_after, reset } = self;
        let allowed = if *allowed { "True" } else { "False" };
        format!("RateDecision(allowed={allowed}, remaining={remaining}, retry_after={retry_after}, reset={reset})")
    }
}

// Written out in the signature, so that Python can show it.
const _: () = assert!(MAX_KEYS == 1_000_000);

#[pymethods]
impl RateLimiter {
    #[new]
    #[pyo3(signature = (rate, *, per = 1.0, burst = None, max_keys = 1_000_000, clock = None))]
    fn new(
        py: Python<'_>,
        rate: i64,
        per: f64,
        burst: Option<i64>,
        max_keys: i64,
        clock: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        if !(1e-9..=LONGEST_S).contains(&per) {
            return Err(PyValueError::new_err(format!("per is {per}; allowed: seconds from 1e-9 to four years")));
        }
        let rate_units = at_least_one("rate", rate)?;
        let burst = at_least_one("burst", burst.unwrap_or(rate))?;
        let keys = usize::try_from(at_least_one("max_keys", max_keys)?).unwrap_or(usize::MAX);
        if keys > MOST_KEYS {
            return Err(PyValueError::new_err(format!("max_keys is {keys}; allowed: at most {MOST_KEYS}")));
        }
        let rate = Gcra::new(rate_units, nanoseconds(per), burst, &[]).map_err(PyValueError::new_err)?;
        let time = match clock {
            None => Time::Monotonic(Instant::now()),
            Some(clock) => {
                let begin = ask(py, &clock)?;
                Time::Asked { clock, begin }
            }
        };
        let secret: [u8; 16] = py.import("os")?.call_method1("urandom", (16,))?.extract()?;
        let secret = u128::from_le_bytes(secret);
        let halves = ((secret >> 64) as u64, secret as u64);
        Ok(Self {
            rate,
            burst,
            hasher: Hasher::new(halves),
            table: RateTable::new(keys),
            time,
            swept: AtomicU64::new(0),
        })
    }

    /// Decides on a call of that cost, and counts it where it passes. Text counts as its bytes in UTF-8.
    ///
    /// Raises `ValueError` for a cost under 1 and for a clock that says no time.
    #[pyo3(signature = (key, cost = 1))]
    fn take(&self, py: Python<'_>, key: &Bound<'_, PyAny>, cost: i64) -> PyResult<RateDecision> {
        self.decide(py, key, cost, RateTable::take)
    }

    /// The same without counting it.
    #[pyo3(signature = (key, cost = 1))]
    fn peek(&self, py: Python<'_>, key: &Bound<'_, PyAny>, cost: i64) -> PyResult<RateDecision> {
        self.decide(py, key, cost, RateTable::judge)
    }

    /// Forgets keys whose time has passed and gives back their memory: milliseconds for a million keys.
    fn sweep(&self, py: Python<'_>) -> PyResult<()> {
        let now = self.now(py)?;
        py.detach(|| self.table.sweep(now));
        Ok(())
    }

    /// Keys that are held, those among them whose time has passed since the last sweep.
    #[getter]
    fn keys(&self) -> usize {
        self.table.keys()
    }

    /// Calls that were decided on a shared count, because `max_keys` others were held.
    #[getter]
    fn overflowed(&self) -> u64 {
        self.table.overflowed()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.time {
            Time::Monotonic(_) => Ok(()),
            Time::Asked { clock, .. } => visit.call(clock),
        }
    }
}

impl RateLimiter {
    fn key(&self, key: &Bound<'_, PyAny>) -> PyResult<Key> {
        let bytes = if let Ok(text) = key.cast::<PyString>() {
            text.to_str()?.as_bytes()
        } else if let Ok(bytes) = key.cast::<PyBytes>() {
            bytes.as_bytes()
        } else {
            let kind = key.get_type().name()?;
            return Err(PyTypeError::new_err(format!("the key is a {kind}; allowed: str, bytes")));
        };
        Ok(self.hasher.one(bytes).spread())
    }

    /// Nanoseconds on the limiter's own axis. A clock of Python is asked before anything is held.
    fn now(&self, py: Python<'_>) -> PyResult<u64> {
        let since = match &self.time {
            Time::Monotonic(begin) => u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX - BEGIN_NS),
            Time::Asked { clock, begin } => {
                let since = ask(py, clock)? - begin;
                if since > LATEST_S {
                    return Err(PyValueError::new_err(format!(
                        "the clock is {since} s on since the limiter was made; allowed: nine years"
                    )));
                }
                nanoseconds(since.max(0.0))
            }
        };
        Ok(BEGIN_NS + since)
    }

    fn decide(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        cost: i64,
        way: impl Fn(&RateTable, &Gcra, &Key, u64, u64) -> Verdict,
    ) -> PyResult<RateDecision> {
        let (key, cost, now) = (self.key(key)?, at_least_one("cost", cost)?, self.now(py)?);
        let seconds = |ns: u64| ns as f64 / 1e9;
        // What costs more than there can ever be is not counted; a cost of 0 says what is left.
        if cost > self.burst {
            let Verdict { remaining, reset_ns, .. } = self.table.judge(&self.rate, &key, now, 0);
            return Ok(RateDecision {
                allowed: false,
                remaining,
                retry_after: f64::INFINITY,
                reset: seconds(reset_ns),
            });
        }
        let overflowed = self.table.overflowed();
        let verdict = way(&self.table, &self.rate, &key, now, cost);
        if self.table.overflowed() != overflowed {
            self.make_room(py, now);
        }
        let Verdict { remaining, retry_ns, reset_ns, .. } = verdict;
        let (retry_after, reset) = (seconds(retry_ns), seconds(reset_ns));
        Ok(RateDecision { allowed: verdict.passes(), remaining, retry_after, reset })
    }

    /// For the calls after this one: the shards that are full look among their own keys only.
    #[cold]
    fn make_room(&self, py: Python<'_>, now: u64) {
        let swept = self.swept.load(Relaxed);
        if now.saturating_sub(swept) >= SWEEP_EVERY_NS
            && self.swept.compare_exchange(swept, now, Relaxed, Relaxed).is_ok()
        {
            py.detach(|| self.table.sweep(now));
        }
    }
}

fn at_least_one(name: &str, value: i64) -> PyResult<u64> {
    match u64::try_from(value) {
        Ok(value) if value > 0 => Ok(value),
        _ => Err(PyValueError::new_err(format!("{name} is {value}; allowed: a whole number from 1"))),
    }
}

fn ask(py: Python<'_>, clock: &Py<PyAny>) -> PyResult<f64> {
    let seconds: f64 = clock.call0(py)?.extract(py)?;
    if seconds.is_finite() {
        return Ok(seconds);
    }
    Err(PyValueError::new_err(format!("the clock says {seconds}; allowed: a finite number of seconds")))
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}
