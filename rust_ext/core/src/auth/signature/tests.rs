//! The request vectors of RFC 9421 Appendix B.2, and what must not count.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Components, Keys, Message, Refusal, Replay, Rules, is_signed, judge};
use crate::auth::{Algorithm, KeySet};

const CREATED_MS: u64 = 1_618_884_473_000;
const DIGEST: &str =
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

const RSA_PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const SECRET: &str = r#"{"kty":"oct","alg":"HS256","k":"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ"}"#;

const B21: [&str; 2] = [
    r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
    "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
];
const B22: [&str; 2] = [
    r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
    "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
];
const B23: [&str; 2] = [
    r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
    "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
];
const B25: [&str; 2] = [
    r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
];
const B26: [&str; 2] = [
    r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
];

struct Request {
    method: &'static str,
    authority: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    fields: Vec<(&'static str, String)>,
}

impl Message for Request {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn scheme(&self) -> &str {
        "https"
    }

    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.map(str::as_bytes)
    }

    fn field<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        self.fields.iter().filter(|(one, _)| *one == name).for_each(|(_, value)| take(value.as_bytes()));
    }
}

/// The request of Appendix B.2, signed so.
fn request(signed: [&str; 2]) -> Request {
    Request {
        method: "POST",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        fields: vec![
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT".to_owned()),
            ("content-type", "application/json".to_owned()),
            ("content-digest", DIGEST.to_owned()),
            ("content-length", "18".to_owned()),
            ("signature-input", signed[0].to_owned()),
            ("signature", signed[1].to_owned()),
        ],
    }
}

struct Ring(BTreeMap<&'static str, (KeySet, &'static str)>);

fn ring() -> Ring {
    let key = |text: &str| KeySet::parse(text.as_bytes(), 1, true).unwrap();
    Ring(BTreeMap::from([
        ("test-key-rsa-pss", (key(RSA_PSS), "rsa-pss-sha512")),
        ("test-key-ed25519", (key(ED25519), "ed25519")),
        ("test-shared-secret", (key(SECRET), "hmac-sha256")),
    ]))
}

impl Keys for Ring {
    fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    fn verify(&self, id: &str, alg: Option<&str>, base: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let (set, own) = self.0.get(id).ok_or(Refusal::UnknownKey)?;
        if alg.is_some_and(|alg| alg != *own) {
            return Err(Refusal::Algorithm);
        }
        let algorithm = match *own {
            "rsa-pss-sha512" => Algorithm::Ps512,
            "ed25519" => Algorithm::EdDsa,
            _ => Algorithm::Hs256,
        };
        let chosen = set.choose(algorithm, None).map_err(|_| Refusal::Algorithm)?;
        set.verify(chosen, base, signature).map_err(|_| Refusal::Signature)
    }
}

fn rules(components: &[&str]) -> Rules {
    let components: Vec<String> = components.iter().map(|one| (*one).to_owned()).collect();
    Rules { components: Components::read(&components).unwrap(), max_age_ms: 300_000, skew_ms: 30_000, nonce: false }
}

fn at(request: &Request, rules: &Rules, now_ms: u64) -> Result<String, Refusal> {
    judge(request, rules, &ring(), now_ms, |_, _, _| Ok(()))
}

#[test]
fn the_vectors_of_appendix_b() {
    for (signed, key) in [
        (B21, "test-key-rsa-pss"),
        (B22, "test-key-rsa-pss"),
        (B23, "test-key-rsa-pss"),
        (B25, "test-shared-secret"),
        (B26, "test-key-ed25519"),
    ] {
        assert_eq!(at(&request(signed), &rules(&[]), CREATED_MS), Ok(key.to_owned()), "{}", signed[0]);
        assert!(is_signed(&request(signed)));
    }
}

