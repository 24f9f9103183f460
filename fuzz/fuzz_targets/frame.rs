#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| (fmi_channels::fuzzing::TARGETS[0].1)(data));
