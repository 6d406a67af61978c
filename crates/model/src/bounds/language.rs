//! Bounds of the ops that language models add (`docs/spec/arithmetic.md`, section 8).

use credence_exact::{
    Attend, Embed, Hadamard, Mul, NodeId, ParamId, Quantise, RmsRatio, Rope, Scores, Shift,
};

use super::{Bounder, BoundsError, hull, selects, times};
use crate::Interval;

/// Sums that are divided or whose root is taken stay below this.
const SUM_LIMIT: i128 = 1 << 62;
/// Largest weight of a position in a mean.
const WEIGHT_MAX: i128 = (1 << 15) - 1;
/// The shift of rotations.
const ROPE_SHIFT: u8 = 14;

fn magnitude(x: Interval) -> i128 {
    i128::from(x.min).abs().max(i128::from(x.max).abs())
}

fn symmetric(max: i64) -> Interval {
    Interval { min: -max, max }
}

fn narrow(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Bounder<'_> {
    pub(super) fn below(&self, sum: i128) -> Result<(), BoundsError> {
        if sum < SUM_LIMIT {
            return Ok(());
        }
        Err(BoundsError::Sum {
            node: self.node.name.clone(),
            magnitude: sum,
        })
    }

    /// Cells along the last axis.
    pub(super) fn length(&self, node: NodeId) -> i128 {
        let shape = self.program.shape(node);
        shape.map_or(i128::MAX, |shape| {
            i128::try_from(shape.last()).unwrap_or(i128::MAX)
        })
    }

    fn context(&self) -> u32 {
        let language = self.program.spec().language.as_ref();
        language.map_or(1, |language| language.context)
    }

    pub(super) fn token(&self) -> Interval {
        let language = self.program.spec().language.as_ref();
        let vocabulary = language.map_or(1, |language| language.vocabulary);
        Interval {
            min: 0,
            max: i64::from(vocabulary) - 1,
        }
    }

    pub(super) fn position(&self) -> Interval {
        Interval {
            min: 0,
            max: i64::from(self.context()) - 1,
        }
    }

    /// Every row by its own multiplier.
    pub(super) fn embed(&self, op: &Embed) -> Result<Interval, BoundsError> {
        let Some(table) = self.param(op.table) else {
            return Err(self.parameter("an absent table", 0));
        };
        let multipliers = self.values(op.multiplier);
        selects(
            &self.node.name,
            "its table",
            self.of(op.x),
            multipliers.len(),
        )?;
        if let Some(&got) = multipliers.iter().find(|&&m| m < 0) {
            return Err(self.parameter("a multiplier", got));
        }
        let (min, max) = table.dtype().range();
        let most = multipliers.iter().copied().max().unwrap_or(0);
        let ends = times(Interval { min, max }, most.into());
        self.rescaled([ends.0, ends.1], op.shift, (op.min, op.max))
    }

    pub(super) fn max_abs(&self, x: NodeId) -> Interval {
        Interval {
            min: 1,
            max: narrow(magnitude(self.of(x)).max(1)),
        }
    }

    pub(super) fn quantise(&self, op: &Quantise) -> Result<Interval, BoundsError> {
        let scale = self.of(op.scale);
        if scale.min < 1 {
            return Err(self.parameter("a scale", scale.min));
        }
        let limit = i64::from(op.limit);
        self.below(magnitude(self.of(op.x)) * i128::from(limit) + i128::from(scale.max / 2))?;
        Ok(symmetric(limit))
    }

    pub(super) fn rms_ratio(&self, op: &RmsRatio) -> Result<Interval, BoundsError> {
        let scale = self.of(op.scale);
        if scale.min < 0 {
            return Err(self.parameter("a scale", scale.min));
        }
        let square = magnitude(self.of(op.x)).pow(2);
        let sum = square.saturating_mul(self.length(op.x));
        self.below(sum.saturating_add(i128::from(op.epsilon)))?;
        let product = i128::from(scale.max) * i128::from(op.factor.get());
        self.below(product)?;
        Ok(Interval {
            min: 0,
            max: narrow(product).min(op.max.into()),
        })
    }

    pub(super) fn mul(&self, op: &Mul) -> Result<Interval, BoundsError> {
        let (a, b) = (self.of(op.a), self.of(op.b));
        let ends = [times(a, b.min.into()), times(a, b.max.into())];
        let low = ends[0].0.min(ends[1].0);
        let high = ends[0].1.max(ends[1].1);
        let bias = op.bias.map_or_else(|| vec![0], |bias| self.values(bias));
        let least = bias.iter().copied().min().unwrap_or(0);
        let most = bias.iter().copied().max().unwrap_or(0);
        let low = self.rounded(low, op.shift)?.saturating_add(least);
        let high = self.rounded(high, op.shift)?.saturating_add(most);
        Ok(Interval {
            min: low.clamp(op.min.into(), op.max.into()),
            max: high.clamp(op.min.into(), op.max.into()),
        })
    }

    fn largest(&self, param: ParamId) -> i128 {
        let values = self.values(param).into_iter();
        values.map(|v| i128::from(v).abs()).max().unwrap_or(0)
    }

    pub(super) fn rope(&self, op: &Rope) -> Result<Interval, BoundsError> {
        let x = self.of(op.x);
        let sum = magnitude(x) * (self.largest(op.cos) + self.largest(op.sin));
        let shift = Shift::try_from(ROPE_SHIFT).map_err(|source| BoundsError::Rescale {
            node: self.node.name.clone(),
            source,
        })?;
        let rotated = self.rescaled([-sum, sum], shift, (op.min, op.max))?;
        let clamped = |n: i64| n.clamp(op.min.into(), op.max.into());
        let kept = Interval {
            min: clamped(x.min),
            max: clamped(x.max),
        };
        Ok(hull(rotated, kept))
    }

    pub(super) fn scores(&self, op: &Scores) -> Result<Interval, BoundsError> {
        let product = magnitude(self.of(op.q)) * magnitude(self.of(op.k));
        let sum = product.saturating_mul(self.length(op.q));
        self.accumulator(-sum, sum)?;
        let sum = sum * i128::from(op.multiplier.get());
        let seen = self.rescaled([-sum, sum], op.shift, (op.min, op.max))?;
        // A cell that no position sees does not exist; whoever keeps one keeps a 0.
        Ok(hull(seen, Interval { min: 0, max: 0 }))
    }

    pub(super) fn attend(&self, op: &Attend) -> Result<Interval, BoundsError> {
        let v = self.of(op.v);
        let weights = i128::from(self.context()) * WEIGHT_MAX;
        let finer = 1_i64 << op.bits;
        self.below(magnitude(v) * weights * i128::from(finer) + weights / 2)?;
        Ok(Interval {
            min: v.min.saturating_mul(finer),
            max: v.max.saturating_mul(finer),
        })
    }

    pub(super) fn hadamard(&self, op: &Hadamard) -> Result<Interval, BoundsError> {
        let sum = magnitude(self.of(op.x)) * i128::from(op.size);
        self.accumulator(-sum, sum)
    }
}
