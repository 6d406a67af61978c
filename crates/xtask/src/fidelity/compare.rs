//! Compares three distributions over the next token, position by position: the float model's, the exact model's, llama.cpp's.
//!
//! Floats throughout: figures for people, on which nothing depends.

/// Logits of the exact model are in units of 2⁻¹⁶ nat.
const LOGIT_UNIT: f64 = 1.0 / 65_536.0;

/// Sums over positions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Positions compared.
    pub(crate) positions: f64,
    /// Positions whose next token is known.
    pub(crate) predicted: f64,
    /// Nats of these next tokens: float, exact, llama.cpp.
    pub(crate) nats: [f64; 3],
    /// Divergences, of float from exact, float from llama.cpp, llama.cpp from exact: `Σ p ln(p/q)`, p named first.
    pub(crate) divergence: [f64; 3],
    /// The largest of each.
    pub(crate) divergence_max: [f64; 3],
    /// Positions at which the same pairs have the same likeliest token.
    pub(crate) agreed: [f64; 3],
}

impl Sums {
    /// Of both.
    pub(crate) fn add(mut self, other: Self) -> Self {
        self.positions += other.positions;
        self.predicted += other.predicted;
        for at in 0..3 {
            self.nats[at] += other.nats[at];
            self.divergence[at] += other.divergence[at];
            self.divergence_max[at] = self.divergence_max[at].max(other.divergence_max[at]);
            self.agreed[at] += other.agreed[at];
        }
        self
    }

    /// Perplexities of float, exact, llama.cpp.
    pub(crate) fn perplexity(&self) -> [f64; 3] {
        self.nats.map(|nats| (nats / self.predicted.max(1.0)).exp())
    }

    /// Mean divergences.
    pub(crate) fn mean_divergence(&self) -> [f64; 3] {
        self.divergence.map(|sum| sum / self.positions.max(1.0))
    }

    /// Shares of positions with the same likeliest token.
    pub(crate) fn agreement(&self) -> [f64; 3] {
        self.agreed.map(|sum| sum / self.positions.max(1.0))
    }
}

/// One position: three rows of logits, and the token that came next.
pub(crate) fn position(float: &[f32], exact: &[i32], llama: &[f32], next: Option<usize>) -> Sums {
    let reals = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let exact: Vec<f64> = exact.iter().map(|&x| f64::from(x) * LOGIT_UNIT).collect();
    let logs = [reals(float), exact, reals(llama)].map(log_softmax);
    let [float, exact, llama] = &logs;
    let best = [likeliest(float), likeliest(exact), likeliest(llama)];
    let divergence = [
        diverge(float, exact),
        diverge(float, llama),
        diverge(llama, exact),
    ];
    let nats = |logs: &Vec<f64>| next.and_then(|next| logs.get(next)).map_or(0.0, |log| -log);
    let same = |a: usize, b: usize| if best[a] == best[b] { 1.0 } else { 0.0 };
    Sums {
        positions: 1.0,
        predicted: if next.is_some() { 1.0 } else { 0.0 },
        nats: [nats(float), nats(exact), nats(llama)],
        divergence,
        divergence_max: divergence,
        agreed: [same(0, 1), same(0, 2), same(2, 1)],
    }
}

/// `Σ p ln(p/q)`; rounding may put equal ones a little below 0.
fn diverge(p: &[f64], q: &[f64]) -> f64 {
    let terms = p.iter().zip(q).map(|(p, q)| p.exp() * (p - q));
    terms.sum::<f64>().max(0.0)
}

fn log_softmax(mut logits: Vec<f64>) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    let log = max + sum.ln();
    for logit in &mut logits {
        *logit -= log;
    }
    logits
}

/// The lowest of the likeliest.
fn likeliest(logs: &[f64]) -> Option<usize> {
    let best = logs
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map(|(at, _)| at)
}
