//! ONNX files: whatever the bytes are, they are read or refused (`cargo fuzz run --features formats onnx`).
//!
//! It stands here alone: the test kit must not depend on what reads ONNX. Seeds are `models/*.onnx`.
#![no_main]

use credence_format_onnx::{Limits, Onnx};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(Onnx::parse(bytes, Limits { bytes_max: 1 << 20 }));
});
