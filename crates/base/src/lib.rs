//! Names things: digests, typed ids, keys and signatures, domain strings, canonical encodings with limits.
//!
//! Everything else in Credence is built on these few types, so this crate is part of what a user trusts: it is
//! pure (no I/O, clock or entropy; those are arguments), every decoder takes a limit and reads one form only, and
//! none of it can panic.
//!
//! It deliberately knows nothing about models, claims or receipts, and reads no key file: who holds a key on disk
//! is the business of the crates that do I/O.
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

mod digest;
pub mod domain;
mod ids;
pub mod json;
pub mod key;
mod name;
mod profile;
pub mod wire;

pub use digest::{Digest, HexError};
pub use domain::Domain;
pub use ids::{
    ClaimDigest, FileDigest, InputCommitment, KeyId, ModelId, Nonce, OutputCommitment,
    ParamsCommitment, ReceiptDigest, Salt, TraceCommitment, TraceRoot,
};
pub use key::{PublicKey, Signature, SigningKey};
pub use name::{Name, NameError};
pub use profile::{PROTOCOL_VERSION, Profile};
