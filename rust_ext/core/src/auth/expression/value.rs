//! Values of expressions: borrowed from the request and its identity wherever that is possible.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value as Json;

/// Entries of a list or map that are looked at; a longer one is an error, so that no request buys time with one.
pub(super) const MAX_ITEMS: usize = 256;

/// Why an expression has no value. Whatever it is, the request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble(pub(super) &'static str);

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

pub(super) const NO_OVERLOAD: Trouble = Trouble("no such overload");
pub(super) const NO_KEY: Trouble = Trouble("no such key");
pub(super) const OVERFLOW: Trouble = Trouble("a number out of range");
pub(super) const TOO_LONG: Trouble = Trouble("a list of more than 256 entries");

/// A value of the language.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Made in the expression.
    List(Arc<[Value<'a>]>),
    /// Made in the expression; keys are bool, int, uint or text, none twice.
    Map(Arc<[(Value<'a>, Value<'a>)]>),
    /// A list of the identity.
    Names(&'a [Box<str>]),
    /// A list in a claim.
    Array(&'a [Json]),
    /// A map in a claim, or all claims.
    Object(&'a serde_json::Map<String, Json>),
    /// Nanoseconds since 1970 in UTC.
    Timestamp(i128),
    /// Nanoseconds.
    Duration(i128),
}

/// A kind of value, as far as it is known before there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Timestamp,
    Duration,
    /// Anything: known only when the request is there.
    Any,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Any => "dyn",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }
}

impl<'a> Value<'a> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Uint(_) => Kind::Uint,
            Value::Double(_) => Kind::Double,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::List(_) | Value::Names(_) | Value::Array(_) => Kind::List,
            Value::Map(_) | Value::Object(_) => Kind::Map,
            Value::Timestamp(_) => Kind::Timestamp,
            Value::Duration(_) => Kind::Duration,
        }
    }

    pub(super) fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    /// A number of JSON is an int where it is whole and fits, else a uint, else a double.
    pub(super) fn json(value: &'a Json) -> Self {
        match value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map(Value::Int)
                .or_else(|| number.as_u64().map(Value::Uint))
                .or_else(|| number.as_f64().map(Value::Double))
                .unwrap_or(Value::Null),
            Json::String(text) => Value::text(text),
            Json::Array(items) => Value::Array(items),
            Json::Object(members) => Value::Object(members),
        }
    }

    /// The same value, borrowed.
    pub(super) fn borrow<'b>(&'b self) -> Value<'b>
    where
        'a: 'b,
    {
        match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            other => other.clone(),
        }
    }

    /// Entries, if it is a list.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Value::List(items) => Some(items.len()),
            Value::Names(names) => Some(names.len()),
            Value::Array(items) => Some(items.len()),
            _ => None,
        }
    }

    /// The entry at `index`, if it is a list that has one.
    pub(super) fn at(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Value::List(items) => items.get(index).cloned(),
            Value::Names(names) => names.get(index).map(|name| Value::text(name)),
            Value::Array(items) => items.get(index).map(Value::json),
            _ => None,
        }
    }

    /// Entries of a list, keys of a map; an error for anything else and for more than 256.
    pub(super) fn entries(&self) -> Result<Vec<Value<'a>>> {
        let length = match self {
            Value::Map(members) => members.len(),
            Value::Object(members) => members.len(),
            _ => self.len().ok_or(NO_OVERLOAD)?,
        };
        if length > MAX_ITEMS {
            return Err(TOO_LONG);
        }
        Ok(match self {
            Value::Map(members) => members.iter().map(|(key, _)| key.clone()).collect(),
            Value::Object(members) => members.keys().map(|key| Value::text(key)).collect(),
            _ => (0..length).filter_map(|at| self.at(at)).collect(),
        })
    }

    /// What stands under a key of a map; `None`: nothing.
    pub(super) fn member(&self, key: &Value<'_>) -> Result<Option<Value<'a>>> {
        match self {
            Value::Object(members) => Ok(match key {
                Value::Text(name) => members.get(name.as_ref()).map(Value::json),
                _ => None,
            }),
            Value::Map(members) => {
                Ok(members.iter().find(|(name, _)| equal(name, key) == Ok(true)).map(|(_, value)| value.clone()))
            }
            _ => Err(NO_OVERLOAD),
        }
    }
}

/// Equality: numbers by value whatever their kind, lists and maps by their entries; other kinds are never equal.
pub(super) fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool> {
    equal_within(a, b, 32)
}

fn equal_within(a: &Value<'_>, b: &Value<'_>, depth: u8) -> Result<bool> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Trouble("values nested too deep to compare")) };
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => a == b,
        _ => match (a.kind(), b.kind()) {
            (x, y) if x.is_number() && y.is_number() => number_order(a, b) == Some(Ordering::Equal),
            (Kind::List, Kind::List) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.entries()?.iter().zip(&b.entries()?) {
                    if !equal_within(a, b, depth)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Kind::Map, Kind::Map) => {
                let keys = a.entries()?;
                if keys.len() != b.entries()?.len() {
                    return Ok(false);
                }
                for key in &keys {
                    match (a.member(key)?, b.member(key)?) {
                        (Some(a), Some(b)) if equal_within(&a, &b, depth)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => false,
        },
    })
}

/// Order of two values of one kind, or of two numbers; `None`: neither is before the other (NaN).
pub(super) fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Option<Ordering>> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ if a.kind().is_number() && b.kind().is_number() => number_order(a, b),
        _ => return Err(NO_OVERLOAD),
    })
}

/// Exact, whatever kinds the numbers have.
fn number_order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), _) => whole(b).and_then(|b| double_order(*a, b)),
        (_, Value::Double(b)) => whole(a).and_then(|a| double_order(*b, a)).map(Ordering::reverse),
        _ => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    }
}

// Beyond 2^65 every whole number of 64 bits is on one side; below it the integral part fits exactly.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn double_order(a: f64, b: i128) -> Option<Ordering> {
    const LIMIT: f64 = 36_893_488_147_419_103_232.0;
    if a.is_nan() {
        return None;
    }
    if a.abs() >= LIMIT {
        return Some(if a > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let floor = a.floor();
    Some((floor as i128).cmp(&b).then(if a > floor { Ordering::Greater } else { Ordering::Equal }))
}
