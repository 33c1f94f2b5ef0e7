//! The libFuzzer driver of the fuzz target `networks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::networks_target(data));
