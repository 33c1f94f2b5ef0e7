//! Tests of the strict reader: what is cut out, what is refused and where, what another reader says.

use proptest::prelude::*;

use super::*;

fn fault(text: &str) -> Option<Fault> {
    parse(text.as_bytes()).err().map(|invalid| invalid.fault)
}

#[test]
fn values_are_cut_out_as_they_stand() {
    let raw = parse(b" {\"a\" : [1, -2.5e3 ,\"x\"], \"\\u0062\":{ \"c\":null } } ").unwrap();
    let members = raw.members().unwrap();
    assert_eq!(members[0].0, "a");
    assert_eq!(members[0].1.text(), "[1, -2.5e3 ,\"x\"]");
    assert_eq!(members[1], ("b".into(), Raw { kind: Kind::Object, text: "{ \"c\":null }" }));
    let items = members[0].1.items().unwrap();
    assert_eq!(items.iter().map(|item| item.text()).collect::<Vec<_>>(), ["1", "-2.5e3", "\"x\""]);
    assert_eq!(items.iter().map(|item| item.kind()).collect::<Vec<_>>(), [Kind::Number, Kind::Number, Kind::String]);
    assert_eq!((raw.items(), raw.string(), items[2].members()), (None, None, None));
}

#[test]
fn strings_lose_their_escapes() {
    let of = |text: &str| parse(text.as_bytes()).unwrap().string().unwrap().into_owned();
    assert_eq!(of(r#""plain""#), "plain");
    assert_eq!(of(r#""\"\\\/\b\f\n\r\t""#), "\"\\/\u{8}\u{c}\n\r\t");
    assert_eq!(of(r#""a\u00fcb\ud83d\ude00\u0000""#), "aüb😀\0");
    assert_eq!(of(r#""\u000aend""#), "\nend");
}

#[test]
fn each_fault_has_its_name_and_its_place() {
    for (text, wanted, at) in [
        ("", Fault::End, 0),
        ("  ", Fault::End, 2),
        ("{", Fault::End, 1),
        ("[1,", Fault::End, 3),
        ("[1,]", Fault::Syntax, 3),
        ("{\"a\":1,}", Fault::Syntax, 7),
        ("{a:1}", Fault::Syntax, 1),
        ("\"a", Fault::End, 2),
        ("\"\\", Fault::End, 2),
        ("\"\\u12", Fault::End, 5),
        ("\"\\u12g4\"", Fault::Escape, 5),
        ("\"\\x\"", Fault::Escape, 1),
        ("\"a\tb\"", Fault::Control, 2),
        ("\"\\ud800\"", Fault::Surrogate, 1),
        ("\"\\udc00\"", Fault::Surrogate, 1),
        ("\"\\ud800\\u0041\"", Fault::Surrogate, 1),
        ("tru", Fault::End, 3),
        ("trux", Fault::Syntax, 3),
        ("01", Fault::Number, 0),
        ("-", Fault::End, 1),
        ("-x", Fault::Number, 1),
        ("1.", Fault::End, 2),
        ("1.x", Fault::Number, 2),
        ("1e", Fault::End, 2),
        ("[1e1000000]", Fault::Number, 1),
        ("1 2", Fault::Trailing, 2),
        ("{\"a\":1,\"a\":2}", Fault::Duplicate, 7),
        ("{\"a\":1,\"\\u0061\":2}", Fault::Duplicate, 7),
        ("[{\"b\":{\"a\":1,\"a\":2}}]", Fault::Duplicate, 13),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), Invalid { fault: wanted, at }, "{text}");
    }
    assert_eq!(parse(b"\"a\xff\"").unwrap_err(), Invalid { fault: Fault::Utf8, at: 2 });
    assert_eq!(fault(&"9".repeat(400)), Some(Fault::Number));
    assert_eq!(fault(&"9".repeat(305)), None);
    assert_eq!(fault("1e-1000000"), None);
}

#[test]
fn depth_is_bounded_and_so_is_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(fault(&nested(MAX_DEPTH)), None);
    assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err(), Invalid { fault: Fault::Depth, at: MAX_DEPTH });
    assert_eq!(fault(&"[".repeat(100_000)), Some(Fault::Depth));
    assert_eq!(fault(&"{\"a\":".repeat(100_000)), Some(Fault::Depth));
    assert!(Invalid { fault: Fault::Depth, at: 64 }.to_string().contains("64 levels"));
}

#[test]
fn a_name_is_found_again_among_many() {
    let many: Vec<String> = (0..1_000).map(|i| format!("\"{i}\":{i}")).collect();
    assert_eq!(fault(&format!("{{{}}}", many.join(","))), None);
    for twice in [0, 3, 7, 8, 9, 999] {
        let text = format!("{{{},\"{twice}\":0}}", many.join(","));
        assert_eq!(fault(&text), Some(Fault::Duplicate), "{twice}");
    }
}

/// JSON values whose objects have no name twice.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|eighths| (f64::from(eighths) / 8.0).into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_another_writer_writes_is_read_back(value in values(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let raw = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(raw.text(), &text);
        prop_assert_eq!(build(text.as_bytes()).unwrap(), serde_json::from_str::<serde_json::Value>(&text).unwrap());
        if let Some(object) = value.as_object() {
            for ((name, own), (member, raw)) in object.iter().zip(raw.members().unwrap()) {
                prop_assert_eq!(name.as_str(), &*member);
                prop_assert_eq!(own, &serde_json::from_str::<serde_json::Value>(raw.text()).unwrap());
            }
        }
        if let Some(string) = value.as_str() {
            prop_assert_eq!(string, &*raw.string().unwrap());
        }
    }

    #[test]
    fn nothing_is_taken_that_another_reader_refuses(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse(&bytes).map(|raw| (raw.members(), raw.items(), raw.string()));
        prop_assert_eq!(parse(&bytes).err(), build(&bytes).err());
        if parse(&bytes).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn of_texts_that_are_almost_json_too(text in "[\\[\\]{}:,\"\\\\u0-9a-fd8e+.\\- truenlfs]{0,40}") {
        prop_assert_eq!(parse(text.as_bytes()).err(), build(text.as_bytes()).err());
        if parse(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
