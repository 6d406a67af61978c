//! What is committed and what must hold of it: a program, its weights and a number of positions as linear expressions, lookups, products and equations.
//!
//! ```text
//! Model, positions ─▶ count pass (how many bits are range-checked, how many lookups go into each table)
//!                  ─▶ build pass ─▶ Circuit { slots, committed, steps, leaves, tables, gates, zeros, inputs, outputs, shown, hints }
//! ```
//!
//! Every value of one position has a *slot*. A slot is committed (the prover binds itself to it), public (the verifier knows it: inputs, outputs,
//! what is shown) or derived (a linear function of slots before it, by a [`Step`]). Nothing here depends on a request or a proof: prover and verifier build
//! the same circuit from the same model. [`Hint`]s say how an honest prover fills slots that the engine does not compute; no check reads them.
//!
//! Specification: `docs/spec/snark.md`, sections 3 and 4. Deliberately absent: field arithmetic, and every value of a run.

mod arithmetic;
mod builder;
mod error;
mod expr;
mod limits;
mod select;
mod trees;

use core::ops::Range;

use credence_exact::{Conv, Op, ParamId};
use credence_model::Model;

use crate::known::Known;

use self::builder::{Builder, Plan};
pub use self::error::CircuitError;
pub use self::limits::{LEAVES_LOG_MAX, LIMB_BITS_MAX, MODULUS, POSITIONS_MAX};

/// The slot that holds 1 at every position.
pub const ONE: u32 = 0;
/// The slot that holds the number of the position, from 0.
pub const POSITION: u32 = 1;
/// Slots that are the same in every circuit.
const FIXED_SLOTS: u32 = 2;

/// Neighbouring slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl Span {
    /// The slots, as indices.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        let at = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let start = at(self.start);
        start..start.saturating_add(at(self.len))
    }
}

/// A slot times an integer times a power of the compressing challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The slot.
    pub slot: u32,
    /// Which component of a tuple this belongs to; 0 where there are no tuples.
    pub power: u8,
    /// The factor.
    pub coefficient: i64,
}

/// Rows of terms, one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    terms: Vec<Term>,
    ends: Vec<usize>,
}

impl Rows {
    fn push(&mut self, terms: impl IntoIterator<Item = Term>) {
        self.terms.extend(terms);
        self.ends.push(self.terms.len());
    }

    fn memory_bytes(&self) -> u64 {
        bytes_of(&self.terms).saturating_add(bytes_of(&self.ends))
    }

    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Row number `index`, empty past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> &[Term] {
        let start = index
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied());
        let range = start.zip(self.ends.get(index).copied());
        range
            .and_then(|(start, end)| self.terms.get(start..end))
            .unwrap_or_default()
    }

    /// The rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Term]> {
        self.some(0..self.len())
    }

    /// Some rows in order; none if there are not so many.
    pub fn some(&self, rows: Range<usize>) -> impl ExactSizeIterator<Item = &[Term]> {
        let before = rows.start.checked_sub(1);
        let mut start = before.map_or(Some(0), |before| self.ends.get(before).copied());
        let ends = self.ends.get(rows).unwrap_or_default();
        ends.iter().map(move |&end| {
            let start = start.replace(end).unwrap_or(end);
            self.terms.get(start..end).unwrap_or_default()
        })
    }
}

/// How the slots of one derived node follow from slots before them, or must equal what does.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node's slots.
    pub y: Span,
    /// Committed slots that must equal the result, instead of being it.
    pub tied: bool,
    /// The map.
    pub map: Map,
}

/// A linear map between slots of one position.
#[derive(Clone, Debug)]
pub enum Map {
    /// A matrix of 8-bit weights, applied to each run of its columns.
    Matrix {
        /// The operand's slots.
        x: Span,
        /// `[R, K]`.
        weight: ParamId,
        /// `[R]`.
        bias: Option<ParamId>,
    },
    /// A convolution.
    Convolution {
        /// The operand's slots.
        x: Span,
        /// Its height, width and channels.
        x_dims: [usize; 3],
        /// Rows and columns of the result.
        y_dims: [usize; 2],
        /// Weights, window and groups.
        op: Box<Conv>,
    },
    /// Each slot has a row of `Circuit::derived`.
    Sparse {
        /// The rows.
        rows: Range<usize>,
    },
}

