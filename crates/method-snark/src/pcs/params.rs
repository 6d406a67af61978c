//! The shape of a commitment and its proof, from the number of values and the security alone.
//!
//! Rounds, folds, rates and queries follow from `n` and λ by the rules of `docs/spec/snark-pcs.md`, section 3; nothing of it can be chosen by a prover, or by hand. Numbers of queries are found in integer arithmetic, so that
//! they are the same everywhere.

use crate::extension::K;
use crate::field::F;
use crate::pcs::bits::{Bits, MARGIN};

/// Variables of a polynomial, at most.
pub const LOG_LEN_MAX: u32 = 28;

/// Variables up to which a polynomial is sent in clear: its values are fewer bytes than a proof.
pub const CLEAR_MAX: u32 = 11;

/// Variables at or below which the folded polynomial is sent in clear.
const FINAL_MAX: u32 = 8;

/// Bits of work before each round's queries are drawn: one hash in 2^16 is good enough.
pub const WORK_BITS: u32 = 16;

/// Bits by which each round's queries are better than asked for: there are at most five rounds, and the sum counts.
const SPARE_BITS: u32 = 3;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// How sure a verifier wants to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// 100 bits, the prover's work before queries among them (`soundness`).
    Bits100,
    /// 128 bits, likewise.
    Bits128,
}

impl Security {
    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits100 => 100,
            Self::Bits128 => 128,
        }
    }
}

/// Why there are no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The polynomial has too many variables.
    #[error("expected at most {LOG_LEN_MAX} variables, got {got}: commit to parts of it")]
    LogLen {
        /// The variables.
        got: u32,
    },
}

/// One round: an oracle, and how it is folded and queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Variables of the polynomial that the oracle is a codeword of.
    pub variables: u32,
    /// Variables that the round sets; a leaf has 2^fold elements.
    pub fold: u32,
    /// The rate is 2 to minus this.
    pub log_inverse_rate: u32,
    /// Leaves drawn, at least 1.
    pub queries: u32,
    /// Whether leaves have elements of F, as those of the first round, or of K.
    pub is_base: bool,
}

impl Round {
    /// Variables that are left behind it.
    #[must_use]
    pub const fn variables_left(&self) -> u32 {
        self.variables.saturating_sub(self.fold)
    }

    /// The tree has 2 to this many leaves, each a symbol of the code.
    #[must_use]
    pub const fn log_leaves(&self) -> u32 {
        self.variables_left().saturating_add(self.log_inverse_rate)
    }

    /// Bytes of its sumcheck, nonce, leaves and siblings, at most.
    fn bytes_max(&self) -> usize {
        const SUMCHECK: usize = 2 * K::BYTES;
        let queries = usize::try_from(self.queries).unwrap_or(usize::MAX);
        let fold = usize::try_from(self.fold).unwrap_or(usize::MAX);
        let leaves = queries.saturating_mul(self.leaf_bytes());
        // Of a level with 2^l nodes at most half are siblings.
        let siblings = (0..self.log_leaves())
            .map(|level| queries.min(1usize.checked_shl(level).unwrap_or(usize::MAX)))
            .fold(0, usize::saturating_add);
        SUMCHECK
            .saturating_mul(fold)
            .saturating_add(size_of::<u64>())
            .saturating_add(leaves)
            .saturating_add(siblings.saturating_mul(DIGEST_BYTES))
    }

    /// Bytes of a leaf.
    #[must_use]
    pub const fn leaf_bytes(&self) -> usize {
        let element = if self.is_base { F::BYTES } else { K::BYTES };
        element << self.fold
    }
}

/// How a polynomial is committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// By a hash of its values; a proof has them all.
    Clear,
    /// By the root of a codeword's tree. At least one round.
    Folded(Vec<Round>),
}

/// All that prover and verifier must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    log_len: u32,
    security: Security,
    shape: Shape,
}

impl Params {
    /// The parameters for polynomials of `2^log_len` values.
    ///
    /// # Errors
    /// [`ParamsError`] over [`LOG_LEN_MAX`].
    pub fn new(log_len: u32, security: Security) -> Result<Self, ParamsError> {
        if log_len > LOG_LEN_MAX {
            return Err(ParamsError::LogLen { got: log_len });
        }
        let shape = if log_len <= CLEAR_MAX {
            Shape::Clear
        } else {
            Shape::Folded(rounds(log_len, security))
        };
        Ok(Self {
            log_len,
            security,
            shape,
        })
    }

    /// Variables of the polynomial.
    #[must_use]
    pub const fn log_len(&self) -> u32 {
        self.log_len
    }

