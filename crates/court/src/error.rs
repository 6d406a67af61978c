//! Why a referee's server does not do what it is asked.

use credence_base::Digest;
use credence_base::json::JsonError;
use credence_base::wire::WireError;
use credence_dispute::{Ignored, RefereeError};
use credence_method_spot::CardError;
use credence_receipt::{BundleError, SignError};
use credence_store::StoreError;

use crate::filing::FilingError;

/// Why nothing came of a request, or a docket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CourtError {
    /// The filing is refused.
    #[error("the filing is refused")]
    Filing(#[from] FilingError),
    /// The card is not the model's.
    #[error("the model's card is refused")]
    Card(#[from] CardError),
    /// The card has the model's text, by which another verdict could be reached than without.
    #[error("the model's card holds its text: disputes go by the card without it")]
    Text,
    /// The referee has no card of the model.
    #[error("the filing brings no card, and the referee has none of this model: send it along")]
    NoCard,
    /// There can be no such dispute.
    #[error("there can be no such dispute")]
    Referee(#[from] RefereeError),
    /// Another turn than the referee gives.
    #[error("this referee gives turns of {expected} s, the terms say {got}")]
    Turn {
        /// The referee's.
        expected: u32,
        /// The terms'.
        got: u32,
    },
    /// The terms begin at another time than now.
    #[error(
        "the terms begin at {got}, but it is {now} by the referee's clock: ask it for the time"
    )]
    Start {
        /// The referee's time, in seconds since 1970-01-01 UTC.
        now: u64,
        /// The terms'.
        got: u64,
    },
    /// Too many disputes are under way.
    #[error("{max} disputes are under way, the most at once; try again")]
    Full {
        /// The limit.
        max: usize,
    },
    /// One key has too many disputes under way.
    #[error("this challenger has {max} disputes under way, the most for one key")]
    KeyFull {
        /// The limit.
        max: usize,
    },
    /// One operator has too many disputes under way.
    #[error("{max} disputes are under way against this operator, the most at once; try again")]
    OperatorFull {
        /// The limit.
        max: usize,
    },
    /// One key has brought too many models.
    #[error("this challenger's disputes are about {max} models, the most for one key")]
    KeyModels {
        /// The limit.
        max: usize,
    },
    /// Too many disputes are kept.
    #[error("the referee keeps {max} disputes, its most: old ones are removed in time")]
    Kept {
        /// The limit.
        max: usize,
    },
    /// Too many models are known.
    #[error("the referee knows {max} models, its most: those of old disputes are removed in time")]
    Models {
        /// The limit.
        max: usize,
    },
    /// There is no such dispute.
    #[error("this referee has no dispute `{0}`")]
    Unknown(Digest),
    /// It has not ended.
    #[error("the dispute has not ended yet")]
    Unfinished,
    /// The message changes nothing.
    #[error("the message changes nothing")]
    Ignored(#[from] Ignored),
    /// The dispute has no room left.
    #[error("the messages of one dispute have at most {max} bytes together")]
    Room {
        /// The limit.
        max: usize,
    },
    /// Whoever asks is no party to it, or does not show it.
    #[error("only a party reads this: the pass is missing, too old, or not a party's")]
    Pass,
    /// A file is not what it was written as.
    #[error("`{what}` of dispute `{dispute}` is damaged: restore it from a copy")]
    Damaged {
        /// Which part.
        what: &'static str,
        /// Of which dispute.
        dispute: Digest,
    },
    /// The file with the clock's state is damaged.
    #[error("the file `clock` is damaged: remove it once no dispute is under way")]
    Clock,
    /// A file cannot be read or written.
    #[error("the referee's records cannot be read or written")]
    Store(#[from] StoreError),
    /// Something is too long to be written.
    #[error("the records cannot be written")]
    Wire(#[from] WireError),
    /// The verdict cannot be signed.
    #[error("the verdict cannot be signed")]
    Sign(#[from] SignError),
    /// The verdict cannot be put together.
    #[error("the verdict cannot be put together")]
    Bundle(#[from] BundleError),
    /// The bundle has no JSON form.
    #[error("the verdict cannot be written")]
    Json(#[from] JsonError),
}
