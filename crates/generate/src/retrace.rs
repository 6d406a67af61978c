//! Runs a finished answer again, all tokens in one pass, and draws every one of them anew.
//!
//! The run needs no order: what was drawn is known, so prompt and answer go through the model together, which is several times cheaper than
//! making them was. Each position's logits must then lead to the very token that follows.

use credence_base::TraceRoot;
use credence_exec::sampling::Parameters;
use credence_exec::{Append, SessionError};
use credence_grammar::GrammarError;

use crate::generation::{Finish, Generation, GenerationError, Limits};
use crate::language::Language;
use crate::output::Output;
use crate::prompt::Prompt;

/// What a second run gave.
#[derive(Debug)]
pub struct Retraced {
    /// The answer, with its text.
    pub output: Output,
    /// Why it ends; nothing if it could have gone on.
    pub finish: Option<Finish>,
    /// What the claim commits to of the inside.
    pub trace_root: TraceRoot,
}

/// Why an answer is not what the model gives.
#[derive(Debug, thiserror::Error)]
pub enum RetraceError {
    /// No token was drawn.
    #[error("the answer has no token")]
    Empty,
    /// The grammar is refused.
    #[error("the grammar that the answer must fit is refused")]
    Grammar(#[from] GrammarError),
    /// The tokens do not fit the model.
    #[error("the tokens do not fit the model")]
    Session(#[from] SessionError),
    /// Another token is drawn.
    #[error("token {index}: the answer has {claimed}, the model draws {got}")]
    Token {
        /// Which token of the answer, from 0.
        index: usize,
        /// As claimed.
        claimed: u32,
        /// As drawn.
        got: u32,
    },
    /// The answer goes on where it ends.
    #[error("the answer ends after {index} tokens, but the claim has more")]
    Ended {
        /// Tokens until the end.
        index: usize,
    },
    /// No token can be drawn.
    #[error("token {index} cannot be drawn")]
    Draw {
        /// Which token.
        index: usize,
        /// Why.
        #[source]
        source: GenerationError,
    },
}

/// Runs prompt and answer again.
///
/// # Errors
/// [`RetraceError`], naming the first token that differs.
pub fn retrace(
    language: &Language,
    prompt: &Prompt,
    parameters: &Parameters,
    seed: [u8; 32],
    tokens: &[u32],
) -> Result<Retraced, RetraceError> {
    let Some((_, run)) = tokens.split_last() else {
        return Err(RetraceError::Empty);
    };
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation =
        Generation::new(language.text(), parameters, (seed, prompt.choice()), limits)
            .with_constraint(language.constraint(parameters)?);
    let mut session = language.engine().session()?;
    let all = [prompt.ids(), run].concat();
    let mut first = None;
    let mut sink = |_: usize, _: usize, logits: &[i32]| {
        let index = generation.tokens().len();
        if first.is_some() {
            return;
        }
        let claimed = tokens.get(index).copied().unwrap_or(u32::MAX);
        first = match generation.step(logits) {
            Ok(piece) if piece.token != claimed => Some(RetraceError::Token {
                index,
                claimed,
                got: piece.token,
            }),
            Ok(_) => None,
            Err(GenerationError::Ended) => Some(RetraceError::Ended { index }),
            Err(source) => Some(RetraceError::Draw { index, source }),
        };
    };
    let mut appends = [Append {
        session: &mut session,
        tokens: &all,
        sampled: tokens.len(),
    }];
    language.engine().advance(&mut appends, &mut sink)?;
    if let Some(error) = first {
        return Err(error);
    }
    let finish = generation.finish();
    if finish.is_none() {
        generation.cancel();
    }
    Ok(Retraced {
        output: generation.output(),
        finish,
        trace_root: session.trace_root(),
    })
}
