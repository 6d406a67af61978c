//! The graph in f64: what calibration observes, and a float reference for formats whose own engine cannot run a model.
//!
//! Every sum runs in one fixed order, nothing is fused, and exponentials come from the `libm` crate, so that the same graph and inputs
//! give the same bits on every target. It deliberately knows nothing of integers and is not tuned beyond what fixed order allows.

mod values;

use credence_exact::Window;
use credence_exact::shape::window_cells;
use credence_model::{Elements, Tensor, TensorError, Tensors};
use rayon::prelude::*;

use crate::graph::{AffineOp, Codes, ConvOp, Function, Graph, GraphOp, Kind, LinearOp, ValueId};
use crate::number::from_len;
use crate::positions::{Positions, PositionsError};

/// Why a graph could not be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// The inputs are not what the graph takes.
    #[error("the inputs are not what the model takes")]
    Inputs(#[from] PositionsError),
    /// A value overflowed.
    #[error(
        "value `{node}` is not finite at position {position}; the float model overflows on this input"
    )]
    NotFinite {
        /// The node.
        node: String,
        /// The position.
        position: usize,
    },
    /// An index has no entry in its lookup.
    #[error("value `{node}` selects entry {got}, which its lookup does not have")]
    Lookup {
        /// The node.
        node: String,
        /// The entry.
        got: i64,
    },
    /// The outputs are no tensors.
    #[error("the outputs cannot be put into tensors")]
    Outputs(#[from] TensorError),
}

/// Runs a graph on a batch. Real outputs are rounded to FP32, the others are INT64.
///
/// # Errors
/// [`EvaluateError`], naming the input or node.
pub fn evaluate(graph: &Graph, inputs: &Tensors) -> Result<Tensors, EvaluateError> {
    let positions = Positions::new(graph, inputs)?;
    let evaluator = Evaluator::new(graph);
    // Of each position only the outputs are kept: all values of all positions may be more than memory holds.
    let all = (0..positions.count())
        .into_par_iter()
        .map(|index| {
            let values = evaluator.position(index, positions.position(index))?;
            let outputs = graph.outputs().iter();
            Ok(outputs
                .map(|output| values[output.value.0].clone())
                .collect())
        })
        .collect::<Result<Vec<Vec<Vec<f64>>>, EvaluateError>>()?;
    let tensor = |(index, output): (usize, &crate::graph::GraphOutput)| {
        let node = graph.node(output.value);
        let values = all.iter().flat_map(|outputs| outputs[index].iter());
        let elements = match node.kind {
            Kind::Real => Elements::Fp32(values.map(|&x| to_f32(x)).collect()),
            Kind::Index => Elements::Int64(values.map(|&x| to_i64(x)).collect()),
        };
        let dims = core::iter::once(positions.count()).chain(node.shape.iter().copied());
        let shape = dims
            .map(|dim| u64::try_from(dim).unwrap_or(u64::MAX))
            .collect();
        Tensor::new(output.name.clone(), shape, elements)
    };
    let tensors = graph
        .outputs()
        .iter()
        .enumerate()
        .map(tensor)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Tensors::new(tensors)?)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest FP32 is what an output is"
)]
const fn to_f32(x: f64) -> f32 {
    x as f32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "values of kind index are integers below 2^53 in magnitude"
)]
const fn to_i64(x: f64) -> i64 {
    x as i64
}

