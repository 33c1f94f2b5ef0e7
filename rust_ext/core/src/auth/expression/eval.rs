//! An expression on one request: a walk over its tree with a bound on the work.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use super::functions::call;
use super::node::{Fold, Node, Who};
use super::syntax::Operator;
use super::value::{Kind, MAX_ITEMS, NO_KEY, NO_OVERLOAD, OVERFLOW, Result, TOO_LONG, Trouble, Value, equal, order};
use super::{Facts, functions, time};
use crate::route::form;

/// Steps of one evaluation: a part is one, and so are 64 bytes that are made, compared or searched.
const STEPS: u32 = 100_000;

const NO_TEXT: Trouble = Trouble("bytes that are not UTF-8");
const NOBODY: Trouble = Trouble("no identity");

pub(super) fn run<'a>(node: &'a Node, facts: &'a dyn Facts) -> Result<Value<'a>> {
    Run { facts, steps: Cell::new(STEPS) }.value(node, None)
}

/// One evaluation.
pub(super) struct Run<'a> {
    facts: &'a dyn Facts,
    steps: Cell<u32>,
}

impl<'a> Run<'a> {
    /// Pays for a part that looks at so many bytes or entries.
    pub(super) fn pay(&self, bytes: usize) -> Result<()> {
        let cost = u32::try_from(1 + bytes / 64).unwrap_or(u32::MAX);
        let left = self.steps.get().checked_sub(cost).ok_or(Trouble("more work than an expression may make"))?;
        self.steps.set(left);
        Ok(())
    }

    fn value(&self, node: &'a Node, local: Option<&Value<'a>>) -> Result<Value<'a>> {
        self.pay(0)?;
        Ok(match node {
            Node::Constant(value) => value.borrow(),
            Node::Text(field) => Value::Text(self.facts.text(*field).ok_or(NO_TEXT)?),
            Node::Who(who) => self.who(*who)?.ok_or(NO_KEY)?,
            Node::HasWho(who) => Value::Bool(self.who(*who)?.is_some_and(|value| value.len() != Some(0))),
            Node::Claims => Value::Object(&self.facts.identity().ok_or(NOBODY)?.claims),
            Node::Now => Value::Timestamp(i128::from(self.facts.now()) * 1_000_000),
            Node::Header(name) => self.header(&text(self.value(name, local)?)?)?,
            Node::HeaderValues(name) => self.header_values(&text(self.value(name, local)?)?)?,
            Node::HasHeader(name) => {
                let mut found = false;
                self.facts.header(&text(self.value(name, local)?)?, &mut |_| found = true);
                Value::Bool(found)
            }
            Node::Query(name) => {
                let mut values = self.query(&text(self.value(name, local)?)?)?;
                let one = values.pop().ok_or(NO_KEY)?;
                if !values.is_empty() {
                    return Err(Trouble("a query parameter that is there more than once"));
                }
                one
            }
            Node::QueryValues(name) => {
                let values = self.query(&text(self.value(name, local)?)?)?;
                Value::List(values.into())
            }
            Node::HasQuery(name) => Value::Bool(!self.query(&text(self.value(name, local)?)?)?.is_empty()),
            Node::Local => local.ok_or(NO_KEY)?.clone(),
            Node::Select(of, name) => self.value(of, local)?.member(&Value::text(name))?.ok_or(NO_KEY)?,
            Node::Has(of, name) => Value::Bool(self.value(of, local)?.member(&Value::text(name))?.is_some()),
            Node::Index(of, key) => self.index(&self.value(of, local)?, &self.value(key, local)?)?,
            Node::List(items) => {
                Value::List(items.iter().map(|item| self.value(item, local)).collect::<Result<Vec<_>>>()?.into())
            }
            Node::Map(members) => self.map(members, local)?,
            Node::Not(of) => Value::Bool(!truth(self.value(of, local)?)?),
            Node::Negate(of) => match self.value(of, local)? {
                Value::Int(value) => Value::Int(value.checked_neg().ok_or(OVERFLOW)?),
                Value::Double(value) => Value::Double(-value),
                _ => return Err(NO_OVERLOAD),
            },
            Node::And(a, b) => Value::Bool(self.both(a, b, local, false)?),
            Node::Or(a, b) => Value::Bool(self.both(a, b, local, true)?),
            Node::If(parts) => {
                let way = if truth(self.value(&parts.0, local)?)? { &parts.1 } else { &parts.2 };
                self.value(way, local)?
            }
            Node::Binary(operator, a, b) => self.binary(*operator, &self.value(a, local)?, &self.value(b, local)?)?,
            Node::Matches(of, pattern) => {
                let text = text(self.value(of, local)?)?;
                self.pay(text.len() * 8)?;
                Value::Bool(pattern.is_match(text.as_bytes()))
            }
            Node::Call(function, args) => {
                let mut values: [Value<'a>; 2] = [Value::Null, Value::Null];
                for (slot, arg) in values.iter_mut().zip(args) {
                    *slot = self.value(arg, local)?;
                }
                let [a, b] = values;
                call(self, *function, a, b)?
            }
            Node::Fold(fold, over, bodies) => self.fold(*fold, &self.value(over, local)?, bodies)?,
        })
    }

