//! Images at a scale for each channel.

use credence_exact::Dtype;

use super::{IMAGE, Lowering};
use crate::emit::Raw;
use crate::error::LowerError;
use crate::graph::ValueId;
use crate::plan::Form;
use crate::producer::{Producer, producer};
use crate::quant::{Quant, Scale};
use crate::view::View;

impl Lowering<'_> {
    /// A value with each channel at its own scale: rescaled from a product's sums, or from its 16 bits.
    pub(super) fn channels(
        &mut self,
        value: ValueId,
        (of, rectified): (ValueId, bool),
        (operands, views): (&[(ValueId, Form)], &[View]),
    ) -> Result<View, LowerError> {
        let planner = self.planner;
        if let (Some(_), [view]) = (planner.rectified(value), views) {
            return Ok(view.clone());
        }
        let name = self.name(value).to_owned();
        let raw = match (producer(planner.graph, value), operands) {
            (Producer::Product { base, fold }, &[operand]) if planner.is_product(value) => {
                let about_zero = Quant::symmetric(Dtype::I8, Scale::pow2(0));
                self.product_sums(value, (base, &fold), about_zero, operand)?
            }
            _ => self.sixteen_bits(value, operands, views)?,
        };
        let steps = planner.channel_steps(of);
        let one = |all: &[f64], k: usize| all[if all.len() == 1 { 0 } else { k }];
        let ratios: Vec<f64> = steps
            .iter()
            .enumerate()
            .map(|(k, step)| one(&raw.scales, k) / step)
            .collect();
        let mut quant = Quant::symmetric(Dtype::I8, Scale::pow2(0));
        if rectified {
            quant.min = 0;
        }
        let dims = self.dims(value).to_vec();
        let node = self.image(&name, value, &raw.view)?;
        let view = View::permuted(node, &dims, &IMAGE);
        self.emitter.rescaled(&name, &view, &ratios, quant)
    }

    /// A value's 16 bits: those that others read, if there are such.
    fn sixteen_bits(
        &mut self,
        value: ValueId,
        operands: &[(ValueId, Form)],
        views: &[View],
    ) -> Result<Raw, LowerError> {
        let form = self.planner.wide(value)?;
        let quant = Self::real_form(form)?;
        let view = match self.views.get(&(value, form)) {
            Some(view) => view.clone(),
            None => {
                let view = self.real(value, quant, operands, views)?;
                self.views.insert((value, form), view.clone());
                view
            }
        };
        Ok(Raw {
            view,
            scales: vec![quant.scale.get()],
        })
    }
}
