//! libFuzzer's way into the target `court_filing` of `credence_testkit::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    credence_testkit::decoders::run("court_filing", bytes);
});
