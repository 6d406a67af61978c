//! From a language graph to an exact integer program.
//!
//! ```text
//! LanguageGraph ─▶ rotated, rounded to the nearest ─▶ program in coarse units ─run on a text─▶ units ─▶ program
//!                     │                                                                                 │ run on the text
//!                     └────────────────────▶ rounded with feedback ◀──── what products read ────────────┘
//!                                                     └─▶ program in the same units ─▶ Model
//! ```
//!
//! What a program looks like: the stream is i32; every product takes 8-bit operands with a scale of their own, one for each token; queries,
//! keys, values and the two factors of the hidden layer are 16-bit in fixed units. What is deliberately absent: text (tokens and the tokeniser's bytes are
//! arguments), files, and any comparison with floats (`fidelity`).

mod emit;
mod encoder;
mod factor;
mod gram;
mod inputs;
mod program;
mod real;
mod rotation;
mod rounding;
mod tables;
mod units;
mod weights;

use std::sync::Arc;

use credence_exact::NodeId;
use credence_exec::{Append, Engine, Options, PlanError, SessionError};
use credence_model::{Model, ModelError};

pub use self::encoder::{EncoderUnits, ImportedEncoder, import_encoder};
use self::inputs::collect;
use self::program::{PRODUCT_MAX, Source, VALUE_MAX, head_max, program};
pub use self::units::Units;
use self::units::{COARSE, refine};
use self::weights::Weights;
use super::LanguageGraph;
use super::graph::NormKind;

/// Most measurements before units are taken as they are.
const ROUNDS_MAX: usize = 8;

/// Cells of the stream that a norm's relation can read: 4 bytes each, counted double, and the scale.
const STREAM_CELLS_MAX: usize = 2_079;
/// Cells that a product's relation can read: one byte of operand and one of weights each, and what follows the sum.
const PRODUCT_CELLS_MAX: usize = 8_308;

/// How a language model is imported.
#[derive(Clone, Debug)]
pub struct LanguageOptions {
    /// Most positions of a run.
    pub context: usize,
    /// Token ids to measure units on, and what products read: some thousands, one run each. Memory grows with them, by a byte for each input of a product.
    pub calibration: Vec<Vec<u32>>,
    /// Threads and instructions to measure with; no result depends on them.
    pub exec: Options,
}

