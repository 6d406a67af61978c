//! Runs of language models and encoders: their proofs verify, and no liar's does.
//!
//! It deliberately reads no claim.

use std::collections::BTreeSet;

use credence_exact::Op;
use credence_exec::reference::run_tokens;
use credence_method_snark::circuit::{Circuit, CircuitError, Extent, Hint};
use credence_method_snark::pairs::{self, PairError};
use credence_method_snark::public_rows::{self, RowsError};
use credence_method_snark::{F, K, Reader, Transcript};
use credence_model::Model;
use credence_prove_snark::pairs::prove_pairs;
use credence_prove_snark::prover::prove_witness;
use credence_testkit::program_gen::{Choices, encoder_model, language_model};

use crate::attacks::{Noticed, noticed};
use crate::common::{Run, STATEMENT};
use crate::small;

/// Random models that have proofs, by their seeds: some quotients are too wide.
fn provable(models: impl Fn(u64) -> Model, positions: usize) -> impl Iterator<Item = (u64, Model)> {
    let sampled = 1;
    (0..)
        .map(move |seed| (seed, models(seed)))
        .filter(move |(seed, model)| {
            let context = model.program().spec().language.as_ref().unwrap().context;
            if usize::try_from(context).unwrap() < positions {
                return false;
            }
            match Circuit::new(model, Extent { positions, sampled }) {
                Ok(_) => true,
                Err(CircuitError::Wide { .. }) => false,
                Err(error) => panic!("{seed}: {error}"),
            }
        })
}

fn tokens(model: &Model, seed: u64, len: usize) -> Vec<u32> {
    let vocabulary = model.program().spec().language.as_ref().unwrap().vocabulary;
    let mut choices = Choices::new(seed);
    let all = (0..len).map(|_| choices.size(0, vocabulary - 1));
    all.collect()
}

/// Cells are those of the reference engine, scores as well, at every position that sees them.
fn equals_the_reference(run: &Run, tokens: &[u32], seed: u64) {
    let observed = run_tokens(&run.model, tokens, |_| true).unwrap();
    for (id, node, shape) in run.model.program().nodes() {
        let at = usize::try_from(id.0).unwrap();
        let span = run.circuit.nodes[at];
        for (position, nodes) in observed.values.iter().enumerate() {
            let slot = |cell: usize| span.start + u32::try_from(cell).unwrap();
            let own = |cell: usize| run.witness.slots.get(slot(cell), position);
            let Op::Scores(op) = &node.op else {
                for (cell, &value) in nodes[at].iter().enumerate() {
                    assert_eq!(own(cell), F::from_i64(value), "{seed}: {}", node.name);
                }
                continue;
            };
            for (head, row) in nodes[at].chunks(shape.last()).enumerate() {
                for t in op.sight().range(position, tokens.len()) {
                    let own = own(head * tokens.len() + t);
                    assert_eq!(own, F::from_i64(row[t]), "{seed}: {}", node.name);
                }
            }
        }
    }
}

#[test]
fn proofs_of_random_language_models_verify() {
    for positions in [1, 2, 7] {
        for (seed, model) in provable(language_model, positions).take(3) {
            let ids = tokens(&model, seed, positions);
            let sampled = 1 + usize::try_from(seed).unwrap() % positions;
            let run = Run::of_tokens(model, &ids, sampled);
            assert_eq!(run.broken(), None, "{seed}");
            equals_the_reference(&run, &ids, seed);
            let publics = run.verify(&run.prove());
            assert!(publics.is_ok(), "{seed}: {publics:?}");
        }
    }
}

#[test]
fn proofs_of_random_encoders_verify() {
    for positions in [1, 5, 8] {
        for (seed, model) in provable(encoder_model, positions).take(2) {
            let ids = tokens(&model, seed, positions);
            let run = Run::of_tokens(model, &ids, 1);
            assert_eq!(run.broken(), None, "{seed}");
            equals_the_reference(&run, &ids, seed);
            let publics = run.verify(&run.prove());
            assert!(publics.is_ok(), "{seed}: {publics:?}");
        }
    }
}

fn kind(hint: Option<&Hint>) -> &'static str {
    match hint {
        None => "a cell",
        Some(Hint::Bits { .. }) => "a remainder",
        Some(Hint::Pair { .. }) => "a product of two values",
        Some(Hint::Rounded { .. }) => "a score",
        Some(Hint::Seen { .. }) => "the largest score",
        Some(Hint::Entry { .. }) => "a weight",
        Some(Hint::AtMost { .. }) => "a distance",
        Some(Hint::Root { .. }) => "a root",
        Some(Hint::Farthest { .. }) => "a largest magnitude",
        Some(Hint::Beyond { .. }) => "what a clamp cuts off",
        Some(_) => "another",
    }
}

