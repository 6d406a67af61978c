//! `credence verify` of a file of evidence against a log, as a monitor or a witness keeps it.
//!
//! It deliberately asks no policy: that a log lied is so whoever says it.

use std::path::Path;

use credence_store::file;
use credence_witness::Evidence;
use credence_witness::evidence::{EVIDENCE_LEN_MAX, EvidenceError};
use serde::Serialize;

use crate::error::CliError;
use crate::exit::Exit;

/// Confirms a file of evidence.
pub(crate) fn confirmed(path: &Path) -> Result<EvidenceView, CliError> {
    let len_max = u64::try_from(EVIDENCE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max)?;
    let what = || format!("`{}` shows nothing against any log", path.display());
    read(&bytes).map_err(|error| CliError::because(Exit::Malformed, what(), error))
}

/// Whether bytes begin as a file of evidence does.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"credence log evidence ")
}

/// What `verify --json` prints of evidence.
#[derive(Debug, Serialize)]
pub(crate) struct EvidenceView {
    accepted: bool,
    kind: &'static str,
    log: String,
    smaller: SignedView,
    larger: SignedView,
    /// The root that the larger one's tree had at the smaller one's size.
    root: String,
}

/// A checkpoint that the log signed.
#[derive(Debug, Serialize)]
struct SignedView {
    size: u64,
    root: String,
}

/// Confirms a file of evidence.
fn read(bytes: &[u8]) -> Result<EvidenceView, EvidenceError> {
    let found = Evidence::parse(bytes)?;
    let view = |signed: &credence_log::SignedCheckpoint| SignedView {
        size: signed.unverified().size(),
        root: signed.unverified().root().to_string(),
    };
    Ok(EvidenceView {
        accepted: true,
        kind: "evidence",
        log: found.log().to_string(),
        smaller: view(found.smaller()),
        larger: view(found.larger()),
        root: found.root().to_string(),
    })
}

impl EvidenceView {
    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            log,
            smaller,
            larger,
            root,
            ..
        } = self;
        format!(
            "confirmed: a log said two things of which one is false\n\n  log       {log}\n  signed    {} entries with root {}\n  \
             and       {} entries with root {},\n            of which the first {} have root {root}\n\nshown: the log's key signed both checkpoints; nothing hangs on who reports it",
            smaller.size, smaller.root, larger.size, larger.root, smaller.size
        )
    }
}
