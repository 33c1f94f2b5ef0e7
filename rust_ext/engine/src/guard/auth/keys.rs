//! API keys: those of the consumers, and those of a file.

use std::borrow::Cow;
use std::sync::Arc;

use fastgate_core::auth::api_key::kind_of;
use fastgate_core::auth::key_file::{self, MAX_KEY_FILE};
use fastgate_core::auth::{Consumers, KeyTable, Known, Scheme, Shown, authorization, header, query, without};
use fastgate_core::filter::Edit;
use fastgate_core::snapshot::policies as plain;

use super::{Verdict, is_authorization};
use crate::clock;
use crate::guard::{Ask, Compile};
use crate::watched::Watched;

/// Where keys stand, and which there are.
#[derive(Debug)]
pub(super) struct ApiKeys {
    /// In lower case.
    header: Option<Box<str>>,
    /// The header is `Authorization`.
    in_authorization: bool,
    /// Another method reads `Bearer` too: keys are what fastgate made.
    shared_bearer: bool,
    query: Option<Box<str>>,
    forward: bool,
    consumers: Arc<Consumers>,
    file: Option<Arc<Watched<KeyTable<Known>>>>,
}

impl ApiKeys {
    pub(super) fn compile(
        plain: &plain::ApiKeys,
        shared_bearer: bool,
        forward: bool,
        cx: &mut Compile<'_>,
    ) -> Option<Self> {
        let consumers = cx.known();
        let file = match &plain.keys_file {
            None => None,
            Some(path) => {
                let known = consumers.clone();
                match Watched::file(path, MAX_KEY_FILE as u64, move |bytes| key_file::parse(bytes, &known)) {
                    Ok(watched) => {
                        cx.state.watchlist.add(&watched);
                        Some(watched)
                    }
                    Err(message) => {
                        cx.invalid("keys_file", message);
                        return None;
                    }
                }
            }
        };
        let header = plain.header.as_deref().map(|name| name.to_ascii_lowercase().into_boxed_str());
        Some(Self {
            in_authorization: header.as_deref().is_some_and(is_authorization),
            header,
            shared_bearer,
            query: plain.query.as_deref().map(Box::from),
            forward,
            consumers,
            file,
        })
    }

    pub(super) fn judge(&self, ask: &Ask<'_>) -> Verdict {
        let in_header = self.in_header(ask);
        let in_query = match &self.query {
            Some(name) => query(ask.head.query(ask.bytes).unwrap_or_default(), name.as_bytes()),
            None => Shown::Nothing,
        };
        let key = match (in_header, in_query) {
            (Shown::Nothing, Shown::Nothing) => return Verdict::Absent,
            (Shown::One(key), Shown::Nothing) => Cow::Borrowed(key),
            (Shown::Nothing, Shown::One(key)) => key,
            _ => return Verdict::Bad("api_key: more than one key, or one that is written as none is".to_owned()),
        };
        if let Some(known) = self.consumers.keys().find(&key) {
            return self.found(ask, known);
        }
        match &self.file {
            Some(file) => match file.load().find(&key) {
                Some(known) => self.found(ask, known),
                None => unknown(),
            },
            None => unknown(),
        }
    }

    fn in_header<'a>(&self, ask: &Ask<'a>) -> Shown<&'a [u8]> {
        let Some(name) = &self.header else { return Shown::Nothing };
        let lines = ask.head.get(ask.bytes, name.as_bytes());
        if !self.in_authorization {
            return header(lines);
        }
        match authorization(lines) {
            Shown::Bad => Shown::Bad,
            Shown::One(one) => match (one.scheme, one.credential) {
                (Scheme::ApiKey, key) => key.map_or(Shown::Bad, Shown::One),
                (Scheme::Bearer, Some(key)) if self.shared_bearer && kind_of(key).is_none() => Shown::Nothing,
                (Scheme::Bearer, None) if self.shared_bearer => Shown::Nothing,
                (Scheme::Bearer, key) => key.map_or(Shown::Bad, Shown::One),
                _ => Shown::Nothing,
            },
            Shown::Nothing => Shown::Nothing,
        }
    }

    fn found(&self, ask: &Ask<'_>, known: &Known) -> Verdict {
        if known.expires_ms.is_some() && known.is_expired(clock::unix_ms()) {
            return Verdict::Bad(format!("api_key: {} has expired", known.identity.key.as_deref().unwrap_or_default()));
        }
        if !self.forward {
            self.strip(ask);
        }
        Verdict::Known(known.identity.clone())
    }

    /// The target need not know the key.
    fn strip(&self, ask: &Ask<'_>) {
        if let Some(edit) = self.header.as_deref().and_then(|name| Edit::remove(name.as_bytes()).ok()) {
            ask.edit(edit);
        }
        if let (Some(name), Some(text)) = (&self.query, ask.head.query(ask.bytes))
            && let Some(rest) = without(text, [name.as_bytes()].into_iter())
        {
            let _ = ask.about.find().query.set(rest.into());
        }
    }
}

fn unknown() -> Verdict {
    Verdict::Bad("api_key: no such key".to_owned())
}
