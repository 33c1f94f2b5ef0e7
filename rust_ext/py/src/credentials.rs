//! Keys and passwords for `fastgate.primitives`: made here, as the engine reads them.

use fastgate_core::auth::api_key::{KeyKind, kind_of, make};
use fastgate_core::auth::password::{PasswordHash, Users};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The words for kinds of keys.
const KINDS: [(&str, KeyKind); 2] = [("api", KeyKind::Api), ("publish", KeyKind::Publish)];

/// An API key of 256 random bits; of kind `api` or `publish`.
#[pyfunction]
pub fn make_api_key(kind: &str, random: &[u8]) -> PyResult<String> {
    let random = random.try_into().map_err(|_| PyValueError::new_err("random: allowed: 32 bytes"))?;
    let found = KINDS.into_iter().find(|(word, _)| *word == kind);
    let (_, kind) = found.ok_or_else(|| PyValueError::new_err("kind: allowed: api, publish"))?;
    Ok(make(kind, random))
}

/// The kind of a key that fastgate made; `None` for any other text, and where a character was changed.
#[pyfunction]
pub fn api_key_kind(key: &str) -> Option<&'static str> {
    let found = kind_of(key.as_bytes())?;
    KINDS.into_iter().find_map(|(word, kind)| (kind == found).then_some(word))
}

/// The argon2id hash of a password under a salt of 16 random bytes, as a PHC string.
#[pyfunction]
pub fn hash_password(py: Python<'_>, password: &str, salt: &[u8]) -> PyResult<String> {
    let salt = salt.try_into().map_err(|_| PyValueError::new_err("salt: allowed: 16 bytes"))?;
    let hash = py.detach(|| PasswordHash::of(password.as_bytes(), salt));
    hash.map(|hash| hash.to_string()).ok_or_else(|| PyValueError::new_err("this password cannot be hashed"))
}

/// Checks a file of users; raises `ValueError` with the first wrong line.
#[pyfunction]
pub fn check_users(data: &[u8]) -> PyResult<usize> {
    Users::parse(data).map(|users| users.len()).map_err(PyValueError::new_err)
}
