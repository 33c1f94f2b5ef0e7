//! A simple reader of HTTP/1.1 messages, written without a look at the engine's: it judges both sides.

/// A head: its first line, its fields in order, and its length with the empty line.
#[derive(Debug, Clone)]
pub struct Head {
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub len: usize,
}

impl Head {
    /// Every value of a field, by lower-case name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The only value of a field.
    pub fn one(&self, name: &str) -> Result<Option<&str>, String> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(format!("{name} stands more than once")),
        }
    }
}

/// The head at the start of `bytes`, once it is complete.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is not text".to_owned())?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let mut fields = Vec::new();
    for field in lines {
        let (name, value) = field.split_once(':').ok_or_else(|| format!("a field without a colon: {field:?}"))?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) || value.bytes().any(|b| b < b' ' && b != b'\t') {
            return Err(format!("a field that is not valid: {field:?}"));
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(Some(Head { line, fields, len: end + 4 }))
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// The framing a head announces; without one: `otherwise`.
pub fn framing(head: &Head, otherwise: Framing) -> Result<Framing, String> {
    match (head.one("transfer-encoding")?, head.one("content-length")?) {
        (Some(_), Some(_)) => Err("two framings".to_owned()),
        (Some("chunked"), None) => Ok(Framing::Chunked),
        (Some(other), None) => Err(format!("a transfer coding {other:?}")),
        (None, Some(n)) if n.bytes().all(|b| b.is_ascii_digit()) => {
            n.parse().map(Framing::Length).map_err(|_| format!("a length {n:?}"))
        }
        (None, Some(n)) => Err(format!("a length {n:?}")),
        (None, None) => Ok(otherwise),
    }
}

/// A body as far as it has come.
#[derive(Debug, Default)]
pub struct Body {
    pub content: Vec<u8>,
    /// How many bytes it took, once complete.
    pub complete: Option<usize>,
}

/// Reads a body of that framing from the start of `bytes`.
pub fn body(framing: Framing, bytes: &[u8]) -> Result<Body, String> {
    match framing {
        Framing::None => Ok(Body { content: Vec::new(), complete: Some(0) }),
        Framing::Length(n) => {
            let content = bytes[..n.min(bytes.len())].to_vec();
            let complete = (content.len() == n).then_some(n);
            Ok(Body { content, complete })
        }
        Framing::UntilClose => Ok(Body { content: bytes.to_vec(), complete: None }),
        Framing::Chunked => chunked(bytes),
    }
}

fn chunked(bytes: &[u8]) -> Result<Body, String> {
    let mut body = Body::default();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else {
            return if rest.len() > 300 { Err("a chunk line without an end".to_owned()) } else { Ok(body) };
        };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|line| usize::from_str_radix(line, 16).ok());
        let Some(size) = size else { return Err(format!("a chunk line {:?}", String::from_utf8_lossy(&rest[..end]))) };
        at += end + 2;
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        body.content.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return Ok(body);
        }
        if &rest[size..size + 2] != b"\r\n" {
            return Err("a chunk without its end".to_owned());
        }
        at += size + 2;
    }
    // Trailers, up to an empty line.
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(body) };
        at += end + 2;
        if end == 0 {
            body.complete = Some(at);
            return Ok(body);
        }
    }
}
