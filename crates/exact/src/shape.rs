//! Shapes, and which shape each op yields (`docs/spec/arithmetic.md`, sections 4 to 6).

mod language;
mod tensor;

use crate::{Conv, Dtype, NodeId, Op, ParamId, Reindex, Softmax, TreeLeaves, Window};

/// Most axes a value or parameter may have.
pub const RANK_MAX: usize = 8;

/// Most cells a value or parameter may have: 2³¹ − 1.
pub const CELLS_MAX: usize = 0x7fff_ffff;

/// Largest kernel, stride, dilation and padding of a window along one axis.
pub const WINDOW_MAX: u32 = 2048;

/// Longest row of a softmax.
pub const SOFTMAX_MAX: usize = 1024;

/// Most entries of a table.
pub const TABLE_MAX: usize = 65_536;

/// Dimensions, slowest first; the product is at most [`CELLS_MAX`], and no dimension is 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: Vec<usize>,
    cells: usize,
}

/// A shape that cannot be, or that an op cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// More than [`RANK_MAX`] axes.
    #[error("{got} axes; at most {RANK_MAX} are allowed")]
    Rank {
        /// The number of axes found.
        got: usize,
    },
    /// A dimension is 0, or the product exceeds [`CELLS_MAX`].
    #[error("dimensions {got:?} have no cell, or more than {CELLS_MAX}")]
    Cells {
        /// The dimensions found.
        got: Vec<u32>,
    },
    /// An operand, parameter or attribute is not what the op takes.
    #[error("{what} must be {expected}, but is {got}")]
    Operand {
        /// Which operand, parameter or attribute.
        what: &'static str,
        /// What the op takes.
        expected: String,
        /// What it was given.
        got: String,
    },
}

impl Shape {
    /// Checks the dimensions.
    ///
    /// # Errors
    /// [`ShapeError::Rank`] or [`ShapeError::Cells`].
    pub fn new(dims: &[u32]) -> Result<Self, ShapeError> {
        if dims.len() > RANK_MAX {
            return Err(ShapeError::Rank { got: dims.len() });
        }
        let too_many = || ShapeError::Cells { got: dims.to_vec() };
        let mut sizes = Vec::with_capacity(dims.len());
        let mut cells = 1_usize;
        for &dim in dims {
            let dim = usize::try_from(dim).map_err(|_| too_many())?;
            cells = cells
                .checked_mul(dim)
                .filter(|&n| (1..=CELLS_MAX).contains(&n))
                .ok_or_else(too_many)?;
            sizes.push(dim);
        }
        Ok(Self { dims: sizes, cells })
    }

    /// The dimensions, slowest first; none for a scalar.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of cells, at least 1.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.cells
    }

    /// The last dimension, 1 for a scalar.
    #[must_use]
    pub fn last(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// The dimensions as an `[H, W, C]` value has them.
    ///
    /// # Errors
    /// [`ShapeError::Operand`] unless there are three.
    pub fn image(&self) -> Result<[usize; 3], ShapeError> {
        <[usize; 3]>::try_from(self.dims.as_slice())
            .map_err(|_| operand("x", "[H, W, C]", format!("{:?}", self.dims)))
    }

    fn from_sizes(sizes: &[usize]) -> Result<Self, ShapeError> {
        let dims: Vec<u32> = sizes
            .iter()
            .map(|&n| u32::try_from(n).unwrap_or(u32::MAX))
            .collect();
        Self::new(&dims)
    }
}

/// What shape inference asks of a program.
pub trait Shapes {
    /// Shape and type of a node before the one in question.
    fn node(&self, node: NodeId) -> Result<(&Shape, Dtype), ShapeError>;
    /// Shape and type of a parameter.
    fn param(&self, param: ParamId) -> Result<(&Shape, Dtype), ShapeError>;
    /// Shape of one of the program's inputs.
    fn input(&self, index: u32) -> Result<&Shape, ShapeError>;
    /// Most positions of a run, if the program is a language model's.
    fn context(&self) -> Result<usize, ShapeError>;
    /// Whether a node before the one in question is a [`Scores`](crate::Scores).
    fn is_scores(&self, node: NodeId) -> bool;
}

fn operand(what: &'static str, expected: impl Into<String>, got: impl Into<String>) -> ShapeError {
    ShapeError::Operand {
        what,
        expected: expected.into(),
        got: got.into(),
    }
}

fn require(
    holds: bool,
    what: &'static str,
    expected: &str,
    got: impl FnOnce() -> String,
) -> Result<(), ShapeError> {
    if holds {
        Ok(())
    } else {
        Err(operand(what, expected, got()))
    }
}

