//! Weights that a proof commits to once for a model, instead of their being read by whoever checks (`docs/spec/snark.md`, section 9).
//!
//! ```text
//! layout: program ──▶ where each matrix stands among the committed weights
//! card: program, what is public of the weights, bounds, commitment ──▶ what a verifier without weights knows of a model, and its WeightsId
//! claim: maps whose weights are not at hand ──▶ what they add to the linear claim, as one sum over all weights
//! ```
//!
//! It deliberately commits to nothing: that is the prover's to do.

mod card;
mod claim;
mod layout;

pub use card::{CARD_VERSION, Card, CardError, CardParts, WeightsId};
pub(crate) use claim::forwards;
pub use claim::{Apart, WeightsClaim, WeightsError};
pub use layout::{Block, Layout, public_params, public_ranges};

use crate::pcs::Security;

/// What weights are committed for: enough for any proof.
pub const WEIGHTS_SECURITY: Security = Security::Bits128;

/// The scheme of a weights binding that names a card.
pub const SCHEME: &str = "snark-card";

/// The rule by which a card follows from a model, and its version.
pub const DERIVATION: (&str, &str) = ("snark-card", "1");
