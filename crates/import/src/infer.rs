//! Shapes of a graph's nodes, and the checks of what a node is given.

mod values;

use credence_exact::Window;
use credence_exact::shape::{WINDOW_MAX, window_cells};

use crate::builder::GraphError;
use crate::graph::{AffineOp, ConvOp, GraphInput, GraphNode, GraphOp, Kind, LinearOp, ValueId};

/// Most axes of a position's value.
pub(crate) const RANK_MAX: usize = 6;
/// Largest magnitude of a lookup's entries: JSON's exact integers.
const LOOKUP_VALUE_MAX: u64 = 1 << 53;
/// Most entries of a lookup.
const LOOKUP_MAX: usize = 65_536;

/// What follows from a node.
pub(crate) struct Inferred {
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// Number of elements.
    pub(crate) cells: usize,
    /// Multiply-adds or comparisons, about.
    pub(crate) work: u64,
}

struct Checker<'a> {
    node: &'a str,
    op: &'static str,
    nodes: &'a [GraphNode],
}

type Shaped = (Vec<usize>, Kind, usize);

/// Checks a node and says what follows from it.
pub(crate) fn infer(
    node: &str,
    op: &GraphOp,
    inputs: &[GraphInput],
    nodes: &[GraphNode],
) -> Result<Inferred, GraphError> {
    let checker = Checker {
        node,
        op: op.name(),
        nodes,
    };
    let (shape, kind, work_per_cell) = checker.shaped(op, inputs)?;
    let cells = shape.iter().try_fold(1_usize, |cells, &dim| {
        cells
            .checked_mul(dim)
            .filter(|&n| (1..=1 << 30).contains(&n))
    });
    let sound = cells.filter(|_| shape.len() <= RANK_MAX);
    let cells = sound.ok_or_else(|| {
        checker.operand(
            "its result",
            "of at most 6 axes, with a cell and at most 2^30",
            format!("{shape:?}"),
        )
    })?;
    let work = u64::try_from(cells.saturating_mul(work_per_cell)).unwrap_or(u64::MAX);
    Ok(Inferred {
        shape,
        kind,
        cells,
        work,
    })
}

