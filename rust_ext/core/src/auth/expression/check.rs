//! What is judged when a config is loaded: names, kinds, constants, comprehensions, patterns.

use super::functions::{self, FUNCTIONS, Function};
use super::node::{Fold, Node, Who};
use super::syntax::{Operator, Part, Shape};
use super::value::{Kind, MAX_ITEMS, NO_OVERLOAD, Value};
use super::{Facts, Fault, Field, eval};
use crate::auth::Identity;
use crate::route::search;

/// What is read by name and has no value of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Request,
    Headers,
    HeaderValues,
    Query,
    QueryValues,
    Identity,
}

const REQUEST: [(&str, Field); 6] = [
    ("method", Field::Method),
    ("path", Field::Path),
    ("host", Field::Host),
    ("scheme", Field::Scheme),
    ("client_ip", Field::ClientIp),
    ("id", Field::Id),
];
const IDENTITY: [(&str, Who, Kind); 7] = [
    ("subject", Who::Subject, Kind::Text),
    ("consumer", Who::Consumer, Kind::Text),
    ("tenant", Who::Tenant, Kind::Text),
    ("method", Who::Method, Kind::Text),
    ("roles", Who::Roles, Kind::List),
    ("groups", Who::Groups, Kind::List),
    ("scopes", Who::Scopes, Kind::List),
];
const NAMES: &str = "allowed: request, identity, claims, route, now";
const FOLDS: [(&str, Fold); 5] = [
    ("all", Fold::All),
    ("exists", Fold::Exists),
    ("exists_one", Fold::ExistsOne),
    ("map", Fold::Map),
    ("filter", Fold::Filter),
];

/// A checked part: its node, its kind, and whether it is the same for every request.
struct Known {
    node: Node,
    kind: Kind,
    constant: bool,
}

/// The checked expression, and whether it reads the identity.
pub(super) fn check(part: &Part) -> Result<(Node, bool), Fault> {
    let mut checker = Checker { local: None, identity: false };
    let root = checker.part(part)?;
    if !matches!(root.kind, Kind::Bool | Kind::Any) {
        return Err(Fault::new(part.at, format!("the expression is a {}, never a boolean", root.kind.name())));
    }
    Ok((root.node, checker.identity))
}

struct Checker {
    /// The variable of the comprehension that is being read, and its kind.
    local: Option<(String, Kind)>,
    identity: bool,
}

impl Checker {
    fn part(&mut self, part: &Part) -> Result<Known, Fault> {
        let known = self.shape(part)?;
        if !known.constant || matches!(known.node, Node::Constant(_)) {
            return Ok(known);
        }
        let value = eval::run(&known.node, &Nothing)
            .map_err(|trouble| Fault::new(part.at, format!("this is an error whatever the request: {trouble}")))?;
        // `dyn` says that the kind of its value is not to be held against it.
        let kind = if matches!(known.node, Node::Call(Function::Dyn, _)) { Kind::Any } else { value.kind() };
        Ok(Known { kind, node: Node::Constant(functions::own(&value)), constant: true })
    }

    fn boxed(&mut self, part: &Part) -> Result<(Box<Node>, Kind, bool), Fault> {
        let known = self.part(part)?;
        Ok((Box::new(known.node), known.kind, known.constant))
    }

    /// A part that is a boolean.
    fn truth(&mut self, part: &Part) -> Result<Known, Fault> {
        let known = self.part(part)?;
        if matches!(known.kind, Kind::Bool | Kind::Any) {
            return Ok(known);
        }
        Err(Fault::new(part.at, format!("a bool is needed here, this is a {}", known.kind.name())))
    }