/// Every kind of committed value, at every position or some.
#[test]
fn no_committed_value_of_a_language_model_can_be_another() {
    let mut lied = BTreeSet::new();
    for (seed, model) in provable(language_model, 6).take(2) {
        let ids = tokens(&model, seed, 6);
        let mut run = Run::of_tokens(model, &ids, 2);
        let mut choices = Choices::new(seed);
        let mut some: BTreeSet<(&str, u64)> = BTreeSet::new();
        for slot in run.told() {
            let hint = run.circuit.hints.iter().find(|(own, _)| *own == slot);
            let kind = kind(hint.map(|(_, hint)| hint));
            // Four of each kind.
            let number = some.iter().filter(|(own, _)| *own == kind).count();
            if number >= 4 || choices.chance(97) && number > 0 {
                continue;
            }
            some.insert((kind, slot.into()));
            let position = usize::try_from(choices.int(0, 5)).unwrap();
            for delta in [F::ONE, -F::ONE] {
                let noticed = run.after(slot, position, delta);
                assert!(
                    noticed.is_some(),
                    "{seed}: {kind}, slot {slot} at {position}"
                );
                lied.insert(kind);
            }
        }
    }
    let all = [
        "a cell",
        "a distance",
        "a largest magnitude",
        "a product of two values",
        "a remainder",
        "a root",
        "a score",
        "a weight",
        "another",
        "the largest score",
    ];
    for kind in all {
        assert!(lied.contains(kind), "{kind}: {lied:?}");
    }
}

#[test]
fn shown_logits_and_tokens_cannot_be_others() {
    let (seed, model) = provable(language_model, 5).next().unwrap();
    let ids = tokens(&model, seed, 5);
    let mut run = Run::of_tokens(model, &ids, 2);
    assert!(run.verify(&run.prove()).is_ok());
    let width = run.witness.publics.outputs[0].len() / 5;
    // The first of the two sampled positions.
    run.witness.publics.outputs[0][3 * width] ^= 1;
    let result = run.verify(&run.prove());
    assert_eq!(noticed(result), Some(Noticed::Equations));
    run.witness.publics.outputs[0][3 * width] ^= 1;
    // The verifier reads the rows of tokens itself, so other tokens are other rows.
    let honest = run.witness.publics.inputs.clone();
    let mut other = honest[0].clone();
    other[1] = i64::from(other[1] == 0);
    let inputs = public_rows::cells(&run.model, &run.circuit, vec![other]).unwrap();
    assert_ne!(inputs[1], honest[1]);
    run.witness.publics.inputs = inputs;
    let result = run.verify(&run.prove());
    assert_eq!(noticed(result), Some(Noticed::Equations));
    for input in 1..honest.len() {
        run.witness.publics.inputs = honest.clone();
        run.witness.publics.inputs[input][1] ^= 1;
        let result = run.verify(&run.prove());
        assert_eq!(noticed(result), Some(Noticed::Equations), "input {input}");
    }
}

#[test]
fn public_rows_are_the_table_s() {
    let (seed, model) = provable(language_model, 5).next().unwrap();
    let ids = tokens(&model, seed, 5);
    let run = Run::of_tokens(model, &ids, 2);
    let given: Vec<i64> = ids.iter().map(|&id| id.into()).collect();
    let cells = |given| public_rows::cells(&run.model, &run.circuit, given);
    assert_eq!(
        cells(vec![given.clone()]),
        Ok(run.witness.publics.inputs.clone())
    );
    let mut outside = given.clone();
    outside[4] = 1 << 20;
    assert!(matches!(cells(vec![outside]), Err(RowsError::Row { .. })));
    for wrong in [
        vec![],
        vec![given[1..].to_vec()],
        vec![given.clone(), given],
    ] {
        assert_eq!(cells(wrong), Err(RowsError::Inputs));
    }
}

