//! A model's card: its program, and what of its weights a verifier needs to know, checked against the 32 bytes of its id.
//!
//! ```text
//! u8 version (1) ‖ u64 bytes of the weights ‖ weights root ‖ u32 n ‖ n bytes of program ‖ u8 0, or u8 1 ‖ u32 m ‖ m bytes: the opening of the text
//! ```
//!
//! The id is checked before the program is read, so nothing but a model's own program is. With the text (tokeniser and template,
//! a parameter like any other) a verifier also checks that words and tokens belong together. A card is checked once and kept; it deliberately holds no other weight.

use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{Digest, ModelId, domain};
use credence_commit::{Opening, OpeningError, opening, tree};
use credence_exact::ShapeError;
use credence_model::{PROGRAM_BYTES_MAX, Program, ProgramError, program_from_bytes};
use credence_text::{Text, TextError, TextSpec};

use crate::layout::{param_starts, weights_len};
use crate::work::{Entries, Work, entries, works};

/// The version of a card's bytes.
pub const CARD_VERSION: u8 = 1;

/// Most bytes of a card's text with what shows it.
const TEXT_BYTES_MAX: usize = 256 << 20;

/// Why bytes are no card of a model.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Not a card.
    #[error("the bytes are not a model's card")]
    Wire(#[from] WireError),
    /// Another version.
    #[error("expected version {CARD_VERSION} of a card, got {got}")]
    Version {
        /// The version found.
        got: u8,
    },
    /// A card of another model.
    #[error("the card is of model `{got}`, expected `{expected}`")]
    Model {
        /// The model asked for.
        expected: ModelId,
        /// The model that the card leads to.
        got: ModelId,
    },
    /// The program cannot be read.
    #[error("the card's program cannot be read")]
    Json(#[from] credence_base::json::JsonError),
    /// The program is refused.
    #[error("the card's program is refused")]
    Program(#[from] ProgramError),
    /// Shapes do not fit, which those of a checked program do.
    #[error("the card's program has a shape that does not fit")]
    Shape(#[from] ShapeError),
    /// The model's id is of weights that do not belong to its program.
    #[error("the model's weights have {got} bytes, its program takes {expected:?}")]
    Weights {
        /// What the program takes, if it can be counted.
        expected: Option<u64>,
        /// What the id is of.
        got: u64,
    },
    /// A text where the model has none.
    #[error("the card has a text, but its model takes tensors")]
    NoText,
    /// The text is not the model's.
    #[error("the card's text is not the model's")]
    Opening(#[from] OpeningError),
    /// The text cannot be used.
    #[error("the card's tokeniser or template is refused")]
    Text(#[from] TextError),
    /// Tokeniser and program disagree.
    #[error("the card's tokeniser has {got} tokens, its program {expected}")]
    Vocabulary {
        /// Of the program.
        expected: usize,
        /// Of the tokeniser.
        got: usize,
    },
}

/// What a verifier knows of a model. Made by [`Card::decode`] alone.
#[derive(Debug)]
pub struct Card {
    id: ModelId,
    program: Program,
    weights_root: Digest,
    works: Vec<Work>,
    entries: Entries,
    text: Option<Text>,
}

/// What a card is written from.
#[derive(Clone, Copy, Debug)]
pub struct CardParts<'a> {
    /// The program's canonical JSON.
    pub program: &'a [u8],
    /// Bytes of the tree of weights.
    pub weights_len: u64,
    /// Its root.
    pub weights_root: &'a Digest,
    /// The opening of the text's bytes under it, if the card is to have it.
    pub text: Option<&'a Opening>,
}

impl CardParts<'_> {
    /// The card's bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for a program or text of 2^32 bytes or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.u8(CARD_VERSION).u64(self.weights_len);
        writer.digest(self.weights_root);
        writer.bytes(self.program)?;
        match self.text {
            None => writer.u8(0),
            Some(text) => writer.u8(1).bytes(&text.encode()?)?,
        };
        Ok(writer.finish())
    }
}

impl Card {
    /// Reads the card of the model `id` and checks all of it.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn decode(id: ModelId, bytes: &[u8]) -> Result<Self, CardError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            CARD_VERSION => {}
            got => return Err(CardError::Version { got }),
        }
        let (len, weights_root) = (reader.u64()?, reader.digest()?);
        let json = reader.bytes(PROGRAM_BYTES_MAX)?;
        let text = match reader.u8()? {
            0 => None,
            1 => Some(Opening::decode(
                reader.bytes(TEXT_BYTES_MAX)?,
                TEXT_BYTES_MAX,
            )?),
            got => return Err(WireError::Tag { got }.into()),
        };
        reader.finish()?;
        let mut list = Writer::new();
        list.u64(u64::try_from(json.len()).unwrap_or(u64::MAX));
        list.digest(&tree::root(domain::PROGRAM, json));
        list.u64(len).digest(&weights_root);
        let got = ModelId::from_digest(tree::root(domain::MODEL, &list.finish()));
        if got != id {
            return Err(CardError::Model { expected: id, got });
        }
        let program = Program::check(program_from_bytes(json)?)?;
        let expected = weights_len(&program);
        if expected != Some(len) {
            return Err(CardError::Weights { expected, got: len });
        }
        let text = match text {
            None => None,
            Some(opened) => Some(read_text(&program, &weights_root, len, &opened)?),
        };
        Ok(Self {
            id,
            works: works(&program)?,
            entries: entries(&program),
            program,
            weights_root,
            text,
        })
    }

    /// The model.
    #[must_use]
    pub const fn id(&self) -> ModelId {
        self.id
    }

    /// Its program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// The root of its weights.
    #[must_use]
    pub const fn weights_root(&self) -> &Digest {
        &self.weights_root
    }

    /// Tokeniser and template, if the card has them.
    #[must_use]
    pub const fn text(&self) -> Option<&Text> {
        self.text.as_ref()
    }

    pub(crate) fn works(&self) -> &[Work] {
        &self.works
    }

    pub(crate) const fn entries(&self) -> &Entries {
        &self.entries
    }
}

/// The bytes of the tree of weights in which the text stands; none for a tensor model.
#[must_use]
pub fn text_range(program: &Program) -> Option<core::ops::Range<u64>> {
    let language = program.spec().language.as_ref()?;
    let (starts, _) = param_starts(program)?;
    let start = *starts.get(usize::try_from(language.text.0).ok()?)?;
    let bytes = u64::try_from(program.param_shape(language.text)?.cells()).ok()?;
    Some(start..start.checked_add(bytes)?)
}

fn read_text(
    program: &Program,
    root: &Digest,
    len: u64,
    opened: &Opening,
) -> Result<Text, CardError> {
    let range = text_range(program).ok_or(CardError::NoText)?;
    let shown = opening::verify(domain::WEIGHTS, root, len, &[range], opened)?;
    let bytes = shown.first().map(|shown| shown.bytes()).unwrap_or_default();
    let text = Text::new(&TextSpec::from_bytes(bytes)?)?;
    let vocabulary = program.spec().language.as_ref().map(|own| own.vocabulary);
    let expected = vocabulary
        .and_then(|own| usize::try_from(own).ok())
        .unwrap_or(usize::MAX);
    let got = text.vocab_len();
    if got != expected {
        return Err(CardError::Vocabulary { expected, got });
    }
    Ok(text)
}
