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

/// Quantises rows. `weight(r)` gives the weights of a row, `bias(r)` its bias; one step of the operand stands for `operand`.
pub(crate) fn quantise(
    rows: usize,
    operand: f64,
    weight: impl Fn(usize) -> Vec<f64>,
    bias: impl Fn(usize) -> f64,
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
        let wanted = f64::max(largest / WEIGHT_LEVELS, for_bias);
        // A row too small for f64's normal numbers is a row of zeros.
        let scale = if wanted < pow2(-900) { 0.0 } else { wanted };
        let integer = |w: f64| {
            if scale == 0.0 {
                0
            } else {
                round_to(w / scale, -127, 127)
            }
        };
        let bytes = row.into_iter().map(|w| integer(w).to_le_bytes()[0]);
        result.weight.extend(bytes);
        result.bias.push(if scale == 0.0 {
            0
        } else {
            round_to(bias / (operand * scale), -BIAS_MAX, BIAS_MAX)
        });
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
        let rows = quantise(3, 0.5, |r| weights[r].clone(), |r| biases[r]);
        let bytes: Vec<i8> = rows
            .weight
            .iter()
            .map(|b| i8::from_le_bytes([*b]))
            .collect();
        assert_eq!(bytes, [127, -64, 0, 0, 0, 0]);
        assert_eq!(rows.scales[0], 1.0 / 127.0);
        assert_eq!(rows.scales[1], 0.0);
        assert_eq!(rows.bias, [64, 0, 1 << 29], "0.25·127/0.5 = 63.5");
    }
}