    fn shape(&mut self, part: &Part) -> Result<Known, Fault> {
        let at = part.at;
        let (node, kind, constant) = match &part.shape {
            Shape::Literal(value) => (Node::Constant(value.clone()), value.kind(), true),
            Shape::Name(name) => self.name(at, name)?,
            Shape::Select(of, name) => self.select(at, of, name)?,
            Shape::Index(of, key) => self.index(of, key)?,
            Shape::Call(target, name, args) => self.call(at, target.as_deref(), name, args)?,
            Shape::List(items) => {
                if items.len() > MAX_ITEMS {
                    return Err(Fault::new(at, format!("a list has at most {MAX_ITEMS} entries")));
                }
                let items = items.iter().map(|item| self.part(item)).collect::<Result<Vec<_>, _>>()?;
                let constant = items.iter().all(|item| item.constant);
                (Node::List(items.into_iter().map(|item| item.node).collect()), Kind::List, constant)
            }
            Shape::Map(members) => {
                if members.len() > MAX_ITEMS {
                    return Err(Fault::new(at, format!("a map has at most {MAX_ITEMS} entries")));
                }
                let mut constant = true;
                let mut found = Vec::new();
                for (key, value) in members {
                    let (key, value) = (self.part(key)?, self.part(value)?);
                    constant &= key.constant && value.constant;
                    found.push((key.node, value.node));
                }
                (Node::Map(found.into()), Kind::Map, constant)
            }
            Shape::Not(of) => {
                let of = self.truth(of)?;
                (Node::Not(Box::new(of.node)), Kind::Bool, of.constant)
            }
            Shape::Negate(of) => {
                let (node, kind, constant) = self.boxed(of)?;
                if !matches!(kind, Kind::Int | Kind::Double | Kind::Any) {
                    return Err(Fault::new(at, format!("a {} cannot be negated", kind.name())));
                }
                (Node::Negate(node), kind, constant)
            }
            Shape::And(a, b) | Shape::Or(a, b) => {
                let (a, b) = (self.truth(a)?, self.truth(b)?);
                let constant = a.constant && b.constant;
                let (a, b) = (Box::new(a.node), Box::new(b.node));
                let node = if matches!(part.shape, Shape::And(..)) { Node::And(a, b) } else { Node::Or(a, b) };
                (node, Kind::Bool, constant)
            }
            Shape::If(parts) => {
                let (when, yes, no) = (self.truth(&parts.0)?, self.part(&parts.1)?, self.part(&parts.2)?);
                let kind = if yes.kind == no.kind { yes.kind } else { Kind::Any };
                let constant = when.constant && yes.constant && no.constant;
                (Node::If(Box::new((when.node, yes.node, no.node))), kind, constant)
            }
            Shape::Binary(operator, a, b) => self.binary(at, *operator, a, b)?,
        };
        Ok(Known { node, kind, constant })
    }

    fn name(&mut self, at: usize, name: &str) -> Result<(Node, Kind, bool), Fault> {
        if let Some((local, kind)) = &self.local
            && local == name
        {
            return Ok((Node::Local, *kind, false));
        }
        let (node, kind) = match name {
            "claims" => {
                self.identity = true;
                (Node::Claims, Kind::Map)
            }
            "route" => (Node::Text(Field::Route), Kind::Text),
            "now" => (Node::Now, Kind::Timestamp),
            "request" | "identity" => {
                return Err(Fault::new(at, format!("{name} is read field by field; {}", fields(name))));
            }
            _ => return Err(Fault::new(at, format!("unknown name {name}; {NAMES}"))),
        };
        Ok((node, kind, false))
    }

    /// The room that a part names, if it names one.
    fn room(&self, part: &Part) -> Option<Room> {
        match &part.shape {
            Shape::Name(name) if self.local.as_ref().is_none_or(|(local, _)| local != name) => match name.as_str() {
                "request" => Some(Room::Request),
                "identity" => Some(Room::Identity),
                _ => None,
            },
            Shape::Select(of, name) if self.room(of) == Some(Room::Request) => match name.as_str() {
                "headers" => Some(Room::Headers),
                "header_values" => Some(Room::HeaderValues),
                "query" => Some(Room::Query),
                "query_values" => Some(Room::QueryValues),
                _ => None,
            },
            _ => None,
        }
    }

    fn select(&mut self, at: usize, of: &Part, name: &str) -> Result<(Node, Kind, bool), Fault> {
        match self.room(of) {
            Some(Room::Request) => match REQUEST.iter().find(|(one, _)| *one == name) {
                Some((_, field)) => Ok((Node::Text(*field), Kind::Text, false)),
                None if ["headers", "header_values", "query", "query_values"].contains(&name) => {
                    Err(Fault::new(at, format!("request.{name} is read by name: request.{name}[\"…\"]")))
                }
                None => Err(Fault::new(at, format!("request has no {name}; {}", fields("request")))),
            },
            Some(Room::Identity) => {
                self.identity = true;
                let found = IDENTITY.iter().find(|(one, ..)| *one == name);
                let (_, who, kind) =
                    found.ok_or_else(|| Fault::new(at, format!("identity has no {name}; {}", fields("identity"))))?;
                Ok((Node::Who(*who), *kind, false))
            }
            Some(room) => Ok(read(room, Box::new(Node::Constant(Value::Text(name.to_owned().into()))))),
            None => {
                let (node, kind, constant) = self.boxed(of)?;
                if !matches!(kind, Kind::Map | Kind::Any) {
                    return Err(Fault::new(at, format!("a {} has no field {name}", kind.name())));
                }
                Ok((Node::Select(node, name.into()), Kind::Any, constant))
            }
        }
    }

