//! The steps of the ops that language models add.

use credence_exact::{
    Attend, Embed, Hadamard, Mul, NodeId, Op, Quantise, RmsRatio, Rope, Scores, Shape,
};

use super::build::{Broken, Builder};
use crate::cells::index;
use crate::step::{self, Place, Rounding, ScorePlace, Step};

/// The shift of rotations.
const ROPE_SHIFT: u8 = 14;

impl Builder<'_> {
    fn last(&self, node: NodeId) -> Result<usize, Broken> {
        Ok(self.shape(node)?.last())
    }

    pub(super) fn embed(&self, op: &Embed, y: Place) -> Result<Step, Broken> {
        let table = self.model.param(op.table).ok_or("its table is absent")?;
        Ok(Step::Embed(step::Embed {
            x: self.place(op.x)?,
            y,
            table: op.table,
            dtype: table.dtype(),
            multipliers: self.param(op.multiplier)?,
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
        }))
    }

    pub(super) fn max_abs(&self, x: NodeId, y: Place) -> Result<Step, Broken> {
        let length = self.last(x)?;
        let x = self.place(x)?;
        Ok(Step::MaxAbs(step::MaxAbs { x, y, length }))
    }

    pub(super) fn quantise(&self, op: &Quantise, y: Place) -> Result<Step, Broken> {
        Ok(Step::Quantise(step::Quantise {
            x: self.place(op.x)?,
            scale: self.place(op.scale)?,
            y,
            length: self.last(op.x)?,
            limit: op.limit,
        }))
    }

    pub(super) fn rms_ratio(&self, op: &RmsRatio, y: Place) -> Result<Step, Broken> {
        Ok(Step::RmsRatio(step::RmsRatio {
            x: self.place(op.x)?,
            scale: self.place(op.scale)?,
            y,
            length: self.last(op.x)?,
            factor: op.factor.get(),
            epsilon: i64::try_from(op.epsilon).map_err(|_| "its epsilon is too large")?,
            max: op.max,
        }))
    }

    pub(super) fn mul(&self, op: &Mul, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let length = shape.last();
        Ok(Step::Mul(step::Mul {
            a: self.place(op.a)?,
            b: self.place(op.b)?,
            y,
            length,
            each: self.last(op.b)? == length,
            bias: self.bias(op.bias)?,
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
        }))
    }

    pub(super) fn rope(&mut self, op: &Rope, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let table = self.model.program().param_shape(op.cos);
        let bounds = self.model.bounds(op.x).ok_or("its operand has no bounds")?;
        let (cos, sin) = (self.shared(op.cos)?, self.shared(op.sin)?);
        let largest = |angles: &[i32]| angles.iter().map(|angle| i64::from(*angle).abs()).max();
        let turn = largest(&cos).unwrap_or(0) + largest(&sin).unwrap_or(0);
        let sum = bounds.min.abs().max(bounds.max).saturating_mul(turn);
        Ok(Step::Rope(step::Rope {
            narrow: sum < i64::from(i32::MAX) >> 1,
            x: self.place(op.x)?,
            y,
            length: shape.last(),
            pairs: table.ok_or("its angles are absent")?.last(),
            cos,
            sin,
            rounding: Rounding {
                shift: ROPE_SHIFT,
                min: op.min,
                max: op.max,
            },
        }))
    }

    pub(super) fn hadamard(&self, op: &Hadamard, y: Place) -> Result<Step, Broken> {
        let (x, size) = (self.place(op.x)?, index(op.size));
        Ok(Step::Hadamard(step::Hadamard { x, y, size }))
    }

    /// The number of a node among those that are remembered as keys, or as values.
    fn slot(nodes: &[NodeId], node: NodeId) -> Result<usize, Broken> {
        let found = nodes.iter().position(|&other| other == node);
        found.ok_or("what it reads is not remembered")
    }

    /// The scores' step, their place, and operations of one position at half of the context.
    pub(super) fn scores(
        &self,
        id: NodeId,
        op: &Scores,
        shape: &Shape,
    ) -> Result<(Step, ScorePlace, usize), Broken> {
        let layout = self.model.program().language().ok_or("it has no tokens")?;
        let part = if layout.is_carried(id) {
            layout.positions()
        } else {
            layout.sampled()
        };
        let y = ScorePlace {
            heads_before: part.heads_before(id).ok_or("its scores have no place")?,
            heads: shape.dims().first().copied().unwrap_or(1),
        };
        let q = self.place(op.q)?;
        let step = Step::Scores(step::Scores {
            q,
            y,
            slot: Self::slot(layout.keys(), op.k)?,
            multiplier: op.multiplier.get(),
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
            window: op.window.map_or(usize::MAX, index),
        });
        Ok((step, y, q.cells * shape.last() / 2))
    }

    pub(super) fn attend(&self, op: &Attend, y: Place) -> Result<Step, Broken> {
        let program = self.model.program();
        let layout = program.language().ok_or("it has no tokens")?;
        let node = program.node(op.scores).map(|node| &node.op);
        let (Some(Op::Scores(scores)), Some(shape)) = (node, program.shape(op.scores)) else {
            return Err("it reads no scores");
        };
        let (_, place, _) = self.scores(op.scores, scores, shape)?;
        let bounds = self.model.bounds(op.v).ok_or("its values have no bounds")?;
        Ok(Step::Attend(step::Attend::new(
            place,
            y,
            Self::slot(layout.values(), op.v)?,
            (scores.window.map_or(usize::MAX, index), op.bits),
            (shape.last(), bounds.min.abs().max(bounds.max)),
        )))
    }

    /// What puts a node's cells into the cache: one step as keys, one as values, or none.
    pub(super) fn remember(&self, id: NodeId) -> Result<Vec<Step>, Broken> {
        let Some(layout) = self.model.program().language() else {
            return Ok(Vec::new());
        };
        let mut steps = Vec::new();
        for (nodes, kind) in [
            (layout.keys(), step::Kind::Keys),
            (layout.values(), step::Kind::Values),
        ] {
            if let Ok(slot) = Self::slot(nodes, id) {
                let x = self.place(id)?;
                steps.push(Step::Remember(step::Remember { x, slot, kind }));
            }
        }
        Ok(steps)
    }
}
