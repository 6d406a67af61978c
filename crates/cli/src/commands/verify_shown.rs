//! `credence verify` of a bundle that is no answer: a log's two truths, what becomes of a key, or a referee's verdict.

use std::path::Path;

use credence_receipt::{Bundle, Kind};
use credence_verify::{
    Facts, Policy, Refusal, ShownEquivocation, ShownKeyStatement, confirm_equivocation,
    confirm_key_statement,
};
use serde::Serialize;

use crate::commands::dispute_view::{self, VerdictView};
use crate::commands::key_statement::words;
use crate::commands::verify::refused;
use crate::error::CliError;
use crate::time::rfc3339;

/// What `verify` prints of a bundle that is no answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ShownView {
    /// A log's two truths.
    Equivocation(EquivocationView),
    /// What becomes of a key.
    Key(KeyView),
    /// Who lost a dispute.
    Verdict(VerdictView),
}

impl ShownView {
    /// Confirms a bundle of one of these kinds; `None` if it is of another, or cannot be read as any.
    pub(crate) fn of(
        path: &Path,
        bundle: &Bundle,
        policy: &Policy,
        facts: &Facts,
    ) -> Option<Result<Self, CliError>> {
        let signed = bundle.receipt().open().ok()?;
        let refuse = |refusal: Refusal| refused(path, &refusal);
        match signed.into_statement().kind() {
            Kind::Equivocation => {
                let shown = confirm_equivocation(bundle).map_err(refuse);
                Some(shown.map(|shown| Self::Equivocation(EquivocationView::new(&shown))))
            }
            Kind::KeyStatement => {
                let shown = confirm_key_statement(bundle, policy, facts).map_err(refuse);
                Some(shown.map(|shown| Self::Key(KeyView::new(&shown))))
            }
            Kind::Verdict => Some(dispute_view::confirmed(path, bundle).map(Self::Verdict)),
            Kind::Inference | Kind::Audit | Kind::WeightsBinding | Kind::Imported => None,
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Equivocation(view) => view.text(),
            Self::Key(view) => view.text(),
            Self::Verdict(view) => view.text(),
        }
    }
}

/// What `verify --json` prints of a statement about a key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyView {
    accepted: bool,
    kind: &'static str,
    statement: String,
    key: String,
    says: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged: Option<KeyLoggedView>,
}

/// Where a statement about a key is logged.
#[derive(Debug, Serialize)]
struct KeyLoggedView {
    log: String,
    index: u64,
    cosignatures: usize,
}

impl KeyView {
    fn new(shown: &ShownKeyStatement) -> Self {
        let statement = &shown.statement;
        Self {
            accepted: true,
            kind: "key-statement",
            statement: shown.digest.to_string(),
            key: statement.operator.to_string(),
            says: words(&statement.action),
            time: rfc3339(statement.time_unix_s),
            logged: shown.logged.as_ref().map(|logged| KeyLoggedView {
                log: logged.witnessed().log().to_string(),
                index: logged.index(),
                cosignatures: logged.witnessed().cosigners().len(),
            }),
        }
    }

    fn text(&self) -> String {
        let logged = self.logged.as_ref().map_or_else(
            || "in no log that the policy names: enough for a key to expire or be revoked, too little for another to take its place".to_owned(),
            |logged| {
                let KeyLoggedView { log, index, cosignatures } = logged;
                format!("entry {index} of log {log}, with {cosignatures} cosignatures")
            },
        );
        format!(
            "confirmed: a key said what becomes of it\n\n  key        {}\n  says       it {}\n  said       {} by its own clock\n  logged     {logged}\n  statement  {}\n\n\
             shown: the key signed this; give the file with `--key-statement` when verifying its receipts",
            self.key, self.says, self.time, self.statement
        )
    }
}

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
