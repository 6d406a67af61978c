//! How faithful an integer language model is: its logits against those of the float reference, token by token.
//!
//! ```text
//! texts ─▶ float logits, exact logits at every position ─▶ divergence, agreement, perplexity of both
//! ```
//!
//! Floats throughout, and the platform's exponentials: a report is for people, and no model depends on it.

use std::sync::Arc;

use credence_exec::{Append, Engine, Options, PlanError, SessionError};
use credence_model::Model;
use rayon::prelude::*;

use super::{FloatError, FloatRun, LanguageGraph};

/// Logits of the profile are in units of 2⁻¹⁶ nat.
const LOGIT_UNIT: f64 = 1.0 / 65_536.0;

/// What texts showed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LanguageFidelity {
    /// Positions compared.
    pub positions: u64,
    /// Mean Kullback–Leibler divergence of the exact distribution from the float one, nats.
    pub divergence: f64,
    /// Largest divergence of a position.
    pub divergence_max: f64,
    /// Share of positions at which both have the same likeliest token.
    pub agreement: f64,
    /// Perplexity of the texts under the float model.
    pub float_perplexity: f64,
    /// Under the exact one.
    pub exact_perplexity: f64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LanguageFidelityError {
    /// The float reference refuses.
    #[error("the float reference cannot run a text")]
    Float(#[from] FloatError),
    /// The exact model refuses.
    #[error("the exact model cannot run a text")]
    Exact(#[from] SessionError),
    /// The exact model cannot be planned.
    #[error("the exact model cannot be planned")]
    Plan(#[from] PlanError),
}

/// Sums over positions.
#[derive(Clone, Copy, Default)]
struct Sums {
    positions: u64,
    divergence: f64,
    divergence_max: f64,
    agreed: u64,
    predicted: u64,
    float_nats: f64,
    exact_nats: f64,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            positions: self.positions + other.positions,
            divergence: self.divergence + other.divergence,
            divergence_max: self.divergence_max.max(other.divergence_max),
            agreed: self.agreed + other.agreed,
            predicted: self.predicted + other.predicted,
            float_nats: self.float_nats + other.float_nats,
            exact_nats: self.exact_nats + other.exact_nats,
        }
    }

    fn report(self) -> LanguageFidelity {
        let share = |sum: f64, of: u64| sum / float(of).max(1.0);
        LanguageFidelity {
            positions: self.positions,
            divergence: share(self.divergence, self.positions),
            divergence_max: self.divergence_max,
            agreement: share(float(self.agreed), self.positions),
            float_perplexity: share(self.float_nats, self.predicted).exp(),
            exact_perplexity: share(self.exact_nats, self.predicted).exp(),
        }
    }
}

fn float(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Runs both models over texts, given as tokens, and compares all positions.
///
/// # Errors
/// [`LanguageFidelityError`] if either model refuses a text.
pub fn language_fidelity(
    graph: &LanguageGraph,
    model: &Arc<Model>,
    texts: &[Vec<u32>],
    options: Options,
    progress: &mut dyn FnMut(usize),
) -> Result<LanguageFidelity, LanguageFidelityError> {
    let engine = Engine::new(Arc::clone(model), options)?;
    let mut sums = Sums::default();
    for (done, tokens) in texts.iter().enumerate() {
        let positions: Vec<usize> = (0..tokens.len()).collect();
        let float = FloatRun::new(graph).logits(tokens, &positions)?;
        let mut session = engine.session()?;
        let mut exact = vec![Vec::new(); tokens.len()];
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled: tokens.len(),
        }];
        engine.advance(&mut appends, &mut |_, position, logits: &[i32]| {
            exact[position] = logits.to_vec();
        })?;
        let compared = (0..tokens.len()).into_par_iter().map(|at| {
            let next = tokens
                .get(at + 1)
                .and_then(|&token| usize::try_from(token).ok());
            position(&float[at], &exact[at], next)
        });
        sums = sums.add(compared.reduce(Sums::default, Sums::add));
        progress(done + 1);
    }
    Ok(sums.report())
}

/// One position: the two distributions, and the token that came next.
fn position(float: &[f32], exact: &[i32], next: Option<usize>) -> Sums {
    let float: Vec<f64> = float.iter().map(|&x| x.into()).collect();
    let exact: Vec<f64> = exact.iter().map(|&x| f64::from(x) * LOGIT_UNIT).collect();
    let (p, q) = (log_softmax(&float), log_softmax(&exact));
    let terms = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q));
    let divergence = terms.sum::<f64>().max(0.0);
    let nats = |logs: &[f64]| next.and_then(|next| logs.get(next)).map_or(0.0, |log| -log);
    Sums {
        positions: 1,
        divergence,
        divergence_max: divergence,
        agreed: u64::from(likeliest(&p) == likeliest(&q)),
        predicted: u64::from(next.is_some()),
        float_nats: nats(&p),
        exact_nats: nats(&q),
    }
}

fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    let log = max + sum.ln();
    logits.iter().map(|x| x - log).collect()
}

fn likeliest(logs: &[f64]) -> Option<usize> {
    let best = logs
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_do_not_diverge_and_others_do() {
        let exact = [0, 65_536, -131_072];
        let same = position(&[0.0, 1.0, -2.0], &exact, Some(0)).report();
        assert!(same.divergence < 1e-12);
        assert!((same.agreement - 1.0).abs() < 1e-12);
        assert!((same.float_perplexity - same.exact_perplexity).abs() < 1e-9);
        let other = position(&[2.0, 1.0, -2.0], &exact, Some(1)).report();
        assert!(other.divergence > 0.1 && other.agreement < 0.5);
        assert!(other.float_perplexity > other.exact_perplexity);
    }
}
