//! A request held against its model: names, element types, shapes and batch, before anything is computed.

use credence_model::{
    Decode, Elements, Model, OutputSpec, Program, Tensor, Tensors, decode_elements,
};

use crate::RunError;

/// Most bytes of one run's trace.
const TRACE_BYTES_MAX: usize = 1 << 32;

/// A request that fits its model. Elements may still be ones that no encoding takes.
pub(crate) struct Request<'a> {
    /// Number of positions, at least 1.
    pub(crate) positions: usize,
    /// One for each of the program's inputs, in its order: `positions` times the input's cells.
    pub(crate) inputs: Vec<&'a Elements>,
}

impl<'a> Request<'a> {
    /// Checks everything but the elements' values.
    ///
    /// # Errors
    /// [`RunError`], naming the input.
    pub(crate) fn check(model: &Model, tensors: &'a Tensors) -> Result<Self, RunError> {
        let program = model.program();
        let specs = &program.spec().inputs;
        let names = || specs.iter().map(|input| input.name.clone()).collect();
        let known = |tensor: &&Tensor| specs.iter().any(|input| input.name == tensor.name());
        if let Some(unknown) = tensors.iter().find(|tensor| !known(tensor)) {
            return Err(RunError::UnknownInput {
                name: unknown.name().to_owned(),
                expected: names(),
            });
        }
        let mut batch = None;
        let mut inputs = Vec::with_capacity(specs.len());
        for spec in specs {
            let tensor = tensors.get(&spec.name);
            let tensor = tensor.ok_or_else(|| RunError::MissingInput {
                name: spec.name.clone(),
                expected: names(),
            })?;
            let got = tensor.elements().border_type();
            if got != spec.dtype {
                return Err(RunError::Type {
                    name: spec.name.clone(),
                    expected: spec.dtype,
                    got,
                });
            }
            let own = own_batch(tensor, &spec.shape).ok_or_else(|| RunError::Shape {
                name: spec.name.clone(),
                expected: spec.shape.clone(),
                got: tensor.shape().to_vec(),
            })?;
            let expected = *batch.get_or_insert(own);
            if own != expected {
                return Err(RunError::Batch {
                    name: spec.name.clone(),
                    expected,
                    got: own,
                });
            }
            inputs.push(tensor.elements());
        }
        let positions = positions(program, batch.unwrap_or(0))?;
        Ok(Self { positions, inputs })
    }
}

/// The first dimension, if the others are the input's.
fn own_batch(tensor: &Tensor, shape: &[u32]) -> Option<u64> {
    let (&batch, rest) = tensor.shape().split_first()?;
    let equal =
        rest.len() == shape.len() && rest.iter().zip(shape).all(|(&a, &b)| a == u64::from(b));
    equal.then_some(batch)
}

fn positions(program: &Program, batch: u64) -> Result<usize, RunError> {
    let max = TRACE_BYTES_MAX / program.trace_layout().block_bytes();
    match usize::try_from(batch) {
        Ok(0) => Err(RunError::Empty),
        Ok(positions) if positions <= max.max(1) => Ok(positions),
        _ => Err(RunError::TooLarge {
            got: batch,
            max: u64::try_from(max.max(1)).unwrap_or(u64::MAX),
        }),
    }
}

/// An answer's tensor from its elements.
///
/// # Errors
/// [`RunError::Answer`].
pub(crate) fn answer(
    program: &Program,
    output: &OutputSpec,
    positions: usize,
    elements: Elements,
) -> Result<Tensor, RunError> {
    let dims = program
        .output_shape(output)
        .map_or(&[][..], |shape| shape.dims());
    let sizes = [positions].into_iter().chain(dims.iter().copied());
    let shape = sizes.map(|size| u64::try_from(size).unwrap_or(u64::MAX));
    Ok(Tensor::new(
        output.name.as_str(),
        shape.collect(),
        elements,
    )?)
}

/// Decodes cells in plain code, as the specification says.
///
/// # Errors
/// [`RunError::Value`], which a checked model never gives.
pub(crate) fn decode(
    output: &OutputSpec,
    decode: &Decode,
    cells: &[i64],
) -> Result<Elements, RunError> {
    decode_elements(decode, cells).map_err(|source| RunError::Value {
        name: output.name.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
