//! What must not be forgotten: one signed note per log, in a folder that one process holds.
//!
//! ```text
//! <folder>/lock                              held while the process lives
//!         /<SHA-256 of the origin, hex>      the note, replaced whole
//! ```
//!
//! The names of the files are also the names under which monitors ask for them ([`origin_name`]).
//!
//! It deliberately does not read the notes; whoever asks for one checks it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use credence_log::note::NOTE_LEN_MAX;
use credence_store::StoreError;
use credence_store::file::{self, Access};
use sha2::{Digest as _, Sha256};

/// Why a note could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process holds the folder.
    #[error(
        "the state folder `{path}` is held by another process: two that share one would each break the other's word"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The lock cannot be taken.
    #[error("the state folder `{path}` cannot be locked")]
    Lock {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file system refused.
    #[error("the state of log `{origin}` cannot be read or kept")]
    Store {
        /// The log.
        origin: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The folder cannot be made.
    #[error("the state folder `{path}` cannot be made")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A store that is no folder refused.
    #[error("the state of log `{origin}` cannot be read or kept")]
    Other {
        /// The log.
        origin: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A place that keeps one note per origin, and is used by one process alone.
pub trait Notes: Send + Sync {
    /// The note that was last kept, `None` if there was none.
    ///
    /// # Errors
    /// [`StateError`]; absence is no error.
    fn load(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError>;

    /// Keeps the note instead of the one before. When it returns `Ok`, the note survives a crash of process and machine.
    ///
    /// # Errors
    /// [`StateError`]; the note may have been kept all the same, so whoever goes on loads it first.
    fn keep(&self, origin: &str, note: &[u8]) -> Result<(), StateError>;
}

/// The name of an origin in paths: the SHA-256 of its bytes in lower-case hexadecimal digits.
#[must_use]
pub fn origin_name(origin: &str) -> String {
    hex::encode(Sha256::digest(origin.as_bytes()))
}

/// Notes in a folder, which is locked until this is dropped or the process dies.
#[derive(Debug)]
pub struct NoteFolder {
    folder: PathBuf,
    _lock: File,
}

impl NoteFolder {
    /// Opens the folder, makes it if it is absent, and takes it for this process; it does not wait for another one.
    ///
    /// # Errors
    /// [`StateError::InUse`] when another process holds it.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        file::make_folder(folder, Access::Owner).map_err(|source| StateError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let fail = |source| StateError::Lock {
            path: folder.to_owned(),
            source,
        };
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse {
                path: folder.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The file of this origin's note.
    #[must_use]
    pub fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(origin_name(origin))
    }
}

impl Notes for NoteFolder {
    fn load(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError> {
        let len_max = u64::try_from(NOTE_LEN_MAX).unwrap_or(u64::MAX);
        match file::read(&self.path(origin), len_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_absent() => Ok(None),
            Err(source) => Err(StateError::Store {
                origin: origin.to_owned(),
                source,
            }),
        }
    }

    fn keep(&self, origin: &str, note: &[u8]) -> Result<(), StateError> {
        file::write(&self.path(origin), note, Access::Public).map_err(|source| StateError::Store {
            origin: origin.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_replaced_and_the_folder_is_one_processs() {
        let folder = tempfile::tempdir().unwrap();
        let notes = NoteFolder::open(folder.path()).unwrap();
        assert!(notes.load("a").unwrap().is_none());
        notes.keep("a", b"one").unwrap();
        notes.keep("a", b"two").unwrap();
        notes.keep("../b", b"three").unwrap();
        assert_eq!(notes.load("a").unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(notes.load("../b").unwrap().as_deref(), Some(&b"three"[..]));
        assert!(matches!(
            NoteFolder::open(folder.path()),
            Err(StateError::InUse { .. })
        ));
        drop(notes);
        let again = NoteFolder::open(folder.path()).unwrap();
        assert_eq!(again.load("a").unwrap().as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn names_are_sha_256() {
        assert_eq!(
            origin_name(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
