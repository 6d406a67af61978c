//! Named objects: created once and read many times, in a folder or in an S3 bucket.
//!
//! ```text
//! Objects::create  ──▶ FolderObjects   temporary file, flushed, takes its name if that is free; folders flushed
//!                 └──▶ S3Objects       PUT with `If-None-Match: *`
//! Objects::replace ──▶ the same without the question: for what points at the newest of something, and for nothing else
//! ```
//!
//! A reader sees an object whole or not at all. What is created is never overwritten: of two writers of one name one wins
//! and the other is told. Of two that replace, the later one wins and neither is told, so nothing may hang on what was replaced. The trait blocks: its callers are a thread that does one thing after the other and SQLite, which
//! blocks as well; a server calls it from its pool of blocking threads. It deliberately has no append and no rename.

mod folder;
mod http;
mod s3;

use core::fmt;

pub use folder::FolderObjects;
pub use s3::{S3Config, S3Error, S3Objects};

use crate::error::StoreError;

/// Why a text is no object's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectNameError {
    /// Too long, or empty.
    #[error("expected a name of 1 to {max} bytes, got {got}")]
    Length {
        /// The limit.
        max: usize,
        /// The length.
        got: usize,
    },
    /// A part between slashes is empty, begins with a full stop, or has a byte that is not one of `a-z0-9._-`.
    #[error(
        "expected parts of `a-z0-9._-` between slashes, none beginning with a full stop, got `{name}`"
    )]
    Part {
        /// The name.
        name: String,
    },
}

/// The name of an object: parts of `a-z0-9._-` with slashes between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// The longest name, in bytes.
    pub const LEN_MAX: usize = 200;

    /// Takes a name.
    ///
    /// # Errors
    /// [`ObjectNameError`].
    pub fn new(name: impl Into<String>) -> Result<Self, ObjectNameError> {
        let name = name.into();
        if name.is_empty() || name.len() > Self::LEN_MAX {
            return Err(ObjectNameError::Length {
                max: Self::LEN_MAX,
                got: name.len(),
            });
        }
        let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let good =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(known);
        if name.split('/').all(good) {
            Ok(Self(name))
        } else {
            Err(ObjectNameError::Part { name })
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What became of an object that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was not there and is now.
    New,
    /// Something stood under its name already, and still does. Whoever asks may read it and compare.
    Existed,
}

/// What stands directly below a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    /// An object, by the last part of its name.
    Object(String),
    /// A folder, by the last part of its name.
    Folder(String),
}

/// Keeps named objects.
pub trait Objects: Send + Sync {
    /// An object of at most `len_max` bytes, or `None` if there is none of this name.
    ///
    /// # Errors
    /// [`StoreError`], [`StoreError::TooLong`] over the limit.
    fn get(&self, name: &ObjectName, len_max: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Creates each object whose name is free, in no particular order. On return all of them are durable: they survive
    /// the end of the process and a power cut.
    ///
    /// # Errors
    /// [`StoreError`]. Any of them may then be stored or not: whoever needs to know reads.
    fn create(&self, objects: &[Object]) -> Result<Vec<Created>, StoreError>;

    /// Puts an object in the place of whatever stands under its name. Durable on return; a reader sees the old one or the new one.
    ///
    /// # Errors
    /// [`StoreError`]; either may then stand there.
    fn replace(&self, object: &Object) -> Result<(), StoreError>;

    /// What stands directly below a folder, in ascending order; nothing if there is no such folder.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, folder: &ObjectName) -> Result<Vec<Child>, StoreError>;

    /// Removes objects, in no particular order; it is no error if one is not there. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; any of them may then be gone or not.
    fn remove(&self, names: &[ObjectName]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        let good = ["a", "tile/entries/x001/234.p/5", "0/0", "a-b_c.d"];
        let bad = [
            "", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.b", "A", "a b", "ä", "a\0",
            "a\\b",
        ];
        for name in good {
            assert_eq!(ObjectName::new(name).unwrap().as_str(), name);
        }
        for name in bad {
            assert!(ObjectName::new(name).is_err(), "{name:?}");
        }
        assert!(ObjectName::new("a".repeat(200)).is_ok());
        assert!(ObjectName::new("a".repeat(201)).is_err());
    }
}
