//! What a request counts for: the parts of a key, read from the request and its identity.

use fastgate_core::auth::Identity;
use fastgate_core::limit::{Hasher, Key, Parts};
use fastgate_core::snapshot::policies::Part;
use serde_json::Value;

use super::Ask;

/// Makes the keys of one policy.
#[derive(Debug)]
pub(super) struct Keyed {
    hasher: Hasher,
    per: Box<[Part]>,
}

impl Keyed {
    pub(super) fn new(hasher: Hasher, per: &[Part]) -> Self {
        Self { hasher, per: per.into() }
    }

    /// The key of a request. What it lacks is counted for its address, so that leaving something out opens nothing.
    pub(super) fn key(&self, ask: &Ask<'_>) -> Key {
        let mut parts = self.hasher.begin();
        for part in &self.per {
            if write(part, &mut parts, ask).is_none() {
                address(&mut parts, ask);
            }
        }
        self.hasher.end(&parts, ask.about.client.ip)
    }

    /// The key of a request's address alone.
    pub(super) fn address(&self, ask: &Ask<'_>) -> Key {
        let mut parts = self.hasher.begin();
        address(&mut parts, ask);
        self.hasher.end(&parts, ask.about.client.ip)
    }

    /// Whether clients choose its values.
    pub(super) fn is_chosen(&self) -> bool {
        self.per.iter().any(|part| matches!(part, Part::Header(_) | Part::Claim(_)))
    }
}

/// Whether it is known only once an identity is.
pub(super) fn needs_identity(part: &Part) -> bool {
    !matches!(part, Part::ClientIp | Part::Route | Part::Header(_))
}

/// A number that a header or a claim says.
pub(super) fn number(part: &Part, ask: &Ask<'_>) -> Option<u64> {
    match part {
        Part::Header(name) => {
            let mut values = ask.head.get(ask.bytes, name.as_bytes());
            let value = std::str::from_utf8(values.next()?).ok()?;
            // Two lines are no number.
            values.next().is_none().then(|| value.parse().ok()).flatten()
        }
        Part::Claim(path) => match ask.identity()?.claim(path)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        },
        _ => None,
    }
}

fn write(part: &Part, parts: &mut Parts, ask: &Ask<'_>) -> Option<()> {
    let known = || ask.identity().filter(|identity| !identity.is_anonymous());
    let mut text = |text: Option<&str>| text.map(|text| parts.bytes(text.as_bytes()));
    match part {
        Part::ClientIp => None,
        Part::Route => text(Some(&ask.route.name)),
        Part::Consumer => text(known()?.consumer.as_deref()),
        Part::Key => text(known()?.key.as_deref()),
        Part::Subject => text(known()?.subject.as_deref()),
        Part::Tenant => text(ask.tenant().map(|tenant| &**tenant)),
        Part::Claim(path) => claim(known()?, path, parts),
        Part::Header(name) => {
            // Every line counts: a second one must not hide behind the first.
            let lines = ask.head.get(ask.bytes, name.as_bytes()).map(|value| parts.bytes(value)).count();
            (lines > 0).then_some(())
        }
    }
}

fn claim(identity: &Identity, path: &str, parts: &mut Parts) -> Option<()> {
    match identity.claim(path)? {
        Value::Null => return None,
        Value::String(text) => parts.bytes(text.as_bytes()),
        value => parts.bytes(value.to_string().as_bytes()),
    }
    Some(())
}

fn address(parts: &mut Parts, ask: &Ask<'_>) {
    match ask.about.client.ip {
        Some(address) => parts.address(address),
        None => parts.absent(),
    }
}
