//! Every file of the stored corpus goes through its target: a property that fails panics with the file's name.

use std::panic;
use std::path::{Path, PathBuf};

use fastgate_fuzz::{TARGETS, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

fn replay(name: &str, target: Target) {
    let files = files(&corpus().join(name));
    assert!(files.len() >= 20, "{name}: a corpus of {} files replays nothing", files.len());
    for file in files {
        let bytes = std::fs::read(&file).expect("readable");
        let held = panic::catch_unwind(|| target(&bytes));
        assert!(held.is_ok(), "{name}: {} fails: {}", file.display(), bytes.escape_ascii());
    }
}

fn by_name(name: &str) -> Target {
    TARGETS.iter().find(|(n, _)| *n == name).expect("a target").1
}

#[test]
fn request_head() {
    replay("request_head", by_name("request_head"));
}

#[test]
fn response_head() {
    replay("response_head", by_name("response_head"));
}

#[test]
fn chunked() {
    replay("chunked", by_name("chunked"));
}

#[test]
fn target() {
    replay("target", by_name("target"));
}

#[test]
fn route_patterns() {
    replay("route_patterns", by_name("route_patterns"));
}

#[test]
fn expression() {
    replay("expression", by_name("expression"));
}

#[test]
fn signature() {
    replay("signature", by_name("signature"));
}

#[test]
fn publish() {
    replay("publish", by_name("publish"));
}

#[test]
fn resp() {
    replay("resp", by_name("resp"));
}

#[test]
fn credentials() {
    replay("credentials", by_name("credentials"));
}

#[test]
fn header_filter() {
    replay("header_filter", by_name("header_filter"));
}

#[test]
fn yaml() {
    replay("yaml", by_name("yaml"));
}

#[test]
fn websocket() {
    replay("websocket", by_name("websocket"));
}

/// A folder without a target would never be replayed, a target without a driver never fuzzed.
#[test]
fn targets_folders_and_drivers_are_the_same_set() {
    let stems = |folder: &Path| -> Vec<String> {
        files(folder).iter().map(|f| f.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
    };
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(stems(&corpus()), names);
    assert_eq!(stems(&Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets")), names);
}

#[test]
fn the_corpus_stays_small() {
    let all: Vec<PathBuf> = files(&corpus()).iter().flat_map(|folder| files(folder)).collect();
    let bytes: u64 = all.iter().map(|file| file.metadata().expect("readable").len()).sum();
    assert!(bytes < 2 << 20, "the corpus has {bytes} bytes, at most 2 MiB are allowed");
}

#[test]
fn jws() {
    replay("jws", by_name("jws"));
}

#[test]
fn jwks() {
    replay("jwks", by_name("jwks"));
}

#[test]
fn base64url() {
    replay("base64url", by_name("base64url"));
}

#[test]
fn networks() {
    replay("networks", by_name("networks"));
}

#[test]
fn proxy_header() {
    replay("proxy_header", by_name("proxy_header"));
}
