//! TLS as a client: whom the gateway trusts and who it says it is. Used towards targets, Redis and those it asks.

use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where systems keep the CAs they trust; the first that is there counts.
const SYSTEM_CAS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is said about it in a config; paths of PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The CAs to trust; `None`: the system's.
    pub(crate) ca: Option<String>,
    /// A certificate chain of our own, and its key.
    pub(crate) identity: Option<(String, String)>,
    /// `false`: whatever is shown is accepted.
    pub(crate) verify: bool,
    /// HTTP is spoken, and said to be (ALPN, RFC 7301).
    pub(crate) http: bool,
}

impl Terms {
    /// Those of a CA file, or of none.
    pub(crate) fn of_ca(ca: Option<&str>, http: bool) -> Self {
        Self { ca: ca.map(str::to_owned), identity: None, verify: true, http }
    }
}

/// Terms with their files read. Connections under the same one share sessions to resume.
pub(crate) struct Trust {
    pub(crate) config: Arc<ClientConfig>,
    terms: Terms,
    /// The bytes of the files.
    files: Vec<Vec<u8>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        (&self.terms, &self.files) == (&other.terms, &other.files)
    }
}

/// Why terms were refused.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The key that is wrong: `ca`, `cert` or `key`.
    pub(crate) key: &'static str,
    pub(crate) message: String,
    /// Its file is not there.
    missing: bool,
}

impl Wrong {
    fn new(key: &'static str, message: String) -> Self {
        Self { key, message, missing: false }
    }
}

impl From<Wrong> for (&'static str, String) {
    fn from(wrong: Wrong) -> Self {
        (wrong.key, wrong.message)
    }
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// `ca`, `cert` or `key`, and what is wrong with its file.
    pub(crate) fn new(terms: &Terms) -> Result<Self, Wrong> {
        let mut files = Vec::new();
        let ca = terms.verify.then(|| ca_path(terms.ca.as_deref())).transpose()?;
        let paths = ca.iter().map(|ca| ("ca", ca));
        let paths = paths.chain(terms.identity.iter().flat_map(|(cert, key)| [("cert", cert), ("key", key)]));
        for (name, path) in paths {
            let read = fs::read(path).map_err(|error| Wrong {
                key: name,
                message: format!("{path} cannot be read: {error}"),
                missing: error.kind() == std::io::ErrorKind::NotFound,
            });
            files.push(read?);
        }
        Self::compile(terms, files, ca.as_deref())
    }

    fn compile(terms: &Terms, files: Vec<Vec<u8>>, ca: Option<&str>) -> Result<Self, Wrong> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Wrong::new("ca", error.to_string()))?;
        let mut read = files.iter();
        let builder = match (ca, terms.verify) {
            (Some(path), true) => {
                let file = read.next().map(Vec::as_slice).unwrap_or_default();
                builder
                    .with_root_certificates(roots(path, file, terms.ca.is_some()).map_err(|why| Wrong::new("ca", why))?)
            }
            _ => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything(provider))),
        };
        let mut config = match (&terms.identity, read.next(), read.next()) {
            (Some((cert, key)), Some(chain), Some(secret)) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
                let chain = chain.map_err(|error| Wrong::new("cert", format!("{cert} is no PEM file: {error}")))?;
                if chain.is_empty() {
                    return Err(Wrong::new("cert", format!("{cert} holds no certificate")));
                }
                let secret = PrivateKeyDer::from_pem_slice(secret)
                    .map_err(|_| Wrong::new("key", format!("{key} holds no private key in PEM")))?;
                let built = builder.with_client_auth_cert(chain, secret);
                built.map_err(|error| Wrong::new("key", format!("{key} is not the key of {cert}: {error}")))?
            }
            _ => builder.with_no_client_auth(),
        };
        if terms.http {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Ok(Self { config: Arc::new(config), terms: terms.clone(), files })
    }
}

fn ca_path(ca: Option<&str>) -> Result<String, Wrong> {
    if let Some(path) = ca {
        return Ok(path.to_owned());
    }
    if let Ok(path) = std::env::var("SSL_CERT_FILE") {
        return Ok(path);
    }
    let known = SYSTEM_CAS.iter().find(|path| fs::metadata(path).is_ok());
    known.map(|path| (*path).to_owned()).ok_or_else(|| Wrong {
        key: "ca",
        message: "this system has no file of CAs that is known; name one".to_owned(),
        missing: true,
    })
}

fn roots(path: &str, file: &[u8], written: bool) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(file) {
        let certificate = certificate.map_err(|error| format!("{path} is no PEM file: {error}"))?;
        // A system's file may hold certificates that are none by today's rules; a file that somebody wrote may not.
        if let (Err(error), true) = (roots.add(certificate), written) {
            return Err(format!("{path} holds a certificate that is none: {error}"));
        }
    }
    if roots.is_empty() { Err(format!("{path} holds no certificate")) } else { Ok(roots) }
}

/// `verify: false`: the peer has the key of the certificate it shows, whosever that is.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Every trust in use, so that the same terms with the same files stay the same one over reloads.
#[derive(Debug, Default)]
pub(crate) struct Trusts {
    known: Mutex<Vec<Weak<Trust>>>,
    lenient: bool,
}

impl Trusts {
    /// For judging a config alone: files that are not there are no faults, and nobody is asked.
    pub(crate) fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    /// The trust of these terms.
    ///
    /// # Errors
    /// As [`Trust::new`].
    pub(crate) fn get(&self, terms: &Terms) -> Result<Arc<Trust>, Wrong> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|trust| trust.strong_count() > 0);
        let nobody = Terms { ca: None, identity: None, verify: false, http: terms.http };
        let new = match Trust::new(terms) {
            Err(Wrong { missing: true, .. }) if self.lenient => Trust::new(&nobody)?,
            new => new?,
        };
        if let Some(same) = known.iter().filter_map(Weak::upgrade).find(|trust| **trust == new) {
            return Ok(same);
        }
        let new = Arc::new(new);
        known.push(Arc::downgrade(&new));
        Ok(new)
    }
}
