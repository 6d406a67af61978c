//! Programs of models, kept from one spot check to the next: a folder with one file each, named by the model's id.
//!
//! ```text
//! evidence that brings a card ─checked under the claim─▶ keep ─▶ <folder>/<ModelId>     known ─checked against the id whenever it is read─▶ Card
//! ```
//!
//! It deliberately keeps no language model's program without its tokeniser: words and tokens could not be compared by it.

use std::path::{Path, PathBuf};

use credence_base::ModelId;
use credence_method_spot::{Card, Evidence};
use credence_store::StoreError;
use credence_store::file::{self, Access};

/// The longest card that is read, in bytes.
const CARD_LEN_MAX: u64 = 256 * 1024 * 1024;

/// An operator sent a language model's program without its tokeniser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operator sends the model's program without its tokeniser, so words and tokens could not be compared"
)]
pub struct NoText;

/// Refuses a language model's program without its tokeniser: whoever edits the words of an answer and leaves its tokens would pass.
///
/// # Errors
/// [`NoText`].
pub fn check_text(card: &Card) -> Result<(), NoText> {
    if card.program().language().is_some() && card.text().is_none() {
        return Err(NoText);
    }
    Ok(())
}

/// The card that came with evidence, if one did and it is the model's.
#[must_use]
pub fn card_in(model: ModelId, evidence: &[u8]) -> Option<Card> {
    let decoded = Evidence::decode(evidence).ok()?;
    Card::decode(model, &decoded.card?).ok()
}

/// A folder of cards.
#[derive(Debug, Clone)]
pub struct Cards(PathBuf);

impl Cards {
    /// The cards in this folder, which is made when the first is kept.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// A model's card, if it is here. One that is damaged, or lacks the tokeniser, is as good as none: an operator sends another.
    ///
    /// # Errors
    /// [`StoreError`] when that cannot be told.
    pub fn known(&self, model: ModelId) -> Result<Option<Card>, StoreError> {
        match file::read(&self.0.join(model.to_string()), CARD_LEN_MAX) {
            Ok(bytes) => {
                let card = Card::decode(model, &bytes).ok();
                Ok(card.filter(|card| check_text(card).is_ok()))
            }
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the card that came with evidence, if one did. Whether it is right is checked whenever it is read.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn keep(&self, model: ModelId, evidence: &[u8]) -> Result<(), StoreError> {
        let decoded = Evidence::decode(evidence).ok();
        let Some(card) = decoded.and_then(|evidence| evidence.card) else {
            return Ok(());
        };
        file::make_folder(&self.0, Access::Owner)?;
        file::write(&self.0.join(model.to_string()), &card, Access::Owner)
    }
}