/// The same program with another sight, other angles, another table of tokens: its run is no run of the honest one.
#[test]
fn a_run_of_another_sight_or_table_is_none_of_the_model() {
    let mut changes = BTreeSet::new();
    for (seed, honest) in provable(language_model, 6).take(8) {
        let params: Vec<Vec<u8>> = honest.params().iter().map(|own| own.to_vec()).collect();
        for index in 0..honest.program().spec().nodes.len() {
            let mut spec = honest.program().spec().clone();
            let mut params = params.clone();
            let name = spec.nodes[index].op.name();
            match &mut spec.nodes[index].op {
                Op::Scores(op) if op.window.is_none() => op.window = Some(2),
                Op::Scores(op) => op.window = None,
                Op::Rope(op) => params[usize::try_from(op.cos.0).unwrap()].reverse(),
                Op::Reindex(op) => {
                    // Heads in the opposite order: operands of other products.
                    let cells: u32 = op.shape.iter().product();
                    op.offset = cells - 1;
                    op.strides.iter_mut().for_each(|stride| *stride = -*stride);
                }
                Op::Embed(op) => params[usize::try_from(op.table.0).unwrap()].reverse(),
                _ => continue,
            }
            let Ok(other) = Model::new(spec, params) else {
                continue;
            };
            let ids = tokens(&honest, seed, 6);
            let sampled = 2;
            let positions = 6;
            if Circuit::new(&other, Extent { positions, sampled }).is_err() {
                continue;
            }
            let liar = Run::of_tokens(other, &ids, 2);
            let run = Run::of_tokens(small::again(&honest), &ids, 2);
            if run.witness.publics == liar.witness.publics && run.nodes == liar.nodes {
                continue;
            }
            let proof =
                prove_witness(&STATEMENT, &run.model, &liar.circuit, &liar.witness).unwrap();
            let result = run.verify(&proof);
            assert!(result.is_err(), "{seed}: {name}");
            changes.insert(name);
        }
    }
    assert_eq!(
        Vec::from_iter(changes),
        ["embed", "reindex", "rope", "scores"]
    );
}

/// No byte of the argument for products of two values can be another, before anything that follows from it is checked.
#[test]
fn products_of_two_values_are_those_of_their_operands() {
    let (seed, model) = provable(language_model, 5).next().unwrap();
    let ids = tokens(&model, seed, 5);
    let run = Run::of_tokens(model, &ids, 2);
    let point: Vec<K> = (7..).map(K::from).take(12).collect();
    let mut out = Vec::new();
    let mut transcript = Transcript::new("test");
    let proved = prove_pairs(
        &run.circuit,
        &run.witness.slots,
        &point,
        &mut transcript,
        &mut out,
    );
    let verify = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        let mut transcript = Transcript::new("test");
        pairs::verify(&run.circuit, &point, &mut reader, &mut transcript)
    };
    let claims = verify(&out).unwrap();
    assert_eq!(claims.values, proved.values);
    assert_eq!((claims.sum, claims.at), (proved.sum, proved.at));
    for at in (0..out.len()).step_by(8) {
        let mut lie = out.clone();
        lie[at] ^= 1;
        let result = verify(&lie);
        assert!(matches!(result, Err(PairError::Products)), "{at}");
    }
    let short = verify(&out[..out.len() - 1]);
    assert!(matches!(short, Err(PairError::Read(_))));
}

/// A long text's scores are too many, and that is said before they are laid out.
#[test]
fn too_long_a_run_is_refused_before_anything_is_built() {
    // Its heads and all pairs of 2,048 positions are more than 2^24.
    let heads = |model: &Model| {
        let scores = model.program().nodes();
        let scores = scores.filter(|(_, node, _)| matches!(node.op, Op::Scores(_)));
        scores.map(|(_, _, shape)| shape.dims()[0]).max()
    };
    let positions = 1_usize << 11;
    let model = (0..).map(language_model).find(|own| heads(own) > Some(4));
    let model = model.unwrap();
    let mut spec = model.program().spec().clone();
    let mut params: Vec<Vec<u8>> = model.params().iter().map(|own| own.to_vec()).collect();
    let language = spec.language.as_mut().unwrap();
    let before = language.context;
    language.context = u32::try_from(positions).unwrap();
    for (param, bytes) in spec.params.iter_mut().zip(&mut params) {
        // Tables of angles and of positions have a row for each.
        if param.shape[0] == before {
            let width = bytes.len() / usize::try_from(before).unwrap();
            param.shape[0] = language.context;
            bytes.resize(width * positions, 0);
        }
    }
    let model = Model::new(spec, params).unwrap();
    let sampled = 1;
    let extent = Extent { positions, sampled };
    let refused = Circuit::new(&model, extent).unwrap_err();
    let named = matches!(
        refused,
        CircuitError::Size { what, .. } if what.contains("scores")
    );
    assert!(named, "{refused:?}");
}

#[test]
fn a_run_has_sampled_positions_and_no_more_than_all() {
    let model = language_model(1);
    for sampled in [0, 4] {
        let extent = Extent {
            positions: 3,
            sampled,
        };
        let refused = Circuit::new(&model, extent).unwrap_err();
        assert!(
            matches!(refused, CircuitError::Extent { .. }),
            "{refused:?}"
        );
    }
}