impl Checker<'_> {
    fn operand(
        &self,
        what: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> GraphError {
        GraphError::Operand {
            node: self.node.to_owned(),
            op: self.op,
            what,
            expected: expected.into(),
            got: got.into(),
        }
    }

    fn require(
        &self,
        holds: bool,
        what: &'static str,
        expected: &str,
        got: impl FnOnce() -> String,
    ) -> Result<(), GraphError> {
        if holds {
            Ok(())
        } else {
            Err(self.operand(what, expected, got()))
        }
    }

    fn of(&self, x: ValueId, kind: Kind) -> Result<&[usize], GraphError> {
        let node = self
            .nodes
            .get(x.0)
            .ok_or_else(|| self.operand("an operand", "one that stands before", "absent"))?;
        self.require(
            node.kind == kind,
            "the operand",
            &format!("of kind {kind:?}"),
            || format!("{:?}", node.kind),
        )?;
        Ok(&node.shape)
    }

    fn real(&self, x: ValueId) -> Result<&[usize], GraphError> {
        self.of(x, Kind::Real)
    }

    fn image(&self, x: ValueId) -> Result<[usize; 3], GraphError> {
        let shape = self.real(x)?;
        <[usize; 3]>::try_from(shape)
            .map_err(|_| self.operand("x", "[C, H, W]", format!("{shape:?}")))
    }

    fn finite(
        &self,
        what: &'static str,
        numbers: impl Iterator<Item = f64>,
    ) -> Result<(), GraphError> {
        match numbers.enumerate().find(|(_, x)| !x.is_finite()) {
            Some((index, got)) => Err(GraphError::NotFinite {
                node: self.node.to_owned(),
                op: self.op,
                what,
                index,
                got,
            }),
            None => Ok(()),
        }
    }

    fn shaped(&self, op: &GraphOp, inputs: &[GraphInput]) -> Result<Shaped, GraphError> {
        let real = |shape: Vec<usize>, work| Ok((shape, Kind::Real, work));
        match op {
            GraphOp::Input { index } => match inputs.get(*index) {
                Some(input) => real(input.shape.clone(), 1),
                None => Err(self.operand("its index", "that of an input", index.to_string())),
            },
            GraphOp::Linear(op) => self.linear(op),
            GraphOp::Conv(op) => self.conv(op),
            GraphOp::Affine(op) => self.affine(op),
            GraphOp::Clip { x, min, max } => {
                self.require(min <= max, "the range", "one with min ≤ max", || {
                    format!("{min}..={max}")
                })?;
                let empty = *min == f64::INFINITY || *max == f64::NEG_INFINITY;
                self.require(!empty, "the range", "one that holds a number", || {
                    format!("{min}..={max}")
                })?;
                real(self.real(*x)?.to_vec(), 1)
            }
            GraphOp::Add { a, b, .. } => {
                let (a, b) = (self.real(*a)?, self.real(*b)?);
                self.require(a == b, "the operands", "of one shape", || {
                    format!("{a:?} and {b:?}")
                })?;
                real(a.to_vec(), 1)
            }
            GraphOp::MaxPool { x, window } => self.pool(*x, *window, true),
            GraphOp::AveragePool { x, window } => self.pool(*x, *window, false),
            GraphOp::Reshape { x, shape } => self.reshape(*x, shape),
            GraphOp::Transpose { x, order } => self.transpose(*x, order),
            GraphOp::Concat { xs, axis } => self.concat(xs, *axis),
            GraphOp::Softmax { x } => real(self.vectors(*x)?.to_vec(), 8),
            GraphOp::ArgMax { x } => {
                let shape = self.vectors(*x)?;
                let (last, rest) = shape.split_last().unwrap_or((&1, &[]));
                Ok((rest.to_vec(), Kind::Index, *last))
            }
            GraphOp::Trees { x, ensemble } => {
                let shape = self.real(*x)?;
                let fits = shape.len() == 1 && ensemble.features() <= shape[0];
                self.require(
                    fits,
                    "x",
                    &format!("[F] with F ≥ {}", ensemble.features()),
                    || format!("{shape:?}"),
                )?;
                real(vec![ensemble.base().len()], ensemble.trees().len())
            }
            GraphOp::Lookup { x, values } => {
                let shape = self.of(*x, Kind::Index)?.to_vec();
                let sound = (1..=LOOKUP_MAX).contains(&values.len())
                    && values.iter().all(|v| v.unsigned_abs() < LOOKUP_VALUE_MAX);
                self.require(
                    sound,
                    "values",
                    "1 to 65,536 integers below 2^53 in magnitude",
                    || format!("{} values", values.len()),
                )?;
                Ok((shape, Kind::Index, 1))
            }
            other => self
                .values(other, inputs)?
                .ok_or_else(|| self.operand("the op", "one with a shape", other.name())),
        }
    }

    fn vectors(&self, x: ValueId) -> Result<&[usize], GraphError> {
        let shape = self.real(x)?;
        self.require(!shape.is_empty(), "x", "of at least one axis", || {
            "a scalar".to_owned()
        })?;
        Ok(shape)
    }

    fn linear(&self, op: &LinearOp) -> Result<Shaped, GraphError> {
        let mut shape = self.vectors(op.x)?.to_vec();
        let columns = shape.last().copied().unwrap_or(1);
        let fits = op.rows > 0 && op.rows.checked_mul(columns) == Some(op.weight.len());
        self.require(
            fits,
            "weight",
            &format!("of {} rows and {columns} columns", op.rows),
            || format!("of {} elements", op.weight.len()),
        )?;
        self.bias(&op.bias, op.rows)?;
        self.steps(&op.steps, op.rows)?;
        self.finite("the weight", op.weight.iter().map(|&w| f64::from(w)))?;
        if let Some(last) = shape.last_mut() {
            *last = op.rows;
        }
        Ok((shape, Kind::Real, columns))
    }

    fn bias(&self, bias: &[f32], rows: usize) -> Result<(), GraphError> {
        self.require(
            bias.is_empty() || bias.len() == rows,
            "bias",
            &format!("of {rows} elements"),
            || format!("of {}", bias.len()),
        )?;
        self.finite("the bias", bias.iter().map(|&b| f64::from(b)))
    }

    fn steps(&self, steps: &[f32], rows: usize) -> Result<(), GraphError> {
        let sound = steps.is_empty()
            || (steps.len() == rows && steps.iter().all(|s| s.is_finite() && *s > 0.0));
        let expected = format!("none, or {rows} positive numbers");
        self.require(sound, "steps", &expected, || format!("{steps:?}"))
    }

    fn conv(&self, op: &ConvOp) -> Result<Shaped, GraphError> {
        let [channels, height, width] = self.image(op.x)?;
        let grouped = op.groups > 0
            && op.channels > 0
            && channels.is_multiple_of(op.groups)
            && op.channels.is_multiple_of(op.groups);
        self.require(
            grouped,
            "groups",
            "a divisor of both channel counts",
            || format!("{} for {channels} and {} channels", op.groups, op.channels),
        )?;
        let counts = self.windows(op.window, [height, width])?;
        let [kernel_height, kernel_width] =
            op.window.kernel.map(|k| usize::try_from(k).unwrap_or(0));
        let row = (channels / op.groups).saturating_mul(kernel_height.saturating_mul(kernel_width));
        self.require(
            op.channels.checked_mul(row) == Some(op.weight.len()),
            "weight",
            &format!("of {} rows of {row} elements", op.channels),
            || format!("of {} elements", op.weight.len()),
        )?;
        self.bias(&op.bias, op.channels)?;
        self.steps(&op.steps, op.channels)?;
        self.finite("the weight", op.weight.iter().map(|&w| f64::from(w)))?;
        Ok((vec![op.channels, counts[0], counts[1]], Kind::Real, row))
    }

    /// Numbers of windows along both axes.
    fn windows(&self, window: Window, lengths: [usize; 2]) -> Result<[usize; 2], GraphError> {
        let sound = window
            .kernel
            .iter()
            .chain(&window.stride)
            .chain(&window.dilation)
            .all(|n| (1..=WINDOW_MAX).contains(n))
            && window.pad.iter().all(|&n| n <= WINDOW_MAX);
        let count = |axis: usize| -> Option<usize> {
            let pads = u64::from(window.pad[axis]) + u64::from(window.pad[axis + 2]);
            let padded = u64::try_from(lengths[axis]).ok()? + pads;
            let extent =
                u64::from(window.dilation[axis]) * (u64::from(window.kernel[axis]) - 1) + 1;
            usize::try_from(padded.checked_sub(extent)? / u64::from(window.stride[axis]) + 1).ok()
        };
        let counts = if sound { count(0).zip(count(1)) } else { None };
        counts
            .map(|(rows, columns)| [rows, columns])
            .ok_or_else(|| {
                self.operand(
                    "window",
                    "positive, at most 2,048, and within the padded value",
                    format!("{window:?}"),
                )
            })
    }

    fn pool(&self, x: ValueId, window: Window, max: bool) -> Result<Shaped, GraphError> {
        let [channels, height, width] = self.image(x)?;
        let [rows, columns] = self.windows(window, [height, width])?;
        let meets = |axis: usize, length: usize, count: usize| {
            let before = usize::try_from(window.pad[axis]).unwrap_or(usize::MAX);
            (0..count.min(before))
                .chain([count - 1])
                .all(|i| window_cells(window, axis, i, length).next().is_some())
        };
        let sound = !max || (meets(0, height, rows) && meets(1, width, columns));
        self.require(
            sound,
            "window",
            "one that meets the value everywhere",
            || format!("{window:?}"),
        )?;
        let cells = window.kernel.map(|k| usize::try_from(k).unwrap_or(0));
        Ok((
            vec![channels, rows, columns],
            Kind::Real,
            cells[0].saturating_mul(cells[1]),
        ))
    }

    fn affine(&self, op: &AffineOp) -> Result<Shaped, GraphError> {
        let shape = self.real(op.x)?;
        let along = shape.get(op.axis).copied().unwrap_or(1);
        let fits = (op.scale.len() == 1 || op.scale.len() == along)
            && op.shift.len() == op.scale.len()
            && (op.axis < shape.len() || shape.is_empty());
        self.require(
            fits,
            "scale and shift",
            &format!("of 1 or {along} elements along an axis of {shape:?}"),
            || {
                format!(
                    "of {} and {} along axis {}",
                    op.scale.len(),
                    op.shift.len(),
                    op.axis
                )
            },
        )?;
        self.finite("the scale", op.scale.iter().copied())?;
        self.finite("the shift", op.shift.iter().copied())?;
        Ok((shape.to_vec(), Kind::Real, 1))
    }

    /// The shape of an operand of any kind, and the kind.
    fn any(&self, x: ValueId) -> Result<(&[usize], Kind), GraphError> {
        let kind = self.nodes.get(x.0).map_or(Kind::Real, |node| node.kind);
        Ok((self.of(x, kind)?, kind))
    }

    fn reshape(&self, x: ValueId, to: &[usize]) -> Result<Shaped, GraphError> {
        let (shape, kind) = self.any(x)?;
        let cells = |dims: &[usize]| dims.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
        self.require(
            cells(to) == cells(shape),
            "the new shape",
            &format!("one of as many elements as {shape:?}"),
            || format!("{to:?}"),
        )?;
        Ok((to.to_vec(), kind, 1))
    }

    fn transpose(&self, x: ValueId, order: &[usize]) -> Result<Shaped, GraphError> {
        let (shape, kind) = self.any(x)?;
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        self.require(
            sorted.iter().copied().eq(0..shape.len()),
            "order",
            &format!("a permutation of the axes of {shape:?}"),
            || format!("{order:?}"),
        )?;
        Ok((order.iter().map(|&axis| shape[axis]).collect(), kind, 1))
    }

    fn concat(&self, xs: &[ValueId], axis: usize) -> Result<Shaped, GraphError> {
        let Some(&first) = xs.first() else {
            return Err(self.operand("the operands", "at least one", "none"));
        };
        let mut sum = self.real(first)?.to_vec();
        self.require(axis < sum.len(), "axis", "one of the operands'", || {
            axis.to_string()
        })?;
        for &x in &xs[1..] {
            let shape = self.real(x)?;
            let fits =
                shape.len() == sum.len() && (0..sum.len()).all(|k| k == axis || shape[k] == sum[k]);
            self.require(
                fits,
                "the operands",
                "equal but for the axis of the join",
                || format!("{sum:?} and {shape:?}"),
            )?;
            sum[axis] = sum[axis].saturating_add(shape[axis]);
        }
        Ok((sum, Kind::Real, 1))
    }
}
