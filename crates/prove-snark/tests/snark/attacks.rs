//! Provers who lie: each changes one thing of an honest run and proves the rest as well as it can.
//!
//! It deliberately tests no byte of a proof; `bytes.rs` does.

use std::collections::BTreeSet;

use crate::common::{Run, STATEMENT, provable};
use crate::small;
use credence_method_snark::circuit::{Circuit, Hint, Leaf};
use credence_method_snark::lookup::LookupError;
use credence_method_snark::run::PublicError;
use credence_method_snark::{F, ProofError, Reader};
use credence_prove_snark::prover::prove_witness;
use credence_prove_snark::witness::Witness;
use credence_testkit::program_gen::{Choices, request};

/// Which check noticed.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Noticed {
    Lookups,
    Products,
    Equations,
    Pairs,
}

pub(crate) fn noticed(result: Result<impl Sized, ProofError>) -> Option<Noticed> {
    match result {
        Ok(_) => None,
        Err(ProofError::Lookup(LookupError::Sum)) => Some(Noticed::Lookups),
        Err(ProofError::Lookup(LookupError::Layer { .. })) => Some(Noticed::Products),
        Err(ProofError::Equations) => Some(Noticed::Equations),
        Err(ProofError::Pairs(_)) => Some(Noticed::Pairs),
        Err(other) => panic!("{other:?}"),
    }
}

impl Run {
    /// Committed slots but own counts, which are counted anew after each lie: they have a test of their own.
    pub(crate) fn told(&self) -> Vec<u32> {
        let counts = self.circuit.leaves.iter().filter_map(|leaf| match leaf {
            Leaf::Counted { count } => Some(*count),
            Leaf::Fixed { .. } | Leaf::Own { .. } => None,
        });
        let counts: BTreeSet<u32> = counts.collect();
        let all = self.circuit.committed.iter().copied();
        all.filter(|slot| !counts.contains(slot)).collect()
    }

    /// What is noticed of the run after one slot is changed and lookups are counted anew.
    pub(crate) fn after(&mut self, slot: u32, position: usize, delta: F) -> Option<Noticed> {
        let before = self.witness.clone();
        let value = self.witness.slots.get(slot, position) + delta;
        self.witness.slots.set(slot, position, value);
        self.witness.recount(&self.circuit);
        let result = self.verify(&self.prove());
        self.witness = before;
        noticed(result)
    }
}

#[test]
fn no_committed_value_of_any_op_can_be_another() {
    for (name, model, inputs) in small::programs() {
        let mut run = Run::new(model, &inputs);
        let mut choices = Choices::new(1);
        let committed = run.told();
        let step = committed.len().div_ceil(60);
        for slot in committed.into_iter().step_by(step) {
            let position = usize::try_from(choices.int(0, 1)).unwrap() % run.circuit.positions;
            for delta in [F::ONE, -F::ONE, F::from_u64(choices.bits())] {
                let noticed = run.after(slot, position, delta);
                assert!(noticed.is_some(), "{name}: slot {slot} at {position}");
            }
        }
    }
}

#[test]
fn the_result_of_no_op_can_be_another() {
    let mut ops = BTreeSet::new();
    for (name, model, inputs) in small::programs() {
        let run = Run::new(model, &inputs);
        for (id, node, _) in run.model.program().nodes() {
            let span = run.circuit.nodes[usize::try_from(id.0).unwrap()];
            if !run.circuit.committed.contains(&span.start) {
                continue;
            }
            ops.insert(node.op.name());
            let lied = run.lied(span.start);
            let noticed = noticed(lied.verify(&lied.prove()));
            // The cell is looked up, beside its remainder or in its table, or fails a product.
            assert_ne!(noticed, None, "{name}: {}", node.name);
        }
    }
    let committed = [
        "add",
        "conv",
        "divide",
        "gather",
        "linear",
        "mat_mul",
        "max_abs",
        "max_pool",
        "mul",
        "quantise",
        "rescale",
        "rms_ratio",
        "softmax",
        "table",
    ];
    assert_eq!(Vec::from_iter(ops), committed);
}

impl Run {
    /// The run as someone tells it who changed one cell and worked out all that follows from it by the honest hints.
    fn lied(&self, slot: u32) -> Self {
        let mut nodes = self.nodes.clone();
        for (span, values) in self.circuit.nodes.iter().zip(&mut nodes) {
            if span.start == slot {
                values[0] += if values[0] > 0 { -1 } else { 1 };
            }
        }
        let witness = Witness::new(&self.circuit, &nodes);
        Self {
            model: self.model.clone(),
            circuit: Circuit::new(&self.model, self.extent()).unwrap(),
            witness,
            nodes,
        }
    }
}

#[test]
fn a_remainder_cannot_be_another() {
    for (name, model, inputs) in small::programs() {
        let mut run = Run::new(model, &inputs);
        let limbs = run.circuit.hints.iter();
        let limbs =
            limbs.filter(|(_, hint)| matches!(hint, Hint::Bits { .. } | Hint::Remainder { .. }));
        let limbs: Vec<u32> = limbs.map(|&(slot, _)| slot).collect();
        for slot in limbs.into_iter().take(8) {
            let noticed = run.after(slot, 0, F::ONE);
            assert!(noticed.is_some(), "{name}: limb {slot}");
        }
    }
}

