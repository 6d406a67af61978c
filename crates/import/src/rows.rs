//! Rows of a matrix as 8-bit integers, each at the finest scale that its weights and its bias allow.

use crate::number::{pow2, round_to};

/// Steps of a weight on either side of zero.
const WEIGHT_LEVELS: f64 = 127.0;
/// A bias takes at most this share of an accumulator's 2³¹.
const BIAS_MAX: i32 = 1 << 29;

/// A quantised matrix.
pub(crate) struct Rows {
    /// i8, row-major.
    pub(crate) weight: Vec<u8>,
    /// In steps of the row's scale times the operand's.
    pub(crate) bias: Vec<i32>,
    /// Reals per step of a weight; 0 for a row of zeros.
    pub(crate) scales: Vec<f64>,
}

/// What a product reads: one step stands for `scale`, and the integer `zero` for 0.
#[derive(Clone, Copy)]
pub(crate) struct Read<'a> {
    pub(crate) scale: f64,
    pub(crate) zero: i32,
    /// For each row and column of its weights the mean of what they are multiplied with, where it is known: what rounding the weights adds to the sum on
    /// average is taken off in the bias.
    pub(crate) mean: &'a dyn Fn(usize, usize) -> Option<f64>,
}

/// Quantises rows. `weight(r)` gives the weights of a row, `bias(r)` its bias, `step(r)` what one step of its weights is, if a file says so.
pub(crate) fn quantise(
    rows: usize,
    Read {
        scale: operand,
        zero,
        mean,
    }: Read<'_>,
    weight: impl Fn(usize) -> Vec<f64>,
    bias: impl Fn(usize) -> f64,
    step: impl Fn(usize) -> Option<f64>,
) -> Rows {
    let mut result = Rows {
        weight: Vec::new(),
        bias: Vec::with_capacity(rows),
        scales: Vec::with_capacity(rows),
    };
    for r in 0..rows {
        let (row, bias) = (weight(r), bias(r));
        let largest = row.iter().fold(0.0, |most, w| w.abs().max(most));
        let for_bias = bias.abs() / (operand * f64::from(BIAS_MAX));
        // A file's own integers are kept, if the bias leaves room for it.
        let given = step(r).filter(|&step| step >= for_bias && largest <= 128.5 * step);
        let wanted = given.unwrap_or(f64::max(largest / WEIGHT_LEVELS, for_bias));
        // A row too small for f64's normal numbers is a row of zeros.
        let scale = if wanted < pow2(-900) { 0.0 } else { wanted };
        let integer = |w: f64| {
            if scale == 0.0 {
                0
            } else {
                round_to(w / scale, -127 - i32::from(given.is_some()), 127)
            }
        };
        let (mut sum, mut bias) = (0_i64, bias);
        for (k, w) in row.into_iter().enumerate() {
            let rounded = integer(w);
            sum += i64::from(rounded);
            if let Some(mean) = mean(r, k) {
                bias += (w - f64::from(rounded) * scale) * mean;
            }
            result.weight.push(rounded.to_le_bytes()[0]);
        }
        let own = if scale == 0.0 {
            0
        } else {
            round_to(bias / (operand * scale), -BIAS_MAX, BIAS_MAX)
        };
        // Exactly what the operand's zero adds to the sum is taken off again. Only a row of more than 2^16 weights could come near
        // the end of the range, and is refused by the limit on relations.
        let shifted = i64::from(own) - i64::from(zero) * sum;
        result.bias.push(i32::try_from(shifted).unwrap_or(own));
        result.scales.push(scale);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_own_scale() {
        let weights = [vec![1.0, -0.5], vec![0.0, 0.0], vec![1e-12, 0.0]];
        let biases = [0.25, 0.0, 4.0];
        let read = Read {
            scale: 0.5,
            zero: 0,
            mean: &|_, _| None,
        };
        let rows = quantise(3, read, |r| weights[r].clone(), |r| biases[r], |_| None);
        let bytes: Vec<i8> = rows
            .weight
            .iter()
            .map(|b| i8::from_le_bytes([*b]))
            .collect();
        assert_eq!(bytes, [127, -64, 0, 0, 0, 0]);
        assert_eq!(rows.scales[0], 1.0 / 127.0);
        assert_eq!(rows.scales[1], 0.0);
        assert_eq!(rows.bias, [64, 0, 1 << 29], "0.25·127/0.5 = 63.5");
        let read = Read { zero: -128, ..read };
        let rows = quantise(1, read, |r| weights[r].clone(), |r| biases[r], |_| None);
        assert_eq!(rows.bias, [64 + 128 * (127 - 64)]);
        let means = [0.0, 10.0];
        let read = Read {
            scale: 0.5,
            zero: 0,
            mean: &|_, k| means.get(k).copied(),
        };
        let rows = quantise(1, read, |r| weights[r].clone(), |_| 0.0, |_| None);
        assert_eq!(rows.bias, [10], "(−0.5 + 64/127)·10·127/0.5");
    }

    #[test]
    fn integers_of_a_file_are_kept() {
        let read = Read {
            scale: 0.5,
            zero: 3,
            mean: &|_, _| None,
        };
        let row = |_| vec![-128.0 * 0.1, 0.2, 12.7];
        let rows = quantise(1, read, row, |_| 0.25, |_| Some(0.1));
        let bytes: Vec<i8> = rows
            .weight
            .iter()
            .map(|b| i8::from_le_bytes([*b]))
            .collect();
        assert_eq!(bytes, [-128, 2, 127]);
        assert_eq!(rows.scales, [0.1]);
        assert_eq!(rows.bias, [5 - 3]);
        // A step that the row does not fit is not kept.
        let rows = quantise(1, read, row, |_| 0.0, |_| Some(0.05));
        assert_eq!(rows.scales, [12.8 / 127.0]);
    }
}
