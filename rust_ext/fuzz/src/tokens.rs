//! Targets `jws`, `jwks` and `base64url`: whatever the bytes, nothing panics, nothing is taken twice in two ways, and no
//! token is good that its key did not sign.

use fastgate_core::auth::{Algorithms, Demand, HeaderMemo, KeySet, MAX_TOKEN, Token, base64url, verify};
use serde_json::Value;

const SECRET: &[u8; 32] = b"a key for the fuzz targets alone";

/// An Ed25519 key of RFC 8037 §A.2, and a P-256 key of RFC 7515 §A.3.
const KEYS: &str = r#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// Tokens and JWS of every form, against keys that are known. The corpus has tokens that verify.
pub fn jws(bytes: &[u8]) {
    let keys = [KeySet::secret(SECRET, 1).expect("a key"), KeySet::parse(KEYS.as_bytes(), 2, true).expect("keys")];
    for keys in &keys {
        let demand = Demand { algorithms: Algorithms::ALL, detached: None, every: false, max_bytes: MAX_TOKEN };
        let taken = verify(bytes, keys, &demand);
        let again = verify(bytes, keys, &demand);
        assert_eq!(taken, again, "one text, one verdict");
        if let Ok(verified) = &taken {
            assert!(!verified.signatures.is_empty() && verified.payload.is_some());
            for signed in &verified.signatures {
                assert!(keys.algorithms().contains(signed.algorithm), "the algorithm is the key's");
            }
            let none = Demand { algorithms: Algorithms::default(), ..demand };
            assert!(verify(bytes, keys, &none).is_err());
            let every = verify(bytes, keys, &Demand { every: true, ..demand });
            assert!(every.is_err() || every == taken);
        }
        let mut memo = HeaderMemo::default();
        let opened = Token::open(bytes, keys, Algorithms::ALL, &mut memo);
        assert_eq!(
            opened,
            Token::open(bytes, keys, Algorithms::ALL, &mut memo),
            "a header that is remembered says the same"
        );
        if let Ok(token) = opened {
            let payload = taken.expect("a token is a JWS").payload.expect("with a payload");
            let read: Value = serde_json::from_slice(&payload).expect("another reader takes the claims");
            assert_eq!(read.as_object().expect("an object").len(), token.claims.len());
        }
    }
}

/// Key sets, as an identity provider or a file may serve them.
pub fn jwks(bytes: &[u8]) {
    let private = KeySet::parse(bytes, 1, true);
    let published = KeySet::parse(bytes, 1, false);
    match (&private, &published) {
        (Ok(private), Ok(published)) => {
            assert!(published.len() <= private.len());
            assert!(!published.algorithms().is_empty() && private.len() <= 64);
        }
        (Err(why), Ok(_)) => panic!("taken from anybody, but not from us: {why}"),
        (_, Err(why)) => assert!(!why.is_empty()),
    }
    if let Ok(set) = private {
        let hs = Algorithms::named(["HS256", "HS384", "HS512"]).expect("names");
        let public = published.map(|set| set.algorithms()).unwrap_or_default();
        assert!(public.and(hs).is_empty(), "a published set has no secrets");
        let token = b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
        assert!(Token::open(token, &set, Algorithms::ALL, &mut HeaderMemo::default()).is_err());
    }
}

/// Base64url against a reader of one bit after the other.
pub fn base64url(bytes: &[u8]) {
    let decoded = base64url::decode(bytes);
    assert_eq!(decoded, slow(bytes));
    if let Some(decoded) = decoded {
        let mut text = Vec::new();
        base64url::encode_into(&decoded, &mut text);
        assert_eq!(text, bytes, "one text for the same bytes");
    }
    let mut text = Vec::new();
    base64url::encode_into(bytes, &mut text);
    assert_eq!(base64url::decode(&text).as_deref(), Some(bytes));
}

fn slow(text: &[u8]) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let (bytes, rest) = bits.as_chunks::<8>();
    if rest.len() >= 6 || rest.contains(&1) {
        return None;
    }
    Some(bytes.iter().map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect())
}
