//! The HTTP API: OpenAI's for text, the Open Inference Protocol, version 2, for tensors, and receipts for both.
//!
//! ```text
//! POST /v1/chat/completions  /v1/completions      language models, streamed or not
//! GET  /v1/models  /v1/models/{m}
//! GET  /v2                                  the server
//! GET  /v2/health/live  /v2/health/ready
//! GET  /v2/models/{m}  …/ready              also …/versions/{ModelId}
//! POST /v2/models/{m}/infer                 ─▶ answer, `credence-receipt: <digest>` and `credence-bundle: <path>`
//! POST /v1/receipts/{digest}/audit?key=     ─▶ cells of the run, opened for an auditor's challenge
//! GET  /v1/receipts/{digest}                ─▶ the receipt with its place in the log; the whole bundle with `?key=`
//! ```
//!
//! A request may carry `credence-nonce`, 64 hexadecimal digits; the claim then holds it.
//!
//! **Who gets a receipt.** A bundle opens input and output, and it is given to whoever names its digest. The digest is
//! 32 bytes that only the client of that request was told, over a salt that nobody else knows, so it serves as a
//! password; a client that passes it on passes the answer on.
//!
//! Limits: the length of a body and of all bodies together, connections, the time of a head and of a request (`503`), the number of inferences
//! and answers at once (`429` past it). A body that comes slowly holds nothing but the bytes that have come.
//! There is deliberately no TLS and no login here: a reverse proxy has them.

mod audit;
mod body;
mod embeddings;
mod error;
mod infer;
mod limits;
mod models;
mod nonce;
mod openai;
mod openai_error;
mod receipts;
mod router;
mod sse;
mod statements;

pub use error::ApiError;
pub use limits::Limits;
pub use router::router;

/// The request header that holds the client's nonce, 64 lower-case hexadecimal digits.
pub const NONCE_HEADER: &str = "credence-nonce";

/// The response header that holds the receipt's digest, 64 lower-case hexadecimal digits.
pub const RECEIPT_HEADER: &str = "credence-receipt";
/// The header that says where an answer's client gets the bundle: a path with the key that opens it.
pub const BUNDLE_HEADER: &str = "credence-bundle";
