//! What a polynomial is committed by: a root, and its value at one point that follows from the root.
//!
//! The value outside of the domain makes the commitment binding to one polynomial: two that agree with the tree on enough leaves would have to agree at a point drawn after it (WHIR, section 5; the error is the report's
//! "sample" term). A polynomial sent in clear needs none.

use credence_base::Digest;

use crate::extension::K;
use crate::pcs::params::{Params, Shape};
use crate::reader::{ReadError, Reader};
use crate::transcript::Transcript;

/// A commitment to one polynomial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// The root of the tree, or the hash of the values.
    root: Digest,
    /// The value at the sample point; 0 if the values are sent in clear.
    sample: K,
}

impl Commitment {
    /// The commitment of a root and the value at [`Commitment::sample_point`]; what is no use for polynomials sent in clear is dropped.
    #[must_use]
    pub const fn new(params: &Params, root: Digest, sample: K) -> Self {
        match params.shape() {
            Shape::Clear => Self {
                root,
                sample: K::ZERO,
            },
            Shape::Folded(_) => Self { root, sample },
        }
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.root
    }

    /// The value at the sample point.
    #[must_use]
    pub const fn sample(&self) -> K {
        self.sample
    }

    /// The point of K at which the codeword's polynomial is asked for: it follows from root and parameters.
    #[must_use]
    pub fn sample_point(params: &Params, root: &Digest) -> K {
        let mut transcript = Transcript::new("polynomial commitment");
        absorb_params(params, &mut transcript);
        transcript.absorb_digest("root", root);
        // Two polynomials of one list agree here with a chance of at most 2^n / |K|.
        transcript.challenge_k("sample")
    }

    /// Appends 56 bytes: the root, and the sample; only the 32 of the root if the values are sent in clear.
    pub fn write(&self, params: &Params, out: &mut Vec<u8>) {
        out.extend_from_slice(self.root.as_bytes());
        if matches!(params.shape(), Shape::Folded(_)) {
            self.sample.write(out);
        }
    }

    /// Reads what [`Commitment::write`] wrote.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(params: &Params, reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let root = reader.digest()?;
        let sample = match params.shape() {
            Shape::Clear => K::ZERO,
            Shape::Folded(_) => reader.k()?,
        };
        Ok(Self { root, sample })
    }

    /// Absorbs the commitment and its parameters. Whoever uses it must do so before any challenge that the polynomial must not know.
    pub fn absorb(&self, params: &Params, transcript: &mut Transcript) {
        absorb_params(params, transcript);
        transcript.absorb_digest("root", &self.root);
        transcript.absorb_k("sample", self.sample);
    }
}

fn absorb_params(params: &Params, transcript: &mut Transcript) {
    transcript.absorb_u64("variables", u64::from(params.log_len()));
    transcript.absorb_u64("security", u64::from(params.security().bits()));
}
