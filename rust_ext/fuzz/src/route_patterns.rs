//! Target `route_patterns`: routes, changes and look-ups in the language of `route_language`.

use std::collections::BTreeSet;

use fastgate_core::http1::{Progress, Request, RequestRules, ReservedNames};
use fastgate_core::route::{Captures, Fields, Found, Lookup, Redirector, RewriteError, Rewriter, RouteTable};
use fastgate_core::snapshot::{DotSegments, EncodedSlash, Listener, PathMatch, Route, UnderscoreHeaders};

use crate::path_model;
use crate::route_language::{self, Ask, Change, Input};
use crate::route_model::{self, Asked};

/// Whatever the patterns: a found route is one that a linear scan accepts and nothing better is, its captures are what
/// stands in the path, and a rewritten path or a Location is safe.
pub fn route_patterns(data: &[u8]) {
    let mut input = route_language::read(data);
    let listener = input.listener.clone();
    let Some(table) = compile(&mut input, &listener) else { return };
    let changes: Vec<_> =
        input.changes.iter().filter_map(|(r, change)| Some((*r, compiled(&input, *r, change)?))).collect();
    for ask in &input.asks {
        look_up(&table, &input, ask, &changes);
    }
}

/// The table of the routes that can stand together; the others are dropped from the input.
fn compile(input: &mut Input, listener: &Listener) -> Option<RouteTable> {
    let mut kept: Vec<Route> = Vec::new();
    let mut place = Vec::new();
    let mut table = None;
    for route in input.routes.drain(..) {
        kept.push(route);
        match RouteTable::compile(&kept, std::slice::from_ref(listener)) {
            Ok(compiled) => {
                table = Some(compiled);
                place.push(Some(kept.len() - 1));
            }
            Err(faults) => {
                assert!(!faults.is_empty(), "refused without a fault");
                assert!(faults.iter().all(|f| f.path.starts_with("routes") && !f.message.is_empty()), "{faults:?}");
                kept.pop();
                place.push(None);
            }
        }
    }
    input.routes = kept;
    let changes = std::mem::take(&mut input.changes);
    input.changes = changes.into_iter().filter_map(|(r, change)| Some((place[r]?, change))).collect();
    table
}

enum Compiled<'a> {
    Rewriter(Rewriter),
    Redirector(Redirector, &'a str),
}

fn compiled<'a>(input: &Input, route: usize, change: &'a Change) -> Option<Compiled<'a>> {
    let matches = &input.routes[route].matches;
    let result = match change {
        Change::Rewrite(rewrite) => Rewriter::compile(rewrite, matches).map(Compiled::Rewriter),
        Change::Redirect(redirect) => {
            Redirector::compile(redirect, matches).map(|r| Compiled::Redirector(r, &redirect.to))
        }
    };
    result.map_err(|message| assert!(!message.is_empty(), "refused without a sentence")).ok()
}

struct One<'a>(&'a str);

impl Fields for One<'_> {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        if name == self.0.as_bytes() {
            each(b"1");
        }
    }
}

fn rules(listener: &Listener) -> RequestRules {
    RequestRules {
        head_bytes: 1 << 20,
        header_count: 100,
        uri_bytes: 1 << 20,
        encoded_slash: listener.encoded_slash,
        dot_segments: DotSegments::Refuse,
        underscore_headers: UnderscoreHeaders::Drop,
        trusted: Vec::new(),
        reserved: ReservedNames::new::<&str>(&[]),
    }
}