#[test]
fn what_is_covered_cannot_be_changed() {
    let covered = rules(&["@method", "@path", "@query", "@authority", "content-digest"]);
    assert_eq!(at(&request(B23), &covered, CREATED_MS), Ok("test-key-rsa-pss".to_owned()));
    for change in [
        |r: &mut Request| r.method = "PUT",
        |r: &mut Request| r.path = "/foo/",
        |r: &mut Request| r.query = Some("param=Value&Pet=dog&x"),
        |r: &mut Request| r.query = None,
        |r: &mut Request| r.authority = "example.org",
        |r: &mut Request| r.fields[2].1 = DIGEST.replace('W', "X"),
        |r: &mut Request| r.fields.push(("content-digest", DIGEST.to_owned())),
        |r: &mut Request| r.fields[5].1 = r.fields[5].1.replace("bbN8", "bbN9"),
        |r: &mut Request| r.fields[4].1 = r.fields[4].1.replace("created=1618884473", "created=1618884474"),
    ] {
        let mut changed = request(B23);
        change(&mut changed);
        assert_eq!(at(&changed, &covered, CREATED_MS), Err(Refusal::Signature));
    }
    // What is the same to RFC 9421 is the same here.
    let mut same = request(B23);
    (same.authority, same.fields[1].1) = ("Example.com:443", " application/json ".to_owned());
    assert_eq!(at(&same, &covered, CREATED_MS), Ok("test-key-rsa-pss".to_owned()));
    assert_eq!(at(&request(B25), &covered, CREATED_MS), Err(Refusal::Uncovered));
    assert!(at(&request(B22), &rules(&[r#""@query-param";name="Pet""#]), CREATED_MS).is_ok());
    assert_eq!(at(&request(B22), &rules(&[r#""@query-param";name="pet""#]), CREATED_MS), Err(Refusal::Uncovered));
    let mut twice = request(B22);
    twice.query = Some("Pet=dog&param=Value&P%65t=cat");
    assert_eq!(at(&twice, &rules(&[]), CREATED_MS), Err(Refusal::Component), "a parameter that is there twice");
    let mut foreign = request(B23);
    foreign.fields[1].1 = "é".to_owned();
    assert_eq!(at(&foreign, &rules(&[]), CREATED_MS), Err(Refusal::Component), "a base is ASCII");
}

#[test]
fn derived_components_say_what_was_received() {
    let lines = |path: &'static str, query: Option<&'static str>| {
        let asked = Request { authority: "Example.COM:443", path, query, ..request(B21) };
        let input = r#"("@method" "@scheme" "@authority" "@path" "@query" "@request-target" "@target-uri")"#;
        let input: sfv::List = sfv::Parser::new(input).parse().unwrap();
        let [sfv::ListEntry::InnerList(input)] = &input[..] else { panic!("one list") };
        let base = super::base::make(&asked, input, &Components::default()).unwrap();
        let values = base.lines().filter_map(|line| line.split_once(": ").map(|(_, value)| value.to_owned()));
        values.take(7).collect::<Vec<_>>()
    };
    let own = ["POST", "https", "example.com"];
    for (path, query, others) in [
        ("/a%2Fb", Some("c=d"), ["/a%2Fb", "?c=d", "/a%2Fb?c=d", "https://Example.COM:443/a%2Fb?c=d"]),
        ("/", None, ["/", "?", "/", "https://Example.COM:443/"]),
        ("/", Some(""), ["/", "?", "/?", "https://Example.COM:443/?"]),
        ("*", None, ["/", "?", "*", "https://Example.COM:443"]),
    ] {
        assert_eq!(lines(path, query), [&own[..], &others[..]].concat(), "{path} {query:?}");
    }
}

#[test]
fn a_signature_counts_for_its_time() {
    let rules = rules(&[]);
    for (now, held) in [
        (CREATED_MS, true),
        (CREATED_MS - 30_000, true),
        (CREATED_MS - 30_001, false),
        (CREATED_MS + 330_000, true),
        (CREATED_MS + 330_001, false),
    ] {
        let judged = at(&request(B26), &rules, now);
        assert_eq!(judged.is_ok(), held, "{now}");
        assert!(held || judged == Err(Refusal::Stale));
    }
}

#[test]
fn a_nonce_counts_once() {
    let rules = Rules { nonce: true, ..rules(&[]) };
    let replay = RefCell::new(Replay::default());
    let once = |signed| {
        judge(&request(signed), &rules, &ring(), CREATED_MS, |key, nonce, until| {
            replay.borrow_mut().note(key, nonce, CREATED_MS, until)
        })
    };
    assert_eq!(once(B21), Ok("test-key-rsa-pss".to_owned()));
    assert_eq!(once(B21), Err(Refusal::Replayed));
    assert_eq!(once(B26), Err(Refusal::Nonce));
    let mut forged = request(B21);
    forged.fields[4].1 = forged.fields[4].1.replace("b3k2", "b3k3");
    let noted = RefCell::new(false);
    let judged = judge(&forged, &rules, &ring(), CREATED_MS, |_, _, _| {
        *noted.borrow_mut() = true;
        Ok(())
    });
    assert_eq!((judged, *noted.borrow()), (Err(Refusal::Signature), false), "only a signature that holds takes room");
}

#[test]
fn what_does_not_count() {
    let long = format!("{}=();created=1618884473;keyid=\"test-key-ed25519\"", "a");
    let five = (0..5).map(|n| format!("s{n}=();created=1;keyid=\"x\"")).collect::<Vec<_>>().join(", ");
    let many = format!("a=({});created=1618884473;keyid=\"test-key-ed25519\"", r#""x" "#.repeat(33));
    for (input, signature, refusal) in [
        ("", "a=:AA==:", Refusal::Incomplete),
        ("a", "a=:AA==:", Refusal::Malformed),
        ("a=1", "a=:AA==:", Refusal::Malformed),
        (long.as_str(), "", Refusal::Incomplete),
        (long.as_str(), "b=:AA==:", Refusal::Incomplete),
        (long.as_str(), "a=AA", Refusal::Malformed),
        (long.as_str(), "a=:A A:", Refusal::Malformed),
        (long.as_str(), "a=:AA==:, b=:AA==:", Refusal::Incomplete),
        (long.as_str(), "a=:AA==:", Refusal::Signature),
        (five.as_str(), "a=:AA==:", Refusal::TooMany),
        (many.as_str(), "a=:AA==:", Refusal::TooMany),
        ("a=();created=1618884473", "a=:AA==:", Refusal::UnknownKey),
        ("a=();created=1618884473;keyid=\"other\"", "a=:AA==:", Refusal::UnknownKey),
        ("a=();created=1618884473;keyid=other", "a=:AA==:", Refusal::Malformed),
        ("a=();keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Stale),
        ("a=();created=-1;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Stale),
        ("a=();created=\"1\";keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Malformed),
        ("a=();created=1618884473;expires=1618884000;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Stale),
        ("a=();created=1618884473;alg=\"none\";keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Algorithm),
        ("a=();created=1618884473;alg=\"hmac-sha256\";keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Algorithm),
        ("a=(\"@status\");created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"Date\");created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(date);created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"date\" \"date\");created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"date\";tr);created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"date\";sf);created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"@method\";req);created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"absent\");created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        ("a=(\"@query-param\");created=1618884473;keyid=\"test-key-ed25519\"", "a=:AA==:", Refusal::Component),
        (
            "a=(\"date\";bs \"content-digest\";key=\"sha-512\");created=1618884473;keyid=\"test-key-ed25519\"",
            "a=:AA==:",
            Refusal::Signature,
        ),
        (
            "a=(\"content-digest\";key=\"none\");created=1618884473;keyid=\"test-key-ed25519\"",
            "a=:AA==:",
            Refusal::Component,
        ),
    ] {
        let judged = at(&request([input, signature]), &rules(&[]), CREATED_MS);
        assert_eq!(judged, Err(refusal), "{input} {signature}");
    }
    // An unknown key's signature stands beside a good one.
    let (input, signature) = (format!("{}, x=();created=1;keyid=\"x\"", B26[0]), format!("{}, x=:AA==:", B26[1]));
    assert_eq!(at(&request([&input, &signature]), &rules(&[]), CREATED_MS), Ok("test-key-ed25519".to_owned()));
    let mut none = request(B26);
    none.fields.truncate(4);
    assert!(!is_signed(&none));
    assert_eq!(at(&none, &rules(&[]), CREATED_MS), Err(Refusal::Incomplete));
}

#[test]
fn components_are_judged_at_load() {
    let read = |text: &str| Components::read(&[text.to_owned()]).map(|_| ()).map_err(|(_, message)| message);
    for good in [
        "@method",
        "@target-uri",
        "content-digest",
        "x-a",
        r#""@query-param";name="a b""#,
        r#""x";key="a""#,
        r#""x";bs"#,
    ] {
        assert_eq!(read(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "@status",
        "Date",
        "@query-param",
        r#""x";sf"#,
        r#""x";bs;key="a""#,
        "a b",
        r#""@method";req"#,
        "\"x",
        "x\"",
    ] {
        assert!(read(bad).unwrap_err().contains("no component"), "{bad}");
    }
}
