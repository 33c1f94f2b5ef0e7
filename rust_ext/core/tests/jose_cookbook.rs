//! The JOSE cookbook (RFC 7520 §4) and the examples of RFC 7797: every one verifies, or is refused for a reason that stands here.

use std::fs;
use std::path::{Path, PathBuf};

use fastgate_core::auth::{Algorithms, Demand, KeySet, Verified, verify};
use serde_json::Value;

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/jose-cookbook").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn keys(vector: &Value) -> KeySet {
    let text = match &vector["input"]["key"] {
        Value::Array(keys) => serde_json::json!({ "keys": keys }).to_string(),
        key => key.to_string(),
    };
    KeySet::parse(text.as_bytes(), 1, true).unwrap()
}

fn outputs(vector: &Value) -> impl Iterator<Item = (&str, String)> {
    vector["output"].as_object().unwrap().iter().map(|(form, output)| match output {
        Value::String(text) => (form.as_str(), text.clone()),
        json => (form.as_str(), json.to_string()),
    })
}

fn judged(text: &str, keys: &KeySet, detached: Option<&[u8]>, every: bool) -> Result<Verified, &'static str> {
    let demand = Demand { algorithms: Algorithms::ALL, detached, every, max_bytes: 16 * 1024 };
    verify(text.as_bytes(), keys, &demand).map_err(|why| why.name())
}

#[test]
fn the_signatures_of_the_cookbook() {
    let mut seen = 0;
    for path in files("jws") {
        let vector = read(&path);
        let (keys, payload) = (keys(&vector), vector["input"]["payload"].as_str().unwrap().as_bytes());
        for (form, text) in outputs(&vector) {
            let name = format!("{} {form}", path.display());
            let is_detached = path.to_str().unwrap().contains("4_5");
            let verified = judged(&text, &keys, is_detached.then_some(payload), true).expect(&name);
            assert_eq!(verified.payload.as_deref(), (!is_detached).then_some(payload), "{name}");
            assert_eq!(verified.signatures.len(), if path.to_str().unwrap().contains("4_8") { 3 } else { 1 });
            let other = judged(&text, &keys, Some(b"other"), true).unwrap_err();
            assert_eq!(other, if is_detached { "signature" } else { "content" }, "{name}");
            if is_detached {
                let alone = judged(&text, &keys, None, true).unwrap_err();
                assert_eq!(alone, if form == "compact" { "signature" } else { "content" }, "{name}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 20);
}

#[test]
fn unencoded_payloads() {
    let mut seen = Vec::new();
    for path in files("rfc7797") {
        let vector = read(&path);
        let (keys, payload) = (keys(&vector), vector["input"]["payload"].as_str().unwrap().as_bytes());
        for (form, text) in outputs(&vector) {
            let verdict = judged(&text, &keys, None, true);
            let taken = verdict.as_ref().map(|verified| verified.payload.as_deref() == Some(payload));
            seen.push((
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                form.to_owned(),
                taken.map_err(|why| *why),
            ));
        }
    }
    let seen: Vec<_> = seen.iter().map(|(file, form, verdict)| (file.as_str(), form.as_str(), *verdict)).collect();
    // The protected header of the first file's output has `b64` but no `crit`, which RFC 7797 §6 demands.
    assert_eq!(
        seen,
        [
            ("4.2.hmac-sha2_b64_false.json", "json", Err("critical")),
            ("4.2.hmac-sha2_b64_false.json", "json_flat", Err("critical")),
            ("hmac-sha2_b64_false.json", "compact", Ok(true)),
            ("hmac-sha2_b64_false.json", "json", Ok(true)),
            ("hmac-sha2_b64_false.json", "json_flat", Ok(true)),
        ]
    );
}

/// RFC 7797 §4.2 as the RFC has it: `$.02`, detached in the compact form.
#[test]
fn the_example_of_rfc_7797() {
    let key = br#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let keys = KeySet::parse(key, 1, true).unwrap();
    let compact =
        "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY";
    assert_eq!(judged(compact, &keys, Some(b"$.02"), true).unwrap().payload, None);
    assert_eq!(judged(compact, &keys, Some(b"$.03"), true), Err("signature"));
    assert_eq!(judged(compact, &keys, None, true), Err("signature"));
    let inline = compact.replace("..", ".$.02.");
    assert_eq!(judged(&inline, &keys, None, true), Err("shape"), "a dot cannot be in a compact payload");
}

#[test]
fn the_keys_of_the_cookbook() {
    let mut taken = Vec::new();
    for path in files("jwk") {
        let verdict = KeySet::parse(read(&path).to_string().as_bytes(), 1, true);
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        taken.push((name, verdict.err()));
    }
    let refused: Vec<_> = taken.iter().filter_map(|(name, why)| Some((name.as_str(), why.as_deref()?))).collect();
    assert_eq!(taken.len(), 6);
    assert_eq!(refused, [("3_6.symmetric_key_encryption.json", "its use is not sig")]);
}
