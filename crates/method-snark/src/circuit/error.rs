//! Why a program has no circuit.
//!
//! It deliberately names sizes and nodes alone: nothing of a run.

/// Why a program has no circuit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CircuitError {
    /// An op has no proof yet.
    #[error(
        "node `{node}` is of op `{op}`, which cannot be proved yet: check by replay or spot check"
    )]
    Op {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// A language model's program.
    #[error("language models cannot be proved yet: check by replay or spot check")]
    Language,
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
