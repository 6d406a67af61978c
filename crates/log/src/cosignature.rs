//! Cosignatures: a witness says when it saw a checkpoint that its log's earlier ones agree with (C2SP `tlog-cosignature`).
//!
//! Version 1, with Ed25519: the signed message is `cosignature/v1`, a line with the time, and the note's whole text; the
//! signature line holds the key id, the time in 8 bytes, big-endian, and the signature. A time of 0 says nothing of time, so it
//! is refused here, as `tlog-witness` has it for answers.
//!
//! The subtree cosignatures with ML-DSA-44 (type `0x06`) are unknown to this version, and ignored as every unknown signature is.
//!
//! It deliberately reads no clock, and does not say whether the checkpoint deserves a cosignature: [`crate::witness`] does.

use credence_base::Signature;

use crate::checkpoint::SignedCheckpoint;
use crate::key::{Algorithm, KeyName, Signer, VerifierKey};
use crate::note::{Note, NoteError, NoteSignature};

/// The last second that a cosignature can name.
pub const TIME_MAX_UNIX_S: u64 = (1 << 63) - 1;

/// Why no cosignature was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// The key signs no cosignatures.
    #[error("key `{0}` is a log's; a witness signs with a key of type 0x04")]
    Algorithm(KeyName),
    /// The time is 0, or past what the format holds.
    #[error("a cosignature's time is 1 to 2^63-1 seconds since 1970, got {got}")]
    Time {
        /// The time given.
        got: u64,
    },
}

/// Cosigns the checkpoint as seen at `time_unix_s`. Whoever calls has checked the checkpoint, and stored it.
///
/// # Errors
/// [`CosignatureError`] when the key is a log's, or the time none.
pub fn cosign(
    checkpoint: &SignedCheckpoint,
    time_unix_s: u64,
    signer: &Signer,
) -> Result<NoteSignature, CosignatureError> {
    let key = signer.verifier();
    if key.algorithm() != Algorithm::CosignatureV1 {
        return Err(CosignatureError::Algorithm(key.name().clone()));
    }
    if !is_time(time_unix_s) {
        return Err(CosignatureError::Time { got: time_unix_s });
    }
    let message = message(checkpoint.note().text(), time_unix_s);
    let signature = signer.sign(message.as_bytes());
    let bytes = [&time_unix_s.to_be_bytes(), signature.as_bytes().as_slice()].concat();
    Ok(NoteSignature::new(key, bytes))
}

/// When `witness`, a key of the type `0x04`, cosigned the note: every time it names, earliest first; none when no signature
/// names the key, or it is of another type.
///
/// # Errors
/// [`NoteError::BadSignature`] when a signature names the key and is not by it.
pub fn times(note: &Note, witness: &VerifierKey) -> Result<Vec<u64>, NoteError> {
    if witness.algorithm() != Algorithm::CosignatureV1 {
        return Ok(Vec::new());
    }
    let mut times = note.verify_with(witness, |bytes| {
        let (time, signature) = bytes.split_first_chunk::<8>()?;
        let signature = Signature::from_bytes(signature.try_into().ok()?);
        let time_unix_s = u64::from_be_bytes(*time);
        let message = message(note.text(), time_unix_s);
        witness.key().verify(message.as_bytes(), &signature).ok()?;
        is_time(time_unix_s).then_some(time_unix_s)
    })?;
    times.sort_unstable();
    Ok(times)
}

fn is_time(time_unix_s: u64) -> bool {
    (1..=TIME_MAX_UNIX_S).contains(&time_unix_s)
}

fn message(text: &str, time_unix_s: u64) -> String {
    format!("cosignature/v1\ntime {time_unix_s}\n{text}")
}