fn head(method: &str, target: &[u8], host: &str) -> Vec<u8> {
    [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: ", host.as_bytes(), b"\r\n\r\n"].concat()
}

fn look_up(table: &RouteTable, input: &Input, ask: &Ask, changes: &[(usize, Compiled<'_>)]) {
    // What routing sees has been through the codec.
    let bytes = head(&ask.method, ask.target.as_bytes(), &ask.host);
    let mut request = Request::new();
    if request.parse(&bytes, &rules(&input.listener)) != Ok(Progress::Complete(bytes.len())) {
        return;
    }
    let path = request.path(&bytes);
    let lookup = Lookup {
        listener: 0,
        host: request.host(&bytes),
        path,
        method: request.method_bytes(&bytes),
        query: request.query(&bytes),
        client: ask.client,
        fields: &One(&ask.field),
    };
    let mut captures = Captures::new();
    let found = table.find(&lookup, &mut captures);
    if request.is_asterisk() {
        return;
    }
    let query = lookup.query.unwrap_or_default();
    let asked = Asked { host: lookup.host, path, query, method: &ask.method, field: &ask.field, client: ask.client };
    let accepted = route_model::scan(&input.routes, &asked);
    match found {
        Found::Route(route, number) => {
            let best = accepted.iter().filter(|a| a.serves(asked.method)).map(|a| a.rank).min();
            let of_it = accepted.iter().filter(|a| a.route == route && a.serves(asked.method)).map(|a| a.rank).min();
            assert!(number == 0 && of_it.is_some(), "route {route} was found but does not accept");
            assert_eq!(of_it, best, "a better route accepts");
            check_captures(&input.routes[route], path, &captures);
            for (_, change) in changes.iter().filter(|(r, _)| *r == route) {
                apply(change, &request, &bytes, &captures);
            }
        }
        Found::MethodNotAllowed(allow) => {
            assert!(!accepted.iter().any(|a| a.serves(asked.method)), "405 although a route accepts");
            let expected: BTreeSet<String> = accepted.into_iter().flat_map(|a| a.methods.unwrap_or_default()).collect();
            assert!(!expected.is_empty(), "405 although no other method is served");
            assert_eq!(allow.as_str().split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), expected);
        }
        Found::NotFound => assert!(accepted.is_empty(), "404 although route {} accepts", accepted[0].route),
    }
}

fn check_captures(route: &Route, path: &[u8], captures: &Captures) {
    let got: Vec<_> = captures.iter(path).collect();
    assert_eq!(got.len(), captures.len(), "a capture outside the path");
    assert_eq!(
        got.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(),
        got.len(),
        "a name stands for two captures"
    );
    match &route.matches[0].path {
        Some(PathMatch::Prefix(text)) => {
            let length = route_model::prefix_length(text, path).expect("the prefix fits");
            assert_eq!(captures.prefix_len(), Some(length));
            assert_eq!(got, [("rest", &path[length..])]);
        }
        Some(PathMatch::Path(text)) => {
            assert_eq!(Some(got), route_model::captured(text, path));
        }
        Some(PathMatch::Regex(_)) => {}
        None => assert!(got.is_empty()),
    }
}

fn apply(change: &Compiled<'_>, request: &Request, bytes: &[u8], captures: &Captures) {
    let (raw, path) = (request.raw_path(bytes), request.path(bytes));
    let mut out = b"before".to_vec();
    match change {
        Compiled::Rewriter(rewriter) => match rewriter.apply(&mut out, raw, path, captures) {
            Ok(()) => safe_path(out.strip_prefix(b"before").expect("appended")),
            Err(error) => {
                assert_eq!(out, b"before");
                assert_eq!(error, RewriteError::UnsafePath);
            }
        },
        Compiled::Redirector(redirector, template) => {
            let result = redirector.location(&mut out, request.host(bytes), raw, request.query(bytes), path, captures);
            let written = out.strip_prefix(b"before").expect("appended");
            match result {
                Ok(()) => safe_location(written, template),
                Err(error) => assert!(written.is_empty() && !error.to_string().is_empty()),
            }
        }
    }
}

/// What goes upstream is one target that reads in one way.
fn safe_path(path: &[u8]) {
    let shown = path.escape_ascii();
    let end = path_model::path_length(path);
    assert_eq!(end, Some(path.len()), "{shown} cannot stand in a request line");
    // Bytes that are no UTF-8 can come from an expression over bytes; nothing else may make the next reader refuse it.
    let readable = path_model::canonical(path, EncodedSlash::Keep);
    let text = String::from_utf8_lossy(path).into_owned();
    assert!(readable.is_some() || text.contains('%'), "{shown} reads in two ways");
    assert!(!path.split(|b| *b == b'/').any(|s| s == b".." || s == b"."), "{shown} has a dot segment");
}

/// H5: printable ASCII that stays where the template put it.
fn safe_location(location: &[u8], template: &str) {
    let shown = location.escape_ascii();
    assert!(location.iter().all(u8::is_ascii_graphic), "{shown} holds what no Location may");
    assert!(!location.iter().any(|b| b"\\\"<>".contains(b)), "{shown} holds what no Location may");
    assert!(!location.is_empty());
    if template.starts_with('/') || template.starts_with('{') {
        assert!(location.starts_with(b"/"), "{shown} left its place");
        assert!(template.starts_with("//") || !location.starts_with(b"//"), "{shown} names a host");
    }
}
