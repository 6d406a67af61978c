//! Requests over HTTP: whatever the body is, it is read or refused (`cargo fuzz run --features formats requests`).
//!
//! It stands here alone: the test kit must not depend on the node, which links what reads ONNX.
#![no_main]

use credence_node::oip::{InferRequest, read_tensors};
use credence_node::openai::{read_chat, read_completion};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<InferRequest>(bytes) {
        drop(read_tensors(request.inputs));
    }
    drop(read_chat(bytes));
    drop(read_completion(bytes));
});
