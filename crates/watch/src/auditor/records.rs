//! The audits that were made, in files: what is counted is what stands there, however often the auditor was ended in between.
//!
//! ```text
//! <folder>/lock                          held while the process lives
//! <folder>/audits/<receipt>.of           {"operator":key or null}: whose answer it was; written first
//!                /<receipt>.json         the signed audit; once it is there, the receipt is audited and counted
//!                /<receipt>.logged       the audit is in a log
//! ```
//!
//! It deliberately counts nothing of which there is no file, and signs nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use credence_base::{PublicKey, ReceiptDigest};
use credence_claim::MethodId;
use credence_receipt::{Audit, AuditOutcome, BUNDLE_LEN_MAX, Bundle, Statement};
use credence_store::file::{self, Access, Lock};
use credence_store::{Action, StoreError};
use serde::{Deserialize, Serialize};

use super::board::{Counts, Tally};
use super::check::Outcome;

/// The longest file beside an audit, in bytes.
const OF_LEN_MAX: u64 = 4096;

/// The number in a statement that says whether the operator answered.
pub(super) const ANSWERED: &str = "answered";
/// The number that a request of our own has.
pub(super) const HONEYPOT: &str = "honeypot";

/// Why the audits that were made cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A file cannot be read or written.
    #[error("the audits' files cannot be read or written")]
    Store(#[from] StoreError),
    /// A file is not what it was written as.
    #[error("`{}` is damaged, or was written by an older version: restore it, or begin with a new folder", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    operator: Option<String>,
}

/// An audit as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) receipt: ReceiptDigest,
    /// Whose answer it was; nothing if nobody's is shown.
    pub(super) operator: Option<&'a PublicKey>,
    pub(super) outcome: Outcome,
    pub(super) honeypot: bool,
}

/// The folder of audits.
pub(super) struct Records {
    folder: PathBuf,
    made: BTreeSet<ReceiptDigest>,
    /// Audits that are in no log yet, by the audited receipt, with their own digests.
    unlogged: BTreeMap<ReceiptDigest, ReceiptDigest>,
    tallies: BTreeMap<String, Tally>,
    nobodys: Tally,
    _lock: Lock,
}

fn outcome(audit: &Audit) -> Outcome {
    let number = |name: &str| {
        let mut all = audit.numbers.iter();
        all.find(|(own, _)| own.as_str() == name)
            .map(|(_, value)| *value)
    };
    match audit.outcome {
        AuditOutcome::Refuted => Outcome::Refuted,
        AuditOutcome::Failed if number(ANSWERED) == Some(0) => Outcome::Unanswered,
        AuditOutcome::Failed => Outcome::Failed,
        AuditOutcome::Passed if audit.method.as_str() == MethodId::SPOT.as_str() => {
            Outcome::SpotChecked
        }
        AuditOutcome::Passed => Outcome::Replayed,
    }
}

impl Records {
    /// Opens the folder, for this process alone, and counts what is there.
    pub(super) fn open(folder: &Path) -> Result<Self, RecordsError> {
        let audits = folder.join("audits");
        file::make_folder(&audits, Access::Owner)?;
        let lock = file::lock(&folder.join("lock"))?;
        let mut own = Self {
            folder: audits.clone(),
            made: BTreeSet::new(),
            unlogged: BTreeMap::new(),
            tallies: BTreeMap::new(),
            nobodys: Tally::default(),
            _lock: lock,
        };
        let fail = |source| StoreError::from_io(Action::Read, &audits, source);
        for child in std::fs::read_dir(&audits).map_err(fail)? {
            let path = child.map_err(fail)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let receipt = name.and_then(|name| name.strip_suffix(".json"));
            if let Some(receipt) = receipt.and_then(|name| name.parse().ok()) {
                own.load(receipt)?;
            }
        }
        Ok(own)
    }

    fn path(&self, receipt: &ReceiptDigest, end: &str) -> PathBuf {
        self.folder.join(format!("{receipt}.{end}"))
    }

    fn load(&mut self, receipt: ReceiptDigest) -> Result<(), RecordsError> {
        let path = self.path(&receipt, "json");
        let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
        let bytes = file::read(&path, len_max)?;
        let of = self.of(&receipt)?;
        let damaged = || RecordsError::Damaged { path: path.clone() };
        let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|_| damaged())?;
        let signed = bundle.receipt().open().map_err(|_| damaged())?;
        let Statement::Audit(audit) = signed.into_statement() else {
            return Err(damaged());
        };
        if audit.receipt != receipt {
            return Err(damaged());
        }
        let mut numbers = audit.numbers.iter();
        let honeypot = numbers.any(|(name, value)| name.as_str() == HONEYPOT && *value == 1);
        self.count(of.operator, outcome(&audit), honeypot);
        self.made.insert(receipt);
        if !self.path(&receipt, "logged").exists() {
            self.unlogged.insert(receipt, bundle.receipt().digest());
        }
        Ok(())
    }

    fn of(&self, receipt: &ReceiptDigest) -> Result<Of, RecordsError> {
        let path = self.path(receipt, "of");
        let damaged = || RecordsError::Damaged { path: path.clone() };
        match file::read(&path, OF_LEN_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged()),
            Err(error) if error.is_absent() => Err(damaged()),
            Err(error) => Err(error.into()),
        }
    }

    fn count(&mut self, operator: Option<String>, outcome: Outcome, honeypot: bool) {
        let tally = match operator {
            Some(operator) => self.tallies.entry(operator).or_default(),
            None => &mut self.nobodys,
        };
        let counts: &mut Counts = if honeypot {
            &mut tally.honeypots
        } else {
            &mut tally.drawn
        };
        outcome.count(counts);
    }

    /// Whether an audit of this receipt was made.
    pub(super) fn has(&self, receipt: &ReceiptDigest) -> bool {
        self.made.contains(receipt)
    }

    /// What was made, by operators, and what is nobody's.
    pub(super) const fn tallies(&self) -> (&BTreeMap<String, Tally>, &Tally) {
        (&self.tallies, &self.nobodys)
    }

    /// Keeps a signed audit, durably, and counts it. One that is there already stays, and this one counts for nothing: then false.
    pub(super) fn keep(
        &mut self,
        counted: Counted<'_>,
        (audit, bytes): (ReceiptDigest, &[u8]),
    ) -> Result<bool, RecordsError> {
        let receipt = counted.receipt;
        if self.has(&receipt) {
            return Ok(false);
        }
        let operator = counted.operator.map(ToString::to_string);
        let of = Of {
            operator: operator.clone(),
        };
        let path = self.path(&receipt, "of");
        let text =
            serde_json::to_vec(&of).map_err(|_| RecordsError::Damaged { path: path.clone() })?;
        file::write(&path, &text, Access::Owner)?;
        file::create(&self.path(&receipt, "json"), bytes, Access::Owner)?;
        self.count(operator, counted.outcome, counted.honeypot);
        self.made.insert(receipt);
        self.unlogged.insert(receipt, audit);
        Ok(true)
    }

    /// Audits that are in no log: the audited receipts, and the audits' own digests.
    pub(super) fn unlogged(&self) -> Vec<(ReceiptDigest, ReceiptDigest)> {
        self.unlogged.iter().map(|(of, own)| (*of, *own)).collect()
    }

    /// Marks an audit as logged.
    pub(super) fn logged(&mut self, receipt: &ReceiptDigest) -> Result<(), RecordsError> {
        file::write(&self.path(receipt, "logged"), b"", Access::Owner)?;
        self.unlogged.remove(receipt);
        Ok(())
    }
}
