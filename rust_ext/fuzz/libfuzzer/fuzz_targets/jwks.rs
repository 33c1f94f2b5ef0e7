//! The libFuzzer driver of the fuzz target `jwks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::jwks(data));
