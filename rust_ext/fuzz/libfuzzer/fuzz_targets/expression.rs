//! The libFuzzer driver of the fuzz target `expression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::expression(data));
