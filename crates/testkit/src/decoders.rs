//! Every decoder that reads bytes from outside, as a fuzz target: a name, honest seeds, and a function that must not panic.
//!
//! Each target also holds its decoder to one form: what it accepts, it writes back as the same bytes. The list serves both the
//! quick run in CI (`tests/fuzz.rs`: seeded mutations of the seeds) and the long one (`fuzz/`, libFuzzer).

use credence_base::SigningKey;
use credence_base::domain;
use credence_claim::Claim;
use credence_commit::{Opening, opening, tree};
use credence_grammar::Grammar;
use credence_model::{Model, Program, TensorLimits, Tensors, program_bytes, program_from_bytes};
use credence_receipt::{
    BUNDLE_LEN_MAX, Bundle, ENVELOPE_LEN_MAX, Envelope, STATEMENT_LEN_MAX, Statement,
};
use credence_verify::{Facts, Policy, check_bytes};

use crate::samples;

mod court;
mod dispute;
mod encoder;
mod language;
mod log;
mod snark;
mod spot;

/// One decoder.
#[derive(Debug)]
pub struct Target {
    /// Its name, as `fuzz/` and failures print it.
    pub name: &'static str,
    /// Inputs from which mutations start, each accepted by the decoder.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Decodes, and panics if something does not hold of an accepted input. Returns whether the input was accepted.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "tensors",
        seeds: || vec![samples::tensors().encode()],
        run: tensors,
    },
    Target {
        name: "program",
        seeds: program_seeds,
        run: program,
    },
    Target {
        name: "model_file",
        seeds: || vec![samples::model_file()],
        run: model_file,
    },
    Target {
        name: "opening",
        seeds: || vec![samples::opening()],
        run: opening,
    },
    Target {
        name: "claim",
        seeds: claim_seeds,
        run: claim,
    },
    Target {
        name: "statement",
        seeds: statement_seeds,
        run: statement,
    },
    Target {
        name: "envelope",
        seeds: || vec![samples::bundle().receipt().encode()],
        run: envelope,
    },
    Target {
        name: "bundle",
        seeds: || vec![samples::BUNDLE.to_vec(), samples::LOGGED_BUNDLE.to_vec()],
        run: bundle,
    },
    Target {
        name: "verify",
        seeds: || vec![samples::BUNDLE.to_vec()],
        run: verify,
    },
    Target {
        name: "key_pem",
        seeds: key_seeds,
        run: key_pem,
    },
    encoder::FOLDER,
    language::GGUF,
    language::TEXT_SPEC,
    language::PROMPT,
    language::OUTPUT,
    language::PARAMETERS,
    log::NOTE,
    log::CHECKPOINT,
    log::VERIFIER_KEY,
    log::LOG_PROOF,
    log::ADD_CHECKPOINT,
    log::TILE_PATH,
    log::ENTRIES,
    log::TILE,
    log::RECORD,
    GRAMMAR,
    snark::PROOF,
    snark::APART,
    snark::CARD,
    spot::EVIDENCE,
    spot::CARD,
    spot::CHECK,
    dispute::MESSAGE,
    dispute::TRANSCRIPT,
    court::FILING,
    court::DOSSIER,
    court::NOTICE,
];

/// Runs the target of that name, as libFuzzer's entry points do.
///
/// # Panics
/// If there is no such target, or something does not hold of an accepted input.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    (target.run)(bytes);
}

/// The text of a grammar behind a byte for its kind.
const GRAMMAR: Target = Target {
    name: "grammar",
    seeds: || {
        let schema = Grammar::schema(
            r##"{"$defs":{"n":{"type":["integer","null"],"minimum":-3}},"type":"object","properties":{"a":{"$ref":"#/$defs/n"},
            "b":{"type":"array","items":{"anyOf":[{"const":"x"},{"type":"string","maxLength":9}]},"minItems":1}},
            "required":["a"],"additionalProperties":false}"##,
        );
        let tool = ("look".to_owned(), r#"{"type":"object"}"#.to_owned());
        let all = [schema, Grammar::calls(&[tool])];
        let bytes =
            |grammar: Grammar| [&[grammar.kind().code()], grammar.text().as_bytes()].concat();
        all.map(|grammar| bytes(grammar.unwrap())).to_vec()
    },
    run: |bytes| {
        let Some((kind, text)) = bytes.split_first() else {
            return false;
        };
        let Ok(text) = core::str::from_utf8(text) else {
            return false;
        };
        let read = Grammar::decode(*kind, text);
        read.map(|grammar| assert_eq!(grammar.text(), text)).is_ok()
    },
};

