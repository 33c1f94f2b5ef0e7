//! YAML 1.2 (core schema) and JSON: an event stream into plain values plus a compact array of positions.
//!
//! No node graph is kept: while the events pass, lists and maps are filled and every node's line and column goes into
//! one flat array in the order of a depth-first walk (a mapping: itself, then each key and its value; a list: itself,
//! then its items). Anchors, aliases, tags and merge keys are refused, so the size of the result is bounded by the text.
//! What the values are made of is the caller's matter: [`Build`].

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

mod hint;
mod scalar;

use hint::quote_hint;
use scalar::{float, integer};

/// Marks a scalar written in quotes, in the column's highest bit: `${NAME}` in it stays text.
pub const QUOTED: u32 = 1 << 31;
/// Problems reported of one document.
pub const MAX_PROBLEMS: usize = 100;
/// Texts remembered and how long they are at most, so that 10,000 routes share field names, methods and hosts.
const MAX_SHARED: usize = 4096;
const MAX_SHARED_BYTES: usize = 32;

/// What values are made of. An error of its own ends the reading.
pub trait Build {
    /// Any value.
    type Value;
    /// A text, cheap to copy: a key, or a value by [`Build::text_value`].
    type Text: Clone;
    /// A list that is being filled.
    type List;
    /// A mapping that is being filled; its keys keep their order.
    type Map;
    /// What can go wrong while it builds.
    type Error;

    /// No value.
    fn null(&mut self) -> Self::Value;
    /// A truth.
    ///
    /// # Errors
    /// The builder's own.
    fn boolean(&mut self, value: bool) -> Result<Self::Value, Self::Error>;
    /// A whole number.
    ///
    /// # Errors
    /// The builder's own.
    fn integer(&mut self, value: i128) -> Result<Self::Value, Self::Error>;
    /// Any other number.
    ///
    /// # Errors
    /// The builder's own.
    fn float(&mut self, value: f64) -> Result<Self::Value, Self::Error>;
    /// A text.
    fn text(&mut self, value: &str) -> Self::Text;
    /// A text as value.
    fn text_value(&mut self, text: Self::Text) -> Self::Value;
    /// An empty list.
    fn list(&mut self) -> Self::List;
    /// Adds an item.
    ///
    /// # Errors
    /// The builder's own.
    fn push(&mut self, list: &mut Self::List, value: Self::Value) -> Result<(), Self::Error>;
    /// The list as value.
    fn end_list(&mut self, list: Self::List) -> Self::Value;
    /// An empty mapping.
    fn map(&mut self) -> Self::Map;
    /// Whether the mapping has this key.
    ///
    /// # Errors
    /// The builder's own.
    fn contains(&mut self, map: &Self::Map, key: &Self::Text) -> Result<bool, Self::Error>;
    /// The place of a key among those of the mapping.
    fn place(&mut self, map: &Self::Map, key: &Self::Text) -> Option<usize>;
    /// Puts a value under a key; a key that is there keeps its place.
    ///
    /// # Errors
    /// The builder's own.
    fn insert(&mut self, map: &mut Self::Map, key: Self::Text, value: Self::Value) -> Result<(), Self::Error>;
    /// The mapping as value.
    fn end_map(&mut self, map: Self::Map) -> Self::Value;
    /// The text of a key.
    fn shown(&self, text: &Self::Text) -> String;
}

/// One thing wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// The keys that lead there, joined by dots.
    pub path: String,
    /// What is wrong, one sentence.
    pub message: String,
}

impl Problem {
    fn new(line: usize, column: usize, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { line, column, path: path.into(), message: message.into() }
    }
}

/// Bounds of a document.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How deep it may be nested.
    pub depth: usize,
    /// How many keys and values it may have.
    pub nodes: usize,
}

/// A document that was read to its end.
#[derive(Debug)]
pub struct Document<V> {
    /// Its value; `None` for an empty text.
    pub value: Option<V>,
    /// Line and column (from 1) of every node in a depth-first walk; [`QUOTED`] is set in the column of what stood in
    /// quotes.
    pub positions: Vec<u32>,
    /// Keys that were written twice; the first of them counts.
    pub problems: Vec<Problem>,
}

