//! Shapes of the ops that combine values, reduce them, or take parts of them.

use super::{Checker, Shaped};
use crate::builder::GraphError;
use crate::graph::{Function, GraphInput, GraphOp, Kind, Run, ValueId};
use credence_model::BorderType;

impl Checker<'_> {
    /// What these ops give; `None` for any other.
    pub(super) fn values(
        &self,
        op: &GraphOp,
        inputs: &[GraphInput],
    ) -> Result<Option<Shaped>, GraphError> {
        Ok(Some(match op {
            GraphOp::Unary { x, function } => {
                match function {
                    Function::LeakyRelu { alpha } => {
                        self.finite("alpha", core::iter::once(*alpha))?;
                    }
                    Function::Formula(formula) => {
                        self.finite("a number of the formula", formula.numbers())?;
                    }
                    Function::Sigmoid | Function::Tanh => {}
                }
                (self.real(*x)?.to_vec(), Kind::Real, 8)
            }
            GraphOp::Mul { a, b } | GraphOp::Div { a, b } => self.pair(*a, *b)?,
            GraphOp::MatMul { a, b } => self.mat_mul(*a, *b)?,
            GraphOp::Sum { x } | GraphOp::Max { x } => {
                let (last, rest) = self.vectors(*x)?.split_last().unwrap_or((&1, &[]));
                (rest.to_vec(), Kind::Real, *last)
            }
            GraphOp::Normalise { x, epsilon, .. } => {
                self.finite("epsilon", core::iter::once(*epsilon))?;
                self.require(*epsilon >= 0.0, "epsilon", "at least 0", || {
                    epsilon.to_string()
                })?;
                (self.vectors(*x)?.to_vec(), Kind::Real, 8)
            }
            GraphOp::Slice { x, axis, run } => self.slice(*x, *axis, *run)?,
            GraphOp::Expand { x, shape } => self.expand(*x, shape)?,
            GraphOp::Pad {
                x,
                axis,
                counts,
                value,
            } => self.pad(*x, *axis, *counts, *value)?,
            GraphOp::Quantised { x, codes } => {
                let sound = codes.scale.is_finite() && codes.scale > f32::MIN_POSITIVE;
                self.require(sound, "the scale", "positive and finite", || {
                    codes.scale.to_string()
                })?;
                (self.real(*x)?.to_vec(), Kind::Real, 1)
            }
            GraphOp::Rows { x, table, width } => self.rows(*x, table, *width, inputs)?,
            _ => return Ok(None),
        }))
    }

    fn pair(&self, a: ValueId, b: ValueId) -> Result<Shaped, GraphError> {
        let (a, b) = (self.real(a)?, self.real(b)?);
        self.require(a == b, "the operands", "of one shape", || {
            format!("{a:?} and {b:?}")
        })?;
        Ok((a.to_vec(), Kind::Real, 1))
    }

    fn mat_mul(&self, a: ValueId, b: ValueId) -> Result<Shaped, GraphError> {
        let (a, b) = (self.real(a)?, self.real(b)?);
        let parts = match (a, b) {
            ([outer, rows, inner], [outer_b, inner_b, columns])
                if outer == outer_b && inner == inner_b =>
            {
                Some((vec![*outer, *rows, *columns], *inner))
            }
            ([rows, inner], [inner_b, columns]) if inner == inner_b => {
                Some((vec![*rows, *columns], *inner))
            }
            _ => None,
        };
        let expected = "matrices, or as many of them, [M, K] beside [K, N]";
        let (shape, inner) = parts
            .ok_or_else(|| self.operand("the operands", expected, format!("{a:?} and {b:?}")))?;
        Ok((shape, Kind::Real, inner))
    }

    fn axis(&self, shape: &[usize], axis: usize) -> Result<usize, GraphError> {
        let found = shape.get(axis).copied();
        found.ok_or_else(|| {
            self.operand(
                "axis",
                format!("one of those of {shape:?}"),
                axis.to_string(),
            )
        })
    }

    fn slice(&self, x: ValueId, axis: usize, run: Run) -> Result<Shaped, GraphError> {
        let (shape, kind) = self.any(x)?;
        let length = self.axis(shape, axis)?;
        let inside = |at: usize| at < length;
        let last = i128::try_from(run.start).ok().zip(
            i128::try_from(run.count)
                .ok()
                .zip(i128::try_from(run.step).ok()),
        );
        let last = last
            .and_then(|(start, (count, step))| usize::try_from(start + (count - 1) * step).ok());
        let sound = run.count > 0 && run.step != 0 && inside(run.start) && last.is_some_and(inside);
        self.require(sound, "the slice", &format!("within 0..{length}"), || {
            format!("{run:?}")
        })?;
        let mut shape = shape.to_vec();
        shape[axis] = run.count;
        Ok((shape, kind, 1))
    }

    fn expand(&self, x: ValueId, to: &[usize]) -> Result<Shaped, GraphError> {
        let (shape, kind) = self.any(x)?;
        let fits = shape.len() == to.len()
            && shape
                .iter()
                .zip(to)
                .all(|(&from, &to)| from == to || (from == 1 && to > 0));
        self.require(
            fits,
            "the new shape",
            &format!("{shape:?} with axes of length 1 repeated"),
            || format!("{to:?}"),
        )?;
        Ok((to.to_vec(), kind, 1))
    }

    fn pad(
        &self,
        x: ValueId,
        axis: usize,
        counts: [usize; 2],
        value: f64,
    ) -> Result<Shaped, GraphError> {
        let mut shape = self.real(x)?.to_vec();
        let length = self.axis(&shape, axis)?;
        self.finite("the number", core::iter::once(value))?;
        let padded = length
            .checked_add(counts[0])
            .and_then(|sum| sum.checked_add(counts[1]))
            .filter(|&sum| sum < 1 << 30);
        shape[axis] =
            padded.ok_or_else(|| self.operand("padding", "below 2^30", format!("{counts:?}")))?;
        Ok((shape, Kind::Real, 1))
    }

    fn rows(
        &self,
        x: ValueId,
        table: &[f32],
        width: usize,
        inputs: &[GraphInput],
    ) -> Result<Shaped, GraphError> {
        let (shape, kind) = self.any(x)?;
        let mut source = x;
        let integer = loop {
            match self.nodes.get(source.0).map(|node| &node.op) {
                Some(GraphOp::Input { index }) => {
                    let input = inputs.get(*index);
                    break input.is_some_and(|input| input.dtype != BorderType::Fp32);
                }
                Some(
                    GraphOp::Reshape { x, .. }
                    | GraphOp::Transpose { x, .. }
                    | GraphOp::Slice { x, .. }
                    | GraphOp::Expand { x, .. },
                ) => source = *x,
                _ => break false,
            }
        };
        self.require(
            kind == Kind::Index || integer,
            "x",
            "an integer input, or indices",
            || "real numbers".to_owned(),
        )?;
        let sound = width > 0 && !table.is_empty() && table.len().is_multiple_of(width);
        self.require(sound, "table", "rows of one length", || {
            format!("{} elements in rows of {width}", table.len())
        })?;
        self.finite("the table", table.iter().map(|&w| f64::from(w)))?;
        let mut shape = shape.to_vec();
        shape.push(width);
        Ok((shape, Kind::Real, 1))
    }
}
