//! J6: claims and the clock, and revocation.

use super::*;

fn rules() -> Rules {
    Rules {
        issuer: None,
        audience: None,
        algorithms: Algorithms::ALL,
        types: Box::default(),
        skew_ms: 30_000,
        max_age_ms: None,
        required: Box::default(),
    }
}

fn token(payload: &str) -> Result<Token, Refused> {
    open(&hs256(r#"{"alg":"HS256"}"#, payload), &secret_set())
}

fn judged(rules: &Rules, payload: &str) -> &'static str {
    name(token(payload).and_then(|token| rules.judge(&token, NOW)))
}

#[test]
fn j6_times_are_finite_numbers() {
    let now = NOW / 1000;
    for (payload, why) in [
        (format!(r#"{{"exp":{}}}"#, now + 60), "taken"),
        (format!(r#"{{"exp":{}.5}}"#, now + 60), "taken"),
        (format!(r#"{{"exp":{}e0}}"#, now + 60), "taken"),
        (r#"{"exp":1e300}"#.to_owned(), "taken"),
        (format!(r#"{{"exp":{}}}"#, now - 29), "taken"),
        (format!(r#"{{"exp":{}}}"#, now - 30), "expired"),
        (r#"{"exp":0}"#.to_owned(), "expired"),
        (format!(r#"{{"exp":"{}"}}"#, now + 60), "claim"),
        (r#"{"exp":true}"#.to_owned(), "claim"),
        (r#"{"exp":null}"#.to_owned(), "claim"),
        (r#"{"exp":-1}"#.to_owned(), "claim"),
        (r#"{"exp":1e400}"#.to_owned(), "claims"),
        (r#"{"exp":NaN}"#.to_owned(), "claims"),
        (r#"{"exp":[1]}"#.to_owned(), "claim"),
        ("{}".to_owned(), "claim_missing"),
        (format!(r#"{{"exp":{0},"nbf":{0}}}"#, now + 60), "not_yet"),
        (format!(r#"{{"exp":{},"nbf":{}}}"#, now + 60, now + 30), "taken"),
        (format!(r#"{{"exp":{},"nbf":"0"}}"#, now + 60), "claim"),
        (format!(r#"{{"exp":{},"nbf":-1}}"#, now + 60), "claim"),
        (format!(r#"{{"exp":{},"nbf":false}}"#, now + 60), "claim"),
        (format!(r#"{{"exp":{0},"iat":{0}}}"#, now + 60), "issued_in_future"),
        (format!(r#"{{"exp":{},"iat":"x"}}"#, now + 60), "claim"),
        (format!(r#"{{"exp":{0},"exp":{0}}}"#, now + 60), "claims"),
        ("[]".to_owned(), "claims"),
        ("7".to_owned(), "claims"),
        (String::new(), "claims"),
        (r#"{"exp":9999999999,"sub":7}"#.to_owned(), "claim"),
        (r#"{"exp":9999999999,"jti":{}}"#.to_owned(), "claim"),
        (r#"{"exp":9999999999,"iss":["a"]}"#.to_owned(), "claim"),
        (format!("{}1{}", r#"{"exp":9999999999,"a":"#.to_owned() + &"[".repeat(64), "]".repeat(64) + "}"), "claims"),
    ] {
        assert_eq!(judged(&rules(), &payload), why, "{payload}");
    }
}

#[test]
fn j6_issuer_and_audience_are_exact() {
    let rules = Rules {
        issuer: Some("https://id.example/".into()),
        audience: Some(["a".into(), "b".into()].into()),
        ..rules()
    };
    let with = |iss: &str, aud: &str| format!(r#"{{"exp":9999999999{iss}{aud}}}"#);
    let (iss, aud) = (r#","iss":"https://id.example/""#, r#","aud":"b""#);
    for (payload, why) in [
        (with(iss, aud), "taken"),
        (with(iss, r#","aud":["x","a"]"#), "taken"),
        (with(iss, r#","aud":["x"]"#), "audience"),
        (with(iss, r#","aud":[]"#), "audience"),
        (with(iss, r#","aud":"ab""#), "audience"),
        (with(iss, r#","aud":"B""#), "audience"),
        (with(iss, r#","aud":["a",7]"#), "claim"),
        (with(iss, r#","aud":{"a":1}"#), "claim"),
        (with(iss, r#","aud":null"#), "claim"),
        (with(iss, ""), "audience"),
        (with("", aud), "claim_missing"),
        (with(r#","iss":"https://id.example""#, aud), "issuer"),
        (with(r#","iss":"https://ID.example/""#, aud), "issuer"),
    ] {
        assert_eq!(judged(&rules, &payload), why, "{payload}");
    }
}

#[test]
fn age_required_claims_types_and_algorithms() {
    let now = NOW / 1000;
    let aged = Rules { max_age_ms: Some(60_000), ..rules() };
    assert_eq!(judged(&aged, &format!(r#"{{"iat":{}}}"#, now - 90)), "taken", "exp is not needed beside an age");
    assert_eq!(judged(&aged, &format!(r#"{{"iat":{}}}"#, now - 91)), "too_old");
    assert_eq!(judged(&aged, r#"{"exp":9999999999}"#), "claim_missing");
    let needy = Rules { required: ["sub".into(), "tenant".into()].into(), ..rules() };
    assert_eq!(judged(&needy, r#"{"exp":9999999999,"sub":"a","tenant":"t"}"#), "taken");
    assert_eq!(judged(&needy, r#"{"exp":9999999999,"sub":"a"}"#), "claim_missing");
    assert_eq!(judged(&needy, r#"{"exp":9999999999,"sub":"a","tenant":null}"#), "claim_missing");
    let typed = |typ: &str, rules: &Rules| {
        let header = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
        let token = open(&hs256(&header, r#"{"exp":9999999999}"#), &secret_set()).unwrap();
        name(rules.judge(&token, NOW))
    };
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT"] {
        assert_eq!(typed(typ, &rules()), "taken", "{typ}");
    }
    for typ in ["", "JWE", "JOSE", "dpop+jwt", "JWT ", "application/x/JWT", "text/JWT"] {
        assert_eq!(typed(typ, &rules()), "type", "{typ}");
    }
    let own = Rules { types: ["app+jwt".into()].into(), ..rules() };
    assert_eq!((typed("app+jwt", &own), typed("application/APP+jwt", &own)), ("taken", "taken"));
    let other = Rules { algorithms: Algorithms::named(["ES256"]).unwrap(), ..rules() };
    assert_eq!(judged(&other, r#"{"exp":9999999999}"#), "algorithm_unwanted");
}

#[test]
fn revocation_by_token_and_by_subject() {
    let mut revoked = Revocations::default();
    let at = NOW / 1000;
    let one = token(&format!(r#"{{"jti":"1","sub":"a","iat":{}}}"#, at - 10)).unwrap();
    let later = token(&format!(r#"{{"jti":"2","sub":"a","iat":{}}}"#, at + 10)).unwrap();
    let undated = token(r#"{"jti":"3","sub":"a"}"#).unwrap();
    let other = token(r#"{"jti":"a","sub":"1"}"#).unwrap();
    assert!(![&one, &later, &undated, &other].iter().any(|token| revoked.covers(token, NOW)));
    revoked.revoke(By::Id, "1", NOW, NOW + 1000).unwrap();
    assert!(revoked.covers(&one, NOW) && !revoked.covers(&undated, NOW) && !revoked.covers(&other, NOW));
    assert!(!revoked.covers(&one, NOW + 1000), "a revocation ends");
    revoked.revoke(By::Subject, "a", NOW, NOW + 5000).unwrap();
    assert!(revoked.covers(&one, NOW + 1000) && revoked.covers(&undated, NOW));
    assert!(!revoked.covers(&later, NOW), "what is issued later is good");
    assert_eq!(revoked.revoke(By::Id, "", NOW, NOW), Err(Unkept::Name));
    assert_eq!(revoked.revoke(By::Id, &"x".repeat(1025), NOW, NOW), Err(Unkept::Name));
    for i in 0..MAX_REVOKED {
        let _ = revoked.revoke(By::Id, &format!("n{i}"), NOW, NOW + 10_000);
    }
    assert_eq!(revoked.len(), MAX_REVOKED);
    assert_eq!(revoked.revoke(By::Id, "more", NOW, NOW + 1), Err(Unkept::Full));
    assert_eq!(revoked.revoke(By::Id, "n0", NOW, NOW + 20_000), Ok(()), "one that is there can be prolonged");
    assert_eq!(revoked.revoke(By::Id, "more", NOW + 6000, NOW + 9000), Ok(()), "what has ended makes room");
}
