//! What the tests of proofs share: runs of random programs, a check of a witness against its circuit, and an honest prover.
//!
//! It deliberately proves nothing by itself.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Engine, Isa, Options};
use credence_method_snark::circuit::{Circuit, CircuitError, Extent, Leaf, Map, Term};
use credence_method_snark::pcs::Security;
use credence_method_snark::protocol::Statement;
use credence_method_snark::run::Publics;
use credence_method_snark::{F, ProofError, Reader, Relation};
use credence_model::{Model, Tensors};
use credence_prove_snark::prover::prove_witness;
use credence_prove_snark::run::{node_values, token_values};
use credence_prove_snark::witness::{NodeValues, Slots, Witness};
use credence_testkit::program_gen;

pub(crate) const STATEMENT: Statement<'_> = Statement {
    bound: &[("claim", b"a claim")],
    security: Security::Bits100,
};

pub(crate) struct Run {
    pub(crate) model: Arc<Model>,
    pub(crate) circuit: Circuit,
    pub(crate) witness: Witness,
    pub(crate) nodes: NodeValues,
}

pub(crate) fn engine(model: Arc<Model>) -> Engine {
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: *Isa::available().last().unwrap(),
    };
    Engine::new(model, options).unwrap()
}

/// Random models that have proofs, by their seeds from `first` on: some quotients are too wide.
pub(crate) fn provable(first: u64) -> impl Iterator<Item = (u64, Model)> {
    let models = (first..).map(|seed| (seed, program_gen::model(seed)));
    models.filter(|(seed, model)| {
        let built = Circuit::new(model, 1);
        let wide = matches!(built, Err(CircuitError::Wide { .. }));
        assert!(built.is_ok() || wide, "{seed}: {:?}", built.err());
        !wide
    })
}

impl Run {
    pub(crate) fn new(model: Model, inputs: &Tensors) -> Self {
        let model = Arc::new(model);
        let engine = engine(Arc::clone(&model));
        let (nodes, _, positions) = node_values(&engine, inputs).unwrap();
        let circuit = Circuit::new(&model, usize::try_from(positions).unwrap()).unwrap();
        let witness = Witness::new(&circuit, &nodes);
        Self {
            model,
            circuit,
            witness,
            nodes,
        }
    }

    /// A language model's run of these tokens, of which the last are sampled.
    pub(crate) fn of_tokens(model: Model, tokens: &[u32], sampled: usize) -> Self {
        let model = Arc::new(model);
        let engine = engine(Arc::clone(&model));
        let nodes = token_values(&engine, tokens).unwrap();
        let positions = tokens.len();
        let circuit = Circuit::new(&model, Extent { positions, sampled }).unwrap();
        let witness = Witness::new(&circuit, &nodes);
        Self {
            model,
            circuit,
            witness,
            nodes,
        }
    }

    pub(crate) fn prove(&self) -> Vec<u8> {
        prove_witness(&STATEMENT, &self.model, &self.circuit, &self.witness).unwrap()
    }

    pub(crate) fn verify(&self, proof: &[u8]) -> Result<Publics, ProofError> {
        let mut reader = Reader::new(proof);
        let inputs = self.witness.publics.inputs.clone();
        let program = self.model.program();
        let publics = Publics::read(inputs, &self.circuit, program, &mut reader)?;
        self.check(&STATEMENT, &publics, reader)?;
        Ok(publics)
    }

    /// What the verifier says, who builds the circuit itself.
    pub(crate) fn check(
        &self,
        statement: &Statement<'_>,
        publics: &Publics,
        reader: Reader<'_>,
    ) -> Result<(), ProofError> {
        let relation = Relation::new(Arc::clone(&self.model), self.extent()).unwrap();
        credence_method_snark::verify(statement, &relation, publics, reader)
    }

    /// How long the run is.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            positions: self.circuit.positions,
            sampled: self.circuit.sampled,
        }
    }

    /// The first constraint that does not hold, in words.
    pub(crate) fn broken(&self) -> Option<String> {
        let slots = &self.witness.slots;
        let circuit = &self.circuit;
        for position in 0..circuit.positions {
            let zero = |row: &[Term]| slots.sum(row, position) == F::ZERO;
            for (at, row) in circuit.zeros.iter().enumerate() {
                if !zero(row) {
                    return Some(format!("equation {at} {row:?} at {position}"));
                }
            }
            let gates = &circuit.gates;
            for at in 0..gates.a.len() {
                let [a, b, c] =
                    [&gates.a, &gates.b, &gates.c].map(|rows| slots.sum(rows.get(at), position));
                if a * b != c {
                    return Some(format!("product {at} at {position}"));
                }
            }
            for (at, (leaf, row)) in circuit
                .leaves
                .iter()
                .zip(circuit.looked_up.iter())
                .enumerate()
            {
                if let Leaf::Fixed { table } = leaf
                    && !in_table(circuit, *table, row, slots, position)
                {
                    return Some(format!("lookup {at} in table {table} at {position}"));
                }
            }
            for pair in &circuit.pairs {
                for (slot, cell) in (pair.y.start..).take(pair.y.range().len()).zip(0..) {
                    let factors = pair.factors(cell, position);
                    let sum: F = factors
                        .map(|[(a, p), (b, q)]| slots.get(a, p) * slots.get(b, q))
                        .sum();
                    if slots.get(slot, position) != sum {
                        return Some(format!("product of two values {slot} at {position}"));
                    }
                }
            }
            for step in &circuit.steps {
                if let Map::Sparse { rows } = &step.map {
                    for (slot, row) in (step.y.start..).zip(circuit.derived.some(rows.clone())) {
                        if slots.get(slot, position) != slots.sum(row, position) {
                            return Some(format!("derived slot {slot} at {position}"));
                        }
                    }
                }
            }
        }
        None
    }
}

fn in_table(circuit: &Circuit, table: usize, row: &[Term], slots: &Slots, position: usize) -> bool {
    let entries = &circuit.tables[table].entries;
    let component = |power: u8| -> F {
        let terms: Vec<Term> = row.iter().filter(|t| t.power == power).copied().collect();
        slots.sum(&terms, position)
    };
    let all = match entries.row(0) {
        None => return component(1).to_u64() < entries.len() as u64,
        Some(first) => 1..=u8::try_from(first.len()).unwrap(),
    };
    let tuple: Vec<F> = all.map(component).collect();
    (0..entries.len()).any(|index| {
        let cells = entries.row(index).unwrap().iter();
        cells
            .zip(&tuple)
            .all(|(&cell, &own)| own == F::from_i64(cell))
    })
}
