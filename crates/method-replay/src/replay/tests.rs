//! An honest operator passes; each named liar is refuted, and each by the check that is there for it.

use std::num::NonZeroUsize;

use credence_base::{PublicKey, Salt, SigningKey, TraceRoot};
use credence_claim::{
    Commitments, ConstrainedDecoding, Counts, Opened, Openings, Roots, Salts, Scalar, commitment,
};
use credence_exact::{ArgMax, Dtype, Input, Linear, NodeId, Op, ParamId, Rescale, Shift};
use credence_exec::{Execution, Isa};
use credence_model::{
    BorderType, Decode, Elements, Encode, InputSpec, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
    Tensor,
};

use super::*;
use crate::TENSOR_PARAMS;

/// Two layers' worth of program: a matrix, a rescale, an argmax. `weight` makes it one model or another.
fn model(weight: i8) -> Arc<Model> {
    let node = |name: &str, op, dtype, cut| NodeSpec {
        name: name.to_owned(),
        op,
        dtype,
        cut,
    };
    let param = |name: &str, dtype, shape: &[u32]| ParamSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    };
    let output = |name: &str, node, decode| OutputSpec {
        name: name.to_owned(),
        node: NodeId(node),
        decode,
    };
    let linear = Op::Linear(Linear {
        x: NodeId(0),
        weight: ParamId(0),
        bias: None,
    });
    let rescale = Op::Rescale(Rescale {
        x: NodeId(1),
        multiplier: ParamId(1),
        shift: Shift::try_from(4).unwrap(),
        min: -1000,
        max: 1000,
    });
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Fp32,
            shape: vec![2],
            encode: Encode::Quantise {
                multiplier: 1,
                shift: 0,
                min: -128,
                max: 127,
            },
        }],
        params: vec![param("w", Dtype::I8, &[3, 2]), param("m", Dtype::I32, &[1])],
        nodes: vec![
            node("x", Op::Input(Input { index: 0 }), Dtype::I8, true),
            node("acc", linear, Dtype::I32, false),
            node("y", rescale, Dtype::I32, true),
            node(
                "best",
                Op::ArgMax(ArgMax { x: NodeId(2) }),
                Dtype::I32,
                true,
            ),
        ],
        outputs: vec![
            output(
                "y",
                2,
                Decode::Scale {
                    multiplier: 1,
                    shift: 1,
                },
            ),
            output("best", 3, Decode::Integer {}),
        ],
        language: None,
    };
    let weights = [weight, 2, 3, -4, 5, 6];
    let weights: Vec<u8> = weights.iter().map(|w| w.to_le_bytes()[0]).collect();
    Arc::new(Model::new(spec, vec![weights, 7_i32.to_le_bytes().to_vec()]).unwrap())
}

fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::Scalar,
    }
}

fn inputs(values: &[f32]) -> Tensors {
    let batch = u64::try_from(values.len() / 2).unwrap();
    let tensor = Tensor::new("x", vec![batch, 2], Elements::Fp32(values.to_vec())).unwrap();
    Tensors::new(vec![tensor]).unwrap()
}

fn run(model: &Arc<Model>, inputs: &Tensors) -> Execution {
    let engine = Engine::new(Arc::clone(model), options()).unwrap();
    engine.run(inputs).unwrap()
}

/// What an operator commits to, before any lie.
struct Story {
    model: Arc<Model>,
    input: Vec<u8>,
    params: Vec<u8>,
    output: Vec<u8>,
    trace: TraceRoot,
    fields: Box<dyn Fn(&mut ClaimFields)>,
}

const ASKED: [f32; 4] = [10.0, -20.0, 30.0, 40.0];

fn honest() -> Story {
    let model = model(1);
    let inputs = inputs(&ASKED);
    let execution = run(&model, &inputs);
    Story {
        input: inputs.encode(),
        params: TENSOR_PARAMS.to_vec(),
        output: execution.outputs.encode(),
        trace: execution.trace.root(),
        model,
        fields: Box::new(|_| {}),
    }
}

