#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wan_animate_fuzz::read_all(&wan_animate_fuzz::file("checkpoint.bin", bytes)));
