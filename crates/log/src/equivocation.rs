//! Evidence that a log has lied: two checkpoints of one size and different roots, both signed by its key.
//!
//! Whoever holds the two notes can check them with nothing but the log's key, so this is evidence to anyone. That a
//! consistency proof fails is not: whoever shows it may have made the proof wrong.
//!
//! It deliberately looks at nothing but what the log's own key signed: other signatures are cut off, and two roots under two
//! keys show nothing about either.

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::key::VerifierKey;

/// Why two checkpoints show nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationError {
    /// One of them is not the log's.
    #[error("the {which} checkpoint is not signed by the log that is accused")]
    NotTheLogs {
        /// `first` or `second`.
        which: &'static str,
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// They are of different sizes, so both may be true.
    #[error("the checkpoints are of {first} and {second} entries: both may be true")]
    Sizes {
        /// The first one's size.
        first: u64,
        /// The second one's.
        second: u64,
    },
    /// They have one root, so they say the same.
    #[error("the checkpoints have the same size and the same root: both may be true")]
    SameRoot,
}

/// Two checkpoints that cannot both be true, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    log: VerifierKey,
    first: SignedCheckpoint,
    second: SignedCheckpoint,
}

impl Equivocation {
    /// Checks that `log` signed both under its own name, and that they have one size and two roots. They are put in the
    /// order of their roots and stripped of other keys' signatures, so one lie has one form.
    ///
    /// # Errors
    /// [`EquivocationError`] when both may be true.
    pub fn check(
        log: &VerifierKey,
        first: &SignedCheckpoint,
        second: &SignedCheckpoint,
    ) -> Result<Self, EquivocationError> {
        let signed = |which, checkpoint: &SignedCheckpoint| {
            checkpoint
                .verify_root(log)
                .map_err(|source| EquivocationError::NotTheLogs { which, source })?;
            Ok(checkpoint.stripped(core::slice::from_ref(log)))
        };
        let (first, second) = (signed("first", first)?, signed("second", second)?);
        let (a, b) = (first.unverified(), second.unverified());
        if a.size() != b.size() {
            return Err(EquivocationError::Sizes {
                first: a.size(),
                second: b.size(),
            });
        }
        if a.root() == b.root() {
            return Err(EquivocationError::SameRoot);
        }
        let (first, second) = if a.root() < b.root() {
            (first, second)
        } else {
            (second, first)
        };
        Ok(Self {
            log: log.clone(),
            first,
            second,
        })
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The checkpoint with the smaller root.
    #[must_use]
    pub const fn first(&self) -> &SignedCheckpoint {
        &self.first
    }

    /// The checkpoint with the larger root.
    #[must_use]
    pub const fn second(&self) -> &SignedCheckpoint {
        &self.second
    }

    /// The size of which the log said two things.
    #[must_use]
    pub const fn size(&self) -> u64 {
        Checkpoint::size(self.first.unverified())
    }
}
