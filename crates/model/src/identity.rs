//! What a `ModelId` is the digest of (`docs/spec/trace.md`, section 4).
//!
//! Two trees, so that the program can be shown without the weights and a weight row without the program:
//!
//! ```text
//! program root = tree(PROGRAM, canonical JSON)
//! weights root = tree(WEIGHTS, tensors in program order, each zero-padded to a multiple of 64 bytes)
//! ModelId      = tree(MODEL, u64 program length ‖ program root ‖ u64 weights length ‖ weights root)
//! ```

use std::ops::Deref;

use credence_base::json::{JsonError, from_canonical, to_canonical};
use credence_base::wire::Writer;
use credence_base::{ModelId, domain};
use credence_commit::{TreeHasher, tree};

use crate::layout::NODE_ALIGN;
use crate::spec::ProgramSpec;

/// Longest canonical program in bytes.
pub const PROGRAM_BYTES_MAX: usize = 64 << 20;

/// A program's canonical JSON (RFC 8785).
///
/// # Errors
/// [`JsonError`] if it is not representable, which no program made of this crate's types is.
pub fn program_bytes(spec: &ProgramSpec) -> Result<Vec<u8>, JsonError> {
    to_canonical(spec)
}

/// Reads a program's canonical JSON and no other form of it.
///
/// # Errors
/// [`JsonError`] if it is longer than [`PROGRAM_BYTES_MAX`], is not a program, or not canonical.
pub fn program_from_bytes(bytes: &[u8]) -> Result<ProgramSpec, JsonError> {
    from_canonical(bytes, PROGRAM_BYTES_MAX)
}

/// The `ModelId` of canonical program bytes and tensors in program order.
#[must_use]
pub fn model_id(program: &[u8], params: &[impl Deref<Target = [u8]>]) -> ModelId {
    let mut weights = TreeHasher::new(domain::WEIGHTS);
    for bytes in params {
        let padding = bytes.len().next_multiple_of(NODE_ALIGN) - bytes.len();
        weights.update(bytes);
        weights.update([0; NODE_ALIGN].get(..padding).unwrap_or_default());
    }
    let mut writer = Writer::new();
    writer.u64(u64::try_from(program.len()).unwrap_or(u64::MAX));
    writer.digest(&tree::root(domain::PROGRAM, program));
    writer.u64(weights.len());
    writer.digest(&weights.finish());
    ModelId::from_digest(tree::root(domain::MODEL, &writer.finish()))
}
