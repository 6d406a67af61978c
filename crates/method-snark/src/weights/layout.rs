//! Where each matrix of weights stands in the one polynomial that is committed to.
//!
//! A matrix of R rows and C columns (of a convolution: all axes but the first) is filled up with zeros to powers of two, 2^ρ rows of 2^κ. Matrices stand one after another, larger ones first and equal ones in the order of
//! their parameters, so each begins at a multiple of its size: the high bits of an index say which matrix, then ρ bits the row, κ the column. It deliberately reads no weight.

use core::ops::Range;
use std::collections::BTreeSet;

use credence_exact::{Op, ParamId};
use credence_model::Program;

use crate::circuit::log2_ceil;

/// Each tensor of a model's tree begins at a multiple of this (`trace.md`, section 4).
const PARAM_ALIGN: u64 = 64;

/// One matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its parameter.
    pub param: ParamId,
    /// Rows: the parameter's first axis.
    pub rows: usize,
    /// Columns: all others.
    pub columns: usize,
    /// Logarithm of the rows' number, filled up.
    pub log_rows: u32,
    /// Logarithm of the columns' number, filled up.
    pub log_columns: u32,
    /// Index of its first entry.
    pub start: u64,
}

impl Block {
    /// Logarithm of its entries, filled up.
    #[must_use]
    pub const fn log_len(&self) -> u32 {
        self.log_rows.saturating_add(self.log_columns)
    }
}

/// All matrices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    blocks: Vec<Block>,
    log_len: u32,
}

/// Parameters that are weights of matrices or convolutions.
fn matrices(program: &Program) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for node in &program.spec().nodes {
        if let Op::Linear(op) = &node.op {
            found.insert(op.weight.0);
        }
        if let Op::Conv(op) = &node.op {
            found.insert(op.weight.0);
        }
    }
    found
}

/// Parameters that are not committed to: whoever checks knows them.
#[must_use]
pub fn public_params(program: &Program) -> Vec<ParamId> {
    let apart = matrices(program);
    let all = (0_u32..).take(program.spec().params.len());
    all.filter(|param| !apart.contains(param))
        .map(ParamId)
        .collect()
}

/// The bytes of public parameters in the tree of weights, and of the whole tree; `None` for sizes that fit nowhere.
#[must_use]
pub fn public_ranges(program: &Program) -> Option<(Vec<Range<u64>>, u64)> {
    let apart = matrices(program);
    let (mut ranges, mut end) = (Vec::new(), 0_u64);
    for (spec, param) in program.spec().params.iter().zip(0_u32..) {
        let cells = u64::try_from(program.param_shape(ParamId(param))?.cells()).ok()?;
        let bytes = cells.checked_mul(u64::try_from(spec.dtype.width()).ok()?)?;
        let behind = end.checked_add(bytes)?;
        if !apart.contains(&param) && bytes > 0 {
            ranges.push(end..behind);
        }
        end = behind.checked_next_multiple_of(PARAM_ALIGN)?;
    }
    Some((ranges, end))
}

impl Layout {
    /// Of a program; `None` if it has no matrix at all, or more than fit anywhere.
    #[must_use]
    pub fn new(program: &Program) -> Option<Self> {
        let mut blocks = Vec::new();
        for param in matrices(program) {
            let param = ParamId(param);
            let shape = program.param_shape(param)?;
            let rows = shape.dims().first().copied().filter(|&rows| rows > 0)?;
            let columns = shape.cells().checked_div(rows)?;
            blocks.push(Block {
                param,
                rows,
                columns,
                log_rows: log2_ceil(rows),
                log_columns: log2_ceil(columns),
                start: 0,
            });
        }
        blocks.sort_by_key(|block| (u32::MAX.saturating_sub(block.log_len()), block.param.0));
        let mut end = 0_u64;
        for block in &mut blocks {
            block.start = end;
            end = end.checked_add(1_u64.checked_shl(block.log_len())?)?;
        }
        let log_len = log2_ceil(usize::try_from(end).ok()?);
        (!blocks.is_empty()).then_some(Self { blocks, log_len })
    }

    /// The matrices, in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The matrix of a parameter.
    #[must_use]
    pub fn block(&self, param: ParamId) -> Option<&Block> {
        self.blocks.iter().find(|block| block.param == param)
    }

    /// Logarithm of the polynomial's length.
    #[must_use]
    pub const fn log_len(&self) -> u32 {
        self.log_len
    }
}
