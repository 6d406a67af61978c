//! What becomes of a key, stated from the command line and honoured by whoever verifies.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use credence_base::ReceiptDigest;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, KeyAction, Statement};

use crate::shared::{Done, Place, four_digits, model_file, names};

/// A home of its own with a key, and the log's key.
fn own(place: &Place) -> (PathBuf, String) {
    let own = place.path("home");
    place.run_at(&own, &["key", "show"]).expect(0);
    let log = place.run_at(&own, &["log", "init"]).expect(0);
    (own, log.out.trim().to_owned())
}

fn key(place: &Place, own: &Path) -> String {
    let shown = place.run_at(own, &["key", "show"]).expect(0);
    shown.out.trim().to_owned()
}

/// Runs the digits with the key that this home has now.
fn receipt(place: &Place, own: &Path, file: &str) {
    place.write("x.json", four_digits().as_bytes());
    let model = model_file();
    let model = model.to_str().unwrap();
    let run = ["run", model, "--input", "x.json", "--receipt", file];
    place.run_at(own, &run).expect(0);
}

/// A policy that accepts one key and believes one log.
fn policy(place: &Place, operator: &str, log: &str) {
    let text = format!(
        "require = [\"signed\"]\noperators = [\"{operator}\"]\n[log]\nlogs = [\"{log}\"]\nrequired = false\n"
    );
    place.write("policy.toml", text.as_bytes());
}

fn verify(place: &Place, bundle: &str, statement: Option<&str>) -> Done {
    let mut words = vec!["verify", bundle, "--policy", "policy.toml"];
    words.extend(
        statement
            .into_iter()
            .flat_map(|file| ["--key-statement", file]),
    );
    place.run(&words)
}

