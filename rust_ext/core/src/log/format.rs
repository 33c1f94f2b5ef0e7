//! Formats: JSON, combined or a template, all compiled into the same pieces.

use super::text::{LONGEST, Literal, Style};

/// The names a template may use, in the order of the JSON format; `header.NAME` stands for a header of the request.
pub const NAMES: &[&str] = &[
    "time",
    "request_id",
    "client",
    "listener",
    "method",
    "host",
    "path",
    "query",
    "protocol",
    "referer",
    "user_agent",
    "route",
    "service",
    "target",
    "status",
    "bytes_in",
    "bytes_out",
    "body_bytes_out",
    "duration",
    "duration_upstream",
    "duration_own",
    "retries",
    "error",
    "reason",
    "request",
    "time_common",
    "header.NAME",
];

/// How many of [`NAMES`] the JSON format has.
const JSON_NAMES: usize = 24;

const COMBINED: &str =
    r#"{client} - - [{time_common}] "{request}" {status} {body_bytes_out} "{referer}" "{user_agent}""#;

/// What the head of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Early {
    /// More of the text before the next piece.
    Nothing,
    Time,
    TimeCommon,
    RequestId,
    Client,
    Listener,
    Method,
    Host,
    Path,
    Query,
    Protocol,
    Request,
    Referer,
    UserAgent,
    Header(Box<[u8]>),
}

/// What only its end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Late {
    /// More of the text before the next piece, or behind the last one.
    Nothing,
    Route,
    Service,
    Target,
    Status,
    BytesIn,
    BytesOut,
    BodyBytesOut,
    Duration,
    DurationUpstream,
    DurationOwn,
    Retries,
    Error,
    Reason,
}

/// Pieces from the head, and those from the end behind them, each with the text before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) early: Vec<(Literal, Early)>,
    pub(super) late: Vec<(Literal, Late)>,
}

/// A format of lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    pub(super) style: Style,
    pub(super) runs: Vec<Run>,
}

/// A piece as a template has them.
enum Piece {
    Text(Box<[u8]>),
    Early(Early),
    Late(Late),
}

impl Format {
    /// One JSON object a line, with every name but those that only templates need.
    #[must_use]
    pub fn json() -> Self {
        let mut pieces = Vec::new();
        for (i, name) in NAMES[..JSON_NAMES].iter().enumerate() {
            let before = if i == 0 { "{" } else { "," };
            pieces.push(Piece::Text(format!("{before}\"{name}\":").into_bytes().into()));
            pieces.extend(piece(name));
        }
        pieces.push(Piece::Text(b"}".as_slice().into()));
        Self::compile(Style::Json, pieces)
    }

    /// Apache's combined format.
    #[must_use]
    pub fn combined() -> Self {
        Self::compile(Style::Plain, parse(COMBINED).unwrap_or_default())
    }

    /// A template: text and `{name}`; `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it and what is allowed.
    pub fn template(text: &str) -> Result<Self, String> {
        parse(text).map(|pieces| Self::compile(Style::Plain, pieces))
    }

    fn compile(style: Style, pieces: Vec<Piece>) -> Self {
        let mut run = Run::default();
        let mut runs = Vec::new();
        let mut before = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => before.extend_from_slice(&text),
                Piece::Early(early) => {
                    if !run.late.is_empty() {
                        runs.push(std::mem::take(&mut run));
                    }
                    quote(style, &mut before);
                    add(&mut run.early, &mut before, early, || Early::Nothing);
                }
                Piece::Late(late) => {
                    if late.is_text() {
                        quote(style, &mut before);
                    }
                    add(&mut run.late, &mut before, late, || Late::Nothing);
                }
            }
        }
        before.push(b'\n');
        add(&mut run.late, &mut before, Late::Nothing, || Late::Nothing);
        runs.push(run);
        Self { style, runs }
    }
}

/// The quote before a text.
fn quote(style: Style, before: &mut Vec<u8>) {
    if style == Style::Json {
        before.push(b'"');
    }
}

/// Adds a piece with all the text before it.
fn add<P>(pieces: &mut Vec<(Literal, P)>, before: &mut Vec<u8>, piece: P, nothing: fn() -> P) {
    pieces.extend(Literal::of(before).into_iter().map(|literal| (literal, nothing())));
    before.clear();
    if let Some((_, last)) = pieces.last_mut() {
        *last = piece;
    }
}

impl Late {
    /// Whether it is text, which JSON puts between quotes; everything from the head is.
    fn is_text(&self) -> bool {
        matches!(self, Self::Route | Self::Service | Self::Target | Self::Error | Self::Reason)
    }
}

fn parse(text: &str) -> Result<Vec<Piece>, String> {
    if text.len() > LONGEST {
        return Err(format!("a template of {} bytes is too long; at most {LONGEST} are allowed", text.len()));
    }
    if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("a line of the log cannot hold the control character {control:?}"));
    }
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut named = false;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
        if let Some(after) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let name = if brace == "{" { after.split_once('}') } else { None };
        let Some((name, after)) = name else {
            return Err(format!("a single {brace} in a template; write {brace}{brace} for the character itself"));
        };
        let Some(piece) = piece(name) else {
            return Err(format!("there is no {{{name}}}; allowed: {}", NAMES.join(", ")));
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal).into_bytes().into()));
        }
        pieces.push(piece);
        named = true;
        rest = after;
    }
    if !named {
        return Err(format!("{text:?} is not a format; allowed: json, combined, or a template with {{name}} in it"));
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into_bytes().into()));
    }
    Ok(pieces)
}

fn piece(name: &str) -> Option<Piece> {
    let early = match name {
        "time" => Early::Time,
        "time_common" => Early::TimeCommon,
        "request_id" => Early::RequestId,
        "client" => Early::Client,
        "listener" => Early::Listener,
        "method" => Early::Method,
        "host" => Early::Host,
        "path" => Early::Path,
        "query" => Early::Query,
        "protocol" => Early::Protocol,
        "request" => Early::Request,
        "referer" => Early::Referer,
        "user_agent" => Early::UserAgent,
        _ => return late(name).map(Piece::Late).or_else(|| header(name).map(Piece::Early)),
    };
    Some(Piece::Early(early))
}

fn late(name: &str) -> Option<Late> {
    Some(match name {
        "route" => Late::Route,
        "service" => Late::Service,
        "target" => Late::Target,
        "status" => Late::Status,
        "bytes_in" => Late::BytesIn,
        "bytes_out" => Late::BytesOut,
        "body_bytes_out" => Late::BodyBytesOut,
        "duration" => Late::Duration,
        "duration_upstream" => Late::DurationUpstream,
        "duration_own" => Late::DurationOwn,
        "retries" => Late::Retries,
        "error" => Late::Error,
        "reason" => Late::Reason,
        _ => return None,
    })
}

fn header(name: &str) -> Option<Early> {
    let name = name.strip_prefix("header.")?;
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    (!name.is_empty() && name.bytes().all(token))
        .then(|| Early::Header(name.to_ascii_lowercase().into_bytes().into_boxed_slice()))
}
