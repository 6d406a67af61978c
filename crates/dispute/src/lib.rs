//! Referees a dispute: an operator and a challenger who disagree about a run are led down to one cell, and one relation decides.
//!
//! ```text
//! Terms ─▶ Referee ──step(signed message | tick, now)──▶ Referee: what it asks, of whom, until when ──▶ … ──▶ Verdict
//!             │                                                                                               ▲
//!             └─entries: time, message─▶ Transcript ───────────────check: the referee again──────────────────┘
//! ```
//!
//! The referee knows the claim and the model's card, and neither weights nor trace. It is a pure state machine (`docs/spec/dispute.md`): what it says follows from the
//! terms and the entries, so whoever has the transcript reaches the same verdict. Each message is signed over all that went before, so none can be used elsewhere.
//!
//! It deliberately has no clock, makes no message (the players do, who hold runs), and trusts the model's program no more than a spot check does: a relation that takes too
//! much work is left undecided.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::string_slice,
        clippy::panic_in_result_fn,
        clippy::wildcard_enum_match_arm
    )
)]

mod draw;
mod examine;
mod message;
mod opened;
mod referee;
mod site;
mod subject;
mod terms;
mod transcript;
mod verdict;

pub use draw::{Cuts, Drawing, Tally};
pub use examine::{Asked, Examined, Examiner};
pub use message::{
    Body, MESSAGE_BYTES_MAX, MessageError, Opening, SPLIT_LEVELS, Sums, sign, signed_body,
    signed_bytes,
};
pub use opened::{OpenError, Opened, ReadPlace, TreeOpening};
pub use referee::{At, Ignored, Question, Referee, RefereeError, Status};
pub use site::{Site, may_be_named, site, steps_max};
pub use subject::{Draws, Outputs, Run};
pub use terms::{Party, TURN_S_MAX, Terms, TermsError};
pub use transcript::{Entry, TRANSCRIPT_BYTES_MAX, Transcript, TranscriptError};
pub use verdict::{Reason, Verdict, VerdictError};