#[test]
fn a_count_cannot_be_another() {
    for (name, model, inputs) in small::programs() {
        let mut run = Run::new(model, &inputs);
        for at in 0..run.witness.counts.len().min(5) {
            run.witness.counts[at] += F::ONE;
            let result = run.verify(&run.prove());
            assert_eq!(
                noticed(result),
                Some(Noticed::Lookups),
                "{name}: count {at}"
            );
            run.witness.counts[at] -= F::ONE;
        }
        let own: Vec<u32> = run
            .circuit
            .leaves
            .iter()
            .filter_map(|leaf| match leaf {
                Leaf::Counted { count } => Some(*count),
                _ => None,
            })
            .collect();
        for slot in own.into_iter().take(3) {
            let value = run.witness.slots.get(slot, 0);
            run.witness.slots.set(slot, 0, value + F::ONE);
            let result = run.verify(&run.prove());
            assert_eq!(noticed(result), Some(Noticed::Lookups), "{name}: own count");
            run.witness.slots.set(slot, 0, value);
        }
    }
}

#[test]
fn a_row_of_a_shown_table_cannot_be_another() {
    let (_, model, inputs) = small::shown();
    let mut run = Run::new(model, &inputs);
    assert!(!run.circuit.shown.is_empty());
    assert!(run.verify(&run.prove()).is_ok());
    run.witness.publics.shown[0][0] ^= 1;
    let result = run.verify(&run.prove());
    assert_eq!(noticed(result), Some(Noticed::Equations));
    run.witness.publics.shown[0][0] = u32::MAX;
    let result = run.verify(&run.prove());
    let refused = matches!(result, Err(ProofError::Public(PublicError::Row { .. })));
    assert!(refused, "{result:?}");
}

#[test]
fn an_output_cannot_be_another() {
    for (name, model, inputs) in small::programs() {
        let mut run = Run::new(model, &inputs);
        for output in 0..run.witness.publics.outputs.len() {
            let honest = run.witness.publics.outputs[output][0];
            run.witness.publics.outputs[output][0] = if honest == 0 { 1 } else { 0 };
            let result = run.verify(&run.prove());
            assert_eq!(noticed(result), Some(Noticed::Equations), "{name}");
            run.witness.publics.outputs[output][0] = honest;
        }
    }
}

#[test]
fn an_output_has_its_type() {
    let (_, model, inputs) = small::programs().remove(1);
    let mut run = Run::new(model, &inputs);
    run.witness.publics.outputs[0][3] = 128;
    let result = run.verify(&run.prove());
    let refused = matches!(
        result,
        Err(ProofError::Public(PublicError::Type {
            index: 3,
            got: 128,
            ..
        }))
    );
    assert!(refused, "{result:?}");
}

#[test]
fn an_input_cannot_be_another() {
    for (name, model, inputs) in small::programs() {
        let run = Run::new(model, &inputs);
        let proof = run.prove();
        for input in 0..run.witness.publics.inputs.len() {
            let mut reader = Reader::new(&proof);
            let mut inputs = run.witness.publics.inputs.clone();
            inputs[input][0] ^= 1;
            let program = run.model.program();
            let publics = credence_method_snark::run::Publics::read(
                inputs,
                &run.circuit,
                program,
                &mut reader,
            )
            .unwrap();
            let result = run.check(&STATEMENT, &publics, reader);
            assert!(result.is_err(), "{name}");
        }
    }
}

/// One circuit's proof for another: the same program with two operands exchanged, other weights, another clamp.
#[test]
fn wiring_cannot_be_another() {
    let mut noticed_lies = 0;
    for (name, honest, inputs) in small::programs() {
        for (change, other) in small::changed(&honest) {
            let liar = Run::new(other, &inputs);
            let run = Run::new(small::again(&honest), &inputs);
            if run.nodes == liar.nodes {
                continue;
            }
            // The liar knows what the verifier absorbs: the honest model's id.
            let proof =
                prove_witness(&STATEMENT, &run.model, &liar.circuit, &liar.witness).unwrap();
            let result = run.verify(&proof);
            assert!(result.is_err(), "{name}: {change}");
            let sizes = |run: &Run| (run.circuit.witness_log(), run.circuit.leaves_log());
            if sizes(&run) == sizes(&liar) && run.circuit.tables == liar.circuit.tables {
                assert_eq!(
                    noticed(result),
                    Some(Noticed::Equations),
                    "{name}: {change}"
                );
                noticed_lies += 1;
            }
        }
    }
    assert!(noticed_lies >= 8, "{noticed_lies}");
}

#[test]
fn no_wrong_value_of_a_random_program_passes() {
    let mut lies = 0;
    for (seed, model) in provable(100).take(30) {
        let mut choices = Choices::new(seed);
        let inputs = request(&model, seed, choices.size(1, 3));
        let mut run = Run::new(model, &inputs);
        let told = run.told();
        if run.circuit.leaves_log() > 14 || told.is_empty() {
            continue;
        }
        for _ in 0..6 {
            let slot = *choices.pick(&told);
            let position = choices.size(0, u32::try_from(run.circuit.positions).unwrap() - 1);
            let delta = F::from_i64(i64::from(*choices.pick(&[1, -1, 256, 1 << 20])));
            let noticed = run.after(slot, usize::try_from(position).unwrap(), delta);
            let hint = run.circuit.hints.iter().find(|(own, _)| *own == slot);
            assert!(
                noticed.is_some(),
                "{seed}: slot {slot} at {position}, {hint:?}"
            );
            lies += 1;
        }
    }
    assert!(lies >= 60, "{lies}");
}
