//! The libFuzzer driver of the fuzz target `target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::target(data));
