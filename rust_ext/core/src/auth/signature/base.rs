//! The signature base (RFC 9421 §2.5): components of a request as lines of text.

use std::collections::HashSet;

use sfv::{BareItem, Dictionary, InnerList, Item, ItemSerializer, List, ListEntry, ListSerializer, Parser};

use super::Refusal;
use crate::route::form;

/// A request, as its signature sees it.
pub trait Message {
    /// The method as received.
    fn method(&self) -> &[u8];
    /// `http` or `https`.
    fn scheme(&self) -> &str;
    /// `host[:port]` as received.
    fn authority(&self) -> &[u8];
    /// The path as received; `*` for a request to the server itself.
    fn path(&self) -> &[u8];
    /// The query as received, without its `?`; `None`: there is no `?`.
    fn query(&self) -> Option<&[u8]>;
    /// Calls `take` with the value of every field line of that name (lower case), in order.
    fn field<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8]));
}

/// Components that a signature must cover.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Components(Vec<String>);

impl Components {
    /// Reads them: names as they are (`@method`, `content-digest`), or with parameters as a signature writes them
    /// (`"@query-param";name="user"`).
    ///
    /// # Errors
    /// The first that is none, and what is allowed.
    pub fn read(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut found = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let quoted = if text.starts_with('"') { text.clone() } else { format!("\"{text}\"") };
            let known = Parser::new(&quoted).parse::<Item>().ok().filter(is_component);
            let item = known.ok_or_else(|| {
                let allowed = DERIVED.join(", ");
                (number, format!("no component: {text}; allowed: {allowed}, names of fields in lower case"))
            })?;
            found.push(identifier(&item));
        }
        Ok(Self(found))
    }
}

/// Derived components of a request (RFC 9421 §2.2).
const DERIVED: [&str; 8] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param"];

/// Whether it is a component that this part can make.
fn is_component(item: &Item) -> bool {
    let BareItem::String(name) = &item.bare_item else { return false };
    let name = name.as_str();
    let mut params = item.params.iter().map(|(key, value)| (key.as_str(), value));
    if name == "@query-param" {
        return matches!((params.next(), params.next()), (Some(("name", BareItem::String(_))), None));
    }
    if name.starts_with('@') {
        return DERIVED.contains(&name) && params.next().is_none();
    }
    let token = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b));
    // `sf` needs the type of every field, `tr` trailers, `req` a response: they are not taken.
    token
        && matches!(
            (params.next(), params.next()),
            (None, _) | (Some(("bs", BareItem::Boolean(true))) | Some(("key", BareItem::String(_))), None)
        )
}

fn identifier(item: &Item) -> String {
    ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish()
}

/// The signature base of these covered components, which must have the asked ones among them.
pub(super) fn make(message: &dyn Message, input: &InnerList, asked: &Components) -> Result<String, Refusal> {
    let mut base = String::new();
    let mut covered = HashSet::new();
    for item in &input.items {
        if !is_component(item) {
            return Err(Refusal::Component);
        }
        let name = identifier(item);
        let value = value(message, item).ok_or(Refusal::Component)?;
        // A line break would make two components of one; what is not ASCII is covered by `bs` (RFC 9421 §2.5).
        if !value.is_ascii() || value.contains(['\n', '\r']) {
            return Err(Refusal::Component);
        }
        base.push_str(&name);
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
        if !covered.insert(name) {
            return Err(Refusal::Component);
        }
    }
    if asked.0.iter().any(|one| !covered.contains(one)) {
        return Err(Refusal::Uncovered);
    }
    let mut params = ListSerializer::new();
    params.members([&ListEntry::InnerList(input.clone())]);
    base.push_str("\"@signature-params\": ");
    base.push_str(&params.finish().ok_or(Refusal::Malformed)?);
    Ok(base)
}

