//! The libFuzzer driver of the fuzz target `header_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::header_filter(data));
