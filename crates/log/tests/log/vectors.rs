//! The vectors under `vectors/log`: what a second implementation must reproduce. Nothing in them is random.

use std::fs;
use std::path::Path;

use credence_log::proof::Plan;
use credence_log::{AddCheckpoint, Answer, TileId, Witness};
use serde_json::{Value, json};

use crate::shared::{NOW, checkpoint, cosigned, entry, log_signer, policy, proof, tree, witness};

/// Every file: its path from the repository's root, and its text.
fn files() -> [(&'static str, String); 3] {
    let pretty = |value: Value| format!("{value:#}\n");
    [
        ("vectors/log/trees.json", pretty(trees())),
        ("vectors/log/tiles.json", pretty(tiles())),
        ("vectors/log/notes.json", pretty(notes())),
    ]
}

fn hashes(proof: Vec<credence_log::Hash>) -> Vec<String> {
    proof.iter().map(ToString::to_string).collect()
}

fn trees() -> Value {
    let (_, all) = tree(600);
    let roots = [
        0u64, 1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 511, 512, 513, 600,
    ]
    .map(|size| json!({ "size": size, "root": tree(size).0.root().to_string() }));
    let inclusions = [
        (0, 1),
        (0, 2),
        (1, 2),
        (2, 3),
        (6, 7),
        (255, 256),
        (256, 257),
        (255, 600),
        (599, 600),
    ];
    let inclusions = inclusions.map(|(index, size)| {
        let proof = Plan::inclusion(index, size).unwrap().make(&all).unwrap();
        json!({ "index": index, "size": size, "proof": hashes(proof) })
    });
    let consistencies = [
        (0, 5),
        (1, 2),
        (2, 3),
        (3, 7),
        (4, 7),
        (7, 7),
        (255, 256),
        (256, 257),
        (300, 600),
        (512, 600),
    ];
    let consistencies = consistencies.map(|(old, new)| {
        let proof = Plan::consistency(old, new).unwrap().make(&all).unwrap();
        json!({ "old": old, "new": new, "proof": hashes(proof) })
    });
    json!({
        "comment": "entry i is i in 8 bytes, little-endian, and 24 bytes of 5a; leaf = SHA-256(00, entry); hashes in base64",
        "entry0": hex::encode(entry(0).as_bytes()),
        "roots": roots,
        "inclusions": inclusions,
        "consistencies": consistencies,
    })
}

fn tiles() -> Value {
    let appends = [
        (0u64, 1u64),
        (0, 256),
        (255, 257),
        (300, 70_000),
        (65_536, 65_537),
        (5, 5),
    ];
    let appends = appends.map(|(old, new)| {
        // A long list is named by its ends.
        let paths: Vec<_> = TileId::added(old, new).map(|tile| tile.path()).collect();
        let (first, last) = (paths.iter().take(4), paths.iter().rev().take(4).rev());
        json!({
            "old": old,
            "new": new,
            "count": paths.len(),
            "first": first.collect::<Vec<_>>(),
            "last": last.collect::<Vec<_>>(),
        })
    });
    json!({
        "comment": "the tiles that an append from old to new entries writes, lowest level first, left to right: the first and the last four",
        "appends": appends,
    })
}

fn notes() -> Value {
    let (log, w1, w2) = (log_signer(), witness(1), witness(2));
    let signed = cosigned(300, &[(&w1, NOW - 5), (&w2, NOW)]);
    let travels = proof(77, signed);
    let request = AddCheckpoint {
        old_size: 257,
        proof: Plan::consistency(257, 300)
            .unwrap()
            .make(&tree(300).1)
            .unwrap(),
        checkpoint: checkpoint(300),
    };
    let first = AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: checkpoint(257),
    };
    let watching = Witness::new(witness(1), vec![log.verifier().clone()]).unwrap();
    let answer = |record, request: &AddCheckpoint| {
        let answer = watching.answer(record, request, NOW).unwrap();
        let Answer::Cosigned { record, body } = answer else {
            unreachable!("an honest log is cosigned");
        };
        (record, body)
    };
    let (record, _) = answer(None, &first);
    let (_, body) = answer(Some(&record), &request);
    let by = travels
        .verify(&entry(77), &policy(2, 2), crate::shared::CLOCK)
        .unwrap()
        .witnessed()
        .by_unix_s();
    json!({
        "comment": "text is exact bytes; seeds are those of RFC 8032, one byte 32 times",
        "log": { "seed": hex::encode([1; 32]), "verifierKey": log.verifier().to_string() },
        "witnesses": [
            { "seed": hex::encode([101; 32]), "verifierKey": w1.verifier().to_string() },
            { "seed": hex::encode([102; 32]), "verifierKey": w2.verifier().to_string() },
        ],
        "proof": {
            "entry": hex::encode(entry(77).as_bytes()),
            "text": travels.encode(),
            "quorum": 2,
            "byUnixS": by.map(|by| by.to_string()),
        },
        "addCheckpoint": {
            "timeUnixS": NOW.to_string(),
            "record": record.encode(),
            "request": request.encode(),
            "response": body,
        },
    })
}

#[test]
fn committed_vectors_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in files() {
        let committed = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(committed == text, "{path} differs: the format has changed");
    }
}
