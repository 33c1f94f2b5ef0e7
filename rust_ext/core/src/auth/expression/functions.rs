//! Operators and functions, and the kinds they take.

use std::borrow::Cow;

use super::eval::{Run, time_part};
use super::syntax::Operator;
use super::time;
use super::value::{Kind, MAX_ITEMS, NO_OVERLOAD, OVERFLOW, Result, TOO_LONG, Trouble, Value};

/// A function; `matches`, `has` and the comprehensions are nodes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Dyn,
    Timestamp,
    Duration,
    TimePart(&'static str),
}

/// Where a function may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Free,
    OnValue,
    Either,
}

impl Style {
    pub(super) fn takes(self, on_value: bool) -> bool {
        self == Self::Either || (self == Self::OnValue) == on_value
    }
}

pub(super) const FUNCTIONS: [(&str, Function, Style); 25] = [
    ("size", Function::Size, Style::Either),
    ("contains", Function::Contains, Style::OnValue),
    ("startsWith", Function::StartsWith, Style::OnValue),
    ("endsWith", Function::EndsWith, Style::OnValue),
    ("lowerAscii", Function::LowerAscii, Style::OnValue),
    ("upperAscii", Function::UpperAscii, Style::OnValue),
    ("bool", Function::Bool, Style::Free),
    ("int", Function::Int, Style::Free),
    ("uint", Function::Uint, Style::Free),
    ("double", Function::Double, Style::Free),
    ("string", Function::Text, Style::Free),
    ("bytes", Function::Bytes, Style::Free),
    ("dyn", Function::Dyn, Style::Free),
    ("timestamp", Function::Timestamp, Style::Free),
    ("duration", Function::Duration, Style::Free),
    ("getFullYear", Function::TimePart("getFullYear"), Style::OnValue),
    ("getMonth", Function::TimePart("getMonth"), Style::OnValue),
    ("getDate", Function::TimePart("getDate"), Style::OnValue),
    ("getDayOfMonth", Function::TimePart("getDayOfMonth"), Style::OnValue),
    ("getDayOfWeek", Function::TimePart("getDayOfWeek"), Style::OnValue),
    ("getDayOfYear", Function::TimePart("getDayOfYear"), Style::OnValue),
    ("getHours", Function::TimePart("getHours"), Style::OnValue),
    ("getMinutes", Function::TimePart("getMinutes"), Style::OnValue),
    ("getSeconds", Function::TimePart("getSeconds"), Style::OnValue),
    ("getMilliseconds", Function::TimePart("getMilliseconds"), Style::OnValue),
];

/// The kind of an operator's result; `None`: it never takes these.
pub(super) fn result(operator: Operator, a: Kind, b: Kind) -> Option<Kind> {
    let open = a == Kind::Any || b == Kind::Any;
    let numbers = a.is_number() && b.is_number();
    match operator {
        Operator::Equal | Operator::Unequal => (open || a == b || numbers).then_some(Kind::Bool),
        Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast => {
            let orderly = |kind| !matches!(kind, Kind::Null | Kind::List | Kind::Map);
            (orderly(a) && orderly(b) && (open || a == b || numbers)).then_some(Kind::Bool)
        }
        Operator::In => matches!(b, Kind::List | Kind::Map | Kind::Any).then_some(Kind::Bool),
        _ if open => Some(Kind::Any),
        _ => match (operator, a, b) {
            (Operator::Add, Kind::Timestamp, Kind::Duration) | (Operator::Add, Kind::Duration, Kind::Timestamp) => {
                Some(Kind::Timestamp)
            }
            (Operator::Subtract, Kind::Timestamp, Kind::Duration) => Some(Kind::Timestamp),
            (Operator::Subtract, Kind::Timestamp, Kind::Timestamp) => Some(Kind::Duration),
            (Operator::Add | Operator::Subtract, Kind::Duration, Kind::Duration) => Some(Kind::Duration),
            (Operator::Add, Kind::Text | Kind::Bytes | Kind::List, _) if a == b => Some(a),
            (Operator::Remainder, Kind::Double, _) => None,
            _ if numbers && a == b => Some(a),
            _ => None,
        },
    }
}

/// The kind of a function's result; `None`: it never takes these.
pub(super) fn kind(function: Function, args: &[Kind]) -> Option<Kind> {
    use Kind::{Any, Bool, Bytes, Double, Duration, Int, List, Map, Text, Timestamp, Uint};
    let one = |allowed: &[Kind], result: Kind| match args {
        [Any] => Some(result),
        [kind] if allowed.contains(kind) => Some(result),
        _ => None,
    };
    match function {
        Function::Size => one(&[Text, Bytes, List, Map], Int),
        Function::Contains | Function::StartsWith | Function::EndsWith => match args {
            [Text | Any, Text | Any] => Some(Bool),
            _ => None,
        },
        Function::LowerAscii | Function::UpperAscii => one(&[Text], Text),
        Function::Bool => one(&[Bool, Text], Bool),
        Function::Int => one(&[Int, Uint, Double, Text, Timestamp], Int),
        Function::Uint => one(&[Int, Uint, Double, Text], Uint),
        Function::Double => one(&[Int, Uint, Double, Text], Double),
        Function::Text => one(&[Bool, Int, Uint, Double, Text, Bytes, Timestamp, Duration], Text),
        Function::Bytes => one(&[Text, Bytes], Bytes),
        Function::Dyn => (args.len() == 1).then_some(Any),
        Function::Timestamp => one(&[Text, Int, Timestamp], Timestamp),
        Function::Duration => one(&[Text, Duration], Duration),
        Function::TimePart("getHours" | "getMinutes" | "getSeconds" | "getMilliseconds") => {
            one(&[Timestamp, Duration], Int)
        }
        Function::TimePart(_) => one(&[Timestamp], Int),
    }
}

