//! Builds a circuit: slots, and the few kinds of constraints that every op is made of.
//!
//! [`Builder::range`] and its kin are where a value is held to be an integer of a range; `docs/spec/snark.md`, section 4, says for each op why that makes it the one
//! right value. It deliberately knows no op: those stand in `arithmetic.rs`, `select.rs` and `trees.rs`.

use std::collections::{BTreeMap, BTreeSet};

use credence_exact::{NodeId, Op, ParamId};
use credence_model::{Interval, NodeSpec};

use super::arithmetic::slots;
use super::error::CircuitError;
use super::expr::Expr;
use super::limits::{
    LEAVES_LOG_MAX, LIMB_BITS_MAX, LIMB_BITS_MIN, POSITIONS_MAX, SHOWN_LOOKUPS_MAX, SHOWN_RATIO,
    SLOTS_MAX,
};
use super::{
    Circuit, Entries, FIXED_SLOTS, Hint, Leaf, Public, Shown, Span, Table, is_proved_apart,
    log2_ceil,
};
use crate::known::Known;

/// What a fixed table is, so that equal ones are made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TableKey {
    /// `0 .. n`.
    Count(u32),
    /// Entries `from ..= to` of a parameter with their indices.
    Function { param: u32, from: usize, to: usize },
    /// Rows of a parameter with their indices.
    Rows { param: u32 },
    /// Steps through the nodes of trees.
    Steps {
        nodes: u32,
        roots: u32,
        features: u32,
    },
}

/// What is decided before a circuit is built.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    counting: bool,
    apart: bool,
    limb_bits: u32,
    shown: BTreeSet<TableKey>,
}

impl Plan {
    pub(super) const fn counting(apart: bool) -> Self {
        Self {
            counting: true,
            apart,
            limb_bits: 8,
            shown: BTreeSet::new(),
        }
    }
}

/// What the counting pass counts, for one position.
#[derive(Debug, Default)]
struct Demands {
    /// Range checks by bits.
    ranges: BTreeMap<u32, u64>,
    /// Checks of `0 .. n` for n that are no powers of two.
    exact: BTreeMap<u64, u64>,
    /// Lookups and rows of listed tables.
    lookups: BTreeMap<TableKey, (u64, u64)>,
}

pub(super) struct Builder<'a> {
    pub(super) model: &'a dyn Known,
    pub(super) circuit: Circuit,
    pub(super) node: String,
    plan: Plan,
    tables: BTreeMap<TableKey, usize>,
    demands: Demands,
    /// How many times over what is built is counted.
    times: u64,
    /// Most bytes of the circuit.
    bytes_max: u64,
}

pub(super) type Built<T> = Result<T, CircuitError>;

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Bits of the numbers `0 .. n`.
pub(super) fn bits_of(n: u64) -> u32 {
    u64::BITS.saturating_sub(n.saturating_sub(1).leading_zeros())
}

/// How a range of so many bits is cut: pairs of first bit and width.
fn limbs_of(bits: u32, limb_bits: u32) -> impl Iterator<Item = (u32, u32)> {
    let step = usize::try_from(limb_bits.max(1)).unwrap_or(1);
    (0..bits)
        .step_by(step)
        .map(move |low| (low, limb_bits.min(bits.saturating_sub(low))))
}

impl<'a> Builder<'a> {
    pub(super) fn new(model: &'a dyn Known, positions: usize, plan: Plan) -> Built<Self> {
        if model.program().language().is_some() {
            return Err(CircuitError::Language);
        }
        if positions == 0 || positions > POSITIONS_MAX {
            return Err(CircuitError::Size {
                what: "positions",
                max: POSITIONS_MAX,
                got: positions,
            });
        }
        let circuit = Circuit {
            positions,
            log_positions: log2_ceil(positions),
            limb_bits: plan.limb_bits,
            apart: plan.apart,
            slots: FIXED_SLOTS,
            ..Circuit::default()
        };
        Ok(Self {
            model,
            circuit,
            node: String::new(),
            plan,
            tables: BTreeMap::new(),
            demands: Demands::default(),
            times: 1,
            bytes_max: u64::MAX,
        })
    }

