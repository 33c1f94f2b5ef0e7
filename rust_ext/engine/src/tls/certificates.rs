//! Certificates of a listener, chosen by the name a client asks for.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use fastgate_core::certificate::Certificate;
use fastgate_core::snapshot;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::policy::Content;

/// Certificates of one chain.
const MAX_CHAIN: usize = 16;

thread_local! {
    /// The certificate that the handshake under way on this thread was given: the library tells nobody else.
    static SERVED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A certificate chain, its key, and whom it is for.
#[derive(Debug)]
pub(crate) struct Entry {
    key: Arc<CertifiedKey>,
    pub(crate) says: Certificate,
}

/// All of a listener.
#[derive(Debug)]
pub(crate) struct Certificates {
    entries: Vec<Entry>,
    /// By whole name, and by what follows the wildcard: those that have it, in order.
    exact: HashMap<String, Vec<usize>>,
    wildcard: HashMap<String, Vec<usize>>,
    /// Where no name fits: the first, and those that have the same names.
    default: Vec<usize>,
}

/// What is wrong with one of them: the key of the setting, and the reason; the flag says that a file is missing.
pub(super) type Fault = (&'static str, String, bool);

impl Certificates {
    /// Out of those that could be read.
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let (mut exact, mut wildcard) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (index, entry) in entries.iter().enumerate() {
            for name in entry.names() {
                match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.to_owned()).or_default().push(index),
                    None => exact.entry(name.to_owned()).or_default().push(index),
                }
            }
        }
        let same = |entry: &Entry| entries.first().is_some_and(|first| first.names() == entry.names());
        let default = (0..entries.len()).filter(|index| *index == 0 || same(&entries[*index])).collect();
        Self { entries, exact, wildcard, default }
    }

    /// All of them, in the order of the config.
    pub(super) fn all(&self) -> &[Entry] {
        &self.entries
    }

    /// The one that a handshake was given.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Those that may be served to who asks for that name.
    fn candidates(&self, name: Option<&str>) -> &[usize] {
        let Some(name) = name else { return &self.default };
        let parent = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(parent).unwrap_or(&self.default)
    }
}

impl Entry {
    /// Reads one, with whether its key belongs to it.
    pub(super) fn parse(
        of: &snapshot::policies::Certificate,
        content: Content<'_>,
        provider: &CryptoProvider,
    ) -> Result<Self, Fault> {
        let cert = |message| ("cert", message, false);
        let bytes = content(&of.cert).map_err(|(message, missing)| ("cert", message, missing))?;
        let key_bytes = content(&of.key).map_err(|(message, missing)| ("key", message, missing))?;
        let chain = chain(bytes, &of.cert).map_err(cert)?;
        let Some(first) = chain.first() else {
            return Err(cert(format!("{} holds no certificate (PEM, BEGIN CERTIFICATE)", of.cert)));
        };
        if chain.len() > MAX_CHAIN {
            return Err(cert(format!(
                "{} holds {} certificates; a chain has at most {MAX_CHAIN}",
                of.cert,
                chain.len()
            )));
        }
        let says = Certificate::read(first)
            .map_err(|reason| cert(format!("{} is no certificate that can be used: {reason}", of.cert)))?;
        let key = key(key_bytes, &of.key).map_err(|message| ("key", message, false))?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => ("key", format!("{} is not the key of {}", of.key, of.cert), false),
            rustls::Error::InvalidCertificate(_) => {
                cert(format!("{} is no certificate that can be used: {error}", of.cert))
            }
            error => ("key", format!("{} is no key that can be used: {error}", of.key), false),
        })?;
        Ok(Self { key: Arc::new(certified), says })
    }

    /// What is odd about it, at this time in seconds since 1970.
    pub(super) fn oddities(&self, path: &str, now: i64) -> Vec<String> {
        let mut found = Vec::new();
        if self.says.not_after < now {
            found.push(format!("the certificate {path} has expired: clients will not connect"));
        } else if self.says.not_before > now {
            found.push(format!("the certificate {path} is not valid yet: clients will not connect"));
        }
        if self.says.dns.is_empty() && self.says.ips.is_empty() {
            found.push(format!("the certificate {path} has no subjectAltName: most clients will not connect"));
        }
        found
    }

    /// The names it is chosen by.
    fn names(&self) -> Vec<&str> {
        let says = &self.says;
        let own = says.common_name.as_deref().filter(|_| says.dns.is_empty() && says.ips.is_empty());
        says.dns.iter().map(String::as_str).chain(own).map(|name| name.strip_suffix('.').unwrap_or(name)).collect()
    }
}

/// A chain of certificates out of PEM.
pub(super) fn chain(bytes: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{path} is not PEM: {error}"))
}

fn key(bytes: &[u8], path: &str) -> Result<PrivateKeyDer<'static>, String> {
    let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        _ if encrypted => format!("{path} is encrypted; allowed: a key without a passphrase"),
        pem::Error::NoItemsFound => format!("{path} holds no private key (PEM, BEGIN PRIVATE KEY)"),
        error => format!("{path} is not PEM: {error}"),
    })
}

impl ResolvesServerCert for Certificates {
    /// An exact name before a wildcard; among those the first whose key the client can verify.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let candidates = self.candidates(name.as_deref());
        let usable = |index: &&usize| {
            let entry = self.entries.get(**index);
            entry.is_some_and(|entry| entry.key.key.choose_scheme(hello.signature_schemes()).is_some())
        };
        let index = *candidates.iter().find(usable).or(candidates.first())?;
        SERVED.set(Some(index));
        Some(self.entries.get(index)?.key.clone())
    }
}

/// Forgets what a handshake was given before.
pub(super) fn forget_served() {
    SERVED.set(None);
}

/// What the handshake that moved on last was given.
pub(super) fn served() -> Option<usize> {
    SERVED.get()
}
