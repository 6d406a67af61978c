//! `credence verify` of what is no answer: a log's two truths, as a receipt or as the evidence file of a witness or a monitor.

use credence_receipt::{Bundle, Kind};
use credence_verify::{Refusal, ShownEquivocation, confirm_equivocation};
use credence_witness::Evidence;
use credence_witness::evidence::EvidenceError;
use serde::Serialize;

use crate::time::rfc3339;

/// What `verify --json` prints of a log's two truths.
#[derive(Debug, Serialize)]
pub(crate) struct EquivocationView {
    accepted: bool,
    kind: &'static str,
    statement: String,
    log: String,
    size: u64,
    roots: [String; 2],
    reporter: String,
    time: String,
}

/// Confirms a bundle of kind equivocation; `None` if it is of another kind, or cannot be read as any.
pub(crate) fn equivocation(bundle: &Bundle) -> Option<Result<EquivocationView, Refusal>> {
    let signed = bundle.receipt().open().ok()?;
    if signed.into_statement().kind() != Kind::Equivocation {
        return None;
    }
    Some(confirm_equivocation(bundle).map(|shown| EquivocationView::new(&shown)))
}

impl EquivocationView {
    fn new(shown: &ShownEquivocation) -> Self {
        let two = &shown.equivocation;
        let root = |signed: &credence_log::SignedCheckpoint| signed.unverified().root().to_string();
        Self {
            accepted: true,
            kind: "equivocation",
            statement: shown.digest.to_string(),
            log: two.log().to_string(),
            size: two.size(),
            roots: [root(two.first()), root(two.second())],
            reporter: shown.reporter.to_string(),
            time: rfc3339(shown.time_unix_s),
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        format!(
            "confirmed: a log said two things of which one is false\n\n  log       {}\n  entries   {}\n  root      {}\n  and root  {}\n  \
             reporter  {}\n  told      {} by the reporter's clock\n\nshown: the log's key signed both checkpoints; nothing hangs on who reports it",
            self.log, self.size, self.roots[0], self.roots[1], self.reporter, self.time
        )
    }
}

/// How a file of evidence begins.
pub(crate) const EVIDENCE_START: &[u8] = b"credence log evidence ";

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
pub(crate) fn evidence(bytes: &[u8]) -> Result<EvidenceView, EvidenceError> {
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