/// Commits to the story, opens all of it, and checks the claim against `known`, with what `edit` makes of the openings.
fn judge(
    story: &Story,
    known: &Arc<Model>,
    edit: impl Fn(&mut Openings),
) -> Result<Finding, MethodError> {
    let operator: PublicKey = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let roots = Roots {
        input: commitment::input_root(&story.input),
        params: commitment::params_root(&story.params),
        output: commitment::output_root(&story.output),
        trace: story.trace,
    };
    let made = Commitments::new(&operator, &salts, &roots);
    let mut fields = ClaimFields {
        profile: Profile::Exact1,
        model: story.model.id(),
        input: made.input,
        params: made.params,
        output: made.output,
        trace: made.trace,
        counts: Counts {
            input: 2,
            output: 2,
        },
        finish: FinishReason::Complete,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
    };
    (story.fields)(&mut fields);
    let claim = Claim::new(fields).unwrap();
    let opened = |salt: Salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    let mut openings = Openings {
        input: opened(salts.input, &story.input),
        params: opened(salts.params, &story.params),
        output: opened(salts.output, &story.output),
        trace: Some(salts.trace),
    };
    edit(&mut openings);
    let case = Case::check(&claim, &operator, &openings).unwrap();
    let replay = Replay::new(Arc::clone(known), options()).unwrap();
    replay.check(&case, None)
}

fn refutation(story: &Story) -> Refutation {
    match judge(story, &story.model, |_| {}) {
        Err(MethodError::Refuted(refutation)) => refutation,
        other => panic!("not refuted: {other:?}"),
    }
}

#[test]
fn an_honest_operator_passes_and_the_numbers_are_told() {
    let story = honest();
    let finding = judge(&story, &story.model, |_| {}).unwrap();
    let numbers: Vec<_> = finding
        .numbers
        .iter()
        .map(|n| (n.name, n.quantity))
        .collect();
    let count = Quantity::Count;
    // Per position: 3 + 1 values of output, and 2 + 3 + 1 cells of cut nodes.
    assert_eq!(
        numbers[..3],
        [
            ("positions run again", count(2)),
            ("output values compared", count(8)),
            ("trace values compared", count(12)),
        ]
    );
    assert!(!finding.trusted.is_empty() && !finding.not_checked.is_empty());
}

/// Edits the answer after the run, in one bit of one value.
#[test]
fn the_liar_who_edits_the_answer() {
    let mut story = honest();
    let mut claimed = match story_outputs(&story).get("y").unwrap().elements() {
        Elements::Fp32(all) => all.clone(),
        other => panic!("{other:?}"),
    };
    let got = claimed[4].to_bits();
    claimed[4] = f32::from_bits(got ^ 1);
    let outputs = story_outputs(&story);
    let y = Tensor::new("y", vec![2, 3], Elements::Fp32(claimed)).unwrap();
    let edited = Tensors::new(vec![y, outputs.get("best").unwrap().clone()]).unwrap();
    story.output = edited.encode();
    assert_eq!(
        refutation(&story),
        Refutation::OutputValue {
            part: "y".to_owned(),
            index: 4,
            claimed: Scalar::Fp32(got ^ 1),
            got: Scalar::Fp32(got),
        }
    );
}

/// Keeps the scores and edits the label alone, in the second tensor.
#[test]
fn the_liar_who_edits_the_label() {
    let mut story = honest();
    let outputs = story_outputs(&story);
    let Elements::Int64(labels) = outputs.get("best").unwrap().elements().clone() else {
        panic!("not INT64");
    };
    let wrong = labels.iter().map(|label| (label + 1) % 3).collect();
    let best = Tensor::new("best", vec![2], Elements::Int64(wrong)).unwrap();
    let edited = Tensors::new(vec![outputs.get("y").unwrap().clone(), best]).unwrap();
    story.output = edited.encode();
    assert!(
        matches!(refutation(&story), Refutation::OutputValue { part, index: 0, .. } if part == "best")
    );
}

