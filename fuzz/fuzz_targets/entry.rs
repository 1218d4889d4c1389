//! Bytes that lie under a name in Redis.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let used = allocation_counter::measure(|| larder::fuzzing::entry(bytes));
    let most = larder::fuzzing::most_allocated(bytes.len());
    assert!(used.bytes_max <= most, "{} bytes allocated at once for {} bytes", used.bytes_max, bytes.len());
});
