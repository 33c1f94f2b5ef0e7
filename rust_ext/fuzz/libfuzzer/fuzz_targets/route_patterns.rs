//! The libFuzzer driver of the fuzz target `route_patterns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::route_patterns(data));
