//! Which nodes a phase computes, what it copies from the phase before, and what it keeps for the one behind.

use credence_model::Model;

use crate::cells::index;

/// A phase's nodes, by index.
pub(super) struct Scope {
    /// Computed here.
    pub(super) here: Vec<bool>,
    /// Computed by the phase before and read here.
    pub(super) copied: Vec<bool>,
    /// Computed here and read by the phase behind.
    pub(super) kept: Vec<bool>,
}

impl Scope {
    /// The phases of a program: one, or for a language model the carried nodes and then the others.
    pub(super) fn phases(model: &Model) -> Vec<Self> {
        let program = model.program();
        let count = program.spec().nodes.len();
        let Some(layout) = program.language() else {
            return vec![Self {
                here: vec![true; count],
                copied: vec![false; count],
                kept: vec![false; count],
            }];
        };
        let carried: Vec<bool> = program
            .nodes()
            .map(|(id, _, _)| layout.is_carried(id))
            .collect();
        // Keys and values are read from the cache.
        let mut crossing = vec![false; count];
        for (id, node, _) in program.nodes().filter(|(id, _, _)| !carried[index(id.0)]) {
            for operand in node.op.operands() {
                let read = node.op.remembered() != Some(operand) && carried[index(operand.0)];
                crossing[index(operand.0)] |= read && !carried[index(id.0)];
            }
        }
        let none = vec![false; count];
        vec![
            Self {
                here: carried.clone(),
                copied: none.clone(),
                kept: crossing.clone(),
            },
            Self {
                here: carried.iter().map(|carried| !carried).collect(),
                copied: crossing,
                kept: none,
            },
        ]
    }
}