/// A language model that has become integers.
#[derive(Debug)]
pub struct ImportedLanguage {
    /// The model.
    pub model: Model,
    /// Its units, by block.
    pub units: Vec<Units>,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum LanguageLowerError {
    /// The model has something that has no integer form here.
    #[error("this version has no integer form of {what}; it has {instead}")]
    Unsupported {
        /// What the model has.
        what: &'static str,
        /// What it could have.
        instead: &'static str,
    },
    /// A weight is NaN or infinite.
    #[error("{what} holds a weight that is not a finite number")]
    NotFinite {
        /// Which matrix.
        what: String,
    },
    /// A factor does not fit fixed point.
    #[error("a scale of the model does not fit fixed point: its weights are out of proportion")]
    Scale,
    /// More positions than the model was trained on.
    #[error("the model was trained on {max} positions, {got} are asked for")]
    Context {
        /// The model's.
        max: usize,
        /// Asked for.
        got: usize,
    },
    /// One relation would read more than the profile allows.
    #[error("{what} has {got} cells, and a cell of what reads it may hang on {max}")]
    TooWide {
        /// Which axis.
        what: &'static str,
        /// Most cells.
        max: usize,
        /// The model's.
        got: usize,
    },
    /// No text to measure units on.
    #[error("there are no tokens to measure units on")]
    NoCalibration,
    /// The program is refused.
    #[error("the integer program is refused")]
    Model(#[from] ModelError),
    /// The program cannot be run.
    #[error("the integer program cannot be planned")]
    Plan(#[from] PlanError),
    /// The calibration's tokens are not the model's.
    #[error("the tokens to measure units on do not fit the model")]
    Tokens(#[from] SessionError),
}

/// Makes the integer program of a language model. `text` is what the model's tokeniser and template are, in canonical bytes.
///
/// # Errors
/// [`LanguageLowerError`], naming what does not fit.
pub fn import_language(
    graph: &LanguageGraph,
    text: &[u8],
    options: &LanguageOptions,
) -> Result<ImportedLanguage, LanguageLowerError> {
    supported(graph)?;
    if options.context > graph.context {
        return Err(LanguageLowerError::Context {
            max: graph.context,
            got: options.context,
        });
    }
    if options.calibration.iter().all(Vec::is_empty) {
        return Err(LanguageLowerError::NoCalibration);
    }
    let weights = Weights::new(graph)?;
    let model = |weights: &Weights, units: &[Units]| {
        let source = Source {
            graph,
            weights,
            text,
            context: options.context,
        };
        let (spec, params) = program(&source, units)?;
        Model::from_shared(spec, params).map_err(LanguageLowerError::Model)
    };
    let mut units = vec![COARSE; graph.blocks.len()];
    for _ in 0..ROUNDS_MAX {
        let coarse = Arc::new(model(&weights, &units)?);
        let (refined, again) = measure(graph, &coarse, &units, options)?;
        units = refined;
        if !again {
            break;
        }
    }
    let nearest = Arc::new(model(&weights, &units)?);
    let collected = collect(&nearest, options, graph.blocks.len())?;
    drop(nearest);
    let weights = weights.fed_back(graph, collected)?;
    Ok(ImportedLanguage {
        model: model(&weights, &units)?,
        units,
    })
}

fn supported(graph: &LanguageGraph) -> Result<(), LanguageLowerError> {
    let refuse = |what, instead| Err(LanguageLowerError::Unsupported { what, instead });
    if graph.softcaps.attention.is_some() || graph.softcaps.logits.is_some() {
        return refuse("soft limits on scores or logits", "models without them");
    }
    let narrow = |what, max, got| {
        if got > max {
            return Err(LanguageLowerError::TooWide { what, max, got });
        }
        Ok(())
    };
    narrow("the stream", STREAM_CELLS_MAX, graph.width)?;
    let heads = graph.heads.saturating_mul(graph.head_width);
    narrow("the attention's output", PRODUCT_CELLS_MAX, heads)?;
    for block in &graph.blocks {
        let hidden = block.feed.up.weight.rows();
        narrow("a hidden layer", PRODUCT_CELLS_MAX, hidden)?;
        let posts = [&block.attention.post_norm, &block.feed.post_norm];
        let layer = graph.norm == NormKind::Layer;
        if posts
            .into_iter()
            .flatten()
            .any(|norm| layer || norm.bias.is_some())
        {
            return refuse("a LayerNorm behind a product", "RMS norms there");
        }
    }
    Ok(())
}

/// Which value of a block a node is, and what it is clamped to.
fn part(name: &str) -> Option<(usize, Part)> {
    let (number, part) = name.strip_prefix("block.")?.split_once('.')?;
    let part = match part {
        "q" => Part::Query,
        "k" => Part::Key,
        "v" => Part::Value,
        "gate_up" => Part::GateUp,
        "product" => Part::Product,
        _ => return None,
    };
    Some((number.parse().ok()?, part))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Query,
    Key,
    Value,
    GateUp,
    Product,
}

/// Largest magnitudes of a block's values.
#[derive(Clone, Copy, Debug, Default)]
struct Maxima {
    q: i64,
    k: i64,
    v: i64,
    gate: i64,
    up: i64,
    product: i64,
}

/// Runs the calibration, and refines every unit; whether any value was clamped and has to be measured again.
fn measure(
    graph: &LanguageGraph,
    model: &Arc<Model>,
    units: &[Units],
    options: &LanguageOptions,
) -> Result<(Vec<Units>, bool), LanguageLowerError> {
    let engine = Engine::new(Arc::clone(model), options.exec)?;
    let nodes = model.program().nodes();
    let parts: Vec<Option<(usize, Part)>> = nodes.map(|(_, node, _)| part(&node.name)).collect();
    let mut maxima = vec![Maxima::default(); units.len()];
    for tokens in options
        .calibration
        .iter()
        .filter(|tokens| !tokens.is_empty())
    {
        let mut session = engine.session()?;
        let mut appends = [Append {
            session: &mut session,
            tokens,
            // What follows the last block's attention exists where a token is drawn alone.
            sampled: tokens.len(),
        }];
        let mut observer = |node: NodeId, _: usize, _: usize, cells: &[i64]| {
            let at = usize::try_from(node.0).unwrap_or(usize::MAX);
            let Some((block, part)) = parts.get(at).copied().flatten() else {
                return;
            };
            let max = |cells: &[i64]| cells.iter().map(|cell| cell.abs()).max().unwrap_or(0);
            let Some(own) = maxima.get_mut(block) else {
                return;
            };
            match part {
                Part::Query => own.q = own.q.max(max(cells)),
                Part::Key => own.k = own.k.max(max(cells)),
                Part::Value => own.v = own.v.max(max(cells)),
                Part::Product => own.product = own.product.max(max(cells)),
                Part::GateUp if !graph.gated => own.gate = own.gate.max(max(cells)),
                Part::GateUp => {
                    let (gate, up) = cells.split_at(cells.len().div_ceil(2));
                    own.gate = own.gate.max(max(gate));
                    own.up = own.up.max(max(up));
                }
            }
        };
        let wanted = |node: NodeId| {
            let at = usize::try_from(node.0).unwrap_or(usize::MAX);
            parts.get(at).copied().flatten().is_some()
        };
        engine.advance_watching(&mut appends, &mut |_, _, _| {}, &wanted, &mut observer)?;
    }
    Ok(refined(graph, units, &maxima))
}

/// Each unit by what was measured; whether any value was clamped and has to be measured again.
fn refined(graph: &LanguageGraph, units: &[Units], maxima: &[Maxima]) -> (Vec<Units>, bool) {
    let limit = i64::from(head_max(graph.head_width));
    let mut again = false;
    let mut take = |bits: i32, max: i64, limit: i64| match refine(bits, max, limit) {
        Ok(bits) => bits,
        Err(bits) => {
            again = true;
            bits
        }
    };
    let refined = units.iter().zip(maxima).map(|(units, max)| {
        let (gate, up) = (
            take(units.gate, max.gate, 32_767),
            take(units.up, max.up, 32_767),
        );
        let product = take(units.product, max.product, PRODUCT_MAX.into());
        Units {
            q: take(units.q, max.q, limit),
            k: take(units.k, max.k, limit),
            v: take(units.v, max.v, VALUE_MAX.into()),
            gate,
            up,
            // A product of two is rounded by one bit at least.
            product: if graph.gated {
                product.min((gate + up - 1).max(0))
            } else {
                product
            },
        }
    });
    let refined = refined.collect();
    (refined, again)
}

#[cfg(test)]
mod tests;
