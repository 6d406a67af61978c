//! The scoreboard: what an auditor found of whom, and what follows from it. One small file, which may be published.
//!
//! ```text
//! {"version":2,"logs":{origin: {"next","size","root"}},"operators":{key: {"replayed","refuted",…}},"nobodys","silent","unseen","pending":[…]}
//! Tally ─▶ Bounds: the rate of wrong answers is at most …, at 95 % and 99 %, of a number of audits fixed beforehand and at whatever moment one looks
//! ```
//!
//! What is counted of operators follows from the audits' files whenever the auditor starts; what stands here is for readers. Of requests that had no receipt there is no file,
//! so they are counted here. What is drawn from a log and what is sent as a honeypot are counted apart: they are samples of different things. It deliberately counts what a spot check passed apart
//! from what was run again: only the second shows that an answer is right.

use std::collections::BTreeMap;
use std::path::Path;

use credence_base::ModelId;
use credence_store::StoreError;
use credence_store::file::{self, Access};
use serde::{Deserialize, Serialize};

use super::pending::Waiting;
use crate::odds::{sequence_bound, upper_bound};

/// The longest scoreboard that is read, in bytes.
const BOARD_LEN_MAX: u64 = 16 * 1024 * 1024;

/// The version of the file.
const VERSION: u32 = 2;

/// Most names of models that are kept.
const MODELS_MAX: usize = 4096;

/// Why a scoreboard is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The file cannot be read or written.
    #[error("the scoreboard cannot be read or written")]
    Store(#[from] StoreError),
    /// It is none.
    #[error("the file is no scoreboard")]
    Form(#[source] serde_json::Error),
    /// Another version.
    #[error("expected version {VERSION} of a scoreboard, got {got}: begin with a new folder")]
    Version {
        /// Found.
        got: u32,
    },
}

/// How often something came of an audit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Run again, and right to the last bit.
    pub replayed: u64,
    /// Some cells opened, and right.
    pub spot_checked: u64,
    /// False.
    pub refuted: u64,
    /// Could not be carried through here.
    pub failed: u64,
    /// The operator did not open, show or answer.
    pub unanswered: u64,
}

/// What is known of one operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Of the entries that were drawn from logs.
    pub drawn: Counts,
    /// Of the auditor's own requests.
    pub honeypots: Counts,
}

/// How far a log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPlace {
    /// The index of the next entry to look at.
    pub next: u64,
    /// Entries at the last look.
    pub size: u64,
    /// The root then, in base64.
    pub root: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    version: u32,
    /// Logs, by their origins.
    pub logs: BTreeMap<String, LogPlace>,
    /// Operators, by their keys in hexadecimal.
    pub operators: BTreeMap<String, Tally>,
    /// What was not answered, and nobody shows whose it was.
    pub nobodys: Tally,
    /// Requests of the auditor's own that had no answer with a receipt, by the key of whoever was asked.
    pub silent: BTreeMap<String, u64>,
    /// The models that first answered requests of the auditor's own, by what these call them: path and name.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Requests of the auditor's own that were answered, and whose receipts could not be fetched: nobody's fault, and never settled.
    #[serde(default)]
    pub unfetched: u64,
    /// Entries that were drawn, whose bundles the auditor was never to see, and which wait no longer.
    pub unseen: u64,
    /// Entries that were drawn and are not settled.
    pub pending: Waiting,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            version: VERSION,
            logs: BTreeMap::new(),
            operators: BTreeMap::new(),
            nobodys: Tally::default(),
            silent: BTreeMap::new(),
            models: BTreeMap::new(),
            unfetched: 0,
            unseen: 0,
            pending: Waiting::default(),
        }
    }
}

/// Upper bounds on a rate, in millionths, at two levels of confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// How many were looked at.
    pub of: u64,
    /// How many of them were wrong.
    pub wrong: u64,
    /// The rate of wrong ones is at most this, at 95 %.
    pub at_95_ppm: u32,
    /// The same at 99 %.
    pub at_99_ppm: u32,
    /// At most this at 95 %, whenever one looks: it holds for all numbers of audits at once.
    pub always_95_ppm: u32,
    /// The same at 99 %.
    pub always_99_ppm: u32,
}

impl Bounds {
    /// For a number of audits that is fixed beforehand the exact binomial bounds (Clopper–Pearson, one-sided); for every moment at once those of a confidence sequence.
    /// Rounded up.
    #[must_use]
    pub fn of(wrong: u64, of: u64) -> Self {
        Self {
            of,
            wrong,
            at_95_ppm: upper_bound(wrong, of, 50_000),
            at_99_ppm: upper_bound(wrong, of, 10_000),
            always_95_ppm: sequence_bound(wrong, of, 50_000),
            always_99_ppm: sequence_bound(wrong, of, 10_000),
        }
    }
}

