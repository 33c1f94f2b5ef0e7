//! The libFuzzer driver of the fuzz target `proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fastgate_fuzz::proxy_header(data));
