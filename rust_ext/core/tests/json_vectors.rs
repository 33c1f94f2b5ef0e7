//! The public JSON vectors: what must be taken is, what must be refused is, and each choice that is left is written down.

use std::fs;
use std::path::Path;

use fastgate_core::json::{Fault, build, parse};
use serde_json::Value;

/// Of the texts that the RFC allows, those that the strict rules refuse, and why.
const REFUSED: &[(&str, Fault)] =
    &[("y_object_duplicated_key.json", Fault::Duplicate), ("y_object_duplicated_key_and_value.json", Fault::Duplicate)];

/// Of the texts that are left to the reader, those that are taken.
const TAKEN: &[&str] = &[
    "i_number_double_huge_neg_exp.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
];

#[test]
fn every_vector_gets_the_verdict_it_must_get() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/json-parsing");
    let mut seen = [0; 3];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read(&path).unwrap();
        let verdict = parse(&text).err().map(|invalid| invalid.fault);
        assert_eq!(verdict, build(&text).err().map(|invalid| invalid.fault), "{name}");
        if verdict.is_none() {
            let (built, other) = (build(&text).unwrap(), serde_json::from_slice(&text).unwrap());
            assert!(same(&built, &other), "{name}: {built} {other}");
        }
        match &name[..2] {
            "y_" => {
                seen[0] += 1;
                assert_eq!(verdict, REFUSED.iter().find(|(of, _)| *of == name).map(|(_, fault)| *fault), "{name}");
            }
            "n_" => {
                seen[1] += 1;
                assert!(verdict.is_some(), "{name}");
            }
            "i_" => {
                seen[2] += 1;
                assert_eq!(verdict.is_none(), TAKEN.contains(&name), "{name}: {verdict:?}");
            }
            _ => assert_eq!(name, "LICENSE"),
        }
    }
    assert_eq!(seen, [95, 188, 35]);
}

/// The other reader rounds some doubles to a neighbour.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((n, a), (m, b))| n == m && same(a, b))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a / b - 1.0).abs() < 1e-14
        }
        _ => a == b,
    }
}
