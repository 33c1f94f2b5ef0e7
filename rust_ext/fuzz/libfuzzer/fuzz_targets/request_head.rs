//! The libFuzzer driver of the fuzz target `request_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::request_head(data));