impl Counts {
    /// Of those that were settled: run again and right, or shown to be false.
    #[must_use]
    pub fn settled(&self) -> Bounds {
        Bounds::of(self.refuted, self.replayed.saturating_add(self.refuted))
    }

    /// The same if every one that is not settled counts as wrong: what was not answered, what could not be carried through, and `pending`, those that were drawn and may be
    /// seen and wait. Else whoever answers late for wrong ones looks right until then.
    #[must_use]
    pub fn strict(&self, pending: u64) -> Bounds {
        let (wrong, of) = self.unsettled_as_wrong(pending);
        Bounds::of(wrong, of)
    }

    /// How many are wrong then, of how many.
    pub(crate) fn unsettled_as_wrong(&self, pending: u64) -> (u64, u64) {
        let wrong = self.refuted.saturating_add(self.unanswered);
        let wrong = wrong.saturating_add(self.failed).saturating_add(pending);
        (wrong, self.replayed.saturating_add(wrong))
    }
}

impl Board {
    /// Entries that were drawn and that the auditor may not see, those that wait among them.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.unseen.saturating_add(self.pending.unseen())
    }

    /// What was drawn from logs, may be seen and is not settled. Whose it is may not be known yet, so it counts to each operator.
    #[must_use]
    pub fn waits_drawn(&self) -> u64 {
        self.pending.unanswered_of(false)
    }

    /// The same of the auditor's own requests.
    #[must_use]
    pub fn waits_own(&self) -> u64 {
        let own = self.pending.unanswered_of(true);
        own.saturating_add(self.unfetched)
    }

    /// Whether a model is the one that first answered under this name, which it is if none did.
    pub(super) fn is_first(&mut self, calls: String, model: &ModelId) -> bool {
        let (model, room) = (model.to_string(), self.models.len() < MODELS_MAX);
        match self.models.get(&calls) {
            Some(first) => *first == model,
            None if room => self.models.insert(calls, model).is_none(),
            None => true,
        }
    }

    /// Takes what the audits' files say, and adds the requests that had no receipt.
    pub(super) fn take(&mut self, operators: &BTreeMap<String, Tally>, nobodys: &Tally) {
        self.operators.clone_from(operators);
        self.nobodys = *nobodys;
        for (operator, count) in &self.silent {
            let tally = self.operators.entry(operator.clone()).or_default();
            let unanswered = &mut tally.honeypots.unanswered;
            *unanswered = unanswered.saturating_add(*count);
        }
    }

    /// Reads a scoreboard; an empty one if there is no file.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn read(path: &Path) -> Result<Self, BoardError> {
        let bytes = match file::read(path, BOARD_LEN_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        Self::decode(&bytes)
    }

    /// Reads the bytes of a scoreboard's file.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BoardError> {
        let board: Self = serde_json::from_slice(bytes).map_err(BoardError::Form)?;
        match board.version {
            VERSION => Ok(board),
            got => Err(BoardError::Version { got }),
        }
    }

    /// Writes the scoreboard, durable on return.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn write(&self, path: &Path) -> Result<(), BoardError> {
        Ok(file::write(path, &self.encode()?, Access::Public)?)
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// [`BoardError::Form`], which its fields do not give.
    pub fn encode(&self) -> Result<Vec<u8>, BoardError> {
        serde_json::to_vec(self).map_err(BoardError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_has_one_form_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.json");
        let mut board = Board::read(&path).unwrap();
        assert_eq!(board, Board::default());
        let tally = board.operators.entry("ab".to_owned()).or_default();
        tally.drawn.replayed = 100;
        tally.honeypots.refuted = 1;
        board.write(&path).unwrap();
        assert_eq!(Board::read(&path).unwrap(), board);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("\"version\":2", "\"version\":1"),
            ("\"unseen\":0", "\"unseen\":-1"),
            ("\"unseen\":0", "\"unseen\":0,\"more\":1"),
            ("\"pending\":[]", "\"pending\":[{}]"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            assert!(Board::read(&path).is_err(), "{to}");
        }
    }

    #[test]
    fn unanswered_counts_against_the_operator_where_it_says_so() {
        let counts = Counts {
            replayed: 99,
            unanswered: 1,
            ..Counts::default()
        };
        assert_eq!(counts.settled(), Bounds::of(0, 99));
        assert_eq!(counts.strict(0), Bounds::of(1, 100));
        // What waits and what this build cannot check are not right until they are shown to be.
        assert_eq!(counts.strict(3), Bounds::of(4, 103));
        let failed = Counts {
            failed: 2,
            ..counts
        };
        assert_eq!(failed.strict(3), Bounds::of(6, 105));
        assert!(counts.strict(0).at_95_ppm > counts.settled().at_95_ppm);
        assert_eq!(Counts::default().settled().at_99_ppm, 1_000_000);
    }
}
