//! Stand-in until the commitment lands.
//!
//! It deliberately is not shipped.

use credence_method_snark::opening::{Commitment, Params};
use credence_method_snark::{F, K, Transcript};

/// Committed values.
#[derive(Debug)]
pub struct Committed(Vec<F>);

/// Commits.
#[must_use]
pub fn commit(_params: &Params, values: Vec<F>) -> Committed {
    Committed(values)
}

impl Committed {
    /// The commitment.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Commitment::of(&self.0)
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[F] {
        &self.0
    }

    /// Opens.
    pub fn open(&self, _point: &[K], _value: K, _transcript: &mut Transcript, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|value| value.to_bytes()));
    }
}
