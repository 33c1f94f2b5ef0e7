//! Expressions that another implementation of CEL has judged (`tools/cel_table.py`): the same verdicts here.
//!
//! Where the two differ on purpose it stands below and in decision 0034; nothing else may differ.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastgate_core::auth::Identity;
use fastgate_core::auth::expression::{Expression, Facts, Field};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Told {
    now_ms: u64,
    route: String,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    subject: String,
    roles: Vec<Box<str>>,
    claims: Map<String, Value>,
}

struct Ask<'a> {
    told: &'a Told,
    request: &'a Request,
    query: Vec<u8>,
    identity: Identity,
}

impl<'a> Ask<'a> {
    fn new(told: &'a Told, request: &'a Request) -> Self {
        let hex = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let query: Vec<String> =
            request.query.iter().map(|(name, value)| format!("{}={}", hex(name), hex(value))).collect();
        let identity = Identity {
            method: "jwt",
            subject: Some(request.subject.as_str().into()),
            roles: request.roles.clone().into(),
            claims: Arc::new(request.claims.clone()),
            ..Identity::default()
        };
        Self { told, request, query: query.join("&").into_bytes(), identity }
    }
}

impl Facts for Ask<'_> {
    fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match field {
            Field::Method => &self.request.method,
            Field::Path => &self.request.path,
            Field::Route => &self.told.route,
            Field::Host | Field::Scheme | Field::ClientIp | Field::Id => return None,
        }))
    }

    fn header<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        if let Some(value) = self.request.headers.get(name) {
            take(value.as_bytes());
        }
    }

    fn query(&self) -> &[u8] {
        &self.query
    }

    fn identity(&self) -> Option<&Identity> {
        Some(&self.identity)
    }

    fn now(&self) -> u64 {
        self.told.now_ms
    }
}

/// Number of the request, expression, verdict, whether its checker takes it.
type Row = (usize, String, String, bool);

fn table() -> (PathBuf, Told, Vec<Row>) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/cel/table.jsonl");
    let path = std::env::var_os("FASTGATE_CEL_TABLE").map_or(own, PathBuf::from);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let told = serde_json::from_str(lines.next().unwrap()).unwrap();
    let rows = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    (path, told, rows)
}

/// What is refused at load although its checker takes it: constant parts are computed, with what `dyn` hides from a checker.
const CONSTANT: [&str; 4] = [
    "this is an error whatever the request",
    "a bool is needed here",
    "this operator does not take",
    "matches takes a string",
];

#[test]
fn every_expression_is_judged_as_by_another_implementation() {
    let (path, told, rows) = table();
    let asks: Vec<Ask<'_>> = told.requests.iter().map(|request| Ask::new(&told, request)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (request, text, verdict, checked) in &rows {
        let judged = match Expression::compile(text) {
            Ok(expression) => match expression.holds(&asks[*request]) {
                Ok(true) => "true",
                Ok(false) => "false",
                Err(_) => "error",
            },
            // What can never be computed, or never be a boolean, is refused before there is a request.
            Err(_) if verdict == "error" => "refused, an error there",
            Err(_) if !checked => "refused, by its checker too",
            Err(fault) if CONSTANT.iter().any(|why| fault.message.contains(why)) => "refused, for a constant part",
            Err(fault) => {
                wrong.push(format!("{request} {text}: refused here ({}), {verdict} there", fault.message));
                continue;
            }
        };
        *counts.entry(judged).or_default() += 1;
        if !judged.starts_with("refused") && judged != verdict {
            wrong.push(format!("{request} {text}: {judged} here, {verdict} there"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}, {counts:?}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // Most of the table is about values: neither refusals nor errors alone would prove much.
    let share = |name: &str| counts.get(name).copied().unwrap_or(0) * 100 / rows.len();
    assert!(share("true") > 25 && share("false") > 15, "{}: {counts:?}", path.display());
}

/// Where the other implementation says something else, on purpose: the reasons are in decision 0034.
#[test]
fn what_differs_on_purpose() {
    let (_, told, _) = table();
    let ask = Ask::new(&told, &told.requests[0]);
    for (text, here) in [
        // Across kinds it compares as doubles.
        ("dyn(9007199254740993) == 9007199254740992.0", Ok(false)),
        ("dyn(18446744073709551615u) < 18446744073709551616.0", Ok(true)),
        // It ends at 292 years.
        ("timestamp('2026-01-01T00:00:00Z') - timestamp('0001-01-01T00:00:00Z') > duration('17740000h')", Ok(true)),
        // It has three, six or nine digits.
        ("string(duration('-1.5s')) == '-1.5s'", Ok(true)),
        ("string(timestamp('2024-01-01T00:00:00.120Z')) == '2024-01-01T00:00:00.12Z'", Ok(true)),
        // It takes blanks around numbers, and hexadecimal doubles.
        ("int(' ' + string(claims.level)) == 3", Err("a text that is no number")),
        ("double('0x' + string(claims.level)) == 3.0", Err("a text that is no number")),
        // It takes a bool for a number.
        ("int(claims.on) == 1", Err("no such overload")),
    ] {
        let held = Expression::compile(text).unwrap().holds(&ask).map_err(|trouble| trouble.to_string());
        assert_eq!(held, here.map_err(str::to_owned), "{text}");
    }
    // It takes a number that is too large for infinity.
    assert!(Expression::compile("claims.ratio < 1e400").unwrap_err().message.contains("no number that fits"));
}
