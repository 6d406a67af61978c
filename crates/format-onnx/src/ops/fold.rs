//! Arithmetic on constants, done at once.

use std::sync::Arc;

use crate::constant::{Constant, Values, narrow};
use crate::error::OnnxError;
use crate::translate::{Node, Slot};

/// Most elements that constants are made to have: a broadcast must not grow a small file into a large memory.
pub(crate) const CELLS_MAX: usize = 1 << 24;

/// A constant as a node's only result.
pub(crate) fn made(node: &Node<'_>, shape: Vec<usize>, values: Values) -> Vec<Slot> {
    let name = node.name.clone();
    vec![Slot::Constant(Arc::new(Constant::made(
        name, shape, values,
    )))]
}

/// Elements repeated along axes of length 1; both shapes have as many axes.
pub(crate) fn spread<T: Copy>(values: &[T], from: &[usize], to: &[usize]) -> Vec<T> {
    let mut values = values.to_vec();
    for (axis, (&own, &count)) in from.iter().zip(to).enumerate() {
        if own != count {
            let inner: usize = from.iter().skip(axis + 1).product();
            let runs = values.chunks_exact(inner.max(1));
            values = runs.flat_map(|run| run.repeat(count)).collect();
        }
    }
    values
}

/// The shape that two constants broadcast to, and the shapes of both with as many axes.
fn joined(node: &Node<'_>, a: &Constant, b: &Constant) -> Result<[Vec<usize>; 3], OnnxError> {
    let rank = a.shape.len().max(b.shape.len());
    let filled = |shape: &[usize]| {
        let mut all = vec![1; rank - shape.len()];
        all.extend_from_slice(shape);
        all
    };
    let (first, second) = (filled(&a.shape), filled(&b.shape));
    let pairs = first.iter().zip(&second);
    let fits = pairs.clone().all(|(&a, &b)| a == b || a == 1 || b == 1);
    let to: Vec<usize> = pairs.map(|(&a, &b)| if a == 1 { b } else { a }).collect();
    let cells = to.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
    if !fits || cells.is_none_or(|cells| cells > CELLS_MAX) {
        let expected = "a constant that broadcasts against the other, to at most 2^24 elements";
        return Err(node.operand_error(1, expected, b.describe()));
    }
    Ok([first, second, to])
}

/// Whole numbers keep their kind where the result is whole; quotients round towards zero, as ONNX has it.
pub(crate) fn whole(x: f64) -> Option<i64> {
    let cut = x.trunc();
    (cut.abs() < 9_007_199_254_740_992.0).then(|| truncated(cut))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "integers below 2^53 in magnitude"
)]
const fn truncated(x: f64) -> i64 {
    x as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what is not exact is refused where it would matter: sizes are below 2^53"
)]
pub(crate) const fn real(x: i64) -> f64 {
    x as f64
}

/// Two constants combined.
pub(crate) fn binary(
    node: &Node<'_>,
    a: &Constant,
    b: &Constant,
    how: impl Fn(f64, f64) -> f64,
) -> Result<Vec<Slot>, OnnxError> {
    let [first, second, to] = joined(node, a, b)?;
    let values = match (&a.values, &b.values) {
        (Values::Floats(x), Values::Floats(y)) => {
            let (x, y) = (spread(x, &first, &to), spread(y, &second, &to));
            let pairs = x.iter().zip(&y);
            Values::Floats(
                pairs
                    .map(|(&x, &y)| narrow(how(x.into(), y.into())))
                    .collect(),
            )
        }
        (Values::Ints(x), Values::Ints(y)) => {
            let (x, y) = (spread(x, &first, &to), spread(y, &second, &to));
            let pairs = x.iter().zip(&y);
            let all = pairs.map(|(&x, &y)| whole(how(real(x), real(y))));
            let all = all.collect::<Option<Vec<i64>>>().ok_or_else(|| {
                node.operand_error(1, "of integers whose result is one", b.describe())
            })?;
            Values::Ints(all)
        }
        _ => {
            let expected = "of the kind that the other operand is of, without the batch size";
            return Err(node.operand_error(1, expected, b.describe()));
        }
    };
    Ok(made(node, to, values))
}

/// A function of each element of a constant.
pub(crate) fn unary(
    node: &Node<'_>,
    constant: &Constant,
    of: impl Fn(f64) -> f64,
) -> Result<Vec<Slot>, OnnxError> {
    let refused =
        || node.operand_error(0, "of numbers, without the batch size", constant.describe());
    let values = match &constant.values {
        Values::Floats(all) => Values::Floats(all.iter().map(|&x| narrow(of(x.into()))).collect()),
        Values::Ints(all) => {
            let all = all.iter().map(|&x| whole(of(real(x))));
            Values::Ints(all.collect::<Option<_>>().ok_or_else(refused)?)
        }
        Values::Sizes(_) => return Err(refused()),
    };
    Ok(made(node, constant.shape.clone(), values))
}

/// Elements at these indices, under another shape.
pub(crate) fn picked(
    node: &Node<'_>,
    constant: &Constant,
    shape: Vec<usize>,
    at: &[usize],
) -> Vec<Slot> {
    fn pick<T: Copy>(all: &[T], at: &[usize]) -> Vec<T> {
        at.iter().filter_map(|&at| all.get(at).copied()).collect()
    }
    let values = match &constant.values {
        Values::Floats(all) => Values::Floats(pick(all, at)),
        Values::Ints(all) => Values::Ints(pick(all, at)),
        Values::Sizes(all) => Values::of_sizes(pick(all, at)),
    };
    made(node, shape, values)
}
