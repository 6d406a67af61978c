//! The prover: what `method-snark`'s verifier checks, made in the same order.
//!
//! ```text
//! Witness ─▶ front ‖ commitment ─γ, α─▶ leaves, products ─▶ lookup argument ─▶ weights ─▶ sumcheck over the committed values ─▶ opening
//! ```
//!
//! It deliberately does not look whether the witness is right: a proof of a wrong one is refused by whoever checks it.

use credence_method_snark::circuit::{Circuit, Leaf, Rows};
use credence_method_snark::pcs::Params;
use credence_method_snark::protocol::{
    Claims, LinearClaim, LookupChallenges, Statement, combine, lookup_challenges, start,
};
use credence_method_snark::run::Publics;
use credence_method_snark::weights::WeightsClaim;
use credence_method_snark::{F, K, Known, Transcript, WITNESS_DEGREE};
use credence_model::Model;
use rayon::prelude::*;

use crate::lookup::{Layer, Products, prove_lookups};
use crate::pairs::prove_pairs;
use crate::pcs::commit;
use crate::prove::ProveError;
use crate::sumcheck::{Rounds, prove as prove_rounds};
use crate::vector;
use crate::weights::Weights;
use crate::witness::{Slots, Witness};

/// Points below which a loop stays on its thread.
const SPLIT_MIN: usize = 1 << 11;

/// Proves the witness, right or wrong.
///
/// # Errors
/// [`ProveError`] if there are more values than can be committed to, or the circuit is not of this model.
pub fn prove_witness(
    statement: &Statement<'_>,
    model: &Model,
    circuit: &Circuit,
    witness: &Witness,
) -> Result<Vec<u8>, ProveError> {
    prove_with(statement, (model, None), circuit, witness)
}

/// The same where weights are committed to: the circuit is one of [`Circuit::apart`].
///
/// # Errors
/// [`ProveError`] if there are more values than can be committed to, or circuit or weights are not of this model.
pub fn prove_apart(
    statement: &Statement<'_>,
    (model, weights): (&Model, &Weights),
    circuit: &Circuit,
    witness: &Witness,
) -> Result<Vec<u8>, ProveError> {
    prove_with(statement, (model, Some(weights)), circuit, witness)
}

fn prove_with(
    statement: &Statement<'_>,
    (model, weights): (&Model, Option<&Weights>),
    circuit: &Circuit,
    witness: &Witness,
) -> Result<Vec<u8>, ProveError> {
    let known: &dyn Known = match weights {
        None => model,
        Some(weights) => weights.card(),
    };
    let params = Params::new(circuit.witness_log(), statement.security)?;
    let committed = commit(&params, witness.committed(circuit))?;
    let publics = &witness.publics;
    let mut out = publics.front();
    committed.commitment().write(&params, &mut out);
    let mut transcript = start(statement, known, circuit, publics);
    committed.commitment().absorb(&params, &mut transcript);
    let challenges = lookup_challenges(&mut transcript);
    let leaves = leaves(circuit, witness, challenges);
    let products = Products {
        a: rows(&circuit.gates.a, circuit, &witness.slots),
        b: rows(&circuit.gates.b, circuit, &witness.slots),
        c: rows(&circuit.gates.c, circuit, &witness.slots),
    };
    let leaves = prove_lookups(leaves, products, &mut transcript, &mut out);
    let pairs = prove_pairs(
        circuit,
        &witness.slots,
        &leaves.point,
        &mut transcript,
        &mut out,
    );
    let claims = Claims { leaves, pairs };
    let mut same = transcript.clone();
    let claim = combine(
        circuit,
        model,
        publics,
        challenges,
        &claims,
        &mut transcript,
    )?;
    let mut apart = match weights {
        None => None,
        Some(weights) => {
            // The verifier's claim, which lacks what the weights add.
            let claim = combine(circuit, known, publics, challenges, &claims, &mut same)?;
            Some(ApartClaim::begin(
                (model, weights),
                circuit,
                publics,
                claim,
            )?)
        }
    };
    if let Some(apart) = &apart {
        apart.say_public(&mut transcript, &mut out);
    }
    let values = committed.values();
    let mut sum = TableSum {
        base: values.to_vec(),
        values: Vec::new(),
        weights: claim.weights(circuit, values.len()),
    };
    let reduced = prove_rounds(&mut sum, claim.sum, &mut transcript, &mut out);
    let value = sum.value();
    value.write(&mut out);
    drop((sum, claim));
    if let Some(apart) = &mut apart {
        apart.say_committed(circuit, (&reduced.point, value), &mut transcript, &mut out)?;
    }
    committed.open(&reduced.point, value, &mut transcript, &mut out);
    if let Some(apart) = &apart {
        apart.open(&mut transcript, &mut out);
    }
    Ok(out)
}

