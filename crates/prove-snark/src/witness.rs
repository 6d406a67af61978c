//! All values of a run, slot by slot, and how often each table entry is looked up.
//!
//! ```text
//! node values of an engine ─▶ slots ─hints in order─▶ committed values ─count─▶ Witness { slots, counts, publics }
//! ```
//!
//! A hint that has no sense fills in 0: what is wrong then is refused by the verifier, not here. It deliberately proves nothing.

use std::collections::HashMap;

use credence_method_snark::F;
use credence_method_snark::circuit::{
    Circuit, Entries, Hint, Leaf, ONE, POSITION, Public, Rows, Span, Term,
};
use credence_method_snark::run::Publics;

/// Values of every slot, at every position.
#[derive(Clone, Debug)]
pub struct Slots {
    values: Vec<F>,
    width: usize,
}

/// What is proved of.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Values of slots.
    pub slots: Slots,
    /// How often each entry of the proved tables is looked up.
    pub counts: Vec<F>,
    /// What is public.
    pub publics: Publics,
}

fn at(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

/// The integer nearest to 0 that is the element.
pub(crate) fn centred(value: F) -> i64 {
    let value = value.to_u64();
    let negative = value > credence_method_snark::field::MODULUS / 2;
    let magnitude = if negative {
        credence_method_snark::field::MODULUS - value
    } else {
        value
    };
    let magnitude = i64::try_from(magnitude).unwrap_or(0);
    if negative { -magnitude } else { magnitude }
}

fn bits(value: i128, low: u32, width: u32) -> i64 {
    let mask = (1_i128 << width) - 1;
    i64::try_from((value >> low) & mask).unwrap_or(0)
}

impl Slots {
    fn new(circuit: &Circuit) -> Self {
        let width = circuit.width();
        let mut slots = Self {
            values: vec![F::ZERO; at(circuit.slots) * width],
            width,
        };
        for position in 0..circuit.positions {
            slots.set(ONE, position, F::ONE);
            let number = u64::try_from(position).unwrap_or(0);
            slots.set(POSITION, position, F::from_u64(number));
        }
        slots
    }

    /// A slot's values, one for each position and zeros up to a power of two.
    #[must_use]
    pub fn row(&self, slot: u32) -> &[F] {
        let start = at(slot) * self.width;
        &self.values[start..start + self.width]
    }

    /// A slot's value at a position.
    #[must_use]
    pub fn get(&self, slot: u32, position: usize) -> F {
        self.values[at(slot) * self.width + position]
    }

    /// Sets it.
    pub fn set(&mut self, slot: u32, position: usize, value: F) {
        self.values[at(slot) * self.width + position] = value;
    }

    fn integer(&self, slot: u32, position: usize) -> i64 {
        centred(self.get(slot, position))
    }

    /// A row of terms in the field.
    #[must_use]
    pub fn sum(&self, row: &[Term], position: usize) -> F {
        row.iter()
            .map(|term| self.get(term.slot, position) * F::from_i64(term.coefficient))
            .sum()
    }

    /// A row of terms as an integer.
    fn integer_sum(&self, row: &[Term], position: usize) -> i128 {
        row.iter()
            .map(|term| {
                i128::from(self.integer(term.slot, position)) * i128::from(term.coefficient)
            })
            .sum()
    }

    /// The components of a tuple, the table's number first.
    fn tuple(&self, row: &[Term], position: usize) -> Vec<F> {
        let mut tuple = Vec::new();
        for term in row {
            let power = usize::from(term.power);
            if tuple.len() <= power {
                tuple.resize(power + 1, F::ZERO);
            }
            tuple[power] += self.get(term.slot, position) * F::from_i64(term.coefficient);
        }
        tuple
    }
}

/// Values of nodes as an engine gives them: for each node its cells, position by position.
pub type NodeValues = Vec<Vec<i64>>;

impl Witness {
    /// Fills all slots from the nodes' values.
    #[must_use]
    pub fn new(circuit: &Circuit, nodes: &NodeValues) -> Self {
        let mut slots = Slots::new(circuit);
        for (&span, values) in circuit.nodes.iter().zip(nodes) {
            spread(&mut slots, span, values);
        }
        let mut filler = Filler {
            circuit,
            indices: circuit
                .tables
                .iter()
                .map(|table| Index::new(&table.entries))
                .collect(),
            slots,
        };
        for &(slot, hint) in &circuit.hints {
            for position in 0..circuit.positions {
                let value = filler.hint(hint, position);
                filler.slots.set(slot, position, value);
            }
        }
        let Filler { indices, slots, .. } = filler;
        Self::counted(circuit, &indices, slots, nodes)
    }

    /// Fills in what is counted and what is public.
    fn counted(circuit: &Circuit, indices: &[Index], mut slots: Slots, nodes: &NodeValues) -> Self {
        let mut publics = Publics {
            sampled: circuit.sampled,
            positions: circuit.positions,
            ..Publics::default()
        };
        for (span, values) in circuit.nodes.iter().zip(nodes) {
            if circuit.inputs.contains(span) {
                publics.inputs.push(values.clone());
            }
        }
        for public in &circuit.outputs {
            let values: Vec<i64> = (0..circuit.positions)
                .flat_map(|position| shown(circuit, &slots, *public, position))
                .map(centred)
                .collect();
            spread(&mut slots, public.slots, &values);
            publics.outputs.push(values);
        }
        for own in &circuit.shown {
            let entries = &circuit.tables[own.table].entries;
            let mut rows = Vec::with_capacity(circuit.positions);
            for position in 0..circuit.positions {
                let tuple = shown(circuit, &slots, own.public, position);
                let index = indices[own.table].find(entries, &tuple).unwrap_or(0);
                rows.push(u32::try_from(index).unwrap_or(0));
                if let Some(cells) = entries.row(index) {
                    for (slot, &cell) in (own.public.slots.start..).zip(cells) {
                        slots.set(slot, position, F::from_i64(cell));
                    }
                }
            }
            publics.shown.push(rows);
        }
        let counts = count(circuit, indices, &mut slots);
        Self {
            slots,
            counts,
            publics,
        }
    }

    /// Counts all lookups anew: for whoever changed a slot.
    pub fn recount(&mut self, circuit: &Circuit) {
        let indices: Vec<Index> = circuit
            .tables
            .iter()
            .map(|table| Index::new(&table.entries))
            .collect();
        for leaf in &circuit.leaves {
            if let Leaf::Counted { count } = leaf {
                for position in 0..circuit.positions {
                    self.slots.set(*count, position, F::ZERO);
                }
            }
        }
        self.counts = count(circuit, &indices, &mut self.slots);
    }

    /// The committed values: rows of positions, then counts, zeros up to a power of two.
    #[must_use]
    pub fn committed(&self, circuit: &Circuit) -> Vec<F> {
        let len = 1_usize << circuit.witness_log();
        let mut values = Vec::with_capacity(len);
        for &slot in &circuit.committed {
            values.extend_from_slice(self.slots.row(slot));
        }
        values.extend_from_slice(&self.counts);
        values.resize(len, F::ZERO);
        values
    }
}

/// What the equations of public slots say that they are.
fn shown(circuit: &Circuit, slots: &Slots, public: Public, position: usize) -> Vec<F> {
    let rows = circuit
        .zeros
        .some(public.first..public.first + at(public.slots.len));
    rows.map(|row| slots.sum(&row[..row.len() - 1], position))
        .collect()
}

fn spread(slots: &mut Slots, span: Span, values: &[i64]) {
    for (position, cells) in values.chunks(at(span.len).max(1)).enumerate() {
        for (slot, &cell) in (span.start..).zip(cells) {
            slots.set(slot, position, F::from_i64(cell));
        }
    }
}

/// Where a row of a table stands.
enum Index {
    /// First components are neighbouring numbers from this one.
    From(i64),
    /// By the whole row.
    Of(HashMap<Vec<u64>, usize>),
}

impl Index {
    fn new(entries: &Entries) -> Self {
        let Entries::Listed { width, cells } = entries else {
            return Self::From(0);
        };
        let first = cells.first().copied().unwrap_or(0);
        let keys = cells.chunks_exact(*width).map(|row| row[0]);
        if keys.zip(first..).all(|(key, number)| key == number) {
            return Self::From(first);
        }
        let rows = cells.chunks_exact(*width).enumerate();
        let key = |row: &[i64]| {
            row.iter()
                .map(|&cell| F::from_i64(cell).to_u64())
                .collect::<Vec<u64>>()
        };
        Self::Of(rows.map(|(index, row)| (key(row), index)).collect())
    }

    /// The row that a tuple (without the table's number) is, if any.
    fn find(&self, entries: &Entries, tuple: &[F]) -> Option<usize> {
        match self {
            Self::From(first) => {
                let key = centred(*tuple.first()?).checked_sub(*first)?;
                usize::try_from(key).ok().filter(|&key| key < entries.len())
            }
            Self::Of(rows) => {
                let key: Vec<u64> = tuple.iter().map(|value| value.to_u64()).collect();
                rows.get(&key).copied()
            }
        }
    }
}

fn count(circuit: &Circuit, indices: &[Index], slots: &mut Slots) -> Vec<F> {
    let mut starts = Vec::with_capacity(circuit.tables.len());
    let mut entries = 0;
    for table in &circuit.tables {
        starts.push(entries);
        if !table.shown {
            entries += table.entries.len();
        }
    }
    let mut counts = vec![F::ZERO; entries];
    for (leaf, row) in circuit.leaves.iter().zip(circuit.looked_up.iter()) {
        for position in 0..circuit.positions {
            match leaf {
                Leaf::Fixed { table } => {
                    let tuple = slots.tuple(row, position);
                    let entries = &circuit.tables[*table].entries;
                    let found = indices[*table].find(entries, tuple.get(1..).unwrap_or_default());
                    if let Some(index) = found {
                        counts[starts[*table] + index] += F::ONE;
                    }
                }
                Leaf::Own { counts } => {
                    let tuple = slots.tuple(row, position);
                    let number = tuple.get(1).map_or(-1, |number| centred(*number));
                    let number = u32::try_from(number).ok().filter(|&n| n < counts.len);
                    if let Some(number) = number {
                        let slot = counts.start + number;
                        let more = slots.get(slot, position) + F::ONE;
                        slots.set(slot, position, more);
                    }
                }
                Leaf::Counted { .. } => {}
            }
        }
    }
    counts
}

mod pairs;

struct Filler<'a> {
    circuit: &'a Circuit,
    indices: Vec<Index>,
    slots: Slots,
}

