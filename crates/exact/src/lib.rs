//! Define the arithmetic: rescale, tables, and the *cell relation* of every op.
//!
//! Profile `exact-1` is specified in `docs/spec/arithmetic.md`; this crate is that document in code. It says what an op
//! *is* ([`Op`]), which shape it yields ([`shape::infer`]) and which integer stands in each cell of its result
//! ([`cell::evaluate`]). The reference engine calls the cell relation for every cell; a spot check or a referee
//! calls it for one. The fast engine must equal it and is not found here.
//!
//! What is deliberately absent: tensors in memory, weights, programs, threads, floating-point arithmetic. Floats appear
//! only as bit patterns, at the border ([`border`]).

#![forbid(unsafe_code)]

pub mod border;
pub mod cell;
mod dtype;
pub mod fixed;
mod op;
pub mod reads;
mod rescale;
pub mod shape;

pub use dtype::{Dtype, DtypeError};
pub use op::{
    Add, ArgMax, Attend, Concat, Conv, Divide, Embed, Gather, GatherSum, Hadamard, Input, Linear,
    MatMul, MaxAbs, MaxPool, Mul, NodeId, Op, ParamId, Position, Quantise, Reindex, Rescale,
    RmsRatio, Rope, Scores, Sight, Softmax, SumPool, Table, Token, TreeLeaves, Window,
};
pub use rescale::{ACCUMULATOR_LIMIT, Multiplier, RescaleError, SHIFT_MAX, Shift, clamp, rescale};
pub use shape::{Shape, ShapeError};
