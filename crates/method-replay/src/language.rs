//! A language model's answer, run again: all tokens in one pass, and every one of them drawn anew.
//!
//! In this order: fields that a language model leaves no choice about; prompt, parameters and seed; the number of tokens; the run; each token
//! drawn; the text; why it ends; and the trace.

use credence_base::Profile;
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, ClaimFields, ConstrainedDecoding, Fact, Finding, FinishReason, MethodError, Number, Part,
    Quantity, Refutation, SeedSource, commitment,
};
use credence_exec::sampling::Parameters;
use credence_generate::{
    Content, ENGINE, Finish, Language, Output, Prompt, PromptError, RetraceError, Retraced,
    VERSION, retrace,
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
    let prompt = Prompt::decode(case.input()?).map_err(|e| malformed(Part::Input, e))?;
    let parameters = Parameters::decode(case.params()?).map_err(|e| malformed(Part::Params, e))?;
    let output = Output::decode(case.output()?).map_err(|e| malformed(Part::Output, e))?;
    check_engine(constrained.as_ref(), &parameters)?;
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
    let said = unsaid(&prompt, *finish);
    finding.not_checked.extend(said.map(str::to_owned));
    if *finish == FinishReason::Cancelled {
        finding.not_checked.push(
            "whether the client left: an answer that could have gone on was cut here, and the claim says that it was cancelled".to_owned(),
        );
    }
    Ok(finding)
}

/// An answer with a grammar names the engine that followed it, and no other answer names one. Another engine, or another version, may allow other tokens: that is for whoever has it to check.
fn check_engine(
    claimed: Option<&ConstrainedDecoding>,
    parameters: &Parameters,
) -> Result<(), MethodError> {
    match (claimed, &parameters.settings().grammar) {
        (None, None) => Ok(()),
        (Some(_), None) => refuted(Refutation::Feature {
            feature: "constrained decoding",
        }),
        (None, Some(_)) => refuted(Refutation::Unconstrained),
        (Some(named), Some(_)) => {
            let own = (named.engine.as_str(), named.version.as_str()) == (ENGINE, VERSION);
            let missing = || MethodError::Missing(Fact::Engine(named.clone()));
            own.then_some(()).ok_or_else(missing)
        }
    }
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
        RetraceError::Draw { .. } | RetraceError::Grammar(_) => malformed(Part::Params, error),
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

/// What the answer came of and the client need not have sent: that it did is the operator's word, which the client can check by what it sent.
fn unsaid(prompt: &Prompt, finish: FinishReason) -> impl Iterator<Item = &'static str> {
    let (date, extra) = match prompt.content() {
        Content::Chat(chat) => (chat.date.is_some(), !chat.extra.is_empty()),
        Content::Text(_) | Content::Tokens => (false, false),
    };
    let all = [
        (
            prompt.choice() > 0,
            "whether the client asked for as many answers as the number of this one says",
        ),
        (
            date,
            "whether the client sent the date that the template was given",
        ),
        (
            extra,
            "whether the client sent the further values that the template was given",
        ),
        (
            finish == FinishReason::Length,
            "whether the client asked for an answer no longer than this one, or left its length to the operator",
        ),
    ];
    all.into_iter()
        .filter_map(|(told, what)| told.then_some(what))
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
    finding.not_checked.push(
        "probabilities of tokens that came with the answer, if any did: they are answered, not claimed".to_owned(),
    );
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
