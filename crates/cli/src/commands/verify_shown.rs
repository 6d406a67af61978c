//! `credence verify --kind` of a file that is no answer: a log's two truths, what becomes of a key, or a referee's verdict.
//!
//! Only who asks for one of these gets it: whoever verifies answers under a policy must not be handed the end code 0 for
//! something that no policy speaks of.

use std::path::Path;

use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::file;
use credence_verify::{
    Facts, Refusal, ShownEquivocation, ShownKeyStatement, confirm_equivocation,
    confirm_key_statement,
};
use serde::Serialize;

use crate::args::{FileKind, VerifyArgs};
use crate::commands::dispute_view::{self, VerdictView};
use crate::commands::key_statement::words;
use crate::commands::verify::{demanded, refused};
use crate::commands::verify_evidence::{self, EvidenceView};
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::{now_unix_s, rfc3339};

/// What `verify` prints of a file that is no answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ShownView {
    /// What is kept against a log.
    Evidence(EvidenceView),
    /// A log's two truths.
    Equivocation(EquivocationView),
    /// What becomes of a key.
    Key(KeyView),
    /// Who lost a dispute.
    Verdict(VerdictView),
}

impl ShownView {
    /// Confirms the file as what `--kind` says that it is; `None` if that is an answer.
    pub(crate) fn of(args: &VerifyArgs) -> Result<Option<Self>, CliError> {
        let FileKind::Answer = args.kind else {
            refuse_demands(args)?;
            let Some(path) = &args.bundle else {
                return Err(CliError::new(Exit::Usage, "`--kind` is of a file: name it"));
            };
            return Self::confirmed(path, args).map(Some);
        };
        Ok(None)
    }

    fn confirmed(path: &Path, args: &VerifyArgs) -> Result<Self, CliError> {
        let refuse = |refusal: Refusal| refused(path, &refusal);
        Ok(match args.kind {
            FileKind::Evidence => Self::Evidence(verify_evidence::confirmed(path)?),
            FileKind::Verdict => Self::Verdict(dispute_view::confirmed(path, &read(path)?)?),
            FileKind::KeyStatement => {
                let policy = demanded(args)?;
                let facts = Facts::at(now_unix_s()?);
                let bundle = read(path)?;
                let shown = confirm_key_statement(&bundle, &policy, &facts).map_err(refuse)?;
                let got = shown.statement.operator;
                if policy.operators.is_some_and(|keys| !keys.contains(&got)) {
                    return Err(refuse(Refusal::Operator { got }));
                }
                Self::Key(KeyView::new(&shown))
            }
            FileKind::Equivocation | FileKind::Answer => {
                let shown = confirm_equivocation(&read(path)?).map_err(refuse)?;
                Self::Equivocation(EquivocationView::new(&shown))
            }
        })
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Evidence(view) => view.text(),
            Self::Equivocation(view) => view.text(),
            Self::Key(view) => view.text(),
            Self::Verdict(view) => view.text(),
        }
    }
}

/// What is asked of answers cannot be met by anything else, and passing over it would accept what was not asked for.
fn refuse_demands(args: &VerifyArgs) -> Result<(), CliError> {
    let of_keys = args.kind == FileKind::KeyStatement;
    let demands = [
        ("--stream", args.stream.is_some()),
        ("--model", args.model.is_some()),
        ("--policy", args.policy.is_some() && !of_keys),
        ("--operator", !args.operator.is_empty() && !of_keys),
        ("--require", !args.require.is_empty()),
        ("--challenge", args.challenge.is_some()),
        ("--nonce", args.nonce.is_some()),
        ("--key-statement", !args.key_statement.is_empty()),
        ("--max-age", args.max_age.is_some()),
        ("--min-bits", args.min_bits.is_some()),
        ("--weights", args.weights.is_some()),
        ("--voucher", !args.voucher.is_empty()),
    ];
    match demands.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            let what = format!(
                "`{option}` asks something of an answer, and `--kind` says that the file holds none"
            );
            Err(CliError::new(Exit::Usage, what))
        }
    }
}

fn read(path: &Path) -> Result<Bundle, CliError> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(path, len_max)?;
    Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|error| refused(path, &Refusal::Bundle(error)))
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