/// A graph with its matrices transposed, so that sums over k run for many rows side by side and each in order.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    graph: &'a Graph,
    transposed: Vec<Vec<f32>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        let transposed = graph.nodes().iter().map(|node| match node.op() {
            GraphOp::Linear(op) => transpose(&op.weight, op.rows),
            GraphOp::Conv(op) => transpose(&op.weight, op.channels),
            _ => Vec::new(),
        });
        Self {
            graph,
            transposed: transposed.collect(),
        }
    }

    /// All values of one position, in the order of nodes.
    pub(crate) fn position(
        &self,
        position: usize,
        inputs: Vec<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>, EvaluateError> {
        let mut values: Vec<Vec<f64>> = Vec::with_capacity(self.graph.nodes().len());
        let mut inputs = inputs.into_iter();
        for (index, node) in self.graph.nodes().iter().enumerate() {
            let value = match node.op() {
                GraphOp::Input { .. } => inputs.next().unwrap_or_default(),
                op => self.node(index, op, &values)?,
            };
            if value.iter().any(|x| !x.is_finite()) {
                return Err(EvaluateError::NotFinite {
                    node: node.name.clone(),
                    position,
                });
            }
            values.push(value);
        }
        Ok(values)
    }

    fn node(
        &self,
        index: usize,
        op: &GraphOp,
        values: &[Vec<f64>],
    ) -> Result<Vec<f64>, EvaluateError> {
        let of = |x: ValueId| values[x.0].as_slice();
        let shape = |x: ValueId| self.graph.node(x).shape.as_slice();
        let own = self.graph.nodes()[index].shape.as_slice();
        let map = |x: ValueId, f: &dyn Fn(f64) -> f64| of(x).iter().map(|&x| f(x)).collect();
        Ok(match op {
            GraphOp::Input { .. } => Vec::new(),
            GraphOp::Linear(op) => linear(op, of(op.x), &self.transposed[index]),
            GraphOp::Conv(op) => conv(op, of(op.x), shape(op.x), own, &self.transposed[index]),
            GraphOp::Affine(op) => affine(op, of(op.x), own),
            GraphOp::Clip { x, min, max } => map(*x, &|x| x.max(*min).min(*max)),
            GraphOp::Quantised { x, codes } => map(*x, &|x| codes.nearest(x)),
            GraphOp::Unary { x, function } => map(*x, &|x| function.of(x)),
            GraphOp::Add { a, b, subtract } => {
                let sign = if *subtract { -1.0 } else { 1.0 };
                of(*a)
                    .iter()
                    .zip(of(*b))
                    .map(|(a, b)| a + sign * b)
                    .collect()
            }
            GraphOp::MaxPool { x, window } => pool(of(*x), shape(*x), own, *window, |values| {
                values.fold(f64::NEG_INFINITY, f64::max)
            }),
            GraphOp::AveragePool { x, window } => {
                let area = f64::from(window.kernel[0]) * f64::from(window.kernel[1]);
                pool(of(*x), shape(*x), own, *window, |values| {
                    values.fold(0.0, |sum, x| sum + x) / area
                })
            }
            GraphOp::Reshape { x, .. } => of(*x).to_vec(),
            GraphOp::Transpose { x, order } => reorder(of(*x), shape(*x), order),
            GraphOp::Concat { xs, axis } => {
                let parts = xs.iter().map(|&x| (of(x), shape(x)));
                concat(&parts.collect::<Vec<_>>(), *axis)
            }
            GraphOp::Softmax { x } => rows(of(*x), shape(*x)).flat_map(softmax).collect(),
            GraphOp::ArgMax { x } => rows(of(*x), shape(*x)).map(arg_max).collect(),
            GraphOp::Trees { x, ensemble } => ensemble.evaluate(of(*x)),
            GraphOp::Lookup { x, values } => {
                let one = |&at: &f64| {
                    let got = to_i64(at);
                    let entry = usize::try_from(got).ok().and_then(|at| values.get(at));
                    entry
                        .map(|&entry| to_value(entry))
                        .ok_or_else(|| EvaluateError::Lookup {
                            node: self.graph.nodes()[index].name.clone(),
                            got,
                        })
                };
                of(*x).iter().map(one).collect::<Result<_, _>>()?
            }
            other => self.combined(index, other, values)?.unwrap_or_default(),
        })
    }
}

/// A lookup's entry, exact since it is below 2⁵³ in magnitude.
#[expect(clippy::cast_precision_loss, reason = "entries are below 2^53")]
const fn to_value(entry: i64) -> f64 {
    entry as f64
}

impl Function {
    /// Its value at x.
    pub(crate) fn of(&self, x: f64) -> f64 {
        match self {
            Self::LeakyRelu { alpha } if x < 0.0 => alpha * x,
            Self::LeakyRelu { .. } => x,
            Self::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
            Self::Tanh => libm::tanh(x),
            Self::Formula(formula) => formula.of(x),
        }
    }
}

impl Codes {
    /// The real nearest to x that its integers stand for.
    fn nearest(self, x: f64) -> f64 {
        let (scale, zero) = (f64::from(self.scale), f64::from(self.zero));
        let code = (x / scale).round_ties_even() + zero;
        (code.clamp(-128.0, 127.0) - zero) * scale
    }
}

/// `[R, K]` to `[K, R]`.
fn transpose(weight: &[f32], rows: usize) -> Vec<f32> {
    let columns = weight.len() / rows.max(1);
    (0..weight.len())
        .map(|at| weight[(at % rows) * columns + at / rows])
        .collect()
}

fn bias_row(bias: &[f32], rows: usize) -> Vec<f64> {
    if bias.is_empty() {
        vec![0.0; rows]
    } else {
        bias.iter().map(|&b| f64::from(b)).collect()
    }
}

