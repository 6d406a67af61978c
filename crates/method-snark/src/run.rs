//! What of a run is public: encoded inputs, outputs before they are decoded, and which rows of shown tables are looked up.
//!
//! Inputs are what the claim opens. Outputs and shown rows stand at the front of a proof; decoding the outputs must give what the claim opens, which the caller checks. It
//! deliberately knows no claim.

use credence_exact::Dtype;
use credence_model::Program;

use crate::circuit::{Circuit, Entries, ONE, POSITION, Span};
use crate::extension::K;
use crate::field::F;
use crate::functional::Functional;
use crate::grid::Grid;
use crate::known::Known;
use crate::reader::{ReadError, Reader};

/// Why the front of a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicError {
    /// The proof ends in it.
    #[error("the public values cannot be read: send a proof that is whole")]
    Read(#[from] ReadError),
    /// A value is none of its node's type.
    #[error("cell {index} of output `{output}` is {got}, which is no {dtype:?}")]
    Type {
        /// The output.
        output: String,
        /// The cell, over all positions.
        index: usize,
        /// Its type.
        dtype: Dtype,
        /// The value.
        got: i64,
    },
    /// A row is looked up that its table does not have.
    #[error("lookup {lookup} is shown to be of row {got}, its table has {rows}")]
    Row {
        /// Which of the shown lookups.
        lookup: usize,
        /// The row.
        got: u32,
        /// Rows of the table.
        rows: usize,
    },
}

/// The public values of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publics {
    /// Of a language model's run, how many of the last positions have outputs; 0 if all have.
    pub sampled: usize,
    /// Positions of the run.
    pub positions: usize,
    /// Encoded cells of each input, position by position.
    pub inputs: Vec<Vec<i64>>,
    /// Cells of each output, position by position.
    pub outputs: Vec<Vec<i64>>,
    /// For each shown lookup, the row at each position.
    pub shown: Vec<Vec<u32>>,
}

impl Publics {
    /// Reads outputs (four bytes a cell) and shown rows (four bytes each) from the front of a proof.
    ///
    /// # Errors
    /// [`PublicError`].
    pub fn read(
        inputs: Vec<Vec<i64>>,
        circuit: &Circuit,
        program: &Program,
        reader: &mut Reader<'_>,
    ) -> Result<Self, PublicError> {
        let mut outputs = Vec::with_capacity(circuit.outputs.len());
        let own = program.spec().outputs.iter();
        let own = own.map(|output| (output.name.as_str(), output.node));
        let language = program.spec().language.as_ref();
        let own = own.chain(language.map(|language| ("logits", language.logits)));
        let shown = match circuit.sampled {
            0 => circuit.positions,
            sampled => sampled,
        };
        for (span, (name, node)) in circuit.outputs.iter().zip(own) {
            let count = span.slots.range().len().saturating_mul(shown);
            let bytes = reader.raw(count.saturating_mul(4))?;
            let (words, _) = bytes.as_chunks();
            let cells: Vec<i64> = words
                .iter()
                .map(|&word| i32::from_le_bytes(word).into())
                .collect();
            let dtype = program.node(node).map_or(Dtype::I32, |n| n.dtype);
            for (index, &got) in cells.iter().enumerate() {
                dtype.check(got).map_err(|_| PublicError::Type {
                    output: name.to_owned(),
                    index,
                    dtype,
                    got,
                })?;
            }
            // Nothing is shown of positions before the sampled ones: their cells are 0.
            let before = circuit.positions.saturating_sub(shown);
            let before = span.slots.range().len().saturating_mul(before);
            let before = core::iter::repeat_n(0, before);
            outputs.push(before.chain(cells).collect());
        }
        let mut shown = Vec::with_capacity(circuit.shown.len());
        for (lookup, own) in circuit.shown.iter().enumerate() {
            let table = circuit.tables.get(own.table);
            let rows = table.map_or(0, |table| table.entries.len());
            let bytes = reader.raw(circuit.positions.saturating_mul(4))?;
            let (words, _) = bytes.as_chunks();
            let own: Vec<u32> = words.iter().map(|&word| u32::from_le_bytes(word)).collect();
            let fits = |&row: &u32| usize::try_from(row).is_ok_and(|row| row < rows);
            if let Some(&got) = own.iter().find(|row| !fits(row)) {
                return Err(PublicError::Row { lookup, got, rows });
            }
            shown.push(own);
        }
        Ok(Self {
            sampled: circuit.sampled,
            positions: circuit.positions,
            inputs,
            outputs,
            shown,
        })
    }

