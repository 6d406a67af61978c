//! Asks an operator to open cells of a run, by draws that it could not foresee.
//!
//! ```text
//! auditor's random bytes ─────────────────────────────────────────┐
//! log proof ─policy's witnesses─▶ their cosignatures, in order ───┴─▶ Challenge ─POST …/audit?key=─▶ evidence of method `spot`
//! ```
//!
//! It deliberately checks no evidence: the method does, under the claim.

use std::time::Duration;

use credence_base::{Digest, ReceiptDigest};
use credence_claim::{Evidence, MethodId};
use credence_log::policy::Clock;
use credence_log::{LogPolicy, LogProof, LogProofError};
use credence_method_spot::{Challenge, EVIDENCE_VERSION};
use credence_receipt::{Bundle, BundleError, Kept};
use credence_witness::fetch::{Bounds, FetchError, Fetcher, Prefix};
use serde_json::json;

/// The longest evidence that is taken, in bytes.
const EVIDENCE_LEN_MAX: usize = 64 * 1024 * 1024;
/// The longest time that an operator is given to run a request again.
pub const OPENING_TIME_MAX: Duration = Duration::from_secs(300);
/// Longest words of a refusal that are repeated.
const SAID_MAX: usize = 300;

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// No answer came.
    #[error("the operator does not answer")]
    Fetch(#[from] FetchError),
    /// It refused.
    #[error("the operator opens nothing: status {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said, shortened.
        said: String,
    },
}

/// Why a checkpoint gives no challenge.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bundle has no log proof.
    #[error(
        "the bundle has no log proof: fetch it again once the log has a checkpoint that covers the receipt"
    )]
    NoProof,
    /// The policy asks for no witness.
    #[error("the policy asks for no witness, so the log alone could choose the draws")]
    NoWitness,
    /// The proof does not hold.
    #[error("the log proof is refused")]
    Proof(#[from] LogProofError),
}

/// A challenge from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromCheckpoint {
    /// The challenge.
    pub challenge: Challenge,
    /// The cosignatures in it.
    pub cosignatures: String,
    /// How many smaller checkpoints could have covered the receipt as well: with none, its operator could not choose among trees.
    pub smaller: u64,
}

/// The challenge of the checkpoint in a bundle's log proof (`docs/spec/spot.md`, section 2): the lines of the policy's witnesses, ascending.
///
/// # Errors
/// [`CheckpointError`].
pub fn from_checkpoint(
    bundle: &Bundle,
    policy: &LogPolicy,
    clock: Clock,
) -> Result<FromCheckpoint, CheckpointError> {
    if policy.quorum() == 0 {
        return Err(CheckpointError::NoWitness);
    }
    let receipt: ReceiptDigest = bundle.receipt().digest();
    let text = bundle.log().ok_or(CheckpointError::NoProof)?;
    let proof = LogProof::parse(text.as_bytes())?;
    let logged = proof.verify_at_any_age(&receipt, policy, clock)?;
    let is_witness = |name: &str, id: u32| {
        let mut all = policy.witnesses().iter();
        all.any(|key| key.name().as_str() == name && key.id() == id)
    };
    let signatures = proof.checkpoint().note().signatures().iter();
    let known = signatures.filter(|line| is_witness(line.name(), line.key_id()));
    let mut lines: Vec<String> = known.map(|line| line.encode()).collect();
    lines.sort_unstable();
    lines.dedup();
    let cosignatures = lines.concat();
    let size = logged.witnessed().checkpoint().size();
    Ok(FromCheckpoint {
        challenge: Challenge::Checkpoint {
            receipt: Digest::from_bytes(*receipt.as_bytes()),
            cosignatures: cosignatures.clone().into_bytes(),
        },
        cosignatures,
        smaller: size.saturating_sub(logged.index()).saturating_sub(1),
    })
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whence the draws come: not the claim.
    pub challenge: &'a Challenge,
    /// Cells to draw.
    pub cells: u32,
    /// Tokens to draw again.
    pub rows: u32,
    /// What of the model travels along: `nothing`, `program` or `text`.
    pub card: &'a str,
    /// How long the operator may take.
    pub time_max: Duration,
}

/// Has the operator at this address open what is asked for. Blocks its thread for as long as the operator takes to run the request again.
///
/// # Errors
/// [`OpeningError`].
pub fn ask(
    fetcher: &Fetcher,
    operator: &Prefix,
    kept: &Kept,
    asked: Asked<'_>,
) -> Result<Vec<u8>, OpeningError> {
    let path = kept.path().replacen('?', "/audit?", 1);
    let url = operator.join(path.trim_start_matches('/'));
    let mut body = json!({ "cells": asked.cells, "rows": asked.rows, "card": asked.card });
    if let Some(fields) = body.as_object_mut() {
        let (name, value) = match asked.challenge {
            Challenge::Checkpoint { cosignatures, .. } => {
                let text = String::from_utf8_lossy(cosignatures).into_owned();
                ("cosignatures", text)
            }
            Challenge::Auditor(random) => ("challenge", Digest::from_bytes(*random).to_string()),
            // What the claim itself draws is asked for by nobody: no field, and the operator refuses.
            Challenge::Claim => ("claim", String::new()),
        };
        fields.insert(name.to_owned(), value.into());
    }
    let bounds = Bounds {
        len_max: EVIDENCE_LEN_MAX,
        time_max: asked.time_max,
    };
    let reply = fetcher.post(&url, &body.to_string(), bounds)?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    let said = String::from_utf8_lossy(&reply.body);
    let said = said.chars().filter(|c| !c.is_control()).take(SAID_MAX);
    Err(OpeningError::Refused {
        status: reply.status,
        said: said.collect(),
    })
}

/// The bundle with what was opened in place of other evidence, and its log proof.
///
/// # Errors
/// [`BundleError`], which what came from a bundle does not give.
pub fn with_evidence(bundle: &Bundle, bytes: Vec<u8>) -> Result<Bundle, BundleError> {
    let evidence = Evidence {
        method: MethodId::SPOT,
        version: u32::from(EVIDENCE_VERSION),
        bytes,
    };
    let openings = bundle.openings().clone();
    let audited = Bundle::new(bundle.receipt().clone(), openings, vec![evidence])?;
    match bundle.log() {
        Some(proof) => audited.with_log(proof.to_owned()),
        None => Ok(audited),
    }
}
