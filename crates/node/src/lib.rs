//! Serves models: runs them, claims, signs, keeps the receipt; and speaks HTTP.
//!
//! ```text
//! Question{inputs, nonce} ──Engine──▶ Execution ──issue(operator, draws)──▶ Answer{outputs, bundle}
//!        ▲                                                                     │
//!   oip (JSON) ◀── http::router ◀── axum                                  Receipts::put
//!
//! openai (JSON) ──▶ speech::Speaker: many answers on one engine ──▶ Event… and a receipt for each
//! ```
//!
//! [`inference`] is the core: pure, its randomness and time are arguments. [`Service`] draws them and keeps the receipt.
//! `credence run` and `credence serve` both go through it, so they give the same receipts.
//!
//! It deliberately does not verify, chooses no model file and knows no home folder: it is given models, a key, and a
//! place for receipts.
#![forbid(unsafe_code)]

mod cosigning;
mod disputes;
pub mod embedding;
pub mod http;
pub mod inference;
mod keeper;
mod logging;
pub mod oip;
pub mod openai;
mod paced;
mod serve;
mod service;
pub mod speech;
mod spot;

pub use cosigning::{Cosigning, CosigningError, Pace};
pub use credence_receipt::{Kept, ReceiptKey};
pub use disputes::Disputing;
pub use inference::{Answer, Draws, IssueError, Operator, Question};
pub use keeper::{KeepError, Keeper};
pub use logging::{CatchUpError, Logging, LoggingError};
pub use serve::{Grace, serve, shutdown_signal};
pub use service::{
    AnswerError, Care, Embedded, HostError, Hosted, ReceiptError, Service, StatementError,
};
pub use spot::{Keeping, SpotAsked, SpotError, Spots};

/// An error and its sources on one line.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
