//! The long loops over a circuit's rows: lookups and products, each times its weight, added to the slots in them.
//!
//! A circuit has millions of rows, so a weight is one product, of a part by block and a part by place in it ([`Grid::blocks`]); what all rows of a block have in common is multiplied once a block. It deliberately knows no
//! challenge's meaning.

use core::ops::Range;

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

/// Rows from which a second thread is worth its functional.
const THREAD_ROWS_MIN: usize = 1 << 15;

/// Lookups of ten that the second thread takes, beside all products.
const SHARE: usize = 3;

/// What rows are weighted by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    /// Compresses tuples.
    pub(crate) gamma: K,
    /// Of numerators.
    pub(crate) count: K,
    /// Of A, B and C.
    pub(crate) products: [K; 3],
}

/// Adds all lookups and products, on two threads where there are many and the system gives one more. The sums are the same.
pub(crate) fn add_all(
    circuit: &Circuit,
    (leaves, gates): (&Grid, &Grid),
    factors: Factors,
) -> (Functional, LookupSums) {
    let blocks = leaves.blocks(circuit.looked_up.len()).count();
    let apart = if circuit.looked_up.len() < THREAD_ROWS_MIN {
        0
    } else {
        blocks.saturating_mul(SHARE).checked_div(10).unwrap_or(0)
    };
    let here = blocks.saturating_sub(apart);
    let Factors {
        gamma,
        count,
        products,
    } = factors;
    let one = || {
        let mut functional = Functional::new(circuit);
        let sums = add_lookups(&mut functional, circuit, leaves, 0..here, (gamma, count));
        (functional, sums)
    };
    let add_products = |functional: &mut Functional| {
        let lists = [&circuit.gates.a, &circuit.gates.b, &circuit.gates.c];
        for (rows, scale) in lists.into_iter().zip(products) {
            add_rows(functional, rows, gates, scale);
        }
    };
    if apart == 0 {
        let (mut functional, sums) = one();
        add_products(&mut functional);
        return (functional, sums);
    }
    let other = || {
        let mut functional = Functional::new(circuit);
        let (some, factors) = (here..blocks, (gamma, count));
        let sums = add_lookups(&mut functional, circuit, leaves, some, factors);
        add_products(&mut functional);
        (functional, sums)
    };
    let (mut one, other) = std::thread::scope(|scope| {
        let spawned = std::thread::Builder::new().spawn_scoped(scope, other).ok();
        let one = one();
        // A thread that died is no reason to stop: this one can do its work.
        let done = spawned.and_then(|thread| thread.join().ok());
        (one, done.unwrap_or_else(other))
    });
    one.0.add_all(&other.0);
    one.1.all += other.1.all;
    one.1.counted += other.1.counted;
    one
}

/// Adds the compressed tuples of the lookups of some blocks, each times its weight, and to the slots that count rows their weight times `count`.
fn add_lookups(
    functional: &mut Functional,
    circuit: &Circuit,
    grid: &Grid,
    some: Range<usize>,
    (gamma, count): (K, K),
) -> LookupSums {
    let rows = &circuit.looked_up;
    let mut sums = LookupSums {
        all: K::ZERO,
        counted: K::ZERO,
    };
    let mut constants = K::ZERO;
    let scaled = grid.scaled(gamma);
    let blocks = grid.blocks(rows.len()).zip(scaled.blocks(rows.len()));
    for (block, tuples) in blocks.skip(some.start).take(some.len()) {
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
fn add_rows(functional: &mut Functional, rows: &Rows, grid: &Grid, scale: K) {
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
