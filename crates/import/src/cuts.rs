//! Which nodes stand in the trace. Any choice within the profile's limits is sound; this is ours.
//!
//! Every node is cut but accumulators (`linear`, `conv`, `sum_pool`), re-indexings and joins, and a `rescale` that only `max_pool`s read. What an output shows
//! is cut. Where the relation of a cut cell would then read more than the profile allows, the uncut operands of that node are cut as well.

use std::collections::BTreeSet;

use credence_exact::{NodeId, Op};
use credence_model::{Program, ProgramError, ProgramSpec};

use crate::error::ImportError;

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

/// Marks the cut nodes of a program.
pub(crate) fn assign(spec: &mut ProgramSpec) -> Result<(), ImportError> {
    let shown: BTreeSet<NodeId> = spec.outputs.iter().map(|output| output.node).collect();
    let mut pooled_only: BTreeSet<NodeId> = BTreeSet::new();
    let mut read_else: BTreeSet<NodeId> = BTreeSet::new();
    for node in &spec.nodes {
        let reads = node.op.operands();
        if matches!(node.op, Op::MaxPool(_)) {
            pooled_only.extend(reads);
        } else {
            read_else.extend(reads);
        }
    }
    for (node, id) in spec.nodes.iter_mut().zip((0_u32..).map(NodeId)) {
        let recomputed = match node.op {
            Op::Linear(_) | Op::Conv(_) | Op::SumPool(_) | Op::Reindex(_) | Op::Concat(_) => true,
            Op::Rescale(_) => pooled_only.contains(&id) && !read_else.contains(&id),
            _ => false,
        };
        node.cut = !recomputed || shown.contains(&id);
    }
    while let Err(ProgramError::Relation { node, got, max }) = Program::check(spec.clone()) {
        if !cut_operands(spec, &node) {
            return Err(ImportError::TooWide { node, got, max });
        }
    }
    Ok(())
}

/// Cuts the uncut operands of the node of that name; whether there was one.
fn cut_operands(spec: &mut ProgramSpec, name: &str) -> bool {
    let reader = spec.nodes.iter().find(|node| node.name == name);
    let operands = reader.map(|node| node.op.operands()).unwrap_or_default();
    let mut any = false;
    for operand in operands {
        if let Some(node) = spec.nodes.get_mut(at(operand)) {
            any |= !node.cut;
            node.cut = true;
        }
    }
    any
}
