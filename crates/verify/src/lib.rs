//! Accepts or refuses a bundle under a policy, and makes the only [`Verified`] there is.
//!
//! ```text
//! bytes ─decode▶ Bundle ─signature▶ statement ─consistency▶ claim ─log, keys, policy▶ ─openings▶ Case ─each required method▶ Verified + Assurance
//!           │               │              │                       │             │                            │
//!       Malformed      BadSignature    Inconsistent           PolicyUnmet   Inconsistent     MissingFacts, Refuted, Failed
//! ```
//!
//! A pure function: the same bytes, policy, methods and facts give the same answer on every machine, offline. Time is a
//! fact that the caller states.
//!
//! It deliberately runs no method that the policy does not ask for, parses no configuration, and knows no method by
//! itself: who links one passes it in. That a key signed is always checked, and so needs no method.
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

mod binding;
mod check;
mod keys;
mod logged;
mod policy;
mod refusal;
mod shown;

pub use binding::{ShownWeightsBinding, confirm_weights_binding};
pub use check::{Receipt, Verified, check, check_bytes};
pub use policy::{Facts, LogDemand, Policy};
pub use refusal::{Refusal, RefusalKind};
pub use shown::{
    NotEquivocation, ShownEquivocation, ShownKeyStatement, confirm_equivocation,
    confirm_key_statement,
};