    /// The security asked for.
    #[must_use]
    pub const fn security(&self) -> Security {
        self.security
    }

    /// How a polynomial is committed to.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Bytes of an opening, at most.
    #[must_use]
    pub fn proof_bytes_max(&self) -> usize {
        let rounds = self.rounds();
        let Some(last) = rounds.last() else {
            return F::BYTES << self.log_len;
        };
        let each = rounds.iter().map(Round::bytes_max);
        let roots = (DIGEST_BYTES + K::BYTES).saturating_mul(rounds.len().saturating_sub(1));
        each.fold(roots, usize::saturating_add)
            .saturating_add(K::BYTES << last.variables_left())
    }

    /// The rounds; none if the polynomial is sent in clear.
    #[must_use]
    pub fn rounds(&self) -> &[Round] {
        match &self.shape {
            Shape::Clear => &[],
            Shape::Folded(rounds) => rounds,
        }
    }
}

fn rounds(log_len: u32, security: Security) -> Vec<Round> {
    let mut rounds = Vec::new();
    let mut variables = log_len;
    let mut log_inverse_rate = first_rate(log_len);
    while variables > FINAL_MAX {
        let is_base = rounds.is_empty();
        let fold = if is_base {
            first_fold(log_len)
        } else {
            later_fold(variables)
        };
        if !is_base {
            let fit = 24u32.saturating_sub(variables) >> 1;
            log_inverse_rate = log_inverse_rate.max(fit.clamp(2, 7));
        }
        let round = Round {
            variables,
            fold,
            log_inverse_rate,
            queries: queries(log_inverse_rate, security),
            is_base,
        };
        variables = round.variables_left();
        rounds.push(round);
    }
    rounds
}

/// Larger polynomials cost more to make than to send.
const fn first_rate(log_len: u32) -> u32 {
    match log_len {
        0..=17 => 3,
        18..=22 => 2,
        _ => 1,
    }
}

const fn first_fold(log_len: u32) -> u32 {
    match log_len {
        0..=15 => 4,
        16..=22 => 5,
        23..=26 => 6,
        _ => 7,
    }
}

const fn later_fold(variables: u32) -> u32 {
    match variables {
        0..=11 | 13..=14 => 3,
        _ => 4,
    }
}

/// The least number t with `α^t · 2^-work ≤ 2^-(λ+3)`, α the agreement that a query tests.
fn queries(log_inverse_rate: u32, security: Security) -> u32 {
    let wanted = security
        .bits()
        .saturating_add(SPARE_BITS)
        .saturating_sub(WORK_BITS);
    let each = query_bits(log_inverse_rate);
    let count = Bits::whole(wanted).units().div_ceil(each.units().max(1));
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// −log₂ of the agreement `√ρ · (1 + 1/64)`, rounded down.
pub(crate) fn query_bits(log_inverse_rate: u32) -> Bits {
    Bits::halves(log_inverse_rate).minus(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sizes_have_parameters_and_no_other() {
        for security in [Security::Bits100, Security::Bits128] {
            for log_len in 0..=LOG_LEN_MAX {
                let params = Params::new(log_len, security).unwrap();
                assert_eq!(params.rounds().is_empty(), log_len <= CLEAR_MAX);
                let mut variables = log_len;
                for (i, round) in params.rounds().iter().enumerate() {
                    assert_eq!(round.variables, variables);
                    assert_eq!(round.is_base, i == 0);
                    assert!(round.queries > 0 && round.fold >= 3 && round.fold <= 7);
                    assert!(round.log_leaves() <= crate::field::TWO_ADICITY);
                    assert_eq!(round.leaf_bytes() % 64, 0);
                    variables = round.variables_left();
                }
                assert!(params.rounds().len() <= 5);
                assert!(params.rounds().is_empty() || variables <= FINAL_MAX);
            }
        }
        let got = LOG_LEN_MAX + 1;
        let result = Params::new(got, Security::Bits100);
        assert_eq!(result, Err(ParamsError::LogLen { got }));
        assert!(Params::new(u32::MAX, Security::Bits100).is_err());
    }

    #[test]
    fn queries_are_as_many_as_the_agreement_asks_for() {
        for log_inverse_rate in 1..=8 {
            for security in [Security::Bits100, Security::Bits128] {
                let agreement = (0.5f64).powf(f64::from(log_inverse_rate) / 2.0) * 65.0 / 64.0;
                let wanted = f64::from(security.bits() + SPARE_BITS - WORK_BITS);
                let exact = (wanted / -agreement.log2()).ceil();
                let got = f64::from(queries(log_inverse_rate, security));
                assert!(got >= exact && got <= exact + 1.0, "{got} {exact}");
            }
        }
    }
}
