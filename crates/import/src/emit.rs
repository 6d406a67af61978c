//! The program under construction: nodes with unique names, parameters, and the shapes of what has been emitted.

use std::collections::{BTreeMap, BTreeSet};

use credence_exact::shape::RANK_MAX;
use credence_exact::{Dtype, NodeId, Op, ParamId, Reindex, Rescale};
use credence_model::{NodeSpec, ParamSpec};

use crate::error::LowerError;
use crate::number::dim32;
use crate::quant::{Quant, multipliers};
use crate::view::{Factor, View};

/// Longest part of a node's name that is taken over, in characters.
const NAME_CHARS_MAX: usize = 48;

/// A value with what one of its steps stands for: one scale, or one for each index along the node's last axis.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) view: View,
    pub(crate) scales: Vec<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Emitter {
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) params: Vec<ParamSpec>,
    pub(crate) bytes: Vec<Vec<u8>>,
    shapes: Vec<Vec<usize>>,
    node_names: BTreeSet<String>,
    param_names: BTreeSet<String>,
    shared: BTreeMap<Vec<u8>, ParamId>,
}

/// A name that no other has: the wish, shortened and without control characters, with a number behind it if need be.
fn unique(names: &mut BTreeSet<String>, wish: &str) -> String {
    let plain: String = wish
        .chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .take(NAME_CHARS_MAX)
        .collect();
    let mut name = plain.clone();
    let mut number = 2_u64;
    while name.is_empty() || !names.insert(name.clone()) {
        name = format!("{plain}#{number}");
        number += 1;
    }
    name
}

/// Little-endian bytes of 32-bit entries.
pub(crate) fn i32_bytes(entries: &[i32]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect()
}

