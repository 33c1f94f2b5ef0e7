//! What a handshake settled, and whether that still holds for the connection's next request.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest;
use fastgate_core::certificate::{Certificate, Unreadable};
use rustls::CommonState;

use super::certificates::Certificates;
use super::policy::Policy;
use super::served::Served;
use crate::fault::FaultKind;

/// A verified client certificate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// The SPIFFE ID, where its only URI is one.
    pub(crate) spiffe: Option<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) email: Vec<String>,
    /// As RFC 4514 writes it.
    pub(crate) subject: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

impl Client {
    fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let says = Certificate::read(der)?;
        let mut fingerprint = String::with_capacity(64);
        for byte in digest::digest(&digest::SHA256, der).as_ref() {
            // A String takes everything.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        Ok(Self {
            spiffe: says.spiffe().map(str::to_owned),
            dns: says.dns,
            email: says.emails,
            subject: says.subject,
            fingerprint,
        })
    }
}

/// What a certificate that was shown says. The library verifies one whose names it does not read; who shows a name that
/// is none is nobody, and not somebody who shows no certificate.
pub(crate) type Shown = Result<Arc<Client>, Unreadable>;

/// What is known of a connection with TLS.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The generation whose rules it was judged by last.
    generation: Cell<u64>,
    /// The certificate it was given.
    certificates: Arc<Certificates>,
    certificate: usize,
    /// The host it was last found to be for.
    covered: RefCell<Box<str>>,
    client: RefCell<Option<Shown>>,
}

impl Facts {
    /// Those of a handshake that is through.
    pub(super) fn new(state: &CommonState, policy: &Policy, certificate: usize) -> Self {
        Self {
            generation: Cell::new(policy.generation),
            certificates: policy.certificates.clone(),
            certificate,
            covered: RefCell::default(),
            client: RefCell::new(client(state)),
        }
    }

    /// Who the client is, by its certificate; one that was shown is one that was verified.
    pub(crate) fn client(&self) -> Option<Shown> {
        self.client.borrow().clone()
    }

    /// Whether a request for this host may be served over the connection, by what its listener asks now.
    ///
    /// # Errors
    /// `Misdirected` where the connection is for another host, or was opened under rules that it does not meet any
    /// more: a new one would be judged anew (RFC 9110 §15.5.20).
    #[inline]
    pub(crate) fn judge(
        &self,
        host: &[u8],
        served: Option<&Served>,
        with_state: impl FnOnce(&mut dyn FnMut(&CommonState)),
    ) -> Result<(), FaultKind> {
        if served.is_none_or(|served| served.generation() != self.generation.get()) {
            self.judge_again(served, with_state)?;
        }
        if host == self.covered.borrow().as_bytes() || self.covers(host) { Ok(()) } else { Err(FaultKind::Misdirected) }
    }

    /// The certificate may be another now, or who is asked for one.
    #[cold]
    fn judge_again(
        &self,
        served: Option<&Served>,
        with_state: impl FnOnce(&mut dyn FnMut(&CommonState)),
    ) -> Result<(), FaultKind> {
        let policy = served.ok_or(FaultKind::Misdirected)?.current();
        let mut passes = true;
        with_state(&mut |state| {
            let known = match &policy.clients {
                Some(clients) => {
                    passes = clients.judge(state.peer_certificates());
                    client(state)
                }
                None => None,
            };
            *self.client.borrow_mut() = known;
        });
        if !passes {
            return Err(FaultKind::Misdirected);
        }
        self.generation.set(policy.generation);
        Ok(())
    }

    #[cold]
    fn covers(&self, host: &[u8]) -> bool {
        // A message of HTTP/1.0 may name no host; it gets what the default route says.
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        let entry = self.certificates.entry(self.certificate);
        let covered = host.is_empty() || entry.is_some_and(|entry| entry.says.covers(&bare.to_ascii_lowercase()));
        if covered {
            *self.covered.borrow_mut() = host.into();
        }
        covered
    }
}

fn client(state: &CommonState) -> Option<Shown> {
    state.peer_certificates()?.first().map(|der| Client::read(der).map(Arc::new))
}
