//! A program with its weights, known to stay within its types on every input.
//!
//! Checking reads all weights twice, for the bounds and for the id, each on a thread of its own where that is worth one. Deliberately absent: where
//! the weights' bytes come from.

use credence_base::ModelId;
use credence_base::json::JsonError;
use credence_exact::{NodeId, ParamId};

use crate::bounds::{BoundsError, bounds};
use crate::identity::{model_id, program_bytes};
use crate::params::{ParamBytes, ParamView, ParamsError, check};
use crate::program::{Program, ProgramError};
use crate::spec::ProgramSpec;

/// Weights of fewer bytes are hashed faster than a thread is made.
const THREAD_BYTES_MIN: usize = 1 << 20;

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
    params: Vec<ParamBytes>,
    bounds: Vec<Interval>,
    id: ModelId,
}

impl Model {
    /// Checks a program with its tensors (little-endian, row-major, in program order).
    ///
    /// # Errors
    /// [`ModelError`], naming the node or parameter.
    pub fn new(spec: ProgramSpec, params: Vec<Vec<u8>>) -> Result<Self, ModelError> {
        Self::from_shared(spec, params.into_iter().map(ParamBytes::from).collect())
    }

    /// As [`Model::new`], with tensors that others may hold too.
    ///
    /// # Errors
    /// [`ModelError`], naming the node or parameter.
    pub fn from_shared(spec: ProgramSpec, params: Vec<ParamBytes>) -> Result<Self, ModelError> {
        let bytes = program_bytes(&spec)?;
        let program = Program::check(spec)?;
        check(&program, &params)?;
        let (id, bounds) = beside(
            params.iter().map(|param| param.len()).sum(),
            || model_id(&bytes, &params),
            || bounds(&program, &params),
        );
        // What comes next, if anything, takes one tensor after another.
        params.iter().for_each(ParamBytes::release);
        Ok(Self {
            bounds: bounds?,
            program,
            params,
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

    /// Says that a tensor has been read and will not be soon again ([`ParamBytes::release`]).
    pub fn release(&self, param: ParamId) {
        let index = usize::try_from(param.0).ok();
        if let Some(bytes) = index.and_then(|index| self.params.get(index)) {
            bytes.release();
        }
    }

    /// All tensors' bytes, in program order.
    #[must_use]
    pub fn params(&self) -> &[ParamBytes] {
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
        self.program.spec().parameter_count()
    }
}

/// Does both, on two threads if there are many bytes to go through and the system gives one.
fn beside<A: Send, B>(
    bytes: usize,
    a: impl Fn() -> A + Send + Sync,
    b: impl FnOnce() -> B,
) -> (A, B) {
    if bytes < THREAD_BYTES_MIN {
        return (a(), b());
    }
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, &a).ok();
        let b = b();
        // A thread that died is no reason to stop: this one can do its work.
        let done = other.and_then(|thread| thread.join().ok());
        (done.unwrap_or_else(&a), b)
    })
}
