//! A language model that is ready to speak: its engine, and the tokeniser and template that its id pins.

use std::sync::{Arc, OnceLock};

use credence_exec::Engine;
use credence_exec::sampling::Parameters;
use credence_grammar::{Constraint, Grammar, GrammarError, Vocabulary};
use credence_model::Model;
use credence_text::{Text, TextError, TextSpec};

/// Why a model cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// It takes tensors.
    #[error("this model takes tensors, not text")]
    NotLanguage,
    /// It gives a vector for a text, and says nothing.
    #[error("this model is an encoder: it gives embeddings, and no text")]
    Encoder,
    /// It says something, and gives no vector for a text.
    #[error("this model is no encoder: it gives text, and no embeddings")]
    NotEncoder,
    /// Its tokeniser cannot be used.
    #[error("the model's tokeniser or template is refused")]
    Text(#[from] TextError),
    /// Tokeniser and program disagree.
    #[error("the model's tokeniser has {got} tokens, its program {expected}: import it again")]
    Vocabulary {
        /// Of the program.
        expected: usize,
        /// Of the tokeniser.
        got: usize,
    },
}

/// A language model with its engine.
#[derive(Debug)]
pub struct Language {
    engine: Engine,
    text: Text,
    context: usize,
    /// Made with the first constrained answer.
    vocabulary: OnceLock<Result<Vocabulary, GrammarError>>,
}

impl Language {
    /// Reads tokeniser and template from the engine's model.
    ///
    /// # Errors
    /// [`LanguageError`] if the model is none of language, or its text is refused.
    pub fn new(engine: Engine) -> Result<Self, LanguageError> {
        let context = {
            let language = engine.model().program().spec().language.as_ref();
            let language = language.ok_or(LanguageError::NotLanguage)?;
            if language.encoder.is_some() {
                return Err(LanguageError::Encoder);
            }
            language.context
        };
        let text = pinned_text(&engine)?;
        Ok(Self {
            engine,
            text,
            context: usize::try_from(context).unwrap_or(usize::MAX),
            vocabulary: OnceLock::new(),
        })
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// Tokeniser and template.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// What follows the parameters' grammar through one answer; nothing if they have none.
    ///
    /// # Errors
    /// [`GrammarError`] if the grammar is refused, or this model's tokens cannot say what fits it.
    pub fn constraint(&self, parameters: &Parameters) -> Result<Option<Constraint>, GrammarError> {
        let Some(named) = &parameters.settings().grammar else {
            return Ok(None);
        };
        let grammar = Grammar::decode(named.kind, &named.text)?;
        let made = self.vocabulary.get_or_init(|| vocabulary(&self.text));
        let vocabulary = made.as_ref().map_err(Clone::clone)?;
        vocabulary.constrain(&grammar).map(Some)
    }

    /// Most positions of a run.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }
}

/// The tokeniser and template that a model pins.
pub(crate) fn pinned_text(engine: &Engine) -> Result<Text, LanguageError> {
    let model = engine.model();
    let language = model.program().spec().language.as_ref();
    let language = language.ok_or(LanguageError::NotLanguage)?;
    let param = model.param(language.text);
    let bytes = param
        .map(|param| param.bytes().to_vec())
        .unwrap_or_default();
    let text = Text::new(&TextSpec::from_bytes(&bytes)?)?;
    let expected = usize::try_from(language.vocabulary).unwrap_or(usize::MAX);
    let got = text.vocab_len();
    if got != expected {
        return Err(LanguageError::Vocabulary { expected, got });
    }
    Ok(text)
}

/// The tokens as they add to an answer's text: hidden ones add none, and may not come.
fn vocabulary(text: &Text) -> Result<Vocabulary, GrammarError> {
    let end = u32::try_from(text.vocab_len()).unwrap_or(u32::MAX);
    let shown = (0..end).map(|id| text.token_bytes(id).filter(|_| !text.is_hidden(id)));
    Vocabulary::new(shown, text.ends())
}
