//! Tests of bodies, keys and credentials.

use super::*;
use crate::route::MAX_CHANNEL;
use crate::snapshot::{PublishCall as Call, PublishKey};

fn refused(call: Call, body: &str) -> (u16, String) {
    let Refused { status, detail } = parse(call, body.as_bytes()).unwrap_err();
    (status, detail)
}

#[test]
fn data_goes_on_byte_for_byte() {
    let body = "{ \"data\" : { \"b\":1.50, \"a\" : [ ] } ,\n\"channel\":\"room:\\u0031\"}";
    let publication = parse(Call::Publish, body.as_bytes()).unwrap();
    assert_eq!(publication.channels, ["room:1"]);
    assert_eq!(&*publication.payload, b"{ \"b\":1.50, \"a\" : [ ] }");
    for data in ["null", "\"\\u00e4\"", "-0", "[1, 2]"] {
        let body = format!("{{\"channel\":\"a\",\"data\":{data}}}");
        assert_eq!(&*parse(Call::Publish, body.as_bytes()).unwrap().payload, data.as_bytes());
    }
}

#[test]
fn text_and_bytes_go_as_they_are_meant() {
    let payload = |body: &str| parse(Call::Publish, body.as_bytes()).unwrap().payload.into_owned();
    assert_eq!(payload(r#"{"channel":"a","text":"plain"}"#), b"plain");
    assert_eq!(payload(r#"{"channel":"a","text":"\u00fc\n"}"#), "ü\n".as_bytes());
    assert_eq!(payload(r#"{"channel":"a","text":""}"#), b"");
    assert_eq!(payload(r#"{"channel":"a","b64data":"AP8="}"#), [0, 255]);
}

#[test]
fn a_broadcast_has_a_list_of_channels() {
    let broadcast = parse(Call::Broadcast, br#"{"channels":["a","b"],"data":{}}"#).unwrap();
    assert_eq!(broadcast.channels, ["a", "b"]);
    let most: Vec<String> = (0..MAX_CHANNELS).map(|i| format!("\"{i}\"")).collect();
    let body = format!("{{\"channels\":[{}],\"data\":1}}", most.join(","));
    assert_eq!(parse(Call::Broadcast, body.as_bytes()).unwrap().channels.len(), MAX_CHANNELS);
}

#[test]
fn what_is_wrong_is_said() {
    let long = "x".repeat(MAX_CHANNEL + 1);
    for (call, body, part) in [
        (Call::Publish, "", "not valid JSON: the text ends too early at byte 0"),
        (Call::Publish, "[]", "must be a JSON object"),
        (Call::Publish, "{}", "channel is missing"),
        (Call::Publish, r#"{"channel":"a"}"#, "data is missing"),
        (Call::Publish, r#"{"data":1}"#, "channel is missing"),
        (Call::Publish, r#"{"channel":7,"data":1}"#, "channel must be a string"),
        (Call::Publish, r#"{"channel":"","data":1}"#, "1 to 255 bytes"),
        (Call::Publish, r#"{"channel":"a\n","data":1}"#, "no control characters"),
        (Call::Publish, &format!(r#"{{"channel":"{long}","data":1}}"#), "1 to 255 bytes"),
        (Call::Publish, r#"{"channel":"a","data":1,"text":"x"}"#, "exclude each other"),
        (Call::Publish, r#"{"channel":"a","text":1}"#, "text must be a string"),
        (Call::Publish, r#"{"channel":"a","b64data":"!"}"#, "base64"),
        (Call::Publish, r#"{"channel":"a","b64data":1}"#, "base64"),
        (Call::Publish, r#"{"channels":["a"],"data":1}"#, "no key \"channels\"; allowed: channel, data"),
        (Call::Publish, r#"{"channel":"a","channel":"b","data":1}"#, "stands twice in one object at byte 15"),
        (Call::Broadcast, r#"{"channels":"a","data":1}"#, "list of strings"),
        (Call::Broadcast, r#"{"channels":[],"data":1}"#, "channels is empty"),
        (Call::Broadcast, r#"{"channels":["a",""],"data":1}"#, "channels[1]: a channel's name"),
        (Call::Broadcast, r#"{"channels":["a",1],"data":1}"#, "channels[1] must be a string"),
        (Call::Broadcast, r#"{"channels":["a","\u0061"],"data":1}"#, "\"a\" twice"),
        (Call::Broadcast, r#"{"channel":"a","data":1}"#, "allowed: channels, data"),
        (Call::Broadcast, r#"{"data":1}"#, "channels is missing"),
    ] {
        let (status, detail) = refused(call, body);
        assert!(status == 400 && detail.contains(part), "{body}: {status} {detail}");
    }
    let many = vec!["\"a\""; MAX_CHANNELS + 1].join(",");
    assert!(refused(Call::Broadcast, &format!("{{\"channels\":[{many}],\"data\":1}}")).1.contains("at most 1000"));
    let long = refused(Call::Publish, &format!(r#"{{"{}":1}}"#, "k".repeat(500))).1;
    assert!(long.len() < 120, "{long}");
}

#[test]
fn a_publication_is_bounded() {
    let body = |bytes: usize| format!(r#"{{"channel":"a","text":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(parse(Call::Publish, body(MAX_PUBLICATION).as_bytes()).unwrap().payload.len(), MAX_PUBLICATION);
    let (status, detail) = refused(Call::Publish, &body(MAX_PUBLICATION + 1));
    assert!(status == 413 && detail.contains("has 1048577"), "{detail}");
}

fn keys() -> Keys {
    let key = |name: &str, sha256: &str| PublishKey { name: name.to_owned(), sha256: sha256.to_owned() };
    Keys::new(&[
        key("one", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"),
        key("two", "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"),
    ])
    .unwrap()
}

#[test]
fn a_key_is_known_by_its_digest() {
    let keys = keys();
    assert_eq!((keys.find(b"one"), keys.find(b"two")), (Some("one"), Some("two")));
    for wrong in ["", "three", "One", "one ", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"] {
        assert_eq!(keys.find(wrong.as_bytes()), None, "{wrong}");
    }
    assert_eq!(keys.find(&vec![b'a'; 10_000]), None);
    assert_eq!(Keys::default().find(b"one"), None);
    assert!(Keys::default().is_empty() && !keys.is_empty());
}

#[test]
fn a_digest_that_is_none_is_an_error() {
    for sha256 in ["", "00", &"g".repeat(64), &"A".repeat(64), &"0".repeat(65)] {
        let keys = [PublishKey { name: "k".to_owned(), sha256: sha256.to_owned() }];
        let invalid = Keys::new(&keys).unwrap_err();
        assert_eq!((invalid.len(), invalid[0].path.as_str()), (1, "realtime.keys.0.sha256"), "{sha256}");
    }
}

#[test]
fn one_credential_and_no_more() {
    let found = |keys: &[&'static str], authorization: &[&'static str]| {
        credential(keys.iter().map(|k| k.as_bytes()), authorization.iter().map(|a| a.as_bytes()))
    };
    assert_eq!(found(&["k"], &[]), Some(&b"k"[..]));
    assert_eq!(found(&[], &["apikey k"]), Some(&b"k"[..]));
    assert_eq!(found(&[], &["APIKEY  k"]), Some(&b"k"[..]));
    for (keys, authorization) in
        [(&[][..], &[][..]), (&["k", "k"], &[]), (&["k"], &["apikey k"]), (&[], &["apikey k", "apikey k"])]
    {
        assert_eq!(found(keys, authorization), None);
    }
    assert_eq!((found(&[], &["Bearer k"]), found(&[], &["apikey"]), found(&[], &["apikeyk"])), (None, None, None));
}
