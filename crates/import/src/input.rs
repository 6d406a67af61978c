//! Inputs: how their elements are encoded, and the forms that their readers ask for.

use credence_exact::{Add, Conv, Dtype, Input, Multiplier, Op, Shift};
use credence_model::{BorderType, Encode};

use crate::emit::Raw;
use crate::error::LowerError;
use crate::forest::{Features, INTEGER_MAX};
use crate::graph::{GraphOp, ValueId};
use crate::lower::Lowering;
use crate::number::{dim32, pow2, round_to};
use crate::plan::{Form, LIMBS_LEVELS, NARROW_LEVELS, feature_ranges};
use crate::product::UNIT_WINDOW;
use crate::quant::{Quant, Reciprocal, Scale, multipliers};
use crate::view::View;

/// Steps of a fine encoding on either side of zero, from which coarser forms are rescaled.
const FINE_LEVELS: f64 = 1_073_741_823.0;
/// A fine encoding reaches this many times as far as the calibration set.
const FINE_HEADROOM: f64 = 4.0;
/// Centres lie within the fine encoding.
const CENTRE_MAX: i32 = 1 << 29;

/// What the features of an input have been stored at, after rounding.
#[derive(Clone, Debug)]
pub(crate) struct StoredFeatures {
    /// Reals per step.
    pub(crate) scales: Vec<f64>,
    /// The reals that the integer 0 stands for.
    pub(crate) centres: Vec<f64>,
}

