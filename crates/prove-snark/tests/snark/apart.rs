//! Committed weights: honest proofs checked by a card, liars with other weights, cards from strangers.
//!
//! It deliberately repeats no attack on what both modes share.

use std::sync::Arc;

use credence_base::{ModelId, SigningKey, domain};
use credence_claim::{Case, Fact, Method as _, MethodError};
use credence_commit::tree;
use credence_method_snark::circuit::Circuit;
use credence_method_snark::pcs::{Params, Security};
use credence_method_snark::run::Publics;
use credence_method_snark::weights::{Card, CardError, Layout, WeightsId};
use credence_method_snark::{
    EVIDENCE_VERSION, EVIDENCE_VERSION_APART, F, Known, ProofError, Reader, Relation, Snark,
    Voucher,
};
use credence_model::{Model, Tensors, program_bytes};
use credence_prove_snark::prover::{prove_apart, prove_witness};
use credence_prove_snark::run::node_values;
use credence_prove_snark::witness::Witness;
use credence_prove_snark::{
    ProveError, Weights, WeightsCommitError, memory_bytes_apart, prove, prove_with_weights,
};
use credence_testkit::program_gen::{Choices, request};

use crate::common::{STATEMENT, engine, provable};
use crate::small;
use crate::story::{OPTIONS, Story, chain};

/// A run whose weights are committed to.
struct Run {
    model: Arc<Model>,
    weights: Weights,
    circuit: Circuit,
    witness: Witness,
}

impl Run {
    fn new(model: Model, inputs: &Tensors) -> Self {
        let model = Arc::new(model);
        let (nodes, _, positions) = node_values(&engine(Arc::clone(&model)), inputs).unwrap();
        let positions = usize::try_from(positions).unwrap();
        let circuit = Circuit::apart(&model, positions, u64::MAX).unwrap();
        let witness = Witness::new(&circuit, &nodes);
        Self {
            weights: Weights::commit(&model).unwrap(),
            model,
            circuit,
            witness,
        }
    }

    fn prove(&self) -> Vec<u8> {
        let of = (&*self.model, &self.weights);
        prove_apart(&STATEMENT, of, &self.circuit, &self.witness).unwrap()
    }

    /// What is said by whoever has nothing but the card.
    fn verify(&self, proof: &[u8]) -> Result<(), ProofError> {
        let card = Arc::clone(self.weights.card());
        let relation = Relation::apart(card, self.circuit.positions).unwrap();
        let mut reader = Reader::new(proof);
        let inputs = self.witness.publics.inputs.clone();
        let program = relation.known().program();
        let publics = Publics::read(inputs, relation.circuit(), program, &mut reader)?;
        credence_method_snark::verify(&STATEMENT, &relation, &publics, reader)
    }
}

fn has_matrices(model: &Model) -> bool {
    Layout::new(model.program()).is_some()
}

fn programs() -> impl Iterator<Item = small::Case> {
    let programs = small::programs().into_iter();
    programs.filter(|(_, model, _)| has_matrices(model))
}

#[test]
fn proofs_verify_without_weights() {
    let mut proved = 0;
    for (name, model, inputs) in programs() {
        let run = Run::new(model, &inputs);
        run.verify(&run.prove())
            .unwrap_or_else(|e| panic!("{name}: {}", chain(&e)));
        for batch in [1, 3] {
            let inputs = request(&run.model, 5, batch);
            let run = Run::new(small::again(&run.model), &inputs);
            run.verify(&run.prove()).unwrap();
        }
        proved += 1;
    }
    assert!(proved >= 2, "{proved}");
}

#[test]
fn proofs_of_random_programs_verify_without_weights() {
    // Of ops that are proved where weights are committed to.
    let apart = |model: &Model| Circuit::apart(model, 1, u64::MAX).is_ok();
    let models = provable(300).filter(|(_, model)| has_matrices(model) && apart(model));
    for (seed, model) in models.take(25) {
        let inputs = request(&model, seed, 1 + u32::try_from(seed % 3).unwrap());
        let run = Run::new(model, &inputs);
        let result = run.verify(&run.prove());
        assert!(result.is_ok(), "{seed}: {result:?}");
        // The card gives the circuit that the model gives.
        let by_card = Circuit::apart(&**run.weights.card(), run.circuit.positions, u64::MAX);
        assert_eq!(
            format!("{:?}", by_card.unwrap()),
            format!("{:?}", run.circuit)
        );
    }
}