/// Answers in another form: leaves an output out, or commits to bytes that are no tensors.
#[test]
fn the_liar_whose_answer_has_another_form() {
    let mut story = honest();
    let y = story_outputs(&story).get("y").unwrap().clone();
    for output in [Tensors::new(vec![y]).unwrap().encode(), vec![], vec![7; 40]] {
        story.output = output;
        assert!(matches!(refutation(&story), Refutation::Output { .. }));
    }
}

/// Runs a cheaper model and claims the dear one.
#[test]
fn the_liar_who_runs_a_cheaper_model() {
    let cheaper = run(&model(2), &inputs(&ASKED));
    let story = Story {
        output: cheaper.outputs.encode(),
        trace: cheaper.trace.root(),
        ..honest()
    };
    assert!(matches!(refutation(&story), Refutation::OutputValue { .. }));
}

/// Knows the right answer, say from a cache, and invents the inside.
#[test]
fn the_liar_who_invents_the_trace() {
    let story = Story {
        trace: TraceRoot::from_bytes([7; 32]),
        ..honest()
    };
    assert!(matches!(refutation(&story), Refutation::Trace { .. }));
}

/// Commits to the honest inside of another model's run, whose answer happens to be the same.
#[test]
fn the_liar_whose_trace_is_of_another_input() {
    // 10.2 is rounded to 10 as well, so the trace is the same and the claim true; 9 is not.
    let same = run(&model(1), &inputs(&[10.2, -20.0, 30.0, 40.0]));
    assert_eq!(same.trace.root(), honest().trace);
    let other = run(&model(1), &inputs(&[9.0, -20.0, 30.0, 40.0]));
    let story = Story {
        trace: other.trace.root(),
        ..honest()
    };
    assert!(matches!(refutation(&story), Refutation::Trace { .. }));
}

/// Commits to an input that was not the one it ran.
#[test]
fn the_liar_who_commits_to_another_input() {
    let story = Story {
        input: inputs(&[-10.0, -20.0, 30.0, 40.0]).encode(),
        ..honest()
    };
    assert!(matches!(refutation(&story), Refutation::OutputValue { .. }));
}

/// Lies about how much there was, why it ended, or what took part.
#[test]
fn the_liar_about_a_field() {
    type Edit = fn(&mut ClaimFields);
    type Expected = fn(&Refutation) -> bool;
    let cases: [(Edit, Expected); 5] = [
        (
            |f| f.counts.input = 3,
            |r| matches!(r, Refutation::InputCount { claimed: 3, got: 2 }),
        ),
        (
            |f| f.counts.output = 1,
            |r| matches!(r, Refutation::OutputCount { claimed: 1, got: 2 }),
        ),
        (
            |f| f.finish = FinishReason::Length,
            |r| matches!(r, Refutation::Finish { .. }),
        ),
        (
            |f| f.seed = SeedSource::Operator,
            |r| matches!(r, Refutation::Feature { .. }),
        ),
        (
            |f| {
                let name = || "grammar".parse().unwrap();
                f.constrained = Some(ConstrainedDecoding {
                    engine: name(),
                    version: name(),
                });
            },
            |r| matches!(r, Refutation::Feature { .. }),
        ),
    ];
    for (edit, expected) in cases {
        let story = Story {
            fields: Box::new(edit),
            ..honest()
        };
        let refuted = refutation(&story);
        assert!(expected(&refuted), "{refuted:?}");
    }
}

#[test]
fn another_model_is_missing_not_a_lie() {
    let story = honest();
    let id = story.model.id();
    let other = judge(&story, &model(2), |_| {});
    assert!(matches!(other, Err(MethodError::Missing(Fact::Model(needed))) if needed == id));
    // A lie in another field is not looked for: nothing can be said without the model.
    let story = Story {
        trace: TraceRoot::from_bytes([7; 32]),
        ..honest()
    };
    assert!(matches!(
        judge(&story, &model(2), |_| {}),
        Err(MethodError::Missing(Fact::Model(_)))
    ));
}

