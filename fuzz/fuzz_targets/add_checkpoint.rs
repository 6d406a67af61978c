//! libFuzzer's way into the target `add_checkpoint` of `credence_testkit::decoders`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    credence_testkit::decoders::run("add_checkpoint", bytes);
});
