//! What a server answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let used = allocation_counter::measure(|| larder::fuzzing::reply(bytes));
    let most = larder::fuzzing::most_allocated_for_a_reply(bytes.len());
    assert!(used.bytes_max <= most, "{} bytes allocated at once for {} bytes", used.bytes_max, bytes.len());
});