    /// The bytes that [`Self::read`] reads.
    #[must_use]
    pub fn front(&self) -> Vec<u8> {
        let cells = self.outputs.iter().flat_map(|cells| self.of_sampled(cells));
        let cells = cells.map(|&cell| i32::try_from(cell).unwrap_or(0).to_le_bytes());
        let rows = self.shown.iter().flatten().map(|row| row.to_le_bytes());
        cells.chain(rows).flatten().collect()
    }

    /// Those of an output's cells that are shown: all of a tensor model's, those of sampled positions of a language model's.
    fn of_sampled<'c>(&self, cells: &'c [i64]) -> &'c [i64] {
        let before = match self.sampled {
            0 => 0,
            sampled => self.positions.saturating_sub(sampled),
        };
        let width = cells.len().checked_div(self.positions).unwrap_or(0);
        cells
            .get(before.saturating_mul(width)..)
            .unwrap_or_default()
    }

    /// The cells of a language model's logits, or of an encoder's embedding, at sampled positions.
    #[must_use]
    pub fn sampled_cells(&self) -> Vec<i64> {
        let cells = self.outputs.iter().flat_map(|cells| self.of_sampled(cells));
        cells.copied().collect()
    }

    /// For each public slot its sum over positions, weighted by the grid; 0 for all others.
    #[must_use]
    pub fn weighted(&self, circuit: &Circuit, grid: &Grid) -> Vec<K> {
        let positions = grid.positions();
        let mut values = vec![K::ZERO; usize::try_from(circuit.slots).unwrap_or(0)];
        let numbers: Vec<i64> = (0_i64..).take(positions.len()).collect();
        let one = |start| Span { start, len: 1 };
        add_cells(&mut values, one(ONE), &vec![1; positions.len()], positions);
        add_cells(&mut values, one(POSITION), &numbers, positions);
        for (&span, cells) in circuit.inputs.iter().zip(&self.inputs) {
            add_cells(&mut values, span, cells, positions);
        }
        for (public, cells) in circuit.outputs.iter().zip(&self.outputs) {
            add_cells(&mut values, public.slots, cells, positions);
        }
        for (own, rows) in circuit.shown.iter().zip(&self.shown) {
            let Some(table) = circuit.tables.get(own.table) else {
                continue;
            };
            let slots = values.get_mut(own.public.slots.range()).unwrap_or_default();
            for (position, &row) in positions.iter().zip(rows) {
                let index = usize::try_from(row).unwrap_or(usize::MAX);
                let cells = table.entries.row(index).unwrap_or_default();
                for (value, &cell) in slots.iter_mut().zip(cells) {
                    *value += *position * F::from_i64(cell);
                }
            }
        }
        values
    }

    /// What the functional gives of constants and public values, positions weighted by the grid.
    #[must_use]
    pub fn weigh(&self, circuit: &Circuit, functional: &Functional, grid: &Grid) -> K {
        let positions = grid.positions();
        let numbers: K = positions
            .iter()
            .zip(0_u64..)
            .map(|(weight, p)| *weight * F::from_u64(p))
            .sum();
        let mut sum = functional.get(ONE) * grid.real() + functional.get(POSITION) * numbers;
        for (&span, cells) in circuit.inputs.iter().zip(&self.inputs) {
            sum += weigh_cells(span, cells, functional, positions);
        }
        for (public, cells) in circuit.outputs.iter().zip(&self.outputs) {
            sum += weigh_cells(public.slots, cells, functional, positions);
        }
        for (own, rows) in circuit.shown.iter().zip(&self.shown) {
            let Some(table) = circuit.tables.get(own.table) else {
                continue;
            };
            let weights = functional.span(own.public.slots);
            for (weight, &row) in positions.iter().zip(rows) {
                sum += *weight * weigh_row(&table.entries, row, weights);
            }
        }
        sum
    }
}

