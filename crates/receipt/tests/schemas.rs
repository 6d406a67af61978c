//! The files under `schemas/` name exactly the fields that the types write, and say which are optional.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop a test that went wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use credence_receipt::Bundle;
use serde_json::Value;

#[expect(dead_code, reason = "shared with other tests, which use all of it")]
mod support;

use support::{
    bundle, claim_fields, inference, key_actions, key_statement, logged_bundle, openings,
    other_statements, plain_claim_fields,
};

/// Path of a field, with `[]` for any place in a list, and whether it must be there.
type Fields = BTreeMap<String, bool>;

fn of_schema(schema: &Value, path: &str, out: &mut Fields) {
    for branch in schema["oneOf"].as_array().into_iter().flatten() {
        of_schema(branch, path, out);
    }
    if let Some(items) = schema.get("items") {
        of_schema(items, &format!("{path}[]"), out);
    }
    if let Some(properties) = schema.get("properties") {
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path}");
        let required = schema["required"].as_array().unwrap();
        for (name, inner) in properties.as_object().unwrap() {
            let path = format!("{path}/{name}");
            let needed = required.iter().any(|r| r == name) && schema.get("oneOf").is_none();
            out.insert(path.clone(), needed);
            of_schema(inner, &path, out);
        }
    }
}

fn of_value(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let path = format!("{path}/{name}");
                of_value(inner, &path, out);
                out.insert(path);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|i| of_value(i, &format!("{path}[]"), out)),
        _ => (),
    }
}

/// The schema's fields are those of all samples together, and what it calls optional is absent from one of them while
/// what holds it is present.
fn check(file: &str, samples: &[Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(file);
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut fields = Fields::new();
    of_schema(&schema, "", &mut fields);

    let seen: Vec<BTreeSet<String>> = samples
        .iter()
        .map(|sample| {
            let mut seen = BTreeSet::new();
            of_value(sample, "", &mut seen);
            seen
        })
        .collect();
    let all: BTreeSet<String> = seen.iter().flatten().cloned().collect();
    assert_eq!(
        fields.keys().cloned().collect::<BTreeSet<_>>(),
        all,
        "{file}"
    );
    for (field, required) in fields {
        let parent = field.rsplit_once('/').unwrap().0.trim_end_matches("[]");
        let absent = seen
            .iter()
            .any(|seen| !seen.contains(&field) && (parent.is_empty() || seen.contains(parent)));
        // One action excludes the others, and an empty list has no items.
        let choice = field.starts_with("/predicate/action/")
            || ["/evidence[]", "/predicate/numbers[]"]
                .iter()
                .any(|list| field.starts_with(list));
        assert!(
            choice || required != absent,
            "{file}: {field} is required: {required}"
        );
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn schemas_name_the_fields() {
    let statements = [claim_fields(), plain_claim_fields()].map(|f| inference(f).encode().unwrap());
    check("inference-statement.v1.json", &statements.map(|s| json(&s)));
    let statements = key_actions().map(|action| json(&key_statement(action).encode().unwrap()));
    check("key-statement.v1.json", &statements);
    let [
        equivocation,
        binding,
        imported,
        uncalibrated,
        audit,
        bare,
        verdict,
    ] = other_statements().map(|statement| json(&statement.encode().unwrap()));
    check("equivocation-statement.v1.json", &[equivocation]);
    check("weights-binding-statement.v1.json", &[binding]);
    check("imported-statement.v1.json", &[imported, uncalibrated]);
    check("audit-statement.v1.json", &[audit, bare]);
    check("verdict-statement.v1.json", &[verdict]);
    check("envelope.v1.json", &[json(&bundle().receipt().encode())]);

    let with = |openings| Bundle::new(bundle().receipt().clone(), openings, Vec::new()).unwrap();
    let trace_alone = credence_claim::Openings {
        trace: openings().trace,
        ..Default::default()
    };
    let input_alone = credence_claim::Openings {
        trace: None,
        params: None,
        output: None,
        ..openings()
    };
    let bundles = [
        logged_bundle(),
        bundle(),
        with(Default::default()),
        with(trace_alone),
        with(input_alone),
    ];
    check(
        "bundle.v1.json",
        &bundles.map(|b| json(&b.encode().unwrap())),
    );
}
