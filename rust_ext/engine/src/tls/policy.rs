//! One generation of a listener's TLS: what was in its files when they were read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use fastgate_core::snapshot::policies::{self, ClientAuthMode, ListenerTls, TlsVersion};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certificates::{Certificates, Entry, chain};
use crate::clock;

/// Generations of all listeners, so that no two have the same number.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// What a file holds, by its path: or why that is not known, and whether it is because there is no such file.
pub(super) type Content<'a> = &'a dyn Fn(&str) -> Result<&'a [u8], (String, bool)>;

/// Tickets that a client gets for later connections (RFC 8446 §4.6.1).
const TICKETS: usize = 2;

/// One generation.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Which one; of one listener no two are the same.
    pub(crate) generation: u64,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificates: Arc<Certificates>,
    /// Who judges client certificates, where they are asked for.
    pub(crate) clients: Option<Clients>,
    /// What is odd about it, for the log.
    pub(crate) oddities: Vec<String>,
}

/// How client certificates are judged.
#[derive(Debug)]
pub(crate) struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    required: bool,
}

/// What is wrong with the settings or their files.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The setting, with dots, below that of the listener's TLS.
    pub(crate) at: String,
    pub(crate) message: String,
    /// The file is not there.
    pub(crate) missing: bool,
}

/// The cryptography of every connection.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

/// Keys for tickets that no other policy has; they change every six hours and are valid for twelve.
pub(super) fn new_ticketer() -> Option<Arc<dyn ProducesTickets>> {
    aws_lc_rs::Ticketer::new().ok()
}

impl Policy {
    /// Out of the files that the settings name. Without a ticketer nothing is resumed.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn parse(
        of: &ListenerTls,
        ticketer: Option<&Arc<dyn ProducesTickets>>,
        content: Content<'_>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let fault = |at: String, message: String, missing: bool| Fault { at, message, missing };
        let mut entries = Vec::new();
        let mut oddities = Vec::new();
        for (i, certificate) in of.certificates.iter().enumerate() {
            match Entry::parse(certificate, content, &provider()) {
                Ok(entry) => {
                    oddities.extend(entry.oddities(&certificate.cert, now()));
                    entries.push(entry);
                }
                Err((key, message, missing)) => {
                    faults.push(fault(format!("certificates.{i}.{key}"), message, missing));
                }
            }
        }
        if of.certificates.is_empty() {
            faults.push(fault("certificates".to_owned(), "at least one is needed".to_owned(), false));
        }
        let clients = of.client_auth.as_ref().map(|of| Clients::parse(of, content, &mut oddities)).transpose();
        let clients = clients.unwrap_or_else(|found| {
            faults.extend(
                found.into_iter().map(|(key, message, missing)| fault(format!("client_auth.{key}"), message, missing)),
            );
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let certificates = Arc::new(Certificates::new(entries));
        let config = config(of, &certificates, clients.as_ref(), ticketer)
            .map_err(|error| vec![fault("certificates".to_owned(), error.to_string(), false)])?;
        let generation = GENERATIONS.fetch_add(1, Relaxed);
        Ok(Self { generation, config: Arc::new(config), certificates, clients, oddities })
    }
}

fn config(
    of: &ListenerTls,
    certificates: &Arc<Certificates>,
    clients: Option<&Clients>,
    ticketer: Option<&Arc<dyn ProducesTickets>>,
) -> Result<ServerConfig, rustls::Error> {
    const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let versions = match of.min_version {
        TlsVersion::Tls12 => BOTH,
        TlsVersion::Tls13 => &BOTH[..1],
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier.clone()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The library resumes without asking the verifier: who is judged by a certificate is judged each time.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let (None, Some(ticketer)) = (clients, ticketer) {
        config.ticketer = ticketer.clone();
        config.send_tls13_tickets = TICKETS;
    }
    Ok(config)
}

/// What is wrong with the settings of client certificates: the key, the reason, whether a file is missing.
type ClientFault = (&'static str, String, bool);

impl Clients {
    fn parse(
        of: &policies::ClientAuth,
        content: Content<'_>,
        oddities: &mut Vec<String>,
    ) -> Result<Self, Vec<ClientFault>> {
        let ca = content(&of.ca).map_err(|(message, missing)| ("ca", message, missing));
        let crl = of.crl.as_ref().map(|path| {
            let bytes = content(path).map_err(|(message, missing)| ("crl", message, missing))?;
            revocations(bytes, path).map_err(|message| ("crl", message, false))
        });
        let roots = ca.and_then(|bytes| roots(bytes, &of.ca, oddities).map_err(|message| ("ca", message, false)));
        let (roots, lists) = match (roots, crl.transpose()) {
            (Ok(roots), Ok(lists)) => (roots, lists),
            (Err(ca), Err(crl)) => return Err(vec![ca, crl]),
            (Err(one), _) | (_, Err(one)) => return Err(vec![one]),
        };
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if let Some(lists) = lists {
            // Every authority of a chain needs a list that is still good: what cannot be known is refused.
            builder = builder.with_crls(lists).enforce_revocation_expiration();
        }
        if of.mode == ClientAuthMode::Optional {
            builder = builder.allow_unauthenticated();
        }
        let crl = of.crl.as_deref().unwrap_or_default();
        let verifier = builder.build().map_err(|error| match error {
            rustls::server::VerifierBuilderError::InvalidCrl(error) => {
                vec![("crl", format!("{crl} is no revocation list that can be used: {error:?}"), false)]
            }
            error => vec![("ca", format!("{} cannot be used: {error}", of.ca), false)],
        })?;
        Ok(Self { verifier, required: of.mode == ClientAuthMode::Required })
    }

    /// Judges a chain that was shown before; whether its connection may go on.
    pub(super) fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> bool {
        match chain {
            Some([first, rest @ ..]) => self.verifier.verify_client_cert(first, rest, UnixTime::now()).is_ok(),
            _ => !self.required,
        }
    }
}

fn roots(bytes: &[u8], path: &str, oddities: &mut Vec<String>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(bytes, path)? {
        if let Ok(says) = fastgate_core::certificate::Certificate::read(&certificate)
            && says.not_after < now()
        {
            oddities.push(format!("an authority in {path} has expired: {}", says.subject));
        }
        roots.add(certificate).map_err(|error| format!("{path} holds an authority that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("{path} holds no certificate (PEM, BEGIN CERTIFICATE)"));
    }
    Ok(roots)
}

fn revocations(bytes: &[u8], path: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    match lists {
        Ok(lists) if lists.is_empty() => Err(format!("{path} holds no revocation list (PEM, BEGIN X509 CRL)")),
        Ok(lists) => Ok(lists),
        Err(error) => Err(format!("{path} is not PEM: {error}")),
    }
}

fn now() -> i64 {
    i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX)
}
