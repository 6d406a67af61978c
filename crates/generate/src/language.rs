//! A language model that is ready to speak: its engine, and the tokeniser and template that its id pins.

use std::sync::Arc;

use credence_exec::Engine;
use credence_model::Model;
use credence_text::{Text, TextError, TextSpec};

/// Why a model cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum LanguageError {
    /// It takes tensors.
    #[error("this model takes tensors, not text")]
    NotLanguage,
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
}

impl Language {
    /// Reads tokeniser and template from the engine's model.
    ///
    /// # Errors
    /// [`LanguageError`] if the model is none of language, or its text is refused.
    pub fn new(engine: Engine) -> Result<Self, LanguageError> {
        let (context, vocabulary, bytes) = {
            let model = engine.model();
            let language = model.program().spec().language.as_ref();
            let language = language.ok_or(LanguageError::NotLanguage)?;
            let param = model.param(language.text);
            let bytes = param
                .map(|param| param.bytes().to_vec())
                .unwrap_or_default();
            (language.context, language.vocabulary, bytes)
        };
        let text = Text::new(&TextSpec::from_bytes(&bytes)?)?;
        let expected = usize::try_from(vocabulary).unwrap_or(usize::MAX);
        let got = text.vocab_len();
        if got != expected {
            return Err(LanguageError::Vocabulary { expected, got });
        }
        Ok(Self {
            engine,
            text,
            context: usize::try_from(context).unwrap_or(usize::MAX),
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

    /// Most positions of a run.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }
}
