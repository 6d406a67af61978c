//! Entries of tables: a function at every integer that its operand can be.

use credence_exact::fixed::{sigmoid, tanh};

use crate::graph::Function;
use crate::number::{from_count, pow2};
use crate::producer::Fold;
use crate::quant::Quant;

/// Fraction bits at which the functions with a fixed-point form are computed.
const FUNCTION_BITS: u8 = 30;

/// A table: what of, and what its operand's integers stand for.
pub(super) struct TableOf {
    pub(super) function: Function,
    pub(super) fold: Fold,
    pub(super) x: Quant,
}

impl TableOf {
    /// All entries. Where the function has no value, as the logarithm of −1, stands that of the nearest operand that has one, above it if there is one.
    pub(super) fn entries(&self, quant: Quant) -> Vec<i32> {
        let all = (self.x.min..=self.x.max).rev();
        let mut entries = Vec::new();
        let mut known = None;
        for x in all {
            known = self.entry(x, quant).or(known);
            entries.push(known);
        }
        // From the top down, what has none above it takes the first below.
        let first = entries
            .iter()
            .flatten()
            .next()
            .copied()
            .unwrap_or(quant.min);
        let filled = entries.into_iter().rev();
        filled.map(|entry| entry.unwrap_or(first)).collect()
    }

    fn entry(&self, x: i32, quant: Quant) -> Option<i32> {
        let real = f64::from(x - self.x.zero) * self.x.scale.get();
        // Operands at 2^0 to 2^−30 about 0, which is where the plan has them unless a file gives other integers.
        let bits = (0..=30_u8)
            .find(|&bits| pow2(-i32::from(bits)) == self.x.scale.get())
            .filter(|_| self.x.zero == 0);
        let fixed = |y: i64| from_count(y.unsigned_abs()) * pow2(-i32::from(FUNCTION_BITS));
        let y = match (&self.function, bits) {
            (Function::Sigmoid, Some(bits)) => fixed(sigmoid(x, bits, FUNCTION_BITS)),
            (Function::Tanh, Some(bits)) => {
                let y = fixed(tanh(x, bits, FUNCTION_BITS));
                if x < 0 { -y } else { y }
            }
            (other, _) => other.of(real),
        };
        let y = y * self.fold.scale_at(0) + self.fold.shift_at(0);
        (!y.is_nan()).then(|| quant.integer(y))
    }
}
