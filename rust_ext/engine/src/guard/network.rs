//! What is judged by where a request comes from, and what browsers are told. `core::network` decides.

use std::sync::Arc;

use fastgate_core::filter::Extra;
use fastgate_core::http1::Request;
use fastgate_core::network::{self, AddressTable, MAX_FILE, Preflight, Verdict, address_table};
use fastgate_core::snapshot::policies as plain;

use super::{Ask, Compile, Denial, Reply, Step};
use crate::fault::FaultKind;
use crate::watched::Watched;

fn forbidden(policy: &'static str, reason: impl Into<String>) -> Step {
    Denial::new(FaultKind::Forbidden, policy, reason).into()
}

/// Client addresses.
#[derive(Debug)]
pub(crate) enum IpRules {
    /// As written in the config.
    Fixed(AddressTable),
    /// With those of files.
    Files(Arc<Watched<AddressTable>>),
}

impl IpRules {
    pub(crate) fn compile(of: &plain::IpRules, cx: &mut Compile<'_>) -> Option<Self> {
        if of.allow_files.is_empty() && of.deny_files.is_empty() {
            return match address_table(of, &[], &[]) {
                Ok(table) => Some(Self::Fixed(table)),
                Err(message) => {
                    cx.invalid("", message);
                    None
                }
            };
        }
        let rules = of.clone();
        let paths = [&of.allow_files[..], &of.deny_files[..]].concat();
        let parse = move |contents: &[Vec<u8>]| {
            let texts: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
            let (allow, deny) = texts.split_at(rules.allow_files.len().min(texts.len()));
            address_table(&rules, allow, deny)
        };
        match Watched::files(paths, MAX_FILE, parse) {
            Ok(watched) => {
                cx.state.watchlist.add(&watched);
                Some(Self::Files(watched))
            }
            Err(message) => {
                cx.invalid("", message);
                None
            }
        }
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        let Some(ip) = ask.about.client.ip else {
            return forbidden("ip", "the client has no address");
        };
        let verdict = match self {
            Self::Fixed(table) => table.judge(ip),
            Self::Files(watched) => watched.load().judge(ip),
        };
        match verdict {
            Verdict::Pass => Step::Pass,
            Verdict::Denied => forbidden("ip", "the address is denied"),
            Verdict::NotAllowed => forbidden("ip", "the address is in no network that is allowed"),
        }
    }
}

/// Cross-origin requests.
#[derive(Debug)]
pub(crate) struct Cors(network::Cors);

impl Cors {
    pub(crate) fn compile(of: &plain::Cors, cx: &mut Compile<'_>) -> Option<Self> {
        let compiled = network::Cors::compile(of).map_err(|(key, message)| cx.invalid(key, message));
        compiled.ok().map(Self)
    }

    /// What every answer says, refusals too; the origin's own words are taken away.
    pub(crate) fn put(&self, ask: &Ask<'_>) {
        let preflight = Preflight::of(ask.head, ask.bytes).is_some();
        let fields = if preflight { Vec::new() } else { self.0.answer_fields(only(ask.head, ask.bytes, b"origin")) };
        let vary = self.0.vary(preflight);
        ask.extra(|extra| {
            // The answer to a preflight is the policy's own.
            if !preflight {
                extra.strip_cors();
            }
            for (name, value) in &fields {
                extra.add(name, value);
            }
            if let Some(vary) = vary {
                extra.add("Vary", vary.as_bytes());
            }
        });
    }

    /// Answers a preflight.
    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        let Some(asked) = Preflight::of(ask.head, ask.bytes) else { return Step::Pass };
        match self.0.preflight(&asked) {
            Ok(fields) => Step::Answer(Box::new(Reply {
                status: 204,
                fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                body: Vec::new(),
                policy: "cors",
            })),
            Err(refused) => forbidden("cors", format!("a preflight asks for what is not allowed: {}", refused.word())),
        }
    }
}

/// The one line of that name.
fn only<'a>(request: &'a Request, bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = request.get(bytes, name);
    lines.next().filter(|_| lines.next().is_none())
}

/// Cross-site request forgery.
#[derive(Debug)]
pub(crate) struct Csrf(network::Csrf);

impl Csrf {
    pub(crate) fn compile(of: &plain::Csrf, cx: &mut Compile<'_>) -> Option<Self> {
        let compiled = network::Csrf::compile(of).map_err(|(key, message)| cx.invalid(key, message));
        compiled.ok().map(Self)
    }

    pub(crate) fn judge(&self, ask: &Ask<'_>) -> Step {
        match self.0.judge(ask.head, ask.bytes) {
            Ok(()) => Step::Pass,
            Err(refused) => forbidden("csrf", format!("another site's page sent it: {}", refused.word())),
        }
    }
}

/// Headers that make browsers stricter.
#[derive(Debug)]
pub(crate) struct SecurityHeaders(network::SecurityHeaders);

impl SecurityHeaders {
    pub(crate) fn compile(of: &plain::SecurityHeaders, cx: &mut Compile<'_>) -> Option<Self> {
        let compiled = network::SecurityHeaders::compile(of).map_err(|(key, message)| cx.invalid(&key, message));
        compiled.ok().map(Self)
    }

    /// What every answer says unless the origin said it.
    pub(crate) fn put(&self, ask: &Ask<'_>) {
        let hsts = self.0.hsts(ask.head.host(ask.bytes)).filter(|_| ask.conn.is_secure());
        ask.extra(|extra: &mut Extra| {
            for (name, value) in self.0.fields() {
                extra.absent(name, value.as_bytes());
            }
            for (name, value) in self.0.own() {
                extra.own(name, value.as_bytes());
            }
            if let Some(hsts) = hsts {
                extra.absent("Strict-Transport-Security", hsts.as_bytes());
            }
        });
    }
}