impl Emitter {
    /// Appends a node of this shape.
    pub(crate) fn node(
        &mut self,
        name: &str,
        op: Op,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| LowerError::Size)?;
        self.nodes.push(NodeSpec {
            name: unique(&mut self.node_names, name),
            op,
            dtype,
            cut: true,
        });
        self.shapes.push(shape.to_vec());
        Ok(NodeId(id))
    }

    /// Shape of a node.
    pub(crate) fn shape(&self, node: NodeId) -> Vec<usize> {
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        self.shapes.get(at).cloned().unwrap_or_default()
    }

    /// Appends a parameter.
    pub(crate) fn param(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Result<ParamId, LowerError> {
        let id = u32::try_from(self.params.len()).map_err(|_| LowerError::Size)?;
        self.params.push(ParamSpec {
            name: unique(&mut self.param_names, name),
            dtype,
            shape: shape.iter().copied().map(dim32).collect(),
        });
        self.bytes.push(bytes);
        Ok(ParamId(id))
    }

    /// A vector of 32-bit entries.
    pub(crate) fn vector(&mut self, name: &str, entries: &[i32]) -> Result<ParamId, LowerError> {
        self.param(name, Dtype::I32, &[entries.len()], i32_bytes(entries))
    }

    /// A vector that is likely to be needed again: equal ones are one parameter.
    pub(crate) fn shared(
        &mut self,
        name: &str,
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ParamId, LowerError> {
        let width = dtype.width();
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.to_le_bytes().into_iter().take(width))
            .collect();
        let mut key = vec![u8::try_from(width).unwrap_or(0)];
        key.extend_from_slice(&bytes);
        if let Some(&known) = self.shared.get(&key) {
            return Ok(known);
        }
        let id = self.param(name, dtype, &[entries.len()], bytes)?;
        self.shared.insert(key, id);
        Ok(id)
    }

    /// The node whose cells are the view's elements, axes in this order, in a value of this shape: the view's own, or a rearrangement.
    pub(crate) fn arranged(
        &mut self,
        name: &str,
        view: &View,
        order: &[usize],
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let dtype = self
            .nodes
            .get(usize::try_from(view.node.0).unwrap_or(usize::MAX))
            .map_or(Dtype::I32, |node| node.dtype);
        let mut node = view.node;
        if !view.is_contiguous(order) {
            let factors = view.factors(order);
            if factors.len() > RANK_MAX {
                return Err(LowerError::Axes {
                    node: name.to_owned(),
                });
            }
            node = self.reindex(name, node, &factors, dtype)?;
        }
        if self.shape(node) == shape {
            return Ok(node);
        }
        let mut step = 1;
        let mut factors: Vec<Factor> = Vec::with_capacity(shape.len());
        for &length in shape.iter().rev() {
            factors.push(Factor { length, step });
            step *= length;
        }
        factors.reverse();
        self.reindex(name, node, &factors, dtype)
    }

    /// Cell 0 of a node in every cell of a shape.
    pub(crate) fn spread(
        &mut self,
        name: &str,
        x: NodeId,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let factors: Vec<(usize, isize)> = shape.iter().map(|&length| (length, 0)).collect();
        self.taken(name, x, 0, &factors)
    }

    /// `rest` cells, each repeated `count` times along a last axis.
    pub(crate) fn repeated_along(
        &mut self,
        name: &str,
        x: NodeId,
        rest: usize,
        count: usize,
    ) -> Result<NodeId, LowerError> {
        self.taken(name, x, 0, &[(rest, 1), (count, 0)])
    }

    /// The same cells under another shape.
    pub(crate) fn reshaped(
        &mut self,
        name: &str,
        x: NodeId,
        shape: &[usize],
    ) -> Result<NodeId, LowerError> {
        let line: Vec<usize> = vec![shape.iter().product()];
        self.arranged(name, &View::row_major(x, &line), &[0], shape)
    }

    /// A re-indexing: axes of the result as lengths and steps, from a cell on.
    pub(crate) fn taken(
        &mut self,
        name: &str,
        x: NodeId,
        offset: usize,
        axes: &[(usize, isize)],
    ) -> Result<NodeId, LowerError> {
        let at = usize::try_from(x.0).unwrap_or(usize::MAX);
        let dtype = self.nodes.get(at).map_or(Dtype::I32, |node| node.dtype);
        let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
        let strides = axes.iter().map(|axis| i32::try_from(axis.1));
        let op = Op::Reindex(Reindex {
            x,
            shape: shape.iter().copied().map(dim32).collect(),
            offset: u32::try_from(offset).map_err(|_| LowerError::Size)?,
            strides: strides
                .collect::<Result<_, _>>()
                .map_err(|_| LowerError::Size)?,
        });
        self.node(&format!("{name}.part"), op, dtype, &shape)
    }

    fn reindex(
        &mut self,
        name: &str,
        x: NodeId,
        factors: &[Factor],
        dtype: Dtype,
    ) -> Result<NodeId, LowerError> {
        let shape: Vec<usize> = factors.iter().map(|factor| factor.length).collect();
        let strides = factors
            .iter()
            .map(|factor| i32::try_from(factor.step).unwrap_or(i32::MAX));
        let op = Op::Reindex(Reindex {
            x,
            shape: shape.iter().copied().map(dim32).collect(),
            offset: 0,
            strides: strides.collect(),
        });
        self.node(&format!("{name}.order"), op, dtype, &shape)
    }

    /// A value in the stored form asked for: itself, if it has that form, else rescaled.
    pub(crate) fn stored(
        &mut self,
        name: &str,
        raw: &Raw,
        quant: Quant,
    ) -> Result<View, LowerError> {
        let ratios: Vec<f64> = raw
            .scales
            .iter()
            .map(|scale| scale / quant.scale.get())
            .collect();
        self.rescaled(name, &raw.view, &ratios, quant)
    }

    /// `x·ratio` in a stored form whose scale plays no part.
    pub(crate) fn rescaled(
        &mut self,
        name: &str,
        view: &View,
        ratios: &[f64],
        quant: Quant,
    ) -> Result<View, LowerError> {
        let (entries, shift) = multipliers(ratios).map_err(|error| LowerError::Ratio {
            node: name.to_owned(),
            ratio: error.got,
        })?;
        let suffix = match quant.dtype {
            Dtype::I8 => "i8",
            Dtype::I16 => "i16",
            Dtype::I32 => "i32",
        };
        let multiplier = if entries.len() == 1 {
            self.shared(&format!("{name}.multiplier"), Dtype::I32, &entries)?
        } else {
            self.vector(&format!("{name}.multiplier"), &entries)?
        };
        let op = Op::Rescale(Rescale {
            x: view.node,
            multiplier,
            shift,
            min: quant.min,
            max: quant.max,
        });
        let shape = self.shape(view.node);
        let node = self.node(&format!("{name}.{suffix}"), op, quant.dtype, &shape)?;
        Ok(view.of(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_and_plain() {
        let mut names = BTreeSet::new();
        assert_eq!(unique(&mut names, "a"), "a");
        assert_eq!(unique(&mut names, "a"), "a#2");
        assert_eq!(unique(&mut names, "a"), "a#3");
        assert_eq!(unique(&mut names, ""), "#2");
        assert_eq!(unique(&mut names, "x\ny"), "x_y");
        assert_eq!(unique(&mut names, &"é".repeat(500)).chars().count(), 48);
    }
}
