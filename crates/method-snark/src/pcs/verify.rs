//! Verifies an opening: one walk over the rounds.
//!
//! ```text
//! claim: Σ f(i)·W(i) = σ, W = eq(point, ·) + γ·(sample)
//! each round: sumcheck over its fold ──▶ next oracle and its sample, or the last polynomial in clear ──▶ work ──▶ leaves, paths
//!             ──▶ each leaf, folded, is a value of the next polynomial: joins the claim, or is held against the last polynomial
//! end: Σ last(i)·W(i) = σ
//! ```
//!
//! All counts are those of [`Params`]. Nothing is allocated that is not a small multiple of the parameters or of bytes that were there. It deliberately does not end the reader: what follows in a proof is the caller's.

use credence_base::{Digest, domain};

use crate::extension::K;
use crate::field::F;
use crate::mle;
use crate::pcs::commitment::Commitment;
use crate::pcs::merkle::TreeHash;
use crate::pcs::params::{Params, Round, Shape};
use crate::pcs::steps;
use crate::pcs::weights::Weights;
use crate::reader::{ReadError, Reader, elements, extension_elements};
use crate::sumcheck::{self, SumcheckError};
use crate::transcript::Transcript;

/// Why an opening is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PcsError {
    /// The caller's point is of another length.
    #[error("expected a point of {expected} coordinates, got {got}")]
    Point {
        /// The polynomial's variables.
        expected: u32,
        /// Coordinates.
        got: usize,
    },
    /// A part of the proof cannot be read.
    #[error("the {what} of the opening cannot be read: send a proof that is whole")]
    Read {
        /// The part.
        what: &'static str,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// A sumcheck cannot be followed.
    #[error("the sumcheck of round {round} of the opening cannot be followed")]
    Sumcheck {
        /// The round, from 0.
        round: usize,
        /// Why.
        #[source]
        source: SumcheckError,
    },
    /// The values sent in clear are not those committed to.
    #[error("expected values with hash {expected}, got {got}: they are not those committed to")]
    Values {
        /// The hash committed to.
        expected: Digest,
        /// That of the values.
        got: Digest,
    },
    /// The values sent in clear have another value at the point.
    #[error("the committed polynomial does not take the claimed value at the point")]
    Value,
    /// The nonce shows no work.
    #[error("the nonce of round {round} of the opening shows no work: search another")]
    Work {
        /// The round, from 0.
        round: usize,
    },
    /// Opened leaves lead to another root.
    #[error("expected leaves under root {expected} in round {round}, got {got}")]
    Root {
        /// The round, from 0.
        round: usize,
        /// The root committed to.
        expected: Digest,
        /// The root that they lead to.
        got: Digest,
    },
    /// The last polynomial is not the one that the last oracle folds to.
    #[error("the last polynomial does not agree with leaf {leaf} of the last oracle")]
    Last {
        /// The leaf's number.
        leaf: u64,
    },
    /// The claim does not hold of the last polynomial.
    #[error("the claim that is left does not hold of the last polynomial: the value is wrong")]
    Claim,
}

/// Checks that the polynomial of `commitment` takes `value` at `point`, by the proof that `reader` has next. `params` must be what the verifier knows.
///
/// The commitment, and all that `point` and `value` come from, must have been absorbed by the caller before; what is given here is absorbed as well.
///
/// # Errors
/// [`PcsError`].
pub fn verify(
    params: &Params,
    commitment: &Commitment,
    point: &[K],
    value: K,
    reader: &mut Reader<'_>,
    transcript: &mut Transcript,
) -> Result<(), PcsError> {
    if usize::try_from(params.log_len()) != Ok(point.len()) {
        return Err(PcsError::Point {
            expected: params.log_len(),
            got: point.len(),
        });
    }
    let join = steps::begin(params, commitment, point, value, transcript);
    match params.shape() {
        Shape::Clear => verify_clear(params, commitment, point, value, reader),
        Shape::Folded(rounds) => {
            let mut weights = Weights::new(point);
            let sample_point = Commitment::sample_point(params, &commitment.root());
            weights.add_sample(join, sample_point);
            let walk = Walk {
                weights,
                claim: value + join * commitment.sample(),
                oracle: commitment.root(),
                hash: TreeHash::default(),
            };
            walk.verify(rounds, reader, transcript)
        }
    }
}

fn verify_clear(
    params: &Params,
    commitment: &Commitment,
    point: &[K],
    value: K,
    reader: &mut Reader<'_>,
) -> Result<(), PcsError> {
    let read = |source| PcsError::Read {
        what: "values",
        source,
    };
    let bytes = reader.raw(F::BYTES << params.log_len()).map_err(read)?;
    let got = Digest::from_bytes(blake3::derive_key(domain::SNARK_VALUES.as_str(), bytes));
    let expected = commitment.root();
    if got != expected {
        return Err(PcsError::Values { expected, got });
    }
    let values = elements(bytes).map_err(read)?;
    if mle::evaluate(&values, point) == Some(value) {
        Ok(())
    } else {
        Err(PcsError::Value)
    }
}

/// Where the walk over the rounds stands.
struct Walk {
    weights: Weights,
    claim: K,
    oracle: Digest,
    hash: TreeHash,
}

/// A leaf, folded: it should be the value at `point` of the polynomial that the round leaves.
struct Folded {
    leaf: u64,
    point: F,
    value: K,
}

