//! A program with its weights, known to stay within its types on every input.

use credence_base::ModelId;
use credence_base::json::JsonError;
use credence_exact::{NodeId, ParamId};

use crate::bounds::{BoundsError, bounds};
use crate::identity::{model_id, program_bytes};
use crate::params::{ParamView, ParamsError, check};
use crate::program::{Program, ProgramError};
use crate::spec::ProgramSpec;

/// Smallest and largest value, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
}

/// Why a model is refused.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The program's form.
    #[error("the program is not one of profile exact-1")]
    Program(#[from] ProgramError),
    /// The tensors do not belong to the program.
    #[error("the tensors do not belong to the program")]
    Params(#[from] ParamsError),
    /// A value could leave its type.
    #[error("the program's bounds do not fit")]
    Bounds(#[from] BoundsError),
    /// The program has no canonical JSON.
    #[error("the program cannot be written")]
    Json(#[from] JsonError),
}

/// A checked program, its weights, its bounds and its id. Made by [`Model::new`] alone.
#[derive(Debug)]
pub struct Model {
    program: Program,
    params: Vec<Vec<u8>>,
    bounds: Vec<Interval>,
    id: ModelId,
}

impl Model {
    /// Checks a program with its tensors (little-endian, row-major, in program order).
    ///
    /// # Errors
    /// [`ModelError`], naming the node or parameter.
    pub fn new(spec: ProgramSpec, params: Vec<Vec<u8>>) -> Result<Self, ModelError> {
        let bytes = program_bytes(&spec)?;
        let program = Program::check(spec)?;
        check(&program, &params)?;
        let bounds = bounds(&program, &params)?;
        let id = model_id(&bytes, &params);
        Ok(Self {
            program,
            params,
            bounds,
            id,
        })
    }

    /// What this model *is*.
    #[must_use]
    pub const fn id(&self) -> ModelId {
        self.id
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// A tensor.
    #[must_use]
    pub fn param(&self, param: ParamId) -> Option<ParamView<'_>> {
        let index = usize::try_from(param.0).ok()?;
        let spec = self.program.spec().params.get(index)?;
        Some(ParamView::new(
            spec.dtype,
            self.program.param_shape(param)?,
            self.params.get(index)?,
        ))
    }

    /// All tensors' bytes, in program order.
    #[must_use]
    pub fn params(&self) -> &[Vec<u8>] {
        &self.params
    }

    /// What a node's cells can be, whatever the input.
    #[must_use]
    pub fn bounds(&self, node: NodeId) -> Option<Interval> {
        self.bounds.get(usize::try_from(node.0).ok()?).copied()
    }

    /// Number of integers in all tensors.
    #[must_use]
    pub fn parameter_count(&self) -> u64 {
        let specs = self.program.spec().params.iter();
        let counts = specs.map(|p| p.shape.iter().map(|&d| u64::from(d)).product::<u64>());
        counts.fold(0, u64::saturating_add)
    }
}