fn value(message: &dyn Message, item: &Item) -> Option<String> {
    let BareItem::String(name) = &item.bare_item else { return None };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    match name.as_str() {
        "@method" => text(message.method()),
        "@scheme" => Some(message.scheme().to_owned()),
        "@authority" => authority(message),
        "@path" => path(message),
        "@query" => Some(format!("?{}", text(message.query().unwrap_or_default())?)),
        "@request-target" => target(message),
        "@target-uri" => uri(message),
        "@query-param" => match item.params.get("name") {
            Some(BareItem::String(name)) => parameter(message.query()?, name.as_str()),
            _ => None,
        },
        name => match item.params.first() {
            None => joined(message, name).and_then(|joined| String::from_utf8(joined).ok()),
            Some((key, BareItem::String(member))) if key.as_str() == "key" => {
                let found: Dictionary = Parser::new(&joined(message, name)?).parse().ok()?;
                entry(found.get(member.as_str())?)
            }
            Some(_) => bytes(message, name),
        },
    }
}

/// All lines of a field without blanks around them, joined (RFC 9421 §2.1).
pub(super) fn joined(message: &dyn Message, name: &str) -> Option<Vec<u8>> {
    let mut found: Option<Vec<u8>> = None;
    message.field(name, &mut |line| match &mut found {
        None => found = Some(line.trim_ascii().to_vec()),
        Some(all) => {
            all.extend_from_slice(b", ");
            all.extend_from_slice(line.trim_ascii());
        }
    });
    found
}

/// Each line as a byte sequence (RFC 9421 §2.1.3).
fn bytes(message: &dyn Message, name: &str) -> Option<String> {
    let mut list = List::new();
    message.field(name, &mut |line| {
        list.push(ListEntry::Item(Item::new(BareItem::ByteSequence(line.trim_ascii().to_vec()))));
    });
    let mut all = ListSerializer::new();
    all.members(&list);
    all.finish()
}

/// A member of a dictionary (RFC 9421 §2.1.2).
fn entry(entry: &ListEntry) -> Option<String> {
    let mut one = ListSerializer::new();
    one.members([entry]);
    one.finish()
}

/// Lower case, without the scheme's own port (RFC 9421 §2.2.3).
fn authority(message: &dyn Message) -> Option<String> {
    let text = std::str::from_utf8(message.authority()).ok()?.to_ascii_lowercase();
    let port = if message.scheme() == "https" { ":443" } else { ":80" };
    Some(text.strip_suffix(port).map(str::to_owned).unwrap_or(text))
}

/// The server itself, `*`, has an empty path (RFC 9110 §7.1), and an empty one is `/` (RFC 9421 §2.2.6).
fn path(message: &dyn Message) -> Option<String> {
    let path = std::str::from_utf8(message.path()).ok()?;
    Some(if path == "*" || path.is_empty() { "/" } else { path }.to_owned())
}

/// As received: only `@authority` is normalized (RFC 9421 §2.2.2).
fn uri(message: &dyn Message) -> Option<String> {
    let authority = std::str::from_utf8(message.authority()).ok()?;
    let target = if message.path() == b"*" { String::new() } else { target(message)? };
    Some(format!("{}://{authority}{target}", message.scheme()))
}

fn target(message: &dyn Message) -> Option<String> {
    if message.path() == b"*" {
        return Some("*".to_owned());
    }
    let mut target = path(message)?;
    if let Some(query) = message.query() {
        target.push('?');
        target.push_str(std::str::from_utf8(query).ok()?);
    }
    Some(target)
}

/// The value of a query parameter that is there once, encoded anew (RFC 9421 §2.2.8).
fn parameter(query: &[u8], name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if encode(&pair[..end]) == name {
            if found.is_some() {
                return None;
            }
            found = Some(encode(pair.get(end + 1..).unwrap_or_default()));
        }
    }
    found
}

/// Decoded as a form, encoded with the form's own set of characters and `%20` for a blank.
fn encode(raw: &[u8]) -> String {
    let mut out = String::new();
    for byte in form(raw) {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
        }
    }
    out
}