    /// Refuses to build more than so many bytes.
    pub(super) const fn of_bytes(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    fn check_bytes(&self) -> Built<()> {
        let got = self.circuit.memory_bytes();
        if got <= self.bytes_max {
            return Ok(());
        }
        Err(CircuitError::Memory {
            max: self.bytes_max,
            got,
        })
    }

    /// Decides from what was counted: the limb for which lookups and tables are fewest, and which tables are shown.
    pub(super) fn plan(&self) -> Plan {
        let width = u64::try_from(self.circuit.width()).unwrap_or(u64::MAX);
        let cost = |limb_bits: u32| {
            let mut widths = BTreeSet::new();
            let (mut lookups, mut rows) = (0_u64, 0_u64);
            let mut range = |bits: u32, count: u64| {
                for (_, width) in limbs_of(bits, limb_bits) {
                    widths.insert(width);
                    lookups = lookups.saturating_add(count);
                }
            };
            for (&bits, &count) in &self.demands.ranges {
                range(bits, count);
            }
            for (&n, &count) in &self.demands.exact {
                if bits_of(n) <= limb_bits {
                    lookups_once(&mut rows, n);
                    range(1, count);
                } else {
                    range(bits_of(n), count.saturating_mul(2));
                }
            }
            let tables = widths
                .into_iter()
                .map(|width| 1_u64.checked_shl(width).unwrap_or(u64::MAX));
            tables
                .fold(lookups.saturating_mul(width), u64::saturating_add)
                .saturating_add(rows)
        };
        let limb_bits = (LIMB_BITS_MIN..=LIMB_BITS_MAX)
            .min_by_key(|&bits| cost(bits))
            .unwrap_or(8);
        let shown = self.demands.lookups.iter().filter(|(_, (count, rows))| {
            let lookups = count.saturating_mul(width);
            lookups <= SHOWN_LOOKUPS_MAX && lookups.saturating_mul(SHOWN_RATIO) < *rows
        });
        Plan {
            counting: false,
            apart: self.plan.apart,
            limb_bits,
            shown: shown.map(|(&key, _)| key).collect(),
        }
    }

    /// The circuit, if it is not too large.
    pub(super) fn finish(self) -> Built<Circuit> {
        self.check_bytes()?;
        let circuit = self.circuit;
        let max = 1_usize.checked_shl(LEAVES_LOG_MAX).unwrap_or(0);
        for (what, log, got) in [
            (
                "committed values",
                circuit.witness_log(),
                circuit.witness_len(),
            ),
            ("lookups", circuit.leaves_log(), circuit.looked_up.len()),
        ] {
            if log > LEAVES_LOG_MAX {
                return Err(CircuitError::Size { what, max, got });
            }
        }
        Ok(circuit)
    }

    pub(super) fn absent<T>(&self, what: &'static str) -> Built<T> {
        Err(CircuitError::Absent {
            node: self.node.clone(),
            what,
        })
    }

    pub(super) fn wide(&self, bits: u32) -> CircuitError {
        CircuitError::Wide {
            node: self.node.clone(),
            bits,
        }
    }

    /// All nodes in order.
    pub(super) fn program(&mut self) -> Built<()> {
        let model = self.model;
        for (id, node, shape) in model.program().nodes() {
            self.node.clone_from(&node.name);
            self.one(id, node, shape.cells())?;
        }
        for output in &model.program().spec().outputs {
            let node = self.of(output.node)?;
            let cells: Vec<Expr> = slots(node).map(Expr::slot).collect();
            let public = self.public(&cells.iter().collect::<Vec<_>>())?;
            self.circuit.outputs.push(public);
        }
        Ok(())
    }

    fn one(&mut self, id: NodeId, node: &NodeSpec, cells: usize) -> Built<()> {
        if self.plan.apart && !is_proved_apart(&node.op) {
            return Err(CircuitError::Op {
                node: node.name.clone(),
                op: node.op.name(),
            });
        }
        let span = match &node.op {
            Op::Input(_) => {
                let span = self.slots(narrow(cells))?;
                self.circuit.inputs.push(span);
                span
            }
            Op::Linear(op) => self.linear(op, cells)?,
            Op::Conv(op) => self.conv(op, id)?,
            Op::Rescale(op) => self.rescale(op)?,
            Op::Add(op) => self.add(op)?,
            Op::Table(op) => self.table(op)?,
            Op::MaxPool(op) => self.max_pool(op, id)?,
            Op::SumPool(op) => self.sum_pool(op, id)?,
            Op::Reindex(op) => self.reindex(op, id)?,
            Op::Concat(op) => self.concat(op, id)?,
            Op::Softmax(op) => self.softmax(op)?,
            Op::ArgMax(op) => self.arg_max(op, cells)?,
            Op::TreeLeaves(op) => self.tree_leaves(op, cells)?,
            Op::GatherSum(op) => self.gather_sum(op, cells)?,
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
            | Op::Hadamard(_) => {
                return Err(CircuitError::Op {
                    node: node.name.clone(),
                    op: node.op.name(),
                });
            }
        };
        self.circuit.nodes.push(span);
        Ok(())
    }

    /// The slots of a node before this one.
    pub(super) fn of(&self, node: NodeId) -> Built<Span> {
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        match self.circuit.nodes.get(at) {
            Some(&span) => Ok(span),
            None => self.absent("an operand"),
        }
    }

    /// What a node's cells can be.
    pub(super) fn interval(&self, node: NodeId) -> Built<Interval> {
        match self.model.bounds(node) {
            Some(interval) => Ok(interval),
            None => self.absent("bounds"),
        }
    }

    /// A parameter's entries.
    pub(super) fn entries(&self, param: ParamId) -> Built<Vec<i64>> {
        match self.model.param(param) {
            Some(view) => Ok(view.values().collect()),
            None => self.absent("a parameter"),
        }
    }

    /// New slots, of no kind yet.
    pub(super) fn slots(&mut self, len: u32) -> Built<Span> {
        let start = self.circuit.slots;
        let end = start.checked_add(len);
        let fits = end.filter(|&end| {
            usize::try_from(end).is_ok_and(|end| {
                end <= SLOTS_MAX && self.circuit.looked_up.terms.len() <= SLOTS_MAX
            })
        });
        let Some(end) = fits else {
            return Err(CircuitError::Size {
                what: "values of one position",
                max: SLOTS_MAX,
                got: usize::try_from(start).unwrap_or(usize::MAX),
            });
        };
        self.circuit.slots = end;
        self.check_bytes()?;
        Ok(Span { start, len })
    }

    /// New committed slots that the engine computes.
    pub(super) fn committed(&mut self, len: u32) -> Built<Span> {
        let span = self.slots(len)?;
        if !self.plan.counting {
            let slots = (span.start..).take(span.range().len());
            self.circuit.committed.extend(slots);
        }
        Ok(span)
    }

    /// A new committed slot, and how it is filled.
    pub(super) fn aux(&mut self, hint: Hint) -> Built<u32> {
        let slot = self.committed(1)?.start;
        self.hint(slot, hint);
        Ok(slot)
    }

    /// How a slot is filled that the engine does not compute.
    pub(super) fn hint(&mut self, slot: u32, hint: Hint) {
        if !self.plan.counting {
            self.circuit.hints.push((slot, hint));
        }
    }

    /// A row for hints.
    pub(super) fn hint_row(&mut self, expr: &Expr) -> usize {
        let row = self.circuit.hint_rows.len();
        if !self.plan.counting {
            self.circuit.hint_rows.push(expr.terms(0));
        }
        row
    }

    /// `a·b = c`.
    pub(super) fn gate(&mut self, a: &Expr, b: &Expr, c: &Expr) {
        if !self.plan.counting {
            self.circuit.gates.a.push(a.terms(0));
            self.circuit.gates.b.push(b.terms(0));
            self.circuit.gates.c.push(c.terms(0));
        }
    }

    /// `expr = 0`.
    pub(super) fn zero(&mut self, expr: &Expr) {
        if !self.plan.counting {
            self.circuit.zeros.push(expr.terms(0));
        }
    }

    /// The table of this key, if it is there already.
    pub(super) fn known(&self, key: &TableKey) -> Option<usize> {
        self.tables.get(key).copied()
    }

    /// The table of this key, made by `entries` if it is new.
    pub(super) fn fixed(&mut self, key: TableKey, entries: impl FnOnce() -> Entries) -> usize {
        if let Some(&table) = self.tables.get(&key) {
            return table;
        }
        let table = self.circuit.tables.len();
        let shown = self.plan.shown.contains(&key);
        let entries = entries();
        if matches!(entries, Entries::Listed { .. }) {
            let rows = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            self.demands.lookups.insert(key, (0, rows));
        }
        self.circuit.tables.push(Table { entries, shown });
        self.tables.insert(key, table);
        table
    }

    /// Holds the tuple to be a row of the table of this key.
    pub(super) fn look_up(&mut self, key: TableKey, table: usize, tuple: &[&Expr]) -> Built<()> {
        if let Some((count, _)) = self.demands.lookups.get_mut(&key) {
            *count = count.saturating_add(self.times);
        }
        if self.plan.counting {
            return Ok(());
        }
        if self.plan.shown.contains(&key) {
            let public = self.public(tuple)?;
            self.circuit.shown.push(Shown { table, public });
            return Ok(());
        }
        let number = i64::try_from(table).unwrap_or(i64::MAX).saturating_add(1);
        self.leaf(Leaf::Fixed { table }, number, tuple);
        Ok(())
    }

    /// New public slots, held to equal these.
    fn public(&mut self, values: &[&Expr]) -> Built<Public> {
        let first = self.circuit.zeros.len();
        let slots = self.slots(narrow(values.len()))?;
        for (value, slot) in values.iter().zip((slots.start..).take(values.len())) {
            self.zero(&(*value).clone().and(slot, -1));
        }
        Ok(Public { slots, first })
    }

    /// A row of the lookup argument: the table's number, then the tuple.
    pub(super) fn leaf(&mut self, leaf: Leaf, number: i64, tuple: &[&Expr]) {
        if self.plan.counting {
            return;
        }
        let number = Expr::constant(number);
        let components = core::iter::once(&number).chain(tuple.iter().copied());
        let terms = components
            .zip(0_u8..)
            .flat_map(|(component, power)| component.terms(power));
        self.circuit.looked_up.push(terms);
        self.circuit.leaves.push(leaf);
    }

    fn count_table(&mut self, expr: &Expr, n: u32) -> Built<()> {
        let key = TableKey::Count(n);
        let table = self.fixed(key, || Entries::Count(n));
        self.look_up(key, table, &[expr])
    }

    fn power_table(&mut self, expr: &Expr, width: u32) -> Built<()> {
        let n = 1_u32.checked_shl(width).ok_or_else(|| self.wide(width))?;
        self.count_table(expr, n)
    }

    /// Whether this is the pass that only counts.
    pub(super) const fn is_counting(&self) -> bool {
        self.plan.counting
    }

    /// Counts what is built next so many times over, in the pass that counts.
    pub(super) const fn count_as(&mut self, times: u64) {
        self.times = times;
    }

    /// Counts so many range checks of so many bits.
    pub(super) fn demand(&mut self, bits: u32, checks: u64) {
        let count = self.demands.ranges.entry(bits).or_insert(0);
        *count = count.saturating_add(checks.saturating_mul(self.times));
    }

    /// Holds `expr` to be in `0 .. 2^bits`. `hint` is a row with the same low bits, if there is a shorter one.
    pub(super) fn range(&mut self, expr: &Expr, bits: u32, hint: Option<usize>) -> Built<()> {
        if bits > 62 {
            return Err(self.wide(bits));
        }
        if bits == 0 {
            self.zero(expr);
            return Ok(());
        }
        self.demand(bits, 1);
        if self.plan.counting {
            return Ok(());
        }
        let mut limbs = limbs_of(bits, self.plan.limb_bits);
        let Some((_, lowest)) = limbs.next() else {
            return Ok(());
        };
        let mut rest = expr.clone();
        let mut of = hint;
        for (low, width) in limbs {
            let of = *of.get_or_insert_with(|| self.hint_row(expr));
            let limb = self.aux(Hint::Bits { of, low, width })?;
            self.power_table(&Expr::slot(limb), width)?;
            rest = rest.and(limb, power(low).saturating_neg());
        }
        self.power_table(&rest, lowest)
    }

    /// Holds `expr` to be in `0 .. n`, and in no larger range.
    pub(super) fn range_exact(&mut self, expr: &Expr, n: u64) -> Built<()> {
        let bits = bits_of(n);
        if n.is_power_of_two() {
            return self.range(expr, bits, None);
        }
        if self.plan.counting {
            let count = self.demands.exact.entry(n).or_insert(0);
            *count = count.saturating_add(self.times);
            return Ok(());
        }
        if bits <= self.plan.limb_bits {
            return self.count_table(expr, u32::try_from(n).unwrap_or(u32::MAX));
        }
        let last = i64::try_from(n.saturating_sub(1)).map_err(|_| self.wide(bits))?;
        self.range(expr, bits, None)?;
        let other = Expr::constant(last).and_times(expr, -1);
        let other = other.ok_or_else(|| self.wide(bits))?;
        self.range(&other, bits, None)
    }

    /// A new committed value in `0 .. 2^bits`, in limbs that `hint` fills.
    pub(super) fn fresh(&mut self, bits: u32, hint: impl Fn(u32, u32) -> Hint) -> Built<Expr> {
        self.demand(bits, 1);
        let mut value = Expr::default();
        if self.plan.counting {
            return Ok(value);
        }
        for (low, width) in limbs_of(bits, self.plan.limb_bits) {
            let limb = self.aux(hint(low, width))?;
            self.power_table(&Expr::slot(limb), width)?;
            value = value.and(limb, power(low));
        }
        Ok(value)
    }
}

/// 2 to the `low`, of a limb's place below bit 62.
fn power(low: u32) -> i64 {
    1_i64.checked_shl(low).unwrap_or(0)
}

/// Counts a table's rows.
fn lookups_once(rows: &mut u64, n: u64) {
    *rows = rows.saturating_add(n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_hold_all_numbers_below() {
        let cases = [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (255, 8),
            (256, 8),
            (257, 9),
            (u64::MAX, 64),
        ];
        for (n, bits) in cases {
            assert_eq!(bits_of(n), bits, "{n}");
        }
    }

    #[test]
    fn limbs_cover_a_range_once() {
        for bits in 0..63 {
            for limb_bits in LIMB_BITS_MIN..=LIMB_BITS_MAX {
                let mut next = 0;
                for (low, width) in limbs_of(bits, limb_bits) {
                    assert_eq!(low, next);
                    assert!((1..=limb_bits).contains(&width));
                    next = low + width;
                }
                assert_eq!(next, bits);
            }
        }
    }
}