/// Why there is no document.
#[derive(Debug)]
pub enum Failed<E> {
    /// It cannot be read; the last problem is why.
    Problems(Vec<Problem>),
    /// The builder's own error.
    Build(E),
}

/// Reads one document.
///
/// # Errors
/// [`Failed`], for the first thing that hinders reading on.
pub fn read<B: Build>(data: &[u8], bounds: Bounds, build: B) -> Result<Document<B::Value>, Failed<B::Error>> {
    let text = match std::str::from_utf8(data) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let good = String::from_utf8_lossy(&data[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            let message = "this byte is not UTF-8; save the file as UTF-8";
            return Err(Failed::Problems(vec![Problem::new(line, column, "", message)]));
        }
    };
    let mut reader = Reader::new(build, bounds);
    match reader.read(text) {
        Ok(()) => Ok(Document { value: reader.root, positions: reader.positions, problems: reader.problems }),
        Err(Stop::Build(error)) => Err(Failed::Build(error)),
        Err(Stop::Problem(problem)) => {
            reader.problems.push(problem);
            Err(Failed::Problems(reader.problems))
        }
    }
}

/// Why reading ended early.
enum Stop<E> {
    Problem(Problem),
    Build(E),
}

impl<E> From<E> for Stop<E> {
    fn from(error: E) -> Self {
        Self::Build(error)
    }
}

/// A collection being filled.
enum Frame<B: Build> {
    List(B::List, usize),
    Map {
        map: B::Map,
        /// The line of each key in `map`, in order: names the first of two equal keys.
        lines: Vec<u32>,
        /// The key that waits for its value.
        key: Option<B::Text>,
        /// The waiting key was there before: its value is read and dropped.
        twice: bool,
    },
}

struct Reader<B: Build> {
    build: B,
    bounds: Bounds,
    nodes: usize,
    root: Option<B::Value>,
    stack: Vec<Frame<B>>,
    positions: Vec<u32>,
    shared: HashMap<String, B::Text>,
    problems: Vec<Problem>,
    /// Depth at which a doubled key's value began: no positions while inside.
    muted: Option<usize>,
}

impl<B: Build> Reader<B> {
    fn new(build: B, bounds: Bounds) -> Self {
        let (stack, positions) = (Vec::new(), Vec::new());
        let (shared, problems) = (HashMap::new(), Vec::new());
        Self { build, bounds, nodes: 0, root: None, stack, positions, shared, problems, muted: None }
    }

    fn read(&mut self, text: &str) -> Result<(), Stop<B::Error>> {
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
                    let list = self.build.list();
                    self.stack.push(Frame::List(list, 0));
                }
                Event::MappingStart(..) => {
                    self.open(at, false)?;
                    let map = self.build.map();
                    self.stack.push(Frame::Map { map, lines: Vec::new(), key: None, twice: false });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let done = match self.stack.pop() {
                        Some(Frame::List(list, _)) => self.build.end_list(list),
                        Some(Frame::Map { map, .. }) => self.build.end_map(map),
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
    fn scalar(&mut self, value: &str, style: ScalarStyle, at: Marker) -> Result<(), Stop<B::Error>> {
        let plain = matches!(style, ScalarStyle::Plain);
        self.open(at, !plain)?;
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return self.key(value, plain, at);
        }
        let value = if plain { self.resolve(value, at)? } else { self.text_value(value) };
        self.place(value)
    }

    fn key(&mut self, name: &str, plain: bool, at: Marker) -> Result<(), Stop<B::Error>> {
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
            Some(Frame::Map { map, .. }) => self.build.contains(map, &text)?,
            _ => return Ok(()),
        };
        if twice {
            self.doubled(name, &text, at);
        }
        let Some(Frame::Map { map, lines, key, twice: again }) = self.stack.last_mut() else { return Ok(()) };
        *again = twice;
        if !twice {
            // Held until the value comes, so that the order of keys and lines is the mapping's.
            lines.push(narrow(at.line()));
            let nothing = self.build.null();
            self.build.insert(map, text.clone(), nothing)?;
        }
        *key = Some(text);
        Ok(())
    }

