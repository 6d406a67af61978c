//! What a claim about a tensor model says, decoded: encoded inputs, and everything that a proof is bound to.
//!
//! Verifier and prover read a claim by this one function. It deliberately knows no proof.

use std::error::Error;

use credence_base::Profile;
use credence_claim::{
    Case, ClaimFields, Fact, FinishReason, MethodError, Part, Refutation, SeedSource,
};
use credence_model::{Program, Tensor, TensorLimits, Tensors, encode_elements};

/// The longest input or output that is read, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1 << 30;

const LIMITS: TensorLimits = TensorLimits {
    bytes_max: CONTENT_BYTES_MAX,
};

/// The parameters of a tensor model: version 1, none.
const TENSOR_PARAMS: &[u8] = &[1, 0, 0, 0, 0];

/// A claim about a tensor model that can be proved.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Encoded cells of each input, position by position.
    pub inputs: Vec<Vec<i64>>,
    /// Positions of the run, at least 1.
    pub positions: usize,
    bound: Vec<(&'static str, Vec<u8>)>,
    output: &'a [u8],
}

/// Why contents have no sense.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    #[error("a tensor model takes no parameters: they must be the bytes 01 00 00 00 00")]
    Params,
    #[error("the inputs are not the model's, in its order, with one batch of at least one item")]
    Inputs,
}

pub(crate) fn malformed(part: Part, source: impl Error + Send + Sync + 'static) -> MethodError {
    MethodError::Malformed {
        part,
        source: Box::new(source),
    }
}

impl<'a> Subject<'a> {
    /// Reads a claim about a model of this program.
    ///
    /// # Errors
    /// [`MethodError`]: something is not opened, has no sense, or contradicts the claim.
    pub fn read(program: &Program, case: &Case<'a>) -> Result<Self, MethodError> {
        check_fixed(case)?;
        check_params(case)?;
        let (input, output) = (case.input()?, case.output()?);
        let tensors = Tensors::decode(input, LIMITS).map_err(|e| malformed(Part::Input, e))?;
        let (inputs, positions) = encode(program, &tensors)?;
        check_counts(case, positions)?;
        let positions =
            usize::try_from(positions).map_err(|_| malformed(Part::Input, ContentError::Inputs))?;
        let bound = vec![
            ("claim", case.claim().encode()),
            ("operator", case.operator().as_bytes().to_vec()),
            ("input", input.to_vec()),
            ("parameters", TENSOR_PARAMS.to_vec()),
            ("output", output.to_vec()),
        ];
        Ok(Self {
            inputs,
            positions,
            bound,
            output,
        })
    }

    /// What a proof is bound to, with labels.
    #[must_use]
    pub fn bound(&self) -> Vec<(&str, &[u8])> {
        let pairs = self.bound.iter();
        pairs
            .map(|(label, bytes)| (*label, bytes.as_slice()))
            .collect()
    }

    /// The claimed output's bytes.
    #[must_use]
    pub const fn output(&self) -> &'a [u8] {
        self.output
    }
}

/// Checks that the parameters are none.
pub(crate) fn check_params(case: &Case<'_>) -> Result<(), MethodError> {
    if case.params()? != TENSOR_PARAMS {
        return Err(malformed(Part::Params, ContentError::Params));
    }
    Ok(())
}

/// Checks that a tensor model's claim says what such a claim must.
pub(crate) fn check_fixed(case: &Case<'_>) -> Result<(), MethodError> {
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
    let refuted = |refutation| Err(MethodError::Refuted(refutation));
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

fn check_counts(case: &Case<'_>, positions: u64) -> Result<(), MethodError> {
    let counts = case.claim().fields().counts;
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

/// The encoded cells of each input, and the number of positions.
fn encode(program: &Program, tensors: &Tensors) -> Result<(Vec<Vec<i64>>, u64), MethodError> {
    let form = || malformed(Part::Input, ContentError::Inputs);
    let specs = &program.spec().inputs;
    let first = tensors.iter().next().and_then(|t| t.shape().first());
    let positions = first.copied().filter(|&n| n > 0).ok_or_else(form)?;
    if tensors.len() != specs.len() {
        return Err(form());
    }
    let mut inputs = Vec::with_capacity(specs.len());
    for (own, given) in specs.iter().zip(tensors.iter()) {
        let dims = own.shape.iter().map(|&dim| u64::from(dim));
        let shape: Vec<u64> = core::iter::once(positions).chain(dims).collect();
        let fits = |given: &Tensor| {
            given.name() == own.name
                && given.shape() == shape
                && given.elements().border_type() == own.dtype
        };
        if !fits(given) {
            return Err(form());
        }
        let cells = encode_elements(&own.encode, given.elements());
        inputs.push(cells.map_err(|e| malformed(Part::Input, e))?);
    }
    Ok((inputs, positions))
}

/// The fact that evidence is missing.
pub(crate) const NO_EVIDENCE: MethodError = MethodError::Missing(Fact::Evidence);
