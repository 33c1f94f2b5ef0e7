//! `fastgate explain`: what a snapshot would do with one request head, as JSON; nothing is opened or sent.

use std::net::IpAddr;

use fastgate_core::http1::{Progress, Request, RequestRules};
use fastgate_core::route::{Captures, Fields, Found, Lookup, Redirector, Rewriter, RouteTable, Verdict};
use fastgate_core::snapshot::{Action, Route, Snapshot};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::error::Error;

/// Candidates told of each kind; a config may have thousands that lost.
const TOLD: usize = 20;

struct HeadFields<'a>(&'a Request, &'a [u8]);

impl Fields for HeadFields<'_> {
    fn values(&self, name: &[u8], each: &mut dyn FnMut(&[u8]) -> bool) {
        for value in self.0.get(self.1, name) {
            if !each(value) {
                return;
            }
        }
    }
}

/// What `snapshot` would do with the request `head`, met on `listener` from `client`: a JSON object.
///
/// Raises `InvalidSnapshot`, `RequestRefused`, and `ValueError` for an unknown listener or half a head.
#[pyfunction]
#[pyo3(signature = (snapshot, head, listener, client = None))]
pub fn explain(snapshot: &[u8], head: &[u8], listener: &str, client: Option<&str>) -> PyResult<String> {
    let snapshot = Snapshot::from_json(snapshot).map_err(|invalid| Error::Invalid(vec![invalid]))?;
    let number = snapshot
        .listeners
        .iter()
        .position(|one| one.name == listener)
        .ok_or_else(|| PyValueError::new_err(format!("no listener is named {listener:?}")))?;
    let client: Option<IpAddr> = client
        .map(|text| text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is not an IP address"))))
        .transpose()?;
    let table = RouteTable::compile(&snapshot.routes, &snapshot.listeners).map_err(Error::Invalid)?;
    let rules = RequestRules::new(&snapshot.limits, &snapshot.listeners[number], &snapshot.reserved_headers);
    let mut request = Request::new();
    if matches!(request.parse(head, &rules).map_err(Error::Refused)?, Progress::Incomplete) {
        return Err(PyValueError::new_err("the request head is not complete"));
    }
    let fields = HeadFields(&request, head);
    let lookup = Lookup {
        listener: number,
        host: request.host(head),
        path: request.path(head),
        method: request.method_bytes(head),
        query: request.query(head),
        client,
        fields: &fields,
    };
    let mut captures = Captures::new();
    let found = table.find(&lookup, &mut captures);
    let mut told = json!({
        "method": text(lookup.method), "host": text(lookup.host), "path": text(lookup.path),
        "query": lookup.query.map(text),
    });
    match &found {
        Found::Route(at, of_match) => {
            let route = &snapshot.routes[*at];
            let pairs = captures.iter(lookup.path).map(|(name, value)| (name.to_owned(), text(value).into()));
            told["outcome"] = "route".into();
            told["route"] = route.name.as_str().into();
            told["match"] = (*of_match).into();
            told["captures"] = Value::Object(pairs.collect());
            told["leads_to"] = leads_to(route, &lookup, request.raw_path(head), &captures);
        }
        Found::MethodNotAllowed(allow) => {
            told["outcome"] = "method_not_allowed".into();
            told["allow"] = allow.as_str().into();
        }
        Found::NotFound => told["outcome"] = "not_found".into(),
    }
    told["candidates"] =
        candidates(&table.explain(&snapshot.routes, &snapshot.listeners, &lookup), &snapshot.routes, &lookup);
    Ok(told.to_string())
}

/// Every match of a snapshot as (route, match), in the order in which they are tried. Raises `InvalidSnapshot`.
#[pyfunction]
pub fn precedence(snapshot: &[u8]) -> PyResult<Vec<(usize, usize)>> {
    let snapshot = Snapshot::from_json(snapshot).map_err(|invalid| Error::Invalid(vec![invalid]))?;
    Ok(RouteTable::compile(&snapshot.routes, &snapshot.listeners).map_err(Error::Invalid)?.order())
}

/// The path upstream or the Location; a sentence where the engine would refuse to make one.
fn leads_to(route: &Route, lookup: &Lookup<'_>, raw_path: &[u8], captures: &Captures) -> Value {
    let mut out = Vec::new();
    let made = match (&route.action, &route.rewrite) {
        (Action::Redirect(redirect), _) => Redirector::compile(redirect, &route.matches)
            .map(|r| r.location(&mut out, lookup.host, raw_path, lookup.query, lookup.path, captures)),
        (Action::Service(_), Some(rewrite)) => {
            Rewriter::compile(rewrite, &route.matches).map(|r| r.apply(&mut out, raw_path, lookup.path, captures))
        }
        (Action::Service(_), None) => {
            out.extend_from_slice(raw_path);
            Ok(Ok(()))
        }
        _ => return Value::Null,
    };
    match made {
        Ok(Ok(())) => json!({"to": text(&out)}),
        Ok(Err(error)) => json!({"refused": error.to_string()}),
        Err(sentence) => json!({"refused": sentence}),
    }
}

/// The candidates worth telling: those whose path fits, before and behind the winner; where none won, the nearest.
fn candidates(verdicts: &[Verdict], routes: &[Route], lookup: &Lookup<'_>) -> Value {
    let winner = verdicts.iter().position(|verdict| verdict.missing.is_empty());
    let path_fits = |v: &Verdict| !v.missing.iter().any(|m| matches!(m.what, "prefix" | "path" | "regex"));
    let mut told = Vec::new();
    let (mut nearer, mut further) = (0, 0);
    for (at, verdict) in verdicts.iter().enumerate().filter(|(_, verdict)| path_fits(verdict)) {
        if winner.is_some_and(|best| at > best) && !verdict.missing.is_empty() {
            continue;
        }
        let (kind, count) = match winner {
            Some(best) if at == best => ("chosen", &mut 0),
            Some(best) if at > best => ("further", &mut further),
            _ => ("nearer", &mut nearer),
        };
        *count += 1;
        if *count <= TOLD {
            let lost = winner.filter(|best| at > *best).map(|best| verdict.differs_in(&verdicts[best]));
            told.push(one(verdict, routes, kind, lost));
        }
    }
    if told.is_empty() {
        let mut near: Vec<&Verdict> = verdicts.iter().collect();
        near.sort_by_key(|v| (std::cmp::Reverse(v.leading), v.missing.len()));
        told.extend(near.into_iter().take(5).map(|verdict| one(verdict, routes, "nearest", None)));
    }
    json!({"told": told, "nearer": nearer, "further": further, "all": verdicts.len(), "path": text(lookup.path)})
}

fn one(verdict: &Verdict, routes: &[Route], kind: &str, lost: Option<&str>) -> Value {
    let missing = verdict.missing.iter().map(|m| json!({"what": m.what, "name": m.name, "wanted": m.wanted}));
    json!({
        "route": routes[verdict.route].name, "match": verdict.of_match, "kind": kind,
        "missing": missing.collect::<Vec<_>>(), "differs_in": lost,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
