//! The compiled table against a slow model: every candidate judged in a linear scan and sorted by the written rule.

mod route_common;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use fastgate_core::route::{Found, RouteTable, Verdict};
use fastgate_core::snapshot::{Match, PathMatch, Route, ValueMatch};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use route_common::{Ask, Pairs, a_match, a_route, listener};
use serde_json::{Value, json};

const LISTENERS: [&str; 2] = ["one", "two"];

fn segments(path: &str) -> Vec<&str> {
    path[1..].split('/').collect()
}

fn prefix_segments(text: &str) -> Vec<&str> {
    text.split('/').filter(|s| !s.is_empty()).collect()
}

/// 0 literal, 1 `{name}`, 2 `{name:path}`.
fn kind(segment: &str) -> u8 {
    match segment.starts_with('{') {
        false => 0,
        true if segment.ends_with(":path}") => 2,
        true => 1,
    }
}

fn path_fits(pattern: Option<&PathMatch>, path: &str) -> bool {
    match pattern {
        None => true,
        Some(PathMatch::Prefix(text)) => {
            let wanted = prefix_segments(text);
            let have = segments(path);
            have.len() >= wanted.len() && have.iter().zip(&wanted).all(|(a, b)| a == b)
        }
        Some(PathMatch::Path(text)) => {
            let (wanted, have) = (segments(text), segments(path));
            for (i, pattern) in wanted.iter().enumerate() {
                match (kind(pattern), have.get(i)) {
                    (_, None) => return false,
                    (2, Some(_)) => return true,
                    (1, Some(segment)) if !segment.is_empty() => {}
                    (0, Some(segment)) if segment == pattern => {}
                    _ => return false,
                }
            }
            wanted.len() == have.len()
        }
        Some(PathMatch::Regex(text)) => regex_fits(text, path),
    }
}

/// The few expressions that occur, by hand.
fn regex_fits(text: &str, value: &str) -> bool {
    match text {
        "1|3" => matches!(value, "1" | "3"),
        "/a.*" => value.starts_with("/a"),
        ".*b" => value.ends_with('b'),
        "/[ab]/[ab]" => matches!(value, "/a/a" | "/a/b" | "/b/a" | "/b/b"),
        ".*" => true,
        other => unreachable!("{other} is not among the generated expressions"),
    }
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

fn value_fits(wanted: &ValueMatch, have: &[&str]) -> bool {
    match wanted {
        ValueMatch::Exact(text) => have.contains(&text.as_str()),
        ValueMatch::Present(yes) => have.is_empty() != *yes,
        ValueMatch::Regex(text) => have.iter().any(|v| regex_fits(text, v)),
    }
}

/// Everything but host, path, listener and method.
fn rest_fits(one: &Match, ask: &Ask) -> bool {
    let query: Vec<(&str, &str)> =
        ask.query.as_deref().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=')).collect();
    let headers = one.headers.iter().all(|(name, wanted)| {
        let have: Vec<&str> = ask.fields.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        value_fits(wanted, &have)
    });
    let query = one.query.iter().all(|(name, wanted)| {
        let have: Vec<&str> = query.iter().filter(|(n, _)| n == name).map(|(_, v)| *v).collect();
        value_fits(wanted, &have)
    });
    let client = one.client_ip.is_empty() || ask.client.is_some_and(|ip| one.client_ip.iter().any(|n| n.contains(&ip)));
    headers && query && client
}

fn serves(methods: &[String], method: &str) -> bool {
    methods.is_empty() || methods.iter().any(|m| m == method || m == "GET" && method == "HEAD")
}

fn listens(route: &Route, listener: usize) -> bool {
    route.listeners.as_ref().is_none_or(|names| names.iter().any(|n| n == LISTENERS[listener]))
}

fn hosts(one: &Match) -> Vec<Option<&str>> {
    if one.hosts.is_empty() { vec![None] } else { one.hosts.iter().map(|h| Some(h.as_str())).collect() }
}

/// The rule as a sortable key: the smallest wins.
fn key<'a>(route: &'a Route, number: usize, host: Option<&str>) -> impl Ord + use<'a> {
    let one = &route.matches[number];
    let host_rank = host.map_or((2, Reverse(0)), |h| (u8::from(h.starts_with('*')), Reverse(h.len())));
    let host_rank = if host_rank.0 == 0 { (0, Reverse(0)) } else { host_rank };
    let path_rank = match &one.path {
        Some(PathMatch::Path(text)) => {
            let shape: Vec<u8> = segments(text).into_iter().map(kind).collect();
            if shape.iter().all(|k| *k == 0) { (0, vec![], Reverse(0)) } else { (1, shape, Reverse(0)) }
        }
        Some(PathMatch::Prefix(text)) => (2, vec![], Reverse(prefix_segments(text).len())),
        Some(PathMatch::Regex(_)) => (3, vec![], Reverse(0)),
        None => (4, vec![], Reverse(0)),
    };
    let counts =
        (one.methods.is_empty(), Reverse(one.headers.len()), Reverse(one.query.len()), one.client_ip.is_empty());
    let head = !one.methods.iter().any(|m| m == "HEAD");
    (Reverse(route.priority), host_rank, path_rank, counts, head, route.name.clone(), number)
}

