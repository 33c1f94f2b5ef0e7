//! What a token costs: the library's own verification with a parsed key, the same through `Token::open`, and a known token.
//!
//! `token_cost [ROUNDS]` prints nanoseconds a token of some 800 bytes; the best of several turns, which take turns.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use fastgate_core::auth::{Algorithms, Bounds, HeaderMemo, KeySet, Rules, Token, TokenCache, base64url};

const TURNS: usize = 7;
const NOW_MS: i64 = 1_800_000_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    let mut out = Vec::new();
    base64url::encode_into(bytes.as_ref(), &mut out);
    out.into_iter().map(char::from).collect()
}

fn text(algorithm: &str, size: usize, jti: usize) -> String {
    let header = b64(format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"2027-01"}}"#));
    let claims = format!(
        r#"{{"iss":"https://id.example.com/","aud":["projects","account"],"sub":"f3b1c9d2-77aa-4c1e-9d34-0a1b2c3d4e5f","exp":1800000600,"iat":1800000000,"jti":"{jti:08}","scope":"openid profile email","realm_access":{{"roles":["editor","viewer"]}},"email":"somebody@example.com","pad":""}}"#
    );
    let missing = size.saturating_sub(header.len() + 1 + claims.len().div_ceil(3) * 4) / 4 * 3;
    let claims = claims.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(missing)));
    format!("{header}.{}", b64(claims))
}

fn best(rounds: usize, mut run: impl FnMut(usize)) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..TURNS {
        let start = Instant::now();
        (0..rounds).for_each(&mut run);
        least = least.min(start.elapsed().as_nanos() as f64 / rounds as f64);
    }
    least
}

fn report(name: &str, keys: &KeySet, bare: &ParsedPublicKey, tokens: &[String], rounds: usize) {
    let parts: Vec<(&[u8], Vec<u8>)> = tokens
        .iter()
        .map(|token| {
            let (signed, signature) = token.rsplit_once('.').expect("three segments");
            (signed.as_bytes(), base64url::decode(signature.as_bytes()).expect("base64url"))
        })
        .collect();
    let mut memo = HeaderMemo::default();
    let library = best(rounds, |i| {
        let (signed, signature) = &parts[i % parts.len()];
        assert!(bare.verify_sig(black_box(signed), signature).is_ok());
    });
    let whole = best(rounds, |i| {
        let token = black_box(&tokens[i % tokens.len()]).as_bytes();
        black_box(Token::open(token, keys, Algorithms::ALL, &mut memo).expect("good"));
    });
    println!(
        "{name}: {} bytes, library {library:.0} ns, first sight {whole:.0} ns, {:.3}x, rest {:.0} ns",
        tokens[0].len(),
        whole / library,
        whole - library
    );
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let point = ec.public_key().as_ref();
    let jwk = format!(
        r#"{{"kty":"EC","crv":"P-256","kid":"2027-01","x":"{}","y":"{}"}}"#,
        b64(&point[1..33]),
        b64(&point[33..])
    );
    let ec_keys = KeySet::parse(jwk.as_bytes(), 1, true).expect("keys");
    let der = rsa.public_key().as_ref();
    let mut pem = String::from_utf8(b64(der).into_bytes()).expect("text").replace('-', "+").replace('_', "/");
    while !pem.len().is_multiple_of(4) {
        pem.push('=');
    }
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{pem}\n-----END RSA PUBLIC KEY-----");
    let rsa_keys = KeySet::parse(pem.as_bytes(), 2, true).expect("keys");

    let sign_rsa = |signed: String| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("signed");
        format!("{signed}.{}", b64(signature))
    };
    let tokens: Vec<String> = (0..64).map(|i| sign_rsa(text("RS256", 450, i))).collect();
    let bare = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).expect("a key");
    report("RS256", &rsa_keys, &bare, &tokens, rounds);

    let sign_ec = |signed: String| {
        let signature = ec.sign(&random, signed.as_bytes()).expect("signed");
        format!("{signed}.{}", b64(signature))
    };
    let tokens: Vec<String> = (0..64).map(|i| sign_ec(text("ES256", 710, i))).collect();
    let bare = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).expect("a key");
    report("ES256", &ec_keys, &bare, &tokens, rounds);

    // Ten thousand known tokens, used evenly. They differ from each other but are of one signature, put in unverified.
    let opened =
        Token::open(tokens[0].as_bytes(), &ec_keys, Algorithms::ALL, &mut HeaderMemo::default()).expect("good");
    let rules = Rules {
        issuer: Some("https://id.example.com/".into()),
        audience: Some(["projects".into()].into()),
        algorithms: Algorithms::ALL,
        types: Box::default(),
        skew_ms: 30_000,
        max_age_ms: None,
        required: Box::default(),
    };
    let mut cache: TokenCache<()> = TokenCache::new([7, 11, 13, 17], Bounds::default());
    let known: Vec<String> = (0..10_000).map(|i| format!("{}.{}", text("ES256", 710, i), "A".repeat(86))).collect();
    for token in &known {
        cache.put(1, token.as_bytes(), opened.clone());
    }
    for (name, tokens) in [("one", &known[..1]), ("10,000", &known[..])] {
        let mut at = 0;
        let cost = best(rounds * 20, |_| {
            at = (at + 7_919) % tokens.len();
            let place = cache.find(1, black_box(tokens[at].as_bytes())).expect("known");
            black_box(rules.judge(cache.token(place).expect("there"), NOW_MS).is_ok());
        });
        println!("known, {name} of them: {cost:.0} ns");
    }
}
