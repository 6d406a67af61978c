//! What readers and the next process find under names of their own: the newest checkpoint, and the newest that witnesses cosigned.
//!
//! ```text
//! checkpoint   the newest, as `tlog-tiles` has it: after each batch, and again with its cosignatures
//! cosigned     the newest that enough witnesses cosigned: proofs go on by it after a restart, whoever of them is down then
//! ```
//!
//! Both are copies of what the numbered checkpoints hold, but for the cosignatures, and nothing of the log hangs on them: one that cannot be
//! put is put later. `checkpoint` never goes back while one process runs the log. Two that run it by mistake may set it back until the
//! next batch.

use std::sync::{Mutex, PoisonError};

use credence_log::{SignedCheckpoint, VerifierKey};

use crate::error::LedgerError;
use crate::objects::LogObjects;

/// The name of the newest checkpoint.
const NEWEST: &str = "checkpoint";
/// The name of the newest cosigned one.
const COSIGNED: &str = "cosigned";

/// What stands under `checkpoint`.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Its rank; `None` until it was read.
    now: Option<(u64, usize)>,
    /// Whether the last attempt failed.
    failed: bool,
}

impl Shown {
    /// Shows a checkpoint of this log, unless a newer one is shown already, or a cosigned one of that size and this is not.
    pub(crate) fn show(
        &self,
        objects: &LogObjects,
        log: &VerifierKey,
        signed: &SignedCheckpoint,
    ) -> Result<(), LedgerError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = show(&mut state.now, objects, log, signed);
        state.failed = done.is_err();
        done
    }

    /// Whether it has to be tried again.
    pub(crate) fn has_failed(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed
    }
}

fn show(
    now: &mut Option<(u64, usize)>,
    objects: &LogObjects,
    log: &VerifierKey,
    signed: &SignedCheckpoint,
) -> Result<(), LedgerError> {
    let known = match *now {
        Some(known) => known,
        None => {
            // What is damaged there, or not the log's, is put right.
            let stands = objects.note(NEWEST)?;
            let stands = stands.and_then(|bytes| own(&bytes, log));
            let known = stands.as_ref().map_or((0, 0), rank);
            *now = Some(known);
            known
        }
    };
    let rank = rank(signed);
    if rank < known {
        return Ok(());
    }
    objects.replace(NEWEST, signed.encode().into_bytes())?;
    *now = Some(rank);
    Ok(())
}

/// Keeps a cosigned checkpoint for the next process.
pub(crate) fn keep_cosigned(
    objects: &LogObjects,
    signed: &SignedCheckpoint,
) -> Result<(), LedgerError> {
    objects.replace(COSIGNED, signed.encode().into_bytes())
}

/// The cosigned checkpoint that was kept last, if it is one of this log's. Its cosignatures are unchecked.
pub(crate) fn cosigned(
    objects: &LogObjects,
    log: &VerifierKey,
) -> Result<Option<SignedCheckpoint>, LedgerError> {
    let bytes = objects.note(COSIGNED)?;
    Ok(bytes.and_then(|bytes| own(&bytes, log)))
}

fn own(bytes: &[u8], log: &VerifierKey) -> Option<SignedCheckpoint> {
    let signed = SignedCheckpoint::parse(bytes).ok()?;
    signed.verify(log).is_ok().then_some(signed)
}

/// The size, and whether anyone has cosigned. One that enough have cosigned anew replaces one that more did before: it is fresher.
fn rank(signed: &SignedCheckpoint) -> (u64, usize) {
    let signatures = signed.note().signatures().len();
    (signed.unverified().size(), signatures.min(2))
}
