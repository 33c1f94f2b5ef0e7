//! The libFuzzer driver of the fuzz target `credentials`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::credentials(data));
