//! A language model's answer, run again: all tokens in one pass, and every one of them drawn anew.
//!
//! In this order: fields that a language model leaves no choice about; prompt, parameters and seed; the number of tokens; the run; each token
//! drawn; the text; why it ends; and the trace.

use credence_base::Profile;
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, ClaimFields, Finding, FinishReason, MethodError, Number, Part, Quantity, Refutation,
    SeedSource, commitment,
};
use credence_exec::sampling::Parameters;
use credence_generate::{
    Finish, Language, Output, Prompt, PromptError, RetraceError, Retraced, retrace,
};

use crate::replay::malformed;

fn refuted<T>(refutation: Refutation) -> Result<T, MethodError> {
    Err(MethodError::Refuted(refutation))
}

/// Checks a claim about a language model's answer.
pub(crate) fn check(language: &Language, case: &Case<'_>) -> Result<Finding, MethodError> {
    // Naming every field makes a new one an error here until someone decides how it is checked.
    let ClaimFields {
        profile: Profile::Exact1,
        model: _,
        input: _,
        params: _,
        output: _,
        trace: _,
        counts,
        finish,
        nonce: _,
        seed: _,
        constrained,
    } = case.claim().fields();
    if constrained.is_some() {
        return refuted(Refutation::Feature {
            feature: "constrained decoding",
        });
    }
    let prompt = Prompt::decode(case.input()?).map_err(|e| malformed(Part::Input, e))?;
    let parameters = Parameters::decode(case.params()?).map_err(|e| malformed(Part::Params, e))?;
    let output = Output::decode(case.output()?).map_err(|e| malformed(Part::Output, e))?;
    match prompt.check(language.text()) {
        Ok(()) => {}
        Err(PromptError::Ids) => return refuted(Refutation::Prompt),
        Err(error) => return Err(malformed(Part::Input, error)),
    }
    let seed = seed(case, &parameters)?;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (got_in, got_out) = (count(prompt.ids().len()), count(output.tokens.len()));
    if counts.input != got_in {
        let claimed = counts.input;
        return refuted(Refutation::InputCount {
            claimed,
            got: got_in,
        });
    }
    if counts.output != got_out {
        let claimed = counts.output;
        return refuted(Refutation::OutputCount {
            claimed,
            got: got_out,
        });
    }
    let retraced = retrace(language, &prompt, &parameters, seed, &output.tokens);
    let retraced = retraced.map_err(differs)?;
    check_finish(*finish, &retraced)?;
    let content = retraced.output.encode();
    case.check_output(&content.map_err(|e| MethodError::Failed(Box::new(e)))?)?;
    case.check_trace(&retraced.trace_root)?;
    let mut finding = finding(got_in, got_out, case.claim().fields().seed);
    if *finish == FinishReason::Cancelled {
        finding.not_checked.push(
            "whether the client left: an answer that could have gone on was cut here, and the claim says that it was cancelled".to_owned(),
        );
    }
    Ok(finding)
}

/// The seed of all draws, from where the claim says that it comes.
fn seed(case: &Case<'_>, parameters: &Parameters) -> Result<[u8; 32], MethodError> {
    let fields = case.claim().fields();
    let given = parameters.settings().seed;
    let draws = parameters.settings().temperature > 0;
    match (fields.seed, given, fields.nonce) {
        (SeedSource::Nothing, None, _) if !draws => Ok([0; 32]),
        (SeedSource::Derived, None, Some(nonce)) if draws => Ok(derive(&Request {
            nonce,
            model: fields.model,
            input_root: commitment::input_root(case.input()?),
            params_root: commitment::params_root(case.params()?),
        })),
        (SeedSource::Client, Some(seed), _) if draws => Ok(seed),
        // A client that sent a nonce is owed the seed that follows from it.
        (SeedSource::Operator, Some(seed), None) if draws => Ok(seed),
        _ => refuted(Refutation::Seed),
    }
}

fn differs(error: RetraceError) -> MethodError {
    match error {
        RetraceError::Token {
            index,
            claimed,
            got,
        } => MethodError::Refuted(Refutation::Token {
            index: u64::try_from(index).unwrap_or(u64::MAX),
            claimed,
            got,
        }),
        RetraceError::Ended { index } => {
            let got = u64::try_from(index).unwrap_or(u64::MAX);
            MethodError::Refuted(Refutation::OutputLength { got })
        }
        RetraceError::Empty | RetraceError::Session(_) => malformed(Part::Output, error),
        RetraceError::Draw { .. } => malformed(Part::Params, error),
    }
}

/// A client may leave at any token, so an answer that could have gone on was cancelled, and only such an answer.
fn check_finish(claimed: FinishReason, retraced: &Retraced) -> Result<(), MethodError> {
    let got = match retraced.finish {
        Some(Finish::Stop) => FinishReason::Stop,
        Some(Finish::Length) => FinishReason::Length,
        None => FinishReason::Cancelled,
    };
    if claimed == got {
        return Ok(());
    }
    refuted(Refutation::Finish { claimed, got })
}

fn finding(tokens_in: u64, tokens_out: u64, seed: SeedSource) -> Finding {
    let mut finding = Finding::re_executed(tokens_out, 0);
    finding
        .numbers
        .retain(|number| number.name != "trace values compared");
    let number = |name, count| Number {
        name,
        quantity: Quantity::Count(count),
    };
    finding
        .numbers
        .insert(0, number("prompt tokens run again", tokens_in));
    finding
        .numbers
        .insert(1, number("tokens drawn again", tokens_out));
    match seed {
        SeedSource::Operator => finding.not_checked.push(
            "how the operator chose the seed: it may have tried many until it liked the answer (send a nonce or a seed)".to_owned(),
        ),
        SeedSource::Client => finding.not_checked.push(
            "whether the seed is the one that the client sent, as the claim says".to_owned(),
        ),
        SeedSource::Derived | SeedSource::Nothing => {}
    }
    finding
}

#[cfg(test)]
mod tests;
