//! The compiled parts alone, behind `fastgate.primitives`: the route trie and the strict HTTP/1.1 codec.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use fastgate_core::http1::{Framing, Progress, Request, RequestRules, Version};
use fastgate_core::route::{Captures, Fields, Found, Lookup, RouteTable};
use fastgate_core::snapshot::{
    Action, DotSegments, EncodedSlash, HeaderEdits, HostPolicy, Limits, Listener, Match, PathMatch, Respond, Route,
    Serves, Timeouts, UnderscoreHeaders,
};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::error::Error;

/// What a listener with nothing but defaults demands of a request head.
pub fn default_rules() -> &'static RequestRules {
    static RULES: LazyLock<RequestRules> = LazyLock::new(|| {
        let limits = Limits {
            max_connections: 1,
            headers: 32 << 10,
            header_count: 100,
            uri: 8 << 10,
            header_timeout_ms: 10_000,
            write_stall_ms: 30_000,
            body_min_rate: 100,
            connection_age_ms: 3_600_000,
            accept_rate: 0,
        };
        RequestRules::new(&limits, &listener(), &[])
    });
    &RULES
}

fn listener() -> Listener {
    Listener {
        name: "default".into(),
        bind: "127.0.0.1:0".into(),
        trusted_proxies: Vec::new(),
        encoded_slash: EncodedSlash::Refuse,
        dot_segments: DotSegments::Refuse,
        underscore_headers: UnderscoreHeaders::Drop,
        serves: Serves { http: true, realtime: false, publish: false },
        tls: None,
        redirect_https: false,
        proxy_protocol: Vec::new(),
    }
}

/// A compiled set of path patterns, each with a value of yours; the gateway's own trie.
///
/// Patterns are `/users/{id}` (one segment) and `/files/{rest:path}` (the remainder). The most precise one wins: literal
/// segments before `{…}`, segment by segment. The path is taken as canonical: it is neither decoded nor cleaned.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct Router {
    table: RouteTable,
    values: Vec<Py<PyAny>>,
}

struct NoFields;

impl Fields for NoFields {
    fn values(&self, _name: &[u8], _each: &mut dyn FnMut(&[u8]) -> bool) {}
}

#[pymethods]
impl Router {
    /// Compiles (pattern, value) pairs. Raises `ValueError` that names every wrong pattern, and patterns that are equal.
    #[new]
    fn new(patterns: Vec<(String, Py<PyAny>)>) -> PyResult<Self> {
        let mut seen = HashSet::new();
        if let Some((twice, _)) = patterns.iter().find(|(pattern, _)| !seen.insert(pattern)) {
            return Err(PyValueError::new_err(format!("the pattern {twice:?} stands there twice")));
        }
        let routes: Vec<Route> = patterns.iter().map(|(pattern, _)| route(pattern)).collect();
        let table = RouteTable::compile(&routes, &[listener()]).map_err(|found| {
            let lines: Vec<String> = found.iter().map(|f| format!("{}: {}", f.path, f.message)).collect();
            PyValueError::new_err(lines.join("\n"))
        })?;
        Ok(Self { table, values: patterns.into_iter().map(|(_, value)| value).collect() })
    }

    /// The value of the pattern that matches, and what the pattern captured; `None` where none matches.
    #[pyo3(name = "match")]
    fn find<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &str,
    ) -> PyResult<Option<(Py<PyAny>, Bound<'py, PyDict>)>> {
        let mut captures = Captures::new();
        let (method, path) = (method.as_bytes(), path.as_bytes());
        let lookup = Lookup { listener: 0, host: b"", path, method, query: None, client: None, fields: &NoFields };
        let Found::Route(index, _) = self.table.find(&lookup, &mut captures) else { return Ok(None) };
        let params = PyDict::new(py);
        for (name, value) in captures.iter(path) {
            params.set_item(name, PyString::from_bytes(py, value)?)?;
        }
        Ok(Some((self.values[index].clone_ref(py), params)))
    }

    fn __len__(&self) -> usize {
        self.values.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.values.iter().try_for_each(|value| visit.call(value))
    }
}

/// A route that matches one pattern and nothing else; what it does is never asked for.
fn route(pattern: &str) -> Route {
    Route {
        name: pattern.to_owned(),
        priority: 0,
        matches: vec![Match {
            path: Some(PathMatch::Path(pattern.to_owned())),
            hosts: Vec::new(),
            methods: Vec::new(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            client_ip: Vec::new(),
        }],
        listeners: None,
        action: Action::Respond(Respond { status: 204, headers: Vec::new(), body: None }),
        rewrite: None,
        host: HostPolicy::Keep,
        half_close_keep: false,
        upgrade: Vec::new(),
        timeouts: Timeouts { connect_ms: 1, response_ms: 1, idle_ms: 1 },
        max_body: None,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        on_request: false,
        held_bytes: 0,
        histogram: false,
        access_log_sample: None,
        policies: None,
    }
}

/// A request head as the gateway understands it.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct ParsedRequest {
    bytes: Vec<u8>,
    request: Request,
    head_length: usize,
}

/// Each byte one character, so that nothing is lost.
fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().map(|byte| char::from(*byte)).collect::<String>()),
    }
}

#[pymethods]
impl ParsedRequest {
    /// As received.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.request.method_bytes(&self.bytes))
    }

    /// The canonical path that everything is decided on: decoded once, runs of `/` merged, `;…` cut.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, self.request.path(&self.bytes))
    }

    /// The path as received.
    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.request.raw_path(&self.bytes))
    }

    /// Without the `?`; `None` where there is none.
    #[getter]
    fn query<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.request.query(&self.bytes).map(|query| latin1(py, query))
    }

    /// Canonical: lower case, no port, no trailing dot.
    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        latin1(py, self.request.host(&self.bytes))
    }

    /// `1.0` or `1.1`.
    #[getter]
    fn version(&self) -> &'static str {
        match self.request.version() {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
    }

    /// Every field line, name and value as received, in order.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyString>, Bound<'py, PyString>)> {
        let bytes = &self.bytes;
        self.request.fields().iter().map(|f| (latin1(py, f.name.of(bytes)), latin1(py, f.value.of(bytes)))).collect()
    }

    /// Bytes of the body; `None` for a chunked one.
    #[getter]
    fn content_length(&self) -> Option<u64> {
        match self.request.framing() {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// Whether the connection may be used again (RFC 9112 §9.3).
    #[getter]
    fn keep_alive(&self) -> bool {
        self.request.keep_alive()
    }

    /// Bytes of the head, empty line included: the body starts there.
    #[getter]
    fn head_length(&self) -> usize {
        self.head_length
    }

    /// The bytes the head was read from.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }
}

/// Reads one request head (RFC 9112 §3, strict); `None` while it is not complete.
///
/// Raises `RequestRefused` as soon as a complete line is one that the gateway refuses.
#[pyfunction]
pub fn parse_request(data: &[u8]) -> PyResult<Option<ParsedRequest>> {
    let mut request = Request::new();
    match request.parse(data, default_rules()).map_err(Error::Refused)? {
        Progress::Incomplete => Ok(None),
        Progress::Complete(head_length) => {
            Ok(Some(ParsedRequest { bytes: data[..head_length].to_vec(), request, head_length }))
        }
    }
}