/// The shape of `op`'s result.
///
/// # Errors
/// [`ShapeError`] naming the operand, parameter or attribute that does not fit.
pub fn infer(op: &Op, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    match op {
        Op::Input(op) => shapes.input(op.index).cloned(),
        Op::Linear(op) => linear(op, shapes),
        Op::Conv(op) => conv(op, shapes),
        Op::Rescale(op) => {
            let (x, _) = shapes.node(op.x)?;
            let (multiplier, dtype) = shapes.param(op.multiplier)?;
            vector("multiplier", multiplier, dtype, &[x.last(), 1])?;
            clamp_range(op.min, op.max)?;
            Ok(x.clone())
        }
        Op::Add(op) => {
            let (a, b) = (shapes.node(op.a)?.0, shapes.node(op.b)?.0);
            require(a == b, "b", "of the same shape as a", || {
                format!("{:?} and {:?}", a.dims(), b.dims())
            })?;
            clamp_range(op.min, op.max)?;
            Ok(a.clone())
        }
        Op::Table(op) => {
            let (table, _) = shapes.param(op.table)?;
            let fits = table.dims().len() == 1 && table.cells() <= TABLE_MAX;
            require(fits, "table", "[n] with n ≤ 65,536", || {
                format!("{:?}", table.dims())
            })?;
            Ok(shapes.node(op.x)?.0.clone())
        }
        Op::MaxPool(op) => pool(shapes.node(op.x)?.0, op.window, true),
        Op::SumPool(op) => pool(shapes.node(op.x)?.0, op.window, false),
        Op::Reindex(op) => reindex(op, shapes.node(op.x)?.0),
        Op::Concat(op) => concat(&op.xs, op.axis, shapes),
        Op::Softmax(op) => softmax(op, shapes),
        Op::ArgMax(op) => {
            let (x, _) = shapes.node(op.x)?;
            match x.dims().split_last() {
                Some((_, rest)) => Shape::from_sizes(rest),
                None => Err(operand("x", "at least one axis", "a scalar")),
            }
        }
        Op::TreeLeaves(op) => tree_leaves(op, shapes),
        Op::GatherSum(op) => {
            let (x, _) = shapes.node(op.x)?;
            let (table, dtype) = shapes.param(op.table)?;
            require(x.dims().len() == 1, "x", "[T]", || {
                format!("{:?}", x.dims())
            })?;
            let [_, width] = matrix("table", table, dtype, Dtype::I32)?;
            optional_vector("bias", op.bias, width, shapes)?;
            Shape::from_sizes(&[width])
        }
        Op::Token(_) | Op::Position(_) => shapes.context().and_then(|_| language::scalar()),
        Op::Embed(op) => language::embed(op, shapes),
        Op::MaxAbs(op) => language::max_abs(op.x, shapes),
        Op::Quantise(op) => language::quantise(op, shapes),
        Op::RmsRatio(op) => language::rms_ratio(op, shapes),
        Op::Mul(op) => language::mul(op, shapes),
        Op::Rope(op) => language::rope(op, shapes),
        Op::Scores(op) => language::scores(op, shapes),
        Op::Attend(op) => language::attend(op, shapes),
        Op::Hadamard(op) => language::hadamard(op, shapes),
        Op::Gather(op) => tensor::gather(op, shapes),
        Op::MatMul(op) => tensor::mat_mul(op, shapes),
        Op::Divide(op) => tensor::divide(op, shapes),
    }
}

fn clamp_range(min: i32, max: i32) -> Result<(), ShapeError> {
    require(min <= max, "clamp", "min ≤ max", || {
        format!("{min}..={max}")
    })
}

fn softmax(op: &Softmax, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    let (exp, dtype) = shapes.param(op.exp)?;
    let short = x.last() <= SOFTMAX_MAX;
    require(
        short,
        "x",
        "of at most 1,024 cells along its last axis",
        || x.last().to_string(),
    )?;
    let small = exp.cells() <= TABLE_MAX;
    require(small, "exp", "at most 65,536 entries", || {
        exp.cells().to_string()
    })?;
    vector("exp", exp, dtype, &[exp.cells()])?;
    require((1..=24).contains(&op.bits), "bits", "1..=24", || {
        op.bits.to_string()
    })?;
    Ok(x.clone())
}

fn vector(
    what: &'static str,
    shape: &Shape,
    dtype: Dtype,
    lengths: &[usize],
) -> Result<(), ShapeError> {
    let fits = shape.dims().len() == 1 && lengths.contains(&shape.cells()) && dtype == Dtype::I32;
    require(
        fits,
        what,
        &format!("i32 of one axis with a length of {lengths:?}"),
        || format!("{dtype:?} {:?}", shape.dims()),
    )
}

