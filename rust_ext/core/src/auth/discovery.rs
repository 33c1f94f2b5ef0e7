//! An issuer's metadata: where its keys are (OpenID Connect Discovery 1.0 §3, §4; RFC 8414 §3.3).

use serde::Deserialize;

use crate::fetch::Url;

/// Where the metadata of an issuer is.
///
/// # Errors
/// A sentence that says what is wrong with the issuer.
pub fn metadata_url(issuer: &str) -> Result<Url, &'static str> {
    if issuer.contains('?') {
        return Err("an issuer has no query");
    }
    let url = Url::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
    if url.is_secure() { Ok(url) } else { Err("it begins with https://; only this machine is asked without") }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// The URL of the key set, out of the metadata of `issuer`.
///
/// # Errors
/// A sentence that says what is wrong with the metadata.
pub fn jwks_url(metadata: &[u8], issuer: &str) -> Result<Url, String> {
    let metadata: Metadata = serde_json::from_slice(metadata)
        .map_err(|_| "it is no metadata of an issuer: issuer and jwks_uri are needed")?;
    // The comparison is exact (§4.3): somebody else's metadata would bring somebody else's keys.
    if metadata.issuer != issuer {
        return Err("its issuer is not the one that was asked for".to_owned());
    }
    let url = Url::parse(&metadata.jwks_uri).map_err(|why| format!("its jwks_uri is no URL that is asked: {why}"))?;
    if url.is_secure() { Ok(url) } else { Err("its jwks_uri does not begin with https://".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_lies_below_the_issuer() {
        let of = |issuer| metadata_url(issuer).map(|url| url.to_string());
        let id = "https://id.example.org/.well-known/openid-configuration";
        assert_eq!(of("https://id.example.org").as_deref(), Ok(id));
        assert_eq!(of("https://id.example.org/").as_deref(), Ok(id));
        let realm = "https://id.example.org/realms/a/.well-known/openid-configuration";
        assert_eq!(of("https://id.example.org/realms/a").as_deref(), Ok(realm));
        assert!(of("http://localhost:8080").is_ok());
        for bad in ["http://id.example.org", "id.example.org", "https://id.example.org/?x", "https://u@h", "urn:x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_document_of_somebody_else_is_refused() {
        let of = |text: &str| jwks_url(text.as_bytes(), "https://a.example/").map(|url| url.to_string());
        let good = r#"{"issuer":"https://a.example/","jwks_uri":"https://keys.example/k","more":[1]}"#;
        assert_eq!(of(good).as_deref(), Ok("https://keys.example/k"));
        for bad in [
            r#"{"issuer":"https://a.example","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://evil.example/","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://a.example/","jwks_uri":"http://keys.example/k"}"#,
            r#"{"issuer":"https://a.example/","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://a.example/","issuer":"https://a.example/","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://a.example/"}"#,
            r#"{"jwks_uri":"https://keys.example/k"}"#,
            "[]",
            "",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
