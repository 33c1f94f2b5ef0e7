//! A key that signs tokens for development: what `fastgate token` mints with. The gateway itself never signs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use fastgate_core::auth::base64url;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// An ES256 key pair.
#[pyclass(frozen, module = "fastgate._engine")]
pub struct DevelopmentKey(EcdsaKeyPair);

fn text(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64url::encode_into(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}

#[pymethods]
impl DevelopmentKey {
    /// From PKCS #8 in DER; a new one without.
    #[new]
    #[pyo3(signature = (pkcs8 = None))]
    fn new(pkcs8: Option<&[u8]>) -> PyResult<Self> {
        match pkcs8 {
            Some(der) => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .map_err(|_| PyValueError::new_err("it is no private key on P-256")),
            None => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(|_| PyRuntimeError::new_err("a key cannot be made")),
        }
        .map(Self)
    }

    /// The private key as PKCS #8 in DER.
    fn pkcs8<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let der = self.0.to_pkcs8v1().map_err(|_| PyRuntimeError::new_err("the key cannot be written"))?;
        Ok(PyBytes::new(py, der.as_ref()))
    }

    /// The coordinates of the public key, as a JWK has them.
    fn coordinates(&self) -> (String, String) {
        let point = self.0.public_key().as_ref();
        (text(point.get(1..33).unwrap_or_default()), text(point.get(33..).unwrap_or_default()))
    }

    /// A compact JWS of a header and a payload (RFC 7515 §7.1).
    fn sign(&self, header: &[u8], payload: &[u8]) -> PyResult<String> {
        let signed = format!("{}.{}", text(header), text(payload));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| PyRuntimeError::new_err("the key cannot sign"))?;
        Ok(format!("{signed}.{}", text(signature.as_ref())))
    }
}
