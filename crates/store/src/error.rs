//! Why a file could not be read or written, with the path and the remedy.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// What was being done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading.
    Read,
    /// Writing or creating.
    Write,
    /// Removing.
    Remove,
    /// Taking a lock.
    Lock,
}

impl core::fmt::Display for Action {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "written",
            Self::Remove => "removed",
            Self::Lock => "locked",
        })
    }
}

/// Why a file could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("`{path}` does not exist")]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// The system's permissions forbid it.
    #[error("`{path}` cannot be {action}: permission denied")]
    Denied {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: Action,
    },
    /// The file system takes no writes.
    #[error("`{path}` cannot be {action}: the file system is read-only")]
    ReadOnly {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: Action,
    },
    /// The disk, a quota or a size limit is exhausted. What stood at the path before still does.
    #[error("`{path}` cannot be written: no space is left")]
    Full {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: Error,
    },
    /// Longer than the reader takes.
    #[error("`{path}` has more than {max} bytes, the most that is read")]
    TooLong {
        /// The path.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// A folder, where a file is needed.
    #[error("`{path}` is a folder, not a file")]
    Folder {
        /// The path.
        path: PathBuf,
    },
    /// Something that must not be replaced is there already.
    #[error("`{path}` exists already")]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// Anything else that the system reports.
    #[error("`{path}` cannot be {action}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What was tried.
        action: Action,
        /// What the system said.
        source: Error,
    },
}

impl StoreError {
    /// Sorts what the system said about `path` by its reason.
    #[must_use]
    pub fn from_io(action: Action, path: &Path, source: Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::Absent { path },
            ErrorKind::PermissionDenied => Self::Denied { path, action },
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, action },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            ErrorKind::IsADirectory => Self::Folder { path },
            ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io {
                path,
                action,
                source,
            },
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent { .. } => Some("check the path"),
            Self::Denied { .. } => {
                Some("check who owns it, or name another place (`--home DIR`, `CREDENCE_HOME`)")
            }
            Self::ReadOnly { .. } => {
                Some("name a place that can be written (`--home DIR`, `CREDENCE_HOME`)")
            }
            Self::Full { .. } => Some("free some space; nothing half-written was left"),
            Self::TooLong { .. } => Some("this is not the kind of file that was expected"),
            Self::Folder { .. } => Some("name a file"),
            Self::Exists { .. } => Some("choose another name, or remove it first"),
            Self::Io { .. } => None,
        }
    }

    /// Whether the path is simply not there.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }
}
