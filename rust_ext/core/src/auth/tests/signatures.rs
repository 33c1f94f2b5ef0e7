//! J1 to J5 and J7: what a signature must be, and what a header may say.

use super::*;

const H: &str = r#"{"alg":"HS256"}"#;
const P: &str = r#"{"exp":1}"#;

#[test]
fn j1_none_is_no_algorithm() {
    let keys = secret_set();
    for alg in ["none", "None", "NONE", "nOnE", "hs256", "HS256 ", ""] {
        let unsigned = format!("{}.{}.", b64(format!(r#"{{"alg":"{alg}"}}"#)), b64(P));
        assert_eq!(name(open(&unsigned, &keys)), "algorithm_unknown", "{alg}");
        assert_eq!(name(open(&hs256(&format!(r#"{{"alg":"{alg}"}}"#), P), &keys)), "algorithm_unknown", "{alg}");
    }
    let token = hs256(H, P);
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(name(open(&format!("{signed}."), &keys)), "signature");
    for header in [r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":256}"#, "{}"] {
        assert_eq!(name(open(&hs256(header, P), &keys)), "header_member", "{header}");
    }
}

#[test]
fn j2_the_algorithm_comes_from_the_key() {
    let (pair, jwk) = es256();
    let set = KeySet::parse(jwk.as_bytes(), 1, true).unwrap();
    assert_eq!(name(open(&sign_es256(&pair, r#"{"alg":"ES256"}"#, P), &set)), "taken");
    let point = pair.public_key().as_ref();
    for secret in [jwk.as_bytes(), point, &point[1..]] {
        for alg in ["HS256", "HS384", "HS512"] {
            let token = hs256_by(secret, &format!(r#"{{"alg":"{alg}"}}"#), P);
            assert_eq!(name(open(&token, &set)), "key_algorithm", "{alg}");
        }
    }
    for alg in ["RS256", "PS256", "ES384", "EdDSA"] {
        let token = sign_es256(&pair, &format!(r#"{{"alg":"{alg}"}}"#), P);
        assert_eq!(name(open(&token, &set)), "key_algorithm", "{alg}");
    }
    let (pair, jwk) = ed25519();
    let set = KeySet::parse(jwk.as_bytes(), 1, true).unwrap();
    for alg in ["EdDSA", "Ed25519"] {
        assert_eq!(name(open(&sign_ed25519(&pair, &format!(r#"{{"alg":"{alg}"}}"#), P), &set)), "taken");
    }
    let wanted = Algorithms::named(["ES256"]).unwrap();
    let token = hs256(H, P);
    let opened = Token::open(token.as_bytes(), &secret_set(), wanted, &mut HeaderMemo::default());
    assert_eq!(name(opened), "algorithm_unwanted");
}

#[test]
fn j3_a_kid_is_only_ever_compared() {
    let (pair, jwk) = es256();
    let with = |kid: &str| jwk.replacen('{', &format!(r#"{{"kid":"{kid}","#), 1);
    let (other, _) = es256();
    let (_, third) = es256();
    let third = third.replacen('{', r#"{"kid":"c","#, 1);
    let keys = format!(r#"{{"keys":[{},{},{third}]}}"#, with("a"), with("b"));
    let set = KeySet::parse(keys.as_bytes(), 1, true).unwrap();
    let token = |kid: &str| sign_es256(&pair, &format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), P);
    assert_eq!(name(open(&token("a"), &set)), "taken");
    assert_eq!(name(open(&token("c"), &set)), "signature");
    for kid in ["../../dev/null", "a' OR '1'='1", "A", "a ", "", "a\\u0000"] {
        assert_eq!(name(open(&token(kid), &set)), "key_unknown", "{kid}");
    }
    assert_eq!(name(open(&token(&"k".repeat(8000)), &set)), "header");
    assert_eq!(name(open(&token(&"k".repeat(1 << 20)), &set)), "too_long");
    assert_eq!(name(open(&sign_es256(&pair, r#"{"alg":"ES256"}"#, P), &set)), "key_ambiguous");
    assert_eq!(name(open(&sign_es256(&pair, r#"{"alg":"ES256","kid":"a","kid":"a"}"#, P), &set)), "header");
    assert_eq!(name(open(&sign_es256(&pair, r#"{"alg":"ES256","kid":7}"#, P), &set)), "header_member");
    // The same kid twice: neither is taken.
    let twice = format!(r#"{{"keys":[{},{}]}}"#, with("a"), with("a"));
    assert_eq!(name(open(&token("a"), &KeySet::parse(twice.as_bytes(), 1, true).unwrap())), "key_ambiguous");
    // A secret beside a public key: each is for its own algorithm only.
    let secret = format!(r#"{{"kty":"oct","kid":"s","k":"{}"}}"#, b64(SECRET));
    let mixed = KeySet::parse(format!(r#"{{"keys":[{},{secret}]}}"#, with("a")).as_bytes(), 1, true).unwrap();
    assert_eq!(name(open(&hs256(r#"{"alg":"HS256","kid":"a"}"#, P), &mixed)), "key_algorithm");
    assert_eq!(name(open(&hs256(r#"{"alg":"HS256","kid":"s"}"#, P), &mixed)), "taken");
    assert_eq!(name(open(&sign_es256(&other, r#"{"alg":"ES256","kid":"s"}"#, P), &mixed)), "key_algorithm");
}

#[test]
fn j4_keys_of_a_header_are_not_looked_at() {
    let (attacker, jwk) = es256();
    let (pair, own) = es256();
    let set = KeySet::parse(own.as_bytes(), 1, true).unwrap();
    for more in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"http://127.0.0.1:1/keys""#.to_owned(),
        r#""x5u":"http://127.0.0.1:1/cert""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256",{more}}}"#);
        assert_eq!(name(open(&sign_es256(&attacker, &header, P), &set)), "signature", "{more}");
        assert_eq!(name(open(&sign_es256(&pair, &header, P), &set)), "taken", "{more}");
    }
}

#[test]
fn j5_extensions_and_other_formats() {
    let keys = secret_set();
    for (header, why) in [
        (r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, "critical"),
        (r#"{"alg":"HS256","crit":[]}"#, "critical"),
        (r#"{"alg":"HS256","crit":["alg"]}"#, "critical"),
        (r#"{"alg":"HS256","crit":["b64"]}"#, "critical"),
        (r#"{"alg":"HS256","crit":["b64","b64"],"b64":true}"#, "critical"),
        (r#"{"alg":"HS256","crit":"b64","b64":true}"#, "critical"),
        (r#"{"alg":"HS256","crit":null}"#, "critical"),
        (r#"{"alg":"HS256","b64":false}"#, "critical"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "critical"),
        (r#"{"alg":"HS256","b64":"false"}"#, "header_member"),
        (r#"{"alg":"HS256","crit":["b64"],"b64":true}"#, "taken"),
        (r#"{"alg":"HS256","typ":7}"#, "header_member"),
        (r#"{"alg":"HS256","cty":[]}"#, "header_member"),
        (r#"{"alg":"HS256","enc":"A256GCM"}"#, "encrypted"),
        (r#"{"alg":"HS256","zip":"DEF"}"#, "taken"),
        (r#"{"alg":"HS256","alg":"HS256"}"#, "header"),
        (r#"{"alg":"HS256"} x"#, "header"),
        (r#"["HS256"]"#, "header"),
        ("", "header"),
    ] {
        assert_eq!(name(open(&hs256(header, P), &keys)), why, "{header}");
    }
    assert_eq!(name(open("a.b.c.d.e", &keys)), "encrypted");
}

#[test]
fn j7_one_text_for_one_token() {
    let keys = secret_set();
    let token = hs256(H, P);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(name(open(&token, &keys)), "taken");
    for wrong in [
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        format!("{token}.x"),
        format!(".{token}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}==.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].replace(['-', '_'], "+")).replacen(parts[2], "+", 1),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        assert!(open(&wrong, &keys).is_err(), "{wrong}");
    }
    // Every other byte at every place.
    for at in 0..token.len() {
        for other in [b'A', b'.', b'=', b'\0', 0xff, b'-'] {
            let mut bytes = token.clone().into_bytes();
            if bytes[at] != other {
                bytes[at] = other;
                let opened = Token::open(&bytes, &keys, Algorithms::ALL, &mut HeaderMemo::default());
                assert!(opened.is_err(), "{at} {other}");
            }
        }
    }
}

#[test]
fn a_header_that_is_remembered_is_that_of_its_key_set_only() {
    let mut memo = HeaderMemo::default();
    let mut open = |token: &str, keys: &KeySet| name(Token::open(token.as_bytes(), keys, Algorithms::ALL, &mut memo));
    let (pair, jwk) = es256();
    let (_, other) = es256();
    let first = KeySet::parse(jwk.as_bytes(), 1, true).unwrap();
    let second = KeySet::parse(other.as_bytes(), 2, true).unwrap();
    let token = sign_es256(&pair, r#"{"alg":"ES256","typ":"JWT"}"#, P);
    for _ in 0..3 {
        assert_eq!(open(&token, &first), "taken");
        assert_eq!(open(&token, &second), "signature");
    }
    // Other payloads under the same header are verified all the same.
    let (head, _) = token.split_once('.').unwrap();
    let (_, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(open(&format!("{head}.{}.{signature}", b64(r#"{"exp":2}"#)), &first), "signature");
}

#[test]
fn json_forms_and_their_rules() {
    let keys = secret_set();
    let demand = Demand { algorithms: Algorithms::ALL, detached: None, every: false, max_bytes: MAX_TOKEN };
    let token = hs256(H, P);
    let [h, p, s] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    let judged = |text: &str, every: bool| name(verify(text.as_bytes(), &keys, &Demand { every, ..demand }));
    let flat = format!(r#"{{"payload":"{p}","protected":"{h}","signature":"{s}"}}"#);
    for (text, why) in [
        (flat.clone(), "taken"),
        (flat.replace("\"payload\"", "\"other\""), "content"),
        (flat.replace("\"signature\"", "\"other\""), "shape"),
        (flat.replace(s, ""), "signature"),
        (flat.replacen('{', r#"{"header":{"alg":"HS256"},"#, 1), "shape"),
        (flat.replacen('{', r#"{"header":{"kid":"x"},"#, 1), "taken"),
        (flat.replacen('{', r#"{"header":{"crit":["b64"]},"#, 1), "header_member"),
        (flat.replacen('{', r#"{"header":{"b64":true},"#, 1), "header_member"),
        (flat.replacen('{', r#"{"header":[],"#, 1), "shape"),
        (flat.replacen('{', r#"{"signatures":[],"#, 1), "shape"),
        (flat.replacen('{', r#"{"payload":"","#, 1), "header"),
        (flat.replacen('{', r#"{"unknown":1,"#, 1), "taken"),
        (format!(r#"{{"payload":"{p}","protected":"","signature":"{s}"}}"#), "shape"),
        (format!(r#"{{"payload":"{p}","signatures":[]}}"#), "shape"),
        (format!(r#"{{"payload":"{p}","signatures":[7]}}"#), "shape"),
        ("{}".to_owned(), "shape"),
    ] {
        assert_eq!(judged(&text, false), why, "{text}");
    }
    let good = format!(r#"{{"protected":"{h}","signature":"{s}"}}"#);
    let unknown = format!(r#"{{"protected":"{}","signature":"AAAA"}}"#, b64(r#"{"alg":"X"}"#));
    let broken = r#"{"protected":"!","signature":"AAAA"}"#;
    for (entries, any, every) in [
        (format!("{good},{good}"), "taken", "taken"),
        (format!("{unknown},{good}"), "taken", "algorithm_unknown"),
        (format!("{good},{unknown}"), "taken", "algorithm_unknown"),
        (format!("{good},{broken}"), "encoding", "encoding"),
        (unknown.clone(), "algorithm_unknown", "algorithm_unknown"),
        (vec![good.as_str(); 17].join(","), "shape", "shape"),
    ] {
        let text = format!(r#"{{"payload":"{p}","signatures":[{entries}]}}"#);
        assert_eq!((judged(&text, false), judged(&text, true)), (any, every), "{text}");
    }
    let long = Demand { max_bytes: token.len() - 1, ..demand };
    assert_eq!(name(verify(token.as_bytes(), &keys, &long)), "too_long");
}