/// Bytes that an operator on this value may look at.
pub(super) fn weight(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(_) | Value::Map(_) | Value::Names(_) | Value::Array(_) | Value::Object(_) => 64 * 64,
        _ => 0,
    }
}

/// A number as the index of a list.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small is checked first")]
pub(super) fn index(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        Value::Uint(number) => usize::try_from(*number).ok(),
        Value::Double(number) => (number.fract() == 0.0 && (0.0..1e9).contains(number)).then_some(*number as usize),
        _ => None,
    }
}

/// The same value, kept.
pub(super) fn own(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Uint(value) => Value::Uint(*value),
        Value::Double(value) => Value::Double(*value),
        Value::Text(text) => Value::Text(Cow::Owned(text.clone().into_owned())),
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.clone().into_owned())),
        Value::Timestamp(ns) => Value::Timestamp(*ns),
        Value::Duration(ns) => Value::Duration(*ns),
        Value::Map(members) => Value::Map(members.iter().map(|(key, value)| (own(key), own(value))).collect()),
        Value::Object(members) => Value::Map(
            members
                .iter()
                .map(|(key, value)| (Value::Text(Cow::Owned(key.clone())), own(&Value::json(value))))
                .collect(),
        ),
        Value::List(_) | Value::Names(_) | Value::Array(_) => {
            let length = value.len().unwrap_or(0);
            Value::List((0..length).filter_map(|at| value.at(at)).map(|entry| own(&entry)).collect())
        }
    }
}

/// `+ - * / %`
pub(super) fn arithmetic<'a>(operator: Operator, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
    const ZERO: Trouble = Trouble("division by zero");
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    // The same for both kinds of whole numbers.
    macro_rules! whole {
        ($a:ident, $b:ident) => {
            match operator {
                Add => $a.checked_add(*$b),
                Subtract => $a.checked_sub(*$b),
                Multiply => $a.checked_mul(*$b),
                Divide | Remainder if *$b == 0 => return Err(ZERO),
                Divide => $a.checked_div(*$b),
                _ => $a.checked_rem(*$b),
            }
            .ok_or(OVERFLOW)?
        };
    }
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(whole!(a, b)),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(whole!(a, b)),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operator {
            Add => a + b,
            Subtract => a - b,
            Multiply => a * b,
            Divide => a / b,
            _ => return Err(NO_OVERLOAD),
        }),
        (Value::Text(a), Value::Text(b)) if operator == Add => Value::Text(Cow::Owned(format!("{a}{b}"))),
        (Value::Bytes(a), Value::Bytes(b)) if operator == Add => Value::Bytes(Cow::Owned([&**a, b].concat())),
        (Value::Timestamp(at), Value::Duration(ns)) | (Value::Duration(ns), Value::Timestamp(at))
            if operator == Add =>
        {
            Value::Timestamp(time::timestamp(at + ns)?)
        }
        (Value::Timestamp(at), Value::Duration(ns)) if operator == Subtract => {
            Value::Timestamp(time::timestamp(at - ns)?)
        }
        (Value::Timestamp(a), Value::Timestamp(b)) if operator == Subtract => Value::Duration(time::duration(a - b)?),
        (Value::Duration(a), Value::Duration(b)) if operator == Add => Value::Duration(time::duration(a + b)?),
        (Value::Duration(a), Value::Duration(b)) if operator == Subtract => Value::Duration(time::duration(a - b)?),
        _ => match (operator, a.len(), b.len()) {
            (Add, Some(x), Some(y)) if x + y > MAX_ITEMS => return Err(TOO_LONG),
            (Add, Some(_), Some(_)) => {
                let mut items = a.entries()?;
                items.extend(b.entries()?);
                Value::List(items.into())
            }
            _ => return Err(NO_OVERLOAD),
        },
    })
}

/// Applies a function; one that takes a single value is given `Null` as the second.
pub(super) fn call<'a>(run: &Run<'_>, function: Function, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>> {
    if function != Function::Dyn && function != Function::Size {
        run.pay(weight(&a))?;
    }
    Ok(match function {
        Function::Dyn => a,
        Function::Size => Value::Int(size(&a)?),
        Function::TimePart(name) => Value::Int(time_part(name, &a)?),
        Function::Contains | Function::StartsWith | Function::EndsWith => {
            let (Value::Text(text), Value::Text(part)) = (&a, &b) else { return Err(NO_OVERLOAD) };
            Value::Bool(match function {
                Function::Contains => memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some(),
                Function::StartsWith => text.starts_with(&**part),
                _ => text.ends_with(&**part),
            })
        }
        Function::LowerAscii | Function::UpperAscii => {
            let Value::Text(text) = a else { return Err(NO_OVERLOAD) };
            let lower = function == Function::LowerAscii;
            Value::Text(Cow::Owned(if lower { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() }))
        }
        _ => return convert(function, a),
    })
}

