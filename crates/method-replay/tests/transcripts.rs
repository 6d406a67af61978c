//! Every answer in `vectors/transcripts/` is found right, from the committed file alone; and wrong, whichever of its fields is changed.
//!
//! The files stay as they are: an answer that is right once must be right for every later build.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use credence_base::{Name, Nonce, Profile, SigningKey, TraceRoot};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, ConstrainedDecoding, Counts, Finding, FinishReason,
    Method as _, MethodError, Opened, Openings, Roots, Salts, SeedSource, commitment,
};
use credence_exec::{Isa, Options};
use credence_method_replay::Replay;
use credence_model::{Model, program_from_bytes};
use serde_json::Value;

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The files, by name, with their models.
fn files() -> Vec<(Arc<Model>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/transcripts");
    let read = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let program = program_from_bytes(file["program"].as_str().unwrap().as_bytes()).unwrap();
        let weights = file["weights"].as_array().unwrap();
        let model = Model::new(program, weights.iter().map(unhex).collect()).unwrap();
        assert_eq!(model.id().to_string(), file["model_id"].as_str().unwrap());
        (Arc::new(model), file)
    };
    vec![read("one.json"), read("two.json")]
}

/// What a claim about an answer says, before it is committed to.
#[derive(Clone)]
struct Told {
    input: Vec<u8>,
    params: Vec<u8>,
    output: Vec<u8>,
    trace: TraceRoot,
    counts: Counts,
    finish: FinishReason,
    seed: SeedSource,
    nonce: Option<Nonce>,
    constrained: Option<ConstrainedDecoding>,
}

const FINISHES: [(&str, FinishReason); 3] = [
    ("stop", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("cancelled", FinishReason::Cancelled),
];
const SEEDS: [(&str, SeedSource); 4] = [
    ("nothing", SeedSource::Nothing),
    ("derived", SeedSource::Derived),
    ("client", SeedSource::Client),
    ("operator", SeedSource::Operator),
];

fn named<T: Copy>(all: &[(&str, T)], name: &Value) -> T {
    let found = all.iter().find(|(known, _)| name == known);
    found.unwrap().1
}

fn told(answer: &Value) -> Told {
    let digest = |value: &Value| -> [u8; 32] { unhex(value).try_into().unwrap() };
    let nonce = Some(&answer["nonce"]).filter(|nonce| !nonce.is_null());
    Told {
        input: unhex(&answer["input"]),
        params: unhex(&answer["params"]),
        output: unhex(&answer["output"]),
        trace: TraceRoot::from_bytes(digest(&answer["trace_root"])),
        counts: Counts {
            input: answer["input_count"].as_u64().unwrap(),
            output: answer["output_count"].as_u64().unwrap(),
        },
        finish: named(&FINISHES, &answer["finish"]),
        seed: named(&SEEDS, &answer["seed_source"]),
        nonce: nonce.map(|nonce| Nonce::from_bytes(digest(nonce))),
        constrained: answer.get("constrained").map(|named| {
            let name = |name: &Value| Name::new(name.as_str().unwrap()).unwrap();
            ConstrainedDecoding {
                engine: name(&named["engine"]),
                version: name(&named["version"]),
            }
        }),
    }
}

fn check(replay: &Replay, model: &Model, told: &Told) -> Result<Finding, MethodError> {
    let operator = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let roots = Roots {
        input: commitment::input_root(&told.input),
        params: commitment::params_root(&told.params),
        output: commitment::output_root(&told.output),
        trace: told.trace,
    };
    let commitments = Commitments::new(&operator, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: told.counts,
        finish: told.finish,
        nonce: told.nonce,
        seed: told.seed,
        constrained: told.constrained.clone(),
    })
    .unwrap();
    let opened = |salt, content: &Vec<u8>| {
        let content = content.clone();
        Some(Opened { salt, content })
    };
    let openings = Openings {
        input: opened(salts.input, &told.input),
        params: opened(salts.params, &told.params),
        output: opened(salts.output, &told.output),
        trace: Some(salts.trace),
    };
    let case = Case::check(&claim, &operator, &openings).unwrap();
    replay.check(&case, None)
}

fn replay(model: &Arc<Model>, isa: Isa) -> Replay {
    let threads = NonZeroUsize::MIN;
    Replay::new(Arc::clone(model), Options { threads, isa }).unwrap()
}

#[test]
fn every_answer_is_right() {
    let mut answers = 0;
    for (model, file) in files() {
        let fast = replay(&model, Isa::detect());
        let plain = replay(&model, Isa::Scalar);
        for answer in file["answers"].as_array().unwrap() {
            for replay in [&fast, &plain] {
                let found = check(replay, &model, &told(answer));
                assert!(found.is_ok(), "{}: {found:?}", answer["name"]);
            }
            answers += 1;
        }
    }
    assert!(answers >= 28);
}

/// A change to what is told.
type Edit = fn(&mut Told);

#[test]
fn no_answer_is_right_with_a_field_changed() {
    let edits: [(&str, Edit); 6] = [
        ("trace", |told| told.trace = TraceRoot::from_bytes([0; 32])),
        ("input count", |told| told.counts.input += 1),
        ("output count", |told| told.counts.output += 1),
        ("finish", |told| {
            told.finish = match told.finish {
                FinishReason::Cancelled => FinishReason::Length,
                _ => FinishReason::Cancelled,
            };
        }),
        ("seed", |told| {
            told.seed = match told.seed {
                SeedSource::Nothing => SeedSource::Client,
                _ => SeedSource::Nothing,
            };
        }),
        // The second byte from behind, `tokens` being followed by `version`, is the version.
        ("output", |told| {
            let at = told.output.len() - 2;
            told.output[at] ^= 3;
        }),
    ];
    for (model, file) in files() {
        let replay = replay(&model, Isa::detect());
        for answer in file["answers"].as_array().unwrap() {
            for (what, edit) in edits {
                let mut told = told(answer);
                edit(&mut told);
                let found = check(&replay, &model, &told);
                assert!(found.is_err(), "{}: {what}", answer["name"]);
            }
        }
    }
}