fn linear(op: &LinearOp, x: &[f64], transposed: &[f32]) -> Vec<f64> {
    let columns = transposed.len() / op.rows;
    let bias = bias_row(&op.bias, op.rows);
    let mut result = Vec::with_capacity(x.len() / columns * op.rows);
    for vector in x.chunks_exact(columns) {
        let mut sums = bias.clone();
        for (&x, row) in vector.iter().zip(transposed.chunks_exact(op.rows)) {
            for (sum, &w) in sums.iter_mut().zip(row) {
                *sum += f64::from(w) * x;
            }
        }
        result.extend(sums);
    }
    result
}

fn conv(op: &ConvOp, x: &[f64], from: &[usize], to: &[usize], transposed: &[f32]) -> Vec<f64> {
    let (&[channels, height, width], &[out, rows, columns]) = (from, to) else {
        return Vec::new();
    };
    let (depth, per_group) = (channels / op.groups, out / op.groups);
    let area = transposed.len() / out / depth;
    let kernel_width = usize::try_from(op.window.kernel[1]).unwrap_or(1);
    let bias = bias_row(&op.bias, out);
    let mut result = vec![0.0; out * rows * columns];
    for i in 0..rows {
        let lines: Vec<_> = window_cells(op.window, 0, i, height).collect();
        for j in 0..columns {
            let cells: Vec<_> = window_cells(op.window, 1, j, width).collect();
            let mut sums = bias.clone();
            for group in 0..op.groups {
                let sums = &mut sums[group * per_group..(group + 1) * per_group];
                for c in 0..depth {
                    for &(u, line) in &lines {
                        for &(v, cell) in &cells {
                            let x = x[((group * depth + c) * height + line) * width + cell];
                            let start = (c * area + u * kernel_width + v) * out + group * per_group;
                            for (sum, &w) in
                                sums.iter_mut().zip(&transposed[start..start + per_group])
                            {
                                *sum += f64::from(w) * x;
                            }
                        }
                    }
                }
            }
            for (o, sum) in sums.into_iter().enumerate() {
                result[(o * rows + i) * columns + j] = sum;
            }
        }
    }
    result
}

fn affine(op: &AffineOp, x: &[f64], shape: &[usize]) -> Vec<f64> {
    let inner: usize = shape.iter().skip(op.axis + 1).product();
    let along = op.scale.len();
    let at = |index: usize| if along == 1 { 0 } else { index / inner % along };
    x.iter()
        .enumerate()
        .map(|(index, x)| x * op.scale[at(index)] + op.shift[at(index)])
        .collect()
}

fn pool(
    x: &[f64],
    from: &[usize],
    to: &[usize],
    window: Window,
    fold: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<f64> {
    let (&[_, height, width], &[channels, rows, columns]) = (from, to) else {
        return Vec::new();
    };
    let mut result = Vec::with_capacity(channels * rows * columns);
    for c in 0..channels {
        for i in 0..rows {
            for j in 0..columns {
                let mut cells = window_cells(window, 0, i, height).flat_map(|(_, line)| {
                    window_cells(window, 1, j, width)
                        .map(move |(_, cell)| x[(c * height + line) * width + cell])
                });
                result.push(fold(&mut cells));
            }
        }
    }
    result
}

fn reorder(x: &[f64], shape: &[usize], order: &[usize]) -> Vec<f64> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    (0..x.len())
        .map(|mut rest| {
            let mut at = 0;
            for &axis in order.iter().rev() {
                at += rest % shape[axis] * strides[axis];
                rest /= shape[axis];
            }
            x[at]
        })
        .collect()
}

fn concat(parts: &[(&[f64], &[usize])], axis: usize) -> Vec<f64> {
    let outer: usize = parts[0].1.iter().take(axis).product();
    let mut result = Vec::new();
    for o in 0..outer {
        for (values, _) in parts {
            let run = values.len() / outer;
            result.extend_from_slice(&values[o * run..(o + 1) * run]);
        }
    }
    result
}

fn rows<'x>(x: &'x [f64], shape: &[usize]) -> impl Iterator<Item = &'x [f64]> {
    x.chunks_exact(shape.last().copied().unwrap_or(1))
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|x| libm::exp(x - max)).collect();
    let sum = exps.iter().fold(0.0, |sum, e| sum + e);
    exps.into_iter().map(|e| e / sum).collect()
}

fn arg_max(row: &[f64]) -> f64 {
    let mut best = 0;
    for (k, x) in row.iter().enumerate() {
        if *x > row[best] {
            best = k;
        }
    }
    from_len(best)
}