impl Lowering<'_> {
    /// Emits the input node and says how its elements are encoded: as the one form that is needed, or finely for many. The last is the stored form
    /// that results, if it is one of reals.
    pub(crate) fn input(
        &mut self,
        value: ValueId,
        forms: &[Form],
    ) -> Result<(Encode, Raw, Option<Quant>), LowerError> {
        let GraphOp::Input { index } = self.planner.graph.node(value).op() else {
            return Err(LowerError::Size);
        };
        let input = &self.planner.graph.inputs()[*index];
        let keys = forms.contains(&Form::Keys);
        let mut stored = None;
        let (encode, dtype, scale) = if input.dtype != BorderType::Fp32 {
            let encode = match self.planner.rows_named_by(value) {
                Some(rows) if forms.contains(&Form::Index) => Encode::Integer {
                    min: 0,
                    max: i32::try_from(rows - 1).unwrap_or(INTEGER_MAX),
                },
                _ => Encode::Integer {
                    min: -INTEGER_MAX,
                    max: INTEGER_MAX,
                },
            };
            (encode, Dtype::I32, 1.0)
        } else if keys && forms.len() > 1 {
            return Err(LowerError::MixedInput {
                name: input.name.clone(),
            });
        } else if keys {
            (Encode::OrderKey {}, Dtype::I32, 1.0)
        } else {
            let quant = match forms {
                [Form::Real(quant)] if Quant::symmetric(quant.dtype, quant.scale) == *quant => {
                    *quant
                }
                // At the integers that a file gives.
                [Form::Real(quant)] if quant.zero == 0 && self.planner.given_to(value, *quant) => {
                    *quant
                }
                [] => Quant::symmetric(Dtype::I8, Scale::pow2(0)),
                _ => {
                    let reach = FINE_HEADROOM * self.planner.largest(value)?;
                    Quant::symmetric(Dtype::I32, Scale::reaching(reach, FINE_LEVELS))
                }
            };
            let Reciprocal { multiplier, shift } = Reciprocal::of(quant.scale.get());
            let encode = Encode::Quantise {
                multiplier,
                shift,
                min: quant.min,
                max: quant.max,
            };
            stored = Some(quant);
            (encode, quant.dtype, quant.scale.get())
        };
        let (name, shape) = (input.name.clone(), input.shape.clone());
        let op = Op::Input(Input {
            index: u32::try_from(*index).map_err(|_| LowerError::Size)?,
        });
        let node = self.emitter.node(&name, op, dtype, &shape)?;
        let raw = Raw {
            view: View::row_major(node, &shape),
            scales: vec![scale],
        };
        Ok((encode, raw, stored))
    }

    /// An input in one of the forms asked of it.
    pub(crate) fn input_form(
        &mut self,
        value: ValueId,
        form: Form,
        (raw, stored): (&Raw, Option<Quant>),
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        match form {
            Form::Real(quant) => {
                let node = self
                    .emitter
                    .nodes
                    .get(usize::try_from(raw.view.node.0).unwrap_or(0));
                let same = node.is_some_and(|node| node.dtype == quant.dtype)
                    && raw.scales == [quant.scale.get()]
                    && Quant::symmetric(quant.dtype, quant.scale) == quant;
                if same || stored == Some(quant) {
                    Ok(raw.view.clone())
                } else {
                    self.emitter.stored(&name, raw, quant)
                }
            }
            Form::Features => {
                let (view, ratios) = self.features(value, form, raw, NARROW_LEVELS)?;
                let quant = Quant::symmetric(Dtype::I8, Scale::pow2(0));
                self.emitter.rescaled(&name, &view, &ratios, quant)
            }
            Form::Limbs => self.split(value, &name, raw),
            Form::Keys | Form::Index => Ok(raw.view.clone()),
            // Only computed values are asked for these.
            Form::Channels { .. } => Err(LowerError::Size),
        }
    }

    /// An input less its features' centres, and the ratios that bring it to a scale for each feature, at which its reach takes `levels`
    /// steps. What rounding makes of centres and scales is noted for the products that read the features.
    fn features(
        &mut self,
        value: ValueId,
        form: Form,
        raw: &Raw,
        levels: f64,
    ) -> Result<(View, Vec<f64>), LowerError> {
        let name = self.name(value).to_owned();
        let observed = self.planner.reaches.observed();
        let features = observed.and_then(|observed| observed.features(value));
        let ranges = feature_ranges(features.unwrap_or_default());
        let unit = raw.scales[0];
        let ratios: Vec<f64> = ranges.iter().map(|r| unit * levels / r.reach).collect();
        let centres: Vec<i32> = ranges
            .iter()
            .map(|range| round_to(range.centre / unit, -CENTRE_MAX, CENTRE_MAX))
            .collect();
        let (entries, shift) = multipliers(&ratios).map_err(|error| LowerError::Ratio {
            node: name.clone(),
            ratio: error.got,
        })?;
        let divisor = pow2(i32::from(shift.bits()));
        let noted = StoredFeatures {
            scales: entries
                .iter()
                .map(|&m| unit * divisor / f64::from(m))
                .collect(),
            centres: centres.iter().map(|&c| f64::from(c) * unit).collect(),
        };
        self.features.insert((value, form), noted);
        let view = if centres.iter().all(|&centre| centre == 0) {
            raw.view.clone()
        } else {
            self.centred(&name, &raw.view, &centres)?
        };
        Ok((view, ratios))
    }

    /// `x − centres`. A constant is the bias of a convolution whose weights are 0, of an operand that is 0.
    fn centred(&mut self, name: &str, x: &View, centres: &[i32]) -> Result<View, LowerError> {
        let features = centres.len();
        let nought = Quant::symmetric(Dtype::I8, Scale::pow2(0));
        let nought = Quant {
            min: 0,
            max: 0,
            ..nought
        };
        let zeros = self
            .emitter
            .rescaled(&format!("{name}.zero"), x, &[0.0], nought)?;
        let zeros = self
            .emitter
            .arranged(name, &zeros, &[0], &[1, 1, features])?;
        let weight = vec![0; features];
        let shape = [features, 1, 1, 1];
        let weight = self
            .emitter
            .param(&format!("{name}.zero"), Dtype::I8, &shape, weight)?;
        let bias = self.emitter.vector(&format!("{name}.centres"), centres)?;
        let op = Op::Conv(Conv {
            x: zeros,
            weight,
            bias: Some(bias),
            window: UNIT_WINDOW,
            groups: dim32(features),
        });
        let name = format!("{name}.centres");
        let centres = self
            .emitter
            .node(&name, op, Dtype::I32, &[1, 1, features])?;
        let centres = View::row_major(centres, &[features]);
        let centres = self.emitter.arranged(&name, &centres, &[0], &[features])?;
        let twice = || Multiplier::try_from(2).map_err(|_| LowerError::Size);
        let op = Op::Add(Add {
            a: x.node,
            b: centres,
            a_multiplier: twice()?,
            b_multiplier: twice()?,
            negate_b: true,
            shift: Shift::try_from(1).map_err(|_| LowerError::Size)?,
            min: -i32::MAX,
            max: i32::MAX,
        });
        let shape = self.emitter.shape(x.node);
        let node = self
            .emitter
            .node(&format!("{name}.less"), op, Dtype::I32, &shape)?;
        Ok(x.of(node))
    }

    /// `x = 256·high + low` with both of 8 bits. Returned is the view of the low limb; the high one is kept beside it.
    fn split(&mut self, value: ValueId, name: &str, raw: &Raw) -> Result<View, LowerError> {
        let (view, ratios) = self.features(value, Form::Limbs, raw, LIMBS_LEVELS)?;
        let unit = Scale::pow2(0);
        let levels = 32_639;
        let wide = Quant {
            dtype: Dtype::I16,
            scale: unit,
            zero: 0,
            min: -levels,
            max: levels,
        };
        let both = self.emitter.rescaled(name, &view, &ratios, wide)?;
        let [high, low] = self.halves(name, &both)?;
        self.limbs.insert(value, [high, low.clone()]);
        Ok(low)
    }

    /// `x = 256·high + low` for a view of 16 bits, up to ±32,639.
    pub(crate) fn halves(&mut self, name: &str, both: &View) -> Result<[View; 2], LowerError> {
        let byte = Quant {
            dtype: Dtype::I8,
            scale: Scale::pow2(0),
            zero: 0,
            min: -128,
            max: 127,
        };
        let high = self
            .emitter
            .rescaled(&format!("{name}.high"), both, &[pow2(-8)], byte)?;
        let multiplier = |m: i32| Multiplier::try_from(m).map_err(|_| LowerError::Size);
        let op = Op::Add(Add {
            a: both.node,
            b: high.node,
            a_multiplier: multiplier(2)?,
            b_multiplier: multiplier(512)?,
            negate_b: true,
            shift: Shift::try_from(1).map_err(|_| LowerError::Size)?,
            min: -128,
            max: 127,
        });
        let shape = self.emitter.shape(both.node);
        let low = self
            .emitter
            .node(&format!("{name}.low"), op, Dtype::I8, &shape)?;
        let low = both.of(low);
        Ok([high, low])
    }

    /// How the features that the trees of `trees` read from `x` are encoded.
    pub(crate) fn features_of(&self, trees: ValueId, x: ValueId) -> Result<Features, LowerError> {
        let graph = self.planner.graph;
        let mut open = vec![x];
        let (mut floats, mut integers) = (false, false);
        while let Some(value) = open.pop() {
            if let GraphOp::Input { index } = graph.node(value).op() {
                let float = graph.inputs()[*index].dtype == BorderType::Fp32;
                floats |= float;
                integers |= !float;
            }
            open.extend(graph.node(value).op().operands());
        }
        if floats && integers {
            return Err(LowerError::MixedFeatures {
                node: graph.node(trees).name().to_owned(),
            });
        }
        Ok(if integers {
            Features::Integers
        } else {
            Features::OrderKeys
        })
    }
}
