//! Why a log cannot go on, or not answer.

use credence_log::VerifierKey;
use credence_log::entry::EntriesError;
use credence_log::log_proof::LogProofError;
use credence_log::sequencer::{PathError, RecordError, RecoveryError, SequencerError};
use credence_log::tile::TileError;
use credence_store::StoreError;
use credence_store::index::IndexError;
use credence_store::objects::ObjectNameError;

use crate::head::{HeadError, PlaceId};

/// Why a log cannot go on, or not answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// An object cannot be read or written.
    #[error("the log's objects cannot be used")]
    Objects(#[from] StoreError),
    /// The index cannot be read or written.
    #[error("the log's index cannot be used")]
    Index(#[from] IndexError),
    /// The sequencer refused.
    #[error("the log cannot go on")]
    Sequencer(#[from] SequencerError),
    /// The log does not lie there as it must.
    #[error("the log cannot be recovered")]
    Recovery(#[from] RecoveryError),
    /// A record cannot be read.
    #[error("a record of the log cannot be read")]
    Record(#[from] RecordError),
    /// There is no proof.
    #[error("the log's tiles give no proof")]
    Path(#[from] PathError),
    /// The tiles that a proof is made of do not lead to the published root.
    #[error(
        "the tiles do not show that {old} entries begin {new}: one of them is damaged ({}); restore it", names.join(", ")
    )]
    Unproved {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
        /// The tiles.
        names: Vec<String>,
    },
    /// The proof cannot be written down.
    #[error("the log's proof cannot be written")]
    Proof(#[from] LogProofError),
    /// An object exists and is another one than this log would write.
    #[error(
        "`{name}` exists and is not what this log writes: it is damaged, or another log uses the same place"
    )]
    Differs {
        /// Its name.
        name: String,
    },
    /// An object that a published checkpoint covers is gone.
    #[error("`{name}` is missing; restore it")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tile is damaged.
    #[error("`{name}` is damaged; restore it")]
    Tile {
        /// Its name.
        name: String,
        /// Why.
        source: TileError,
    },
    /// A bundle of entries is damaged.
    #[error("`{name}` is damaged; restore it")]
    Entries {
        /// Its name.
        name: String,
        /// Why.
        source: EntriesError,
    },
    /// A bundle is not what its tile says.
    #[error("the entries of `{name}` are not those of its tile; restore both")]
    Leaves {
        /// The bundle's name.
        name: String,
    },
    /// The index was read while somebody else wrote it.
    #[error("expected an index of {expected} positions, got {got}: another process writes it")]
    Count {
        /// Entries in the log.
        expected: u64,
        /// Positions in the index.
        got: u64,
    },
    /// The note beside the key cannot be used.
    #[error("what the log's key signed last is not known")]
    Head(#[from] HeadError),
    /// The note beside the key is of another key.
    #[error(
        "the note beside the log's key is of key `{got}`, and the key is `{expected}`: put the right key back, or move the note away with the key that it is of"
    )]
    OtherKey {
        /// The key at hand.
        expected: Box<VerifierKey>,
        /// The note's key.
        got: Box<VerifierKey>,
    },
    /// There is no log where the key's log was.
    #[error(
        "no log lies here, and the log of this key, of {size} entries, lies in place {expected}: say where that is, or mount it; a log that began anew under this key would be a fork"
    )]
    NoPlace {
        /// The place of the key's log.
        expected: PlaceId,
        /// Its entries.
        size: u64,
    },
    /// Another place than that of the key's log.
    #[error(
        "the log of this key lies in place {expected}, and this is place {got}: say where that is; two logs under one key would be a fork"
    )]
    OtherPlace {
        /// The place of the key's log.
        expected: PlaceId,
        /// The place at hand.
        got: PlaceId,
    },
    /// The objects are older than what the key has signed.
    #[error(
        "this key has signed {expected} entries, and the log's objects hold {got}: they are an older copy; restore the newest, since going on from here would be a fork"
    )]
    Behind {
        /// Entries that the key has signed.
        expected: u64,
        /// Entries in the objects.
        got: u64,
    },
    /// The objects are another history than what the key has signed.
    #[error(
        "this key has signed another tree of {size} entries than the log's objects hold: find out whose they are, and restore the right ones"
    )]
    OtherHistory {
        /// Entries that the key has signed.
        size: u64,
    },
    /// The index knows more than the objects.
    #[error(
        "the index holds {got} entries, and the log's objects {expected}: the objects are an older copy or another log's, restore them; if it is the index that is another's, stop the log and remove it"
    )]
    IndexAhead {
        /// Entries in the objects.
        expected: u64,
        /// Entries in the index.
        got: u64,
    },
    /// A name that the log makes was refused.
    #[error("a name of the log is no object's name")]
    Name(#[from] ObjectNameError),
    /// The thread is gone.
    #[error("the log's thread has ended")]
    Ended,
    /// The thread cannot be started.
    #[error("the log's thread cannot be started")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}

impl LedgerError {
    /// Whether trying again cannot help: another process runs this log, or a witness has seen another history of it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Sequencer(SequencerError::Overtaken { .. } | SequencerError::Contradicted)
        )
    }
}