/// What weights that are committed to add to the linear claim, step by step.
struct ApartClaim<'a> {
    model: &'a Model,
    weights: &'a Weights,
    claim: LinearClaim,
    on_public: (WeightsClaim, K),
    opened: (Vec<K>, K),
}

impl<'a> ApartClaim<'a> {
    fn begin(
        (model, weights): (&'a Model, &'a Weights),
        circuit: &Circuit,
        publics: &Publics,
        claim: LinearClaim,
    ) -> Result<Self, ProveError> {
        let values = claim.public_values(circuit, publics);
        let layout = weights.card().layout();
        let own = WeightsClaim::new(circuit, layout, &claim.apart, &values)?;
        let sum = own.of(model);
        Ok(Self {
            model,
            weights,
            claim,
            on_public: (own, sum),
            opened: (Vec::new(), K::ZERO),
        })
    }

    fn say_public(&self, transcript: &mut Transcript, out: &mut Vec<u8>) {
        let (_, sum) = self.on_public;
        sum.write(out);
        transcript.absorb_k("weights on public values", sum);
    }

    fn say_committed(
        &mut self,
        circuit: &Circuit,
        (point, value): (&[K], K),
        transcript: &mut Transcript,
        out: &mut Vec<u8>,
    ) -> Result<(), ProveError> {
        let values = self.claim.committed_values(circuit, point);
        let layout = self.weights.card().layout();
        let own = WeightsClaim::new(circuit, layout, &self.claim.apart, &values)?;
        let sum = own.of(self.model);
        sum.write(out);
        transcript.absorb_ks("weights on committed values", &[value, sum]);
        let join = transcript.challenge_k("join weights");
        let (on_public, first) = &self.on_public;
        let mut all = TableSum {
            base: self.weights.committed().values().to_vec(),
            values: Vec::new(),
            weights: own.scaled(join).and(on_public, K::ONE).coefficients(),
        };
        let reduced = prove_rounds(&mut all, *first + join * sum, transcript, out);
        let value = all.value();
        value.write(out);
        self.opened = (reduced.point, value);
        Ok(())
    }

    fn open(&self, transcript: &mut Transcript, out: &mut Vec<u8>) {
        let (point, value) = &self.opened;
        let committed = self.weights.committed();
        committed.open(point, *value, transcript, out);
    }
}

/// Rows of terms over all positions.
fn rows(rows: &Rows, circuit: &Circuit, slots: &Slots) -> Vec<K> {
    let width = circuit.width();
    let mut values = vec![K::ZERO; rows.len() * width];
    values
        .par_chunks_mut(width)
        .with_min_len(SPLIT_MIN.div_ceil(width))
        .enumerate()
        .for_each(|(row, values)| {
            for (position, value) in values.iter_mut().enumerate().take(circuit.positions) {
                *value = K::from(slots.sum(rows.get(row), position));
            }
        });
    values
}