    fn index(&mut self, of: &Part, key: &Part) -> Result<(Node, Kind, bool), Fault> {
        let room = self.room(of);
        if matches!(room, Some(Room::Request | Room::Identity)) {
            let name = if room == Some(Room::Request) { "request" } else { "identity" };
            return Err(Fault::new(of.at, format!("{name} is read field by field; {}", fields(name))));
        }
        let wrong = |kind: Kind| Fault::new(key.at, format!("a {} is no index", kind.name()));
        let (inner, key_kind, key_constant) = self.boxed(key)?;
        if let Some(room) = room {
            if !matches!(key_kind, Kind::Text | Kind::Any) {
                return Err(wrong(key_kind));
            }
            return Ok(read(room, inner));
        }
        let (node, kind, constant) = self.boxed(of)?;
        let fits = match kind {
            Kind::List => key_kind.is_number() || key_kind == Kind::Any,
            Kind::Map => key_kind.is_number() || matches!(key_kind, Kind::Text | Kind::Bool | Kind::Any),
            Kind::Any => true,
            _ => return Err(Fault::new(of.at, format!("a {} has no entries", kind.name()))),
        };
        if !fits {
            return Err(wrong(key_kind));
        }
        let entry = if matches!(*node, Node::Who(_) | Node::HeaderValues(_) | Node::QueryValues(_)) {
            Kind::Text
        } else {
            Kind::Any
        };
        Ok((Node::Index(node, inner), entry, constant && key_constant))
    }

    fn binary(&mut self, at: usize, operator: Operator, a: &Part, b: &Part) -> Result<(Node, Kind, bool), Fault> {
        if operator == Operator::In
            && let Some(room) = self.room(b)
        {
            let (name, kind, _) = self.boxed(a)?;
            if !matches!(kind, Kind::Text | Kind::Any) {
                return Err(Fault::new(a.at, format!("a {} is no name", kind.name())));
            }
            return match room {
                Room::Headers | Room::HeaderValues => Ok((Node::HasHeader(name), Kind::Bool, false)),
                Room::Query | Room::QueryValues => Ok((Node::HasQuery(name), Kind::Bool, false)),
                _ => Err(Fault::new(b.at, "`in` asks lists, maps, request.headers and request.query".to_owned())),
            };
        }
        let (a, a_kind, a_constant) = self.boxed(a)?;
        let (b, b_kind, b_constant) = self.boxed(b)?;
        let kind = functions::result(operator, a_kind, b_kind).ok_or_else(|| {
            let (a, b) = (a_kind.name(), b_kind.name());
            Fault::new(at, format!("this operator does not take {a} and {b}"))
        })?;
        Ok((Node::Binary(operator, a, b), kind, a_constant && b_constant))
    }

    fn call(
        &mut self,
        at: usize,
        target: Option<&Part>,
        name: &str,
        args: &[Part],
    ) -> Result<(Node, Kind, bool), Fault> {
        if let (None, "has") = (target, name) {
            return self.has(at, args);
        }
        if let (Some(target), Some((_, fold))) = (target, FOLDS.iter().find(|(one, _)| *one == name)) {
            return self.fold(at, *fold, name, target, args);
        }
        let mut known = Vec::new();
        for part in target.into_iter().chain(args) {
            known.push(self.part(part)?);
        }
        if name == "matches" {
            let fits = known.iter().all(|one| matches!(one.kind, Kind::Text | Kind::Any));
            let (Some(pattern), Some(text), None, true) = (known.pop(), known.pop(), known.pop(), fits) else {
                return Err(Fault::new(at, "matches takes a string and a pattern".to_owned()));
            };
            let Node::Constant(Value::Text(pattern)) = pattern.node else {
                return Err(Fault::new(at, "the pattern of matches must be written here as text".to_owned()));
            };
            let pattern = search(&pattern).map_err(|message| Fault::new(at, message))?;
            return Ok((Node::Matches(Box::new(text.node), pattern), Kind::Bool, text.constant));
        }
        let Some((_, function, style)) = FUNCTIONS.iter().find(|(one, ..)| *one == name) else {
            return Err(Fault::new(at, format!("unknown function {name}")));
        };
        let kinds: Vec<Kind> = known.iter().map(|one| one.kind).collect();
        let Some(kind) = style.takes(target.is_some()).then(|| functions::kind(*function, &kinds)).flatten() else {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let how = if target.is_some() { "on a value " } else { "" };
            return Err(Fault::new(at, format!("{name} is not there {how}for ({})", kinds.join(", "))));
        };
        let constant = known.iter().all(|one| one.constant);
        Ok((Node::Call(*function, known.into_iter().map(|one| one.node).collect()), kind, constant))
    }

