//! A language model's claim, before a cell is opened (`docs/spec/generation.md`, section 6, but the run).
//!
//! With the model's text on its card, words are held against tokens: the prompt's by the template, the answer's as it was told, and why it ends. Without it,
//! only what token ids alone say is checked. It deliberately draws no token: that takes logits.

use credence_base::Profile;
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, ClaimFields, ConstrainedDecoding, Fact, FinishReason, MethodError, Part, Refutation,
    SeedSource, commitment,
};
use credence_exec::sampling::Parameters;
use credence_generate::{Finish, Generation, GenerationError, Limits, Output, Prompt, PromptError};
use credence_model::LanguageSpec;
use credence_text::Text;

use crate::card::Card;
use crate::layout::Extent;
use crate::subject::{LanguageTold, Subject, Told, malformed, refuted, wide};

/// Why an answer has no sense.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the answer has no token")]
    Empty,
    #[error("token {got} is not in the model's vocabulary of {vocabulary}")]
    Token { got: u32, vocabulary: u32 },
    #[error("the run has {got} tokens, more than the model's context of {max}")]
    Context { got: usize, max: usize },
}

/// Reads a claim about the card's language model.
pub(crate) fn read(card: &Card, case: &Case<'_>) -> Result<Subject, MethodError> {
    let Some(language) = &card.program().spec().language else {
        return Err(malformed(Part::Output, AnswerError::Empty));
    };
    // Naming every field makes a new one an error here until someone decides how it is checked.
    let ClaimFields {
        profile: Profile::Exact1,
        model: _,
        input: _,
        params: _,
        output: _,
        trace: _,
        counts,
        finish: _,
        nonce: _,
        seed: _,
        constrained,
    } = case.claim().fields();
    let prompt = Prompt::decode(case.input()?).map_err(|e| malformed(Part::Input, e))?;
    let parameters = Parameters::decode(case.params()?).map_err(|e| malformed(Part::Params, e))?;
    check_engine(constrained.as_ref(), &parameters)?;
    let output = Output::decode(case.output()?).map_err(|e| malformed(Part::Output, e))?;
    if let Some(text) = card.text() {
        match prompt.check(text) {
            Ok(()) => {}
            Err(PromptError::Ids) => return refuted(Refutation::Prompt),
            Err(error) => return Err(malformed(Part::Input, error)),
        }
    }
    let seed = seed(case, &parameters)?;
    let (got_in, got_out) = (wide(prompt.ids().len()), wide(output.tokens.len()));
    if counts.input != got_in {
        return refuted(Refutation::InputCount {
            claimed: counts.input,
            got: got_in,
        });
    }
    if counts.output != got_out {
        return refuted(Refutation::OutputCount {
            claimed: counts.output,
            got: got_out,
        });
    }
    let told = LanguageTold {
        tokens: run_tokens(language, &prompt, &output)?,
        drawn: output.tokens,
        prompt: prompt.ids().len(),
        choice: prompt.choice(),
        parameters,
        seed,
        text_checked: card.text().is_some(),
    };
    let limits = Limits {
        prompt: told.prompt,
        context: usize::try_from(language.context).unwrap_or(usize::MAX),
    };
    match card.text() {
        Some(text) => check_words(text, &told, limits, case)?,
        None => check_length(&told, limits)?,
    }
    Ok(Subject {
        extent: Extent {
            positions: wide(told.tokens.len()),
            sampled_from: got_in.saturating_sub(1),
        },
        told: Told::Language(told),
    })
}

/// An answer with a grammar names the engine that followed it, and no other answer names one. Which tokens a grammar allows is not known here, so such an
/// answer is for a replay to check, whatever its engine.
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
        (Some(named), Some(_)) => Err(MethodError::Missing(Fact::Engine(named.clone()))),
    }
}

/// The tokens of the run.
fn run_tokens(
    language: &LanguageSpec,
    prompt: &Prompt,
    output: &Output,
) -> Result<Vec<u32>, MethodError> {
    let Some((_, run)) = output.tokens.split_last() else {
        return Err(malformed(Part::Output, AnswerError::Empty));
    };
    let vocabulary = language.vocabulary;
    let mut all = prompt.ids().iter().chain(&output.tokens);
    if let Some(&got) = all.find(|&&token| token >= vocabulary) {
        return Err(malformed(
            Part::Output,
            AnswerError::Token { got, vocabulary },
        ));
    }
    let tokens = [prompt.ids(), run].concat();
    let (got, max) = (
        tokens.len(),
        usize::try_from(language.context).unwrap_or(usize::MAX),
    );
    if got > max {
        return Err(malformed(Part::Output, AnswerError::Context { got, max }));
    }
    Ok(tokens)
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

/// Without the text: no more tokens than may be drawn.
fn check_length(told: &LanguageTold, limits: Limits) -> Result<(), MethodError> {
    let asked = usize::try_from(told.parameters.settings().max_tokens).unwrap_or(usize::MAX);
    let room = limits
        .context
        .saturating_add(1)
        .saturating_sub(limits.prompt);
    let most = asked.min(room);
    if told.drawn.len() > most {
        return refuted(Refutation::OutputLength { got: wide(most) });
    }
    Ok(())
}

/// With the text: the answer ends where and as the claim says, and its words are those of its tokens.
fn check_words(
    text: &Text,
    told: &LanguageTold,
    limits: Limits,
    case: &Case<'_>,
) -> Result<(), MethodError> {
    let place = (told.seed, told.choice);
    let mut answer = Generation::new(text, &told.parameters, place, limits);
    for (index, &token) in told.drawn.iter().enumerate() {
        match answer.accept(token) {
            Ok(_) => {}
            Err(GenerationError::Ended) => {
                return refuted(Refutation::OutputLength { got: wide(index) });
            }
            Err(error) => return Err(malformed(Part::Output, error)),
        }
    }
    let got = match answer.finish() {
        Some(Finish::Stop) => FinishReason::Stop,
        Some(Finish::Length) => FinishReason::Length,
        None => FinishReason::Cancelled,
    };
    let claimed = case.claim().fields().finish;
    if claimed != got {
        return refuted(Refutation::Finish { claimed, got });
    }
    if answer.finish().is_none() {
        answer.cancel();
    }
    let content = answer.output().encode();
    case.check_output(&content.map_err(|e| malformed(Part::Output, e))?)
}

#[cfg(test)]
mod tests {
    use credence_base::Name;
    use credence_exec::sampling::{GrammarText, Settings};

    use super::*;

    #[test]
    fn a_grammar_is_neither_passed_over_nor_held_against_who_followed_it() {
        let parameters = |grammar: Option<&str>| {
            let grammar = grammar.map(|text| GrammarText {
                kind: 1,
                text: text.to_owned(),
            });
            let settings = Settings {
                grammar,
                ..Settings::neutral(8)
            };
            Parameters::new(settings).unwrap()
        };
        let (free, bound) = (parameters(None), parameters(Some("{}")));
        let named = ConstrainedDecoding {
            engine: Name::new("credence-grammar").unwrap(),
            version: Name::new("1").unwrap(),
        };
        assert!(check_engine(None, &free).is_ok());
        assert!(matches!(
            check_engine(Some(&named), &free),
            Err(MethodError::Refuted(Refutation::Feature { .. }))
        ));
        // The liar that ignores the grammar and says nothing of it.
        assert!(matches!(
            check_engine(None, &bound),
            Err(MethodError::Refuted(Refutation::Unconstrained))
        ));
        assert!(matches!(
            check_engine(Some(&named), &bound),
            Err(MethodError::Missing(Fact::Engine(_)))
        ));
    }
}
