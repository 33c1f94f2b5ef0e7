//! TLS of a listener and of a service.

use serde::{Deserialize, Serialize};

/// TLS of a listener. Files are read when the snapshot is compiled, and again when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// At least one; the first is served where no server name fits.
    pub certificates: Vec<Certificate>,
    /// Clients are asked for a certificate.
    pub client_auth: Option<ClientAuth>,
    /// The oldest version.
    pub min_version: TlsVersion,
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// A PEM file.
    pub cert: String,
    /// A PEM file.
    pub key: String,
}

/// Client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// A PEM file of the authorities that sign them.
    pub ca: String,
    /// A PEM file of revocation lists.
    pub crl: Option<String>,
    /// Whether a client must show one.
    pub mode: ClientAuthMode,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMode {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// TLS towards the targets of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTls {
    /// A PEM file of the CAs to trust instead of the system's.
    pub ca: Option<String>,
    /// A PEM file of the client's certificate chain.
    pub cert: Option<String>,
    /// A PEM file of its key.
    pub key: Option<String>,
    /// The name that the target's certificate must have; `None`: that of its URL.
    pub server_name: Option<String>,
    /// `false`: anything is accepted.
    pub verify: bool,
}

impl Default for ServiceTls {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, server_name: None, verify: true }
    }
}
