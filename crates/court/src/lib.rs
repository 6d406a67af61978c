//! Holds disputes over HTTP: a referee's server, the client of both parties, and verdicts that travel.
//!
//! ```text
//! challenger ─Filing─▶ ┌────────────────────────────────┐ ◀─polls── operator
//!            ─message▶ │ server ─▶ Docket ─▶ Referee    │ ◀─message─
//!            ◀─entries─│           │ each entry a file  │ ─entries─▶
//!                      └───────────┴────────────────────┘
//! verdict: a receipt of kind `verdict`, the transcript as its evidence ─confirm─▶ the referee again, by anyone
//! ```
//!
//! The referee itself is `credence_dispute`'s, a pure function; here are its clock, its files, its limits and its sockets (`docs/spec/dispute.md`, section 9).
//! Nothing of a dispute is kept in memory but where it stands: every message that counts is judged by a referee that is led over the entries in the files, so a
//! restart forgets nothing.
//!
//! It deliberately holds no model and no run, and opens no connection to anyone: parties come to the referee.
#![forbid(unsafe_code)]

mod client;
mod clock;
mod docket;
mod error;
mod filing;
mod lines;
mod notice;
mod party;
mod pass;
mod records;
mod server;
mod verdict;

pub use client::{ClientError, CourtClient};
pub use clock::StillClock;
pub use docket::{Docket, Rules};
pub use error::CourtError;
pub use filing::{CARD_BYTES_MAX, Draft, FILING_BYTES_MAX, Filing, FilingError};
pub use lines::{Line, lines};
pub use notice::{About, Notice, Standing};
pub use party::{Seat, Step, StepError, step};
pub use pass::{Gate, PASS_SKEW_S, Pass};
pub use server::{CourtEvent, CourtSink, ServeError, serve};
pub use verdict::{
    DOSSIER_VERSION, Dossier, DossierError, ShownVerdict, VerdictRefusal, confirm, statement,
};

/// Most bytes of one message that a court takes.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Most bytes of all messages of one dispute: with card and receipt they fit into a bundle.
pub const TRANSCRIPT_BYTES_MAX: usize = 36 << 20;
