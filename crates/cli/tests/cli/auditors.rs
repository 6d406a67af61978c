//! `credence auditor` and `credence confidence`: an operator with one false answer among honest ones, seen by whoever has the model, by whoever has not, and by who asks itself.

use std::path::Path;

use credence_receipt::{AuditOutcome, BUNDLE_LEN_MAX, Bundle, Kept, Statement};
use serde_json::{Value, json};

use crate::disputes::{Lie, Running, answered, home_with_models};
use crate::shared::{Done, Place, fits, four_digits, line_of, names};

/// An operator that serves and logs, with three honest answers and one that is false.
struct World {
    place: Place,
    server: Running,
    log: String,
    log_key: String,
    operator: String,
}

/// Asks with a head and gives the value of a header and the body.
pub(crate) fn ask(url: &str, method: &str, path: &str, body: &str) -> (String, String) {
    use std::io::{Read as _, Write as _};
    let address = url.strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

impl World {
    fn new(honest: usize, lies: usize) -> Self {
        let place = Place::new();
        let home = home_with_models(&place, "operator");
        for number in 0..lies {
            answered(&place, &home, &format!("lie{number}.json"), Lie::Output);
        }
        let arguments = [
            "serve",
            "cnn",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--log-wait",
            "--log-interval-ms",
            "10",
        ];
        let server = Running::start(&place, &home, &arguments);
        let mut keys = String::new();
        let mut add = |path: &str| {
            let (digest, key) = path
                .strip_prefix("/v1/receipts/")
                .unwrap()
                .split_once("?key=")
                .unwrap();
            keys.push_str(&format!("{digest} {key}\n"));
        };
        for _ in 0..honest {
            let (head, _) = ask(&server.url, "POST", "/v2/models/cnn/infer", &four_digits());
            let path = head
                .lines()
                .find_map(|line| line.strip_prefix("credence-bundle: "));
            add(path.unwrap());
        }
        for number in 0..lies {
            let bytes = std::fs::read(place.path(&format!("lie{number}.json"))).unwrap();
            let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap();
            let path = Kept::of(&bundle).path();
            // Whoever asks for a receipt that is in no log has it logged.
            for _ in 0..500 {
                let (_, body) = ask(&server.url, "GET", &path, "");
                let json: Value = serde_json::from_str(&body).unwrap();
                if json.get("log").is_some() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            add(&path);
        }
        place.write("keys.txt", keys.as_bytes());
        let log = home.join("log").to_str().unwrap().to_owned();
        let log_key = server.first["log"].as_str().unwrap().to_owned();
        let operator = server.first["operator"].as_str().unwrap().to_owned();
        Self {
            place,
            server,
            log,
            log_key,
            operator,
        }
    }

    fn audit(&self, home: &Path, more: &[&str]) -> Done {
        let arguments = [
            "auditor",
            "--once",
            "--operator",
            &self.server.url,
            "--operator-key",
            &self.operator,
            "--log",
            &self.log,
            &self.log_key,
        ];
        let arguments = [arguments.as_slice(), more].concat();
        self.place.run_at(home, &arguments)
    }

    fn board(&self, home: &Path) -> Value {
        let bytes = std::fs::read(home.join("auditor/board.json")).unwrap();
        let board: Value = serde_json::from_slice(&bytes).unwrap();
        fits("auditor-board", &board);
        board["operators"][&self.operator].clone()
    }
}

const ALL: [&str; 4] = ["--rate", "1", "--keys", "keys.txt"];

#[test]
fn an_auditor_with_the_model_finds_the_lie_signs_it_and_keeps_score() {
    let world = World::new(3, 1);
    let home = home_with_models(&world.place, "auditor");
    let done = world.audit(&home, &ALL).expect(8);
    assert!(done.out.contains("FALSE: receipt"), "{done:#?}");
    let drawn = &world.board(&home)["drawn"];
    assert_eq!(drawn["replayed"], 3);
    assert_eq!(drawn["refuted"], 1);

    // Each audit is a receipt of its own, in this home's log.
    let audits = home.join("auditor/audits");
    let mut outcomes = Vec::new();
    let files = names(&audits).into_iter();
    for name in files.filter(|name| name.ends_with(".json")) {
        let logged = audits.join(name.replace(".json", ".logged"));
        assert!(logged.exists(), "{name} is in the log, and marked so");
        let bytes = std::fs::read(audits.join(&name)).unwrap();
        let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap();
        let signed = bundle.receipt().open().unwrap().into_statement();
        let Statement::Audit(audit) = signed else {
            panic!("{name}")
        };
        assert_eq!(format!("{}.json", audit.receipt), name);
        outcomes.push(audit.outcome);
        let digest = bundle.receipt().digest().to_string();
        world
            .place
            .run_at(&home, &["log", "inclusion", &digest])
            .expect(0);
    }
    let false_ones = outcomes.iter().filter(|o| **o == AuditOutcome::Refuted);
    assert_eq!((outcomes.len(), false_ones.count()), (4, 1));

    // Nothing is new, so nothing is audited again.
    world.audit(&home, &ALL).expect(0);
    assert_eq!(world.board(&home)["drawn"]["replayed"], 3);

    let said = world
        .place
        .run_at(&home, &["confidence", &world.operator, "--json"])
        .expect(0)
        .json_of("cli-confidence");
    let settled = &said["operator"]["drawn"]["settled"];
    assert_eq!(settled["of"], 4);
    assert_eq!(settled["wrong"], 1);
    // Clopper–Pearson: 1 of 4.
    assert_eq!(settled["at_95_ppm"], 751_396);
    assert_eq!(world.server.signal("-TERM"), Some(0));
}

#[test]
fn an_auditor_without_the_model_has_cells_opened_and_counts_silence() {
    let world = World::new(2, 0);
    let home = world.place.path("auditor");
    let more = [&ALL[..], &["--no-log", "--cells", "16"]].concat();
    world.audit(&home, &more).expect(0);
    let drawn = world.board(&home)["drawn"].clone();
    assert_eq!(drawn["spot_checked"], 2);
    assert_eq!(drawn["replayed"], 0);

    // The same log, and an operator that does not answer: by a new auditor.
    let silent = world.place.path("silent");
    let World {
        place,
        server,
        log,
        log_key,
        operator,
    } = world;
    assert_eq!(server.signal("-TERM"), Some(0));
    let arguments = [
        "auditor",
        "--once",
        "--no-log",
        "--operator",
        "http://127.0.0.1:1",
        "--operator-key",
        &operator,
        "--log",
        &log,
        &log_key,
    ];
    // Once is chance: it is asked again.
    let board = || {
        let bytes = std::fs::read(silent.join("auditor/board.json")).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let arguments = [arguments.as_slice(), &ALL].concat();
    place.run_at(&silent, &arguments).expect(0);
    assert_eq!(board()["pending"].as_array().unwrap().len(), 2);
    assert_eq!(board()["nobodys"]["drawn"]["unanswered"], 0);
    // With no patience it counts, and to nobody: the key of an answer shows not whose it is.
    std::fs::remove_dir_all(&silent).unwrap();
    let hasty = [arguments.as_slice(), &["--tries", "1", "--patience", "0"]].concat();
    place.run_at(&silent, &hasty).expect(0);
    assert_eq!(board()["nobodys"]["drawn"]["unanswered"], 2);
    assert!(board()["operators"].as_object().unwrap().is_empty());
}

#[test]
fn what_is_not_drawn_or_not_ours_to_see_is_not_audited() {
    let world = World::new(2, 1);
    let home = home_with_models(&world.place, "auditor");
    let none = ["--rate", "0", "--keys", "keys.txt", "--no-log"];
    world.audit(&home, &none).expect(0);
    assert!(names(&home.join("auditor/audits")).is_empty());
    let blind = home_with_models(&world.place, "blind");
    let done = world
        .audit(&blind, &["--rate", "1", "--no-log", "--json"])
        .expect(0);
    let looked = &done.lines_of("cli-auditor")[0];
    assert_eq!(looked["event"], "looked");
    assert_eq!(
        (&looked["drawn"], &looked["unseen"]),
        (&json!(3), &json!(3))
    );
    // A folder of bundles serves as well as keys.
    std::fs::create_dir(world.place.path("seen")).unwrap();
    std::fs::copy(
        world.place.path("lie0.json"),
        world.place.path("seen/x.json"),
    )
    .unwrap();
    let seeing = home_with_models(&world.place, "seeing");
    let bundles = ["--rate", "1", "--no-log", "--bundles", "seen", "--json"];
    let told = world.audit(&seeing, &bundles).expect(8);
    let told = told.lines_of("cli-auditor");
    assert!(told.iter().any(|event| event["outcome"] == "refuted"));
    world.audit(&home, &["--rate", "2"]).expect_usage();
    let place = &world.place;
    place
        .run_at(&home, &["auditor", "--operator", "http://127.0.0.1:1"])
        .expect(2)
        .says("nothing to audit");
}

#[test]
fn honeypots_are_asked_as_anyone_asks_and_run_again() {
    let world = World::new(0, 0);
    let home = home_with_models(&world.place, "auditor");
    let body: Value = serde_json::from_str(&four_digits()).unwrap();
    let (_, answer) = ask(
        &world.server.url,
        "POST",
        "/v2/models/cnn/infer",
        &four_digits(),
    );
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let output = &answer["outputs"][0];
    let name = output["name"].as_str().unwrap();
    let mut line = json!({"path": "/v2/models/cnn/infer", "body": body});
    line["expect"] = json!({name: output["data"]});
    let write = |line: &Value| {
        let text = line.to_string();
        world.place.write("prompts.jsonl", text.as_bytes());
    };
    write(&line);
    let arguments = [
        "auditor",
        "--once",
        "--no-log",
        "--operator",
        &world.server.url,
        "--operator-key",
        &world.operator,
        "--prompts",
        "prompts.jsonl",
        "--json",
    ];
    let told = world.place.run_at(&home, &arguments).expect(0);
    assert_eq!(told.lines_of("cli-auditor")[0]["honeypot"], true);
    let prompts = std::fs::read_to_string(world.place.path("prompts.jsonl"));
    line_of("auditor-prompt", &prompts.unwrap());
    assert_eq!(world.board(&home)["honeypots"]["replayed"], 1);
    // An answer that is right, and not the known one, has not passed.
    line["expect"] = json!({name: []});
    write(&line);
    world.place.run_at(&home, &arguments).expect(0);
    let board = world.board(&home);
    assert_eq!(board["honeypots"]["replayed"], 1);
    assert_eq!(board["honeypots"]["failed"], 1);
    assert_eq!(board["honeypots"]["unanswered"], 0);
    world.place.write("prompts.jsonl", b"{}");
    world.place.run_at(&home, &arguments).expect(3);
    assert_eq!(world.server.signal("-TERM"), Some(0));
}

#[test]
fn confidence_gives_numbers_formulas_and_assumptions() {
    let place = Place::new();
    let bundle = place.write("b.json", crate::shared::honest());
    let said = place
        .run(&["confidence", bundle, "--json"])
        .expect(0)
        .json_of("cli-confidence");
    let errors = said["receipt"]["errors"].as_array().unwrap();
    assert_eq!(errors[1]["name"], "binding error");
    assert!(
        said["receipt"]["words"]
            .as_str()
            .unwrap()
            .contains("at most 2^-")
    );
    let key = place.run(&["key", "show"]).expect(0).out;
    place
        .run_at(&place.path("empty"), &["confidence", key.trim()])
        .expect(7)
        .says("has nothing of operator");
    place.run(&["confidence", "none.json"]).expect(9);
}

/// What `audit --out` writes is a bundle as any other: its spot check counts if the draws are named.
#[test]
fn an_audit_that_was_written_down_gives_its_numbers() {
    let world = World::new(1, 0);
    let keys = std::fs::read_to_string(world.place.path("keys.txt")).unwrap();
    let (digest, key) = keys.trim().split_once(' ').unwrap();
    let path = format!("/v1/receipts/{digest}?key={key}");
    let (_, bundle) = ask(&world.server.url, "GET", &path, "");
    world.place.write("answer.json", bundle.as_bytes());
    let place = &world.place;
    let home = place.path("visitor");
    let drawn = "ab".repeat(32);
    let audit = [
        "audit",
        "answer.json",
        "--operator",
        &world.server.url,
        "--cells",
        "16",
        "--challenge",
        &drawn,
        "--out",
        "audited.json",
    ];
    let done = place.run_at(&home, &audit).expect(0);
    for text in [
        "f measured on SmolLM2-135M",
        "f = 95.0000 %",
        "one weight changed",
    ] {
        assert!(done.out.contains(text), "{text}: {done:#?}");
    }
    let own = ["confidence", "audited.json", "--json"];
    place.run_at(&home, &own).expect(3);
    let named = ["--challenge", &drawn, "--drawn-cells", "16"];
    let said = place.run_at(&home, &[&own[..], &named].concat()).expect(0);
    let basis = said.json_of("cli-confidence")["receipt"]["basis"].to_string();
    assert!(basis.contains("spot"), "{basis}");
    // Other draws, or another number of them, are not what was opened.
    let others = ["--challenge", &drawn, "--drawn-cells", "17"];
    place.run_at(&home, &[&own[..], &others].concat()).expect(3);
    let zero = "00".repeat(32);
    let others = ["--challenge", &zero, "--drawn-cells", "16"];
    assert_ne!(
        place.run_at(&home, &[&own[..], &others].concat()).code,
        Some(0)
    );
    assert_eq!(world.server.signal("-TERM"), Some(0));
}

#[test]
fn a_rate_of_audits_gives_the_chance_to_be_found_and_the_gain_it_takes() {
    let place = Place::new();
    let bundle = place.write("b.json", crate::shared::honest());
    let audits = [
        "--audit-rate",
        "0.05",
        "--wrong",
        "100",
        "--stake",
        "1000",
        "--json",
    ];
    let with = place
        .run(&[&["confidence", bundle], &audits[..]].concat())
        .expect(0)
        .json_of("cli-confidence");
    let found = &with["detection"];
    // 0.95^100 = 0.005920529…, rounded up; the chance to find one, rounded down.
    assert_eq!(found["escape_ppm"], 5921);
    assert_eq!(found["found_ppm"], 49_999);
    assert_eq!(found["gain"], 10);
    let spot = [
        "--audit-rate",
        "1",
        "--cells",
        "64",
        "--wrong-share",
        "0.5",
        "--json",
    ];
    let spot = place
        .run(&[&["confidence", bundle], &spot[..]].concat())
        .expect(0)
        .json();
    assert_eq!(spot["detection"]["miss_bits"], 64);
    let words = place
        .run(&[
            "confidence",
            bundle,
            "--audit-rate",
            "0.05",
            "--stake",
            "1000",
        ])
        .expect(0);
    for text in [
        "soundness error",
        "binding error",
        "(1 − d)^n",
        "provided",
        "S·(1 − (1 − d)^n) / (n·(1 − d))",
    ] {
        assert!(words.out.contains(text), "{text}: {words:#?}");
    }
    place.run(&["confidence", bundle, "--stake", "5"]).expect(2);
    place
        .run(&["confidence", bundle, "--audit-rate", "1.5"])
        .expect_usage();
}
