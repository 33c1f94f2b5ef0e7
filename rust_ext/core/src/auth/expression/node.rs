//! A checked expression: every name is resolved, every pattern compiled, every constant computed.

use regex::bytes::Regex;

use super::Field;
use super::functions::Function;
use super::syntax::Operator;
use super::value::Value;

#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Text(Field),
    Who(Who),
    Claims,
    Now,
    /// The one value of a field, or all its lines joined.
    Header(Box<Node>),
    /// Every member of every line of a field.
    HeaderValues(Box<Node>),
    HasHeader(Box<Node>),
    /// The one value of a parameter.
    Query(Box<Node>),
    QueryValues(Box<Node>),
    HasQuery(Box<Node>),
    /// The variable of the comprehension around it.
    Local,
    Select(Box<Node>, Box<str>),
    Has(Box<Node>, Box<str>),
    HasWho(Who),
    Index(Box<Node>, Box<Node>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<(Node, Node, Node)>),
    Binary(Operator, Box<Node>, Box<Node>),
    Matches(Box<Node>, Regex),
    Call(Function, Box<[Node]>),
    Fold(Fold, Box<Node>, Box<[Node]>),
}

/// A field of the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Subject,
    Consumer,
    Tenant,
    Method,
    Roles,
    Groups,
    Scopes,
}

/// A comprehension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    All,
    Exists,
    ExistsOne,
    /// One part: what an entry becomes; two: which entries first.
    Map,
    Filter,
}
