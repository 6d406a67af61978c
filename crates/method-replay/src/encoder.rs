//! An encoder's embedding, run again: all tokens at once, and the vector compared bit for bit.
//!
//! In this order: fields that leave no choice; the tokens of what was asked; the counts; the run; the vector; and the trace.

use credence_claim::{Case, Finding, MethodError, Number, Part, Quantity, Refutation};
use credence_generate::{Content, EmbedError, Embedder, Prompt, PromptError};
use credence_model::Tensors;

use crate::compare::first_difference;
use crate::params::check_tensor_params;
use crate::replay::{LIMITS, check_fixed_fields, malformed};

/// What an embedding answers is a text or tokens.
#[derive(Debug, thiserror::Error)]
#[error("an embedding is of a text or of tokens, not of a conversation")]
struct Conversation;

/// Checks a claim about an encoder's embedding.
pub(crate) fn check(encoder: &Embedder, case: &Case<'_>) -> Result<Finding, MethodError> {
    check_fixed_fields(case.claim())?;
    check_tensor_params(case.params()?).map_err(|e| malformed(Part::Params, e))?;
    let prompt = Prompt::decode(case.input()?).map_err(|e| malformed(Part::Input, e))?;
    // Asked for before the run, which may be long.
    let claimed = case.output()?;
    if matches!(prompt.content(), Content::Chat(_)) {
        return Err(malformed(Part::Input, Conversation));
    }
    match prompt.check(encoder.text()) {
        Ok(()) => {}
        Err(PromptError::Ids) => return Err(MethodError::Refuted(Refutation::Prompt)),
        Err(error) => return Err(malformed(Part::Input, error)),
    }
    let tokens = u64::try_from(prompt.ids().len()).unwrap_or(u64::MAX);
    check_counts(case, tokens)?;
    let made = encoder.run(&[prompt.ids()]).map_err(not_run)?;
    let Some(made) = made.first() else {
        return Err(malformed(Part::Input, PromptError::Empty));
    };
    let content = made.output.encode();
    if claimed != content
        && let Ok(claimed) = Tensors::decode(claimed, LIMITS)
        && let Some(refutation) = first_difference(&claimed, &made.output)
    {
        return Err(MethodError::Refuted(refutation));
    }
    case.check_output(&content)?;
    case.check_trace(&made.trace_root)?;
    let values = u64::try_from(made.vector().len()).unwrap_or(u64::MAX);
    let mut finding = Finding::re_executed(values, 0);
    finding
        .numbers
        .retain(|n| n.name != "trace values compared");
    let number = Number {
        name: "tokens run again",
        quantity: Quantity::Count(tokens),
    };
    finding.numbers.insert(0, number);
    if prompt.choice() > 0 {
        finding.not_checked.push(
            "whether the client asked for as many embeddings as the number of this one says"
                .to_owned(),
        );
    }
    Ok(finding)
}

/// A text has its tokens, and one embedding.
fn check_counts(case: &Case<'_>, tokens: u64) -> Result<(), MethodError> {
    let counts = case.claim().fields().counts;
    if counts.input != tokens {
        return Err(MethodError::Refuted(Refutation::InputCount {
            claimed: counts.input,
            got: tokens,
        }));
    }
    if counts.output != 1 {
        return Err(MethodError::Refuted(Refutation::OutputCount {
            claimed: counts.output,
            got: 1,
        }));
    }
    Ok(())
}

/// Tokens that do not fit the model are the operator's fault; the rest is this program's.
fn not_run(error: EmbedError) -> MethodError {
    match error {
        EmbedError::Session(_) => malformed(Part::Input, error),
        EmbedError::Decode(_) | EmbedError::Tensor(_) => MethodError::Failed(Box::new(error)),
    }
}

#[cfg(test)]
mod tests;
