//! `credence verify` of a bundle that is no answer: a log's two truths, or a referee's verdict.

use std::path::Path;

use credence_receipt::{Bundle, Kind};
use credence_verify::{Refusal, ShownEquivocation, confirm_equivocation};
use serde::Serialize;

use crate::commands::dispute_view::{self, VerdictView};
use crate::commands::verify::refused;
use crate::error::CliError;
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

/// What is confirmed of a bundle that holds no answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Shown {
    Equivocation(EquivocationView),
    Verdict(VerdictView),
}

impl Shown {
    /// The words for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Equivocation(view) => view.text(),
            Self::Verdict(view) => view.text(),
        }
    }
}

/// Confirms a bundle of kind equivocation or verdict; `None` if it is of another kind, or cannot be read as any.
pub(crate) fn shown(path: &Path, bundle: &Bundle) -> Option<Result<Shown, CliError>> {
    let signed = bundle.receipt().open().ok()?;
    match signed.into_statement().kind() {
        Kind::Equivocation => Some(equivocation(path, bundle)),
        Kind::Verdict => Some(dispute_view::confirmed(path, bundle).map(Shown::Verdict)),
        _ => None,
    }
}

fn equivocation(path: &Path, bundle: &Bundle) -> Result<Shown, CliError> {
    let confirmed = confirm_equivocation(bundle);
    let shown = confirmed.map_err(|refusal: Refusal| refused(path, &refusal))?;
    Ok(Shown::Equivocation(EquivocationView::new(&shown)))
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
