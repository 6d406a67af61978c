//! Language models that answer: many at once on one engine, each answer with a receipt of its own.
//!
//! ```text
//! Ask ─issue::begin─▶ Begun ─Speaker::ask─▶ inbox ─▶ speaker's thread: Schedule says what runs, one Engine::advance for all of it
//!                                                       │ Event::Said, token by token            │ an answer ends
//!                                                       ▼                                         ▼
//!                                                   whoever asked ◀─Event::Ended, receipt kept── closer's thread: issue::close, Receipts::put
//! ```
//!
//! Answers that must fit a grammar find what may come next on a thread of their own (`masker`), and wait for it without holding up others; so do answers whose reader is behind (`queue`).
//!
//! [`schedule`] decides and [`issue`] claims; both are pure. The threads around them own the sessions, and nothing else does, so there is no lock. Memory is bounded by
//! the number of answers at once times the model's context; whoever comes when all places are taken is told so at once.
//!
//! What is deliberately absent: HTTP and JSON (`http::openai`, [`crate::openai`]), and priorities: who came first is served first.

mod answers;
mod closer;
pub mod issue;
mod masker;
mod queue;
mod schedule;
mod speaker;
mod voice;

pub use answers::{Ended, Event, Said, Trouble};
pub use queue::{Events, queue};
pub use schedule::Caps;
pub use speaker::{Choice, Full, Request, Speaker};
