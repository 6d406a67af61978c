//! The cell relation: which integer stands in one cell of a node, given the cells and parameters that determine it
//! (`docs/spec/arithmetic.md`, sections 5 and 6; one function below for each of its paragraphs).
//!
//! Written for being read beside the specification, not for speed. It trusts nothing: whatever a [`Context`] answers, the result is
//! an integer or an error, and no arithmetic wraps. So it serves the reference engine (which asks for every cell), and
//! whoever checks one opened cell with values a stranger sent.

mod language;
mod tensor;

use crate::shape::window_cells;
use crate::{
    ACCUMULATOR_LIMIT, Add, Concat, Conv, DtypeError, GatherSum, Linear, MaxPool, NodeId, Op,
    ParamId, Reindex, Rescale, RescaleError, Shape, ShapeError, Sight, Softmax, SumPool, Table,
    TreeLeaves, Window, clamp, rescale,
};

/// Why a cell has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// A cell or parameter entry that does not exist, or that the context does not hold.
    #[error("{what} has no cell {index}")]
    Absent {
        /// The operand or parameter.
        what: &'static str,
        /// Its flat index.
        index: usize,
    },
    /// The operand's shape is not one the op takes.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A sum left the range in which rescaling is defined.
    #[error(transparent)]
    Rescale(#[from] RescaleError),
    /// A value left its declared type.
    #[error(transparent)]
    Dtype(#[from] DtypeError),
    /// An accumulator reached 2³¹.
    #[error("accumulator {got} reaches 2^31")]
    Accumulator {
        /// The sum.
        got: i64,
    },
    /// A parameter breaks what the op asks of it.
    #[error("{what} may not be {got}")]
    Parameter {
        /// Which parameter.
        what: &'static str,
        /// The offending entry.
        got: i64,
    },
    /// A tree's path is longer than its op allows.
    #[error("a tree path has more than {depth} comparisons")]
    Depth {
        /// The declared depth.
        depth: u32,
    },
}

/// What the relation reads. Indices are flat and row-major.
pub trait Context {
    /// Shape of a node.
    fn shape(&self, node: NodeId) -> Result<&Shape, CellError>;
    /// Shape of a parameter.
    fn param_shape(&self, param: ParamId) -> Result<&Shape, CellError>;
    /// A cell of a node.
    fn value(&mut self, node: NodeId, index: usize) -> Result<i64, CellError>;
    /// An entry of a parameter.
    fn param(&mut self, param: ParamId, index: usize) -> Result<i64, CellError>;
    /// An element of one of the program's inputs, already encoded.
    fn input(&mut self, input: u32, index: usize) -> Result<i64, CellError>;
    /// Language models: the number of this position.
    fn position(&self) -> Result<usize, CellError> {
        Err(NO_TOKENS)
    }
    /// Language models: the id of the token at this position.
    fn token(&mut self) -> Result<i64, CellError> {
        Err(NO_TOKENS)
    }
    /// Language models: a cell of a node at a position that this one sees.
    fn past(&mut self, node: NodeId, position: usize, index: usize) -> Result<i64, CellError> {
        let (_, _) = (node, position);
        Err(CellError::Absent {
            what: "the past",
            index,
        })
    }
    /// Encoders: the number of positions of the run.
    fn positions(&self) -> Result<usize, CellError> {
        Err(NO_TOKENS)
    }
    /// Language models: what a position sees by a [`Scores`](crate::Scores) node.
    fn sight(&self, scores: NodeId) -> Result<Sight, CellError> {
        let _ = scores;
        Err(NO_TOKENS)
    }
}

/// What a program of positions that do not see each other answers.
const NO_TOKENS: CellError = CellError::Absent {
    what: "a program without tokens",
    index: 0,
};

/// The value of cell `index` of the node with this op and shape.
///
/// # Errors
/// [`CellError`] if something read is absent or out of its range. A checked program on encoded inputs gives none.
pub fn evaluate(
    op: &Op,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    if index >= shape.cells() {
        return Err(CellError::Absent {
            what: op.name(),
            index,
        });
    }
    match op {
        Op::Input(op) => cx.input(op.index, index),
        Op::Linear(op) => linear(op, index, cx),
        Op::Conv(op) => conv(op, shape, index, cx),
        Op::Rescale(op) => rescale_cell(op, index, cx),
        Op::Add(op) => add(op, index, cx),
        Op::Table(op) => table(op, index, cx),
        Op::MaxPool(op) => max_pool(op, shape, index, cx),
        Op::SumPool(op) => sum_pool(op, shape, index, cx),
        Op::Reindex(op) => reindex(op, shape, index, cx),
        Op::Concat(op) => concat(op, shape, index, cx),
        Op::Softmax(op) => softmax(op, index, cx),
        Op::ArgMax(op) => {
            let length = cx.shape(op.x)?.last();
            arg_max(op.x, index, length, cx)
        }
        Op::TreeLeaves(op) => tree_leaf(op, index, cx),
        Op::GatherSum(op) => gather_sum(op, index, cx),
        Op::Token(_) => cx.token(),
        Op::Position(_) => language::position(cx),
        Op::Embed(op) => language::embed(op, index, cx),
        Op::MaxAbs(op) => language::max_abs(op.x, index, cx),
        Op::Quantise(op) => language::quantise(op, index, cx),
        Op::RmsRatio(op) => language::rms_ratio(op, index, cx),
        Op::Mul(op) => language::mul(op, index, cx),
        Op::Rope(op) => language::rope(op, index, cx),
        Op::Scores(op) => language::scores(op, shape, index, cx),
        Op::Attend(op) => language::attend(op, shape, index, cx),
        Op::Hadamard(op) => language::hadamard(op, index, cx),
        Op::Gather(op) => tensor::gather(op, index, cx),
        Op::MatMul(op) => tensor::mat_mul(op, index, cx),
        Op::Divide(op) => tensor::divide(op, index, cx),
    }
}

fn accumulate(sum: i64, a: i64, b: i64) -> Result<i64, CellError> {
    let product = i128::from(a) * i128::from(b);
    i64::try_from(i128::from(sum) + product).map_err(|_| CellError::Accumulator { got: sum })
}

fn accumulator(sum: i64) -> Result<i64, CellError> {
    if sum.unsigned_abs() < ACCUMULATOR_LIMIT.unsigned_abs() {
        Ok(sum)
    } else {
        Err(CellError::Accumulator { got: sum })
    }
}

fn bias(bias: Option<ParamId>, at: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    bias.map_or(Ok(0), |bias| cx.param(bias, at))
}

fn linear(op: &Linear, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let columns = cx.param_shape(op.weight)?.last();
    let rows = cx.param_shape(op.weight)?.cells() / columns;
    let (vector, row) = (index / rows, index % rows);
    let mut sum = bias(op.bias, row, cx)?;
    for k in 0..columns {
        sum = accumulate(
            sum,
            cx.param(op.weight, row * columns + k)?,
            cx.value(op.x, vector * columns + k)?,
        )?;
    }
    accumulator(sum)
}

/// Splits a flat index of an `[H, W, C]` value.
fn split3(shape: &Shape, index: usize) -> Result<[usize; 3], CellError> {
    let [_, width, channels] = shape.image()?;
    Ok([
        index / channels / width,
        index / channels % width,
        index % channels,
    ])
}

fn conv(op: &Conv, shape: &Shape, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let [i, j, out] = split3(shape, index)?;
    let [height, width, channels] = cx.shape(op.x)?.image()?;
    let depth = cx.param_shape(op.weight)?.last();
    let [kernel_height, kernel_width] = op
        .window
        .kernel
        .map(|k| usize::try_from(k).unwrap_or(usize::MAX));
    let group = out * (channels / depth) / shape.last();
    let mut sum = bias(op.bias, out, cx)?;
    for (u, row) in window_cells(op.window, 0, i, height) {
        for (v, column) in window_cells(op.window, 1, j, width) {
            for c in 0..depth {
                let weight = cx.param(
                    op.weight,
                    ((out * kernel_height + u) * kernel_width + v) * depth + c,
                )?;
                sum = accumulate(
                    sum,
                    weight,
                    cx.value(op.x, (row * width + column) * channels + group * depth + c)?,
                )?;
            }
        }
    }
    accumulator(sum)
}

fn rescale_cell(op: &Rescale, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let multipliers = cx.param_shape(op.multiplier)?.cells();
    let multiplier = cx.param(
        op.multiplier,
        if multipliers == 1 {
            0
        } else {
            index % multipliers
        },
    )?;
    if multiplier < 0 {
        return Err(CellError::Parameter {
            what: "multiplier",
            got: multiplier,
        });
    }
    let product = accumulate(0, cx.value(op.x, index)?, multiplier)?;
    Ok(clamp(rescale(product, op.shift)?, op.min, op.max))
}

fn add(op: &Add, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let sign = if op.negate_b { -1 } else { 1 };
    let sum = accumulate(0, cx.value(op.a, index)?, op.a_multiplier.get())?;
    let sum = accumulate(sum, cx.value(op.b, index)?, sign * op.b_multiplier.get())?;
    Ok(clamp(rescale(sum, op.shift)?, op.min, op.max))
}

fn table(op: &Table, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let x = cx.value(op.x, index)?;
    let entry = usize::try_from(x.saturating_sub(i64::from(op.base)));
    cx.param(
        op.table,
        entry.map_err(|_| CellError::Parameter {
            what: "operand of the table",
            got: x,
        })?,
    )
}

/// The operand's cells in the window of cell `index`.
fn window(
    x: NodeId,
    window: Window,
    shape: &Shape,
    index: usize,
    cx: &impl Context,
) -> Result<Vec<usize>, CellError> {
    let [i, j, channel] = split3(shape, index)?;
    let [height, width, channels] = cx.shape(x)?.image()?;
    let rows = window_cells(window, 0, i, height);
    Ok(rows
        .flat_map(|(_, row)| {
            window_cells(window, 1, j, width)
                .map(move |(_, column)| (row * width + column) * channels + channel)
        })
        .collect())
}

fn max_pool(
    op: &MaxPool,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let mut max = None;
    for at in window(op.x, op.window, shape, index, cx)? {
        let value = cx.value(op.x, at)?;
        max = Some(max.map_or(value, |max: i64| max.max(value)));
    }
    max.ok_or(CellError::Absent {
        what: "the window",
        index,
    })
}

fn sum_pool(
    op: &SumPool,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let mut sum = 0;
    for at in window(op.x, op.window, shape, index, cx)? {
        sum = accumulate(sum, cx.value(op.x, at)?, 1)?;
    }
    accumulator(sum)
}

fn reindex(
    op: &Reindex,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let mut at = i64::from(op.offset);
    let mut rest = index;
    for (&dim, &stride) in shape.dims().iter().zip(&op.strides).rev() {
        let step = i64::try_from(rest % dim).unwrap_or(i64::MAX);
        at = accumulate(at, step, i64::from(stride))?;
        rest /= dim;
    }
    cx.value(
        op.x,
        usize::try_from(at).map_err(|_| CellError::Absent {
            what: "the operand of a reindex",
            index,
        })?,
    )
}

fn concat(
    op: &Concat,
    shape: &Shape,
    index: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let axis = usize::try_from(op.axis).unwrap_or(usize::MAX);
    let inner: usize = shape.dims().iter().skip(axis.saturating_add(1)).product();
    let dim = shape.dims().get(axis).copied().unwrap_or(1);
    let (outer, mut along, inside) = (index / inner / dim, index / inner % dim, index % inner);
    for &x in &op.xs {
        let part = cx.shape(x)?.dims().get(axis).copied().unwrap_or(1);
        if along < part {
            return cx.value(x, (outer * part + along) * inner + inside);
        }
        along -= part;
    }
    Err(CellError::Absent {
        what: "the operands of a concat",
        index,
    })
}

fn softmax(op: &Softmax, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let length = cx.shape(op.x)?.last();
    let first = index / length * length;
    let row = (first..first + length)
        .map(|at| cx.value(op.x, at))
        .collect::<Result<Vec<i64>, _>>()?;
    let max = row.iter().copied().max().unwrap_or(0);
    let last_entry = cx.param_shape(op.exp)?.cells() - 1;
    let (mut sum, mut own) = (0_i64, 0_i64);
    for (at, x) in (first..).zip(row) {
        let entry = usize::try_from(max.saturating_sub(x))
            .unwrap_or(usize::MAX)
            .min(last_entry);
        let e = cx.param(op.exp, entry)?;
        if !(0..=1 << 24).contains(&e) {
            return Err(CellError::Parameter {
                what: "exp",
                got: e,
            });
        }
        sum += e;
        if at == index {
            own = e;
        }
    }
    // The largest cell contributes entry 0, which a checked program has positive.
    ((own << op.bits.min(24)) + sum / 2)
        .checked_div(sum)
        .ok_or(CellError::Parameter {
            what: "exp",
            got: 0,
        })
}

fn arg_max(
    x: NodeId,
    index: usize,
    length: usize,
    cx: &mut impl Context,
) -> Result<i64, CellError> {
    let (mut best, mut max) = (0, cx.value(x, index * length)?);
    for k in 1..length {
        let value = cx.value(x, index * length + k)?;
        if value > max {
            (best, max) = (k, value);
        }
    }
    i64::try_from(best).map_err(|_| CellError::Absent {
        what: "arg_max",
        index: best,
    })
}

fn tree_leaf(op: &TreeLeaves, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let mut at = cx.param(op.roots, index)?;
    for _ in 0..=op.depth {
        if at < 0 {
            return Ok(-1 - at);
        }
        let row = usize::try_from(at).ok().and_then(|row| row.checked_mul(4));
        let row = row.ok_or(CellError::Parameter {
            what: "a tree's child",
            got: at,
        })?;
        let feature = cx.param(op.nodes, row)?;
        let feature_at = usize::try_from(feature).map_err(|_| CellError::Parameter {
            what: "a tree's feature",
            got: feature,
        })?;
        let left = cx.value(op.x, feature_at)? <= cx.param(op.nodes, row + 1)?;
        at = cx.param(op.nodes, row + if left { 2 } else { 3 })?;
    }
    Err(CellError::Depth { depth: op.depth })
}

fn gather_sum(op: &GatherSum, index: usize, cx: &mut impl Context) -> Result<i64, CellError> {
    let (trees, width) = (cx.shape(op.x)?.cells(), cx.param_shape(op.table)?.last());
    let mut sum = bias(op.bias, index, cx)?;
    for t in 0..trees {
        let row = cx.value(op.x, t)?;
        let at = usize::try_from(row)
            .ok()
            .and_then(|row| row.checked_mul(width))
            .and_then(|at| at.checked_add(index));
        sum = accumulate(
            sum,
            cx.param(
                op.table,
                at.ok_or(CellError::Parameter {
                    what: "a row number",
                    got: row,
                })?,
            )?,
            1,
        )?;
    }
    accumulator(sum)
}
