//! Signs a statement: an in-toto Statement in a DSSE envelope, and the bundle that travels.
//!
//! ```text
//! Inference{claim, operator, time} ──Statement::encode──▶ canonical JSON ──sign──▶ Envelope ──▶ ReceiptDigest
//! Envelope ──open──▶ Signed{statement}          signature first, then what was signed
//! Bundle{receipt, openings, evidence, log} ⇄ canonical JSON
//! ```
//!
//! `docs/spec/receipt.md` is normative. A [`Signed`] statement says that a key signed it and that it agrees with
//! itself; whether that key, model or time will do, and whether the claim is true, is for the verifier.
//!
//! It deliberately does no I/O, keeps no time, and trusts nothing in an envelope that the signature does not cover.
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

mod bundle;
mod envelope;
mod kept;
mod kind;
mod statement;

pub use bundle::{BUNDLE_LEN_MAX, BUNDLE_MEDIA_TYPE, Bundle, BundleError, LOG_LEN_MAX};
pub use envelope::{
    ENVELOPE_LEN_MAX, Envelope, EnvelopeError, OpenError, PAYLOAD_TYPE, SignError, Signed, pae,
    sign,
};
pub use kept::{Kept, ReceiptKey};
pub use kind::Kind;
pub use statement::{
    AUDIT_NUMBERS_MAX, Audit, AuditOutcome, Equivocation, Imported, Inference, KeyAction,
    KeyStatement, LOG_KEY_LEN_MAX, Loser, NOTE_LEN_MAX, OPTIONS_LEN_MAX, STATEMENT_LEN_MAX,
    STATEMENT_TYPE, Statement, StatementError, Tool, VerdictStatement, WeightsBinding,
};
