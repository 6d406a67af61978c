//! A circuit together with the model that it was built of: all that a proof is checked against.
//!
//! A proof checked by one model's circuit under another model's id would show nothing of either. Here the two cannot come apart: nothing but [`Relation::new`] and [`Relation::apart`] makes one, and what it holds is
//! read, never changed. It deliberately knows no claim: `snark.rs` compares the model with the claimed one.

use std::sync::Arc;

use credence_model::Model;

use crate::circuit::{Circuit, CircuitError, Extent};
use crate::known::Known;
use crate::weights::Card;

/// Most bytes of a circuit that a verifier builds: its size follows from the claim, which a stranger wrote.
const CIRCUIT_BYTES_MAX: u64 = 4 << 30;

/// What is known of the model.
#[derive(Debug)]
enum Source {
    Model(Arc<Model>),
    Card(Arc<Card>),
}

/// What a proof shows to hold: the circuit of one model over so many positions.
///
/// ```compile_fail,E0451
/// # fn forged(other: credence_method_snark::Relation, circuit: credence_method_snark::circuit::Circuit) {
/// let forged = credence_method_snark::Relation { circuit, ..other };
/// # }
/// ```
#[derive(Debug)]
pub struct Relation {
    source: Source,
    circuit: Circuit,
}

impl Relation {
    /// The relation of the model's runs over so many positions. Whoever checks reads the model's weights.
    ///
    /// # Errors
    /// [`CircuitError`]: an op that has no proof, by name; or a size over its limit.
    pub fn new(model: Arc<Model>, positions: impl Into<Extent>) -> Result<Self, CircuitError> {
        let circuit = Circuit::within(&model, positions, CIRCUIT_BYTES_MAX)?;
        Ok(Self {
            source: Source::Model(model),
            circuit,
        })
    }

    /// The same for whoever has no weights, but a card of them.
    ///
    /// # Errors
    /// [`CircuitError`].
    pub fn apart(card: Arc<Card>, positions: impl Into<Extent>) -> Result<Self, CircuitError> {
        let circuit = Circuit::apart(card.as_ref(), positions, CIRCUIT_BYTES_MAX)?;
        Ok(Self {
            source: Source::Card(card),
            circuit,
        })
    }

    /// The model, as far as it is known.
    #[must_use]
    pub fn known(&self) -> &dyn Known {
        match &self.source {
            Source::Model(model) => model,
            Source::Card(card) => card,
        }
    }

    /// The card of the weights, if they are committed to.
    #[must_use]
    pub fn card(&self) -> Option<&Card> {
        match &self.source {
            Source::Model(_) => None,
            Source::Card(card) => Some(card),
        }
    }

    /// The circuit.
    #[must_use]
    pub const fn circuit(&self) -> &Circuit {
        &self.circuit
    }
}
