//! A log of receipts with witnesses, small enough to hold in the hand.

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::cosignature::cosign;
use credence_log::proof::{Plan, TileSet};
use credence_log::{
    Algorithm, Checkpoint, Edge, Hash, KeyName, LogPolicy, LogProof, SignedCheckpoint, Signer,
};
use credence_receipt::{Bundle, Envelope};
use credence_verify::{LogDemand, Policy};

use crate::support::policy;

pub(crate) fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    let name = KeyName::new(name).unwrap();
    Signer::new(name, algorithm, SigningKey::from_seed(&[seed; 32]))
}

pub(crate) fn log_key() -> Signer {
    signer("log.example", Algorithm::Ed25519, 41)
}

pub(crate) fn witness(at: u8) -> Signer {
    signer(&format!("w{at}.example"), Algorithm::CosignatureV1, 50 + at)
}

/// Our log and witnesses 1 to 3, of whom `quorum` must have seen a checkpoint.
pub(crate) fn log_policy(quorum: u32) -> LogPolicy {
    let witnesses = [1, 2, 3].map(|at| witness(at).verifier().clone());
    let logs = vec![log_key().verifier().clone()];
    LogPolicy::new(logs, witnesses.to_vec(), quorum).unwrap()
}

/// The usual policy of these tests, and two of three witnesses for the log.
pub(crate) fn logged_policy() -> Policy {
    with_quorum(2)
}

pub(crate) fn with_quorum(quorum: u32) -> Policy {
    Policy {
        log: Some(LogDemand {
            policy: log_policy(quorum),
            required: true,
        }),
        ..policy()
    }
}

/// A checkpoint of `size` entries and this root, cosigned by witnesses 1, 2, … at these times.
pub(crate) fn checkpoint(size: u64, root: Hash, times: &[u64]) -> SignedCheckpoint {
    let log = log_key();
    let head = Checkpoint::new(log.verifier().name(), size, root).unwrap();
    let mut signed = head.sign(&log).unwrap();
    for (at, time) in (1..).zip(times) {
        let line = cosign(&signed, *time, &witness(at)).unwrap();
        signed.note_mut().add(line).unwrap();
    }
    signed
}

/// The proof that `digest` is entry 4 of a log of 7, cosigned by witnesses 1, 2, … at these times.
pub(crate) fn proof(digest: ReceiptDigest, times: &[u64]) -> LogProof {
    let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
    for at in 0..7u8 {
        let other = ReceiptDigest::from_bytes([at; 32]);
        let entry = if at == 4 { digest } else { other };
        edge.append(Hash::of_receipt(&entry)).unwrap();
    }
    tiles.extend(edge.take_tiles());
    let hashes = Plan::inclusion(4, 7).unwrap().make(&tiles).unwrap();
    LogProof::new(4, hashes, checkpoint(7, edge.root(), times)).unwrap()
}

/// The bundle with such a proof of its receipt.
pub(crate) fn logged(bundle: Bundle, times: &[u64]) -> Bundle {
    let text = proof(bundle.receipt().digest(), times).encode();
    bundle.with_log(text).unwrap()
}

/// A bundle of nothing but an envelope.
pub(crate) fn bare(envelope: Envelope) -> Bundle {
    Bundle::new(envelope, Default::default(), Vec::new()).unwrap()
}
