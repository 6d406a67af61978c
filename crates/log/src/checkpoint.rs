//! Checkpoints: what a log says of its tree at one size, as a signed note (C2SP `tlog-checkpoint`).
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <root, base64>
//! [extension lines]
//! ```
//!
//! A log's origin is the name of its key, so a checkpoint is accepted from a key only under the key's own name.
//!
//! It deliberately gives no meaning to extension lines, which nobody can audit; ours have none.

use crate::SIZE_MAX;
use crate::hash::Hash;
use crate::key::{Algorithm, KeyName, Signer, VerifierKey};
use crate::note::{Note, NoteError};
use crate::text::{decimal, is_banned, line};

/// Why a note is not a checkpoint, or not one to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not a note, or a signature on it is bad.
    #[error("the checkpoint is not a signed note")]
    Note(#[from] NoteError),
    /// No line for the origin, or an empty one.
    #[error("a checkpoint begins with its log's origin")]
    Origin,
    /// The second line is not a size.
    #[error("the checkpoint's second line is not a size in plain decimal of at most {SIZE_MAX}")]
    Size,
    /// The third line is not a root.
    #[error("the checkpoint's third line is not the base64 of a 32-byte root")]
    Root,
    /// A tree without entries has another root than it must have.
    #[error("the checkpoint is of no entries, and its root is not the empty tree's")]
    EmptyRoot,
    /// An extension line is empty or holds a control character.
    #[error("an extension line of the checkpoint is empty or holds a control character")]
    Extension,
    /// The checkpoint is another log's.
    #[error("expected a checkpoint of log `{expected}`, got one of `{got}`")]
    OtherLog {
        /// The log's name.
        expected: KeyName,
        /// The checkpoint's origin.
        got: String,
    },
    /// The log's key has not signed it.
    #[error("the checkpoint is not signed by the key of log `{log}`")]
    Unsigned {
        /// The log's name.
        log: KeyName,
    },
    /// The key signs no checkpoints.
    #[error("key `{0}` is a witness's; a log signs with a key of type 0x01")]
    Algorithm(KeyName),
}

/// What a log says of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of a log of this name, with no extension lines.
    ///
    /// # Errors
    /// [`CheckpointError`] when the size is past [`SIZE_MAX`], or 0 with another root than the empty tree's.
    pub fn new(origin: &KeyName, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        let checkpoint = Self {
            origin: origin.as_str().to_owned(),
            size,
            root,
            extensions: Vec::new(),
        };
        checkpoint.check()?;
        checkpoint.check_empty()?;
        Ok(checkpoint)
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Size and root, as the proofs take them.
    #[must_use]
    pub const fn tree(&self) -> (u64, &Hash) {
        (self.size, &self.root)
    }

    /// The extension lines, opaque, of which no witness says anything.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// The note's text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        for extension in &self.extensions {
            text.push_str(extension);
            text.push('\n');
        }
        text
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let (origin, rest) = line(text).ok_or(CheckpointError::Origin)?;
        let (size, rest) = line(rest).ok_or(CheckpointError::Size)?;
        let (root, mut rest) = line(rest).ok_or(CheckpointError::Root)?;
        let size = decimal(size, SIZE_MAX).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(|_| CheckpointError::Root)?;
        let mut extensions = Vec::new();
        while !rest.is_empty() {
            let (extension, after) = line(rest).ok_or(CheckpointError::Extension)?;
            extensions.push(extension.to_owned());
            rest = after;
        }
        let checkpoint = Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions,
        };
        checkpoint.check()?;
        Ok(checkpoint)
    }

    fn check(&self) -> Result<(), CheckpointError> {
        let is_line =
            |text: &str| !text.is_empty() && !text.contains('\n') && !text.chars().any(is_banned);
        if !is_line(&self.origin) {
            return Err(CheckpointError::Origin);
        }
        if self.size > SIZE_MAX {
            return Err(CheckpointError::Size);
        }
        if self.extensions.iter().any(|text| !is_line(text)) {
            return Err(CheckpointError::Extension);
        }
        Ok(())
    }

    /// A log that signs another root for no entries has signed a lie, so this is not a matter of form.
    fn check_empty(&self) -> Result<(), CheckpointError> {
        if self.size == 0 && self.root != Hash::of_empty_tree() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(())
    }

    /// Signs it as the log whose name is its origin.
    ///
    /// # Errors
    /// [`CheckpointError`] when the signer is another log, or no log.
    pub fn sign(self, signer: &Signer) -> Result<SignedCheckpoint, CheckpointError> {
        let log = signer.verifier();
        if log.algorithm() != Algorithm::Ed25519 {
            return Err(CheckpointError::Algorithm(log.name().clone()));
        }
        self.is_of(log)?;
        self.check_empty()?;
        let note = Note::sign(&self.encode(), signer)?;
        Ok(SignedCheckpoint {
            note,
            checkpoint: self,
        })
    }

    fn is_of(&self, log: &VerifierKey) -> Result<(), CheckpointError> {
        if self.origin == log.name().as_str() {
            Ok(())
        } else {
            Err(CheckpointError::OtherLog {
                expected: log.name().clone(),
                got: self.origin.clone(),
            })
        }
    }
}

/// A checkpoint and the note it stands in, whose signatures are unchecked until [`SignedCheckpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Reads a note that holds a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] when the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// Its text form: the note's.
    #[must_use]
    pub fn encode(&self) -> String {
        self.note.encode()
    }

    /// The note.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The note, to add cosignatures to; its text cannot be changed.
    pub const fn note_mut(&mut self) -> &mut Note {
        &mut self.note
    }

    /// What it says, whoever said it.
    #[must_use]
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What it says, if `log` signed it under its own name and it is not false on its face.
    ///
    /// # Errors
    /// [`CheckpointError`] when it did not, a signature said to be its own is not, or a tree without entries has another root
    /// than the empty one's.
    pub fn verify(&self, log: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        self.verify_root(log)?.check_empty()?;
        Ok(&self.checkpoint)
    }

    /// As [`SignedCheckpoint::verify`], true or false: what the log has signed, it has signed.
    pub(crate) fn verify_root(&self, log: &VerifierKey) -> Result<&Checkpoint, CheckpointError> {
        if log.algorithm() != Algorithm::Ed25519 {
            return Err(CheckpointError::Algorithm(log.name().clone()));
        }
        self.checkpoint.is_of(log)?;
        if self.note.is_signed_by(log)? {
            Ok(&self.checkpoint)
        } else {
            Err(CheckpointError::Unsigned {
                log: log.name().clone(),
            })
        }
    }

    /// The checkpoint with no signatures but those that name one of `keys`.
    pub(crate) fn stripped(&self, keys: &[VerifierKey]) -> Self {
        Self {
            note: self.note.stripped(keys),
            checkpoint: self.checkpoint.clone(),
        }
    }
}