/// What a row of the batched lookup argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A tuple that must stand in a fixed table.
    Fixed {
        /// Which.
        table: usize,
    },
    /// A tuple that must stand in a table of this run's own values.
    Own {
        /// The slot in which the table's first row is counted; the tuple's first component says which row.
        counts: Span,
    },
    /// A row of such a table, counted in this slot.
    Counted {
        /// The slot.
        count: u32,
    },
}

/// A table that is known from the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entries {
    /// `0, 1, …, n − 1`.
    Count(u32),
    /// Rows of a few components each.
    Listed {
        /// Components of a row.
        width: usize,
        /// Rows, one after another.
        cells: Vec<i64>,
    },
}

impl Entries {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Count(n) => usize::try_from(*n).unwrap_or(usize::MAX),
            Self::Listed { width, cells } => cells.len().checked_div(*width).unwrap_or(0),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row number `index`.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[i64]> {
        match self {
            Self::Count(_) => None,
            Self::Listed { width, cells } => {
                let start = index.checked_mul(*width)?;
                cells.get(start..start.checked_add(*width)?)
            }
        }
    }
}

/// A fixed table of the lookup argument. Its number, from 1, is the first component of its tuples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its rows.
    pub entries: Entries,
    /// Whether which row is looked up is shown in the proof, instead of being proved: cheaper where a long table is used a few times.
    pub shown: bool,
}

/// A lookup whose row the proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The table.
    pub table: usize,
    /// Public slots that hold the row's components, and the equations that say so.
    pub public: Public,
}

/// Public slots that must equal sums of others: equation `first + i` says `sum − slot i = 0`, the slot's term standing last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// The slots.
    pub slots: Span,
    /// The first of as many rows of `Circuit::zeros`.
    pub first: usize,
}

/// Products that must hold: `a·b = c`, each a row of terms.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// First factors.
    pub a: Rows,
    /// Second factors.
    pub b: Rows,
    /// Products.
    pub c: Rows,
}

