//! From an embedding to its receipt: claim, commitments, bundle (`docs/spec/generation.md`, section 7).
//!
//! Pure: the salts' master secret and the time are arguments ([`Draws`]).

use credence_base::{ModelId, Nonce, Profile};
use credence_claim::{
    Claim, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots, Salts,
    SeedSource, commitment,
};
use credence_generate::{Embedding, Prompt};
use credence_method_replay::TENSOR_PARAMS;
use credence_receipt::Bundle;

use crate::inference::{Draws, IssueError, Operator, seal};

/// What a client asks an encoder.
#[derive(Debug, Clone, Copy)]
pub struct Embed<'a> {
    /// The model asked.
    pub model: ModelId,
    /// The text, and its tokens.
    pub prompt: &'a Prompt,
    /// The client's nonce, if it sent one.
    pub nonce: Option<Nonce>,
}

/// Claims that a model gave this embedding, and signs it.
///
/// # Errors
/// [`IssueError`].
pub fn issue_embedding(
    operator: &Operator,
    asked: &Embed<'_>,
    made: &Embedding,
    draws: &Draws,
) -> Result<Bundle, IssueError> {
    let input = asked.prompt.encode()?;
    let output = made.output.encode();
    let roots = Roots {
        input: commitment::input_root(&input),
        params: commitment::params_root(TENSOR_PARAMS),
        output: commitment::output_root(&output),
        trace: made.trace_root,
    };
    let salts = Salts::derive(&draws.salt_master);
    let commitments = Commitments::new(operator.public_key(), &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: asked.model,
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: u64::try_from(asked.prompt.ids().len()).unwrap_or(u64::MAX),
            output: 1,
        },
        finish: FinishReason::Complete,
        nonce: asked.nonce,
        seed: SeedSource::Nothing,
        constrained: None,
    })?;
    let opened = |salt, content| Some(Opened { salt, content });
    let openings = Openings {
        input: opened(salts.input, input),
        params: opened(salts.params, TENSOR_PARAMS.to_vec()),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    };
    let (bundle, _) = seal(operator, claim, openings, draws.time_unix_s)?;
    Ok(bundle)
}
