//! An encoder's matrices behind the online transforms of what they read, in real numbers, and rounded.
//!
//! A norm's gain stands between a block and the next, so the stream is not rotated; each operand is: rows of a matrix go through the same orthogonal
//! transform as its operand does when the program runs. Values are rotated by head, which costs nothing.

use super::super::LanguageLowerError;
use super::super::inputs::Collected;
use super::super::real::{BlockReal, Real, columns_through, dense, stacked};
use super::super::rotation::{Rotation, hadamard};
use super::super::weights::BlockWeights;
use crate::language::{EncoderBlock, EncoderGraph, Linear};

/// Largest block of an online transform: its sums of 22-bit cells fit 32 bits.
const TRANSFORM_MAX: usize = 512;

/// Cells of a block of the online transform of a vector.
pub(super) const fn transform(width: usize) -> usize {
    let size = 1 << width.trailing_zeros();
    if size < TRANSFORM_MAX {
        size
    } else {
        TRANSFORM_MAX
    }
}

/// All blocks' products: each weight to the nearest, or for what they read.
pub(super) fn blocks(
    graph: &EncoderGraph,
    collected: Option<Collected>,
) -> Result<Vec<BlockWeights>, LanguageLowerError> {
    let mut inputs = collected.map(|all| all.blocks.into_iter());
    let mut made = Vec::with_capacity(graph.blocks.len());
    for (number, block) in graph.blocks.iter().enumerate() {
        // Inputs are dropped as they are used.
        let own = inputs.as_mut().and_then(Iterator::next);
        made.push(BlockWeights::new(real(graph, number, block)?, own.as_ref()));
    }
    Ok(made)
}

fn real(
    graph: &EncoderGraph,
    number: usize,
    block: &EncoderBlock,
) -> Result<BlockReal, LanguageLowerError> {
    let name = |part: &str| format!("block {number}, {part}");
    let (width, hidden) = (graph.width, graph.hidden());
    let head = Rotation::of(graph.head_width());
    let by_head = |vector: &mut [f64]| {
        vector
            .chunks_exact_mut(graph.head_width())
            .for_each(|part| head.apply(part));
    };
    let through = |size: usize| {
        move |row: &mut [f64]| {
            if size > 1 {
                row.chunks_exact_mut(size).for_each(hadamard);
            }
        }
    };
    let (mut values, mut bias) = product(&block.v, &name("values"), through(transform(width)))?;
    columns_through(&mut values, width, by_head);
    by_head(&mut bias);
    let reading =
        |linear: &Linear, part: &str| product(linear, &name(part), through(transform(width)));
    let qkv = vec![
        reading(&block.q, "queries")?,
        reading(&block.k, "keys")?,
        (values, bias),
    ];
    let one = |(values, bias), columns| Real {
        columns,
        values,
        bias,
    };
    Ok(BlockReal {
        qkv: stacked(qkv, width),
        out: one(product(&block.out, &name("output"), by_head)?, width),
        gate_up: one(reading(&block.up, "up")?, width),
        down: one(
            product(&block.down, &name("down"), through(transform(hidden)))?,
            hidden,
        ),
    })
}

/// A matrix whose rows have gone through what its operand goes through, and its bias.
fn product(
    linear: &Linear,
    what: &str,
    through: impl Fn(&mut [f64]),
) -> Result<(Vec<f64>, Vec<f64>), LanguageLowerError> {
    let mut values = dense(&*linear.weight, what)?;
    values
        .chunks_exact_mut(linear.weight.columns())
        .for_each(through);
    let bias = linear.bias.as_deref().unwrap_or_default();
    Ok((values, bias.iter().map(|&b| f64::from(b)).collect()))
}
