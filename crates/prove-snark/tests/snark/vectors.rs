//! The vectors under `vectors/snark`: proofs of small runs, with what a second verifier works out on its way.
//!
//! Nothing in them is random and nothing depends on the machine, so that the files can be compared byte for byte: with other code, threads or instruction sets the same proof must come out. It deliberately
//! tells no lie.

use credence_claim::Case;
use credence_method_snark::circuit::{Circuit, Entries};
use credence_method_snark::functional::TIE_VARIABLES;
use credence_method_snark::pcs::{Commitment, Params};
use credence_method_snark::protocol::{Claims, Statement, combine, lookup_challenges, start};
use credence_method_snark::run::Publics;
use credence_method_snark::{K, Reader, Subject, WITNESS_DEGREE, lookup, pairs, sumcheck};
use credence_model::program_bytes;
use credence_prove_snark::Weights;
use credence_testkit::program_gen::request;
use serde_json::{Value, json};

use crate::small;
use crate::story::{OPTIONS, Story};

/// Positions for which the committed values of the perceptron are too many to be sent in clear.
const MANY: u32 = 64;

/// Every file: its path from the repository's root, and its text.
pub(crate) fn files() -> Vec<(String, String)> {
    let named = ["perceptron", "images", "sums", "chances", "forest"];
    let mut files = Vec::new();
    for (name, model, inputs) in small::programs() {
        if !named.contains(&name) {
            continue;
        }
        if name == "perceptron" {
            let inputs = request(&model, 7, MANY);
            files.push(file("many", &Story::of(small::again(&model), &inputs)));
        }
        if name == "images" {
            let story = Story::of(small::again(&model), &inputs);
            files.push(committed("images-committed", &story));
        }
        files.push(file(name, &Story::of(model, &inputs)));
    }
    assert_eq!(files.len(), named.len() + 2);
    files
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn element(value: K) -> String {
    hex(value.to_bytes())
}

fn elements(values: &[K]) -> Vec<String> {
    values.iter().copied().map(element).collect()
}

fn file(name: &str, story: &Story) -> (String, String) {
    let told = story.told();
    let evidence = story.prove(OPTIONS).unwrap();
    let finding = story.check(&story.method(), Some(&evidence)).unwrap();
    let bits = finding
        .numbers
        .iter()
        .find(|number| number.name == "soundness");
    let program = program_bytes(story.model.program().spec()).unwrap();
    let program: Value = serde_json::from_slice(&program).unwrap();
    let params: Vec<String> = story
        .model
        .params()
        .iter()
        .map(|bytes| hex(&**bytes))
        .collect();
    let positions = usize::try_from(story.positions).unwrap();
    let circuit = Circuit::new(&story.model, positions).unwrap();
    let value = json!({
        "comment": "docs/spec/snark.md; an element of K is its 24 bytes; layers[k] is the claim about layer k + 1 of the fractions",
        "program": program,
        "parameters": params,
        "model": story.model.id().to_string(),
        "claim": hex(told.claim.encode()),
        "operator": hex(told.operator.as_bytes()),
        "input": hex(&story.input),
        "params": hex(&story.params),
        "output": hex(&story.output),
        "soundness": bits.map(|number| number.quantity.to_string()),
        "circuit": shape(&circuit),
        "walk": walk(story, &circuit, &evidence),
        "evidence": hex(&evidence),
    });
    (format!("vectors/snark/{name}.json"), format!("{value:#}\n"))
}

/// A proof with committed weights: what a verifier without the model gets.
fn committed(name: &str, story: &Story) -> (String, String) {
    let told = story.told();
    let weights = Weights::commit(&story.model).unwrap();
    let evidence = story.prove_with(OPTIONS, &weights).unwrap();
    let positions = usize::try_from(story.positions).unwrap();
    let circuit = Circuit::apart(&**weights.card(), positions, u64::MAX).unwrap();
    let blocks = weights.card().layout().blocks().iter().map(|block| {
        json!({ "parameter": block.param.0, "rows": block.rows, "columns": block.columns, "start": block.start })
    });
    let value = json!({
        "comment": "docs/spec/snark.md, section 9; model and claim are those of images.json",
        "model": story.model.id().to_string(),
        "card": hex(weights.card_bytes()),
        "weights_id": weights.id().root.to_string(),
        "matrices": blocks.collect::<Vec<Value>>(),
        "log_weights": weights.card().layout().log_len(),
        "claim": hex(told.claim.encode()),
        "operator": hex(told.operator.as_bytes()),
        "input": hex(&story.input),
        "params": hex(&story.params),
        "output": hex(&story.output),
        "circuit": shape(&circuit),
        "evidence": hex(&evidence),
    });
    (format!("vectors/snark/{name}.json"), format!("{value:#}\n"))
}

fn shape(circuit: &Circuit) -> Value {
    let tables = circuit.tables.iter().map(|table| {
        let kind = match &table.entries {
            Entries::Count(_) => "count",
            Entries::Listed { .. } => "listed",
        };
        json!({ "rows": table.entries.len(), "kind": kind, "shown": table.shown })
    });
    json!({
        "positions": circuit.positions,
        "limb_bits": circuit.limb_bits,
        "slots": circuit.slots,
        "committed": circuit.committed,
        "lookups": circuit.looked_up.len(),
        "products": circuit.gates.a.len(),
        "equations": circuit.zeros.len(),
        "tables": tables.collect::<Vec<Value>>(),
        "log_leaves": circuit.leaves_log(),
        "log_committed": circuit.witness_log(),
    })
}

/// What a verifier works out, in order, up to the opening.
fn walk(story: &Story, circuit: &Circuit, evidence: &[u8]) -> Value {
    let told = story.told();
    let case = Case::check(&told.claim, &told.operator, &told.openings).unwrap();
    let subject = Subject::read(story.model.program(), &case).unwrap();
    let statement = Statement {
        bound: &subject.bound(),
        security: OPTIONS.security,
    };
    let mut reader = Reader::new(&evidence[1..]);
    let program = story.model.program();
    let publics = Publics::read(subject.inputs.clone(), circuit, program, &mut reader).unwrap();
    let params = Params::new(circuit.witness_log(), statement.security).unwrap();
    let commitment = Commitment::read(&params, &mut reader).unwrap();
    let mut transcript = start(&statement, &story.model, circuit, &publics);
    commitment.absorb(&params, &mut transcript);
    let challenges = lookup_challenges(&mut transcript);
    let layers = (1..circuit.leaves_log()).map(|layers| {
        let (mut reader, mut transcript) = (reader.clone(), transcript.clone());
        let claims = lookup::verify(layers, false, &mut reader, &mut transcript).unwrap();
        json!({ "point": elements(&claims.point), "p": element(claims.p), "q": element(claims.q) })
    });
    let layers: Vec<Value> = layers.collect();
    let products = !circuit.gates.a.is_empty();
    let log = circuit.leaves_log();
    let leaves = lookup::verify(log, products, &mut reader, &mut transcript).unwrap();
    let pairs = pairs::verify(circuit, &leaves.point, &mut reader, &mut transcript).unwrap();
    let claims = Claims { leaves, pairs };
    let mut drawn = transcript.clone();
    let claim = combine(
        circuit,
        &story.model,
        &publics,
        challenges,
        &claims,
        &mut transcript,
    );
    let claim = claim.unwrap();
    let rounds = usize::try_from(circuit.witness_log()).unwrap();
    let reduced = sumcheck::verify(
        rounds,
        WITNESS_DEGREE,
        claim.sum,
        &mut reader,
        &mut transcript,
    );
    let reduced = reduced.unwrap();
    json!({
        "front": hex(publics.front()),
        "root": commitment.root().to_string(),
        "sample": element(commitment.sample()),
        "tuple": element(challenges.gamma),
        "lookup": element(challenges.alpha),
        "layers": layers,
        "leaf_point": elements(&claims.leaves.point),
        "p": element(claims.leaves.p),
        "q": element(claims.leaves.q),
        "products": elements(&claims.leaves.products),
        "tie_rows": elements(&drawn.challenge_ks("tie rows", TIE_VARIABLES)),
        "tie_columns": elements(&drawn.challenge_ks("tie columns", TIE_VARIABLES)),
        "equations": elements(&drawn.challenge_ks("equations", TIE_VARIABLES)),
        "batch": element(drawn.challenge_k("batch")),
        "sum": element(claim.sum),
        "point": elements(&reduced.point),
        "left": element(reduced.value),
        "weights": element(claim.weights_at(circuit, &reduced.point)),
        "value": element(reader.k().unwrap()),
    })
}

#[test]
fn files_are_what_the_code_gives() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in files() {
        let kept = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            kept == text,
            "{path} is not what the code gives: a change of format, or `cargo run -p credence-prove-snark --example snark_vectors`"
        );
    }
}
