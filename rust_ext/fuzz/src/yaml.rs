//! Target `yaml`: the bounds' byte, then a document; every node has a place in the text, and JSON is read as what it is.

use std::convert::Infallible;

use fastgate_core::yaml::{Bounds, Build, Document, Failed, MAX_PROBLEMS, QUOTED, read};
use serde_json::Value as Json;

const WIDE: Bounds = Bounds { depth: 64, nodes: 100_000 };

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Read within bounds, or refused with places inside the text; narrower bounds refuse or change nothing.
pub fn yaml(data: &[u8]) {
    let Some((&knobs, text)) = data.split_first() else { return };
    let whole = read(text, WIDE, Nodes);
    match &whole {
        Ok(document) => sound(document, text, WIDE),
        Err(Failed::Build(never)) => match *never {},
        Err(Failed::Problems(problems)) => {
            assert!((1..=MAX_PROBLEMS + 1).contains(&problems.len()), "{} problems", problems.len());
            for problem in problems {
                assert!((1..=lines(text)).contains(&problem.line), "line {} of {}", problem.line, lines(text));
                assert!(problem.column >= 1 && !problem.message.is_empty());
            }
        }
    }
    let narrow = Bounds { depth: usize::from(knobs & 7) + 1, nodes: usize::from(knobs >> 3) + 1 };
    if let Ok(document) = read(text, narrow, Nodes) {
        sound(&document, text, narrow);
        let Ok(whole) = &whole else { panic!("narrow bounds let through what wide ones do not") };
        assert!(same(document.value.as_ref(), whole.value.as_ref()), "bounds change a value");
        assert_eq!(document.positions, whole.positions);
    }
    if let (Ok(document), Ok(json)) = (&whole, serde_json::from_slice::<Json>(text)) {
        // An escape may name half of a pair, and of two equal keys the two keep different ones.
        if document.problems.is_empty() && !text.contains(&b'\\') {
            let value = document.value.as_ref().expect("JSON has a value");
            assert!(is(value, &json), "{json} is read as {value:?}");
        }
    }
}

/// Lines by any character that a reader may count as an end of line.
fn lines(text: &[u8]) -> usize {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count() + 2
}

fn sound(document: &Document<Node>, text: &[u8], bounds: Bounds) {
    let Some(value) = &document.value else {
        assert!(document.positions.is_empty(), "places without a value");
        return;
    };
    let (nodes, depth) = measure(value);
    // A list or a mapping may be as deep as the bound; what stands in it counts as one level more only if it nests.
    assert!(depth <= bounds.depth, "{depth} levels within {}", bounds.depth);
    assert!(nodes <= bounds.nodes, "{nodes} nodes within {}", bounds.nodes);
    let (places, rest) = document.positions.as_chunks::<2>();
    assert!(rest.is_empty());
    assert_eq!(places.len(), nodes, "a place for each node");
    let most = lines(text);
    for [line, column] in places {
        assert!((1..=most).contains(&(*line as usize)), "line {line} of {most}");
        assert!((1..=text.len() + 1).contains(&((column & !QUOTED) as usize)), "column {column}");
    }
    quoted(value, &mut places.iter().map(|[_, column]| column & QUOTED != 0));
}

/// Only texts stand in quotes.
fn quoted(value: &Node, marks: &mut impl Iterator<Item = bool>) {
    let mark = marks.next().expect("counted before");
    match value {
        Node::List(items) => items.iter().for_each(|item| quoted(item, marks)),
        Node::Map(entries) => {
            for (_, item) in entries {
                marks.next();
                quoted(item, marks);
            }
        }
        _ => {}
    }
    assert!(!mark || matches!(value, Node::Text(_)), "{value:?} stands in quotes");
}

/// Nodes, keys included, and levels.
fn measure(value: &Node) -> (usize, usize) {
    let (mut nodes, mut depth) = (1, 0);
    let mut inside = |value: &Node| {
        let (n, d) = measure(value);
        nodes += n;
        depth = depth.max(d);
    };
    match value {
        Node::List(items) => items.iter().for_each(&mut inside),
        Node::Map(entries) => {
            entries.iter().for_each(|(_, value)| inside(value));
            nodes += entries.len();
        }
        _ => {}
    }
    (nodes, depth + 1)
}

/// Equal, where no number is one is equal to itself.
fn same(a: Option<&Node>, b: Option<&Node>) -> bool {
    match (a, b) {
        (Some(Node::Float(a)), Some(Node::Float(b))) => a.to_bits() == b.to_bits(),
        (Some(Node::List(a)), Some(Node::List(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(Node::Map(a)), Some(Node::Map(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(Some(&a.1), Some(&b.1)))
        }
        (a, b) => a == b,
    }
}

/// Whether a value is what the JSON says.
fn is(value: &Node, json: &Json) -> bool {
    match (value, json) {
        (Node::Null, Json::Null) => true,
        (Node::Boolean(a), Json::Bool(b)) => a == b,
        (Node::Text(a), Json::String(b)) => a == b,
        (Node::Integer(a), Json::Number(b)) if !b.is_f64() => {
            b.as_i64().map(i128::from).or(b.as_u64().map(i128::from)) == Some(*a)
        }
        // Whole numbers beyond 64 bits are fractions to the other reader, and it rounds the last bit otherwise.
        (Node::Integer(a), Json::Number(b)) => b.as_f64().is_some_and(|b| close(*a as f64, b)),
        (Node::Float(a), Json::Number(b)) => b.as_f64().is_some_and(|b| close(*a, b)),
        (Node::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is(a, b)),
        (Node::Map(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|json| is(value, json)))
        }
        _ => false,
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= b.abs() * 1e-15 || a.to_bits() == b.to_bits()
}

/// Makes [`Node`]s.
struct Nodes;

impl Build for Nodes {
    type Value = Node;
    type Text = String;
    type List = Vec<Node>;
    type Map = Vec<(String, Node)>;
    type Error = Infallible;

    fn null(&mut self) -> Node {
        Node::Null
    }

    fn boolean(&mut self, value: bool) -> Result<Node, Infallible> {
        Ok(Node::Boolean(value))
    }

    fn integer(&mut self, value: i128) -> Result<Node, Infallible> {
        Ok(Node::Integer(value))
    }

    fn float(&mut self, value: f64) -> Result<Node, Infallible> {
        Ok(Node::Float(value))
    }

    fn text(&mut self, value: &str) -> String {
        value.to_owned()
    }

    fn text_value(&mut self, text: String) -> Node {
        Node::Text(text)
    }

    fn list(&mut self) -> Self::List {
        Vec::new()
    }

    fn push(&mut self, list: &mut Self::List, value: Node) -> Result<(), Infallible> {
        list.push(value);
        Ok(())
    }

    fn end_list(&mut self, list: Self::List) -> Node {
        Node::List(list)
    }

    fn map(&mut self) -> Self::Map {
        Vec::new()
    }

    fn contains(&mut self, map: &Self::Map, key: &String) -> Result<bool, Infallible> {
        Ok(map.iter().any(|(name, _)| name == key))
    }

    fn place(&mut self, map: &Self::Map, key: &String) -> Option<usize> {
        map.iter().position(|(name, _)| name == key)
    }

    fn insert(&mut self, map: &mut Self::Map, key: String, value: Node) -> Result<(), Infallible> {
        match map.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => map.push((key, value)),
        }
        Ok(())
    }

    fn end_map(&mut self, map: Self::Map) -> Node {
        Node::Map(map)
    }

    fn shown(&self, text: &String) -> String {
        text.clone()
    }
}
