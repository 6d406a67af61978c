//! A circuit together with the model that it was built of: all that a proof is checked against.
//!
//! A proof checked by one model's circuit under another model's id would show nothing of either. Here the two cannot come apart: nothing but [`Relation::new`] makes one, and what it holds is read, never
//! changed. It deliberately knows no claim: `snark.rs` compares the model with the claimed one.

use std::sync::Arc;

use credence_model::Model;

use crate::circuit::{Circuit, CircuitError, Extent};

/// What a proof shows to hold: the circuit of one model over so many positions.
///
/// ```compile_fail,E0451
/// # fn forged(model: std::sync::Arc<credence_model::Model>, circuit: credence_method_snark::circuit::Circuit) {
/// let forged = credence_method_snark::Relation { model, circuit };
/// # }
/// ```
#[derive(Debug)]
pub struct Relation {
    model: Arc<Model>,
    circuit: Circuit,
}

impl Relation {
    /// The relation of the model's runs over so many positions.
    ///
    /// # Errors
    /// [`CircuitError`]: an op that has no proof, by name; or a size over its limit.
    pub fn new(model: Arc<Model>, positions: impl Into<Extent>) -> Result<Self, CircuitError> {
        let circuit = Circuit::new(&model, positions)?;
        Ok(Self { model, circuit })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its circuit.
    #[must_use]
    pub const fn circuit(&self) -> &Circuit {
        &self.circuit
    }
}