/// Adds to each slot of the span its cells' sum, positions weighted.
fn add_cells(values: &mut [K], span: Span, cells: &[i64], positions: &[K]) {
    let own = values.get_mut(span.range()).unwrap_or_default();
    let blocks = cells.chunks(own.len().max(1));
    for (position, block) in positions.iter().zip(blocks) {
        for (value, &cell) in own.iter_mut().zip(block) {
            *value += *position * F::from_i64(cell);
        }
    }
}

fn weigh_cells(span: Span, cells: &[i64], functional: &Functional, positions: &[K]) -> K {
    let weights = functional.span(span);
    let blocks = cells.chunks(weights.len().max(1));
    positions
        .iter()
        .zip(blocks)
        .map(|(position, block)| {
            let pairs = weights.iter().zip(block);
            let sum: K = pairs.map(|(w, &cell)| *w * F::from_i64(cell)).sum();
            *position * sum
        })
        .sum()
}

fn weigh_row(entries: &Entries, row: u32, weights: &[K]) -> K {
    let index = usize::try_from(row).unwrap_or(usize::MAX);
    match entries.row(index) {
        Some(cells) => {
            let pairs = weights.iter().zip(cells);
            pairs.map(|(w, &cell)| *w * F::from_i64(cell)).sum()
        }
        None => {
            let weight = weights.first().copied().unwrap_or(K::ZERO);
            weight * F::from(row)
        }
    }
}

/// `Σ weight·entry` over the entries of all tables that are proved, tuples compressed by `gamma`, weights in order.
#[must_use]
pub fn weigh_tables(circuit: &Circuit, mut weights: impl Iterator<Item = K>, gamma: K) -> K {
    let mut sum = K::ZERO;
    for (number, table) in (1_u64..).zip(&circuit.tables) {
        if table.shown {
            continue;
        }
        let number = K::from(F::from_u64(number));
        for row in 0..table.entries.len() {
            let Some(weight) = weights.next() else {
                return sum;
            };
            let value = match table.entries.row(row) {
                Some(cells) => cells.iter().rev().fold(K::ZERO, |sum, &cell| {
                    (sum + K::from(F::from_i64(cell))) * gamma
                }),
                None => gamma * F::from_u64(u64::try_from(row).unwrap_or(u64::MAX)),
            };
            sum += weight * (number + value);
        }
    }
    sum
}

/// Whether all public nodes have cells: what a caller must know before it weighs them.
#[must_use]
pub fn fits(model: &dyn Known, circuit: &Circuit, publics: &Publics) -> bool {
    let spec = model.program().spec();
    let len = |span: &Span| span.range().len().checked_mul(circuit.positions);
    let all = |spans: &mut dyn ExactSizeIterator<Item = &Span>, cells: &[Vec<i64>]| {
        spans.len() == cells.len()
            && spans
                .zip(cells)
                .all(|(span, cells)| len(span) == Some(cells.len()))
    };
    let mut outputs = circuit.outputs.iter().map(|public| &public.slots);
    let given = circuit.inputs.len().saturating_sub(circuit.known.len());
    (spec.language.is_some() || spec.inputs.len() == given)
        && (publics.sampled, publics.positions) == (circuit.sampled, circuit.positions)
        && all(&mut circuit.inputs.iter(), &publics.inputs)
        && all(&mut outputs, &publics.outputs)
}
