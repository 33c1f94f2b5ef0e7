//! The libFuzzer driver of the fuzz target `base64url`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::base64url(data));
