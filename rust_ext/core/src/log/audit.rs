//! Records of the audit trail: one line of canonical JSON (RFC 8785) each, ready to be chained by hashes.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Stamp;
use crate::snapshot::Snapshot;

/// The version of the records' schema.
pub const SCHEMA: u32 = 1;

/// The longest text of a field, in bytes; what is longer is cut.
const LONGEST: usize = 512;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Event {
    /// A policy refused a request: 401, 403, 421 or 503.
    #[serde(rename = "request.denied")]
    Denied,
    /// A limit refused a request: 429.
    #[serde(rename = "request.limited")]
    Limited,
    /// A config is in use.
    #[serde(rename = "config.applied")]
    ConfigApplied,
    /// A config was refused; the one before stays in use.
    #[serde(rename = "config.refused")]
    ConfigRefused,
    /// An API key was made.
    #[serde(rename = "key.created")]
    KeyCreated,
    /// An API key was revoked.
    #[serde(rename = "key.revoked")]
    KeyRevoked,
    /// Records found no room and are lost.
    #[serde(rename = "audit.lost")]
    Lost,
}

impl Event {
    /// Every event that the control side may report, by its name.
    #[must_use]
    pub fn of_key(name: &str) -> Option<Self> {
        match name {
            "key.created" => Some(Self::KeyCreated),
            "key.revoked" => Some(Self::KeyRevoked),
            _ => None,
        }
    }

    fn decision(self) -> Option<&'static str> {
        match self {
            Self::Denied | Self::Limited => Some("deny"),
            Self::ConfigApplied => Some("apply"),
            Self::ConfigRefused => Some("refuse"),
            Self::KeyCreated | Self::KeyRevoked | Self::Lost => None,
        }
    }
}

/// What a record says of what happened; what is unknown is left out.
#[derive(Debug, Clone, Default)]
pub struct Said<'a> {
    /// Who did it: `uid:NUMBER` of a command on this machine.
    pub actor: Option<&'a str>,
    /// The client's address.
    pub client: Option<String>,
    /// The consumer.
    pub consumer: Option<&'a str>,
    /// The host that was asked for.
    pub host: Option<String>,
    /// The name of an API key, never the key.
    pub key: Option<&'a str>,
    /// Records that are lost.
    pub lost: Option<u64>,
    /// The request's method.
    pub method: Option<String>,
    /// The canonical path, without its query.
    pub path: Option<String>,
    /// The policy, by its name in the config.
    pub policy: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The route.
    pub route: Option<&'a str>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The subject of the identity.
    pub subject: Option<&'a str>,
    /// Its tenant.
    pub tenant: Option<&'a str>,
}

/// Where and when a record is made.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Of this start of the gateway.
    pub boot: &'a str,
    /// Of the config in use.
    pub config: &'a str,
    /// From 1, one more with each record; lost ones leave a gap.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
    /// Milliseconds of the monotonic clock.
    pub monotonic_ms: u64,
}

/// The fields of a record; they stand in the order of their names, as RFC 8785 wants.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    boot: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    config: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a str>,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    monotonic_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    time: &'a str,
    v: u32,
}

/// Appends a record and the end of its line.
pub fn write(out: &mut Vec<u8>, stamp: &mut Stamp, place: &Place<'_>, event: Event, said: &Said<'_>) {
    let mut time = Vec::with_capacity(24);
    stamp.rfc3339(&mut time, place.unix_ms);
    let record = Record {
        actor: said.actor.map(cut),
        boot: place.boot,
        client: said.client.as_deref().map(cut),
        config: place.config,
        consumer: said.consumer.map(cut),
        decision: event.decision(),
        event,
        host: said.host.as_deref().map(cut),
        key: said.key.map(cut),
        lost: said.lost,
        method: said.method.as_deref().map(cut),
        monotonic_ms: place.monotonic_ms,
        path: said.path.as_deref().map(cut),
        policy: said.policy,
        reason: said.reason.map(cut),
        request_id: said.request_id.as_deref().map(cut),
        route: said.route.map(cut),
        seq: place.seq,
        status: said.status,
        subject: said.subject.map(cut),
        tenant: said.tenant.map(cut),
        time: std::str::from_utf8(&time).unwrap_or_default(),
        v: SCHEMA,
    };
    let before = out.len();
    // Text and numbers alone: nothing in it can fail to be written.
    if serde_json::to_writer(&mut *out, &record).is_err() {
        out.truncate(before);
        return;
    }
    out.push(b'\n');
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// What a config is known by: 32 hexadecimal digits of the SHA-256 over its form for people, in which secrets are
/// left out, so that nobody can guess one by it.
#[must_use]
pub fn config_hash(snapshot: &Snapshot) -> String {
    use std::fmt::Write;
    struct Hashing(Sha256);
    impl Write for Hashing {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(Sha256::new());
    // A hash takes everything.
    let _ = write!(hashing, "{snapshot:?}");
    let mut text = String::with_capacity(32);
    for byte in hashing.0.finalize().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: Event, said: &Said<'_>) -> String {
        let place = Place { boot: "b00", config: "c0", seq: 7, unix_ms: 1_795_300_000_042, monotonic_ms: 5 };
        let mut out = Vec::new();
        write(&mut out, &mut Stamp::default(), &place, event, said);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_canonical_json() {
        let said = Said {
            client: Some("192.0.2.1".into()),
            consumer: Some("a\"b\u{e4}\n\u{1}"),
            method: Some("GET".into()),
            path: Some("/x/é".into()),
            policy: Some("ip"),
            reason: Some("the address is denied"),
            request_id: Some("id".into()),
            route: Some("r"),
            status: Some(403),
            ..Said::default()
        };
        assert_eq!(
            line(Event::Denied, &said),
            "{\"boot\":\"b00\",\"client\":\"192.0.2.1\",\"config\":\"c0\",\"consumer\":\"a\\\"b\u{e4}\\n\\u0001\",\
             \"decision\":\"deny\",\"event\":\"request.denied\",\"method\":\"GET\",\"monotonic_ms\":5,\
             \"path\":\"/x/é\",\"policy\":\"ip\",\"reason\":\"the address is denied\",\"request_id\":\"id\",\
             \"route\":\"r\",\"seq\":7,\"status\":403,\"time\":\"2026-11-21T22:26:40.042Z\",\"v\":1}\n"
        );
    }

    #[test]
    fn names_stand_in_order_and_long_texts_are_cut() {
        let long = "ä".repeat(400);
        let said = Said {
            actor: Some(&long),
            client: Some(long.clone()),
            consumer: Some(&long),
            host: Some(long.clone()),
            key: Some(&long),
            lost: Some(3),
            method: Some(long.clone()),
            path: Some(long.clone()),
            policy: Some("p"),
            reason: Some(&long),
            request_id: Some(long.clone()),
            route: Some(&long),
            status: Some(200),
            subject: Some(&long),
            tenant: Some(&long),
        };
        let line = line(Event::Lost, &said);
        let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        let mut at = 0;
        let mut names: Vec<&String> = read.keys().collect();
        names.sort();
        for name in &names {
            let found = line[at..].find(&format!("\"{name}\":")).expect("in the order of the names");
            at += found;
        }
        assert_eq!(names.len(), 22);
        assert_eq!(read["client"].as_str().unwrap().len(), LONGEST);
    }
}
