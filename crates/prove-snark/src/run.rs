//! A run with all its values, made again by the fast engine: of tensors, or of tokens.
//!
//! It deliberately keeps nothing else of the run.

use credence_exact::{NodeId, Op};
use credence_exec::{Append, Engine, RunError, SessionError};
use credence_model::Tensors;

use crate::witness::NodeValues;

/// Runs the engine and keeps every value of every node.
///
/// # Errors
/// [`RunError`] if the request does not fit the model.
pub fn node_values(
    engine: &Engine,
    inputs: &Tensors,
) -> Result<(NodeValues, Tensors, u64), RunError> {
    let mut values = vec![Vec::new(); engine.model().program().spec().nodes.len()];
    let execution = engine.run_observed(inputs, &mut |node, _, cells| {
        let at = usize::try_from(node.0).unwrap_or(usize::MAX);
        if let Some(own) = values.get_mut(at) {
            own.extend_from_slice(cells);
        }
    })?;
    Ok((values, execution.outputs, execution.positions))
}

/// Runs a language model on all tokens at once and keeps every value of every node at every position; scores apart, which are made of all pairs of positions.
///
/// # Errors
/// [`SessionError`] if the tokens do not fit the model.
pub fn token_values(engine: &Engine, tokens: &[u32]) -> Result<NodeValues, SessionError> {
    let nodes = &engine.model().program().spec().nodes;
    let mut values = vec![Vec::new(); nodes.len()];
    let at = |node: NodeId| usize::try_from(node.0).unwrap_or(usize::MAX);
    let wanted = |node| {
        let op = nodes.get(at(node)).map(|node| &node.op);
        !matches!(op, Some(Op::Scores(_)))
    };
    let mut session = engine.session()?;
    let mut appends = [Append {
        session: &mut session,
        tokens,
        sampled: tokens.len(),
    }];
    let mut keep = |node: NodeId, _: usize, position: usize, cells: &[i64]| {
        if let Some(own) = values.get_mut(at(node)) {
            let start = position * cells.len();
            own.resize(own.len().max(start + cells.len()), 0);
            own[start..start + cells.len()].copy_from_slice(cells);
        }
    };
    engine.advance_watching(&mut appends, &mut |_, _, _| {}, &wanted, &mut keep)?;
    Ok(values)
}
