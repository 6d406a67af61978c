//! In which stored forms each value of a graph is needed: decided from the outputs back, before anything is emitted.
//!
//! A value may be needed in several forms at once: as i8 by a convolution, as fine i32 by an output. What one form asks of the
//! operands is said in one place ([`Planner::operands`]), which planning and emission share. A clip never becomes an op: it narrows the
//! clamp of the form that is asked of its operand.

mod channels;
mod given;
mod values;
mod whole;

use std::collections::BTreeSet;

use credence_exact::Dtype;

use crate::calibrate::Feature;
use crate::error::LowerError;
use crate::forest::leaf_scale;
use crate::formula::Formula;
use crate::graph::{AffineOp, Function, Graph, GraphOp, Kind, ValueId};
use crate::number::{exponent_above, exponent_over, pow2};
use crate::producer::{Fold, Producer, feed, producer};
use crate::quant::{Quant, Scale};
use crate::reach::Reaches;

/// Steps of an i8 activation on either side of zero.
pub(crate) const NARROW_LEVELS: f64 = 127.0;
/// Steps of an i8 activation that is never negative.
const UNSIGNED_LEVELS: f64 = 255.0;
/// Steps of an i16 activation.
pub(crate) const WIDE_LEVELS: f64 = 32_767.0;
/// Largest value of two limbs of 8 bits: 127·256 + 127.
pub(crate) const LIMBS_LEVELS: f64 = 32_639.0;
/// Most features that are read as two limbs: their relations cost four reads a feature.
const LIMBS_FEATURES_MAX: usize = 2048;
/// The share of a matrix's signal that rounding its features may make up: −39 dB, what 8 bits give to features of one spread.
const FEATURE_NOISE: f64 = 1.0 / 8192.0;
/// The smallest reach of a feature, as a share of the largest magnitude.
const FINEST_FEATURE: f64 = 1.0 / 1_048_576.0;
/// A feature whose half range is below this share of its largest magnitude is mostly offset.
const OFFSET_SHARE: f64 = 0.75;
/// A value whose least element is above minus this share of its reach is stored about a zero of its own.
const SKEWED_SHARE: f64 = 0.5;
/// 16 bits reach this many times as far as the calibration set: a bit of them is worth less than what a rare value would lose.
pub(crate) const HEADROOM: f64 = 2.0;
/// Fraction bits of a softmax's operand.
pub(crate) const SOFTMAX_BITS: u8 = 11;
/// Fraction bits of probabilities.
pub(crate) const PROBABILITY_BITS: i32 = 24;

/// Largest exponent of an output's scale: its multiplier is below 2³¹.
const DECODE_EXPONENT_MAX: i32 = 30;

/// A form in which a value is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Integers at one scale.
    Real(Quant),
    /// i8, each feature at a scale, and about a centre, of its own.
    Features,
    /// i8 of an image, each channel at a scale of its own: those of the image `of`, negative ones clamped to 0 if it is `rectified`.
    Channels {
        /// The value whose channels give the scales.
        of: ValueId,
        /// Whether none of its elements is negative.
        rectified: bool,
    },
    /// As [`Form::Features`] in 16 bits, split into two limbs of 8.
    Limbs,
    /// Keys that order values as the reals are ordered.
    Keys,
    /// Indices, as they are.
    Index,
}

/// The forms needed of each value.
pub(crate) type Demands = Vec<BTreeSet<Form>>;

pub(crate) use self::values::{Left, itself};

