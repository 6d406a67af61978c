//! Positions: learned rows, or rotations with what a file says about stretching them over longer texts.
//!
//! ```text
//! rope.freq_base, rope.dimension_count ─▶ a frequency for each pair of a head's elements
//!     ├─ rope_freqs.weight: each divided by a factor of its own (Llama 3)
//!     └─ rope.scaling.*: all divided by one factor (`linear`), or by one between 1 and it that depends on the frequency (`yarn`)
//! ```
//!
//! YaRN (Peng et al., arXiv 2309.00071) as llama.cpp computes it: §3.2's ramp over pairs, and §3.4's temperature, which multiplies queries and keys. Here the ramp
//! becomes factors of frequencies and the temperature a factor of the scores, so that nothing behind the graph knows of it.
//!
//! What is deliberately absent: scaling that changes while a text grows, and YaRN in models whose blocks differ in their rotations: none is known.

use credence_import::language::{Position, Rope};

use super::{Reader, Sizes};
use crate::error::GgufError;
use crate::families::Windows;
use crate::matrix::RowOrder;
use crate::number::{from_count, narrow};
use crate::settings::refused;

/// What rotations are based on where a file does not say.
const BASE_DEFAULT: f32 = 10_000.0;
/// Turns within the original context above which a pair of elements keeps its frequency.
const YARN_FAST: f32 = 32.0;
/// Turns within the original context below which a frequency is divided by the whole factor.
const YARN_SLOW: f32 = 1.0;

/// What is done to rotations so that more positions fit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    /// Positions are divided by this.
    Linear(f32),
    /// Slow rotations are divided by `factor`, fast ones are not; `context` is what the model was trained on before.
    Yarn { factor: f32, context: usize },
}

impl Reader<'_> {
    /// Positions, and what scores are multiplied by on their account.
    pub(super) fn position(&mut self, sizes: Sizes) -> Result<(Position, f32), GgufError> {
        if self.family.learned {
            let order = RowOrder::Straight;
            let name = "position_embd.weight";
            let table = (self.tensors).matrix(name, sizes.context, sizes.width, order)?;
            return Ok((Position::Learned(table), 1.0));
        }
        let key = self.key("rope.dimension_count");
        let dims = self.settings.count(&key)?.unwrap_or(sizes.head_width);
        if self.family.pairs && dims != sizes.head_width {
            let expected = sizes.head_width.to_string();
            return Err(refused(&key, expected, dims.to_string()));
        }
        let key = self.key("rope.freq_base");
        let base = self.settings.number(&key)?.unwrap_or(BASE_DEFAULT);
        let factors = if self.family.frequency_factors {
            self.tensors.maybe_vector("rope_freqs.weight", dims / 2)?
        } else {
            None
        };
        let scaling = self.scaling(sizes, dims)?;
        let (first, sharper) = scaled(scaling, base, dims, factors);
        let mut ropes = vec![first];
        if self.family.windows == Windows::Pattern {
            let key = self.key("rope.freq_base_swa");
            let base = self.settings.number(&key)?.unwrap_or(BASE_DEFAULT);
            ropes.push(scaled(Scaling::Linear(1.0), base, dims, None).0);
        }
        Ok((Position::Rope(ropes), sharper))
    }

    fn scaling(&mut self, sizes: Sizes, dims: usize) -> Result<Scaling, GgufError> {
        let key = self.key("rope.scaling.factor");
        let old = self.key("rope.scale_linear");
        let (factor, old) = (self.settings.number(&key)?, self.settings.number(&old)?);
        // As elsewhere in the format, 0 says nothing.
        let factor = factor.or(old).filter(|&factor| factor != 0.0);
        for (key, only) in [
            ("attn_factor", 1.0),
            ("yarn_ext_factor", 1.0),
            ("yarn_attn_factor", 1.0),
            ("yarn_beta_fast", YARN_FAST),
            ("yarn_beta_slow", YARN_SLOW),
        ] {
            let key = self.key(&format!("rope.scaling.{key}"));
            self.settings.only_number(&key, only)?;
        }
        let context = self.key("rope.scaling.original_context_length");
        let context = self.settings.count(&context)?;
        let key = self.key("rope.scaling.type");
        match self.settings.text(&key)? {
            None | Some("linear") => Ok(Scaling::Linear(factor.unwrap_or(1.0))),
            Some("none") => Ok(Scaling::Linear(1.0)),
            Some("yarn") => self.yarn(factor, context, sizes, dims),
            Some(got) => {
                let expected = "`linear`, `yarn` or `none`";
                Err(refused(&key, expected, format!("`{got}`")))
            }
        }
    }

    fn yarn(
        &self,
        factor: Option<f32>,
        context: Option<usize>,
        sizes: Sizes,
        dims: usize,
    ) -> Result<Scaling, GgufError> {
        let key = self.key("rope.scaling.type");
        if self.family.windows == Windows::Pattern {
            return Err(refused(
                &key,
                "`linear` or `none` in this architecture",
                "`yarn`",
            ));
        }
        // The temperature is put into the scores, where it reaches elements that are not rotated too.
        if dims != sizes.head_width {
            let expected = "`linear` or `none` where heads are rotated in part";
            return Err(refused(&key, expected, "`yarn`"));
        }
        let key = self.key("rope.scaling.factor");
        let factor = factor.ok_or_else(|| GgufError::Missing { key: key.clone() })?;
        if !(factor.is_finite() && factor >= 1.0) {
            return Err(refused(&key, "no less than 1", factor.to_string()));
        }
        let key = self.key("rope.scaling.original_context_length");
        let context = context.unwrap_or(sizes.context);
        if context == 0 {
            return Err(refused(&key, "a positive count", "0"));
        }
        Ok(Scaling::Yarn { factor, context })
    }
}

