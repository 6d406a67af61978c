//! Run a program exactly: a plain reference engine, a fast engine equal to it bit for bit, the trace.
//!
//! ```text
//!                 ┌─▶ reference::run ─▶ Observed: every value of every node, and
//! Model, Tensors ─┤                                          ▼
//!                 └─▶ Engine::run ───────────────▶ Execution { outputs, trace }
//! ```
//!
//! The reference engine asks the cell relation of `credence-exact` for every cell. The fast engine plans a model once: sums stay in
//! registers until they are rounded, cut nodes are computed in place in the trace, weights are packed for the machine's
//! instructions. It equals the reference on every value, not only those in the trace, for every [`Isa`], thread count
//! and batch; tests compare them over random programs.
//!
//! [`sampling`] takes the next token of a language model from its logits, in integers too.
//!
//! What is deliberately absent: floating-point arithmetic (but for the encoding of inputs and for quotients of integers, where a proof beside the code
//! and tests show it exact), clocks, files, sockets, and any tolerance.

#![deny(unsafe_op_in_unsafe_fn)]

mod buffer;
mod cache;
mod cells;
mod engine;
mod error;
mod isa;
mod kernel;
mod plan;
pub mod reference;
mod request;
pub mod sampling;
mod session;
mod step;
mod stopwatch;
mod trace;

pub use engine::{Engine, Execution, Options};
pub use error::{PlanError, RunError};
pub use isa::Isa;
pub use plan::Plan;
pub use session::{Append, LogitSink, Session, SessionError, ValueSink, Wanted};
pub use stopwatch::StepTime;
pub use trace::Trace;
