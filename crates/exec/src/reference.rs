//! The reference engine: every cell of every node by its cell relation, in plain code.
//!
//! It follows `docs/spec/arithmetic.md` line by line and is as slow as that makes it. Its purpose is to be read, and to be what the
//! fast engine must equal on every value. It deliberately shares no kernel, plan or memory layout with it.

mod language;

use credence_exact::cell::{CellError, Context, evaluate};
use credence_exact::{NodeId, ParamId, Shape};
use credence_model::{Model, NodeSpec, Tensors, encode_elements};

use crate::cells::index;
use crate::engine::Execution;
use crate::request::{Request, answer, decode};
use crate::{RunError, Trace};

pub use language::{Tokens, TokensError, run_tokens};

/// A run with all of its values.
#[derive(Debug)]
pub struct Observed {
    /// What the fast engine gives as well.
    pub execution: Execution,
    /// `values[position][node][cell]`, for every node, cut or not.
    pub values: Vec<Vec<Vec<i64>>>,
}

/// Runs a model on a request.
///
/// # Errors
/// [`RunError`] if the request does not fit the model.
pub fn run(model: &Model, inputs: &Tensors) -> Result<Observed, RunError> {
    let request = Request::check(model, inputs)?;
    let program = model.program();
    let specs = &program.spec().inputs;
    let mut encoded = Vec::with_capacity(specs.len());
    for (spec, elements) in specs.iter().zip(&request.inputs) {
        let cells = encode_elements(&spec.encode, elements);
        encoded.push(cells.map_err(|source| RunError::Value {
            name: spec.name.clone(),
            source,
        })?);
    }
    let values = (0..request.positions)
        .map(|position| run_position(model, &encoded, position))
        .collect::<Result<Vec<_>, _>>()?;
    let trace = trace_of(model, &values);
    let mut outputs = Vec::with_capacity(program.spec().outputs.len());
    for output in &program.spec().outputs {
        let cells: Vec<i64> = values
            .iter()
            .flat_map(|nodes| nodes[index(output.node.0)].iter().copied())
            .collect();
        let elements = decode(output, &output.decode, &cells)?;
        outputs.push(answer(program, output, request.positions, elements)?);
    }
    let execution = Execution {
        outputs: Tensors::new(outputs)?,
        trace,
        positions: u64::try_from(request.positions).unwrap_or(u64::MAX),
    };
    Ok(Observed { execution, values })
}

/// All values of one position, by node.
fn run_position(
    model: &Model,
    encoded: &[Vec<i64>],
    position: usize,
) -> Result<Vec<Vec<i64>>, RunError> {
    let mut known = Known {
        model,
        encoded,
        position,
        values: Vec::new(),
    };
    for (_, node, shape) in model.program().nodes() {
        let cells = (0..shape.cells())
            .map(|at| cell(node, shape, at, &mut known))
            .collect::<Result<Vec<i64>, RunError>>()?;
        known.values.push(cells);
    }
    Ok(known.values)
}

fn cell(node: &NodeSpec, shape: &Shape, at: usize, known: &mut Known<'_>) -> Result<i64, RunError> {
    let value = evaluate(&node.op, shape, at, known);
    let value = value.and_then(|value| Ok(node.dtype.check(value)?));
    value.map_err(|source| RunError::Cell {
        node: node.name.clone(),
        index: at,
        source,
    })
}

/// The trace block of each position: cut nodes at their offsets, all else 0.
fn trace_of(model: &Model, values: &[Vec<Vec<i64>>]) -> Trace {
    let layout = model.program().trace_layout();
    let mut trace = Trace::zeroed(values.len(), layout.block_bytes());
    let blocks = trace.bytes_mut().chunks_exact_mut(layout.block_bytes());
    for (block, nodes) in blocks.zip(values) {
        for ((id, node, _), cells) in model.program().nodes().zip(nodes) {
            let Some(offset) = layout.offset(id) else {
                continue;
            };
            let width = node.dtype.width();
            let places = block[offset..].chunks_exact_mut(width);
            for (place, cell) in places.zip(cells) {
                place.copy_from_slice(&cell.to_le_bytes()[..width]);
            }
        }
    }
    trace
}

/// The values known so far in one position.
struct Known<'a> {
    model: &'a Model,
    encoded: &'a [Vec<i64>],
    position: usize,
    values: Vec<Vec<i64>>,
}

const fn absent(what: &'static str, index: usize) -> CellError {
    CellError::Absent { what, index }
}

impl Context for Known<'_> {
    fn shape(&self, node: NodeId) -> Result<&Shape, CellError> {
        let shape = self.model.program().shape(node);
        shape.ok_or_else(|| absent("shape", index(node.0)))
    }

    fn param_shape(&self, param: ParamId) -> Result<&Shape, CellError> {
        let shape = self.model.program().param_shape(param);
        shape.ok_or_else(|| absent("parameter's shape", index(param.0)))
    }

    fn value(&mut self, node: NodeId, at: usize) -> Result<i64, CellError> {
        let cell = self
            .values
            .get(index(node.0))
            .and_then(|cells| cells.get(at));
        cell.copied().ok_or_else(|| absent("node", at))
    }

    fn param(&mut self, param: ParamId, at: usize) -> Result<i64, CellError> {
        let entry = self.model.param(param).and_then(|view| view.get(at));
        entry.ok_or_else(|| absent("parameter", at))
    }

    fn input(&mut self, input: u32, at: usize) -> Result<i64, CellError> {
        let cells = self
            .model
            .program()
            .input_shape(input)
            .map_or(0, Shape::cells);
        let element = self
            .encoded
            .get(index(input))
            .and_then(|all| all.get(self.position * cells + at));
        element.copied().ok_or_else(|| absent("input", at))
    }
}
