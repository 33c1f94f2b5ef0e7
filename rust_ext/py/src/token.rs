//! Signed tokens alone, behind `fastgate.primitives`: key sets, JWS of every form, and a verifier of JWTs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fastgate_core::auth::{
    self, Algorithm, Algorithms, Bounds, Demand, HeaderMemo, MAX_SKEW_MS, Refused, Rules, TokenCache,
};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use serde_json::{Map, Value};

create_exception!(
    fastgate._engine,
    TokenRefused,
    PyValueError,
    "A token or a key that is refused; args: the reason's name, a sentence."
);

fn refused(why: &Refused) -> PyErr {
    TokenRefused::new_err((why.name(), why.to_string()))
}

fn bad_key(why: String) -> PyErr {
    refused(&Refused::Key(why.into()))
}

/// Keys that verify signatures, parsed once.
///
/// `texts` are JWK sets, JWKs or PEM public keys; `secrets` are secrets for HMAC, of at least 32 bytes.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct KeySet(auth::KeySet);

#[pymethods]
impl KeySet {
    #[new]
    #[pyo3(signature = (texts, secrets = Vec::new()))]
    fn new(texts: Vec<Vec<u8>>, secrets: Vec<Vec<u8>>) -> PyResult<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let generation = LAST.fetch_add(1, Relaxed);
        let texts = texts.iter().map(|text| auth::KeySet::parse(text, generation, true));
        let sets = texts.chain(secrets.iter().map(|secret| auth::KeySet::secret(secret, generation)));
        let sets = sets.collect::<Result<Vec<_>, _>>().map_err(bad_key)?;
        auth::KeySet::merged(sets, generation).map(Self).map_err(bad_key)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// The algorithms that its keys are for.
    #[getter]
    fn algorithms(&self) -> Vec<&'static str> {
        let of = self.0.algorithms();
        Algorithm::ALL.into_iter().filter(|algorithm| of.contains(*algorithm)).map(Algorithm::name).collect()
    }

    /// Keys of sets that were left out, and why.
    #[getter]
    fn skipped(&self) -> Vec<String> {
        self.0.skipped().to_vec()
    }
}

fn algorithms(names: Option<Vec<String>>) -> PyResult<Algorithms> {
    let Some(names) = names else { return Ok(Algorithms::ALL) };
    Algorithms::named(names.iter().map(String::as_str))
        .map_err(|name| PyValueError::new_err(format!("{name:?} is not a known algorithm")))
}

type Headers = Vec<(&'static str, Option<String>, Option<String>)>;

/// Verifies a JWS of any form (RFC 7515 §7, RFC 7797).
///
/// Returns the payload (`None` where it is detached) and, for each signature that verified, its algorithm, protected and
/// unprotected header as JSON texts. Raises `TokenRefused`.
#[pyfunction]
#[pyo3(signature = (jws, keys, algorithms, detached, every, max_bytes))]
pub fn verify_jws<'py>(
    py: Python<'py>,
    jws: &[u8],
    keys: &KeySet,
    algorithms: Option<Vec<String>>,
    detached: Option<&[u8]>,
    every: bool,
    max_bytes: usize,
) -> PyResult<(Option<Bound<'py, PyBytes>>, Headers)> {
    let demand = Demand { algorithms: self::algorithms(algorithms)?, detached, every, max_bytes };
    let verified = auth::verify(jws, &keys.0, &demand).map_err(|why| refused(&why))?;
    let headers = verified.signatures.into_iter().map(|one| (one.algorithm.name(), one.protected, one.unprotected));
    Ok((verified.payload.map(|payload| PyBytes::new(py, &payload)), headers.collect()))
}

/// Verifies JSON Web Tokens as the gateway does: signatures once, claims and time at every call.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct JwtVerifier {
    keys: Py<KeySet>,
    rules: Rules,
    known: Mutex<Known>,
}

struct Known {
    cache: TokenCache<()>,
    headers: HeaderMemo,
}

#[pymethods]
impl JwtVerifier {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "one a setting, by name in Python")]
    fn new(
        keys: Py<KeySet>,
        issuer: Option<String>,
        audience: Option<Vec<String>>,
        algorithms: Option<Vec<String>>,
        types: Vec<String>,
        skew: f64,
        max_age: Option<f64>,
        required_claims: Vec<String>,
        cache: usize,
        seeds: [u64; 4],
    ) -> PyResult<Self> {
        let boxed = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str).collect::<Box<[Box<str>]>>();
        let ms = |seconds: f64| (seconds * 1000.0).clamp(0.0, 1e15) as i64;
        let skew_ms = ms(skew);
        if skew.is_nan() || skew < 0.0 || skew_ms > MAX_SKEW_MS {
            return Err(PyValueError::new_err("skew is from 0 to 60 seconds"));
        }
        let rules = Rules {
            issuer: issuer.map(String::into_boxed_str),
            audience: audience.map(boxed),
            algorithms: self::algorithms(algorithms)?,
            types: boxed(types),
            skew_ms,
            max_age_ms: max_age.map(ms),
            required: boxed(required_claims),
        };
        let bounds = Bounds { entries: cache, ..Bounds::default() };
        let known = Known { cache: TokenCache::new(seeds, bounds), headers: HeaderMemo::default() };
        Ok(Self { keys, rules, known: Mutex::new(known) })
    }

    /// The claims of a token that is good now. Raises `TokenRefused`.
    #[pyo3(signature = (token, now = None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        token: &Bound<'py, PyAny>,
        now: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let now_ms = match now {
            Some(seconds) => (seconds * 1000.0).clamp(0.0, 1e15) as i64,
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 2)
            }
        };
        let text = match token.cast::<PyString>() {
            Ok(text) => text.to_str()?.as_bytes(),
            Err(_) => token.extract::<&[u8]>()?,
        };
        // Nothing of Python runs while the lock is held: what the collector calls may come back here.
        let claims = self.claims(text, now_ms).map_err(|why| refused(&why))?;
        object(py, &claims)
    }

    /// Tokens whose signatures are remembered.
    #[getter]
    fn cached(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).cache.len()
    }
}

impl JwtVerifier {
    fn claims(&self, text: &[u8], now_ms: i64) -> Result<Arc<auth::Claims>, Refused> {
        let keys = &self.keys.get().0;
        let known = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = known.cache.find(keys.generation(), text)
            && let Some(token) = known.cache.token(place)
        {
            return self.rules.judge(token, now_ms).map(|()| token.claims.clone());
        }
        let token = auth::Token::open(text, keys, self.rules.algorithms, &mut known.headers)?;
        self.rules.judge(&token, now_ms)?;
        let claims = token.claims.clone();
        known.cache.put(keys.generation(), text, token);
        Ok(claims)
    }
}

fn object<'py>(py: Python<'py>, members: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in members {
        dict.set_item(name, self::value(py, value)?)?;
    }
    Ok(dict)
}

fn value<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(is) => is.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(whole), _, _) => whole.into_pyobject(py)?.into_any(),
            (_, Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (_, _, double) => double.into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(self::value(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => object(py, members)?.into_any(),
    })
}