fn optional_vector(
    what: &'static str,
    param: Option<ParamId>,
    length: usize,
    shapes: &impl Shapes,
) -> Result<(), ShapeError> {
    let Some(param) = param else { return Ok(()) };
    let (shape, dtype) = shapes.param(param)?;
    vector(what, shape, dtype, &[length])
}

fn matrix(
    what: &'static str,
    shape: &Shape,
    dtype: Dtype,
    expected: Dtype,
) -> Result<[usize; 2], ShapeError> {
    match <[usize; 2]>::try_from(shape.dims()) {
        Ok(dims) if dtype == expected => Ok(dims),
        _ => Err(operand(
            what,
            format!("{expected:?} of two axes"),
            format!("{dtype:?} {:?}", shape.dims()),
        )),
    }
}

fn linear(op: &crate::Linear, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, x_dtype) = shapes.node(op.x)?;
    let (weight, dtype) = shapes.param(op.weight)?;
    let [rows, columns] = matrix("weight", weight, dtype, Dtype::I8)?;
    let fits = x_dtype == Dtype::I8 && !x.dims().is_empty() && x.last() == columns;
    require(fits, "x", &format!("I8 [.., {columns}]"), || {
        format!("{x_dtype:?} {:?}", x.dims())
    })?;
    optional_vector("bias", op.bias, rows, shapes)?;
    let mut sizes = x.dims().to_vec();
    if let Some(last) = sizes.last_mut() {
        *last = rows;
    }
    Shape::from_sizes(&sizes)
}

fn conv(op: &Conv, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, x_dtype) = shapes.node(op.x)?;
    let [_, _, channels] = x.image()?;
    require(x_dtype == Dtype::I8, "x", "I8", || format!("{x_dtype:?}"))?;
    let (weight, dtype) = shapes.param(op.weight)?;
    let bad_weight = || {
        operand(
            "weight",
            "I8 [O, KH, KW, C/G] with G dividing O and C",
            format!("{dtype:?} {:?}", weight.dims()),
        )
    };
    let &[out, height, width, depth] = weight.dims() else {
        return Err(bad_weight());
    };
    let groups = usize::try_from(op.groups)
        .ok()
        .filter(|&g| g > 0)
        .ok_or_else(bad_weight)?;
    let divides =
        channels.is_multiple_of(groups) && out.is_multiple_of(groups) && channels / groups == depth;
    let kernel = op
        .window
        .kernel
        .map(|k| usize::try_from(k).unwrap_or(usize::MAX));
    if dtype != Dtype::I8 || !divides || kernel != [height, width] {
        return Err(bad_weight());
    }
    optional_vector("bias", op.bias, out, shapes)?;
    let [rows, columns] = window_counts(x, op.window)?;
    Shape::from_sizes(&[rows, columns, out])
}

fn pool(x: &Shape, window: Window, every_window_meets_x: bool) -> Result<Shape, ShapeError> {
    let [_, _, channels] = x.image()?;
    let [rows, columns] = window_counts(x, window)?;
    let meets = !every_window_meets_x || max_pool_windows_meet(x, window, [rows, columns])?;
    require(
        meets,
        "window",
        "one that meets the value everywhere",
        || format!("{window:?}"),
    )?;
    Shape::from_sizes(&[rows, columns, channels])
}

/// Whether along both axes every window has a cell inside x. A window that starts inside does at once, one that starts behind the
/// end never, so only those that start before the first cell are walked.
fn max_pool_windows_meet(
    x: &Shape,
    window: Window,
    counts: [usize; 2],
) -> Result<bool, ShapeError> {
    let [height, width, _] = x.image()?;
    let axis = |axis: usize, length: usize, count: usize| {
        let before = window
            .pad
            .get(axis)
            .copied()
            .map_or(0, |pad| usize::try_from(pad).unwrap_or(usize::MAX));
        (0..count.min(before))
            .chain([count - 1])
            .all(|i| window_cells(window, axis, i, length).next().is_some())
    };
    Ok(axis(0, height, counts[0]) && axis(1, width, counts[1]))
}

/// The cells of window number `i` along `axis` (0 vertical, 1 horizontal) that lie inside a value of `length` cells, as pairs
/// (index in the window, index in the value).
pub fn window_cells(
    window: Window,
    axis: usize,
    i: usize,
    length: usize,
) -> impl Iterator<Item = (usize, usize)> {
    let of = |pair: [u32; 2]| pair.get(axis).copied().map_or(0, i64::from);
    let (kernel, stride, dilation) = (of(window.kernel), of(window.stride), of(window.dilation));
    let before = window.pad.get(axis).copied().map_or(0, i64::from);
    let start = i64::try_from(i)
        .unwrap_or(i64::MAX)
        .saturating_mul(stride)
        .saturating_sub(before);
    (0..kernel).filter_map(move |u| {
        let at = usize::try_from(start.saturating_add(u.saturating_mul(dilation)))
            .ok()
            .filter(|&at| at < length)?;
        Some((usize::try_from(u).ok()?, at))
    })
}

