//! Why a program has no circuit.
//!
//! It deliberately names sizes and nodes alone: nothing of a run.

/// Why a program has no circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CircuitError {
    /// An op has no proof where it stands: `embed` of a number that is computed, and ops of section 5.1 and 6 where weights are committed to.
    #[error(
        "node `{node}` is of op `{op}`, which cannot be proved here: check by replay or spot check"
    )]
    Op {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// An extent that no run of the model has.
    #[error(
        "a language model's run has sampled positions, at most all of them, and no other model's has; got {positions} positions of which {sampled} are sampled"
    )]
    Extent {
        /// Positions.
        positions: usize,
        /// Of which are sampled.
        sampled: usize,
    },
    /// A range is wider than the field can hold apart.
    #[error(
        "node `{node}` needs a range of {bits} bits, which its proof cannot hold: use smaller multipliers"
    )]
    Wide {
        /// The node.
        node: String,
        /// The range.
        bits: u32,
    },
    /// Too many of something.
    #[error(
        "{what}: at most {max} can be proved at once, got {got}: use smaller batches, or check by replay"
    )]
    Size {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// The circuit is larger than it may be.
    #[error(
        "the circuit alone takes {got} bytes of memory or more, at most {max} are allowed: raise the limit or use smaller batches"
    )]
    Memory {
        /// The limit.
        max: u64,
        /// What is built so far.
        got: u64,
    },
    /// A checked program does not give this.
    #[error("node `{node}` lacks {what}, which a checked program has")]
    Absent {
        /// The node.
        node: String,
        /// What is not there.
        what: &'static str,
    },
}
