//! YAML and JSON as plain Python values: `fastgate_core::yaml` reads, the values are made here.

use fastgate_core::yaml::{Bounds, Build, Document, Failed, Problem, read};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

create_exception!(
    fastgate._engine,
    YamlError,
    PyValueError,
    "A document that cannot be read; args: a list of (line, column, key path, sentence), then, where only keys were \
     written twice, the value and its positions."
);

/// Adds `load_yaml` and `YamlError` to the extension module.
///
/// # Errors
/// What Python raises when a name cannot be added.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("YamlError", module.py().get_type::<YamlError>())?;
    module.add_function(wrap_pyfunction!(load_yaml, module)?)
}

/// Reads one YAML 1.2 document (core schema) or JSON text into plain values.
///
/// Returns the value and, as bytes of native 32-bit pairs, line and column (from 1) of every node in a depth-first walk.
/// Raises `YamlError`; `max_depth` bounds nesting, `max_nodes` keys and values together.
#[pyfunction]
#[pyo3(signature = (data, max_depth = 64, max_nodes = 2_000_000))]
fn load_yaml<'py>(
    py: Python<'py>,
    data: &[u8],
    max_depth: usize,
    max_nodes: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyBytes>)> {
    let bounds = Bounds { depth: max_depth, nodes: max_nodes };
    let Document { value, positions, problems } = match read(data, bounds, Objects(py)) {
        Ok(document) => document,
        Err(Failed::Build(error)) => return Err(error),
        Err(Failed::Problems(problems)) => return Err(YamlError::new_err((told(problems),))),
    };
    let value = value.unwrap_or_else(|| py.None().into_bound(py));
    let bytes: Vec<u8> = positions.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let positions = PyBytes::new(py, &bytes);
    if problems.is_empty() {
        Ok((value, positions))
    } else {
        Err(YamlError::new_err((told(problems), value.unbind(), positions.unbind())))
    }
}

fn told(problems: Vec<Problem>) -> Vec<(usize, usize, String, String)> {
    problems.into_iter().map(|p| (p.line, p.column, p.path, p.message)).collect()
}

/// Makes Python's own values.
struct Objects<'py>(Python<'py>);

impl<'py> Build for Objects<'py> {
    type Value = Bound<'py, PyAny>;
    type Text = Bound<'py, PyString>;
    type List = Bound<'py, PyList>;
    type Map = Bound<'py, PyDict>;
    type Error = PyErr;

    fn null(&mut self) -> Self::Value {
        self.0.None().into_bound(self.0)
    }

    fn boolean(&mut self, value: bool) -> PyResult<Self::Value> {
        Ok(value.into_pyobject(self.0).map_err(PyErr::from)?.to_owned().into_any())
    }

    fn integer(&mut self, value: i128) -> PyResult<Self::Value> {
        Ok(value.into_pyobject(self.0).map_err(PyErr::from)?.into_any())
    }

    fn float(&mut self, value: f64) -> PyResult<Self::Value> {
        Ok(value.into_pyobject(self.0).map_err(PyErr::from)?.into_any())
    }

    fn text(&mut self, value: &str) -> Self::Text {
        PyString::new(self.0, value)
    }

    fn text_value(&mut self, text: Self::Text) -> Self::Value {
        text.into_any()
    }

    fn list(&mut self) -> Self::List {
        PyList::empty(self.0)
    }

    fn push(&mut self, list: &mut Self::List, value: Self::Value) -> PyResult<()> {
        list.append(value)
    }

    fn end_list(&mut self, list: Self::List) -> Self::Value {
        list.into_any()
    }

    fn map(&mut self) -> Self::Map {
        PyDict::new(self.0)
    }

    fn contains(&mut self, map: &Self::Map, key: &Self::Text) -> PyResult<bool> {
        map.contains(key)
    }

    fn place(&mut self, map: &Self::Map, key: &Self::Text) -> Option<usize> {
        map.keys().iter().position(|k| k.eq(key).unwrap_or(false))
    }

    fn insert(&mut self, map: &mut Self::Map, key: Self::Text, value: Self::Value) -> PyResult<()> {
        map.set_item(key, value)
    }

    fn end_map(&mut self, map: Self::Map) -> Self::Value {
        map.into_any()
    }

    fn shown(&self, text: &Self::Text) -> String {
        text.to_string()
    }
}