impl Filler<'_> {
    fn row(&self, row: usize, position: usize) -> i128 {
        let rows: &Rows = &self.circuit.hint_rows;
        self.slots.integer_sum(rows.get(row), position)
    }

    fn small(&self, row: usize, position: usize) -> i64 {
        i64::try_from(self.row(row, position)).unwrap_or(0)
    }

    fn hint(&self, hint: Hint, position: usize) -> F {
        let integer = match hint {
            Hint::Bits { of, low, width } => bits(self.row(of, position), low, width),
            Hint::Excess {
                of,
                shift,
                limit,
                below,
                low,
                width,
            } => {
                let beyond = (self.row(of, position) >> shift) - i128::from(limit);
                let beyond = if below { -beyond } else { beyond };
                bits(beyond.max(0), low, width)
            }
            Hint::Product { a, b } => {
                let rows = &self.circuit.hint_rows;
                return self.slots.sum(rows.get(a), position)
                    * self.slots.sum(rows.get(b), position);
            }
            Hint::Sum { of } => self.small(of, position),
            Hint::Positive { of } => i64::from(self.row(of, position) > 0),
            Hint::Max { of } => {
                let cells = of.range().filter_map(|slot| u32::try_from(slot).ok());
                let cells = cells.map(|slot| self.slots.integer(slot, position));
                cells.max().unwrap_or(0)
            }
            Hint::AtMost { of, limit } => self.small(of, position).min(limit),
            Hint::Entry {
                key,
                table,
                component,
            } => {
                let key = F::from_i64(self.small(key, position));
                self.cell(table, &[key], component)
            }
            Hint::Remainder { of, by, low, width } => {
                let by = self.row(by, position).max(1);
                bits(self.row(of, position).rem_euclid(by), low, width)
            }
            Hint::Branch {
                from,
                x,
                table,
                component,
            } => self.branch(self.small(from, position), (x, table, component), position),
            Hint::Feature { number, x } => {
                let number = self.small(number, position);
                self.feature(number, x, position)
            }
            Hint::Count => 0,
            Hint::Weighted { .. }
            | Hint::Rounded { .. }
            | Hint::Pair { .. }
            | Hint::Beyond { .. }
            | Hint::Farthest { .. }
            | Hint::Root { .. }
            | Hint::Seen { .. } => return self.of_two(hint, position),
        };
        F::from_i64(integer)
    }

    fn cell(&self, table: usize, key: &[F], component: usize) -> i64 {
        let entries = &self.circuit.tables[table].entries;
        let index = self.indices[table].find(entries, key);
        let row = index.and_then(|index| entries.row(index));
        row.and_then(|row| row.get(component).copied()).unwrap_or(0)
    }

    /// Signed feature `number`: `x[number]`, `−x[number − F]`, or 0.
    fn feature(&self, number: i64, x: Span, position: usize) -> i64 {
        let features = i64::from(x.len);
        let (index, sign) = if number < features {
            (number, 1)
        } else {
            (number - features, -1)
        };
        match u32::try_from(index) {
            Ok(index) if index < x.len => sign * self.slots.integer(x.start + index, position),
            _ => 0,
        }
    }

    fn branch(&self, state: i64, from: (Span, usize, usize), position: usize) -> i64 {
        let (x, table, component) = from;
        let Ok(node) = usize::try_from(state) else {
            // A leaf: nothing is compared, and it leads to itself.
            return [state, 2 * i64::from(x.len), 0, state][component.min(3)];
        };
        let entries = &self.circuit.tables[table].entries;
        let left = entries.row(2 * node).unwrap_or(&[0; 4]);
        let goes_left = self.feature(left[1], x, position) <= left[2];
        let row = if goes_left {
            Some(left)
        } else {
            entries.row(2 * node + 1)
        };
        row.map_or(0, |row| row[component])
    }
}