#[test]
fn a_model_without_matrices_has_no_card() {
    let (_, forest, _) = small::programs()
        .into_iter()
        .find(|(name, ..)| *name == "forest")
        .unwrap();
    let refused = Weights::commit(&forest).unwrap_err();
    assert!(matches!(
        refused,
        WeightsCommitError::Card(CardError::NoWeights)
    ));
    assert_eq!(Weights::memory_bytes(&forest), 0);
}

/// Runs another model's weights and proves that as well as it can, under the honest card.
#[test]
fn other_weights_are_noticed() {
    let mut noticed = 0;
    for (name, model, inputs) in programs() {
        let honest = Run::new(small::again(&model), &inputs);
        for (change, other) in small::changed(&model) {
            if !change.starts_with("parameter") || other.params().len() != model.params().len() {
                continue;
            }
            let liar = Run::new(other, &inputs);
            if format!("{:?}", liar.circuit) != format!("{:?}", honest.circuit) {
                continue;
            }
            let of = (&*liar.model, &honest.weights);
            let Ok(proof) = prove_apart(&STATEMENT, of, &liar.circuit, &liar.witness) else {
                continue;
            };
            let result = honest.verify(&proof);
            let layout = Layout::new(model.program()).unwrap();
            let is_matrix = layout
                .blocks()
                .iter()
                .any(|b| change == format!("parameter {}", b.param.0));
            if is_matrix {
                assert!(
                    matches!(result, Err(ProofError::Weights)),
                    "{name}: {change}: {result:?}"
                );
            }
            assert!(result.is_err(), "{name}: {change}");
            if !is_matrix {
                continue;
            }
            noticed += 1;
        }
    }
    assert!(noticed >= 3, "{noticed}");
}

#[test]
fn a_committed_value_cannot_be_another() {
    for (name, model, inputs) in programs() {
        let mut run = Run::new(model, &inputs);
        let committed = run.circuit.committed.clone();
        for slot in committed
            .iter()
            .copied()
            .step_by(committed.len().div_ceil(20))
        {
            let honest = run.witness.clone();
            let value = run.witness.slots.get(slot, 0) + F::ONE;
            run.witness.slots.set(slot, 0, value);
            run.witness.recount(&run.circuit);
            assert!(run.verify(&run.prove()).is_err(), "{name}: {slot}");
            run.witness = honest;
        }
    }
}

#[test]
fn no_byte_of_a_proof_can_be_another_and_nothing_follows() {
    for (name, model, inputs) in programs() {
        let run = Run::new(model, &inputs);
        let proof = run.prove();
        for at in (0..proof.len()).step_by(proof.len().div_ceil(400)) {
            let mut other = proof.clone();
            other[at] ^= 1 << (at % 8);
            assert!(run.verify(&other).is_err(), "{name}: byte {at}");
            assert!(run.verify(&proof[..at]).is_err(), "{name}: {at} bytes");
        }
        // The weights' opening stands last.
        let mut other = proof.clone();
        *other.last_mut().unwrap() ^= 1;
        let result = run.verify(&other);
        assert!(
            matches!(result, Err(ProofError::WeightsOpening(_))),
            "{name}: {result:?}"
        );
        assert!(run.verify(&[proof.as_slice(), &[0]].concat()).is_err());
        // A proof that reads weights is no proof that commits to them.
        let circuit = Circuit::new(&run.model, run.circuit.positions).unwrap();
        let nodes = node_values(&engine(Arc::clone(&run.model)), &inputs)
            .unwrap()
            .0;
        let witness = Witness::new(&circuit, &nodes);
        let public = prove_witness(&STATEMENT, &run.model, &circuit, &witness).unwrap();
        assert!(run.verify(&public).is_err());
    }
}