pub(crate) struct Planner<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) reaches: Reaches,
    /// For each value, whether none who reads it as i8 needs the integer 0 to stand for the real 0.
    unsigned_readers: Vec<bool>,
    /// For each value the integers that its file has for it, if it does.
    given: Vec<Option<Quant>>,
    /// For each value, whether its elements are integers.
    wholes: Vec<bool>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(graph: &'a Graph, reaches: Reaches) -> Self {
        let given = given::all(graph);
        let mut unsigned_readers = vec![true; graph.nodes().len()];
        for reader in graph.nodes() {
            let signed = match reader.op() {
                // Outside its operand a convolution takes the integer 0 for the real.
                GraphOp::Conv(op) => op.window.pad != [0; 4],
                GraphOp::AveragePool { x, .. } | GraphOp::Sum { x } => given[x.0].is_none(),
                GraphOp::Affine(op) => given[op.x.0].is_none(),
                // Linear nodes take off in their bias what the zero adds; all others ask for other forms, or pass on what
                // their readers ask for.
                _ => false,
            };
            for operand in reader.op().operands() {
                unsigned_readers[operand.0] &= !signed;
            }
        }
        for value in graph.values() {
            // What a padded convolution reads once a scaling in front of it is part of its weights.
            if matches!(graph.node(value).op(), GraphOp::Conv(op) if op.window.pad != [0; 4]) {
                unsigned_readers[feed(graph, value).0.0] = false;
            }
        }
        Self {
            graph,
            reaches,
            unsigned_readers,
            given,
            wholes: whole::wholes(graph),
        }
    }

    /// All demands, from the outputs back.
    pub(crate) fn demands(&self) -> Result<Demands, LowerError> {
        let mut demands: Demands = vec![BTreeSet::new(); self.graph.nodes().len()];
        for output in self.graph.outputs() {
            demands[output.value.0].insert(self.output_form(output.value)?);
        }
        for value in self.graph.values().rev() {
            for form in demands[value.0].clone() {
                for (operand, form) in self.operands(value, form)? {
                    demands[operand.0].insert(form);
                }
            }
        }
        Ok(demands)
    }

    /// The form in which an output, or an argmax, reads a value: as fine as 32 bits allow.
    pub(crate) fn output_form(&self, value: ValueId) -> Result<Form, LowerError> {
        if self.graph.node(value).kind() == Kind::Index {
            return Ok(Form::Index);
        }
        let mut at = value;
        let exponent = loop {
            match self.graph.node(at).op() {
                GraphOp::Reshape { x, .. } | GraphOp::Transpose { x, .. } => at = *x,
                GraphOp::Trees { ensemble, .. } => break leaf_scale(ensemble),
                _ => break fine_exponent(self.largest(value)?),
            }
        };
        if exponent > DECODE_EXPONENT_MAX {
            return Err(LowerError::Magnitude {
                node: self.graph.node(value).name().to_owned(),
            });
        }
        Ok(Form::Real(Quant::symmetric(
            Dtype::I32,
            Scale::pow2(exponent),
        )))
    }

    /// The i8 form of a value.
    pub(crate) fn narrow(&self, value: ValueId) -> Result<Form, LowerError> {
        if let Some(given) = self.given[value.0]
            && (given.zero == 0 || self.unsigned_readers[value.0])
        {
            return Ok(Form::Real(given));
        }
        let unsigned = self.unsigned_readers[value.0] && self.never_negative(value);
        let levels = if unsigned {
            UNSIGNED_LEVELS
        } else {
            NARROW_LEVELS
        };
        let reach = self.reaches.clipped(value, levels);
        let reach = reach.map_err(|unknown| self.uncalibrated(unknown.0))?;
        let scale = Scale::reaching(reach, levels);
        if let Some(low) = self.skewed(value, reach) {
            let reach = self.reaches.clipped(value, UNSIGNED_LEVELS);
            let high = reach.map_err(|unknown| self.uncalibrated(unknown.0))?;
            return Ok(Form::Real(Quant::between(low, high)));
        }
        Ok(Form::Real(if unsigned {
            Quant::unsigned(scale)
        } else {
            let exact = self.exact_scale(value);
            Quant::symmetric(Dtype::I8, exact.unwrap_or(scale))
        }))
    }

    /// The least element of a table's value that is mostly positive, where readers need no integer 0 for the real one: gates such as `x·sigmoid(x)`.
    fn skewed(&self, value: ValueId, reach: f64) -> Option<f64> {
        let low = self.reaches.observed()?.least(value);
        let table = matches!(producer(self.graph, value), Producer::Table { .. });
        let skewed = low < 0.0 && -low < SKEWED_SHARE * reach;
        (table && skewed && self.unsigned_readers[value.0]).then_some(low)
    }

    /// Whether a value is never negative and comes from ops that can store it unsigned: products, whose bias takes up the zero, and tables.
    fn never_negative(&self, value: ValueId) -> bool {
        let (mut open, mut clipped) = (vec![(value, false)], true);
        while let Some((at, rectified)) = open.pop() {
            let node = self.graph.node(at);
            match producer(self.graph, at) {
                Producer::Plain(GraphOp::Clip { x, min, .. }) => {
                    open.push((*x, rectified || *min >= 0.0));
                }
                Producer::Plain(
                    GraphOp::MaxPool { .. }
                    | GraphOp::Reshape { .. }
                    | GraphOp::Transpose { .. }
                    | GraphOp::Slice { .. }
                    | GraphOp::Expand { .. }
                    | GraphOp::Max { .. }
                    | GraphOp::Concat { .. },
                ) => open.extend(node.op().operands().into_iter().map(|x| (x, rectified))),
                Producer::Product { .. } => clipped &= rectified,
                Producer::Table { function, fold, .. } => {
                    let positive = function == Function::Sigmoid && fold == Fold::identity();
                    clipped &= rectified || positive;
                }
                Producer::Diagonal(_) | Producer::Plain(_) => return false,
            }
        }
        clipped
    }

    /// The scale at which an input's elements are integers themselves, if they all are multiples of one power of two and few enough.
    fn exact_scale(&self, value: ValueId) -> Option<Scale> {
        let grain = self.reaches.observed()?.grain(value)?;
        let steps = self.reaches.largest(value).ok()? / pow2(grain);
        if !(1.0..=NARROW_LEVELS).contains(&steps) {
            return None;
        }
        Some(Scale::exactly(
            pow2(grain) / (NARROW_LEVELS / steps).floor(),
        ))
    }

    /// The i16 form of a value.
    pub(crate) fn wide(&self, value: ValueId) -> Result<Form, LowerError> {
        if let Some(given) = self.given[value.0] {
            return Ok(Form::Real(given.about_zero()));
        }
        let scale = Scale::reaching(HEADROOM * self.largest(value)?, WIDE_LEVELS);
        Ok(Form::Real(Quant::symmetric(Dtype::I16, scale)))
    }

    pub(crate) fn largest(&self, value: ValueId) -> Result<f64, LowerError> {
        let reach = self.reaches.largest(value);
        reach.map_err(|unknown| self.uncalibrated(unknown.0))
    }

    pub(crate) fn uncalibrated(&self, value: ValueId) -> LowerError {
        LowerError::Uncalibrated {
            node: self.graph.node(value).name().to_owned(),
        }
    }

    /// What emitting a value in a form asks of its operands, in their order.
    pub(crate) fn operands(
        &self,
        value: ValueId,
        form: Form,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        match form {
            Form::Real(quant) => self.real_operands(value, quant),
            Form::Channels { of, rectified } => self.channel_operands(value, of, rectified),
            Form::Keys => self.key_operands(value),
            Form::Index => self.index_operands(value),
            // Only inputs are asked for these.
            Form::Features | Form::Limbs => Ok(Vec::new()),
        }
    }

    fn real_operands(
        &self,
        value: ValueId,
        quant: Quant,
    ) -> Result<Vec<(ValueId, Form)>, LowerError> {
        let same = |x: &ValueId| (*x, Form::Real(quant));
        match producer(self.graph, value) {
            Producer::Product { base, .. } => {
                let (x, _) = feed(self.graph, base);
                Ok(vec![(x, self.product_operand(base, x)?)])
            }
            Producer::Table { x, function, .. } => {
                Ok(vec![(x, self.table_operand(x, &function, quant)?)])
            }
            Producer::Diagonal(op) => Ok(vec![(op.x, self.diagonal_operand(op, quant)?)]),
            Producer::Plain(op) => Ok(match op {
                GraphOp::Clip { x, min, max } => {
                    vec![(*x, Form::Real(quant.clipped(*min, *max)))]
                }
                GraphOp::Add { a, b, .. } => vec![(*a, self.term(*a)?), (*b, self.term(*b)?)],
                GraphOp::AveragePool { x, .. } if self.given[x.0].is_some() => {
                    vec![(*x, self.wide(*x)?)]
                }
                GraphOp::AveragePool { x, .. } => vec![(*x, self.narrow(*x)?)],
                GraphOp::Quantised { x, codes } => vec![(*x, self.codes_form(*x, *codes))],
                GraphOp::MaxPool { x, .. }
                | GraphOp::Reshape { x, .. }
                | GraphOp::Transpose { x, .. } => vec![same(x)],
                GraphOp::Concat { xs, .. } => xs.iter().map(same).collect(),
                GraphOp::Max { x }
                | GraphOp::Slice { x, .. }
                | GraphOp::Expand { x, .. }
                | GraphOp::Pad { x, .. } => vec![same(x)],
                GraphOp::Mul { a, b } => self.factors(*a, *b, quant)?,
                GraphOp::Div { a, b } => self.fraction(*a, *b, quant)?,
                GraphOp::MatMul { a, b } => self.matrices(*a, *b)?,
                GraphOp::Sum { x } | GraphOp::Normalise { x, .. } => vec![(*x, self.wide(*x)?)],
                GraphOp::Rows { x, .. } => vec![(*x, Form::Index)],
                GraphOp::Softmax { x } => {
                    let scale = Scale::pow2(-i32::from(SOFTMAX_BITS));
                    vec![(*x, Form::Real(Quant::symmetric(Dtype::I32, scale)))]
                }
                GraphOp::Trees { x, .. } => vec![(*x, Form::Keys)],
                _ => Vec::new(),
            }),
        }
    }

    /// A table's operand: at a power of two, in as many steps as the result's type can tell apart.
    fn table_operand(
        &self,
        x: ValueId,
        function: &Function,
        quant: Quant,
    ) -> Result<Form, LowerError> {
        if let Some(given) = self.given[x.0] {
            return Ok(Form::Real(given));
        }
        if let Some(form) = self.whole_table(x)? {
            return Ok(form);
        }
        // Where the function no longer changes by a step of 2^−24.
        let enough = match function {
            Function::Sigmoid => 18.0,
            Function::Tanh => 9.0,
            Function::LeakyRelu { .. } | Function::Formula(_) => f64::INFINITY,
        };
        let headroom = match function {
            Function::Formula(_) => HEADROOM,
            Function::LeakyRelu { .. } | Function::Sigmoid | Function::Tanh => 1.0,
        };
        let reach = (headroom * self.largest(x)?).max(pow2(-20)).min(enough);
        let levels = if quant.dtype == Dtype::I8 {
            match function {
                Function::Formula(_) => 8191,
                Function::LeakyRelu { .. } | Function::Sigmoid | Function::Tanh => 4095,
            }
        } else {
            32_767
        };
        let bits = exponent_over(f64::from(levels) / reach) - 1;
        Ok(Form::Real(Quant {
            dtype: Dtype::I16,
            scale: Scale::pow2(-bits.min(30)),
            zero: 0,
            min: -levels,
            max: levels,
        }))
    }

    /// The form in which a product reads x: i8, and for the features of a table of data with a scale for each or in two
    /// limbs, where one scale for all would lose too much.
    fn product_operand(&self, base: ValueId, x: ValueId) -> Result<Form, LowerError> {
        let narrow = self.narrow(x)?;
        if self.given[x.0].is_some() {
            return Ok(narrow);
        }
        if let Form::Real(quant) = narrow
            && let Some(form) = self.finer(base, x, quant)?
        {
            return Ok(form);
        }
        let (GraphOp::Linear(op), GraphOp::Input { .. }, Form::Real(quant)) =
            (self.graph.node(base).op(), self.graph.node(x).op(), narrow)
        else {
            return Ok(narrow);
        };
        let observed = self.reaches.observed();
        let features = observed.and_then(|observed| observed.features(x));
        let Some(features) = features.filter(|_| self.exact_scale(x).is_none()) else {
            return Ok(narrow);
        };
        let (_, fold) = feed(self.graph, base);
        let columns = features.len();
        let mut squares = vec![0.0; columns];
        for (at, &w) in op.weight.iter().enumerate() {
            let w = f64::from(w) * fold.scale_at(at % columns);
            squares[at % columns] += w * w;
        }
        let sum = |of: &dyn Fn(usize) -> f64| {
            let columns = squares.iter().enumerate();
            columns.fold(0.0, |sum, (k, c)| sum + c * of(k))
        };
        let allowed = 12.0 * FEATURE_NOISE * sum(&|k| features[k].variance);
        // An input is encoded at its scale and saturates at its reach: what lies beyond is noise too.
        let step = quant.scale.get();
        let beyond = |k: usize| (features[k].largest() - step * NARROW_LEVELS).max(0.0);
        if sum(&|k| step * step + 12.0 * beyond(k) * beyond(k)) <= allowed {
            return Ok(narrow);
        }
        let ranges = feature_ranges(features);
        let step = |k: usize| ranges[k].reach / NARROW_LEVELS;
        let split = columns <= LIMBS_FEATURES_MAX && sum(&|k| step(k) * step(k)) > allowed;
        Ok(if split { Form::Limbs } else { Form::Features })
    }

    fn key_operands(&self, value: ValueId) -> Result<Vec<(ValueId, Form)>, LowerError> {
        match self.graph.node(value).op() {
            GraphOp::Input { .. } => Ok(Vec::new()),
            GraphOp::Reshape { x, .. }
            | GraphOp::Transpose { x, .. }
            | GraphOp::Slice { x, .. }
            | GraphOp::Expand { x, .. } => Ok(vec![(*x, Form::Keys)]),
            GraphOp::Concat { xs, .. } => Ok(xs.iter().map(|&x| (x, Form::Keys)).collect()),
            op => Err(LowerError::TreesNeedInputs {
                node: self.graph.node(value).name().to_owned(),
                op: op.name(),
            }),
        }
    }

    fn index_operands(&self, value: ValueId) -> Result<Vec<(ValueId, Form)>, LowerError> {
        match self.graph.node(value).op() {
            GraphOp::ArgMax { x } => {
                let x = self.ordered_as(*x);
                Ok(vec![(x, self.output_form(x)?)])
            }
            GraphOp::Reshape { x, .. }
            | GraphOp::Transpose { x, .. }
            | GraphOp::Slice { x, .. }
            | GraphOp::Expand { x, .. }
            | GraphOp::Lookup { x, .. } => Ok(vec![(*x, Form::Index)]),
            _ => Ok(Vec::new()),
        }
    }

    /// The value whose order an argmax of `x` sees: a softmax keeps it and costs precision.
    pub(crate) fn ordered_as(&self, mut x: ValueId) -> ValueId {
        while let GraphOp::Softmax { x: logits } = self.graph.node(x).op() {
            x = *logits;
        }
        x
    }
}

