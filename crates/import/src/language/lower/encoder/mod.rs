//! From an encoder's graph to an exact integer program.
//!
//! ```text
//! EncoderGraph ─▶ rounded to the nearest ─▶ program in coarse units ─run on texts─▶ units ─▶ rounded with feedback ─▶ Model
//! ```
//!
//! As for language models, but a norm stands behind each sum and has a gain, so that the stream keeps its own basis and every product's operand goes
//! through an online transform instead. What is deliberately absent: tokenising, files, any comparison with floats.

mod program;
mod real;

use std::sync::Arc;

use credence_exact::NodeId;
use credence_exec::{Append, Engine};
use credence_model::Model;

use self::program::{POOL_MAX, Source, program};
use self::real::blocks;
use super::inputs::collect;
use super::program::{PRODUCT_MAX, VALUE_MAX, head_max};
use super::units::refine;
use super::weights::{BlockWeights, Table, stream_table};
use super::{LanguageLowerError, LanguageOptions, ROUNDS_MAX};
use crate::language::EncoderGraph;

/// Fraction bits of what a block keeps in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderUnits {
    /// Queries.
    pub q: i32,
    /// Keys.
    pub k: i32,
    /// Values.
    pub v: i32,
    /// What goes through the activation.
    pub up: i32,
    /// The hidden layer.
    pub product: i32,
}

/// The first program's.
const COARSE: EncoderUnits = EncoderUnits {
    q: 5,
    k: 5,
    v: 5,
    up: 8,
    product: 8,
};
/// The first program's unit of what is pooled.
const POOL_COARSE: i32 = 5;

/// An encoder that has become integers.
#[derive(Debug)]
pub struct ImportedEncoder {
    /// The model.
    pub model: Model,
    /// Its units, by block.
    pub units: Vec<EncoderUnits>,
    /// Fraction bits of the vectors that become one.
    pub pool: i32,
}

/// An encoder's products and tables.
struct Weights {
    embedding: Table,
    positions: Table,
    blocks: Vec<BlockWeights>,
}

/// Makes the integer program of an encoder.
///
/// # Errors
/// [`LanguageLowerError`], naming what does not fit.
pub fn import_encoder(
    graph: &EncoderGraph,
    options: &LanguageOptions,
) -> Result<ImportedEncoder, LanguageLowerError> {
    if options.context > graph.context {
        return Err(LanguageLowerError::Context {
            max: graph.context,
            got: options.context,
        });
    }
    if options.calibration.iter().all(Vec::is_empty) {
        return Err(LanguageLowerError::NoCalibration);
    }
    let mut weights = Weights::new(graph)?;
    let model = |weights: &Weights, units: &[EncoderUnits], pool: i32| {
        let source = Source {
            graph,
            weights,
            context: options.context,
        };
        let (spec, params) = program(&source, units, pool)?;
        Model::from_shared(spec, params).map_err(LanguageLowerError::Model)
    };
    let mut units = vec![COARSE; graph.blocks.len()];
    let mut pool = POOL_COARSE;
    for _ in 0..ROUNDS_MAX {
        let coarse = Arc::new(model(&weights, &units, pool)?);
        let seen = measure(&coarse, graph.blocks.len(), options)?;
        if !seen.refine(graph, &mut units, &mut pool) {
            break;
        }
    }
    let nearest = Arc::new(model(&weights, &units, pool)?);
    let collected = collect(&nearest, options, graph.blocks.len())?;
    drop(nearest);
    weights.blocks = blocks(graph, Some(collected))?;
    Ok(ImportedEncoder {
        model: model(&weights, &units, pool)?,
        units,
        pool,
    })
}

impl Weights {
    fn new(graph: &EncoderGraph) -> Result<Self, LanguageLowerError> {
        let kind: Vec<f64> = graph.kind.iter().map(|&x| f64::from(x)).collect();
        Ok(Self {
            embedding: stream_table(&*graph.embedding, |_| {}, "the embedding")?,
            // The kind is added to each position once and for all.
            positions: stream_table(
                &*graph.positions,
                |row| {
                    for (cell, kind) in row.iter_mut().zip(&kind) {
                        *cell += kind;
                    }
                },
                "the positions",
            )?,
            blocks: blocks(graph, None)?,
        })
    }
}

/// What is measured.
#[derive(Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
    Up,
    Product,
}

/// Which value of a block a node is; the block behind the last one has what is pooled.
fn part(name: &str, blocks: usize) -> Option<(usize, Part)> {
    if name == "pool.v" {
        return Some((blocks, Part::Value));
    }
    let (number, part) = name.strip_prefix("block.")?.split_once('.')?;
    let part = match part {
        "q" => Part::Query,
        "k" => Part::Key,
        "v" => Part::Value,
        "up" => Part::Up,
        "product" => Part::Product,
        _ => return None,
    };
    Some((number.parse().ok()?, part))
}

/// Largest magnitudes, by block and part.
struct Maxima(Vec<[i64; 5]>);

/// Runs the calibration.
fn measure(
    model: &Arc<Model>,
    blocks: usize,
    options: &LanguageOptions,
) -> Result<Maxima, LanguageLowerError> {
    let engine = Engine::new(Arc::clone(model), options.exec)?;
    let nodes = model.program().nodes();
    let parts: Vec<Option<(usize, Part)>> =
        nodes.map(|(_, node, _)| part(&node.name, blocks)).collect();
    let of = |node: NodeId| {
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        parts.get(at).copied().flatten()
    };
    let mut maxima = vec![[0; 5]; blocks + 1];
    for tokens in options.calibration.iter().filter(|t| !t.is_empty()) {
        let mut session = engine.session()?;
        let mut appends = [Append {
            session: &mut session,
            tokens,
            sampled: 1,
        }];
        let mut observer = |node: NodeId, _: usize, _: usize, cells: &[i64]| {
            let Some((block, part)) = of(node) else {
                return;
            };
            let max = cells.iter().map(|cell| cell.abs()).max().unwrap_or(0);
            if let Some(own) = maxima
                .get_mut(block)
                .and_then(|own| own.get_mut(slot(part)))
            {
                *own = max.max(*own);
            }
        };
        let wanted = |node: NodeId| of(node).is_some();
        engine.advance_watching(&mut appends, &mut |_, _, _| {}, &wanted, &mut observer)?;
    }
    Ok(Maxima(maxima))
}

const fn slot(part: Part) -> usize {
    match part {
        Part::Query => 0,
        Part::Key => 1,
        Part::Value => 2,
        Part::Up => 3,
        Part::Product => 4,
    }
}

impl Maxima {
    /// Refines every unit; whether any value was clamped and has to be measured again.
    fn refine(&self, graph: &EncoderGraph, units: &mut [EncoderUnits], pool: &mut i32) -> bool {
        let head = i64::from(head_max(graph.head_width()));
        let mut again = false;
        let mut take = |bits: &mut i32, max: i64, limit: i64| match refine(*bits, max, limit) {
            Ok(finer) => *bits = finer,
            Err(coarser) => {
                again = true;
                *bits = coarser;
            }
        };
        let Self(maxima) = self;
        for (units, [q, k, v, up, product]) in units.iter_mut().zip(maxima) {
            take(&mut units.q, *q, head);
            take(&mut units.k, *k, head);
            take(&mut units.v, *v, VALUE_MAX.into());
            take(&mut units.up, *up, 32_767);
            take(&mut units.product, *product, PRODUCT_MAX.into());
        }
        if let Some([_, _, pooled, ..]) = maxima.last() {
            take(pool, *pooled, POOL_MAX.into());
        }
        again
    }
}

#[cfg(test)]
mod tests;
