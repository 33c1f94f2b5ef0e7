//! Certificates for development: an authority of one's own, and what it signs.

use std::time::{SystemTime, UNIX_EPOCH};

use fastgate_core::calendar::civil;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// Days that an authority is valid; platforms refuse certificates of servers beyond 825.
const CA_DAYS: u64 = 3650;

fn refused(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// What every certificate of one key pair has in common, from a day ago for so many days.
fn params(names: Vec<SanType>, common_name: &str, days: u64) -> CertificateParams {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) / 86_400;
    let date = |day: u64| {
        let (year, month, day) = civil(day);
        let small = |n: u64| u8::try_from(n).unwrap_or(1);
        date_time_ymd(i32::try_from(year).unwrap_or(2000), small(month), small(day))
    };
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(today.saturating_sub(1));
    params.not_after = date(today + days);
    params
}

/// The authority of a key: the same key is always the same authority.
fn authority(key: &KeyPair) -> CertificateParams {
    let id = CertificateParams::default().key_identifier(key);
    let short: String = id.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut params = params(Vec::new(), &format!("fastgate development CA {short}"), CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A new authority for development: its certificate and its key, both PEM.
#[pyfunction]
pub fn dev_authority() -> PyResult<(String, String)> {
    let key = KeyPair::generate().map_err(refused)?;
    let certificate = authority(&key).self_signed(&key).map_err(refused)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A certificate for `names` (DNS names, wildcards, IP addresses, URIs, mail addresses), signed by the authority with
/// `ca_key` and valid for `days`: it and its key, both PEM. `client`: for clients, not for servers.
///
/// Raises `ValueError` for a key that cannot be read and for a name that is none.
#[pyfunction]
pub fn dev_certificate(ca_key: &str, names: Vec<String>, days: u64, client: bool) -> PyResult<(String, String)> {
    let ca_key = KeyPair::from_pem(ca_key).map_err(refused)?;
    let first = names.first().cloned().unwrap_or_default();
    let mut sans = Vec::with_capacity(names.len());
    for name in names {
        sans.push(match () {
            () if name.contains("://") => SanType::URI(name.try_into().map_err(refused)?),
            () if name.contains('@') => SanType::Rfc822Name(name.try_into().map_err(refused)?),
            () => match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(name.try_into().map_err(refused)?),
            },
        });
    }
    let mut params = params(sans, &first, days);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let usage = if client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().map_err(refused)?;
    let issuer = Issuer::new(authority(&ca_key), ca_key);
    let certificate = params.signed_by(&key, &issuer).map_err(refused)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
