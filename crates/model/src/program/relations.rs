//! What the relations of cut cells read, and the limit on it (`docs/spec/trace.md`, section 5).
//!
//! Two upper bounds are computed, and the smaller one counts: the product of what each op on the way reads, and the sum over cut nodes and
//! parameters of what is read there, which is never more than there is.

use std::collections::BTreeMap;

use credence_exact::reads::{COST_MAX, Reads, cost_of, reads};
use credence_exact::shape::{ShapeError, Shapes};
use credence_exact::{Dtype, NodeId, ParamId};

use super::{ProgramError, View, at};

/// Something that is opened to check a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Node(NodeId),
    /// A remembered node, at any position.
    Past(NodeId),
    Param(ParamId),
}

/// Cells read of each source.
type Sources = BTreeMap<Source, u64>;

/// How much one cell's relation takes, in 8-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationCost {
    /// What it reads, each value once: the smaller of the two bounds.
    pub reads: u64,
    /// What computing it reads if nothing is remembered on the way, so that every value counts as often as it is read.
    pub work: u64,
}

/// Which nodes are cut.
type Cuts<'a> = dyn Fn(NodeId) -> bool + 'a;

/// The two bounds for one node's cell.
struct Cost {
    product: u64,
    /// None once there are too many.
    sources: Option<Sources>,
}

/// Most entries of all maps together. A program that would need more is held to the product bound, which is valid too.
const ENTRIES_MAX: usize = 1 << 20;

pub(super) struct Relations<'a> {
    view: &'a View<'a>,
    cuts: &'a Cuts<'a>,
    costs: Vec<Cost>,
    entries: usize,
}

impl<'a> Relations<'a> {
    /// Counts every node's, if those nodes are cut.
    pub(super) fn new(view: &'a View<'a>, cuts: &'a Cuts<'a>) -> Result<Self, ShapeError> {
        let mut relations = Self {
            view,
            cuts,
            costs: Vec::with_capacity(view.nodes.len()),
            entries: 0,
        };
        for node in &view.spec.nodes {
            let reads = reads(&node.op, view)?;
            let cost = Cost {
                product: relations.product(&reads),
                sources: relations.sources(&reads),
            };
            relations.entries += cost.sources.as_ref().map_or(0, Sources::len);
            relations.costs.push(cost);
        }
        Ok(relations)
    }

    /// A node's, cut or not.
    pub(super) fn cost(&self, node: NodeId) -> Option<RelationCost> {
        let cost = self.costs.get(at(node.0))?;
        let work = cost.product;
        let Some(sources) = &cost.sources else {
            return Some(RelationCost { reads: work, work });
        };
        let all = sources.iter().map(|(&source, &count)| {
            let one = self.one(source);
            one.saturating_mul(count)
        });
        let reads = work.min(all.fold(0, u64::saturating_add));
        Some(RelationCost { reads, work })
    }

    /// Refuses a program with a relation that reads too much.
    pub(super) fn check(&self) -> Result<(), ProgramError> {
        for (node, id) in self.view.spec.nodes.iter().zip((0_u32..).map(NodeId)) {
            let got = self.cost(id).map_or(u64::MAX, |cost| cost.reads);
            if (self.cuts)(id) && got > COST_MAX {
                return Err(ProgramError::Relation {
                    node: node.name.clone(),
                    got,
                    max: COST_MAX,
                });
            }
        }
        Ok(())
    }

    fn cut(&self, node: NodeId) -> Option<Dtype> {
        let spec = self.view.spec.nodes.get(at(node.0))?;
        (self.cuts)(node).then_some(spec.dtype)
    }

    /// What one cell of a source counts.
    fn one(&self, source: Source) -> u64 {
        cost_of(match source {
            Source::Node(node) | Source::Past(node) => self.cut(node).unwrap_or(Dtype::I32),
            Source::Param(param) => {
                let spec = self.view.spec.params.get(at(param.0));
                spec.map_or(Dtype::I32, |param| param.dtype)
            }
        })
    }

    /// How many cells a source has.
    fn cells(&self, source: Source) -> u64 {
        let cells = match source {
            Source::Node(node) => self.view.node(node).map(|(shape, _)| shape.cells()),
            Source::Past(node) => self.view.node(node).and_then(|(shape, _)| {
                let context = self.view.context()?;
                Ok(shape.cells().saturating_mul(context))
            }),
            Source::Param(param) => self.view.param(param).map(|(shape, _)| shape.cells()),
        };
        cells.map_or(u64::MAX, |cells| u64::try_from(cells).unwrap_or(u64::MAX))
    }

    fn product(&self, reads: &Reads) -> u64 {
        let nodes = reads.nodes.iter().map(|&(node, cells)| {
            let one = match self.cut(node) {
                Some(dtype) => cost_of(dtype),
                None => self.costs.get(at(node.0)).map_or(u64::MAX, |c| c.product),
            };
            one.saturating_mul(cells)
        });
        let nodes = if reads.alternatives {
            nodes.max().unwrap_or(0)
        } else {
            nodes.fold(0, u64::saturating_add)
        };
        let past = reads.past.iter().map(|&(node, n)| (Source::Past(node), n));
        let params = reads.params.iter().map(|&(p, n)| (Source::Param(p), n));
        past.chain(params).fold(nodes, |sum, (source, count)| {
            sum.saturating_add(self.one(source).saturating_mul(count))
        })
    }

    fn sources(&self, reads: &Reads) -> Option<Sources> {
        let mut sources = Sources::new();
        let mut add = |source, count: u64| {
            let slot: &mut u64 = sources.entry(source).or_default();
            *slot = slot.saturating_add(count).min(self.cells(source));
        };
        for &(node, cells) in &reads.nodes {
            if self.cut(node).is_some() {
                add(Source::Node(node), cells);
            } else if let Some(cost) = self.costs.get(at(node.0)) {
                for (&source, &count) in cost.sources.as_ref()? {
                    add(source, count.saturating_mul(cells));
                }
            }
        }
        for &(node, cells) in &reads.past {
            add(Source::Past(node), cells);
        }
        for &(param, entries) in &reads.params {
            add(Source::Param(param), entries);
        }
        let fits = self.entries.saturating_add(sources.len()) <= ENTRIES_MAX;
        fits.then_some(sources)
    }
}
