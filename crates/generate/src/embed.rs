//! Embeddings: from texts or tokens to one vector each, for whoever serves and for whoever checks (`docs/spec/generation.md`, section 7).
//!
//! Nothing is drawn: the vector follows from the tokens. Several texts are run side by side, which changes none of them.

use std::sync::Arc;

use credence_base::TraceRoot;
use credence_exec::{Append, Engine, Session, SessionError};
use credence_model::{
    BorderValueError, Decode, Elements, Model, Tensor, TensorError, Tensors, decode_elements,
};
use credence_text::Text;

use crate::language::{LanguageError, pinned_text};

/// The name of the one tensor that an output holds.
const NAME: &str = "embedding";

/// An encoder with its engine and tokeniser.
#[derive(Debug)]
pub struct Embedder {
    engine: Engine,
    text: Text,
    context: usize,
    width: usize,
    decode: Decode,
}

/// What came of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The vector, as the one tensor of a claim's output.
    pub output: Tensors,
    /// What a claim commits to of the inside of the run.
    pub trace_root: TraceRoot,
}

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The tokens do not fit the model.
    #[error("the tokens do not fit the model")]
    Session(#[from] SessionError),
    /// The vector has no outside form: a fault of this program.
    #[error("the vector cannot be decoded; please report this")]
    Decode(#[from] BorderValueError),
    /// As before.
    #[error("the vector cannot be written; please report this")]
    Tensor(#[from] TensorError),
}

impl Embedding {
    /// Its elements.
    #[must_use]
    pub fn vector(&self) -> &[f32] {
        match self.output.iter().next().map(Tensor::elements) {
            Some(Elements::Fp32(vector)) => vector,
            _ => &[],
        }
    }
}

impl Embedder {
    /// Reads the tokeniser from the engine's model.
    ///
    /// # Errors
    /// [`LanguageError`] if the model is no encoder, or its text is refused.
    pub fn new(engine: Engine) -> Result<Self, LanguageError> {
        let text = pinned_text(&engine)?;
        let program = engine.model().program();
        let language = program.spec().language.as_ref();
        let language = language.ok_or(LanguageError::NotLanguage)?;
        let encoder = language.encoder.as_ref();
        let decode = encoder.ok_or(LanguageError::NotEncoder)?.decode.clone();
        let width = program.shape(language.logits).map_or(0, |s| s.cells());
        let context = usize::try_from(language.context).unwrap_or(usize::MAX);
        Ok(Self {
            engine,
            text,
            context,
            width,
            decode,
        })
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// Its tokeniser.
    #[must_use]
    pub const fn text(&self) -> &Text {
        &self.text
    }

    /// Most tokens of a text.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }

    /// Elements of an embedding.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The embeddings of texts, given as tokens, at least one each.
    ///
    /// # Errors
    /// [`EmbedError`]; then there is none of any text.
    pub fn run(&self, texts: &[&[u32]]) -> Result<Vec<Embedding>, EmbedError> {
        let sessions = texts.iter().map(|_| self.engine.session());
        let mut sessions = sessions.collect::<Result<Vec<Session>, _>>()?;
        let mut cells = vec![Vec::new(); texts.len()];
        let appends = sessions.iter_mut().zip(texts);
        let mut appends: Vec<Append<'_>> = appends
            .map(|(session, tokens)| Append {
                session,
                tokens,
                sampled: 1,
            })
            .collect();
        self.engine.advance(&mut appends, &mut |text, _, got| {
            if let Some(slot) = cells.get_mut(text) {
                slot.extend(got.iter().map(|&cell| i64::from(cell)));
            }
        })?;
        let made = sessions.iter().zip(&cells).map(|(session, cells)| {
            let elements = decode_elements(&self.decode, cells)?;
            let width = u64::try_from(cells.len()).unwrap_or(u64::MAX);
            let tensor = Tensor::new(NAME, vec![width], elements)?;
            Ok(Embedding {
                output: Tensors::new(vec![tensor])?,
                trace_root: session.trace_root(),
            })
        });
        made.collect()
    }
}
