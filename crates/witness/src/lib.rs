//! Cosigns the checkpoints of logs over HTTP, and asks others to (C2SP `tlog-witness`).
//!
//! ```text
//! POST add-checkpoint ─▶ server ─credence-log's Witness─▶ new record ─NoteFolder, durable─▶ cosignature leaves
//! client ─checkpoint, in parallel─▶ witnesses ─lines─▶ each checked against the witness's own key ─▶ quorum
//! two checkpoints that cannot both be true ─▶ Evidence, one file that anyone checks offline
//! ```
//!
//! The decisions are `credence_log::witness`'s; here are the sockets, the files and the clock. Two parts serve monitors as well:
//! [`listen`], the bounded listener, and [`fetch`], the bounded client.
//!
//! It deliberately keeps no copy of any log, offers no `sign-subtree`, and trusts no witness beyond its signature.
#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod config;
pub mod evidence;
pub mod fetch;
pub mod listen;
pub mod server;
pub mod state;

pub use client::{Ask, Asked, Client, ClientError, Outcome, Proofs, ProofsError, WitnessAddress};
pub use clock::{Clock, system_clock};
pub use config::{ConfigError, Host, RunError, WitnessConfig};
pub use evidence::{Evidence, EvidenceError};
pub use listen::Limits;
pub use server::{WitnessEvent, WitnessServer, WitnessServerError, WitnessSink};
pub use state::{NoteFolder, Notes, StateError};