fn model(routes: &[Route], ask: &Ask) -> Result<(usize, usize), BTreeSet<String>> {
    let mut held = Vec::new();
    let mut allow = BTreeSet::new();
    for (r, route) in routes.iter().enumerate() {
        for (m, one) in route.matches.iter().enumerate() {
            for host in hosts(one) {
                if !listens(route, ask.listener)
                    || !host.is_none_or(|h| host_fits(h, &ask.host))
                    || !path_fits(one.path.as_ref(), &ask.path)
                    || !rest_fits(one, ask)
                {
                    continue;
                }
                if serves(&one.methods, &ask.method) {
                    held.push((key(route, m, host), r, m));
                } else {
                    allow.extend(one.methods.iter().cloned());
                    allow.extend(one.methods.iter().filter(|m| *m == "GET").map(|_| "HEAD".to_owned()));
                }
            }
        }
    }
    held.into_iter().min_by(|a, b| a.0.cmp(&b.0)).map(|(_, r, m)| (r, m)).ok_or(allow)
}

/// The same pattern but for the names of captures.
fn shape(path: Option<&PathMatch>) -> String {
    match path {
        None => "none".into(),
        Some(PathMatch::Prefix(text)) => format!("prefix {:?}", prefix_segments(text)),
        Some(PathMatch::Regex(text)) => format!("regex {text}"),
        Some(PathMatch::Path(text)) => {
            let plain = |s| match kind(s) {
                0 => s,
                1 => "{}",
                _ => "{:path}",
            };
            format!("path {:?}", segments(text).into_iter().map(plain).collect::<Vec<_>>())
        }
    }
}

fn conflict(a: &Route, b: &Route) -> bool {
    let listener = (0..2).any(|l| listens(a, l) && listens(b, l));
    let pairs = a.matches.iter().flat_map(|x| b.matches.iter().map(move |y| (x, y)));
    listener
        && a.priority == b.priority
        && pairs.into_iter().any(|(x, y)| {
            let methods =
                x.methods.iter().any(|m| y.methods.contains(m)) || x.methods.is_empty() && y.methods.is_empty();
            methods
                && hosts(x).iter().any(|h| hosts(y).contains(h))
                && shape(x.path.as_ref()) == shape(y.path.as_ref())
                && (&x.headers, &x.query, &x.client_ip) == (&y.headers, &y.query, &y.client_ip)
        })
}

fn a_path() -> impl Strategy<Value = Value> {
    let template = (prop::collection::vec(select(vec!["a", "b", "{}"]), 0..3), select(vec!["", "a", "{}", "{:path}"]));
    let template = template.prop_map(|(segments, last)| {
        let named = segments.into_iter().chain([last]).enumerate().map(|(i, s)| s.replace('{', &format!("{{n{i}")));
        json!({"path": format!("/{}", named.collect::<Vec<_>>().join("/"))})
    });
    let prefix = prop::collection::vec(select(vec!["a", "b"]), 0..3)
        .prop_map(|s| json!({"prefix": format!("/{}", s.join("/"))}));
    let regex = select(vec!["/a.*", ".*b", "/[ab]/[ab]", ".*"]).prop_map(|r| json!({"regex": r}));
    prop_oneof![6 => template, 4 => prefix, 1 => regex, 1 => Just(Value::Null)]
}

