//! Walks through decision trees, and sums of table rows, as constraints (`docs/spec/snark.md`, section 4.8).
//!
//! A walk is a state for each comparison: the node, or the leaf once it is reached. A fixed table holds two rows for each node, one for each child: the state, a
//! *signed feature*, a limit, and the next state. Signed feature f is `x[f]`, F + f is `−x[f]`, and 2F is 0; they stand in a table of the run's own values. A row is
//! the right one if and only if its feature does not exceed its limit: `x[f] ≤ θ` to the left, `−x[f] ≤ −θ − 1` to the right. A leaf leads to itself.

use std::collections::BTreeSet;

use credence_exact::{GatherSum, TreeLeaves};

use super::arithmetic::{count, slots};
use super::builder::{Builder, Built, TableKey, bits_of};
use super::error::CircuitError;
use super::expr::Expr;
use super::{Entries, Hint, Leaf, ONE, POSITION, Span};

/// Own tables are numbered from here, so that they are none of the fixed ones.
const OWN_TABLES: i64 = 1 << 32;

/// Most columns of a table whose rows are gathered: a tuple's components are counted in a byte.
const COLUMNS_MAX: usize = 253;

/// What all walks of one op share.
struct Forest {
    x: Span,
    key: TableKey,
    table: usize,
    /// Number of the table of features, and the slots in which its rows are counted.
    own: i64,
    counts: Span,
    /// Bits of a limit minus a feature.
    bits: u32,
}

