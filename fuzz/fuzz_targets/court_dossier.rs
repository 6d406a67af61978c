//! libFuzzer's way into the target `court_dossier` of `credence_testkit::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    credence_testkit::decoders::run("court_dossier", bytes);
});
