//! The vectors under `vectors/commit` and `vectors/receipt`: what a second implementation must reproduce.
//!
//! Nothing here is random and nothing depends on the machine, so the files can be compared byte for byte.
#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is what is meant"
)]

use core::ops::Range;

use credence_base::{Digest, ModelId, Nonce, domain};
use credence_claim::{Claim, ClaimFields, Commitments, Salts, seed};
use credence_commit::{opening, tree};
use credence_receipt::{Statement, pae, sign};
use serde_json::{Value, json};

use super::{
    INPUT, OUTPUT, PARAMS, bundle, claim_fields, inference, key, key_actions, key_statement,
    logged_bundle, other_statements, plain_claim_fields, roots, salts,
};

/// Every file: its path from the repository's root, and its text.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let pretty = |value: Value| format!("{value:#}\n");
    vec![
        ("vectors/commit/roots.json", pretty(commit_roots())),
        ("vectors/commit/openings.json", pretty(commit_openings())),
        ("vectors/receipt/keys.json", pretty(keys())),
        ("vectors/receipt/commitments.json", pretty(commitments())),
        ("vectors/receipt/seeds.json", pretty(seeds())),
        ("vectors/receipt/claims.json", pretty(claims())),
        ("vectors/receipt/statements.json", pretty(statements())),
        (
            "vectors/receipt/bundle.json",
            String::from_utf8(bundle().encode().unwrap()).unwrap(),
        ),
        (
            "vectors/receipt/bundle-logged.json",
            String::from_utf8(logged_bundle().encode().unwrap()).unwrap(),
        ),
    ]
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn commit_roots() -> Value {
    let sizes = [
        0, 1, 2, 63, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049, 3071, 3072, 3073, 4096, 4097,
        5120, 5121, 7168, 8192, 8193, 16384, 31744, 65536, 65537,
    ];
    let cases: Vec<Value> = sizes
        .into_iter()
        .map(|len| json!({ "len": len, "root": tree::root(domain::OUTPUT, &content(len)).to_string() }))
        .collect();
    json!({
        "comment": "root = BLAKE3 derive_key(domain, content); byte i of content is i mod 251",
        "domain": domain::OUTPUT.as_str(),
        "cases": cases,
    })
}

fn commit_openings() -> Value {
    let cases: [(usize, &[Range<u64>]); 9] = [
        (1, &[0..1]),
        (1024, &[1000..1024]),
        (1025, &[1024..1025]),
        (2048, &[0..1]),
        (3072, &[1030..1031, 2048..3072]),
        (5000, &[0..10, 4999..5000]),
        (5000, &[4999..5000, 0..10, 5..1500]),
        (8192, &[0..8192]),
        (16385, &[4096..4097, 6143..6144, 16384..16385]),
    ];
    let cases = cases.map(|(len, ranges)| {
        let content = content(len);
        let opening = opening::open(domain::TRACE_SECTION, &content, ranges).unwrap();
        let ranges: Vec<Value> = ranges.iter().map(|r| json!([r.start, r.end])).collect();
        json!({
            "len": len,
            "ranges": ranges,
            "root": tree::root(domain::TRACE_SECTION, &content).to_string(),
            "opening": hex::encode(opening.encode().unwrap()),
        })
    });
    json!({
        "comment": "an opening shows each range [start, end) against root; byte i of content is i mod 251",
        "domain": domain::TRACE_SECTION.as_str(),
        "cases": cases,
    })
}

fn keys() -> Value {
    let cases = [[1; 32], [6; 32]].map(|seed: [u8; 32]| {
        let key = credence_base::SigningKey::from_seed(&seed);
        json!({
            "seed": hex::encode(seed),
            "publicKey": key.public_key().to_string(),
            "keyId": key.public_key().id().to_string(),
            "pkcs8Pem": key.to_pkcs8_pem().unwrap(),
        })
    });
    json!({ "comment": "Ed25519 keys from RFC 8032 seeds", "cases": cases })
}

fn commitments() -> Value {
    let (operator, salts, roots) = (key().public_key(), salts(), roots());
    let Salts {
        input,
        params,
        output,
        trace,
    } = &salts;
    let made = Commitments::new(&operator, &salts, &roots);
    let case = |salt: &credence_base::Salt, content: Option<&[u8]>, root: Digest, made: Digest| {
        json!({
            "content": content.map(hex::encode),
            "salt": hex::encode(salt.as_bytes()),
            "root": root.to_string(),
            "commitment": made.to_string(),
        })
    };
    json!({
        "comment": "salts from master, roots from contents, commitments from operator, salt and root",
        "master": hex::encode([2; 32]),
        "operator": operator.to_string(),
        "input": case(input, Some(INPUT), roots.input, made.input.digest()),
        "params": case(params, Some(PARAMS), roots.params, made.params.digest()),
        "output": case(output, Some(OUTPUT), roots.output, made.output.digest()),
        "trace": case(trace, None, roots.trace.digest(), made.trace.digest()),
    })
}

fn seeds() -> Value {
    let request = seed::Request {
        nonce: Nonce::from_bytes([5; 32]),
        model: ModelId::from_bytes([4; 32]),
        input_root: roots().input,
        params_root: roots().params,
    };
    json!({
        "comment": "seed = BLAKE3 derive_key(domain, nonce, model, input root, params root)",
        "domain": domain::SEED.as_str(),
        "nonce": request.nonce.to_string(),
        "model": request.model.to_string(),
        "inputRoot": request.input_root.to_string(),
        "paramsRoot": request.params_root.to_string(),
        "seed": hex::encode(seed::derive(&request)),
    })
}

fn claims() -> Value {
    let case = |fields: ClaimFields| {
        let claim = Claim::new(fields.clone()).unwrap();
        let statement: Value =
            serde_json::from_slice(&inference(fields).encode().unwrap()).unwrap();
        json!({
            "claim": statement["predicate"]["claim"],
            "encoding": hex::encode(claim.encode()),
            "digest": claim.digest().to_string(),
        })
    };
    json!({
        "comment": "digest = BLAKE3 derive_key(domain, encoding)",
        "domain": domain::CLAIM.as_str(),
        "cases": [case(claim_fields()), case(plain_claim_fields())],
    })
}

fn statements() -> Value {
    let case = |statement: Statement| {
        let envelope = sign(&statement, &key()).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        json!({
            "kind": statement.kind().to_string(),
            "statement": text(envelope.payload().to_vec()),
            "pae": text(pae(envelope.payload())),
            "envelope": text(envelope.encode()),
            "receiptDigest": envelope.digest().to_string(),
        })
    };
    let mut cases = vec![
        case(inference(claim_fields())),
        case(inference(plain_claim_fields())),
    ];
    cases.extend(key_actions().map(|action| case(key_statement(action))));
    cases.extend(other_statements().map(case));
    json!({
        "comment": "signed by the key of this seed; statement, pae and envelope are exact bytes",
        "seed": hex::encode([1; 32]),
        "cases": cases,
    })
}