/// Numbers of windows, vertically and horizontally: `⌊(L + pads − dilation·(kernel − 1) − 1)/stride⌋ + 1`.
fn window_counts(x: &Shape, window: Window) -> Result<[usize; 2], ShapeError> {
    let [height, width, _] = x.image()?;
    let bad = || {
        operand(
            "window",
            "positive, at most 2,048, and within the padded value",
            format!("{window:?}"),
        )
    };
    let all = window
        .kernel
        .iter()
        .chain(&window.stride)
        .chain(&window.dilation);
    if !all.copied().all(|n| (1..=WINDOW_MAX).contains(&n))
        || !window.pad.iter().all(|&n| n <= WINDOW_MAX)
    {
        return Err(bad());
    }
    let count = |length: usize, axis: usize| -> Option<usize> {
        let at = |pair: [u32; 2]| pair.get(axis).copied().map(u64::from);
        let pads = window.pad.get(axis).copied().map(u64::from)?
            + window.pad.get(axis + 2).copied().map(u64::from)?;
        let padded = u64::try_from(length).ok()? + pads;
        let extent = at(window.dilation)? * (at(window.kernel)? - 1) + 1;
        usize::try_from(padded.checked_sub(extent)? / at(window.stride)? + 1).ok()
    };
    Ok([
        count(height, 0).ok_or_else(bad)?,
        count(width, 1).ok_or_else(bad)?,
    ])
}

fn reindex(op: &Reindex, x: &Shape) -> Result<Shape, ShapeError> {
    let shape = Shape::new(&op.shape)?;
    require(
        op.strides.len() == op.shape.len(),
        "strides",
        "one for each axis",
        || format!("{:?}", op.strides),
    )?;
    // The first and last cell that any index reaches: all others lie between.
    let (mut low, mut high) = (i128::from(op.offset), i128::from(op.offset));
    for (&dim, &stride) in op.shape.iter().zip(&op.strides) {
        let reach = (i128::from(dim) - 1) * i128::from(stride);
        if reach < 0 {
            low += reach
        } else {
            high += reach
        }
    }
    let inside = low >= 0 && usize::try_from(high).is_ok_and(|high| high < x.cells());
    require(
        inside,
        "strides",
        &format!("within 0..{}", x.cells()),
        || format!("{low}..={high}"),
    )?;
    Ok(shape)
}

fn concat(xs: &[NodeId], axis: u32, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let Some(&first) = xs.first() else {
        return Err(operand("xs", "at least one operand", "none"));
    };
    let mut sizes = shapes.node(first)?.0.dims().to_vec();
    let at = usize::try_from(axis).unwrap_or(usize::MAX);
    require(at < sizes.len(), "axis", "an axis of the operands", || {
        axis.to_string()
    })?;
    for &x in xs.get(1..).unwrap_or_default() {
        let dims = shapes.node(x)?.0.dims();
        let fits = dims.len() == sizes.len()
            && (0..dims.len()).all(|k| k == at || dims.get(k) == sizes.get(k));
        require(fits, "xs", "equal but for the axis of the join", || {
            format!("{sizes:?} and {dims:?}")
        })?;
        if let (Some(sum), Some(&more)) = (sizes.get_mut(at), dims.get(at)) {
            *sum = sum.saturating_add(more);
        }
    }
    Shape::from_sizes(&sizes)
}

fn tree_leaves(op: &TreeLeaves, shapes: &impl Shapes) -> Result<Shape, ShapeError> {
    let (x, _) = shapes.node(op.x)?;
    require(x.dims().len() == 1, "x", "[F]", || {
        format!("{:?}", x.dims())
    })?;
    let (nodes, dtype) = shapes.param(op.nodes)?;
    let [_, width] = matrix("nodes", nodes, dtype, Dtype::I32)?;
    require(width == 4, "nodes", "[N, 4]", || {
        format!("{:?}", nodes.dims())
    })?;
    let (roots, dtype) = shapes.param(op.roots)?;
    vector("roots", roots, dtype, &[roots.cells()])?;
    require((1..=255).contains(&op.depth), "depth", "1..=255", || {
        op.depth.to_string()
    })?;
    Ok(roots.clone())
}
