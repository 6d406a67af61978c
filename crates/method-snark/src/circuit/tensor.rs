//! Rows by number as constraints, and nodes that the verifier computes itself (`docs/spec/snark.md`, section 4.13).
//!
//! Rows that public numbers name are public. Others are looked up, in parts of some columns. It deliberately evaluates no row: `crate::public_rows` does.

use credence_exact::{Gather, NodeId};

use super::arithmetic::slots;
use super::builder::{Builder, Built, TableKey};
use super::expr::Expr;
use super::{Entries, POSITION, Span};

/// Columns of a table that are looked up together.
const COLUMNS_TOGETHER: usize = 64;

impl Builder<'_> {
    /// Whether a node's cells are public numbers.
    pub(super) fn is_known(&self, node: NodeId) -> Built<bool> {
        let span = self.of(node)?;
        Ok(span.start == POSITION || self.circuit.inputs.contains(&span))
    }

    /// A node that the verifier computes from public ones.
    pub(super) fn known_node(&mut self, id: NodeId) -> Built<Span> {
        let shape = self.model.program().shape(id);
        let Some(cells) = shape.map(credence_exact::Shape::cells) else {
            return self.absent("a shape");
        };
        let span = self.slots(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let input = self.circuit.inputs.len();
        self.circuit.known.push((input, id));
        self.circuit.inputs.push(span);
        Ok(span)
    }

    pub(super) fn gather(&mut self, op: &Gather, id: NodeId) -> Built<Span> {
        if self.is_known(op.x)? {
            return self.known_node(id);
        }
        let x = self.of(op.x)?;
        let entries = self.entries(op.table)?;
        let shape = self.model.program().param_shape(op.table);
        let width = shape.map_or(1, credence_exact::Shape::last).max(1);
        let cells = x.range().len().saturating_mul(width);
        let y = self.committed(u32::try_from(cells).unwrap_or(u32::MAX))?;
        let ys: Vec<u32> = slots(y).collect();
        for from in (0..width).step_by(COLUMNS_TOGETHER) {
            let to = from.saturating_add(COLUMNS_TOGETHER).min(width);
            let key = TableKey::Part {
                param: op.table.0,
                from,
                to,
            };
            let table = self.fixed(key, || part(&entries, width, (from, to)));
            for (x, row) in slots(x).zip(ys.chunks(width)) {
                let cells = row.get(from..to).unwrap_or_default();
                let tuple = core::iter::once(&x).chain(cells);
                let tuple: Vec<Expr> = tuple.map(|&slot| Expr::slot(slot)).collect();
                self.look_up(key, table, &tuple.iter().collect::<Vec<_>>())?;
            }
        }
        Ok(y)
    }
}

/// Some columns of all rows, with the rows' numbers.
fn part(entries: &[i64], width: usize, (from, to): (usize, usize)) -> Entries {
    let mut cells = Vec::new();
    for (row, number) in entries.chunks_exact(width.max(1)).zip(0_i64..) {
        cells.push(number);
        cells.extend(row.get(from..to).unwrap_or_default());
    }
    let width = to.saturating_sub(from).saturating_add(1);
    Entries::Listed { width, cells }
}
