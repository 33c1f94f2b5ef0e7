//! A service that is asked whether a request may pass: it sees what is listed, what it says is taken as listed, and an
//! answer that is no 2xx is the client's.

use std::net::IpAddr;
use std::sync::Arc;

use fastgate_core::auth::Identity;
use fastgate_core::fetch::{Reach, Verb};
use fastgate_core::filter::{Edit, passes};
use fastgate_core::http1::{FieldKind, Request};
use fastgate_core::snapshot::policies as plain;

use super::{bounds, place};
use crate::fetch::{Call, FetchError, Fetcher, Got, Place, Purpose};
use crate::trust::Trusts;

/// Bytes of an answer that is relayed.
const MAX_ANSWER: usize = 64 * 1024;

/// Names that the gateway writes itself, so that a `send` list cannot name them.
const WRITTEN: [&str; 8] = [
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-uri",
    "x-forwarded-for",
    "x-request-id",
    "user-agent",
    "accept-encoding",
];

/// One service.
#[derive(Debug)]
pub(crate) struct ExtAuth {
    place: Arc<Place>,
    /// Lower case.
    send: Vec<Box<str>>,
    take: Vec<Box<str>>,
    set_cookie: bool,
    subject_from: Option<Box<str>>,
}

/// What a service is told besides the listed headers.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) scheme: &'static str,
    pub(crate) host: &'a [u8],
    /// Path and query as they were received.
    pub(crate) uri: Vec<u8>,
    pub(crate) method: &'a [u8],
    pub(crate) client: Option<IpAddr>,
    pub(crate) request_id: &'a [u8],
}

/// What it said.
#[derive(Debug)]
pub(crate) enum Said {
    /// The request passes.
    Pass {
        identity: Arc<Identity>,
        /// Changes to what goes to the target.
        edits: Vec<Edit>,
    },
    /// The client gets this.
    Relay { status: u16, fields: Vec<(String, Vec<u8>)>, body: Vec<u8> },
    /// Nobody can say; why is for the log.
    Unknown(String),
}

impl ExtAuth {
    /// Judges the settings.
    ///
    /// # Errors
    /// The key that is wrong, and a sentence.
    pub(crate) fn compile(plain: &plain::ExtAuth, trusts: &Trusts) -> Result<Self, (&'static str, String)> {
        if plain.body > 0 {
            return Err(("body", "is 0: sending the body is not in this version".to_owned()));
        }
        let limit = bounds(MAX_ANSWER, plain.timeout_ms);
        let place = place(&plain.url, plain.ca.as_deref(), Reach::OWN, limit, Purpose::ExtAuth, trusts)?;
        let names = |key: &'static str, list: &[String], written: &[&str]| {
            list.iter()
                .map(|name| {
                    let name = name.to_ascii_lowercase();
                    // Judged as a change to a request's header is: framing and hop-by-hop headers are nobody's.
                    Edit::set(name.as_bytes(), b"x").map_err(|why| (key, format!("{name}: {why}")))?;
                    if written.contains(&name.as_str()) {
                        return Err((key, format!("{name} is written by the gateway")));
                    }
                    Ok(name.into_boxed_str())
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            place,
            send: names("send", &plain.send, &WRITTEN)?,
            take: names("take", &plain.take, &[])?,
            set_cookie: plain.set_cookie,
            subject_from: plain.subject_from.as_ref().map(|name| name.to_ascii_lowercase().into()),
        })
    }

    /// Asks about a request.
    pub(crate) fn ask(
        self: &Arc<Self>,
        request: &Request,
        bytes: &[u8],
        facts: &Facts<'_>,
        fetcher: &Fetcher,
    ) -> impl Future<Output = Said> + 'static + use<> {
        let mut fields: Vec<(Box<str>, Vec<u8>)> = vec![
            ("X-Forwarded-Method".into(), facts.method.to_vec()),
            ("X-Forwarded-Proto".into(), facts.scheme.as_bytes().to_vec()),
            ("X-Forwarded-Host".into(), facts.host.to_vec()),
            ("X-Forwarded-Uri".into(), facts.uri.clone()),
            ("X-Request-Id".into(), facts.request_id.to_vec()),
        ];
        if let Some(client) = facts.client {
            fields.push(("X-Forwarded-For".into(), client.to_string().into_bytes()));
        }
        for name in &self.send {
            // Every line, so that the service sees what the target sees (class H4).
            fields.extend(request.get(bytes, name.as_bytes()).map(|value| (name.clone(), value.to_vec())));
        }
        let asked = fetcher.call(Call { place: self.place.clone(), verb: Verb::Get, fields, body: None });
        let this = self.clone();
        async move { this.read(asked.await) }
    }

    fn read(&self, got: Result<Got, FetchError>) -> Said {
        let got = match got {
            Ok(got) => got,
            Err(error) => return Said::Unknown(format!("{} cannot be asked: {error}", self.place.url)),
        };
        if (200..300).contains(&got.status()) { self.pass(&got) } else { self.relay(got) }
    }

    fn pass(&self, got: &Got) -> Said {
        let mut edits = Vec::new();
        for name in &self.take {
            // A client's own copy goes, whether or not the service says something in its place.
            edits.push(Edit::Remove(name.as_bytes().into()));
            for value in got.get(name.as_bytes()) {
                match Edit::add(name.as_bytes(), value) {
                    Ok(edit) => edits.push(edit),
                    Err(why) => return Said::Unknown(format!("{} answers with a bad {name}: {why}", self.place.url)),
                }
            }
        }
        let subject = self.subject_from.as_ref().and_then(|name| {
            let mut values = got.get(name.as_bytes());
            // Two names are no name.
            let value = values.next().filter(|value| !value.is_empty())?;
            if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }.map(Box::from)
        });
        let identity = Arc::new(Identity { method: "ext_auth", subject, ..Identity::default() });
        Said::Pass { identity, edits }
    }

    fn relay(&self, got: Got) -> Said {
        let fields = got.response.fields().iter().filter(|field| !field.named()).filter_map(|field| {
            let name = std::str::from_utf8(field.name.of(&got.head)).ok()?;
            let relayed = relays(field.kind, name) && (self.set_cookie || !name.eq_ignore_ascii_case("set-cookie"));
            relayed.then(|| (name.to_owned(), field.value.of(&got.head).to_vec()))
        });
        Said::Relay { status: got.status(), fields: fields.collect(), body: got.body }
    }
}

/// Whether a field of a refusal is the client's: not what frames the message or names this hop, and not what the
/// gateway says itself.
fn relays(kind: FieldKind, name: &str) -> bool {
    let own = kind == FieldKind::Date
        || ["trailer", "strict-transport-security", "alt-svc"].iter().any(|own| name.eq_ignore_ascii_case(own));
    passes(kind) && !own
}
