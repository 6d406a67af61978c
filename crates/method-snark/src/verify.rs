//! The verifier: from a model's relation, public values and a proof's bytes to yes, or the first reason why not.
//!
//! ```text
//! outputs, shown rows ‖ commitment ‖ lookup argument ‖ sumcheck over the committed values ‖ their value at one point ‖ its opening
//! ```
//!
//! Every length is the circuit's. It deliberately knows no claim: `snark.rs` does.

use crate::functional::PullBackError;
use crate::lookup::{self, LookupError};
use crate::pairs::{self, PairError};
use crate::pcs::{self, Commitment, Params, ParamsError, PcsError};
use crate::protocol::{Claims, Statement, combine, lookup_challenges, start};
use crate::reader::{ReadError, Reader};
use crate::relation::Relation;
use crate::run::{PublicError, Publics, fits};
use crate::sumcheck::{self, SumcheckError};

/// The degree of the sumcheck over the committed values.
pub const WITNESS_DEGREE: usize = 2;

/// Why a proof is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Public values do not fit the circuit.
    #[error("the public values are not those of this model and number of positions")]
    Sizes,
    /// The front of the proof.
    #[error("the public values of the proof are refused")]
    Public(#[from] PublicError),
    /// The commitment cannot be read.
    #[error("the proof cannot be read: send one that is whole")]
    Read(#[from] ReadError),
    /// The lookup argument.
    #[error("the argument for lookups and products is refused")]
    Lookup(#[from] LookupError),
    /// Products of two values.
    #[error("the argument for products of two values is refused")]
    Pairs(#[from] PairError),
    /// The sumcheck over the committed values cannot be read.
    #[error("the sumcheck over the committed values is refused")]
    Sumcheck(#[from] SumcheckError),
    /// The circuit is not of the model at hand.
    #[error("the circuit is not of this model")]
    Circuit(#[from] PullBackError),
    /// The committed values do not have the sums that the program asks of them.
    #[error("the committed values do not satisfy the program's equations")]
    Equations,
    /// There are more values than can be committed to.
    #[error("the run is too long for a proof: use smaller batches")]
    Params(#[from] ParamsError),
    /// The commitment does not open.
    #[error("the opening of the commitment is refused")]
    Opening(#[from] PcsError),
}

/// Checks a proof's bytes behind the public values that stand at its front. All bytes must be read.
///
/// # Errors
/// [`ProofError`], the first that is met.
pub fn verify(
    statement: &Statement<'_>,
    relation: &Relation,
    publics: &Publics,
    mut reader: Reader<'_>,
) -> Result<(), ProofError> {
    let (model, circuit) = (relation.model(), relation.circuit());
    if !fits(model, circuit, publics) {
        return Err(ProofError::Sizes);
    }
    let params = Params::new(circuit.witness_log(), statement.security)?;
    let commitment = Commitment::read(&params, &mut reader)?;
    let mut transcript = start(statement, model, circuit, publics);
    commitment.absorb(&params, &mut transcript);
    let challenges = lookup_challenges(&mut transcript);
    let products = !circuit.gates.a.is_empty();
    let leaves = lookup::verify(circuit.leaves_log(), products, &mut reader, &mut transcript)?;
    let pairs = pairs::verify(circuit, &leaves.point, &mut reader, &mut transcript)?;
    let claims = Claims { leaves, pairs };
    let claim = combine(
        circuit,
        model,
        publics,
        challenges,
        &claims,
        &mut transcript,
    )?;
    let rounds = usize::try_from(circuit.witness_log()).unwrap_or(usize::MAX);
    let reduced = sumcheck::verify(
        rounds,
        WITNESS_DEGREE,
        claim.sum,
        &mut reader,
        &mut transcript,
    )?;
    let value = reader.k()?;
    if claim.weights_at(circuit, &reduced.point) * value != reduced.value {
        return Err(ProofError::Equations);
    }
    pcs::verify(
        &params,
        &commitment,
        &reduced.point,
        value,
        &mut reader,
        &mut transcript,
    )?;
    Ok(reader.finish()?)
}
