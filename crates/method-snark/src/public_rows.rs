//! Public nodes that are no inputs: rows of tables that public numbers name. The verifier reads them itself, for no more than they cost to run.
//!
//! ```text
//! cells of inputs, or tokens ─▶ cells of all public nodes, in the order of `Circuit::inputs`
//! ```
//!
//! It deliberately evaluates nothing else: what a verifier would have to run, it is shown a proof of.

use credence_exact::{Embed, NodeId, Op, ParamId, clamp, rescale};

use crate::circuit::{Circuit, POSITION};
use crate::known::Known;

/// Why public nodes have no cells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Not as many inputs as the program has, or other lengths.
    #[error("the inputs are not those of this model and number of positions")]
    Inputs,
    /// A number that names no row.
    #[error("node `{node}` is asked for row {got}, which its table does not have")]
    Row {
        /// The node.
        node: String,
        /// The row.
        got: i64,
    },
}

/// The cells of all public nodes, from those that are given: of inputs, or the tokens.
///
/// # Errors
/// [`RowsError`].
pub fn cells(
    model: &dyn Known,
    circuit: &Circuit,
    given: Vec<Vec<i64>>,
) -> Result<Vec<Vec<i64>>, RowsError> {
    let mut given = given.into_iter();
    let mut known = circuit.known.iter().peekable();
    let mut all: Vec<Vec<i64>> = Vec::with_capacity(circuit.inputs.len());
    for (index, span) in circuit.inputs.iter().enumerate() {
        let own = known.next_if(|(input, _)| *input == index);
        let cells = match own {
            Some((_, node)) => computed(model, circuit, *node, &all)?,
            None => given.next().ok_or(RowsError::Inputs)?,
        };
        let expected = span.range().len().checked_mul(circuit.positions);
        if expected != Some(cells.len()) {
            return Err(RowsError::Inputs);
        }
        all.push(cells);
    }
    match given.next() {
        None => Ok(all),
        Some(_) => Err(RowsError::Inputs),
    }
}

fn computed(
    model: &dyn Known,
    circuit: &Circuit,
    id: NodeId,
    before: &[Vec<i64>],
) -> Result<Vec<i64>, RowsError> {
    let node = model.program().node(id).ok_or(RowsError::Inputs)?;
    let (x, table, scaled) = if let Op::Gather(op) = &node.op {
        (op.x, op.table, None)
    } else if let Op::Embed(op) = &node.op {
        (op.x, op.table, Some(op))
    } else {
        return Err(RowsError::Inputs);
    };
    let at = usize::try_from(x.0).unwrap_or(usize::MAX);
    let span = circuit.nodes.get(at).ok_or(RowsError::Inputs)?;
    let positions: Vec<i64>;
    let numbers = if span.start == POSITION {
        positions = (0_i64..).take(circuit.positions).collect();
        &positions
    } else {
        let index = circuit.inputs.iter().position(|own| own == span);
        let cells = index.and_then(|index| before.get(index));
        cells.ok_or(RowsError::Inputs)?
    };
    let mut cells = Vec::new();
    for &number in numbers {
        let row = row(model, table, scaled, number);
        cells.extend(row.ok_or_else(|| RowsError::Row {
            node: node.name.clone(),
            got: number,
        })?);
    }
    Ok(cells)
}

fn row(model: &dyn Known, table: ParamId, scaled: Option<&Embed>, number: i64) -> Option<Vec<i64>> {
    let view = model.param(table)?;
    let width = view.shape().last();
    let index = usize::try_from(number).ok()?;
    let first = index.checked_mul(width)?;
    let cells = (first..).take(width).map(|at| view.get(at));
    let cells: Vec<i64> = cells.collect::<Option<_>>()?;
    let Some(op) = scaled else {
        return Some(cells);
    };
    let multiplier = model.param(op.multiplier)?.get(index)?;
    let scaled = cells.into_iter().map(|cell| {
        let product = cell.checked_mul(multiplier)?;
        Some(clamp(rescale(product, op.shift).ok()?, op.min, op.max))
    });
    scaled.collect()
}