fn tensors(bytes: &[u8]) -> bool {
    let limits = TensorLimits { bytes_max: 1 << 20 };
    let read = Tensors::decode(bytes, limits);
    read.map(|tensors| assert_eq!(tensors.encode(), bytes))
        .is_ok()
}

fn program_seeds() -> Vec<Vec<u8>> {
    vec![program_bytes(&samples::program().0).unwrap()]
}

fn program(bytes: &[u8]) -> bool {
    let Ok(spec) = program_from_bytes(bytes) else {
        return false;
    };
    assert_eq!(program_bytes(&spec).unwrap(), bytes);
    Program::check(spec).is_ok()
}

fn model_file(bytes: &[u8]) -> bool {
    let Ok((model, provenance)) = Model::from_safetensors(bytes) else {
        return false;
    };
    // A file may hold tensors in another order; the model that it holds is written in one.
    let again = model.to_safetensors(&provenance).unwrap();
    let (same, _) = Model::from_safetensors(&again).unwrap();
    assert_eq!(same.id(), model.id());
    true
}

fn opening(bytes: &[u8]) -> bool {
    let Ok(read) = Opening::decode(bytes, 1 << 20) else {
        return false;
    };
    assert_eq!(read.encode().unwrap(), bytes);
    let content = samples::opened_content();
    let root = tree::root(domain::OUTPUT, &content);
    let length = u64::try_from(content.len()).unwrap();
    let shown = opening::verify(
        domain::OUTPUT,
        &root,
        length,
        &samples::OPENED_RANGES,
        &read,
    );
    shown
        .map(|_| assert_eq!(bytes, samples::opening(), "another opening was accepted"))
        .is_ok()
}

fn claim_seeds() -> Vec<Vec<u8>> {
    let signed = samples::bundle().receipt().open().unwrap();
    match signed.into_statement() {
        Statement::Inference(inference) => vec![inference.claim.encode()],
        _ => Vec::new(),
    }
}

fn claim(bytes: &[u8]) -> bool {
    Claim::decode(bytes)
        .map(|claim| assert_eq!(claim.encode(), bytes))
        .is_ok()
}

fn statement_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![samples::bundle().receipt().payload().to_vec()];
    seeds.extend(samples::other_statements());
    seeds
}

fn statement(bytes: &[u8]) -> bool {
    let read = Statement::decode(bytes, STATEMENT_LEN_MAX);
    read.map(|statement| assert_eq!(statement.encode().unwrap(), bytes))
        .is_ok()
}

fn envelope(bytes: &[u8]) -> bool {
    let Ok(envelope) = Envelope::decode(bytes, ENVELOPE_LEN_MAX) else {
        return false;
    };
    assert_eq!(envelope.encode(), bytes);
    envelope.open().is_ok()
}

fn bundle(bytes: &[u8]) -> bool {
    let read = Bundle::decode(bytes, BUNDLE_LEN_MAX);
    read.map(|bundle| assert_eq!(bundle.encode().unwrap(), bytes))
        .is_ok()
}

/// The whole check without methods: only the bundle as signed, with its openings, passes.
fn verify(bytes: &[u8]) -> bool {
    let facts = Facts::at(u64::MAX);
    let checked = check_bytes(
        bytes,
        BUNDLE_LEN_MAX,
        &Policy::signature_only(),
        &[],
        &facts,
    );
    let Ok(verified) = checked else { return false };
    assert_eq!(
        *verified.value().digest(),
        samples::bundle().receipt().digest(),
        "another receipt was accepted"
    );
    true
}

fn key_seeds() -> Vec<Vec<u8>> {
    let pem = SigningKey::from_seed(&[7; 32]).to_pkcs8_pem();
    pem.map(|pem| pem.as_bytes().to_vec()).into_iter().collect()
}

fn key_pem(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok_and(|text| SigningKey::from_pkcs8_pem(text).is_ok())
}