    /// A text, one for all of its occurrences where it is short: keys and words repeat.
    fn text(&mut self, text: &str) -> B::Text {
        if text.len() > MAX_SHARED_BYTES {
            return self.build.text(text);
        }
        if let Some(shared) = self.shared.get(text) {
            return shared.clone();
        }
        let object = self.build.text(text);
        if self.shared.len() < MAX_SHARED {
            self.shared.insert(text.to_owned(), object.clone());
        }
        object
    }

    fn text_value(&mut self, text: &str) -> B::Value {
        let text = self.text(text);
        self.build.text_value(text)
    }

    /// A key that stands in its mapping already: named with both lines, its value is read and dropped.
    fn doubled(&mut self, name: &str, text: &B::Text, at: Marker) {
        if self.muted.is_none() {
            self.muted = Some(self.stack.len());
            // The doubled key itself has a position already: take it back, the walk will not meet it.
            self.positions.truncate(self.positions.len() - 2);
        }
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let Some(Frame::Map { map, lines, .. }) = self.stack.last() else { return };
        let first = self.build.place(map, text).and_then(|i| lines.get(i));
        let first = first.copied().unwrap_or(0);
        let path = self.path();
        let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let message = format!("duplicate key \"{name}\": written on line {first} and again on line {}", at.line());
        self.problems.push(Problem::new(at.line(), at.col() + 1, full, message));
    }

    /// Counts and records a node; checks depth.
    fn open(&mut self, at: Marker, quoted: bool) -> Result<(), Stop<B::Error>> {
        self.nodes += 1;
        if self.nodes > self.bounds.nodes {
            let message = format!("more than {} keys and values; split the file or raise the limit", self.bounds.nodes);
            return Err(self.stop(at.line(), at.col() + 1, message));
        }
        if self.stack.len() >= self.bounds.depth {
            return Err(self.stop(at.line(), at.col() + 1, format!("nested deeper than {} levels", self.bounds.depth)));
        }
        if self.muted.is_none() {
            self.positions.push(narrow(at.line()));
            self.positions.push(narrow(at.col() + 1) | if quoted { QUOTED } else { 0 });
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, value: B::Value) -> Result<(), Stop<B::Error>> {
        let depth = self.stack.len();
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List(list, len)) => {
                self.build.push(list, value)?;
                *len += 1;
            }
            Some(Frame::Map { map, key, twice, lines: _ }) => match key.take() {
                Some(_) if *twice => {
                    *twice = false;
                    if self.muted == Some(depth) {
                        self.muted = None;
                    }
                }
                Some(name) => self.build.insert(map, name, value)?,
                None => return Err(self.stop(1, 1, "a mapping key that is a list or a mapping; keys are names")),
            },
        }
        Ok(())
    }

    /// The core schema's meaning of a plain scalar (YAML 1.2.2 §10.3.2).
    fn resolve(&mut self, text: &str, at: Marker) -> Result<B::Value, Stop<B::Error>> {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Ok(self.build.null()),
            "true" | "True" | "TRUE" => return Ok(self.build.boolean(true)?),
            "false" | "False" | "FALSE" => return Ok(self.build.boolean(false)?),
            _ => {}
        }
        if let Some(number) = integer(text) {
            return match number {
                Some(n) => Ok(self.build.integer(n)?),
                None => Err(self.stop(at.line(), at.col() + 1, "a number too large; put it in quotes if it is text")),
            };
        }
        if let Some(number) = float(text) {
            return Ok(self.build.float(number)?);
        }
        Ok(self.text_value(text))
    }

    /// Dotted path of the keys that wait for a value.
    fn path(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let open = self.stack.len().saturating_sub(1);
        for frame in self.stack.iter().take(open) {
            match frame {
                Frame::List(_, len) => parts.push(len.to_string()),
                Frame::Map { key: Some(key), .. } => parts.push(self.build.shown(key)),
                Frame::Map { .. } => {}
            }
        }
        parts.join(".")
    }

    fn stop(&self, line: usize, column: usize, message: impl Into<String>) -> Stop<B::Error> {
        let mut path = self.path();
        if let Some(Frame::Map { key: Some(key), .. }) = self.stack.last() {
            let key = self.build.shown(key);
            path = if path.is_empty() { key } else { format!("{path}.{key}") };
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
            return Problem::new(line, column, "", format!("nested deeper than {} levels", self.bounds.depth));
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