impl Walk {
    fn verify(
        mut self,
        rounds: &[Round],
        reader: &mut Reader<'_>,
        transcript: &mut Transcript,
    ) -> Result<(), PcsError> {
        let Some((last, before)) = rounds.split_last() else {
            return Err(PcsError::Claim);
        };
        for (number, round) in before.iter().enumerate() {
            self.follow(number, round, reader, transcript)?;
        }
        self.end(before.len(), last, reader, transcript)
    }

    /// A round that leads to another oracle.
    fn follow(
        &mut self,
        number: usize,
        round: &Round,
        reader: &mut Reader<'_>,
        transcript: &mut Transcript,
    ) -> Result<(), PcsError> {
        let challenges = self.sumcheck(number, round, reader, transcript)?;
        let next = reader.digest().map_err(read("root"))?;
        let sample_point = steps::sample_point(&next, transcript);
        let sample = reader.k().map_err(read("sample"))?;
        steps::sampled(sample, transcript);
        let (leaves, folded) = self.open(number, round, &challenges, reader, transcript)?;
        let join = steps::join(leaves, transcript);

        let mut scale = join;
        self.weights.add_sample(scale, sample_point);
        self.claim += scale * sample;
        for leaf in folded {
            scale *= join;
            self.weights.add_query(scale, leaf.point);
            self.claim += scale * leaf.value;
        }
        self.oracle = next;
        Ok(())
    }

    /// The round that leads to the last polynomial.
    fn end(
        mut self,
        number: usize,
        round: &Round,
        reader: &mut Reader<'_>,
        transcript: &mut Transcript,
    ) -> Result<(), PcsError> {
        let challenges = self.sumcheck(number, round, reader, transcript)?;
        let len = 1usize
            .checked_shl(round.variables_left())
            .unwrap_or(usize::MAX);
        let last = reader.ks(len).map_err(read("last polynomial"))?;
        steps::last(&last, transcript);
        let (leaves, folded) = self.open(number, round, &challenges, reader, transcript)?;
        // Nothing is left to join; whoever goes on with the transcript has the leaves in it.
        steps::join(leaves, transcript);
        for leaf in folded {
            if mle::horner(&last, leaf.point) != leaf.value {
                return Err(PcsError::Last { leaf: leaf.leaf });
            }
        }
        if self.weights.apply(&last) == Some(self.claim) {
            Ok(())
        } else {
            Err(PcsError::Claim)
        }
    }

    fn sumcheck(
        &mut self,
        number: usize,
        round: &Round,
        reader: &mut Reader<'_>,
        transcript: &mut Transcript,
    ) -> Result<Vec<K>, PcsError> {
        let rounds = usize::try_from(round.fold).unwrap_or(usize::MAX);
        let reduced =
            sumcheck::verify(rounds, 2, self.claim, reader, transcript).map_err(|source| {
                PcsError::Sumcheck {
                    round: number,
                    source,
                }
            })?;
        self.claim = reduced.value;
        self.weights.fold(&reduced.point);
        Ok(reduced.point)
    }

    /// Work, queries, leaves and paths of the round's oracle: the leaves' bytes, and each leaf folded by the challenges.
    fn open<'a>(
        &self,
        number: usize,
        round: &Round,
        challenges: &[K],
        reader: &mut Reader<'a>,
        transcript: &mut Transcript,
    ) -> Result<(&'a [u8], Vec<Folded>), PcsError> {
        let seed = steps::work_seed(transcript);
        let nonce = reader.u64().map_err(read("nonce"))?;
        if !steps::has_worked(&seed, nonce) {
            return Err(PcsError::Work { round: number });
        }
        let indices = steps::queries(round, nonce, transcript);
        let leaf_bytes = round.leaf_bytes();
        let bytes = reader
            .raw(leaf_bytes.saturating_mul(indices.len()))
            .map_err(read("leaves"))?;
        let leaves = || indices.iter().zip(bytes.chunks_exact(leaf_bytes));
        let digests = leaves().map(|(index, leaf)| (*index, self.hash.leaf(leaf)));
        let root = self
            .hash
            .root(round.log_leaves(), digests.collect(), reader);
        let got = root.map_err(read("paths"))?;
        if got != Some(self.oracle) {
            return Err(PcsError::Root {
                round: number,
                expected: self.oracle,
                got: got.unwrap_or(Digest::from_bytes([0; 32])),
            });
        }
        let shares = mle::eq_table(challenges, K::ONE);
        let mut folded = Vec::with_capacity(indices.len());
        for (index, leaf) in leaves() {
            folded.push(Folded {
                leaf: *index,
                point: steps::leaf_point(round.log_leaves(), *index),
                value: fold(round, leaf, &shares).map_err(read("leaves"))?,
            });
        }
        Ok((bytes, folded))
    }
}

/// A leaf's elements, each times its share.
fn fold(round: &Round, leaf: &[u8], shares: &[K]) -> Result<K, ReadError> {
    if round.is_base {
        let values = elements(leaf)?;
        Ok(shares.iter().zip(values).map(|(s, v)| *s * v).sum())
    } else {
        let values = extension_elements(leaf)?;
        Ok(shares.iter().zip(values).map(|(s, v)| *s * v).sum())
    }
}

fn read(what: &'static str) -> impl Fn(ReadError) -> PcsError {
    move |source| PcsError::Read { what, source }
}