/// The leaves of the lookup argument.
fn leaves(circuit: &Circuit, witness: &Witness, challenges: LookupChallenges) -> Layer {
    let LookupChallenges { gamma, alpha } = challenges;
    let width = circuit.width();
    let len = 1_usize << circuit.leaves_log();
    let (mut p, mut q) = (vec![K::ZERO; len], vec![K::ONE; len]);
    let powers: Vec<K> = core::iter::successors(Some(K::ONE), |last| Some(*last * gamma))
        .take(usize::from(circuit.power_max()) + 1)
        .collect();
    let slots = &witness.slots;
    let fill = |row: usize, p: &mut [K], q: &mut [K]| {
        let terms = circuit.looked_up.get(row);
        for position in 0..circuit.positions {
            p[position] = match circuit.leaves[row] {
                Leaf::Fixed { .. } | Leaf::Own { .. } => K::ONE,
                Leaf::Counted { count } => -K::from(slots.get(count, position)),
            };
            let mut value = alpha;
            let mut component = F::ZERO;
            let mut power = 0;
            for term in terms {
                let own = slots.get(term.slot, position) * F::from_i64(term.coefficient);
                if term.power != power {
                    value -= powers[usize::from(power)] * component;
                    component = F::ZERO;
                    power = term.power;
                }
                component += own;
            }
            q[position] = value - powers[usize::from(power)] * component;
        }
    };
    let end = circuit.looked_up.len() * width;
    p[..end]
        .par_chunks_mut(width)
        .zip(q[..end].par_chunks_mut(width))
        .with_min_len(SPLIT_MIN.div_ceil(width))
        .enumerate()
        .for_each(|(row, (p, q))| fill(row, p, q));
    entries(
        circuit,
        witness,
        (alpha, &powers),
        &mut p[end..],
        &mut q[end..],
    );
    Layer { p, q }
}

/// The leaves of the tables.
fn entries(circuit: &Circuit, witness: &Witness, challenges: (K, &[K]), p: &mut [K], q: &mut [K]) {
    let (alpha, powers) = challenges;
    let leaves = p.iter_mut().zip(q).zip(&witness.counts);
    let numbers = (1_u64..)
        .zip(circuit.tables.iter())
        .filter(|(_, table)| !table.shown);
    let rows = numbers
        .flat_map(|(number, table)| (0..table.entries.len()).map(move |row| (number, table, row)));
    for (((p, q), count), (number, table, row)) in leaves.zip(rows) {
        let mut value = K::from(F::from_u64(number));
        match table.entries.row(row) {
            Some(cells) => {
                for (&cell, power) in cells.iter().zip(&powers[1..]) {
                    value += *power * F::from_i64(cell);
                }
            }
            None => value += powers[1] * F::from_u64(u64::try_from(row).unwrap_or(0)),
        }
        *p = -K::from(*count);
        *q = alpha - value;
    }
}

/// `Σ value·weight` over committed values; the first round is over F.
struct TableSum {
    base: Vec<F>,
    values: Vec<K>,
    weights: Vec<K>,
}

impl TableSum {
    fn value(&self) -> K {
        let base = self.base.first().map(|value| K::from(*value));
        self.values.first().copied().or(base).unwrap_or(K::ZERO)
    }
}

impl Rounds for TableSum {
    fn variables(&self) -> usize {
        usize::try_from(self.weights.len().trailing_zeros()).unwrap_or(0)
    }

    fn degree(&self) -> usize {
        WITNESS_DEGREE
    }

    fn message(&mut self, _claim: K) -> Vec<K> {
        if self.values.is_empty() {
            return vector::product_sums(&self.base, &self.weights).to_vec();
        }
        vector::product_sums(&self.values, &self.weights).to_vec()
    }

    fn bind(&mut self, challenge: K) {
        if self.values.is_empty() {
            let half = self.base.len() / 2;
            let (v0, v1) = self.base.split_at(half);
            self.values = v0
                .par_iter()
                .with_min_len(SPLIT_MIN)
                .zip(v1)
                .map(|(zero, one)| challenge * (*one - *zero) + K::from(*zero))
                .collect();
            self.base = Vec::new();
        } else {
            vector::fold(&mut self.values, challenge);
        }
        vector::fold(&mut self.weights, challenge);
    }
}