fn a_value() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"exact": "1"}),
        json!({"exact": "2"}),
        json!({"present": true}),
        json!({"present": false}),
        json!({"regex": "1|3"}),
    ])
}

fn one_match() -> impl Strategy<Value = Value> {
    let hosts = prop_oneof![2 => Just(vec![]), 3 => subsequence(vec!["x.y", "a.x.y", "b.a.x.y", "*.y", "*.x.y", "*.a.x.y"], 1..3)];
    let methods = prop_oneof![3 => Just(vec![]), 2 => subsequence(vec!["GET", "HEAD", "POST", "ODD"], 1..3)];
    let values = || prop_oneof![6 => Just(Value::Null), 1 => a_value()];
    let client = prop_oneof![4 => Just(vec![]), 1 => Just(vec!["10.0.0.0/8"])];
    (a_path(), hosts, methods, values(), values(), values(), client).prop_map(
        |(path, hosts, methods, h1, h2, q, client)| {
            let map = |pairs: Vec<(&str, Value)>| -> Value {
                Value::Object(pairs.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)).collect())
            };
            a_match(json!({"path": path, "hosts": hosts, "methods": methods, "client_ip": client,
            "headers": map(vec![("h1", h1), ("h2", h2)]), "query": map(vec![("q", q)])}))
        },
    )
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let priority = prop_oneof![6 => Just(0), 1 => -1..2i32];
    let on = prop_oneof![4 => Just(None), 1 => subsequence(LISTENERS.to_vec(), 1..3).prop_map(Some)];
    let one = (priority, on, prop::collection::vec(one_match(), 1..3));
    prop::collection::vec(one, 1..25).prop_map(|routes| {
        let named = routes.into_iter().enumerate().map(|(i, (priority, on, matches))| {
            let on = on.map(|names| names.into_iter().map(str::to_owned).collect());
            a_route(&format!("{:02}", i * 37 % 100), priority, on, matches)
        });
        named.collect()
    })
}

fn an_ask() -> impl Strategy<Value = Ask> {
    let path = (prop::collection::vec(select(vec!["a", "b", "c"]), 0..4), any::<bool>())
        .prop_map(|(s, slash)| format!("/{}{}", s.join("/"), if slash && !s.is_empty() { "/" } else { "" }));
    let host = select(vec!["x.y", "a.x.y", "b.a.x.y", "c.b.a.x.y", "q.y", "y", ""]);
    let method = select(vec!["GET", "HEAD", "POST", "ODD", "NONE"]);
    let field = (select(vec!["h1", "h2"]), select(vec!["1", "2", "3"]));
    let fields = prop::collection::vec(field, 0..3);
    let query = select(vec![None, Some("q=1"), Some("z=1&q=2"), Some("q=3&q=1"), Some("")]);
    let client = select(vec![None, Some("10.1.2.3"), Some("11.0.0.1")]);
    (0..2usize, host, path, method, fields, query, client).prop_map(
        |(listener, host, path, method, fields, query, client)| Ask {
            listener,
            host: host.into(),
            path,
            method: method.into(),
            query: query.map(str::to_owned),
            client: client.map(|c| c.parse().expect("an address")),
            fields: Pairs(fields.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()),
        },
    )
}

