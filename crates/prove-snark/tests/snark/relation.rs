//! A circuit beside another model than its own: an error by name, never a claim that lacks something.
//!
//! It deliberately proves nothing.

use std::sync::Arc;

use credence_exact::{Dtype, Linear, NodeId, Op, ParamId};
use credence_method_snark::circuit::{Circuit, Map, Span};
use credence_method_snark::functional::{Functional, PullBackError, TIE_VARIABLES, TiePoints};
use credence_method_snark::{K, Known, Relation};
use credence_model::Model;
use credence_prove_snark::Weights;

use crate::small;

fn pulled_back(circuit: &Circuit, model: &dyn Known) -> Result<(), PullBackError> {
    let points = TiePoints {
        rows: vec![K::TWO; TIE_VARIABLES],
        columns: vec![K::TWO; TIE_VARIABLES],
    };
    let mut functional = Functional::new(circuit);
    functional.pull_back(circuit, model, &points, (K::ONE, K::TWO))
}

fn sums(rows: u32, bias: bool) -> Model {
    let mut draft = small::Draft::new(&[4], Dtype::I8);
    let weight = draft.param(Dtype::I8, &[rows, 4], &vec![1; 4 * rows as usize]);
    let bias = bias.then(|| draft.param(Dtype::I32, &[rows], &vec![5; rows as usize]));
    let x = NodeId(0);
    let y = draft.node(Op::Linear(Linear { x, weight, bias }), Dtype::I32);
    draft.model(&[y])
}

#[test]
fn a_circuit_of_another_model_is_an_error() {
    let (own, smaller) = (sums(3, true), sums(2, true));
    let circuit = Circuit::new(&own, 1).unwrap();
    assert_eq!(pulled_back(&circuit, &own), Ok(()));
    assert_eq!(pulled_back(&circuit, &smaller), Err(PullBackError::Slots));
    // It has the weights and lacks the bias.
    let absent = PullBackError::Absent { param: ParamId(1) };
    assert_eq!(pulled_back(&circuit, &sums(3, false)), Err(absent));
    for (name, model, _) in small::programs() {
        let circuit = Circuit::new(&model, 2).unwrap();
        assert_eq!(pulled_back(&circuit, &model), Ok(()), "{name}");
        let bare = small::Draft::new(&[1], Dtype::I8).model(&[NodeId(0)]);
        let mapped = circuit
            .steps
            .iter()
            .any(|step| !matches!(step.map, Map::Sparse { .. }));
        let result = pulled_back(&circuit, &bare);
        assert_eq!(
            matches!(result, Err(PullBackError::Absent { .. })),
            mapped,
            "{name}: {result:?}"
        );
    }
}

/// A card lacks weights, which only a circuit that commits to them does without; a parameter of the same number is of another size.
#[test]
fn a_parameter_that_is_absent_or_of_another_size_is_an_error() {
    let own = sums(3, true);
    let circuit = Circuit::new(&own, 1).unwrap();
    let weights = Weights::commit(&own).unwrap();
    let absent = PullBackError::Absent { param: ParamId(0) };
    assert_eq!(pulled_back(&circuit, &**weights.card()), Err(absent));
    let apart = Circuit::apart(&**weights.card(), 1, u64::MAX).unwrap();
    assert_eq!(pulled_back(&apart, &**weights.card()), Ok(()));

    let mut draft = small::Draft::new(&[4], Dtype::I8);
    let x = NodeId(0);
    let first = draft.param(Dtype::I8, &[3, 4], &[1; 12]);
    let bias = draft.param(Dtype::I32, &[5], &[5; 5]);
    let second = draft.param(Dtype::I8, &[5, 4], &[1; 20]);
    let plain = |weight, bias| Op::Linear(Linear { x, weight, bias });
    let ys = [
        draft.node(plain(first, None), Dtype::I32),
        draft.node(plain(second, Some(bias)), Dtype::I32),
    ];
    let size = PullBackError::Size {
        param: bias,
        expected: 3,
        got: 5,
    };
    assert_eq!(pulled_back(&circuit, &draft.model(&ys)), Err(size));
}

#[test]
fn a_circuit_whose_maps_lead_nowhere_is_an_error() {
    for (name, model, _) in small::programs() {
        let steps = Circuit::new(&model, 2).unwrap().steps.len();
        for at in 0..steps {
            let mut circuit = Circuit::new(&model, 2).unwrap();
            let start = circuit.slots;
            let step = &mut circuit.steps[at];
            step.y = Span { start, ..step.y };
            let result = pulled_back(&circuit, &model);
            assert_eq!(
                result,
                Err(PullBackError::Slots),
                "{name}: result of step {at}"
            );
            let mut circuit = Circuit::new(&model, 2).unwrap();
            match &mut circuit.steps[at].map {
                Map::Matrix { x, .. } | Map::Convolution { x, .. } => x.start = start,
                Map::Hadamard { x, .. } => x.start = start,
                Map::Sparse { rows } | Map::Weighted { rows } => {
                    rows.end = rows.end.saturating_sub(1)
                }
            }
            let result = pulled_back(&circuit, &model);
            assert_eq!(
                result,
                Err(PullBackError::Slots),
                "{name}: operand of step {at}"
            );
        }
    }
}

#[test]
fn a_relation_s_circuit_is_its_model_s() {
    for (name, model, _) in small::programs() {
        let relation = Relation::new(Arc::new(model), 3).unwrap();
        assert_eq!(relation.circuit().positions, 3, "{name}");
        assert_eq!(pulled_back(relation.circuit(), relation.known()), Ok(()));
    }
}
