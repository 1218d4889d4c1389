//! Templates, ids and namespaces.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| larder::fuzzing::names(bytes));