#[test]
fn a_rotation_puts_a_new_key_in_place_that_heirs_of_trust_accept() {
    let place = Place::new();
    let (own, log) = own(&place);
    let old = key(&place, &own);
    policy(&place, &old, &log);
    let rotate = ["key", "rotate", "--out", "rotated.json"];
    let rotated = place.run_at(&own, &rotate).expect(0);
    let new = key(&place, &own);
    assert_ne!(old, new);
    assert!(rotated.out.contains(&new), "{rotated:#?}");

    // Both keys are the owner's alone, and nothing is left over.
    let keys = own.join("keys");
    let beginning: String = old.chars().take(16).collect();
    let kept = format!("operator.{beginning}.pem");
    for name in ["operator.pem", &kept] {
        let mode = std::fs::metadata(keys.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!names(&keys).iter().any(|name| name.contains("next")));

    receipt(&place, &own, "new.json");
    verify(&place, "new.json", None).expect(6);
    verify(&place, "new.json", Some("rotated.json")).expect(0);

    // A thief's rotation is in no log that anyone believes.
    let thief = place.path("thief");
    place.run_at(&thief, &["key", "show"]).expect(0);
    std::fs::copy(keys.join(&kept), thief.join("keys/operator.pem")).unwrap();
    let steal = ["key", "rotate", "--no-log", "--out", "stolen.json"];
    place.run_at(&thief, &steal).expect(0);
    receipt(&place, &thief, "stolen-answer.json");
    verify(&place, "stolen-answer.json", Some("stolen.json")).expect(6);
}

#[test]
fn a_revoked_key_counts_no_more_and_needs_no_log_for_it() {
    let place = Place::new();
    let (own, log) = own(&place);
    policy(&place, &key(&place, &own), &log);
    receipt(&place, &own, "answer.json");
    verify(&place, "answer.json", None).expect(0);
    let revoke = ["key", "revoke", "--since", "2020-01-01", "--no-log"];
    let revoked = place.run_at(&own, &[&revoke[..], &["--out", "revoked.json"]].concat());
    assert!(revoked.expect(0).out.contains("2020-01-01T00:00:00Z"));
    verify(&place, "answer.json", Some("revoked.json"))
        .expect(6)
        .says("revoked");
}

#[test]
fn an_expired_key_counts_no_more() {
    let place = Place::new();
    let (own, log) = own(&place);
    policy(&place, &key(&place, &own), &log);
    receipt(&place, &own, "answer.json");
    let expire = |at: &str, file: &str| {
        let words = ["key", "expire", "--at", at, "--out", file];
        place.run_at(&own, &words)
    };
    expire("2020-01-01", "past.json").expect(0);
    verify(&place, "answer.json", Some("past.json"))
        .expect(6)
        .says("expired");
    expire("2999-01-01", "future.json").expect(0);
    verify(&place, "answer.json", Some("future.json")).expect(0);
    expire("soon", "never.json").expect_usage();
    assert!(!place.path("never.json").exists());
}

#[test]
fn a_statement_is_confirmed_by_itself_and_in_json() {
    let place = Place::new();
    let (own, log) = own(&place);
    policy(&place, &key(&place, &own), &log);
    let revoke = ["key", "revoke", "--json", "--out", "revoked.json"];
    let stated = place.run_at(&own, &revoke).expect(0);
    assert_eq!(stated.json_of("cli-key-statement")["logged"], true);
    let plain = ["verify", "--kind", "key-statement", "revoked.json"];
    let shown = place.run(&plain).expect(0);
    assert!(shown.out.contains("may be in wrong hands"), "{shown:#?}");
    assert!(
        shown.out.contains("in no log that the policy names"),
        "{shown:#?}"
    );
    let believed = [
        "verify",
        "--kind",
        "key-statement",
        "revoked.json",
        "--policy",
        "policy.toml",
        "--json",
    ];
    let shown = place.run(&believed).expect(0);
    assert_eq!(
        shown.json_of("cli-verify-key-statement")["logged"]["index"],
        0
    );

    // One changed byte of the signed words.
    let text = std::fs::read_to_string(place.path("revoked.json")).unwrap();
    let at = text.find("\"payload\":\"").unwrap() + 40;
    let mut bytes = text.into_bytes();
    bytes[at] ^= 1;
    place.write("forged.json", &bytes);
    let forged = place.run(&["verify", "--kind", "key-statement", "forged.json"]);
    assert!(matches!(forged.code, Some(3 | 4)), "{forged:#?}");
}

#[test]
fn what_cannot_be_stated_leaves_all_as_it_was() {
    let place = Place::new();
    let empty = place.path("empty");
    // A key that never signed is not made to be revoked.
    let revoke = ["key", "revoke", "--no-log"];
    assert_ne!(place.run_at(&empty, &revoke).code, Some(0));
    assert!(!empty.join("keys").exists());

    let (own, _) = own(&place);
    let before = key(&place, &own);
    let itself = ["key", "rotate", "--to", &before, "--no-log"];
    place.run_at(&own, &itself).expect(2).says("its own place");
    // Nowhere to write: the old key stays, and the next attempt goes on with the same new one.
    let nowhere = ["key", "rotate", "--no-log", "--out", "absent/rotated.json"];
    assert_ne!(place.run_at(&own, &nowhere).code, Some(0));
    assert_eq!(key(&place, &own), before);
    // The log has no place: signed and kept, but the old key stays.
    let bad = [
        "key",
        "rotate",
        "--log",
        "/proc/none",
        "--out",
        "unlogged.json",
    ];
    assert_ne!(place.run_at(&own, &bad).code, Some(0));
    assert_eq!(key(&place, &own), before);
    assert!(place.path("unlogged.json").exists());
    let rotate = ["key", "rotate", "--no-log", "--out", "rotated.json"];
    place.run_at(&own, &rotate).expect(0);
    assert_ne!(key(&place, &own), before);
}

/// A server runs with the key and the log; statements are logged by it, and without it the error says so.
/// From when on a revocation speaks, its digest, and whether a log proof is there.
fn since(bytes: &[u8]) -> (u64, ReceiptDigest, bool) {
    let bundle = Bundle::decode(bytes, BUNDLE_LEN_MAX).unwrap();
    let statement = bundle.receipt().open().unwrap().into_statement();
    let Statement::Key(stated) = statement else {
        panic!("{statement:?}");
    };
    let KeyAction::Revoke { since_unix_s } = stated.action else {
        panic!("{stated:?}");
    };
    (
        since_unix_s,
        bundle.receipt().digest(),
        bundle.log().is_some(),
    )
}

#[test]
fn statements_are_logged_while_a_server_runs() {
    let place = Place::new();
    let home = crate::logs::own_home(&place);
    let own = Path::new(&home);
    let words = ["cnn", "--home", &home, "--log-interval-ms", "20"];
    let server = crate::serve::start(&place, &words);
    let at = format!("http://{}", server.address);
    let before = key(&place, own);
    // The lock is the server's: the statement is signed and kept, and the remedy is named.
    let refused = place.run_at(own, &["key", "revoke"]).expect(9);
    let refused = refused.says("is signed, and not logged").says("--server");
    let file = refused.err.split('`').nth(1).unwrap().to_owned();
    let first = std::fs::read(place.path(&file)).unwrap();
    let (first_since, first_digest, logged) = since(&first);
    assert!(!logged);
    // Stated again, it is the same statement, which says no less; and the server logs it.
    let again = place
        .run_at(own, &["key", "revoke", "--server", &at])
        .expect(0);
    assert!(again.err.contains("states it already"), "{again:#?}");
    let kept = std::fs::read(place.path(&file)).unwrap();
    assert_eq!(since(&kept), (first_since, first_digest, true));
    // One that reaches back further is another.
    let further = ["key", "revoke", "--since", "2020-01-01", "--server", &at];
    place.run_at(own, &further).expect(0);
    let kept = std::fs::read(place.path(&file)).unwrap();
    assert!(since(&kept).0 < first_since && since(&kept).2);
    let later = ["key", "revoke", "--since", "2024-01-01", "--server", &at];
    place.run_at(own, &later).expect(0);
    assert_eq!(
        since(&std::fs::read(place.path(&file)).unwrap()),
        since(&kept)
    );

    // An expiry and a rotation as well; the server signs with the old key until it starts again.
    let expire = ["key", "expire", "--at", "2999-01-01", "--out", "e.json"];
    place
        .run_at(own, &[&expire[..], &["--server", &at]].concat())
        .expect(0);
    let rotate = ["key", "rotate", "--out", "r.json", "--server", &at];
    place.run_at(own, &rotate).expect(0);
    assert_ne!(key(&place, own), before);
    // Its new key is not the server's yet.
    let stranger = ["key", "expire", "--at", "2999-01-01", "--out", "x.json"];
    let refused = place.run_at(own, &[&stranger[..], &["--server", &at]].concat());
    refused.expect(9).says("signs with");
    let first: serde_json::Value = serde_json::from_str(&server.first).unwrap();
    policy(&place, &before, first["log"].as_str().unwrap());
    for file in ["e.json", "r.json"] {
        let shown = [
            "verify",
            "--kind",
            "key-statement",
            file,
            "--policy",
            "policy.toml",
            "--json",
        ];
        let shown = place.run(&shown).expect(0);
        let index = &shown.json_of("cli-verify-key-statement")["logged"]["index"];
        assert!(index.is_number(), "{shown:#?}");
    }
    assert_eq!(server.stop(), Some(0));
    place.run_at(own, &["log", "audit"]).expect(0);
}
