//! YAML 1.2 (core schema) and JSON: an event stream into plain Python values plus a compact array of positions.
//!
//! No node graph is kept: while the events pass, lists and dicts are filled and every node's line and column goes into
//! one flat array in the order of a depth-first walk (a mapping: itself, then each key and its value; a list: itself,
//! then its items). Anchors, aliases, tags and merge keys are refused, so the size of the result is bounded by the text.

use std::collections::HashMap;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

mod hint;

use hint::quote_hint;

create_exception!(
    fastgate._engine,
    YamlError,
    PyValueError,
    "A document that cannot be read; args: a list of (line, column, key path, sentence), then, where only keys were \
     written twice, the value and its positions."
);

/// Marks a scalar written in quotes, in the column's highest bit: `${NAME}` in it stays text.
const QUOTED: u32 = 1 << 31;
/// Problems reported of one document.
const MAX_PROBLEMS: usize = 100;
/// Texts remembered and how long they are at most, so that 10,000 routes share field names, methods and hosts.
const MAX_SHARED: usize = 4096;
const MAX_SHARED_BYTES: usize = 32;

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
    let text = match std::str::from_utf8(data) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = String::from_utf8_lossy(&data[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            return Err(raise(
                vec![Problem::new(line, column, "", "this byte is not UTF-8; save the file as UTF-8")],
                None,
            ));
        }
    };
    let mut builder = Builder::new(py, max_depth, max_nodes);
    match builder.read(text) {
        Ok(()) => {}
        Err(Stop::Python(error)) => return Err(error),
        Err(Stop::Problem(problem)) => {
            builder.problems.push(problem);
            return Err(raise(builder.problems, None));
        }
    }
    let value = builder.root.unwrap_or_else(|| py.None().into_bound(py));
    let bytes: Vec<u8> = builder.positions.iter().flat_map(|n| n.to_ne_bytes()).collect();
    let positions = PyBytes::new(py, &bytes);
    if builder.problems.is_empty() {
        Ok((value, positions))
    } else {
        Err(raise(builder.problems, Some((value, positions))))
    }
}

/// One thing wrong in a document.
struct Problem {
    line: usize,
    column: usize,
    path: String,
    message: String,
}

impl Problem {
    fn new(line: usize, column: usize, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { line, column, path: path.into(), message: message.into() }
    }
}

/// Why reading ended early.
enum Stop {
    Problem(Problem),
    Python(PyErr),
}

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

fn raise(problems: Vec<Problem>, rest: Option<(Bound<'_, PyAny>, Bound<'_, PyBytes>)>) -> PyErr {
    let list: Vec<_> = problems.into_iter().map(|p| (p.line, p.column, p.path, p.message)).collect();
    match rest {
        Some((value, positions)) => YamlError::new_err((list, value.unbind(), positions.unbind())),
        None => YamlError::new_err((list,)),
    }
}

/// A collection being filled.
enum Frame<'py> {
    List(Bound<'py, PyList>),
    Dict {
        dict: Bound<'py, PyDict>,
        /// The line of each key in `dict`, in order: names the first of two equal keys.
        lines: Vec<u32>,
        /// The key that waits for its value.
        key: Option<Bound<'py, PyString>>,
        /// The waiting key was there before: its value is read and dropped.
        twice: bool,
    },
}

struct Builder<'py> {
    py: Python<'py>,
    max_depth: usize,
    max_nodes: usize,
    nodes: usize,
    root: Option<Bound<'py, PyAny>>,
    stack: Vec<Frame<'py>>,
    positions: Vec<u32>,
    shared: HashMap<String, Bound<'py, PyString>>,
    problems: Vec<Problem>,
    /// Depth at which a doubled key's value began: no positions while inside.
    muted: Option<usize>,
}

impl<'py> Builder<'py> {
    fn new(py: Python<'py>, max_depth: usize, max_nodes: usize) -> Self {
        let (stack, positions) = (Vec::new(), Vec::new());
        let (shared, problems) = (HashMap::new(), Vec::new());
        Self { py, max_depth, max_nodes, nodes: 0, root: None, stack, positions, shared, problems, muted: None }
    }