/// How an honest prover fills a slot that no engine computes. `of` and the like are rows of `Circuit::hint_rows`, read as integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Bits `low .. low + width` of `⌊of / 2^shift⌋`.
    Bits {
        /// Row.
        of: usize,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The same of `max(0, ⌊of / 2^shift⌋ − limit)`, or of `max(0, limit − ⌊of / 2^shift⌋)` if `below`.
    Excess {
        /// Row.
        of: usize,
        /// Shift.
        shift: u32,
        /// Limit.
        limit: i64,
        /// Which side of the limit.
        below: bool,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// The product of two rows, in the field.
    Product {
        /// Row.
        a: usize,
        /// Row.
        b: usize,
    },
    /// The row itself: a derived slot's.
    Sum {
        /// Row.
        of: usize,
    },
    /// 1 if the row is positive, else 0.
    Positive {
        /// Row.
        of: usize,
    },
    /// The largest of these slots.
    Max {
        /// Slots.
        of: Span,
    },
    /// The row, or the limit if that is less.
    AtMost {
        /// Row.
        of: usize,
        /// Limit.
        limit: i64,
    },
    /// A component of the row whose first component is `key` in a listed table that begins with `base`.
    Entry {
        /// Row.
        key: usize,
        /// Table.
        table: usize,
        /// Component.
        component: usize,
    },
    /// Bits of the remainder of `of` divided by `by`.
    Remainder {
        /// Row.
        of: usize,
        /// Row.
        by: usize,
        /// First bit.
        low: u32,
        /// Number of bits.
        width: u32,
    },
    /// A component of the row of a table of tree steps that is taken from the state `from`: number of the row is `2·state` or one more; see `trees.rs`.
    Branch {
        /// Row that holds the state.
        from: usize,
        /// The features' slots.
        x: Span,
        /// Table.
        table: usize,
        /// Component.
        component: usize,
    },
    /// The feature that a signed number names.
    Feature {
        /// Row that holds the number.
        number: usize,
        /// The features' slots.
        x: Span,
    },
    /// How often a row of an own table is looked up; counted when all else is filled.
    Count,
}

/// A program as constraints on its values. Made by [`Circuit::new`] alone.
#[derive(Debug, Default)]
pub struct Circuit {
    /// Positions of the run.
    pub positions: usize,
    /// Positions are laid out as if there were 2 to this.
    pub log_positions: u32,
    /// Bits of the limbs that ranges are cut into.
    pub limb_bits: u32,
    /// Whether weights of matrices and convolutions are committed to apart, so that each of them is tied.
    pub apart: bool,
    /// Number of slots.
    pub slots: u32,
    /// The slots of each node.
    pub nodes: Vec<Span>,
    /// Committed slots, by row.
    pub committed: Vec<u32>,
    /// Derived nodes, in the program's order.
    pub steps: Vec<Step>,
    /// Rows of [`Map::Sparse`].
    pub derived: Rows,
    /// What each row of `looked_up` is.
    pub leaves: Vec<Leaf>,
    /// Tuples of the lookup argument, compressed by powers of a challenge.
    pub looked_up: Rows,
    /// Fixed tables.
    pub tables: Vec<Table>,
    /// Products.
    pub gates: Gates,
    /// Rows that must be 0.
    pub zeros: Rows,
    /// Public slots of each input.
    pub inputs: Vec<Span>,
    /// Public slots of each output.
    pub outputs: Vec<Public>,
    /// Lookups that are shown.
    pub shown: Vec<Shown>,
    /// How slots are filled, in order.
    pub hints: Vec<(u32, Hint)>,
    /// Rows that hints read.
    pub hint_rows: Rows,
}

impl Circuit {
    /// The circuit of a tensor model over so many positions.
    ///
    /// # Errors
    /// [`CircuitError`]: an op that has no proof, by name; or a size over its limit.
    pub fn new(model: &Model, positions: usize) -> Result<Self, CircuitError> {
        Self::within(model, positions, u64::MAX)
    }

    /// The same, of at most `bytes_max` bytes of memory ([`Self::memory_bytes`]).
    ///
    /// # Errors
    /// [`CircuitError`], as soon as what is built is larger.
    pub fn within(model: &Model, positions: usize, bytes_max: u64) -> Result<Self, CircuitError> {
        Self::build(model, positions, bytes_max, false)
    }

    /// The circuit of a model whose weights are committed to apart, by the model or by its card: the same one.
    ///
    /// # Errors
    /// [`CircuitError`].
    pub fn apart(
        known: &dyn Known,
        positions: usize,
        bytes_max: u64,
    ) -> Result<Self, CircuitError> {
        Self::build(known, positions, bytes_max, true)
    }

    fn build(
        known: &dyn Known,
        positions: usize,
        bytes_max: u64,
        apart: bool,
    ) -> Result<Self, CircuitError> {
        let mut counting = Builder::new(known, positions, Plan::counting(apart))?;
        counting.program()?;
        let plan = counting.plan();
        let mut builder = Builder::new(known, positions, plan)?.of_bytes(bytes_max);
        builder.program()?;
        builder.finish()
    }

    /// Bytes of memory that the circuit itself takes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let rows = [
            &self.derived,
            &self.looked_up,
            &self.gates.a,
            &self.gates.b,
            &self.gates.c,
            &self.zeros,
            &self.hint_rows,
        ];
        let rows = rows.map(Rows::memory_bytes);
        let tables = self.tables.iter().map(|table| match &table.entries {
            Entries::Count(_) => 0,
            Entries::Listed { cells, .. } => bytes_of(cells),
        });
        let lists = [
            bytes_of(&self.committed),
            bytes_of(&self.steps),
            bytes_of(&self.leaves),
            bytes_of(&self.shown),
            bytes_of(&self.hints),
        ];
        let all = rows.into_iter().chain(lists).chain(tables);
        all.fold(0, u64::saturating_add)
    }

    /// Positions as they are laid out: a power of two.
    #[must_use]
    pub fn width(&self) -> usize {
        1_usize
            .checked_shl(self.log_positions)
            .unwrap_or(usize::MAX)
    }

    /// Rows of all fixed tables that are proved.
    #[must_use]
    pub fn entries(&self) -> usize {
        let proved = self.tables.iter().filter(|table| !table.shown);
        proved.fold(0, |sum, table| sum.saturating_add(table.entries.len()))
    }

    /// Values that are committed: rows of all positions, then how often each entry of the tables is looked up.
    #[must_use]
    pub fn witness_len(&self) -> usize {
        let rows = self.committed.len().saturating_mul(self.width());
        rows.saturating_add(self.entries())
    }

    /// The logarithm of the committed polynomial's length.
    #[must_use]
    pub fn witness_log(&self) -> u32 {
        log2_ceil(self.witness_len())
    }

    /// The logarithm of the number of leaves of the lookup argument: twice the gates fit as well.
    #[must_use]
    pub fn leaves_log(&self) -> u32 {
        let rows = self.looked_up.len().saturating_mul(self.width());
        let leaves = log2_ceil(rows.saturating_add(self.entries()));
        let gates = log2_ceil(self.gates.a.len().saturating_mul(self.width()));
        let least = self.log_positions.saturating_add(1).max(2);
        leaves.max(gates.saturating_add(1)).max(least)
    }

    /// The largest power that any tuple has.
    #[must_use]
    pub fn power_max(&self) -> u8 {
        let powers = self.looked_up.terms.iter().map(|term| term.power);
        powers.max().unwrap_or(0)
    }
}

