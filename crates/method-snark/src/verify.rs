//! The verifier: from a model's relation, public values and a proof's bytes to yes, or the first reason why not.
//!
//! ```text
//! outputs, shown rows ‖ commitment ‖ lookup argument ‖ sumcheck over the committed values ‖ their value at one point ‖ its opening
//! where weights are committed to: before and behind that sumcheck what they add, then a sumcheck over the weights, their value at one point, and behind all else its opening
//! ```
//!
//! Every length is the circuit's. It deliberately knows no claim: `snark.rs` does.

use crate::extension::K;
use crate::functional::PullBackError;
use crate::lookup::{self, LookupError};
use crate::pairs::{self, PairError};
use crate::pcs::{self, Commitment, Params, ParamsError, PcsError};
use crate::protocol::{Claims, LinearClaim, Statement, combine, lookup_challenges, start};
use crate::reader::{ReadError, Reader};
use crate::relation::Relation;
use crate::run::{PublicError, Publics, fits};
use crate::sumcheck::{self, Reduced, SumcheckError};
use crate::transcript::Transcript;
use crate::weights::{Card, WEIGHTS_SECURITY, WeightsClaim, WeightsError};

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
    /// What the proof says of committed weights cannot be read.
    #[error("the sumcheck over the committed weights is refused")]
    WeightsSumcheck(#[source] SumcheckError),
    /// Circuit and card are of different programs.
    #[error("the circuit is not of this card")]
    Card(#[from] WeightsError),
    /// The committed weights do not add up to what the proof says of them.
    #[error("the committed weights do not give what the proof says: it is of other weights")]
    Weights,
    /// The commitment to the weights does not open.
    #[error("the opening of the committed weights is refused")]
    WeightsOpening(#[source] PcsError),
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
    let (model, circuit) = (relation.known(), relation.circuit());
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
    let weights = match relation.card() {
        Some(card) => Some((card, on_public(&mut reader, &mut transcript)?)),
        None => None,
    };
    let on_public = weights.map_or(K::ZERO, |(_, sum)| sum);
    let rounds = usize::try_from(circuit.witness_log()).unwrap_or(usize::MAX);
    let sum = claim.sum - on_public;
    let reduced = sumcheck::verify(rounds, WITNESS_DEGREE, sum, &mut reader, &mut transcript)?;
    let value = reader.k()?;
    let mut weight = claim.weights_at(circuit, &reduced.point);
    let mut opened = None;
    if let Some((card, on_public)) = weights {
        let on_committed = reader.k()?;
        weight += on_committed;
        transcript.absorb_ks("weights on committed values", &[value, on_committed]);
        let values = [
            claim.public_values(circuit, publics),
            claim.committed_values(circuit, &reduced.point),
        ];
        let sums = [on_public, on_committed];
        let reader = &mut reader;
        opened = Some(weights_opened(
            (relation, card, &claim),
            &values,
            sums,
            reader,
            &mut transcript,
        )?);
    }
    if weight * value != reduced.value {
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
    if let Some((card, opened)) = weights.map(|(card, _)| card).zip(opened) {
        weights_open(card, &opened, &mut reader, &mut transcript)?;
    }
    Ok(reader.finish()?)
}

/// The card's commitment, opened.
fn weights_open(
    card: &Card,
    opened: &Reduced,
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<(), ProofError> {
    let params = Params::new(card.layout().log_len(), WEIGHTS_SECURITY)?;
    let (commitment, Reduced { point, value }) = (card.commitment(), opened);
    pcs::verify(&params, commitment, point, *value, reader, transcript)
        .map_err(ProofError::WeightsOpening)
}

/// What maps of committed weights add to the linear claim at public slots, as the prover says.
fn on_public(reader: &mut Reader<'_>, transcript: &mut Transcript) -> Result<K, ProofError> {
    let sum = reader.k()?;
    transcript.absorb_k("weights on public values", sum);
    Ok(sum)
}

/// The committed weights at one point, where what the prover said of them is right if they have this value there.
fn weights_opened(
    (relation, card, claim): (&Relation, &Card, &LinearClaim),
    [on_public, on_committed]: &[Vec<K>; 2],
    sums: [K; 2],
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<Reduced, ProofError> {
    // Two sums become one with a chance of at most 1/|K| to hide a wrong one.
    let join = transcript.challenge_k("join weights");
    let (circuit, layout) = (relation.circuit(), card.layout());
    let coefficients = |values: &[K]| WeightsClaim::new(circuit, layout, &claim.apart, values);
    let all = coefficients(on_public)?.and(&coefficients(on_committed)?, join);
    let [first, second] = sums;
    let rounds = usize::try_from(layout.log_len()).unwrap_or(usize::MAX);
    let sum = first + join * second;
    let reduced = sumcheck::verify(rounds, WITNESS_DEGREE, sum, reader, transcript)
        .map_err(ProofError::WeightsSumcheck)?;
    let value = reader.k()?;
    if all.at(&reduced.point) * value != reduced.value {
        return Err(ProofError::Weights);
    }
    Ok(Reduced {
        point: reduced.point,
        value,
    })
}
