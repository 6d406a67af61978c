//! How much memory a proof takes, before it is begun.
//!
//! ```text
//! circuit ‖ slots ‖ the most of { values of nodes, committed ‖ the most of { fractions and products, the linear claim, an opening } }
//! ```
//!
//! What is counted is what `witness.rs`, `prover.rs`, `lookup.rs` and `pcs` hold at one time, in the order in which they do. `benches/proofs.rs` compares it with the peak that the system saw, and fails if they are 20 % apart.
//! It deliberately leaves out the model and its engine, which whoever proves holds already.

use credence_method_snark::circuit::{Circuit, Entries};
use credence_method_snark::pcs::Params;
use credence_method_snark::{F, K};

use crate::pcs::{kept_bytes, opening_bytes};
use crate::weights::Weights;

/// Bytes of an indexed row of a table beside its cells: a list, its place in a map, and what a map leaves free.
const INDEX_BYTES: u64 = 72;

/// Threads' own memory, and what the allocator leaves free.
const APART_BYTES: u64 = 3 << 18;

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Bytes of memory that a proof takes at its peak, the circuit included; the model and its engine are not.
#[must_use]
pub fn memory_bytes(circuit: &Circuit, params: &Params) -> u64 {
    let (word, element) = (wide(F::BYTES), wide(K::BYTES));
    let width = wide(circuit.width());
    let leaves = 1_u64 << circuit.leaves_log();
    let committed = 1_u64 << circuit.witness_log();
    let rows = wide(circuit.committed.len());
    let cells = circuit.nodes.iter().map(|span| u64::from(span.len));
    // An engine's values, and where rows of tables stand.
    let nodes = cells.sum::<u64>() * wide(circuit.positions) * word + indices(circuit);
    // All layers of fractions, numerators and denominators; A, B and C of each product.
    let products = 3 * wide(circuit.gates.a.len()) * width * element;
    let lookups = 4 * leaves * element + products;
    // Two functionals, weights of rows and of all values, and the values once more with their first fold.
    let functional = u64::from(circuit.slots) * element * 2;
    let linear = committed * (element + word + element / 2);
    let linear = functional.max(linear) + rows * element;
    let steps = lookups.max(linear).max(opening_bytes(params));
    let kept = kept_bytes(params);
    resting(circuit, params) - kept + nodes.max(kept + steps)
}

/// The same where weights are committed to; the commitment that is kept is counted, since it is there for proofs alone.
#[must_use]
pub fn memory_bytes_apart(circuit: &Circuit, params: &Params, weights: &Weights) -> u64 {
    let (word, element) = (wide(F::BYTES), wide(K::BYTES));
    let own = weights.committed().params();
    let committed = 1_u64 << own.log_len();
    // Coefficients and values of the sumcheck over the weights, then its opening; beside what the proof keeps meanwhile.
    let sum = committed * (element + word + element / 2);
    let step = sum.max(opening_bytes(own));
    kept_bytes(own) + memory_bytes(circuit, params).max(resting(circuit, params) + step)
}

/// What a proof holds beside its steps.
fn resting(circuit: &Circuit, params: &Params) -> u64 {
    let slots = u64::from(circuit.slots) * wide(circuit.width()) * wide(F::BYTES);
    APART_BYTES + circuit.memory_bytes() + slots + kept_bytes(params)
}

/// Bytes of the maps in which rows of tables are found.
fn indices(circuit: &Circuit) -> u64 {
    let tables = circuit.tables.iter().map(|table| match &table.entries {
        Entries::Listed { width, .. } if *width > 2 => {
            wide(table.entries.len()) * (wide(*width) * wide(F::BYTES) + INDEX_BYTES)
        }
        Entries::Listed { .. } | Entries::Count(_) => 0,
    });
    tables.sum()
}
