//! Keys: what is parsed, what is refused, and why.

use super::*;

fn parse(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text.as_bytes(), 1, true)
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn a_key_is_for_the_algorithms_that_fit_it() {
    let of = |text: &str| {
        let set = parse(text).unwrap();
        Algorithm::ALL.into_iter().filter(|of| set.algorithms().contains(*of)).map(Algorithm::name).collect::<Vec<_>>()
    };
    let secret = |bytes: usize| b64(vec![7; bytes]);
    assert_eq!(of(&format!(r#"{{"kty":"oct","k":"{}"}}"#, secret(32))), ["HS256"]);
    assert_eq!(of(&format!(r#"{{"kty":"oct","k":"{}"}}"#, secret(48))), ["HS256", "HS384"]);
    assert_eq!(of(&format!(r#"{{"kty":"oct","k":"{}"}}"#, secret(64))), ["HS256", "HS384", "HS512"]);
    assert_eq!(of(&format!(r#"{{"kty":"oct","alg":"HS384","k":"{}"}}"#, secret(64))), ["HS384"]);
    assert_eq!(of(&es256().1), ["ES256"]);
    assert_eq!(of(&ed25519().1), ["EdDSA"]);
}

#[test]
fn keys_that_cannot_verify_are_refused_with_a_reason() {
    let ec = es256().1;
    let with = |more: &str| ec.replacen('{', &format!("{{{more},"), 1);
    let oct = |bytes: usize, more: &str| format!(r#"{{"kty":"oct"{more},"k":"{}"}}"#, b64(vec![7; bytes]));
    for (text, why) in [
        (with(r#""use":"enc""#), "use is not sig"),
        (with(r#""key_ops":["encrypt"]"#), "key_ops have no verify"),
        (with(r#""key_ops":"verify""#), "key_ops is no list"),
        (with(r#""alg":"ES384""#), "does not fit"),
        (with(r#""alg":"RS256""#), "does not fit"),
        (with(r#""alg":"HS256""#), "does not fit"),
        (with(r#""alg":"none""#), "not known"),
        (with(r#""kid":7"#), "kid is no text"),
        (ec.replace("P-256", "P-384"), "has 32 bytes"),
        (ec.replace("P-256", "secp256k1"), "crv \"secp256k1\" is not known"),
        (r#"{"kty":"OKP","crv":"Ed448","x":"AA"}"#.to_owned(), "crv \"Ed448\" is not known"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned(), "x has 1 bytes"),
        (oct(31, ""), "248 bits"),
        (oct(0, ""), "0 bits"),
        (oct(32, r#","alg":"HS512""#), "too short for HS512"),
        (oct(5000, ""), "at most 4096"),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(), "17 bits"),
        (format!(r#"{{"kty":"RSA","n":"{}","e":"AQ"}}"#, b64([0xff; 256])), "no RSA key"),
        (format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, b64([0xfe; 256])), "no RSA key"),
        (format!(r#"{{"kty":"RSA","n":"AA{}","e":"AQAB"}}"#, b64([0xff; 256])), "begins with a zero"),
        (format!(r#"{{"kty":"RSA","n":"{}=","e":"AQAB"}}"#, b64([0xff; 257])), "not base64url"),
        (r#"{"kty":"RSA","n":"AQAB"}"#.to_owned(), "e is missing"),
        (r#"{"kty":"X"}"#.to_owned(), "kty \"X\" is not known"),
        ("{}".to_owned(), "kty is missing"),
        (r#"{"keys":[]}"#.to_owned(), "it is empty"),
        (r#"{"keys":{}}"#.to_owned(), "keys is no list"),
        (r#"{"keys":[],"keys":[]}"#.to_owned(), "stands twice"),
        (r#"{"keys":[7,{"kty":"X"}]}"#.to_owned(), "key 1: its kty"),
        ("secret".to_owned(), "neither a PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned(), "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned(), "none of RSA"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(), "PEM block CERTIFICATE"),
    ] {
        let told = refused(&text);
        assert!(told.contains(why), "{text}\n{told}");
    }
    // A point that is not on the curve.
    let off = format!(r#"{{"kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}}"#, b64([7; 32]));
    assert!(refused(&off).contains("no point on P-256"));
}

#[test]
fn a_set_leaves_out_what_it_cannot_use() {
    let ec = es256().1;
    let set = parse(&format!(r#"{{"keys":[{{"kty":"X"}},{ec}]}}"#)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
    let secret = format!(r#"{{"kty":"oct","k":"{}"}}"#, b64(SECRET));
    let published = KeySet::parse(format!(r#"{{"keys":[{secret},{ec}]}}"#).as_bytes(), 1, false).unwrap();
    assert!(!published.algorithms().contains(Algorithm::Hs256), "a secret in a published set is none");
    assert!(KeySet::parse(secret.as_bytes(), 1, false).is_err());
    let many = format!(r#"{{"keys":[{}]}}"#, vec![ec.as_str(); 65].join(","));
    assert!(refused(&many).contains("at most 64"));
    assert!(refused(&" ".repeat(MAX_SET + 1)).contains("at most 256 KiB"));
    assert!(KeySet::secret(b"short", 1).is_err());
    assert_eq!(KeySet::merged([parse(&ec).unwrap(), secret_set()], 1).unwrap().len(), 2);
}
