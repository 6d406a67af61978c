//! Which nodes stand in the trace. Any choice within the profile's limits is sound; this is ours.
//!
//! ```text
//! cut all but what is cheap to compute again ─▶ cut more where a relation would read too much ─▶ leave out, largest first, what relations can do without
//! ```
//!
//! Hashing the trace is what a claim costs beside the run, so fewer bytes are better. What a relation reads stays within the profile's limit, and computing
//! it within four times that, even if nothing is remembered on the way. What an output shows is cut, and so are inputs.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use credence_exact::reads::COST_MAX;
use credence_exact::{NodeId, Op, Shape};
use credence_model::{NodeSpec, Program, ProgramError, ProgramSpec, RelationCost};

use crate::error::ImportError;

/// Most that computing a cell may read, nothing being remembered on the way, for a node to be left out: some tens of microseconds for whoever checks.
const WORK_MAX: u64 = 4 * COST_MAX;

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

/// Marks the cut nodes of a program.
pub(crate) fn assign(spec: &mut ProgramSpec) -> Result<(), ImportError> {
    let shown: BTreeSet<NodeId> = spec.outputs.iter().map(|output| output.node).collect();
    mark_costly(spec, &shown);
    let program = loop {
        match Program::check(spec.clone()) {
            Err(ProgramError::Relation { node, got, max }) => {
                if !cut_operands(spec, &node) {
                    return Err(ImportError::TooWide { node, got, max });
                }
            }
            checked => break checked,
        }
    };
    // Whatever else is wrong with it is said when the model is made.
    if let Ok(program) = program {
        leave_out(spec, &program, &shown);
    }
    Ok(())
}

fn mark_costly(spec: &mut ProgramSpec, shown: &BTreeSet<NodeId>) {
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

/// Leaves nodes out of the trace, those of most bytes first and of those the earliest, as long as no relation grows beyond the limit.
fn leave_out(spec: &mut ProgramSpec, program: &Program, shown: &BTreeSet<NodeId>) {
    let mut cut: Vec<bool> = spec.nodes.iter().map(|node| node.cut).collect();
    let bytes = |(id, node, shape): (NodeId, &NodeSpec, &Shape)| {
        let optional = node.cut && !shown.contains(&id) && !matches!(node.op, Op::Input(_));
        optional.then(|| {
            (
                Reverse(shape.cells().saturating_mul(node.dtype.width())),
                id,
            )
        })
    };
    let mut candidates: Vec<_> = program.nodes().filter_map(bytes).collect();
    candidates.sort_unstable();
    let costs =
        |cut: &[bool]| program.relation_costs(&|node| cut.get(at(node)).copied().unwrap_or(true));
    let mut before = costs(&cut);
    for (_, id) in candidates {
        let mut fewer = cut.clone();
        if let Some(slot) = fewer.get_mut(at(id)) {
            *slot = false;
        }
        let after = costs(&fewer);
        let grown = after.iter().zip(&before).zip(&fewer);
        // A relation that reads much by itself is no reason against leaving out what it does not read.
        let fits = |((after, before), cut): ((&RelationCost, &RelationCost), &bool)| {
            !cut || after == before || (after.reads <= COST_MAX && after.work <= WORK_MAX)
        };
        if grown.into_iter().all(fits) {
            (cut, before) = (fewer, after);
        }
    }
    for (node, cut) in spec.nodes.iter_mut().zip(cut) {
        node.cut = cut;
    }
}
