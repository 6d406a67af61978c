//! Evidence that a log has lied, in one text that anyone checks offline: two signed checkpoints that cannot both be true.
//!
//! ```text
//! credence log evidence v1
//! log <verifier key>
//! root <root of the larger checkpoint's first entries, as many as the smaller one has>
//! <hash, base64>*                       consistency proof from that root to the larger checkpoint
//!
//! smaller <bytes>
//! <signed note>larger <bytes>
//! <signed note>
//! ```
//!
//! The proof shows which root the larger checkpoint's tree had at the smaller one's size; the smaller one says another. Both are
//! signed by the log, so no reading of them is honest, and nothing that the accuser adds can make it seem so: the proof leads to
//! the signed root of the larger checkpoint, and the positions of its hashes follow from the sizes, so another old root for the same tree would be a collision of
//! SHA-256. With equal sizes the proof is empty, and the evidence is what `credence_log::equivocation` checks.
//!
//! It deliberately says nothing when a proof merely fails: whoever shows a failing proof may have broken it.

use core::str::FromStr as _;

use credence_log::checkpoint::CheckpointError;
use credence_log::note::NOTE_LEN_MAX;
use credence_log::proof::{HASHES_MAX, ProofError, verify_consistency};
use credence_log::{Equivocation, Hash, SignedCheckpoint, VerifierKey};

/// The longest evidence, in bytes.
pub const EVIDENCE_LEN_MAX: usize = 2 * NOTE_LEN_MAX + 8 * 1024;

const HEADER: &str = "credence log evidence v1";

/// Why something is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Too many bytes.
    #[error("evidence has at most {EVIDENCE_LEN_MAX} bytes, got {got}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// It is not of the form.
    #[error("expected evidence against a log: {expected}")]
    Form {
        /// What was due.
        expected: &'static str,
    },
    /// A checkpoint is not the log's.
    #[error("the {which} checkpoint is not signed by the log that is accused")]
    NotTheLogs {
        /// `smaller` or `larger`.
        which: &'static str,
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// The proof does not show which root the larger tree had.
    #[error(
        "the proof does not lead from the root given to the larger checkpoint, so it shows nothing"
    )]
    Proof(#[source] ProofError),
    /// Nothing contradicts.
    #[error("the checkpoints agree: both may be true")]
    Agree,
    /// The checkpoints are not in their order.
    #[error("the smaller checkpoint has {smaller} entries and the larger one {larger}")]
    Order {
        /// Entries of the first.
        smaller: u64,
        /// Entries of the second.
        larger: u64,
    },
    /// It is not in its one form.
    #[error("the evidence is not in its one form: other bytes say the same")]
    NotCanonical,
}

/// Two checkpoints that cannot both be true, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    log: VerifierKey,
    smaller: SignedCheckpoint,
    larger: SignedCheckpoint,
    root: Hash,
    proof: Vec<Hash>,
}

impl Evidence {
    /// Checks that `log` signed both, that the tree of `larger` had `root` when it had as many entries as `smaller`, and that
    /// `smaller` says otherwise. Other keys' signatures are cut off.
    ///
    /// # Errors
    /// [`EvidenceError`] when both may be true.
    pub fn check(
        log: &VerifierKey,
        smaller: &SignedCheckpoint,
        larger: &SignedCheckpoint,
        root: Hash,
        proof: &[Hash],
    ) -> Result<Self, EvidenceError> {
        let (smaller, larger) = (
            signed("smaller", log, smaller)?,
            signed("larger", log, larger)?,
        );
        let (small, large) = (smaller.unverified(), larger.unverified());
        if small.size() > large.size() {
            return Err(EvidenceError::Order {
                smaller: small.size(),
                larger: large.size(),
            });
        }
        verify_consistency((small.size(), &root), large.tree(), proof)
            .map_err(EvidenceError::Proof)?;
        if *small.root() == root {
            return Err(EvidenceError::Agree);
        }
        // Of two equal sizes the smaller root comes first, so one lie has one form.
        if small.size() == large.size() && small.root() > large.root() {
            let root = *small.root();
            return Ok(Self {
                log: log.clone(),
                smaller: larger,
                larger: smaller,
                root,
                proof: Vec::new(),
            });
        }
        Ok(Self {
            log: log.clone(),
            smaller,
            larger,
            root,
            proof: proof.to_vec(),
        })
    }

