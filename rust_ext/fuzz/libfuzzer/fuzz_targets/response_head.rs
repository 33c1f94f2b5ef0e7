//! The libFuzzer driver of the fuzz target `response_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::response_head(data));
