//! From a claim to its evidence.
//!
//! ```text
//! Case ─▶ Subject ─▶ Circuit ─▶ estimate of memory ─▶ run again ─▶ outputs are the claimed ones ─▶ witness ─▶ evidence
//! ```
//!
//! A claim that the model does not bear out is refused here by name: no proof of it would be accepted. It deliberately checks nothing else.

use credence_claim::{Case, MethodError};
use credence_exec::{Engine, RunError, SessionError};
use credence_method_snark::circuit::{Circuit, CircuitError, Extent};
use credence_method_snark::functional::PullBackError;
use credence_method_snark::pcs::{Params, ParamsError, Security};
use credence_method_snark::protocol::Statement;
use credence_method_snark::weights::WeightsError;
use credence_method_snark::{CONTENT_BYTES_MAX, Known as _, Speech, Subject};
use credence_model::{Model, TensorError, TensorLimits, Tensors};

use crate::memory::{memory_bytes, memory_bytes_apart};
use crate::pcs::CommitError;
use crate::prover::{prove_apart, prove_witness};
use crate::run::{node_values, token_values};
use crate::weights::Weights;
use crate::witness::{NodeValues, Witness};

/// How a proof is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What it aims at.
    pub security: Security,
    /// The most memory that it may take, in bytes.
    pub memory_bytes_max: u64,
}

/// Why no proof is made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The claim is of another model.
    #[error("the claim is of another model than the one at hand")]
    Model,
    /// The claim cannot be read, or contradicts itself.
    #[error("the claim cannot be proved")]
    Claim(#[source] MethodError),
    /// The program has an op without proof, or the run is too long.
    #[error("the model's run cannot be proved")]
    Circuit(#[from] CircuitError),
    /// It would take more memory than it may.
    #[error(
        "the proof would take {expected} bytes of memory or more, at most {max} are allowed: raise the limit or use smaller batches"
    )]
    Memory {
        /// The estimate, or what the circuit alone takes.
        expected: u64,
        /// The limit.
        max: u64,
    },
    /// The request's bytes are no tensors.
    #[error("the request cannot be read")]
    Tensors(#[from] TensorError),
    /// The request is refused.
    #[error("the request cannot be run again")]
    Run(#[from] RunError),
    /// The tokens are refused.
    #[error("the tokens cannot be run again")]
    Session(#[from] SessionError),
    /// Run again, the request has another output.
    #[error(
        "run again, the request has another output than the claim: the claim is not this model's"
    )]
    Output,
    /// More values than can be committed to.
    #[error("the run is too long for a proof")]
    Params(#[from] ParamsError),
    /// The circuit is not of the model at hand.
    #[error("the circuit is not of this model")]
    OtherCircuit(#[from] PullBackError),
    /// The weights are of another model.
    #[error("the committed weights are of another model than the one at hand")]
    Weights,
    /// The circuit is not of the weights' card.
    #[error("the circuit is not of the card of these weights")]
    OtherCard(#[from] WeightsError),
    /// The values cannot be committed to.
    #[error("the run's values cannot be committed to")]
    Commit(#[from] CommitError),
}

/// Proves a claim about the engine's model.
///
/// # Errors
/// [`ProveError`].
pub fn prove(engine: &Engine, case: &Case<'_>, options: Options) -> Result<Vec<u8>, ProveError> {
    prove_claim(engine, case, options, None)
}

/// The same, with weights that are committed to: whoever checks needs their card and not the weights.
///
/// # Errors
/// [`ProveError`].
pub fn prove_with_weights(
    engine: &Engine,
    case: &Case<'_>,
    options: Options,
    weights: &Weights,
) -> Result<Vec<u8>, ProveError> {
    prove_claim(engine, case, options, Some(weights))
}

fn prove_claim(
    engine: &Engine,
    case: &Case<'_>,
    options: Options,
    weights: Option<&Weights>,
) -> Result<Vec<u8>, ProveError> {
    let model = engine.model();
    if weights.is_some_and(|weights| weights.card().id() != model.id()) {
        return Err(ProveError::Weights);
    }
    if case.claim().fields().model != model.id() {
        return Err(ProveError::Model);
    }
    if model.program().language().is_some() {
        return prove_speech(engine, case, (options, weights));
    }
    let subject = Subject::read(model.program(), case).map_err(ProveError::Claim)?;
    let circuit = circuit(model, subject.positions.into(), (options, weights))?;
    let limits = TensorLimits {
        bytes_max: CONTENT_BYTES_MAX,
    };
    let input = case.input().map_err(ProveError::Claim)?;
    let inputs = Tensors::decode(input, limits)?;
    let (nodes, outputs, _) = node_values(engine, &inputs)?;
    if outputs.encode() != subject.output() {
        return Err(ProveError::Output);
    }
    let statement = Statement {
        bound: &subject.bound(),
        security: options.security,
    };
    evidence(&statement, (model, weights), &circuit, nodes)
}

/// Proves a claim about the engine's language model, whose tokens must follow from its logits.
fn prove_speech(
    engine: &Engine,
    case: &Case<'_>,
    (options, weights): (Options, Option<&Weights>),
) -> Result<Vec<u8>, ProveError> {
    let model = engine.model();
    let speech = Speech::read(model, case).map_err(ProveError::Claim)?;
    let circuit = circuit(model, speech.extent(), (options, weights))?;
    let nodes = token_values(engine, speech.tokens())?;
    let language = model.program().spec().language.as_ref();
    let at = language.and_then(|language| usize::try_from(language.logits.0).ok());
    let logits = at
        .and_then(|at| nodes.get(at))
        .map_or(&[][..], Vec::as_slice);
    let Extent { positions, sampled } = speech.extent();
    let width = logits.len() / positions;
    let logits = logits.get((positions - sampled) * width..);
    speech
        .check(case, logits.unwrap_or_default())
        .map_err(ProveError::Claim)?;
    let statement = Statement {
        bound: &speech.bound(),
        security: options.security,
    };
    evidence(&statement, (model, weights), &circuit, nodes)
}

/// The circuit, if a proof of it fits into the memory.
fn circuit(
    model: &Model,
    extent: Extent,
    (options, weights): (Options, Option<&Weights>),
) -> Result<Circuit, ProveError> {
    let max = options.memory_bytes_max;
    let circuit = match weights {
        None => Circuit::within(model, extent, max),
        Some(_) => Circuit::apart(model, extent, max),
    };
    let circuit = match circuit {
        Err(CircuitError::Memory { max, got: expected }) => {
            return Err(ProveError::Memory { expected, max });
        }
        other => other?,
    };
    let params = Params::new(circuit.witness_log(), options.security)?;
    let expected = match weights {
        None => memory_bytes(&circuit, &params),
        Some(weights) => memory_bytes_apart(&circuit, &params, weights),
    };
    if expected > max {
        return Err(ProveError::Memory { expected, max });
    }
    Ok(circuit)
}

fn evidence(
    statement: &Statement<'_>,
    (model, weights): (&Model, Option<&Weights>),
    circuit: &Circuit,
    nodes: NodeValues,
) -> Result<Vec<u8>, ProveError> {
    let witness = Witness::new(circuit, &nodes);
    drop(nodes);
    let code = u8::try_from(statement.security.bits()).unwrap_or(0);
    let mut evidence = vec![code];
    evidence.extend(match weights {
        None => prove_witness(statement, model, circuit, &witness)?,
        Some(weights) => prove_apart(statement, (model, weights), circuit, &witness)?,
    });
    Ok(evidence)
}