#[test]
fn a_card_is_the_one_that_is_named_and_of_its_model() {
    let (_, model, _) = programs().next().unwrap();
    let weights = Weights::commit(&model).unwrap();
    let (bytes, id) = (weights.card_bytes(), model.id());
    let card = Card::decode(id, weights.id(), bytes).unwrap();
    assert_eq!((Known::id(&card), card.weights()), (id, Some(weights.id())));
    let other = WeightsId::of(b"another");
    let refused = Card::decode(id, other, bytes).unwrap_err();
    assert!(matches!(refused, CardError::Id { .. }), "{refused:?}");
    let (_, stranger, _) = programs().nth(1).unwrap();
    let refused = Card::decode(stranger.id(), weights.id(), bytes).unwrap_err();
    assert!(matches!(refused, CardError::Model { .. }), "{refused:?}");
    // As a stranger would name it: what leads to the id cannot be another; bounds and commitment are for a voucher.
    let mut vouched = 0;
    for at in 0..bytes.len() {
        let mut edited = bytes.to_vec();
        edited[at] ^= 1;
        assert!(Card::decode(id, weights.id(), &edited).is_err());
        if Card::decode(id, WeightsId::of(&edited), &edited).is_ok() {
            vouched += 1;
        }
        let short = &bytes[..at];
        assert!(
            Card::decode(id, WeightsId::of(short), short).is_err(),
            "{at} bytes"
        );
    }
    let nodes = model.program().spec().nodes.len();
    assert!(vouched > 0 && vouched <= 16 * nodes + 56, "{vouched}");
    let mut later = bytes.to_vec();
    later[0] = 2;
    let refused = Card::decode(id, WeightsId::of(&later), &later).unwrap_err();
    assert!(
        matches!(refused, CardError::Version { got: 2 }),
        "{refused:?}"
    );
    let longer = [bytes, &[0]].concat();
    assert!(Card::decode(id, WeightsId::of(&longer), &longer).is_err());
}

/// Where the bounds of node `number` stand in a card: before the commitment, which is 32 bytes, or 56.
fn bounds_at(bytes: &[u8], model: &Model, number: usize) -> usize {
    let layout = Layout::new(model.program()).unwrap();
    let params = Params::new(layout.log_len(), Security::Bits128).unwrap();
    let commitment = if params.rounds().is_empty() { 32 } else { 56 };
    let nodes = model.program().spec().nodes.len();
    bytes.len() - commitment - 16 * (nodes - number)
}

#[test]
fn bounds_lie_in_their_nodes_types() {
    for (name, model, _) in programs() {
        let weights = Weights::commit(&model).unwrap();
        for (number, node) in model.program().spec().nodes.iter().enumerate() {
            let (least, largest) = node.dtype.range();
            for (min, max) in [(least - 1, largest), (least, largest + 1), (1, 0)] {
                let mut bytes = weights.card_bytes().to_vec();
                let at = bounds_at(&bytes, &model, number);
                bytes[at..at + 8].copy_from_slice(&min.to_le_bytes());
                bytes[at + 8..at + 16].copy_from_slice(&max.to_le_bytes());
                let refused = Card::decode(model.id(), WeightsId::of(&bytes), &bytes).unwrap_err();
                let named =
                    matches!(&refused, CardError::Bounds { node: own, .. } if *own == node.name);
                assert!(named, "{name}: {refused:?}");
            }
        }
    }
}

/// An id of weights that its program does not take, and a card that leads to it.
#[test]
fn weights_have_the_length_that_the_program_takes() {
    let (_, model, _) = programs().next().unwrap();
    let weights = Weights::commit(&model).unwrap();
    let mut bytes = weights.card_bytes().to_vec();
    let len = u64::from_le_bytes(*bytes[1..].first_chunk().unwrap()) + 64;
    bytes[1..9].copy_from_slice(&len.to_le_bytes());
    let program = program_bytes(model.program().spec()).unwrap();
    let mut list = u64::try_from(program.len()).unwrap().to_le_bytes().to_vec();
    list.extend(tree::root(domain::PROGRAM, &program).as_bytes());
    list.extend(&bytes[1..41]);
    let id = ModelId::from_digest(tree::root(domain::MODEL, &list));
    let refused = Card::decode(id, WeightsId::of(&bytes), &bytes).unwrap_err();
    assert!(
        matches!(refused, CardError::Weights { got, .. } if got == len),
        "{refused:?}"
    );
}

/// Two cards with one circuit and one commitment, which differ in a bound that no constraint reads: a proof is of the one whose digest it absorbed.
#[test]
fn a_proof_is_of_one_card() {
    let mut others = 0;
    for (name, model, inputs) in programs() {
        let run = Run::new(model, &inputs);
        let proof = run.prove();
        let bytes = run.weights.card_bytes();
        let positions = run.circuit.positions;
        for at in 0..bytes.len() {
            let mut edited = bytes.to_vec();
            edited[at] ^= 1;
            let id = run.model.id();
            let Ok(card) = Card::decode(id, WeightsId::of(&edited), &edited) else {
                continue;
            };
            let same = *card.commitment() == *run.weights.card().commitment();
            let Ok(relation) = Relation::apart(Arc::new(card), positions) else {
                continue;
            };
            if !same || format!("{:?}", relation.circuit()) != format!("{:?}", run.circuit) {
                continue;
            }
            let mut reader = Reader::new(&proof);
            let inputs = run.witness.publics.inputs.clone();
            let program = relation.known().program();
            let publics = Publics::read(inputs, relation.circuit(), program, &mut reader).unwrap();
            let result = credence_method_snark::verify(&STATEMENT, &relation, &publics, reader);
            assert!(result.is_err(), "{name}: byte {at}");
            others += 1;
        }
    }
    assert!(others > 0);
}

