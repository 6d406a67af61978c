//! libFuzzer's way into the target `key_pem` of `credence_testkit::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    credence_testkit::decoders::run("key_pem", bytes);
});
