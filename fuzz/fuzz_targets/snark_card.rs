//! libFuzzer's way into the target `snark_card` of `credence_testkit::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    credence_testkit::decoders::run("snark_card", bytes);
});
