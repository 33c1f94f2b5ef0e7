//! Expressions of `require`: a strict part of the Common Expression Language, judged at load and bounded when it runs.
//!
//! What CEL has and this has not: protocol buffer messages, optional values, namespaces, functions by time zone, types
//! as values, nested comprehensions, and patterns that are made at run time. What is there behaves as the CEL
//! specification says.

mod check;
mod eval;
mod functions;
mod lexer;
mod node;
mod syntax;
#[cfg(test)]
mod tests;
mod time;
mod value;

use std::borrow::Cow;

use super::Identity;
use node::Node;
pub use value::Trouble;
use value::Value;

/// What is wrong with an expression, and the byte where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 0.
    pub at: usize,
    /// What was found, and what is allowed.
    pub message: String,
}

impl Fault {
    fn new(at: usize, message: String) -> Self {
        Self { at, message }
    }
}

/// A text of the request that an expression may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `request.method`
    Method,
    /// `request.path`: the canonical path.
    Path,
    /// `request.host`: the canonical host.
    Host,
    /// `request.scheme`: `http` or `https`.
    Scheme,
    /// `request.client_ip`
    ClientIp,
    /// `request.id`
    Id,
    /// `route`: its name.
    Route,
}

/// What an expression may read; nothing is asked for that it does not name.
pub trait Facts {
    /// A text of the request; bytes that are not UTF-8 are an error.
    fn text(&self, field: Field) -> Option<Cow<'_, str>>;
    /// Calls `take` with the value of every field line of that name, whatever its case, in order.
    fn header<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8]));
    /// The query as received, without its `?`.
    fn query(&self) -> &[u8];
    /// Who is asking.
    fn identity(&self) -> Option<&Identity>;
    /// `identity.tenant`: what a tenant policy found, else the identity's own.
    fn tenant(&self) -> Option<&str> {
        self.identity()?.tenant.as_deref()
    }
    /// Unix milliseconds.
    fn now(&self) -> u64;
}

/// Whether two values of JSON are equal as an expression compares them: numbers by value.
pub(super) fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    value::equal(&Value::json(a), &Value::json(b)) == Ok(true)
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    root: Node,
    identity: bool,
}

impl Expression {
    /// Reads and checks an expression.
    ///
    /// # Errors
    /// Its first fault: what cannot be read, names nothing, can never be a boolean, or costs more than is bounded.
    pub fn compile(text: &str) -> Result<Self, Fault> {
        let part = syntax::parse(text)?;
        let (root, identity) = check::check(&part)?;
        Ok(Self { root, identity })
    }

    /// Whether it reads the identity or its claims.
    pub fn reads_identity(&self) -> bool {
        self.identity
    }

    /// Whether the request may pass.
    ///
    /// # Errors
    /// Why the expression has no boolean value; the request is denied then.
    pub fn holds(&self, facts: &dyn Facts) -> Result<bool, Trouble> {
        match eval::run(&self.root, facts)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Trouble("not a boolean")),
        }
    }
}