    fn read(&mut self, text: &str) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        let mut last_line = 1;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|e| Stop::Problem(self.syntax(text, &e, last_line)))?;
            let at = span.start;
            last_line = at.line();
            let refused = match &event {
                Event::DocumentStart(_) if documents > 0 => Some("a second document; one file holds one document"),
                Event::Alias(_) => Some("an alias; anchors and aliases are not supported, write the value out"),
                Event::Scalar(_, _, anchor, tag) => refuse(*anchor, tag.is_some()),
                Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => refuse(*anchor, tag.is_some()),
                _ => None,
            };
            if let Some(sentence) = refused {
                let line = marker_line(text, &event, at);
                let scalar = matches!(event, Event::Alias(_) | Event::Scalar(..));
                let hint = if scalar { quote_hint(text, line, line) } else { None };
                let hint = hint.map(|(_, hint)| hint).unwrap_or_default();
                return Err(self.stop(line, at.col() + 1, format!("{sentence}{hint}")));
            }
            match event {
                Event::DocumentStart(_) => documents += 1,
                Event::Scalar(value, style, _, _) => self.scalar(&value, style, at)?,
                Event::SequenceStart(..) => {
                    self.open(at, false)?;
                    self.stack.push(Frame::List(PyList::empty(self.py)));
                }
                Event::MappingStart(..) => {
                    self.open(at, false)?;
                    let dict = PyDict::new(self.py);
                    self.stack.push(Frame::Dict { dict, lines: Vec::new(), key: None, twice: false });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let done = match self.stack.pop() {
                        Some(Frame::List(list)) => list.into_any(),
                        Some(Frame::Dict { dict, .. }) => dict.into_any(),
                        None => continue,
                    };
                    self.place(done)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A key or a value.
    fn scalar(&mut self, value: &str, style: ScalarStyle, at: Marker) -> Result<(), Stop> {
        let plain = matches!(style, ScalarStyle::Plain);
        self.open(at, !plain)?;
        if let Some(Frame::Dict { key: None, .. }) = self.stack.last() {
            return self.key(value, plain, at);
        }
        let object = if plain { self.resolve(value, at)? } else { self.text(value).into_any() };
        self.place(object)
    }

    fn key(&mut self, name: &str, plain: bool, at: Marker) -> Result<(), Stop> {
        if plain && name == "<<" {
            return Err(self.stop(
                at.line(),
                at.col() + 1,
                "a merge key; merge keys are not supported, write the keys out",
            ));
        }
        if name.is_empty() {
            return Err(self.stop(at.line(), at.col() + 1, "a key is missing before \":\""));
        }
        let text = self.text(name);
        let twice = match self.stack.last() {
            Some(Frame::Dict { dict, .. }) => dict.contains(&text)?,
            _ => return Ok(()),
        };
        if twice {
            self.doubled(name, &text, at);
        }
        let Some(Frame::Dict { dict, lines, key, twice: again }) = self.stack.last_mut() else { return Ok(()) };
        *again = twice;
        if !twice {
            // Held until the value comes, so that the order of keys and lines is the dict's.
            lines.push(narrow(at.line()));
            dict.set_item(&text, self.py.None())?;
        }
        *key = Some(text);
        Ok(())
    }

    /// Text as a Python object, one for all of its occurrences where it is short: keys and words repeat.
    fn text(&mut self, text: &str) -> Bound<'py, PyString> {
        if text.len() > MAX_SHARED_BYTES {
            return PyString::new(self.py, text);
        }
        if let Some(shared) = self.shared.get(text) {
            return shared.clone();
        }
        let object = PyString::new(self.py, text);
        if self.shared.len() < MAX_SHARED {
            self.shared.insert(text.to_owned(), object.clone());
        }
        object
    }

    /// A key that stands in its mapping already: named with both lines, its value is read and dropped.
    fn doubled(&mut self, name: &str, text: &Bound<'py, PyString>, at: Marker) {
        if self.muted.is_none() {
            self.muted = Some(self.stack.len());
            // The doubled key itself has a position already: take it back, the walk will not meet it.
            self.positions.truncate(self.positions.len() - 2);
        }
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let Some(Frame::Dict { dict, lines, .. }) = self.stack.last() else { return };
        let first = dict.keys().iter().position(|k| k.eq(text).unwrap_or(false)).and_then(|i| lines.get(i));
        let first = first.copied().unwrap_or(0);
        let path = self.path();
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let message = format!("duplicate key \"{name}\": written on line {first} and again on line {}", at.line());
        self.problems.push(Problem::new(at.line(), at.col() + 1, full, message));
    }

    /// Counts and records a node; checks depth.
    fn open(&mut self, at: Marker, quoted: bool) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > self.max_nodes {
            let message = format!("more than {} keys and values; split the file or raise the limit", self.max_nodes);
            return Err(self.stop(at.line(), at.col() + 1, message));
        }
        if self.stack.len() >= self.max_depth {
            return Err(self.stop(at.line(), at.col() + 1, format!("nested deeper than {} levels", self.max_depth)));
        }
        if self.muted.is_none() {
            self.positions.push(narrow(at.line()));
            self.positions.push(narrow(at.col() + 1) | if quoted { QUOTED } else { 0 });
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, value: Bound<'py, PyAny>) -> Result<(), Stop> {
        let depth = self.stack.len();
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List(list)) => list.append(value)?,
            Some(Frame::Dict { dict, key, twice, lines: _ }) => match key.take() {
                Some(_) if *twice => {
                    *twice = false;
                    if self.muted == Some(depth) {
                        self.muted = None;
                    }
                }
                Some(name) => dict.set_item(name, value)?,
                None => return Err(self.stop(1, 1, "a mapping key that is a list or a mapping; keys are names")),
            },
        }
        Ok(())
    }

    /// The core schema's meaning of a plain scalar (YAML 1.2.2 §10.3.2).
    fn resolve(&mut self, text: &str, at: Marker) -> Result<Bound<'py, PyAny>, Stop> {
        let py = self.py;
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Ok(py.None().into_bound(py)),
            "true" | "True" | "TRUE" => return Ok(true.into_pyobject(py).map_err(PyErr::from)?.to_owned().into_any()),
            "false" | "False" | "FALSE" => {
                return Ok(false.into_pyobject(py).map_err(PyErr::from)?.to_owned().into_any());
            }
            _ => {}
        }
        if let Some(number) = integer(text) {
            return match number {
                Some(n) => Ok(n.into_pyobject(py).map_err(PyErr::from)?.into_any()),
                None => Err(self.stop(at.line(), at.col() + 1, "a number too large; put it in quotes if it is text")),
            };
        }
        if let Some(number) = float(text) {
            return Ok(number.into_pyobject(py).map_err(PyErr::from)?.into_any());
        }
        Ok(self.text(text).into_any())
    }

    /// Dotted path of the keys that wait for a value.
    fn path(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let open = self.stack.len().saturating_sub(1);
        for frame in self.stack.iter().take(open) {
            match frame {
                Frame::List(list) => parts.push(list.len().to_string()),
                Frame::Dict { key: Some(key), .. } => parts.push(key.to_string()),
                Frame::Dict { .. } => {}
            }
        }
        parts.join(".")
    }

    fn stop(&self, line: usize, column: usize, message: impl Into<String>) -> Stop {
        let mut path = self.path();
        if let Some(Frame::Dict { key: Some(key), .. }) = self.stack.last() {
            path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        }
        Stop::Problem(Problem::new(line, column, path, message))
    }

    /// A syntax error, with the corrected line where quotes would mend it.
    fn syntax(&self, text: &str, error: &ScanError, last_line: usize) -> Problem {
        let marker = error.marker();
        let line = marker.line().max(1);
        let (line, column, hint) = match quote_hint(text, last_line.min(line), line) {
            Some((found, hint)) if found == line => (line, marker.col() + 1, hint),
            Some((found, hint)) => (found, 1, hint),
            None => (line, marker.col() + 1, String::new()),
        };
        if error.info().contains("recursion limit") {
            return Problem::new(line, column, "", format!("nested deeper than {} levels", self.max_depth));
        }
        Problem::new(line, column, "", format!("not YAML: {}{hint}", plain(error.info())))
    }
}