    /// The same of two checkpoints of one size.
    ///
    /// # Errors
    /// [`EvidenceError`] when both may be true.
    pub fn of_one_size(
        log: &VerifierKey,
        first: &SignedCheckpoint,
        second: &SignedCheckpoint,
    ) -> Result<Self, EvidenceError> {
        Self::check(log, first, second, *second.unverified().root(), &[])
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The checkpoint with fewer entries, or of two equal ones that with the smaller root.
    #[must_use]
    pub const fn smaller(&self) -> &SignedCheckpoint {
        &self.smaller
    }

    /// The other one.
    #[must_use]
    pub const fn larger(&self) -> &SignedCheckpoint {
        &self.larger
    }

    /// The root that the larger checkpoint's tree had when it had as many entries as the smaller one.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// The same as two truths of one size, `None` when the sizes differ.
    #[must_use]
    pub fn equivocation(&self) -> Option<Equivocation> {
        Equivocation::check(&self.log, &self.smaller, &self.larger).ok()
    }

    /// Its text form. Parsing it gives the same evidence.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}\nlog {}\nroot {}\n", self.log, self.root);
        for hash in &self.proof {
            text.push_str(&format!("{hash}\n"));
        }
        for (name, note) in [
            ("\nsmaller", self.smaller.encode()),
            ("larger", self.larger.encode()),
        ] {
            text.push_str(&format!("{name} {}\n{note}", note.len()));
        }
        text
    }

    /// Reads and checks evidence of at most [`EVIDENCE_LEN_MAX`] bytes. Whether the log matters is for the reader to say:
    /// [`Evidence::log`] is the key that lied.
    ///
    /// # Errors
    /// [`EvidenceError`] when the bytes are none, or show nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_LEN_MAX {
            return Err(EvidenceError::TooLong { got: bytes.len() });
        }
        let form = |expected| EvidenceError::Form { expected };
        let text = core::str::from_utf8(bytes).map_err(|_| form("UTF-8 text"))?;
        let rest = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or_else(|| form("its first line"))?;
        let (log, rest) = named(rest, "log ").ok_or_else(|| form("a line `log <verifier key>`"))?;
        let log = VerifierKey::from_str(log).map_err(|_| form("the log's verifier key"))?;
        let (root, mut rest) = named(rest, "root ").ok_or_else(|| form("a line `root <hash>`"))?;
        let root = Hash::from_base64(root).map_err(|_| form("the base64 of a root"))?;
        let mut proof = Vec::new();
        loop {
            let (line, after) = rest
                .split_once('\n')
                .ok_or_else(|| form("an empty line after the proof"))?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() >= HASHES_MAX {
                return Err(form("at most 63 hashes"));
            }
            proof.push(Hash::from_base64(line).map_err(|_| form("the base64 of a hash"))?);
        }
        let (smaller, rest) =
            note(rest, "smaller ").ok_or_else(|| form("the smaller checkpoint"))?;
        let (larger, rest) = note(rest, "larger ").ok_or_else(|| form("the larger checkpoint"))?;
        if !rest.is_empty() {
            return Err(form("nothing after the larger checkpoint"));
        }
        let found = Self::check(&log, &smaller, &larger, root, &proof)?;
        if found.encode().as_bytes() == bytes {
            Ok(found)
        } else {
            Err(EvidenceError::NotCanonical)
        }
    }
}

/// A checkpoint of the log with the log's own signature alone, which is all that counts against it.
///
/// # Errors
/// [`EvidenceError::NotTheLogs`] when the log has not signed it.
pub fn bare(
    log: &VerifierKey,
    checkpoint: &SignedCheckpoint,
) -> Result<SignedCheckpoint, EvidenceError> {
    signed("given", log, checkpoint)
}

fn named<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (line, rest) = text.split_once('\n')?;
    Some((line.strip_prefix(name)?, rest))
}

fn note<'a>(text: &'a str, name: &str) -> Option<(SignedCheckpoint, &'a str)> {
    let (len, rest) = named(text, name)?;
    let len: usize = len.parse().ok().filter(|len| *len <= NOTE_LEN_MAX)?;
    let (note, rest) = rest.split_at_checked(len)?;
    Some((SignedCheckpoint::parse(note.as_bytes()).ok()?, rest))
}

/// The checkpoint, checked, with the log's own signatures alone.
fn signed(
    which: &'static str,
    log: &VerifierKey,
    checkpoint: &SignedCheckpoint,
) -> Result<SignedCheckpoint, EvidenceError> {
    let fail = |source| EvidenceError::NotTheLogs { which, source };
    checkpoint.verify(log).map_err(fail)?;
    let text = checkpoint.note().text();
    let own = checkpoint
        .note()
        .signatures()
        .iter()
        .find(|line| line.key_id() == log.id() && line.name() == log.name().as_str())
        .map(credence_log::NoteSignature::encode)
        .unwrap_or_default();
    SignedCheckpoint::parse(format!("{text}\n{own}").as_bytes()).map_err(fail)
}
