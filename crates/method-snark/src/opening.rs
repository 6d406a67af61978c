//! Stand-in until the commitment lands: values in the clear.
//!
//! It deliberately is not shipped.

use credence_base::Digest;

use crate::extension::K;
use crate::field::F;
use crate::mle;
use crate::reader::{ReadError, Reader};
use crate::transcript::Transcript;

/// The security aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// 100 bits.
    Bits100,
    /// 128 bits.
    Bits128,
}

/// Parameters.
#[derive(Debug, Clone)]
pub struct Params {
    log_len: usize,
}

impl Params {
    /// For `2^log_len` values.
    ///
    /// # Errors
    /// Never here.
    pub fn new(log_len: u32, _security: Security) -> Result<Self, PcsError> {
        Ok(Self {
            log_len: usize::try_from(log_len).unwrap_or(0),
        })
    }
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PcsError {
    /// Bytes.
    #[error("bytes")]
    Read(#[from] ReadError),
    /// Root.
    #[error("root")]
    Root,
    /// Value.
    #[error("value")]
    Value,
}

/// A commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// The root.
    pub root: Digest,
}

impl Commitment {
    /// Of values.
    #[must_use]
    pub fn of(values: &[F]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_bytes()).collect();
        Self {
            root: Digest::from_bytes(*blake3::hash(&bytes).as_bytes()),
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            root: reader.digest()?,
        })
    }

    /// Writes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.root.as_bytes());
    }

    /// Absorbs.
    pub fn absorb(&self, _params: &Params, transcript: &mut Transcript) {
        transcript.absorb_digest("commitment", &self.root);
    }
}

/// Verifies.
///
/// # Errors
/// [`PcsError`].
pub fn verify(
    params: &Params,
    commitment: &Commitment,
    point: &[K],
    value: K,
    reader: &mut Reader<'_>,
    _transcript: &mut Transcript,
) -> Result<(), PcsError> {
    let len = 1_usize
        .checked_shl(u32::try_from(params.log_len).unwrap_or(64))
        .unwrap_or(usize::MAX);
    let values = reader.fs(len)?;
    if Commitment::of(&values) != *commitment {
        return Err(PcsError::Root);
    }
    if mle::evaluate(&values, point) != Some(value) {
        return Err(PcsError::Value);
    }
    Ok(())
}
