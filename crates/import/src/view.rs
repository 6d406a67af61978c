//! How a graph's value lies in the cells of a program's node.
//!
//! A graph has images as `[C, H, W]`, a program as `[H, W, C]`; a transpose or reshape of the graph is no work until an op asks for its
//! operand in a certain order. A [`View`] is a one-to-one map from a value's elements to a node's cells that is affine in pieces: each axis of the value
//! is a list of factors, slowest first, each a length and a step in cells. Transposing permutes axes; reshaping regroups factors, and splits one
//! where lengths allow.

use credence_exact::NodeId;

/// A part of an axis: `length` elements, `step` cells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) length: usize,
    pub(crate) step: usize,
}

/// A value as the cells of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) node: NodeId,
    /// For each axis of the value its factors, none of length 1, none two that could be one.
    axes: Vec<Vec<Factor>>,
}

impl View {
    /// A value of these dimensions whose cells lie row-major in the order `order` of its axes.
    pub(crate) fn permuted(node: NodeId, dims: &[usize], order: &[usize]) -> Self {
        let mut axes = vec![Vec::new(); dims.len()];
        let mut step = 1;
        for &axis in order.iter().rev() {
            axes[axis] = merged([Factor {
                length: dims[axis],
                step,
            }]);
            step *= dims[axis];
        }
        Self { node, axes }
    }

    /// A value whose cells lie row-major.
    pub(crate) fn row_major(node: NodeId, dims: &[usize]) -> Self {
        let order: Vec<usize> = (0..dims.len()).collect();
        Self::permuted(node, dims, &order)
    }

    /// The same cells of another node of the same shape.
    pub(crate) fn of(&self, node: NodeId) -> Self {
        Self {
            node,
            axes: self.axes.clone(),
        }
    }

    /// Dimensions of the value.
    #[cfg(test)]
    pub(crate) fn dims(&self) -> Vec<usize> {
        let length = |factors: &Vec<Factor>| factors.iter().map(|factor| factor.length).product();
        self.axes.iter().map(length).collect()
    }

    /// Axes in another order.
    pub(crate) fn transposed(&self, order: &[usize]) -> Self {
        Self {
            node: self.node,
            axes: order.iter().map(|&axis| self.axes[axis].clone()).collect(),
        }
    }

    /// The factors of the axes in this order, as few as they can be.
    pub(crate) fn factors(&self, order: &[usize]) -> Vec<Factor> {
        merged(
            order
                .iter()
                .flat_map(|&axis| self.axes[axis].iter().copied()),
        )
    }

    /// Whether the elements, axes in this order, lie one behind the other.
    pub(crate) fn is_contiguous(&self, order: &[usize]) -> bool {
        matches!(
            self.factors(order).as_slice(),
            [] | [Factor { step: 1, .. }]
        )
    }

    /// The same elements under other dimensions, unless a factor would have to be split where its length does not allow it.
    pub(crate) fn reshaped(&self, dims: &[usize]) -> Option<Self> {
        let order: Vec<usize> = (0..self.axes.len()).collect();
        let mut rest = self.factors(&order);
        let mut axes = Vec::with_capacity(dims.len());
        for &dim in dims.iter().rev() {
            let mut axis = Vec::new();
            let mut missing = dim;
            while missing > 1 {
                let Factor { length, step } = rest.pop()?;
                if missing.is_multiple_of(length) {
                    axis.push(Factor { length, step });
                    missing /= length;
                } else if length.is_multiple_of(missing) {
                    axis.push(Factor {
                        length: missing,
                        step,
                    });
                    rest.push(Factor {
                        length: length / missing,
                        step: step * missing,
                    });
                    missing = 1;
                } else {
                    return None;
                }
            }
            axis.reverse();
            axes.push(axis);
        }
        axes.reverse();
        Some(Self {
            node: self.node,
            axes,
        })
    }

    /// The order of axes in which the elements lie one behind the other, if there is one.
    pub(crate) fn order(&self) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        let mut steps = Vec::with_capacity(order.len());
        for factors in &self.axes {
            // An axis of one element lies anywhere: behind the one before it.
            steps.push(match factors.as_slice() {
                [] => steps.last().copied().unwrap_or(usize::MAX),
                [factor] => factor.step,
                _ => return None,
            });
        }
        order.sort_by_key(|&axis| core::cmp::Reverse(steps[axis]));
        self.is_contiguous(&order).then_some(order)
    }

    /// Whether the elements lie as another's do.
    pub(crate) fn lies_as(&self, other: &Self) -> bool {
        self.axes == other.axes
    }

    /// For each element of the value, row-major, the cell that holds it.
    pub(crate) fn cells(&self) -> Vec<usize> {
        let order: Vec<usize> = (0..self.axes.len()).collect();
        let mut cells = vec![0];
        for Factor { length, step } in self.factors(&order) {
            cells = cells
                .into_iter()
                .flat_map(|cell| (0..length).map(move |k| cell + k * step))
                .collect();
        }
        cells
    }
}

/// Drops factors of length 1 and joins neighbours that are one run.
fn merged(factors: impl IntoIterator<Item = Factor>) -> Vec<Factor> {
    let mut all: Vec<Factor> = Vec::new();
    for factor in factors {
        match all.last_mut() {
            _ if factor.length == 1 => {}
            Some(last) if last.step == factor.length * factor.step => {
                *last = Factor {
                    length: last.length * factor.length,
                    step: factor.step,
                };
            }
            _ => all.push(factor),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0);

    #[test]
    fn an_image_flattened_is_read_across_channels() {
        // [C, H, W] = [2, 2, 3] stored as [H, W, C].
        let image = View::permuted(NODE, &[2, 2, 3], &[1, 2, 0]);
        assert_eq!(image.cells(), [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
        assert!(image.is_contiguous(&[1, 2, 0]));
        assert!(!image.is_contiguous(&[0, 1, 2]));
        let flat = image.reshaped(&[12]).unwrap();
        assert_eq!(flat.cells(), image.cells());
        assert_eq!(flat.dims(), [12]);
        assert_eq!(flat.reshaped(&[2, 2, 3]), Some(image.clone()));
        let rows = image.transposed(&[1, 2, 0]);
        assert_eq!(rows.cells(), (0..12).collect::<Vec<_>>());
        assert_eq!(rows.dims(), [2, 3, 2]);
    }

    #[test]
    fn reshapes_split_runs_where_lengths_allow() {
        let line = View::row_major(NODE, &[12]);
        let grid = line.reshaped(&[3, 1, 4]).unwrap();
        assert_eq!(grid.dims(), [3, 1, 4]);
        assert!(grid.is_contiguous(&[0, 1, 2]));
        let turned = grid.transposed(&[2, 1, 0]);
        assert_eq!(turned.cells(), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(turned.reshaped(&[2, 6]).unwrap().cells(), turned.cells());
        assert_eq!(turned.reshaped(&[6, 2]), None, "3 does not split into 2s");
    }

    #[test]
    fn scalars_and_ones() {
        let one = View::row_major(NODE, &[1, 1]);
        assert!(one.is_contiguous(&[1, 0]));
        let scalar = one.reshaped(&[]).unwrap();
        assert_eq!(scalar.cells(), [0]);
        assert_eq!(scalar.reshaped(&[1]).unwrap().dims(), [1]);
    }
}
