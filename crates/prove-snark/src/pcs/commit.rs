//! Commits to values: encodes them, hashes the codeword, and evaluates them at the sample point.

use credence_base::{Digest, domain};
use credence_method_snark::pcs::{Commitment, Params, Round, Shape};
use credence_method_snark::{F, K};

use crate::pcs::merkle::Tree;
use crate::pcs::ntt::{self, Row};
use crate::pcs::tables;

/// Why nothing was committed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Values are too few or too many.
    #[error("expected 2^{log_len} values, got {got}: fill up with zeros")]
    Len {
        /// The parameters' variables.
        log_len: u32,
        /// The values given.
        got: usize,
    },
}

/// A codeword and its tree.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    /// The leaves' elements one after another, each word in little-endian order in memory.
    words: Vec<u64>,
    tree: Tree,
    leaf_bytes: usize,
}

impl Oracle {
    /// The oracle of a round for the polynomial of `values`.
    pub(crate) fn new<T: Sync>(round: &Round, values: &[T]) -> Self
    where
        [T]: Row,
    {
        let mut words = ntt::encode(values, 1 << round.fold, round.log_inverse_rate);
        if cfg!(target_endian = "big") {
            words.iter_mut().for_each(|word| *word = word.to_le());
        }
        let leaf_bytes = round.leaf_bytes();
        let tree = Tree::new(bytemuck::cast_slice(&words), leaf_bytes);
        Self {
            words,
            tree,
            leaf_bytes,
        }
    }

    pub(crate) fn root(&self) -> Digest {
        self.tree.root()
    }

    /// Appends the leaves of rising numbers `indices`, and then their siblings; gives the leaves.
    pub(crate) fn show<'a>(&self, indices: &[u64], out: &'a mut Vec<u8>) -> &'a [u8] {
        let start = out.len();
        for leaf in indices.iter().map(|index| self.leaf(*index)) {
            out.extend_from_slice(leaf);
        }
        let end = out.len();
        self.tree.siblings(indices, out);
        out.get(start..end).unwrap_or_default()
    }

    /// A leaf's bytes.
    pub(crate) fn leaf(&self, index: u64) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        let mut leaves = bytes.chunks_exact(self.leaf_bytes);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        leaves.nth(index).unwrap_or_default()
    }
}

/// What only a polynomial that is not sent in clear has.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) oracle: Oracle,
    /// The point of the sample.
    pub(crate) sample_point: K,
    /// For each column, the sum of its values by powers of the sample point to the columns' number.
    pub(crate) sampled: Vec<K>,
}

/// Values and what opens them.
#[derive(Debug, Clone)]
pub struct Committed {
    pub(crate) params: Params,
    pub(crate) values: Vec<F>,
    pub(crate) commitment: Commitment,
    pub(crate) kept: Option<Kept>,
}

impl Committed {
    /// The commitment.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.commitment
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[F] {
        &self.values
    }
}

/// Commits to 2^n values; value number i stands at the point that i is in binary, its highest bit first.
///
/// Holds the values and the codeword, 2 to 8 times as many words, for as long as the result lives.
///
/// # Errors
/// [`CommitError`] for another number of values.
pub fn commit(params: &Params, values: Vec<F>) -> Result<Committed, CommitError> {
    let log_len = params.log_len();
    if Some(values.len()) != 1usize.checked_shl(log_len) {
        return Err(CommitError::Len {
            log_len,
            got: values.len(),
        });
    }
    let first = match params.shape() {
        Shape::Clear => None,
        Shape::Folded(rounds) => rounds.first(),
    };
    let Some(round) = first else {
        let root = Digest::from_bytes(blake3::derive_key(
            domain::SNARK_VALUES.as_str(),
            &bytes(&values),
        ));
        return Ok(Committed {
            params: params.clone(),
            values,
            commitment: Commitment::new(params, root, K::ZERO),
            kept: None,
        });
    };
    let oracle = Oracle::new(round, &values);
    let sample_point = Commitment::sample_point(params, &oracle.root());
    let width = 1 << round.fold;
    let sampled = tables::power_columns(&values, width, sample_point.pow(1 << round.fold));
    let sample = tables::power_sum(&sampled, sample_point);
    Ok(Committed {
        params: params.clone(),
        commitment: Commitment::new(params, oracle.root(), sample),
        values,
        kept: Some(Kept {
            oracle,
            sample_point,
            sampled,
        }),
    })
}

/// Bytes of memory that committing and opening take at their peak, the values and what is kept between the two included.
#[must_use]
pub fn memory_bytes(params: &Params) -> u64 {
    kept_bytes(params) + opening_bytes(params)
}

/// Bytes of memory of a [`Committed`]: values, the first codeword and its tree.
#[must_use]
pub fn kept_bytes(params: &Params) -> u64 {
    let values = WORD << params.log_len();
    params.rounds().first().map_or(values, |first| {
        values + (values << first.log_inverse_rate) + (NODES << first.log_leaves())
    })
}

/// Bytes of memory that an opening takes beside it: the tables behind the first fold, with the next codeword.
#[must_use]
pub fn opening_bytes(params: &Params) -> u64 {
    let mut rounds = params.rounds().iter();
    let Some(first) = rounds.next() else {
        // The proof is a copy.
        return WORD << params.log_len();
    };
    let next = rounds.next().map_or(0, |round| {
        (ELEMENT << (round.variables + round.log_inverse_rate)) + (NODES << round.log_leaves())
    });
    // Values and weights, and the table that the weights are built from.
    ((3 * ELEMENT) << first.variables_left()) + next
}

/// Bytes of an element of F.
const WORD: u64 = 8;
/// Bytes of an element of K.
const ELEMENT: u64 = 24;
/// Of a tree, for each leaf: its digest, and a node.
const NODES: u64 = 64;

/// The values' bytes.
pub(crate) fn bytes(values: &[F]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bytes()).collect()
}
