//! Plays both sides of a dispute from a run made again.
//!
//! ```text
//! Model ──▶ Player ──rerun(Case)──▶ Sections ─┬─▶ Operator::answer(&Referee) ─▶ Body
//!                                             └─▶ Challenger::answer(&Referee) ─▶ Body        ──sign──▶ message
//! ```
//!
//! Each party runs a referee of its own over the messages that count, and reads from it what is asked. An operator keeps nothing of a run: exact arithmetic gives the same
//! bytes again. While a party plays it holds all sections (some 0.6 MB for each position of a model of 135 million parameters) and the weights. It deliberately signs
//! nothing and sends nothing: keys and sockets are the caller's.
#![forbid(unsafe_code)]

mod challenger;
mod contents;
mod operator;
mod player;

pub use challenger::Challenger;
pub use contents::Contents;
pub use operator::Operator;
pub use player::{PlayError, Player, Sections};
