//! Globs and the names that they match.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::pattern(bytes));
