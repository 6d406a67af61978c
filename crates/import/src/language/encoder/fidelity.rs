//! How faithful an integer encoder is: its embeddings against those of the float reference, text by text. A report is for people; no model depends on it.

use std::sync::Arc;

use credence_exec::{Append, Engine, Options, PlanError, SessionError};
use credence_model::Model;

use super::float::EncoderRun;
use super::graph::EncoderGraph;
use crate::language::FloatError;
use crate::number::from_len;

/// What texts showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderFidelity {
    /// Texts compared.
    pub texts: usize,
    /// Mean cosine between the exact and the float embedding of a text.
    pub cosine_mean: f64,
    /// The smallest.
    pub cosine_min: f64,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum EncoderFidelityError {
    /// The float reference refuses.
    #[error("the float reference cannot run a text")]
    Float(#[from] FloatError),
    /// The exact model refuses.
    #[error("the exact model cannot run a text")]
    Exact(#[from] SessionError),
    /// The exact model cannot be planned.
    #[error("the exact model cannot be planned")]
    Plan(#[from] PlanError),
    /// Nothing to compare.
    #[error("there is no text to compare on")]
    Empty,
}

/// Runs both over texts, given as tokens, and compares the embeddings.
///
/// # Errors
/// [`EncoderFidelityError`] if either refuses a text, or there is none.
pub fn encoder_fidelity(
    graph: &EncoderGraph,
    model: &Arc<Model>,
    texts: &[Vec<u32>],
    options: Options,
    progress: &mut dyn FnMut(usize),
) -> Result<EncoderFidelity, EncoderFidelityError> {
    let engine = Engine::new(Arc::clone(model), options)?;
    let mut cosines = Vec::with_capacity(texts.len());
    for (done, tokens) in texts.iter().enumerate() {
        let float = EncoderRun::new(graph).embedding(tokens)?;
        let mut session = engine.session()?;
        let mut exact = Vec::new();
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled: 1,
        }];
        engine.advance(&mut appends, &mut |_, _, cells: &[i32]| {
            exact = cells.to_vec();
        })?;
        let exact: Vec<f64> = exact.into_iter().map(f64::from).collect();
        let float: Vec<f64> = float.into_iter().map(f64::from).collect();
        cosines.push(cosine(&exact, &float));
        progress(done + 1);
    }
    let least = cosines.iter().copied().reduce(f64::min);
    Ok(EncoderFidelity {
        texts: cosines.len(),
        cosine_mean: cosines.iter().sum::<f64>() / from_len(cosines.len().max(1)),
        cosine_min: least.ok_or(EncoderFidelityError::Empty)?,
    })
}

/// Of the angle between two vectors; 0 if either is 0.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::cosine;

    #[test]
    fn cosines_are_of_directions_alone() {
        assert!((cosine(&[1.0, 2.0], &[10.0, 20.0]) - 1.0).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[0.0, 3.0])).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[-2.0, 0.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0], &[1.0]).abs() < 1e-12);
    }
}
