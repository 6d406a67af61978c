//! What must not be forgotten: one signed note per log, in a folder that one process holds.
//!
//! ```text
//! <folder>/lock                              held while the process lives
//!         /witness                           whose records these are: a folder without it is not a witness's that has begun
//!         /<SHA-256 of the origin, hex>      the note, replaced whole
//! ```
//!
//! The names of the files are also the names under which monitors ask for them ([`origin_name`]).
//!
//! It deliberately does not read the notes; whoever asks for one checks it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use credence_log::VerifierKey;
use credence_log::note::NOTE_LEN_MAX;
use credence_store::StoreError;
use credence_store::file::{self, Access};
use sha2::{Digest as _, Sha256};

/// The file that says whose records these are.
const WHOSE: &str = "witness";

/// The longest such file, in bytes.
const WHOSE_LEN_MAX: u64 = 1024;

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
    /// The key is there, and what it cosigned is not.
    #[error(
        "witness `{witness}` has a key, and `{path}` does not hold its records: mount or restore that folder as it was last; if this witness never cosigned anything, start it once as a new one; else give it a new key and a new name"
    )]
    Forgotten {
        /// The folder.
        path: PathBuf,
        /// The witness's name.
        witness: String,
    },
    /// The records are another witness's.
    #[error(
        "the records in `{path}` are those of witness `{got}`, not of `{expected}`: each has a folder of its own"
    )]
    OtherWitness {
        /// The folder.
        path: PathBuf,
        /// The witness's key.
        expected: String,
        /// The key in the folder.
        got: String,
    },
    /// The folder cannot be made, or its own file not be read or kept.
    #[error("the state folder `{path}` cannot be used")]
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

    /// Opens the folder of a witness's records. It must be the one that this witness began with, unless `begins`: then, and only then, an
    /// empty one is taken.
    ///
    /// # Errors
    /// [`StateError::Forgotten`] and [`StateError::OtherWitness`]; else as [`NoteFolder::open`].
    pub fn open_of(folder: &Path, key: &VerifierKey, begins: bool) -> Result<Self, StateError> {
        let forgotten = || StateError::Forgotten {
            path: folder.to_owned(),
            witness: key.name().to_string(),
        };
        if !begins && !folder.is_dir() {
            return Err(forgotten());
        }
        let notes = Self::open(folder)?;
        let fail = |source| StateError::Folder {
            path: folder.to_owned(),
            source,
        };
        let (path, expected) = (folder.join(WHOSE), key.to_string());
        match file::read(&path, WHOSE_LEN_MAX) {
            Ok(bytes) => {
                let got = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                if got != expected {
                    let path = folder.to_owned();
                    return Err(StateError::OtherWitness {
                        path,
                        expected,
                        got,
                    });
                }
            }
            Err(error) if error.is_absent() => {
                // Records from before this file was kept say as much.
                if !begins && !holds_notes(folder) {
                    return Err(forgotten());
                }
                let line = format!("{expected}\n");
                file::write(&path, line.as_bytes(), Access::Public).map_err(fail)?;
            }
            Err(error) => return Err(fail(error)),
        }
        file::settle_folder(folder).map_err(fail)?;
        Ok(notes)
    }

    /// The file of this origin's note.
    #[must_use]
    pub fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(origin_name(origin))
    }
}

/// Whether any file is named as a note is.
fn holds_notes(folder: &Path) -> bool {
    let is_note = |name: std::ffi::OsString| {
        name.to_str()
            .is_some_and(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    std::fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().any(|entry| is_note(entry.file_name())))
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
    fn a_witness_whose_records_are_gone_does_not_start() {
        use credence_log::{Algorithm, KeyName, Signer};
        let key = |name: &str| {
            let key = credence_base::SigningKey::from_seed(&[1; 32]);
            let name = KeyName::new(name).unwrap();
            let signer = Signer::new(name, Algorithm::CosignatureV1, key);
            signer.verifier().clone()
        };
        let (one, two) = (key("w1.example"), key("w2.example"));
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let refused = |state: &Path, key: &VerifierKey| {
            let error = NoteFolder::open_of(state, key, false).unwrap_err();
            matches!(error, StateError::Forgotten { .. })
        };
        assert!(refused(&state, &one) && !state.exists());
        NoteFolder::open_of(&state, &one, true).unwrap();
        NoteFolder::open_of(&state, &one, false).unwrap();
        let other = NoteFolder::open_of(&state, &two, true).unwrap_err();
        assert!(matches!(other, StateError::OtherWitness { .. }));
        // Where the volume was mounted an empty folder is left.
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(refused(&empty, &one));
        // A folder of an older version has records, and no word of whose they are.
        let old = NoteFolder::open(&empty).unwrap();
        old.keep("log.example", b"note").unwrap();
        drop(old);
        NoteFolder::open_of(&empty, &one, false).unwrap();
        assert!(empty.join(WHOSE).exists());
    }

    #[test]
    fn names_are_sha_256() {
        assert_eq!(
            origin_name(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
