//! One answer as it grows: logits in, a token and its text out, until something ends it (`docs/spec/generation.md`, section 2).

use credence_exec::sampling::{
    Allowed, Counts, GrammarText, Parameters, Place, Sampler, SamplingError, Step,
};
use credence_grammar::{Constraint, GrammarError};
use credence_text::{Context, Detokeniser, Show, Text, TextError};

use crate::output::Output;
use crate::stops::Stops;

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model gave one of its end tokens, or a stop text was met.
    Stop,
    /// As many tokens as were asked for, or as the context holds.
    Length,
}

/// How long an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of the prompt, at least 1.
    pub prompt: usize,
    /// The model's context.
    pub context: usize,
}

/// What one token brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The token drawn.
    pub token: u32,
    /// Text that may be shown now.
    pub text: String,
    /// Whether the answer has ended with it, and why.
    pub finish: Option<Finish>,
}

/// Why no token could be drawn.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// The sampler refuses.
    #[error("no token can be drawn")]
    Sampling(#[from] SamplingError),
    /// The token has no text.
    #[error("the token drawn has no text")]
    Text(#[from] TextError),
    /// The grammar cannot be followed.
    #[error("the grammar cannot be followed any further")]
    Grammar(#[from] GrammarError),
    /// The parameters have a grammar, and nobody follows it, or another is followed.
    #[error("the grammar of the parameters is not the one that is followed: this is a fault here")]
    Unconstrained,
    /// A token is asked for after the end.
    #[error("the answer has ended; nothing more is drawn")]
    Ended,
}

/// An answer that grows.
#[derive(Debug)]
pub struct Generation<'a> {
    text: &'a Text,
    parameters: Parameters,
    place: Place,
    most: usize,
    sampler: Sampler,
    constraint: Option<Constraint>,
    counts: Counts,
    detokeniser: Option<Detokeniser<'a>>,
    stops: Stops,
    tokens: Vec<u32>,
    shown: String,
    finish: Option<Finish>,
}

impl<'a> Generation<'a> {
    /// An answer without tokens. Draws come from `seed` and the number of the choice; a greedy answer draws nothing.
    #[must_use]
    pub fn new(
        text: &'a Text,
        parameters: &Parameters,
        (seed, choice): ([u8; 32], u32),
        limits: Limits,
    ) -> Self {
        let asked = usize::try_from(parameters.settings().max_tokens).unwrap_or(usize::MAX);
        // The last token drawn is not run, so there is room for one more than positions are left.
        let room = (limits.context + 1).saturating_sub(limits.prompt);
        Self {
            text,
            parameters: parameters.clone(),
            place: Place {
                seed,
                choice,
                step: 0,
            },
            most: asked.min(room),
            sampler: Sampler::new(),
            constraint: None,
            counts: Counts::new(),
            detokeniser: Some(Detokeniser::new(text, Show::Words, Context::Continue)),
            stops: Stops::new(&parameters.settings().stop),
            tokens: Vec::new(),
            shown: String::new(),
            finish: None,
        }
    }

    /// The same answer with what follows its grammar: [`Language::constraint`](crate::Language::constraint) of the same parameters. Without one, parameters that have a grammar draw nothing.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Option<Constraint>) -> Self {
        self.constraint = constraint;
        self
    }

    /// Hands out what follows its grammar, so that what may come next can be found elsewhere ([`Constraint::prepare`]). Until it is back, parameters that have a grammar draw nothing.
    pub const fn lend(&mut self) -> Option<Constraint> {
        self.constraint.take()
    }

    /// Takes it back.
    pub fn give_back(&mut self, constraint: Constraint) {
        self.constraint = Some(constraint);
    }

    /// Whether what is followed is the grammar of the parameters.
    fn is_constrained_as_asked(&self) -> bool {
        let named = self.parameters.settings().grammar.as_ref();
        match (named, &self.constraint) {
            (None, None) => true,
            (Some(GrammarText { kind, text }), Some(own)) => {
                (own.grammar().kind().code(), own.grammar().text()) == (*kind, text)
            }
            (_, _) => false,
        }
    }

    /// Draws the next token from logits, among those that the grammar allows, if there is one.
    ///
    /// # Errors
    /// [`GenerationError`]; the answer is as it was.
    pub fn step(&mut self, logits: &[i32]) -> Result<Piece, GenerationError> {
        if self.finish.is_some() {
            return Err(GenerationError::Ended);
        }
        if !self.is_constrained_as_asked() {
            return Err(GenerationError::Unconstrained);
        }
        let allowed = match &mut self.constraint {
            Some(own) => Some(Allowed(own.allowed()?)),
            None => None,
        };
        let step = Step {
            logits,
            counts: &self.counts,
            allowed,
            place: self.place,
        };
        let token = self.sampler.sample(&self.parameters, &step)?;
        self.accept(token)
    }

    /// Appends a token that was drawn elsewhere; whether it is the one that the logits give is not checked.
    ///
    /// # Errors
    /// [`GenerationError`] if the answer has ended, or the token has no text.
    pub fn accept(&mut self, token: u32) -> Result<Piece, GenerationError> {
        if self.finish.is_some() {
            return Err(GenerationError::Ended);
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.take(token)?;
        }
        let ends = self.text.is_end(token);
        let mut text = match &mut self.detokeniser {
            Some(detokeniser) if !ends => detokeniser.push(token)?,
            _ => String::new(),
        };
        self.tokens.push(token);
        self.counts.add(token);
        self.place.step = self.place.step.saturating_add(1);
        let (shown, stopped) = self.stops.push(&text);
        text = shown;
        if ends || stopped {
            self.finish = Some(Finish::Stop);
        } else if self.tokens.len() >= self.most {
            self.finish = Some(Finish::Length);
        }
        if self.finish.is_some() && !stopped {
            text.push_str(&self.rest());
        }
        self.shown.push_str(&text);
        Ok(Piece {
            token,
            text,
            finish: self.finish,
        })
    }

    /// Text that was held back: an unfinished character, the beginning of a stop text.
    fn rest(&mut self) -> String {
        let unfinished = self.detokeniser.take().map(Detokeniser::finish);
        let (mut rest, stopped) = self.stops.push(&unfinished.unwrap_or_default());
        if !stopped {
            rest.push_str(&self.stops.finish());
        }
        rest
    }

    /// Ends an answer whose client has left; gives the text that was still held back.
    pub fn cancel(&mut self) -> String {
        if self.finish.is_some() {
            return String::new();
        }
        let rest = self.rest();
        self.shown.push_str(&rest);
        self.finish = Some(Finish::Length);
        rest
    }

    /// Why it has ended, if it has.
    #[must_use]
    pub const fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Tokens drawn so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Text shown so far.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The answer so far, as a claim commits to it.
    #[must_use]
    pub fn output(&self) -> Output {
        Output::new(self.shown.clone(), self.tokens.clone())
    }
}