/// As other implementations of CEL write it, C's `%g` with as many digits as it takes: an exponent below -4 and from 6 on.
fn show_double(number: f64) -> String {
    let written = format!("{number:e}");
    match written.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?))) {
        Some((digits, power @ ..-4)) => format!("{digits}e-{:02}", -power),
        Some((digits, power @ 6..)) => format!("{digits}e+{power:02}"),
        _ => number.to_string(),
    }
}

fn size(value: &Value<'_>) -> Result<i64> {
    let count = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Map(members) => members.len(),
        Value::Object(members) => members.len(),
        _ => value.len().ok_or(NO_OVERLOAD)?,
    };
    i64::try_from(count).map_err(|_| OVERFLOW)
}

// A double is cut towards zero after its range was checked, exactly as the specification says.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "ranges are checked first; a whole number becomes the nearest double"
)]
fn convert(function: Function, value: Value<'_>) -> Result<Value<'_>> {
    const NO_NUMBER: Trouble = Trouble("a text that is no number");
    const TOP: f64 = 9_223_372_036_854_775_808.0;
    Ok(match (function, &value) {
        (Function::Bool, Value::Bool(_))
        | (Function::Int, Value::Int(_))
        | (Function::Uint, Value::Uint(_))
        | (Function::Double, Value::Double(_))
        | (Function::Text, Value::Text(_))
        | (Function::Bytes, Value::Bytes(_))
        | (Function::Timestamp, Value::Timestamp(_))
        | (Function::Duration, Value::Duration(_)) => value,
        (Function::Bool, Value::Text(text)) => Value::Bool(match text.as_ref() {
            "1" | "t" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "false" | "FALSE" | "False" => false,
            _ => return Err(Trouble("a text that is no bool")),
        }),
        (Function::Int, Value::Uint(number)) => Value::Int(i64::try_from(*number).map_err(|_| OVERFLOW)?),
        (Function::Int, Value::Double(number)) if *number > -TOP && *number < TOP => Value::Int(*number as i64),
        (Function::Int, Value::Text(text)) => Value::Int(text.parse().map_err(|_| NO_NUMBER)?),
        (Function::Int, Value::Timestamp(ns)) => {
            Value::Int(i64::try_from(ns.div_euclid(time::SECOND)).map_err(|_| OVERFLOW)?)
        }
        (Function::Uint, Value::Int(number)) => Value::Uint(u64::try_from(*number).map_err(|_| OVERFLOW)?),
        (Function::Uint, Value::Double(number)) if *number > -1.0 && *number < 2.0 * TOP => {
            if *number < 0.0 {
                return Err(OVERFLOW);
            }
            Value::Uint(*number as u64)
        }
        (Function::Uint, Value::Text(text)) => Value::Uint(text.parse().map_err(|_| NO_NUMBER)?),
        (Function::Int | Function::Uint, Value::Double(_)) => return Err(OVERFLOW),
        (Function::Double, Value::Int(number)) => Value::Double(*number as f64),
        (Function::Double, Value::Uint(number)) => Value::Double(*number as f64),
        (Function::Double, Value::Text(text)) => Value::Double(text.parse().map_err(|_| NO_NUMBER)?),
        (Function::Text, Value::Bool(value)) => Value::Text(Cow::Borrowed(if *value { "true" } else { "false" })),
        (Function::Text, Value::Int(number)) => Value::Text(Cow::Owned(number.to_string())),
        (Function::Text, Value::Uint(number)) => Value::Text(Cow::Owned(number.to_string())),
        (Function::Text, Value::Double(number)) => Value::Text(Cow::Owned(show_double(*number))),
        (Function::Text, Value::Bytes(bytes)) => {
            Value::Text(Cow::Owned(String::from_utf8(bytes.to_vec()).map_err(|_| Trouble("bytes that are not UTF-8"))?))
        }
        (Function::Text, Value::Timestamp(ns)) => Value::Text(Cow::Owned(time::show_timestamp(*ns))),
        (Function::Text, Value::Duration(ns)) => Value::Text(Cow::Owned(time::show_duration(*ns))),
        (Function::Bytes, Value::Text(text)) => Value::Bytes(Cow::Owned(text.as_bytes().to_vec())),
        (Function::Timestamp, Value::Text(text)) => Value::Timestamp(time::read_timestamp(text)?),
        (Function::Timestamp, Value::Int(seconds)) => {
            Value::Timestamp(time::timestamp(i128::from(*seconds) * time::SECOND)?)
        }
        (Function::Duration, Value::Text(text)) => Value::Duration(time::read_duration(text)?),
        _ => return Err(NO_OVERLOAD),
    })
}
