//! Inputs: how their elements are encoded, and the forms that their readers ask for.

use credence_exact::{Add, Dtype, Input, Multiplier, Op, Shift};
use credence_model::{BorderType, Encode};

use crate::emit::Raw;
use crate::error::LowerError;
use crate::forest::{Features, INTEGER_MAX};
use crate::graph::{GraphOp, ValueId};
use crate::lower::Lowering;
use crate::number::pow2;
use crate::plan::{Form, LIMBS_LEVELS, NARROW_LEVELS};
use crate::quant::{Quant, Reciprocal, Scale};
use crate::view::View;

/// Steps of a fine encoding on either side of zero, from which coarser forms are rescaled.
const FINE_LEVELS: f64 = 1_073_741_823.0;
/// A fine encoding reaches this many times as far as the calibration set.
const FINE_HEADROOM: f64 = 4.0;

impl Lowering<'_> {
    /// Emits the input node and says how its elements are encoded: as the one form that is needed, or finely for many.
    pub(crate) fn input(
        &mut self,
        value: ValueId,
        forms: &[Form],
    ) -> Result<(Encode, Raw), LowerError> {
        let GraphOp::Input { index } = self.planner.graph.node(value).op() else {
            return Err(LowerError::Size);
        };
        let input = &self.planner.graph.inputs()[*index];
        let keys = forms.contains(&Form::Keys);
        let (encode, dtype, scale) = if input.dtype != BorderType::Fp32 {
            let encode = Encode::Integer {
                min: -INTEGER_MAX,
                max: INTEGER_MAX,
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
        Ok((encode, raw))
    }

    /// An input in one of the forms asked of it.
    pub(crate) fn input_form(
        &mut self,
        value: ValueId,
        form: Form,
        raw: &Raw,
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
                if same {
                    Ok(raw.view.clone())
                } else {
                    self.emitter.stored(&name, raw, quant)
                }
            }
            Form::Features => {
                let ratios = self.feature_ratios(value, raw, NARROW_LEVELS);
                let quant = Quant::symmetric(Dtype::I8, Scale::pow2(0));
                self.emitter.rescaled(&name, &raw.view, &ratios, quant)
            }
            Form::Limbs => self.split(value, &name, raw),
            Form::Keys | Form::Index => Ok(raw.view.clone()),
        }
    }

    /// Reals per step of each feature, where its largest magnitude takes `levels` steps.
    pub(crate) fn feature_scales(&self, value: ValueId, levels: f64) -> Vec<f64> {
        let observed = self.planner.reaches.observed();
        let features = observed.and_then(|observed| observed.features(value));
        let reach = |max: &f64| if *max < pow2(-100) { 1.0 } else { *max };
        features
            .map(|features| features.max.iter().map(|max| reach(max) / levels).collect())
            .unwrap_or_default()
    }

    fn feature_ratios(&self, value: ValueId, raw: &Raw, levels: f64) -> Vec<f64> {
        let scales = self.feature_scales(value, levels);
        scales.iter().map(|scale| raw.scales[0] / scale).collect()
    }

    /// `x = 256·high + low` with both of 8 bits. Returned is the view of the low limb; the high one is kept beside it.
    fn split(&mut self, value: ValueId, name: &str, raw: &Raw) -> Result<View, LowerError> {
        let ratios = self.feature_ratios(value, raw, LIMBS_LEVELS);
        let unit = Scale::pow2(0);
        let levels = 32_639;
        let wide = Quant {
            dtype: Dtype::I16,
            scale: unit,
            min: -levels,
            max: levels,
        };
        let both = self.emitter.rescaled(name, &raw.view, &ratios, wide)?;
        let byte = Quant {
            dtype: Dtype::I8,
            scale: unit,
            min: -128,
            max: 127,
        };
        let high = self
            .emitter
            .rescaled(&format!("{name}.high"), &both, &[pow2(-8)], byte)?;
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
        self.limbs.insert(value, [high, low.clone()]);
        Ok(low)
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
