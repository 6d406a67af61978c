//! Log-probabilities of the model's own logits, in integers (`docs/spec/sampling.md`, section 6).
//!
//! One pass for the maximum and the most likely tokens, one for the sum of weights at temperature 1, and a logarithm bit by bit. They describe the model, not the draw:
//! bias, penalties, mask, temperature and truncation play no part.

use credence_exact::{Shift, rescale};

use super::parameters::ONE;
use super::weights::Scale;
use super::{SamplingError, VOCABULARY_MAX};

/// Most tokens of a report, beside the chosen one.
pub const LOGPROBS_MAX: usize = 20;
/// Bits of the fraction of a logarithm to base 2.
const LOG_BITS: u8 = 24;
/// ln 2 in units of 2⁻³¹.
const LN_2: i64 = 1_488_522_236;

/// A token and the logarithm of its probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logprob {
    /// The token.
    pub token: u32,
    /// In units of 2⁻¹⁶ nat, never positive.
    pub value: i64,
}

/// A report on one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logprobs {
    /// The token that was chosen.
    pub chosen: Logprob,
    /// The most likely tokens, the likeliest first, the lower id first among equals.
    pub top: Vec<Logprob>,
}

/// Reports on the chosen token and the `top` most likely ones (all, if the vocabulary has fewer).
///
/// # Errors
/// [`SamplingError`]: too many logits, too long a report, or a token that is not there.
pub fn logprobs(logits: &[i32], chosen: u32, top: usize) -> Result<Logprobs, SamplingError> {
    let expected = logits.len();
    if !(1..=VOCABULARY_MAX).contains(&expected) {
        return Err(SamplingError::Vocabulary {
            max: VOCABULARY_MAX,
            got: expected,
        });
    }
    if top > LOGPROBS_MAX {
        return Err(SamplingError::Report {
            max: LOGPROBS_MAX,
            got: top,
        });
    }
    let own = usize::try_from(chosen).ok().and_then(|id| logits.get(id));
    let own = *own.ok_or(SamplingError::ReportId {
        expected,
        got: chosen,
    })?;
    let max = logits.iter().fold(i32::MIN, |max, &logit| max.max(logit));
    let scale = Scale::new(ONE);
    let sum = logits
        .iter()
        .map(|&logit| u64::from(scale.weight(max.abs_diff(logit))))
        .sum();
    let log = log_of_weights(sum);
    let value = |logit: i32| -i64::from(max.abs_diff(logit)) - log;
    let report = |(token, logit)| Logprob {
        token,
        value: value(logit),
    };
    let top = likeliest(logits, top).into_iter().map(report).collect();
    Ok(Logprobs {
        chosen: Logprob {
            token: chosen,
            value: value(own),
        },
        top,
    })
}

/// The `count` largest logits with their ids, in the report's order.
fn likeliest(logits: &[i32], count: usize) -> Vec<(u32, i32)> {
    let mut best: Vec<(u32, i32)> = Vec::with_capacity(count + 1);
    for (id, &logit) in (0_u32..).zip(logits) {
        let full = best.len() == count;
        if full && best.last().is_none_or(|&(_, least)| logit <= least) {
            continue;
        }
        let at = best.partition_point(|&(_, other)| other >= logit);
        best.insert(at, (id, logit));
        best.truncate(count);
    }
    best
}

/// `ln(sum/2³⁰)` in units of 2⁻¹⁶, for a sum of `2³⁰ ..= 2⁵⁰`.
pub(super) fn log_of_weights(sum: u64) -> i64 {
    let Some(exponent) = sum.checked_ilog2() else {
        return 0;
    };
    // 31 bits of fraction; one bit of the sum at least stands above them.
    let mantissa = (u128::from(sum) << 31) >> exponent;
    let mut g = u64::try_from(mantissa).unwrap_or(1 << 31);
    let mut log = i64::from(exponent) - 30;
    for _ in 0..LOG_BITS {
        g = (g * g) >> 31;
        let bit = g >> 32;
        g >>= bit;
        log = 2 * log + i64::from(bit == 1);
    }
    // 39 is a shift, and the product has at most 60 bits.
    Shift::try_from(39).map_or(0, |shift| rescale(log * LN_2, shift).unwrap_or(0))
}