impl Builder<'_> {
    pub(super) fn tree_leaves(&mut self, op: &TreeLeaves, cells: usize) -> Built<Span> {
        let x = self.of(op.x)?;
        let nodes = self.entries(op.nodes)?;
        let roots = self.entries(op.roots)?;
        let features = i64::from(x.len);
        let limits = nodes
            .chunks_exact(4)
            .filter_map(|node| node.get(1))
            .copied();
        let (least, most) = limits.fold((0, 0), |(low, high): (i64, i64), limit| {
            (low.min(limit), high.max(limit))
        });
        let interval = self.interval(op.x)?;
        let left = i128::from(most).saturating_sub(interval.min.into());
        let right = i128::from(interval.max).saturating_sub(least.into());
        let all = count(0, left.max(right).max(0)).ok_or_else(|| self.wide(64))?;
        let key = TableKey::Steps {
            nodes: op.nodes.0,
            roots: op.roots.0,
            features: x.len,
        };
        let cells_of = steps(&nodes, &roots, features);
        let table = self.fixed(key, || Entries::Listed {
            width: 4,
            cells: cells_of,
        });
        let (own, counts) = self.features(x, features)?;
        let forest = Forest {
            x,
            key,
            table,
            own,
            counts,
            bits: bits_of(all),
        };
        let leaves = self.slots(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let mut rows = Vec::with_capacity(cells);
        for &root in &roots {
            let mut state = Expr::constant(root);
            for _ in 0..op.depth {
                state = self.step(&forest, &state)?;
            }
            let leaf = Expr::constant(-1).and_times(&state, -1);
            rows.push(leaf.ok_or_else(|| self.wide(64)));
        }
        self.derive(leaves, rows.into_iter())?;
        Ok(leaves)
    }

    /// A table of this run's own: signed features, apart for each position.
    fn features(&mut self, x: Span, features: i64) -> Built<(i64, Span)> {
        let own = i64::from(self.circuit.slots).saturating_add(OWN_TABLES);
        let rows = x.len.saturating_mul(2).saturating_add(1);
        let mut counts = Vec::new();
        for _ in 0..rows {
            counts.push(self.aux(Hint::Count)?);
        }
        let Some(&start) = counts.first() else {
            return self.absent("a feature");
        };
        let values = slots(x)
            .map(Expr::slot)
            .chain(slots(x).map(|x| Expr::default().and(x, -1)))
            .chain([Expr::default()]);
        let last = features.saturating_mul(2);
        for ((number, value), count) in (0..=last).zip(values).zip(counts) {
            let tuple = [&Expr::constant(number), &value, &Expr::slot(POSITION)];
            self.leaf(Leaf::Counted { count }, own, &tuple);
        }
        Ok((own, Span { start, len: rows }))
    }

    fn step(&mut self, forest: &Forest, state: &Expr) -> Built<Expr> {
        let from = self.hint_row(state);
        let branch = |component| Hint::Branch {
            from,
            x: forest.x,
            table: forest.table,
            component,
        };
        let number = self.aux(branch(1))?;
        let limit = self.aux(branch(2))?;
        let next = Expr::slot(self.aux(branch(3))?);
        let row = self.hint_row(&Expr::slot(number));
        let feature = self.aux(Hint::Feature {
            number: row,
            x: forest.x,
        })?;
        let number = Expr::slot(number);
        let tuple = [state, &number, &Expr::slot(limit), &next];
        self.look_up(forest.key, forest.table, &tuple)?;
        let own = [&number, &Expr::slot(feature), &Expr::slot(POSITION)];
        let counts = forest.counts;
        self.leaf(Leaf::Own { counts }, forest.own, &own);
        self.range(&Expr::slot(limit).and(feature, -1), forest.bits, None)?;
        Ok(next)
    }

    pub(super) fn gather_sum(&mut self, op: &GatherSum, cells: usize) -> Built<Span> {
        let x = self.of(op.x)?;
        let entries = self.entries(op.table)?;
        let bias = match op.bias {
            Some(bias) => self.entries(bias)?,
            None => Vec::new(),
        };
        let key = TableKey::Rows { param: op.table.0 };
        let width = cells.saturating_add(1);
        if cells > COLUMNS_MAX {
            return Err(CircuitError::Size {
                what: "columns of a gathered table",
                max: COLUMNS_MAX,
                got: cells,
            });
        }
        let rows = (0_i64..).zip(entries.chunks_exact(cells.max(1)));
        let listed =
            rows.flat_map(|(index, row)| core::iter::once(index).chain(row.iter().copied()));
        let listed = listed.collect();
        let table = self.fixed(key, || Entries::Listed {
            width,
            cells: listed,
        });
        let bias = bias.into_iter().chain(core::iter::repeat(0));
        let mut sums: Vec<Expr> = bias
            .take(cells)
            .map(|bias| Expr::default().and(ONE, bias))
            .collect();
        for x in slots(x) {
            let entry = Expr::slot(x);
            let of = self.hint_row(&entry);
            let mut row = vec![entry];
            for (sum, component) in sums.iter_mut().zip(1_usize..) {
                let cell = self.aux(Hint::Entry {
                    key: of,
                    table,
                    component,
                })?;
                *sum = core::mem::take(sum).and(cell, 1);
                row.push(Expr::slot(cell));
            }
            let tuple: Vec<&Expr> = row.iter().collect();
            self.look_up(key, table, &tuple)?;
        }
        self.sparse(cells, sums.into_iter().map(Ok))
    }
}

/// The rows of the table of steps: for node n rows 2n and 2n + 1, then one for each leaf that is named.
fn steps(nodes: &[i64], roots: &[i64], features: i64) -> Vec<i64> {
    let mut cells = Vec::new();
    let mut leaves = BTreeSet::new();
    for (state, node) in (0_i64..).zip(nodes.chunks_exact(4)) {
        let &[feature, limit, left, right] = node else {
            continue;
        };
        cells.extend([state, feature, limit, left]);
        let opposite = features.saturating_add(feature);
        // −θ − 1
        let above = limit.saturating_neg().saturating_sub(1);
        cells.extend([state, opposite, above, right]);
        leaves.extend([left, right]);
    }
    leaves.extend(roots);
    let nothing = features.saturating_mul(2);
    for leaf in leaves.into_iter().filter(|&leaf| leaf < 0) {
        cells.extend([leaf, nothing, 0, leaf]);
    }
    cells
}