/// A rotation, and what scores are multiplied by on its account.
fn scaled(scaling: Scaling, base: f32, dims: usize, factors: Option<Vec<f32>>) -> (Rope, f32) {
    match scaling {
        Scaling::Linear(linear) => {
            let rope = Rope {
                base,
                dims,
                factors,
                linear,
            };
            (rope, 1.0)
        }
        Scaling::Yarn { factor, context } => {
            let own = |pair: usize| factors.as_ref().and_then(|all| all.get(pair));
            let ramp = Ramp::new(base, dims, context);
            let divisors = (0..dims / 2).map(|pair| {
                let kept = ramp.kept(pair);
                let share = (1.0 - kept) / f64::from(factor) + kept;
                narrow(own(pair).map_or(1.0, |&own| f64::from(own)) / share)
            });
            let rope = Rope {
                base,
                dims,
                factors: Some(divisors.collect()),
                linear: 1.0,
            };
            // √t of the paper, in queries and in keys.
            let temperature = 1.0 + 0.1 * libm::log(f64::from(factor));
            (rope, narrow(temperature * temperature))
        }
    }
}

/// How much of its frequency each pair keeps: all of it below `low`, none from `high` on.
struct Ramp {
    low: f64,
    high: f64,
}

impl Ramp {
    fn new(base: f32, dims: usize, context: usize) -> Self {
        let last = f64::from(from_count(dims)) - 1.0;
        // The pair that turns so often within the context.
        let pair = |turns: f32| {
            let turn = f64::from(turns) * core::f64::consts::TAU;
            let ratio = libm::log(f64::from(from_count(context)) / turn);
            f64::from(from_count(dims)) * ratio / (2.0 * libm::log(f64::from(base)))
        };
        Self {
            low: pair(YARN_FAST).floor().max(0.0),
            high: pair(YARN_SLOW).ceil().min(last),
        }
    }

    fn kept(&self, pair: usize) -> f64 {
        let along = (f64::from(from_count(pair)) - self.low) / (self.high - self.low).max(0.001);
        1.0 - along.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_pairs_keep_their_frequency_and_slow_ones_lose_it() {
        let yarn = Scaling::Yarn {
            factor: 4.0,
            context: 32_768,
        };
        let (rope, sharper) = scaled(yarn, 1_000_000.0, 128, None);
        let factors = rope.factors.unwrap();
        assert_eq!(factors.len(), 64);
        assert_eq!(factors[0], 1.0);
        assert_eq!(factors[63], 4.0);
        assert!(factors.is_sorted());
        assert!((f64::from(sharper) - (1.0 + 0.1 * 4.0_f64.ln()).powi(2)).abs() < 1e-6);
    }

    #[test]
    fn factors_of_the_file_are_kept() {
        let yarn = Scaling::Yarn {
            factor: 2.0,
            context: 64,
        };
        let own = vec![3.0, 5.0];
        let (rope, _) = scaled(yarn, 500.0, 4, Some(own));
        let (plain, _) = scaled(yarn, 500.0, 4, None);
        let (with, without) = (rope.factors.unwrap(), plain.factors.unwrap());
        assert_eq!(with, [3.0 * without[0], 5.0 * without[1]]);
    }
}
