//! Tensors of a batch as real numbers, position by position, checked against a graph's inputs.

use credence_model::{BorderType, Elements, Tensor, Tensors};

use crate::graph::{Graph, GraphInput};

/// Tensors that are not what a graph's inputs take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PositionsError {
    /// An input without a tensor.
    #[error("input `{name}` is missing; the model takes {expected}")]
    Missing {
        /// The input.
        name: String,
        /// All inputs.
        expected: String,
    },
    /// A tensor without an input.
    #[error("tensor `{name}` is no input of the model, which takes {expected}")]
    Unknown {
        /// The tensor.
        name: String,
        /// All inputs.
        expected: String,
    },
    /// Another element type.
    #[error("tensor `{name}` is {got}, but the input takes {expected}")]
    Type {
        /// The tensor.
        name: String,
        /// The input's type.
        expected: &'static str,
        /// The tensor's type.
        got: &'static str,
    },
    /// Another shape.
    #[error("tensor `{name}` has shape {got:?}, but the input takes [batch, {expected}]")]
    Shape {
        /// The tensor.
        name: String,
        /// One position's shape.
        expected: String,
        /// The tensor's shape.
        got: Vec<u64>,
    },
    /// No position, or another number of them than the other tensors have.
    #[error("tensor `{name}` has {got} positions; expected {expected}")]
    Batch {
        /// The tensor.
        name: String,
        /// What was expected.
        expected: String,
        /// Its number of positions.
        got: u64,
    },
    /// NaN or an infinity.
    #[error("tensor `{name}`: element {index} is {got}; inputs must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// The element's index, row-major.
        index: usize,
        /// The element.
        got: f32,
    },
}

/// A checked batch.
#[derive(Debug)]
pub(crate) struct Positions<'a> {
    /// One for each input, in the graph's order, with the number of elements of one position.
    columns: Vec<(&'a Elements, usize)>,
    count: usize,
}

impl<'a> Positions<'a> {
    /// Checks names, types, shapes and finiteness.
    pub(crate) fn new(graph: &Graph, tensors: &'a Tensors) -> Result<Self, PositionsError> {
        let expected = || {
            let names: Vec<String> = graph
                .inputs()
                .iter()
                .map(|input| format!("`{}`", input.name))
                .collect();
            names.join(", ")
        };
        for tensor in tensors.iter() {
            if !graph
                .inputs()
                .iter()
                .any(|input| input.name == tensor.name())
            {
                return Err(PositionsError::Unknown {
                    name: tensor.name().to_owned(),
                    expected: expected(),
                });
            }
        }
        let mut columns = Vec::with_capacity(graph.inputs().len());
        let mut batch = None;
        for input in graph.inputs() {
            let tensor = tensors
                .get(&input.name)
                .ok_or_else(|| PositionsError::Missing {
                    name: input.name.clone(),
                    expected: expected(),
                })?;
            let count = check(input, tensor)?;
            if *batch.get_or_insert(count) != count || count == 0 {
                return Err(PositionsError::Batch {
                    name: input.name.clone(),
                    expected: batch
                        .filter(|&batch| batch > 0)
                        .map_or_else(|| "at least 1".to_owned(), |batch| batch.to_string()),
                    got: count,
                });
            }
            columns.push((tensor.elements(), input.shape.iter().product()));
        }
        let count = usize::try_from(batch.unwrap_or(0)).unwrap_or(0);
        Ok(Self { columns, count })
    }

    /// Number of positions, at least 1.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// All inputs of one position.
    pub(crate) fn position(&self, index: usize) -> Vec<Vec<f64>> {
        let one = |&(elements, size): &(&Elements, usize)| {
            let range = index * size..(index + 1) * size;
            match elements {
                Elements::Fp32(all) => all[range].iter().map(|&x| f64::from(x)).collect(),
                Elements::Int32(all) => all[range].iter().map(|&x| f64::from(x)).collect(),
                Elements::Int64(all) => all[range].iter().map(|&x| from_i64(x)).collect(),
            }
        };
        self.columns.iter().map(one).collect()
    }
}

/// The nearest f64; exact below 2⁵³, and inputs of a larger magnitude are refused at a program's border.
#[expect(
    clippy::cast_precision_loss,
    reason = "rounding to nearest is the same on every target"
)]
const fn from_i64(x: i64) -> f64 {
    x as f64
}

/// Checks one tensor against its input; returns its number of positions.
fn check(input: &GraphInput, tensor: &Tensor) -> Result<u64, PositionsError> {
    let name = || input.name.clone();
    let got: BorderType = tensor.elements().border_type();
    if got != input.dtype {
        return Err(PositionsError::Type {
            name: name(),
            expected: input.dtype.name(),
            got: got.name(),
        });
    }
    let (batch, shape) = match tensor.shape().split_first() {
        Some((&batch, shape)) => (Some(batch), shape),
        None => (None, tensor.shape()),
    };
    let fits = shape.iter().copied().eq(input
        .shape
        .iter()
        .map(|&d| u64::try_from(d).unwrap_or(u64::MAX)));
    let Some(batch) = batch.filter(|_| fits) else {
        let expected: Vec<String> = input.shape.iter().map(ToString::to_string).collect();
        return Err(PositionsError::Shape {
            name: name(),
            expected: expected.join(", "),
            got: tensor.shape().to_vec(),
        });
    };
    if let Elements::Fp32(all) = tensor.elements()
        && let Some((index, &got)) = all.iter().enumerate().find(|(_, x)| !x.is_finite())
    {
        return Err(PositionsError::NotFinite {
            name: name(),
            index,
            got,
        });
    }
    Ok(batch)
}
