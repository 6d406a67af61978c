//! The method itself.

use std::error::Error;
use std::sync::Arc;

use credence_base::Profile;
use credence_claim::{
    Case, Claim, ClaimFields, Fact, Finding, FinishReason, Method, MethodError, MethodId, Number,
    Part, Quantity, Refutation, SeedSource,
};
use credence_exec::{Engine, Options, PlanError, RunError};
use credence_generate::{Embedder, Language, LanguageError};
use credence_model::{Model, Program, Tensor, TensorLimits, Tensors};

use crate::compare::first_difference;
use crate::params::check_tensor_params;
use crate::{encoder, language};

/// The longest input or output that is read, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1 << 30;

pub(crate) const LIMITS: TensorLimits = TensorLimits {
    bytes_max: CONTENT_BYTES_MAX,
};

/// Runs the claimed model again. What it must know for that, the model, it is given once.
#[derive(Debug)]
pub struct Replay {
    subject: Option<Subject>,
}

#[derive(Debug)]
struct Subject {
    model: Arc<Model>,
    runner: Runner,
}

/// What runs the model.
#[derive(Debug)]
enum Runner {
    Tensors(Box<Engine>),
    Language(Box<Language>),
    Encoder(Box<Embedder>),
}

/// Why a model cannot be run again here.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The engine cannot run it on this machine.
    #[error("the model cannot be run on this machine")]
    Plan(#[from] PlanError),
    /// Its tokeniser or template cannot be used.
    #[error("the model cannot speak")]
    Language(#[from] LanguageError),
}

impl Replay {
    /// A method that can check claims about `model`, and no others.
    ///
    /// # Errors
    /// [`ReplayError`] when the model cannot be run on this machine.
    pub fn new(model: Arc<Model>, options: Options) -> Result<Self, ReplayError> {
        let engine = Engine::new(Arc::clone(&model), options)?;
        let runner = match &model.program().spec().language {
            Some(language) if language.encoder.is_some() => {
                Runner::Encoder(Box::new(Embedder::new(engine)?))
            }
            Some(_) => Runner::Language(Box::new(Language::new(engine)?)),
            None => Runner::Tensors(Box::new(engine)),
        };
        let subject = Some(Subject { model, runner });
        Ok(Self { subject })
    }

    /// A method that knows no model, so that whoever requires it is told which one is missing.
    #[must_use]
    pub const fn without_model() -> Self {
        Self { subject: None }
    }

    /// The engine for the claim's model, if that is the one at hand.
    fn subject(&self, claim: &Claim) -> Result<&Subject, MethodError> {
        let model = claim.fields().model;
        let found = self.subject.as_ref().filter(|s| s.model.id() == model);
        found.ok_or(MethodError::Missing(Fact::Model(model)))
    }
}

impl Method for Replay {
    fn id(&self) -> MethodId {
        MethodId::REPLAY
    }

    fn version(&self) -> u32 {
        1
    }

    fn needs_evidence(&self) -> bool {
        false
    }

    /// Checks, in this order: that the model is the claimed one; fields that a tensor model fixes; parameters; the number of
    /// positions; then runs, and compares the output and the trace.
    ///
    /// A language model's answer: see [`language`]; an encoder's: see [`encoder`].
    fn check(&self, case: &Case<'_>, _evidence: Option<&[u8]>) -> Result<Finding, MethodError> {
        let subject = self.subject(case.claim())?;
        let engine = match &subject.runner {
            Runner::Language(own) => return language::check(own, case),
            Runner::Encoder(own) => return encoder::check(own, case),
            Runner::Tensors(engine) => engine,
        };
        check_fixed_fields(case.claim())?;
        check_tensor_params(case.params()?).map_err(|e| malformed(Part::Params, e))?;
        let input = case.input()?;
        // Asked for before the run, which may be long.
        let claimed_output = case.output()?;
        let inputs = Tensors::decode(input, LIMITS).map_err(|e| malformed(Part::Input, e))?;

        check_order(subject.model.program(), &inputs)?;

        let execution = engine.run(&inputs).map_err(not_run)?;
        let positions = execution.positions;
        check_counts(case.claim(), positions)?;
        let content = execution.outputs.encode();
        if claimed_output != content
            && let Ok(claimed) = Tensors::decode(claimed_output, LIMITS)
            && let Some(refutation) = first_difference(&claimed, &execution.outputs)
        {
            return Err(MethodError::Refuted(refutation));
        }
        case.check_output(&content)?;
        case.check_trace(&execution.trace.root())?;
        Ok(finding(
            subject.model.program(),
            &execution.outputs,
            positions,
        ))
    }
}

/// What a tensor model leaves no choice about: it draws nothing, constrains nothing and always completes.
pub(crate) fn check_fixed_fields(claim: &Claim) -> Result<(), MethodError> {
    // Naming every field makes a new one an error here until someone decides how it is checked.
    let ClaimFields {
        profile: Profile::Exact1,
        model: _,
        input: _,
        params: _,
        output: _,
        trace: _,
        counts: _,
        finish,
        // Whatever the client sent; a policy may name it.
        nonce: _,
        seed,
        constrained,
    } = claim.fields();
    if *finish != FinishReason::Complete {
        return Err(MethodError::Refuted(Refutation::Finish {
            claimed: *finish,
            got: FinishReason::Complete,
        }));
    }
    let feature = |feature| Err(MethodError::Refuted(Refutation::Feature { feature }));
    if *seed != SeedSource::Nothing {
        return feature("a random draw");
    }
    if constrained.is_some() {
        return feature("constrained decoding");
    }
    Ok(())
}

fn check_counts(claim: &Claim, positions: u64) -> Result<(), MethodError> {
    let counts = claim.fields().counts;
    if counts.input != positions {
        return Err(MethodError::Refuted(Refutation::InputCount {
            claimed: counts.input,
            got: positions,
        }));
    }
    if counts.output != positions {
        return Err(MethodError::Refuted(Refutation::OutputCount {
            claimed: counts.output,
            got: positions,
        }));
    }
    Ok(())
}

fn finding(program: &Program, outputs: &Tensors, positions: u64) -> Finding {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let output_values = outputs.iter().fold(0_u64, |sum, t| {
        sum.saturating_add(count(t.elements().len()))
    });
    let nodes = program.spec().nodes.iter().zip(0_u32..);
    let cut = nodes.filter(|(node, _)| node.cut);
    let cells = cut.map(|(_, at)| {
        program
            .shape(credence_exact::NodeId(at))
            .map_or(0, |s| count(s.cells()))
    });
    let per_position = cells.fold(0_u64, u64::saturating_add);
    let mut finding = Finding::re_executed(output_values, per_position.saturating_mul(positions));
    finding.numbers.insert(
        0,
        Number {
            name: "positions run again",
            quantity: Quantity::Count(positions),
        },
    );
    finding
}

/// An input that does not fit the model is the operator's fault; the rest is this program's.
fn not_run(error: RunError) -> MethodError {
    match error {
        RunError::Cell { .. } | RunError::Answer(_) => MethodError::Failed(Box::new(error)),
        RunError::MissingInput { .. }
        | RunError::UnknownInput { .. }
        | RunError::Type { .. }
        | RunError::Shape { .. }
        | RunError::Batch { .. }
        | RunError::Empty
        | RunError::TooLarge { .. }
        | RunError::Value { .. } => malformed(Part::Input, error),
    }
}

/// The claimed bytes hold the inputs in another order than the program's, and so are not the one form of this request.
#[derive(Debug, thiserror::Error)]
#[error("the inputs must stand in the model's order, {expected:?}")]
struct InputOrder {
    expected: Vec<String>,
}

/// Checks that inputs whose names are the program's stand in its order. Other names are for the engine to refuse.
fn check_order(program: &Program, inputs: &Tensors) -> Result<(), MethodError> {
    let names = || {
        program
            .spec()
            .inputs
            .iter()
            .map(|input| input.name.as_str())
    };
    match inputs.ordered(names()) {
        Some(_) if inputs.iter().map(Tensor::name).ne(names()) => Err(malformed(
            Part::Input,
            InputOrder {
                expected: names().map(str::to_owned).collect(),
            },
        )),
        _ => Ok(()),
    }
}

pub(crate) fn malformed(part: Part, source: impl Error + Send + Sync + 'static) -> MethodError {
    MethodError::Malformed {
        part,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests;