    fn has(&mut self, at: usize, args: &[Part]) -> Result<(Node, Kind, bool), Fault> {
        let [Part { shape: Shape::Select(of, name), at: inside, .. }] = args else {
            return Err(Fault::new(at, "has takes a field: has(claims.tenant)".to_owned()));
        };
        let node = match self.room(of) {
            Some(Room::Headers | Room::HeaderValues) => {
                Node::HasHeader(Box::new(Node::Constant(Value::Text(name.clone().into()))))
            }
            Some(Room::Query | Room::QueryValues) => {
                Node::HasQuery(Box::new(Node::Constant(Value::Text(name.clone().into()))))
            }
            Some(Room::Request) => {
                return Err(Fault::new(*inside, "has asks request.headers and request.query by name".to_owned()));
            }
            Some(Room::Identity) => {
                let (Node::Who(who), ..) = self.select(*inside, of, name)? else {
                    return Err(Fault::new(at, NO_OVERLOAD.to_string()));
                };
                Node::HasWho(who)
            }
            None => match self.select(*inside, of, name)? {
                (Node::Select(of, name), _, constant) => return Ok((Node::Has(of, name), Kind::Bool, constant)),
                _ => return Err(Fault::new(at, NO_OVERLOAD.to_string())),
            },
        };
        Ok((node, Kind::Bool, false))
    }

    fn fold(
        &mut self,
        at: usize,
        fold: Fold,
        name: &str,
        over: &Part,
        args: &[Part],
    ) -> Result<(Node, Kind, bool), Fault> {
        let ([Part { shape: Shape::Name(local), .. }, bodies @ ..], true) =
            (args, args.len() == 2 || (fold == Fold::Map && args.len() == 3))
        else {
            return Err(Fault::new(at, format!("{name} takes a variable and a part: {name}(x, x == \"a\")")));
        };
        if self.local.is_some() {
            return Err(Fault::new(at, format!("{name} stands in another comprehension; only one level is allowed")));
        }
        let (over_node, kind, _) = self.boxed(over)?;
        if !matches!(kind, Kind::List | Kind::Map | Kind::Any) {
            return Err(Fault::new(over.at, format!("a {} has no entries", kind.name())));
        }
        let entry = match *over_node {
            Node::Who(_) | Node::HeaderValues(_) | Node::QueryValues(_) => Kind::Text,
            _ => Kind::Any,
        };
        self.local = Some((local.clone(), entry));
        let nodes = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| {
                let transforms = fold == Fold::Map && number + 1 == bodies.len();
                if transforms { self.part(body) } else { self.truth(body) }.map(|known| known.node)
            })
            .collect::<Result<Vec<_>, _>>();
        self.local = None;
        let kind = if matches!(fold, Fold::Map | Fold::Filter) { Kind::List } else { Kind::Bool };
        Ok((Node::Fold(fold, over_node, nodes?.into()), kind, false))
    }
}

fn read(room: Room, name: Box<Node>) -> (Node, Kind, bool) {
    match room {
        Room::HeaderValues => (Node::HeaderValues(name), Kind::List, false),
        Room::Query => (Node::Query(name), Kind::Text, false),
        Room::QueryValues => (Node::QueryValues(name), Kind::List, false),
        _ => (Node::Header(name), Kind::Text, false),
    }
}

/// The fields that a name has, for messages.
fn fields(name: &str) -> String {
    let mut names: Vec<String> = if name == "request" {
        REQUEST.iter().map(|(field, _)| (*field).to_owned()).collect()
    } else {
        IDENTITY.iter().map(|(field, ..)| (*field).to_owned()).collect()
    };
    if name == "request" {
        names.extend(["headers", "header_values", "query", "query_values"].map(|map| format!("{map}[\"…\"]")));
    }
    format!("allowed: {}", names.join(", "))
}

/// What constants are computed with: nothing, since they read nothing.
struct Nothing;

impl Facts for Nothing {
    fn text(&self, _: Field) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn header<'a>(&'a self, _: &str, _: &mut dyn FnMut(&'a [u8])) {}

    fn query(&self) -> &[u8] {
        &[]
    }

    fn identity(&self) -> Option<&Identity> {
        None
    }

    fn now(&self) -> u64 {
        0
    }
}
