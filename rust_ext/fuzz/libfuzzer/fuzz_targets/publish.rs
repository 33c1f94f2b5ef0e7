//! The libFuzzer driver of the fuzz target `publish`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::publish(data));
