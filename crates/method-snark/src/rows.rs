//! The long loops over a circuit's rows: lookups and products, each times its weight, added to the slots in them.
//!
//! A circuit has millions of rows, so a weight is one product, of a part by block and a part by place in it ([`Grid::blocks`]); what all rows of a block have in common is multiplied once a block. It deliberately knows no
//! challenge's meaning.

use crate::circuit::{Circuit, Leaf, ONE, Rows, Term};
use crate::extension::K;
use crate::field::F;
use crate::functional::{Functional, times};
use crate::grid::Grid;

/// What lookups add beside the slots in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LookupSums {
    /// Weights of all rows.
    pub(crate) all: K,
    /// Weights of rows that are counted.
    pub(crate) counted: K,
}

/// Adds the compressed tuples of all lookups, each times its weight, and to the slots that count rows their weight times `count`.
pub(crate) fn add_lookups(
    functional: &mut Functional,
    circuit: &Circuit,
    grid: &Grid,
    (gamma, count): (K, K),
) -> LookupSums {
    let rows = &circuit.looked_up;
    let mut sums = LookupSums {
        all: K::ZERO,
        counted: K::ZERO,
    };
    let mut constants = K::ZERO;
    let scaled = grid.scaled(gamma);
    let blocks = grid.blocks(rows.len());
    for (block, tuples) in blocks.zip(scaled.blocks(rows.len())) {
        let end = block.first.saturating_add(block.low.len());
        let leaves = circuit.leaves.get(block.first..end).unwrap_or_default();
        let lists = rows.some(block.first..end).zip(leaves);
        let (mut low_sum, mut numbers) = (K::ZERO, Numbers::default());
        for ((row, leaf), (low, tuple)) in lists.zip(block.low.iter().zip(tuples.low)) {
            low_sum += *low;
            if let Leaf::Counted { count: slot } = leaf {
                let weight = block.high * *low;
                sums.counted += weight;
                functional.add(*slot, count * weight);
            }
            let weight = tuples.high * *tuple;
            match row.split_first() {
                // The table's number, which every tuple begins with.
                Some((first, rest)) if first.power == 0 && first.slot == ONE => {
                    numbers.add(*low, first.coefficient);
                    constants += functional.add_tuple(rest, (weight, 1), gamma);
                }
                _ => functional.add_row(row, block.high * *low, gamma),
            }
        }
        sums.all += block.high * low_sum;
        constants += block.high * numbers.sum();
    }
    functional.add(ONE, constants);
    sums
}

/// Adds rows that are no tuples, each times its weight and `scale`.
pub(crate) fn add_rows(functional: &mut Functional, rows: &Rows, grid: &Grid, scale: K) {
    let mut constants = K::ZERO;
    let scaled = grid.scaled(scale);
    for block in scaled.blocks(rows.len()) {
        let end = block.first.saturating_add(block.low.len());
        for (row, low) in rows.some(block.first..end).zip(block.low) {
            if !row.is_empty() {
                constants += functional.add_tuple(row, (block.high * *low, 0), K::ONE);
            }
        }
    }
    functional.add(ONE, constants);
}

/// Sums of weights times numbers of fewer than 63 bits, reduced once.
#[derive(Debug, Default)]
struct Numbers {
    sums: [u128; 3],
    others: K,
}

/// Numbers below this, times elements of F, of which a block has fewer than 2^28, fit 128 bits.
const NUMBER_MAX: u64 = 1 << 36;

impl Numbers {
    #[inline]
    fn add(&mut self, weight: K, number: i64) {
        match u64::try_from(number) {
            Ok(number) if number < NUMBER_MAX => {
                let number = u128::from(number);
                for (sum, coordinate) in self.sums.iter_mut().zip(weight.coordinates()) {
                    let product = u128::from(coordinate.to_u64()).wrapping_mul(number);
                    *sum = sum.wrapping_add(product);
                }
            }
            Ok(_) | Err(_) => self.others += times(weight, number),
        }
    }

    fn sum(&self) -> K {
        K::new(self.sums.map(F::from_u128)) + self.others
    }
}

impl Functional {
    /// Adds a row whose terms have this power or more; the weight is that of terms of this power. What goes to slot 0 is returned.
    #[inline]
    fn add_tuple(&mut self, row: &[Term], (weight, from): (K, u8), gamma: K) -> K {
        let (mut power, mut scaled) = (from, weight);
        let mut constants = K::ZERO;
        for term in row {
            while power < term.power {
                scaled *= gamma;
                power = power.saturating_add(1);
            }
            let own = times(scaled, term.coefficient);
            if term.slot == ONE {
                constants += own;
            } else {
                self.add(term.slot, own);
            }
        }
        constants
    }
}
