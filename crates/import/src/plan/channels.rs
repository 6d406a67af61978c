//! Images at a scale for each channel, which a convolution that reads every channel by itself takes up in its weights without loss.

use super::{FEATURE_NOISE, Form, NARROW_LEVELS, Planner};
use crate::calibrate::Channel;
use crate::error::LowerError;
use crate::graph::{GraphOp, ValueId};
use crate::number::{from_len, pow2};
use crate::producer::{Producer, producer};

/// The smallest reach of a channel, as a share of the largest: 16 bits, from which most are rounded, hold no more.
const FINEST_CHANNEL: f64 = 1.0 / 128.0;

impl Planner<'_> {
    /// The form for a convolution of single channels, if one scale of this step for all loses more than 2^−13 of the mean channel and a scale for
    /// each loses less, and no more than `most` of all together.
    pub(super) fn by_channel(
        &self,
        (base, x): (ValueId, ValueId),
        step: f64,
        most: f64,
    ) -> Option<Form> {
        let GraphOp::Conv(op) = self.graph.node(base).op() else {
            return None;
        };
        let channels = *self.graph.node(x).shape().first()?;
        if channels < 2 || op.groups != channels {
            return None;
        }
        let all = self.reaches.observed()?.channels(x);
        let power = all.iter().fold(0.0, |sum, c| sum + c.power);
        if all.len() != channels || power <= 0.0 {
            return None;
        }
        // What rounding a channel to a step makes up of it, all of it at most.
        let share = |step: f64, c: &Channel| match c.power {
            0.0 => 0.0,
            power => (step * step / (12.0 * power)).min(1.0),
        };
        let steps = self.channel_steps(x);
        let one = all.iter().fold(0.0, |sum, c| sum + share(step, c));
        let each = all.iter().zip(&steps);
        let each = each.fold(0.0, |sum, (c, &step)| sum + share(step, c));
        let noise = steps.iter().fold(0.0, |sum, step| sum + step * step) / 12.0;
        let worse = one > FEATURE_NOISE * from_len(channels);
        let rectified = false;
        let form = Form::Channels { of: x, rectified };
        (worse && each < one && noise <= most * power).then_some(form)
    }

    /// Reals per step of each channel.
    pub(crate) fn channel_steps(&self, of: ValueId) -> Vec<f64> {
        let observed = self.reaches.observed();
        let all = observed.map_or(&[][..], |observed| observed.channels(of));
        let largest = all.iter().fold(pow2(-100), |most, c| most.max(c.largest));
        let reach = |largest_of: f64| largest_of.max(largest * FINEST_CHANNEL);
        all.iter()
            .map(|c| reach(c.largest) / NARROW_LEVELS)
            .collect()
    }

    /// What a value in this form is made from: a rectified value from what is rectified, a product from what it reads, all else from its 16 bits.
    pub(super) fn channel_operands(
        &self,
        value: ValueId,
        of: ValueId,
        rectified: bool,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        if let Some((x, rectifies)) = self.rectified(value) {
            let rectified = rectified || rectifies;
            return Ok(vec![(x, Form::Channels { of, rectified })]);
        }
        match self.wide(value)? {
            Form::Real(quant) => self.real_operands(value, quant),
            _ => Err(LowerError::Size),
        }
    }

    /// What a clip reads whose ends a scale for each channel can follow: above, the largest observed is the end.
    pub(crate) fn rectified(&self, value: ValueId) -> Option<(ValueId, bool)> {
        match self.graph.node(value).op() {
            GraphOp::Clip { x, min, .. } if *min == 0.0 => Some((*x, true)),
            _ => None,
        }
    }

    /// Whether a value's channels can be rescaled from the sums of a product.
    pub(crate) fn is_product(&self, value: ValueId) -> bool {
        matches!(producer(self.graph, value), Producer::Product { base, .. }
            if matches!(self.graph.node(base).op(), GraphOp::Conv(_)))
    }
}