fn voucher(is_expected: bool) -> Voucher {
    Voucher {
        key: SigningKey::from_seed(&[9; 32]).public_key(),
        time_unix_s: 1_795_219_200,
        is_expected,
    }
}

#[test]
fn a_finding_says_who_vouched() {
    let story = Story::honest();
    let weights = Weights::commit(&story.model).unwrap();
    let told = story.told();
    let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
    let engine = engine(Arc::clone(&story.model));
    let proof = prove_with_weights(&engine, &case, OPTIONS, &weights).unwrap();
    let method = |expected| {
        let card = Arc::clone(weights.card());
        Snark::apart(card, voucher(expected), Security::Bits100)
    };
    let versions = (story.method().version(), method(true).version());
    assert_eq!(versions, (EVIDENCE_VERSION, EVIDENCE_VERSION_APART));
    for expected in [true, false] {
        let finding = method(expected).check(&case, Some(&proof)).unwrap();
        let (trusted, open) = (finding.trusted.join("; "), finding.not_checked.join("; "));
        assert!(
            trusted.contains(&voucher(true).key.to_string()),
            "{trusted}"
        );
        assert!(
            trusted.contains(&weights.id().root.to_string()),
            "{trusted}"
        );
        assert!(!trusted.contains("this verifier, which read"), "{trusted}");
        assert!(open.contains("derives the card again"), "{open}");
        assert_eq!(open.contains("any key was accepted"), !expected, "{open}");
    }
    // Neither mode's proof is the other's.
    let public = prove(&engine, &case, OPTIONS).unwrap();
    assert!(method(true).check(&case, Some(&public)).is_err());
    assert!(story.method().check(&case, Some(&proof)).is_err());
    // A claim about another model than the card's.
    let other = Story::of(
        small::programs().remove(1).1,
        &small::programs().remove(1).2,
    );
    let told = other.told();
    let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
    let missing = method(true).check(&case, Some(&proof));
    assert!(
        matches!(missing, Err(MethodError::Missing(Fact::Model(id))) if id == other.model.id())
    );
    let refused = other.prove_with(OPTIONS, &weights);
    assert!(matches!(refused, Err(ProveError::Weights)), "{refused:?}");
}

#[test]
fn committed_weights_are_in_the_estimate() {
    let story = Story::honest();
    let weights = Weights::commit(&story.model).unwrap();
    let circuit = Circuit::apart(&story.model, 2, u64::MAX).unwrap();
    let params = Params::new(circuit.witness_log(), Security::Bits100);
    let whole = memory_bytes_apart(&circuit, &params.unwrap(), &weights);
    assert!(whole > Weights::memory_bytes(&story.model));
    for (max, fits) in [(whole, true), (whole - 1, false)] {
        let options = credence_prove_snark::Options {
            memory_bytes_max: max,
            ..OPTIONS
        };
        assert_eq!(story.prove_with(options, &weights).is_ok(), fits);
    }
}

/// A stranger's card that is vouched for can hold any bounds: no circuit of it panics.
#[test]
fn no_bounds_of_a_card_are_more_than_refused() {
    let mut choices = Choices::new(11);
    for (_, model, _) in programs() {
        let weights = Weights::commit(&model).unwrap();
        let bytes = weights.card_bytes();
        let nodes = u32::try_from(model.program().spec().nodes.len()).unwrap();
        let start = bounds_at(bytes, &model, 0);
        let mut built = 0;
        for _ in 0..300 {
            let mut edited = bytes.to_vec();
            let at = start + usize::try_from(choices.size(0, 16 * nodes - 1)).unwrap();
            edited[at] = u8::try_from(choices.size(0, 255)).unwrap();
            if let Ok(card) = Card::decode(model.id(), WeightsId::of(&edited), &edited) {
                built += usize::from(Relation::apart(Arc::new(card), 2).is_ok());
            }
        }
        assert!(built > 0);
    }
}