    /// `&&` and `||`: the side that decides does, even if the other is an error.
    fn both(&self, a: &'a Node, b: &'a Node, local: Option<&Value<'a>>, decides: bool) -> Result<bool> {
        let first = self.value(a, local).and_then(truth);
        if first == Ok(decides) {
            return Ok(decides);
        }
        match self.value(b, local).and_then(truth) {
            Ok(second) if second == decides => Ok(decides),
            second => first.and(second),
        }
    }

    fn who(&self, who: Who) -> Result<Option<Value<'a>>> {
        if who == Who::Tenant
            && let Some(tenant) = self.facts.tenant()
        {
            return Ok(Some(Value::text(tenant)));
        }
        let identity = self.facts.identity().ok_or(NOBODY)?;
        Ok(match who {
            Who::Subject => identity.subject.as_deref().map(Value::text),
            Who::Consumer => identity.consumer.as_deref().map(Value::text),
            Who::Tenant => None,
            Who::Method => Some(Value::text(identity.method)),
            Who::Roles => Some(Value::Names(&identity.roles)),
            Who::Groups => Some(Value::Names(&identity.groups)),
            Who::Scopes => Some(Value::Names(&identity.scopes)),
        })
    }

    /// All lines of a field, joined as RFC 9110 §5.3 joins them: an expression sees every value.
    fn header(&self, name: &str) -> Result<Value<'a>> {
        let mut first: Option<&'a [u8]> = None;
        let mut joined: Vec<u8> = Vec::new();
        self.facts.header(name, &mut |value| match first {
            None => first = Some(value),
            Some(one) => {
                if joined.is_empty() {
                    joined.extend_from_slice(one);
                }
                joined.extend_from_slice(b", ");
                joined.extend_from_slice(value);
            }
        });
        let first = first.ok_or(NO_KEY)?;
        if joined.is_empty() {
            return std::str::from_utf8(first).map(Value::text).map_err(|_| NO_TEXT);
        }
        self.pay(joined.len())?;
        String::from_utf8(joined).map(|text| Value::Text(Cow::Owned(text))).map_err(|_| NO_TEXT)
    }

    fn header_values(&self, name: &str) -> Result<Value<'a>> {
        let mut values = Vec::new();
        let mut trouble = None;
        self.facts.header(name, &mut |line| {
            for member in line.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
                match std::str::from_utf8(member) {
                    _ if values.len() == MAX_ITEMS => trouble = Some(TOO_LONG),
                    Ok(text) => values.push(Value::text(text)),
                    Err(_) => trouble = Some(NO_TEXT),
                }
            }
        });
        match trouble {
            Some(trouble) => Err(trouble),
            None => Ok(Value::List(values.into())),
        }
    }

    /// Every value of a query parameter, decoded.
    fn query(&self, name: &str) -> Result<Vec<Value<'a>>> {
        let query = self.facts.query();
        self.pay(query.len())?;
        let mut values = Vec::new();
        for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            if !form(&pair[..end]).eq(name.bytes()) {
                continue;
            }
            if values.len() == MAX_ITEMS {
                return Err(TOO_LONG);
            }
            let raw = pair.get(end + 1..).unwrap_or_default();
            let plain = !raw.iter().any(|b| matches!(b, b'%' | b'+'));
            let text = if plain {
                Cow::Borrowed(std::str::from_utf8(raw).map_err(|_| NO_TEXT)?)
            } else {
                Cow::Owned(String::from_utf8(form(raw).collect()).map_err(|_| NO_TEXT)?)
            };
            values.push(Value::Text(text));
        }
        Ok(values)
    }

    fn index(&self, of: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
        if of.len().is_none() {
            return of.member(key)?.ok_or(NO_KEY);
        }
        let index = match key {
            Value::Int(_) | Value::Uint(_) | Value::Double(_) => functions::index(key).ok_or(NO_KEY)?,
            _ => return Err(NO_OVERLOAD),
        };
        of.at(index).ok_or(Trouble("no such entry"))
    }

    fn map(&self, members: &'a [(Node, Node)], local: Option<&Value<'a>>) -> Result<Value<'a>> {
        let mut found: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let key = self.value(key, local)?;
            if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
                return Err(NO_OVERLOAD);
            }
            self.pay(found.len() * 64)?;
            if found.iter().any(|(one, _)| equal(one, &key) == Ok(true)) {
                return Err(Trouble("a key that is there twice"));
            }
            found.push((key, self.value(value, local)?));
        }
        Ok(Value::Map(found.into()))
    }

    fn binary(&self, operator: Operator, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
        self.pay(functions::weight(a).max(functions::weight(b)))?;
        let ordered = |holds: fn(Ordering) -> bool| order(a, b).map(|found| Value::Bool(found.is_some_and(holds)));
        match operator {
            Operator::Equal => equal(a, b).map(Value::Bool),
            Operator::Unequal => equal(a, b).map(|same| Value::Bool(!same)),
            Operator::Less => ordered(Ordering::is_lt),
            Operator::AtMost => ordered(Ordering::is_le),
            Operator::Greater => ordered(Ordering::is_gt),
            Operator::AtLeast => ordered(Ordering::is_ge),
            Operator::In => self.contains(a, b).map(Value::Bool),
            _ => functions::arithmetic(operator, a, b),
        }
    }

    fn contains(&self, value: &Value<'a>, of: &Value<'a>) -> Result<bool> {
        let Some(length) = of.len() else {
            // What can be no key is no question, rather than an answer whose negation would pass.
            if !matches!(value.kind(), Kind::Text | Kind::Bool | Kind::Int | Kind::Uint | Kind::Double) {
                return Err(NO_OVERLOAD);
            }
            return of.member(value).map(|found| found.is_some());
        };
        if length > MAX_ITEMS {
            return Err(TOO_LONG);
        }
        for entry in (0..length).filter_map(|at| of.at(at)) {
            self.pay(functions::weight(&entry))?;
            if equal(&entry, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fold(&self, fold: Fold, over: &Value<'a>, bodies: &'a [Node]) -> Result<Value<'a>> {
        let entries = over.entries()?;
        let Some((last, before)) = bodies.split_last() else { return Err(NO_OVERLOAD) };
        let judge = |body: &'a Node, entry: &Value<'a>| self.value(body, Some(entry)).and_then(truth);
        match fold {
            Fold::All | Fold::Exists => {
                let decides = fold == Fold::Exists;
                let mut trouble = Ok(());
                for entry in &entries {
                    match judge(last, entry) {
                        Ok(found) if found == decides => return Ok(Value::Bool(decides)),
                        Ok(_) => {}
                        Err(one) => trouble = trouble.and(Err(one)),
                    }
                }
                trouble.map(|()| Value::Bool(!decides))
            }
            Fold::ExistsOne => {
                let mut count = 0;
                for entry in &entries {
                    count += u32::from(judge(last, entry)?);
                }
                Ok(Value::Bool(count == 1))
            }
            Fold::Filter | Fold::Map => {
                let mut found = Vec::new();
                for entry in entries {
                    if fold == Fold::Filter {
                        if judge(last, &entry)? {
                            found.push(entry);
                        }
                    } else if before.first().map_or(Ok(true), |when| judge(when, &entry))? {
                        found.push(self.value(last, Some(&entry))?);
                    }
                }
                Ok(Value::List(found.into()))
            }
        }
    }
}

fn truth(value: Value<'_>) -> Result<bool> {
    match value {
        Value::Bool(value) => Ok(value),
        _ => Err(NO_OVERLOAD),
    }
}

fn text(value: Value<'_>) -> Result<Cow<'_, str>> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(NO_OVERLOAD),
    }
}

/// A part of a timestamp, for the functions that read one.
pub(super) fn time_part(name: &'static str, value: &Value<'_>) -> Result<i64> {
    match value {
        Value::Timestamp(ns) => time::part(name, *ns).ok_or(NO_OVERLOAD),
        Value::Duration(ns) => time::duration_part(name, *ns).ok_or(NO_OVERLOAD),
        _ => Err(NO_OVERLOAD),
    }
}
