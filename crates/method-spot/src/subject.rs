//! What a claim says, decoded and held together with itself: all that can be checked before a cell is opened.
//!
//! ```text
//! Card, Case ─▶ input, parameters, output decode ─▶ counts, seed, prompt, text, end agree ─▶ Subject: tokens or tensors, and how far the run goes
//! ```
//!
//! Verifier and operator read a claim by this one function, so they draw from the same run. It deliberately knows nothing of evidence.

use std::error::Error;

use credence_base::Profile;
use credence_claim::{
    Case, ClaimFields, Fact, FinishReason, MethodError, Part, Refutation, SeedSource,
};
use credence_exec::sampling::Parameters;
use credence_model::{Tensor, TensorLimits, Tensors, encode_elements};

use crate::card::Card;
use crate::language;
use crate::layout::Extent;
use crate::relation::Given;

/// The longest input or output that is read, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1 << 30;

const LIMITS: TensorLimits = TensorLimits {
    bytes_max: CONTENT_BYTES_MAX,
};

/// The bytes of a tensor model's parameters: version 1, and none.
const TENSOR_PARAMS: &[u8] = &[1, 0, 0, 0, 0];

/// A run that a claim is about.
#[derive(Debug)]
pub struct Subject {
    pub(crate) extent: Extent,
    pub(crate) told: Told,
}

/// What went in and came out.
#[derive(Debug)]
pub(crate) enum Told {
    Tensors(TensorTold),
    Language(LanguageTold),
}

#[derive(Debug)]
pub(crate) struct TensorTold {
    /// Encoded elements of each input.
    pub(crate) inputs: Vec<Vec<i64>>,
    pub(crate) outputs: Tensors,
}

#[derive(Debug)]
pub(crate) struct LanguageTold {
    /// Tokens of the run: the prompt's, and the answer's but the last.
    pub(crate) tokens: Vec<u32>,
    /// Tokens of the answer.
    pub(crate) drawn: Vec<u32>,
    pub(crate) prompt: usize,
    pub(crate) choice: u32,
    pub(crate) parameters: Parameters,
    pub(crate) seed: [u8; 32],
    /// Whether words were held against tokens.
    pub(crate) text_checked: bool,
}

pub(crate) fn refuted<T>(refutation: Refutation) -> Result<T, MethodError> {
    Err(MethodError::Refuted(refutation))
}

pub(crate) fn malformed(part: Part, source: impl Error + Send + Sync + 'static) -> MethodError {
    MethodError::Malformed {
        part,
        source: Box::new(source),
    }
}

/// Why a tensor model's contents have no sense.
#[derive(Debug, thiserror::Error)]
enum TensorsError {
    #[error("a tensor model takes no parameters")]
    Params,
    #[error("the tensors are not the model's, in its order, with one batch of at least one item")]
    Form,
}

pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Subject {
    /// Reads a claim about the card's model.
    ///
    /// # Errors
    /// [`MethodError`]: something is not opened, has no sense, or contradicts the claim.
    pub fn read(card: &Card, case: &Case<'_>) -> Result<Self, MethodError> {
        let language = card.program().spec().language.as_ref();
        if language.is_some_and(|language| language.encoder.is_some()) {
            // Its positions see one another, and no opening is laid out for that.
            return Err(MethodError::Missing(Fact::Replay));
        }
        if language.is_some() {
            language::read(card, case)
        } else {
            tensors(card, case)
        }
    }

    /// How far the run goes.
    #[must_use]
    pub const fn extent(&self) -> Extent {
        self.extent
    }

    /// What relations take from the request.
    #[must_use]
    pub fn given(&self) -> Given<'_> {
        match &self.told {
            Told::Tensors(told) => Given::Inputs(&told.inputs),
            Told::Language(told) => Given::Tokens(&told.tokens),
        }
    }

    /// The tokens of a language model's run, and of how many of them, the last ones, logits are asked for.
    #[must_use]
    pub fn tokens(&self) -> Option<(&[u32], usize)> {
        match &self.told {
            Told::Tensors(_) => None,
            Told::Language(told) => Some((&told.tokens, told.drawn.len())),
        }
    }
}

/// Checks that a tensor model's claim says what such a claim must.
fn check_fixed(case: &Case<'_>) -> Result<(), MethodError> {
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
        nonce: _,
        seed,
        constrained,
    } = case.claim().fields();
    if constrained.is_some() {
        return refuted(Refutation::Feature {
            feature: "constrained decoding",
        });
    }
    if *seed != SeedSource::Nothing {
        return refuted(Refutation::Seed);
    }
    if *finish != FinishReason::Complete {
        return refuted(Refutation::Finish {
            claimed: *finish,
            got: FinishReason::Complete,
        });
    }
    Ok(())
}

fn tensors(card: &Card, case: &Case<'_>) -> Result<Subject, MethodError> {
    check_fixed(case)?;
    if case.params()? != TENSOR_PARAMS {
        return Err(malformed(Part::Params, TensorsError::Params));
    }
    let read = |part, bytes| Tensors::decode(bytes, LIMITS).map_err(|e| malformed(part, e));
    let inputs = read(Part::Input, case.input()?)?;
    let outputs = read(Part::Output, case.output()?)?;
    let spec = card.program().spec();
    let form = |part| malformed(part, TensorsError::Form);
    let first = inputs
        .iter()
        .next()
        .and_then(|t| t.shape().first().copied());
    let positions = first.filter(|&n| n > 0).ok_or_else(|| form(Part::Input))?;
    let mut encoded = Vec::with_capacity(spec.inputs.len());
    let shape_of = |dims: &[u32]| -> Vec<u64> {
        let rest = dims.iter().map(|&dim| u64::from(dim));
        core::iter::once(positions).chain(rest).collect()
    };
    if inputs.iter().count() != spec.inputs.len() || outputs.iter().count() != spec.outputs.len() {
        return Err(form(Part::Input));
    }
    for (own, given) in spec.inputs.iter().zip(inputs.iter()) {
        let fits = |given: &Tensor| {
            given.name() == own.name
                && given.shape() == shape_of(&own.shape)
                && given.elements().border_type() == own.dtype
        };
        if !fits(given) {
            return Err(form(Part::Input));
        }
        let cells = encode_elements(&own.encode, given.elements());
        encoded.push(cells.map_err(|e| malformed(Part::Input, e))?);
    }
    for (own, given) in spec.outputs.iter().zip(outputs.iter()) {
        let shape = card.program().output_shape(own);
        let dims = shape.map(|shape| shape.dims().iter().map(|&n| wide(n)));
        let expected = dims.map(|dims| core::iter::once(positions).chain(dims).collect::<Vec<_>>());
        let fits = given.name() == own.name
            && Some(given.shape()) == expected.as_deref()
            && given.elements().border_type() == own.decode.border_type();
        if !fits {
            return Err(form(Part::Output));
        }
    }
    let counts = case.claim().fields().counts;
    if counts.input != positions {
        return refuted(Refutation::InputCount {
            claimed: counts.input,
            got: positions,
        });
    }
    if counts.output != positions {
        return refuted(Refutation::OutputCount {
            claimed: counts.output,
            got: positions,
        });
    }
    Ok(Subject {
        extent: Extent {
            positions,
            sampled_from: positions,
        },
        told: Told::Tensors(TensorTold {
            inputs: encoded,
            outputs,
        }),
    })
}