/// The parser's words without its quotation marks of two kinds.
fn plain(info: &str) -> String {
    info.replace("unexpected character: ``'", "unexpected character: '`'").replace(": `", ": '")
}

fn refuse(anchor: usize, tag: bool) -> Option<&'static str> {
    match (anchor, tag) {
        (0, false) => None,
        (0, true) => Some("a tag (!…); tags are not supported, the type follows from the key"),
        _ => Some("an anchor (&…); anchors and aliases are not supported, write the value out"),
    }
}

/// The line of an anchor or tag: it stands before a collection's own first line.
fn marker_line(text: &str, event: &Event<'_>, at: Marker) -> usize {
    let marked = |line: usize| text.lines().nth(line - 1).is_some_and(|l| l.contains(['&', '!']));
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..)
            if at.line() > 1 && !marked(at.line()) && marked(at.line() - 1) =>
        {
            at.line() - 1
        }
        _ => at.line(),
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX) & !QUOTED
}

/// `None`: not an integer; `Some(None)`: one that is too large.
fn integer(text: &str) -> Option<Option<i128>> {
    let bytes = text.as_bytes();
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            return all.then(|| i128::from_str_radix(digits, radix).ok());
        }
    }
    let digits = bytes.strip_prefix(b"-").or_else(|| bytes.strip_prefix(b"+")).unwrap_or(bytes);
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| text.parse().ok())
}

fn float(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = rest.split_once(['e', 'E']).map_or((rest, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_good = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let some = !whole.is_empty() || fraction.is_some_and(|f| !f.is_empty());
    (some && digits(whole) && fraction.is_none_or(digits) && exponent_good)
        .then(|| rest.parse::<f64>().ok().map(|n| sign * n))?
}