#[test]
fn what_is_not_opened_is_missing() {
    let story = honest();
    type Edit = fn(&mut Openings);
    let cases: [(Edit, Fact); 4] = [
        (|o| o.input = None, Fact::Input),
        (|o| o.params = None, Fact::Params),
        (|o| o.output = None, Fact::Output),
        (|o| o.trace = None, Fact::TraceSalt),
    ];
    for (edit, fact) in cases {
        let found = judge(&story, &story.model, edit);
        assert!(
            matches!(&found, Err(MethodError::Missing(missing)) if *missing == fact),
            "{found:?}"
        );
    }
}

/// The salt of the trace is not checked before the method does.
#[test]
fn another_salt_of_the_trace_is_refuted() {
    let story = honest();
    let judged = judge(&story, &story.model, |openings| {
        openings.trace = Some(Salt::from_bytes([9; 32]));
    });
    assert!(matches!(
        judged,
        Err(MethodError::Refuted(Refutation::Trace { .. }))
    ));
}

#[test]
fn what_has_no_sense_is_malformed() {
    let part = |story: &Story| match judge(story, &story.model, |_| {}) {
        Err(MethodError::Malformed { part, .. }) => part,
        other => panic!("{other:?}"),
    };
    let params = Story {
        params: vec![1, 1, 0, 0, 0],
        ..honest()
    };
    assert_eq!(part(&params), Part::Params);
    let good = honest().input;
    let named = |name: &str, shape: &[u64], elements| {
        Tensors::new(vec![Tensor::new(name, shape.to_vec(), elements).unwrap()])
            .unwrap()
            .encode()
    };
    let inputs = [
        vec![],
        good[..good.len() - 1].to_vec(),
        [good.as_slice(), &[0]].concat(),
        named("z", &[2, 2], Elements::Fp32(vec![0.0; 4])),
        named("x", &[4, 1], Elements::Fp32(vec![0.0; 4])),
        named("x", &[0, 2], Elements::Fp32(vec![])),
        named("x", &[1, 2], Elements::Int32(vec![0; 2])),
        named("x", &[1, 2], Elements::Fp32(vec![f32::NAN, 0.0])),
    ];
    for input in inputs {
        let story = Story { input, ..honest() };
        assert_eq!(part(&story), Part::Input);
    }
}

#[test]
fn every_flipped_bit_of_the_output_is_refuted() {
    let honest = honest();
    for at in 0..honest.output.len() {
        for bit in 0..8 {
            let mut story = Story {
                model: Arc::clone(&honest.model),
                input: honest.input.clone(),
                params: honest.params.clone(),
                output: honest.output.clone(),
                trace: honest.trace,
                fields: Box::new(|_| {}),
            };
            story.output[at] ^= 1 << bit;
            refutation(&story);
        }
    }
}

fn story_outputs(story: &Story) -> Tensors {
    Tensors::decode(&story.output, LIMITS).unwrap()
}

#[test]
fn inputs_out_of_the_models_order_are_malformed() {
    let mut spec = model(1).program().spec().clone();
    let mut second = spec.inputs[0].clone();
    second.name = "z".to_owned();
    spec.inputs.push(second);
    spec.nodes.push(NodeSpec {
        name: "z".to_owned(),
        op: Op::Input(Input { index: 1 }),
        dtype: Dtype::I8,
        cut: true,
    });
    let program = Program::check(spec).unwrap();
    let tensor = |name: &str| Tensor::new(name, vec![1, 2], Elements::Fp32(vec![0.0; 2])).unwrap();
    let order = |names: [&str; 2]| {
        check_order(&program, &Tensors::new(names.map(tensor).to_vec()).unwrap())
    };
    assert!(order(["x", "z"]).is_ok());
    assert!(matches!(
        order(["z", "x"]),
        Err(MethodError::Malformed {
            part: Part::Input,
            ..
        })
    ));
    // Other names are the engine's to refuse, which names them.
    assert!(order(["z", "other"]).is_ok());
}