/// Bytes of a list's elements.
fn bytes_of<T>(list: &[T]) -> u64 {
    u64::try_from(size_of_val(list)).unwrap_or(u64::MAX)
}

/// The least `n` with `2^n ≥ len`.
#[must_use]
pub fn log2_ceil(len: usize) -> u32 {
    len.checked_next_power_of_two()
        .map_or(usize::BITS, usize::trailing_zeros)
}

/// Ops that have a proof where weights are committed to: those whose parameters, but for matrices and convolutions, are public and small.
const fn is_proved_apart(op: &Op) -> bool {
    matches!(
        op,
        Op::Input(_)
            | Op::Linear(_)
            | Op::Conv(_)
            | Op::Rescale(_)
            | Op::Add(_)
            | Op::Table(_)
            | Op::MaxPool(_)
            | Op::SumPool(_)
            | Op::Reindex(_)
            | Op::Concat(_)
            | Op::Softmax(_)
            | Op::ArgMax(_)
            | Op::TreeLeaves(_)
            | Op::GatherSum(_)
    )
}

/// Ops that have a proof.
#[must_use]
pub const fn is_proved(op: &Op) -> bool {
    match op {
        Op::Input(_)
        | Op::Linear(_)
        | Op::Conv(_)
        | Op::Rescale(_)
        | Op::Add(_)
        | Op::Table(_)
        | Op::MaxPool(_)
        | Op::SumPool(_)
        | Op::Reindex(_)
        | Op::Concat(_)
        | Op::Softmax(_)
        | Op::ArgMax(_)
        | Op::TreeLeaves(_)
        | Op::GatherSum(_) => true,
        Op::Gather(_)
        | Op::MatMul(_)
        | Op::Divide(_)
        | Op::Token(_)
        | Op::Position(_)
        | Op::Embed(_)
        | Op::MaxAbs(_)
        | Op::Quantise(_)
        | Op::RmsRatio(_)
        | Op::Mul(_)
        | Op::Rope(_)
        | Op::Scores(_)
        | Op::Attend(_)
        | Op::Hadamard(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_number_and_in_order() {
        let term = |slot| Term {
            slot,
            power: 0,
            coefficient: 1,
        };
        let mut rows = Rows::default();
        assert!(rows.is_empty() && rows.get(0).is_empty());
        for row in [vec![1, 2], vec![], vec![3], vec![4, 5, 6]] {
            rows.push(row.into_iter().map(term));
        }
        let slots = |row: &[Term]| row.iter().map(|term| term.slot).collect::<Vec<u32>>();
        let all: Vec<Vec<u32>> = rows.iter().map(slots).collect();
        assert_eq!(all, [vec![1, 2], vec![], vec![3], vec![4, 5, 6]]);
        for (index, row) in all.iter().enumerate() {
            assert_eq!(&slots(rows.get(index)), row);
        }
        assert_eq!(rows.get(4), &[]);
        let some: Vec<Vec<u32>> = rows.some(1..3).map(slots).collect();
        assert_eq!(some, all[1..3]);
        assert_eq!(rows.some(2..9).len(), 0);
    }

    #[test]
    fn logarithms_round_up() {
        let cases = [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (1 << 20, 20),
        ];
        for (len, log) in cases {
            assert_eq!(log2_ceil(len), log, "{len}");
        }
    }

    #[test]
    fn tables_have_rows() {
        let count = Entries::Count(5);
        assert_eq!((count.len(), count.row(2)), (5, None));
        let listed = Entries::Listed {
            width: 2,
            cells: vec![7, 8, 9, 10],
        };
        assert_eq!(listed.len(), 2);
        assert_eq!(listed.row(1), Some([9, 10].as_slice()));
        assert_eq!(listed.row(2), None);
        assert!(!listed.is_empty() && Entries::Count(0).is_empty());
    }
}