fn debug(ask: &Ask) -> String {
    let Ask { listener, host, path, method, query, client, fields } = ask;
    format!("{listener} {method} {host:?} {path} {query:?} {client:?} {:?}", fields.0)
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&debug(self))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_the_model(routes in routes(), asks in prop::collection::vec(an_ask(), 50)) {
        let listeners = LISTENERS.map(listener);
        let mut kept: Vec<Route> = Vec::new();
        let mut expected = BTreeSet::new();
        for (j, route) in routes.iter().enumerate() {
            for (i, other) in routes[..j].iter().enumerate() {
                if conflict(route, other) {
                    expected.insert((i, j));
                }
            }
            if !kept.iter().any(|k| conflict(route, k)) {
                kept.push(route.clone());
            }
        }
        // Of every conflict at least one side is named, and no pair is named that is none.
        let reported = RouteTable::compile(&routes, &listeners).err().unwrap_or_default();
        let pairs: BTreeSet<(usize, usize)> = reported.iter().map(|fault| {
            let later: usize = fault.path.strip_prefix("routes.").unwrap().parse().unwrap();
            let earlier = fault.message.split("(routes.").nth(1).unwrap().split(')').next().unwrap();
            (earlier.parse().unwrap(), later)
        }).collect();
        prop_assert!(pairs.is_subset(&expected), "{pairs:?} {expected:?}");
        let named: BTreeSet<usize> = pairs.iter().flat_map(|(i, j)| [*i, *j]).collect();
        for (i, j) in &expected {
            prop_assert!(named.contains(i) || named.contains(j), "{i} and {j} are not in {pairs:?}");
        }

        let table = RouteTable::compile(&kept, &listeners).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
        for (number, ask) in asks.iter().enumerate() {
            let (found, captures) = ask.find(&table);
            if number < 4 {
                check_explained(&table.explain(&kept, &listeners, &ask.lookup()), &found, ask)?;
            }
            match model(&kept, ask) {
                Ok((r, m)) => {
                    prop_assert_eq!(&found, &Found::Route(r, m), "{:?}", ask);
                    check_captures(&kept[r].matches[m], &ask.path, &captures)?;
                }
                Err(allow) if allow.is_empty() => prop_assert_eq!(&found, &Found::NotFound, "{:?}", ask),
                Err(allow) => match found {
                    Found::MethodNotAllowed(found) => {
                        prop_assert_eq!(found.as_str(), allow.into_iter().collect::<Vec<_>>().join(", "));
                    }
                    other => prop_assert!(false, "{ask:?}: {other:?} instead of {allow:?}"),
                },
            }
        }
    }
}

/// What is explained is what is found: the first that lacks nothing; 405 where something lacks nothing but the method.
fn check_explained(verdicts: &[Verdict], found: &Found, ask: &Ask) -> Result<(), TestCaseError> {
    let first = verdicts.iter().find(|v| v.missing.is_empty()).map(|v| Found::Route(v.route, v.of_match));
    let only_method = verdicts.iter().any(|v| v.missing.len() == 1 && v.missing[0].what == "methods");
    match found {
        Found::Route(..) => prop_assert_eq!(first.as_ref(), Some(found), "{:?}", ask),
        Found::MethodNotAllowed(_) => prop_assert!(first.is_none() && only_method, "{ask:?}: {verdicts:?}"),
        Found::NotFound => prop_assert!(first.is_none() && !only_method, "{ask:?}: {verdicts:?}"),
    }
    Ok(())
}

fn check_captures(one: &Match, path: &str, captures: &fastgate_core::route::Captures) -> Result<(), TestCaseError> {
    let have: Vec<(String, String)> = captures
        .iter(path.as_bytes())
        .map(|(n, v)| (n.to_owned(), String::from_utf8(v.to_vec()).expect("ASCII")))
        .collect();
    let expected: Vec<(String, String)> = match &one.path {
        None | Some(PathMatch::Regex(_)) => vec![],
        Some(PathMatch::Prefix(text)) => vec![("rest".into(), path[text.trim_end_matches('/').len()..].to_owned())],
        Some(PathMatch::Path(text)) => {
            let have = segments(path);
            let name = |s: &str| s.trim_matches(['{', '}']).trim_end_matches(":path").to_owned();
            let value = |i: usize, s: &str| if kind(s) == 2 { have[i..].join("/") } else { have[i].to_owned() };
            segments(text)
                .iter()
                .enumerate()
                .filter(|(_, s)| kind(s) > 0)
                .map(|(i, s)| (name(s), value(i, s)))
                .collect()
        }
    };
    prop_assert_eq!(have, expected);
    Ok(())
}