/// The part of the reals that a feature's stored form covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FeatureRange {
    pub(crate) centre: f64,
    pub(crate) reach: f64,
}

/// What the stored forms of features cover: magnitudes, or, where one is mostly offset, all of them about their centres.
pub(crate) fn feature_ranges(features: &[Feature]) -> Vec<FeatureRange> {
    let largest = features.iter().map(|feature| feature.largest());
    let largest = largest.fold(pow2(-100), f64::max);
    let half = |feature: &Feature| (feature.max - feature.min) / 2.0;
    let off = |feature: &Feature| half(feature) < OFFSET_SHARE * feature.largest();
    let centred = features.iter().any(off);
    let covered = |feature: &Feature| {
        if centred {
            ((feature.max + feature.min) / 2.0, half(feature))
        } else {
            (0.0, feature.largest())
        }
    };
    let reaches = features.iter().map(|feature| covered(feature).1);
    let smallest = reaches.filter(|reach| *reach > 0.0).reduce(f64::min);
    let range = |feature: &Feature| {
        let (centre, reach) = covered(feature);
        // A feature that never changed is covered as far as the smallest of the others, so that its weights do not coarsen theirs.
        let reach = if reach == 0.0 {
            smallest.unwrap_or(largest)
        } else {
            reach
        };
        FeatureRange {
            centre,
            reach: reach.max(largest * FINEST_FEATURE),
        }
    };
    features.iter().map(range).collect()
}

/// The exponent of a fine scale: sixteen times the largest magnitude observed fits 31 bits, and probabilities get 24.
fn fine_exponent(largest: f64) -> i32 {
    if largest < pow2(-90) {
        return -PROBABILITY_BITS;
    }
    let exponent = exponent_above(largest) + 4 - 30;
    if largest > pow2(-4) {
        exponent.max(-PROBABILITY_BITS)
    } else {
        exponent
    }
}
