//! Target `publish`: the body of a request to the publish API, and the strict JSON under it.

use std::collections::BTreeMap;

use fastgate_core::json::{Kind, Raw, parse};
use fastgate_core::publish;
use fastgate_core::snapshot::PublishCall;
use serde_json::Value;

/// Whatever the bytes: what is taken, another reader takes too and reads the same; what goes on is a part of it.
pub fn publish(bytes: &[u8]) {
    match parse(bytes) {
        Ok(raw) => {
            let read: Value = serde_json::from_slice(bytes).expect("what is taken, another reader takes");
            compare(raw, &read);
        }
        Err(invalid) => assert!(invalid.at <= bytes.len() && !invalid.to_string().is_empty()),
    }
    for call in [PublishCall::Publish, PublishCall::Broadcast] {
        match publish::parse(call, bytes) {
            Ok(publication) => {
                assert!(publication.payload.len() <= publish::MAX_PUBLICATION);
                assert!(!publication.channels.is_empty());
                let read: Value = serde_json::from_slice(bytes).expect("as above");
                if let Some(data) = read.get("data") {
                    let again: Value = serde_json::from_slice(&publication.payload).expect("data is JSON");
                    assert_eq!(&again, data);
                }
                if let Some(text) = read.get("text").and_then(Value::as_str) {
                    assert_eq!(text.as_bytes(), &*publication.payload);
                }
            }
            Err(refused) => assert!([400, 413].contains(&refused.status) && !refused.detail.is_empty()),
        }
    }
}

fn compare(raw: Raw<'_>, read: &Value) {
    match (raw.kind(), read) {
        (Kind::Null, Value::Null) | (Kind::Number, Value::Number(_)) => {}
        (Kind::Bool, Value::Bool(value)) => assert_eq!(raw.text(), value.to_string()),
        (Kind::String, Value::String(text)) => assert_eq!(raw.string().as_deref(), Some(text.as_str())),
        (Kind::Array, Value::Array(values)) => {
            let items = raw.items().expect("an array has items");
            assert_eq!(items.len(), values.len());
            items.into_iter().zip(values).for_each(|(item, value)| compare(item, value));
        }
        (Kind::Object, Value::Object(values)) => {
            let members: BTreeMap<_, _> = raw.members().expect("an object has members").into_iter().collect();
            assert_eq!(members.len(), values.len(), "no name twice");
            values.iter().for_each(|(name, value)| compare(members[name.as_str()], value));
        }
        (kind, value) => panic!("{kind:?} is read as {value}"),
    }
}
