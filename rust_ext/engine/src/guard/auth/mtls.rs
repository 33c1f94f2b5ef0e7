//! The verified client certificate of a connection, as an identity.

use std::sync::Arc;

use fastgate_core::auth::{Consumers, Identity, claim_values};
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;
use serde_json::{Map, Value};

use super::Verdict;
use crate::guard::{Ask, Compile};
use crate::tls::Client;

/// What may be the subject, in the order in which it is looked for where the config gives none.
const PARTS: [&str; 4] = ["spiffe", "dns", "email", "subject"];

/// What a certificate says, as claims.
const CLAIMS: [&str; 5] = ["spiffe", "dns", "email", "subject", "fingerprint"];

/// The method.
#[derive(Debug)]
pub(crate) struct Mtls {
    /// What becomes the subject: the first of these that the certificate has.
    subject: Box<[&'static str]>,
    /// What the target is told, by header.
    headers: Box<[(Box<str>, Box<str>)]>,
    /// Whose certificate it is.
    consumers: Arc<Consumers>,
}

impl Mtls {
    /// Out of the config.
    pub(crate) fn compile(of: &plain::Mtls, cx: &mut Compile<'_>) -> Option<Self> {
        let mut subject = Vec::new();
        for name in &of.identity {
            match PARTS.into_iter().find(|part| part == name) {
                Some(part) => subject.push(part),
                None => {
                    cx.invalid("identity", format!("found \"{name}\"; allowed: {}", PARTS.join(", ")));
                    return None;
                }
            }
        }
        if subject.is_empty() {
            subject.extend(PARTS);
        }
        if let Some((name, part)) = of.headers.iter().find(|(_, part)| !CLAIMS.contains(&part.as_str())) {
            cx.invalid(&format!("headers.{name}"), format!("found \"{part}\"; allowed: {}", CLAIMS.join(", ")));
            return None;
        }
        super::headers_can_be_written(&of.headers, cx)?;
        let headers = of.headers.iter().map(|(name, part)| (name.as_str().into(), part.as_str().into())).collect();
        Some(Self { subject: subject.into(), headers, consumers: cx.known() })
    }

    /// Who the client of this connection is. Its certificate was verified by the handshake, or there is none.
    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Verdict {
        let client = match ask.conn.stream.tls().and_then(|tls| tls.facts()?.client()) {
            None => return Verdict::Absent,
            Some(Err(why)) => return Verdict::Bad(format!("the client certificate cannot be read: {why}")),
            Some(Ok(client)) => client,
        };
        let Some(subject) = self.subject.iter().find_map(|part| first(&client, part)) else {
            return Verdict::Bad(format!("the client certificate has none of {}", self.subject.join(", ")));
        };
        let mut identity = Identity {
            method: "mtls",
            subject: Some(subject.into()),
            claims: Arc::new(claims(&client)),
            ..Identity::default()
        };
        self.consumers.become_consumer(&mut identity, self.consumers.of_certificate(subject));
        for (name, part) in &self.headers {
            // A client's own copies are gone already: what cannot be written leaves no header.
            if let Some(edit) =
                claim_values::field(&identity.claims, part).and_then(|value| Edit::set(name.as_bytes(), &value).ok())
            {
                ask.edit(edit);
            }
        }
        Verdict::Known(Arc::new(identity))
    }
}

fn first<'a>(client: &'a Client, part: &str) -> Option<&'a str> {
    match part {
        "spiffe" => client.spiffe.as_deref(),
        "dns" => client.dns.first().map(String::as_str),
        "email" => client.email.first().map(String::as_str),
        _ => Some(client.subject.as_str()).filter(|subject| !subject.is_empty()),
    }
}

/// Everything that policies may ask of the certificate, as claims.
fn claims(client: &Client) -> Map<String, Value> {
    let list = |names: &[String]| Value::from(names.to_vec());
    let mut claims = Map::new();
    if let Some(spiffe) = &client.spiffe {
        claims.insert("spiffe".to_owned(), Value::from(spiffe.as_str()));
    }
    claims.insert("dns".to_owned(), list(&client.dns));
    claims.insert("email".to_owned(), list(&client.email));
    claims.insert("subject".to_owned(), Value::from(client.subject.as_str()));
    claims.insert("fingerprint".to_owned(), Value::from(client.fingerprint.as_str()));
    claims
}
