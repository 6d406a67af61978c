//! Language models: how faithful one is, and what there is to say of its program.

use credence_import::language::LanguageFidelity;
use serde::Serialize;

/// How faithful an exact language model is.
#[derive(Debug, Serialize)]
pub(crate) struct LanguageFidelityView {
    /// Positions compared.
    positions: u64,
    float_perplexity: f64,
    exact_perplexity: f64,
    /// Mean Kullback–Leibler divergence, nats.
    divergence: f64,
    divergence_max: f64,
    /// Share of positions with the same likeliest token.
    agreement: f64,
}

impl LanguageFidelityView {
    pub(crate) const fn new(fidelity: &LanguageFidelity) -> Self {
        Self {
            positions: fidelity.positions,
            float_perplexity: fidelity.float_perplexity,
            exact_perplexity: fidelity.exact_perplexity,
            divergence: fidelity.divergence,
            divergence_max: fidelity.divergence_max,
            agreement: fidelity.agreement,
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let Self {
            positions,
            float_perplexity,
            exact_perplexity,
            divergence,
            divergence_max,
            agreement,
        } = self;
        format!(
            "fidelity over {positions} positions of a built-in text, compared with our own float run of the file:\n\n\
             perplexity       {exact_perplexity:.4} exact, {float_perplexity:.4} float\n\
             divergence       {divergence:.5} nats on average, {divergence_max:.5} at most\n\
             top-1 agreement  {:.2} %",
            agreement * 100.0
        )
    }
}
