//! A run with all its values, made again by the fast engine.
//!
//! It deliberately keeps nothing else of the run.

use credence_exec::{Engine, RunError};
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
