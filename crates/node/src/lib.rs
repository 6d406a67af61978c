//! Serves models: runs them, claims, signs, keeps the receipt; and speaks HTTP.
//!
//! ```text
//! Question{inputs, nonce} ──Engine──▶ Execution ──issue(operator, draws)──▶ Answer{outputs, bundle}
//!        ▲                                                                     │
//!   oip (JSON) ◀── http::router ◀── axum                                  Receipts::put
//! ```
//!
//! [`inference`] is the core: pure, its randomness and time are arguments. [`Service`] draws them and keeps the receipt.
//! `credence run` and `credence serve` both go through it, so they give the same receipts.
//!
//! It deliberately does not verify, chooses no model file and knows no home folder: it is given models, a key, and a
//! place for receipts.
#![forbid(unsafe_code)]

pub mod http;
pub mod inference;
pub mod oip;
mod serve;
mod service;

pub use inference::{Answer, Draws, IssueError, Operator, Question};
pub use serve::{Grace, serve, shutdown_signal};
pub use service::{AnswerError, Hosted, Service};
