//! Logs, witnesses and audits, as whoever runs them and whoever checks them sees them: real processes, real sockets.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use credence_base::SigningKey;
use credence_claim::Openings;
use credence_log::{Algorithm, Checkpoint, Hash, KeyName, Signer};
use credence_receipt::{Bundle, Equivocation, Statement, sign};
use serde_json::Value;

use crate::serve::{Server, start};
use crate::shared::{Done, Place, credence, four_digits, home, line_of};

/// Asks for an answer; gives the digest of its receipt, and the bundle's file.
pub(crate) fn answer<'a>(server: &Server, place: &Place, file: &'a str) -> (String, &'a str) {
    let (head, body) = server.ask("POST", "/v2/models/cnn/infer", &four_digits());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{body}");
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().to_owned()
    };
    let (_, bundle) = server.ask("GET", &header("credence-bundle: "), "");
    (
        header("credence-receipt: "),
        place.write(file, bundle.as_bytes()),
    )
}

/// A policy that asks for a proof of that log, and cosignatures.
pub(crate) fn policy(log: &str, witness: Option<&str>) -> String {
    let witnesses = witness.map_or(String::new(), |key| {
        format!("witnesses = [\"{key}\"]\nquorum = 1\n")
    });
    format!("require = [\"signed\"]\n[log]\nlogs = [\"{log}\"]\n{witnesses}required = true\n")
}

/// A public key that signed nothing here: RFC 8032, section 7.1, test 1.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// What a command printed.
pub(crate) fn prints(done: &Done, text: &str) {
    assert!(done.out.contains(text), "`{text}` is not in {}", done.out);
}

/// A home with the model of the shared one and nothing else: a log's key has one log, so tests do not share it.
pub(crate) fn own_home(place: &Place) -> String {
    let own = place.path("own-home");
    let models = own.join("models");
    std::fs::create_dir_all(&models).unwrap();
    let mut folders = vec![(home().join("models"), models)];
    while let Some((from, to)) = folders.pop() {
        for entry in std::fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir(&to).unwrap();
                folders.push((entry.path(), to));
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    own.to_str().unwrap().to_owned()
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn receipts_are_logged_proved_and_audited() {
    let place = Place::new();
    let own = own_home(&place);
    let folder = place.path("log");
    let folder = folder.to_str().unwrap();
    let fast = ["--log-wait", "--log-interval-ms", "20"];
    let words = ["cnn", "--home", &own, "--no-keep", "--log", folder];
    let server = start(&place, &[&words, &fast[..]].concat());
    let first: Value = serde_json::from_str(&server.first).unwrap();
    let key = first["log"].as_str().unwrap();
    let (digest, bundle) = answer(&server, &place, "one.json");
    let (_, other) = answer(&server, &place, "two.json");

    let demand = place.write("policy.toml", policy(key, None).as_bytes());
    let accepted = place.run(&["verify", bundle, "--policy", demand]).expect(0);
    prints(&accepted, "is entry 0 of log");
    let foreign = key.replacen("credence", "elsewhere", 1);
    let foreign = place.write("foreign.toml", policy(&foreign, None).as_bytes());
    place.run(&["verify", other, "--policy", foreign]).expect(2);

    // The log's own files, read by whoever has its key.
    let files = format!("{folder}/log");
    let read = [files.as_str(), "--key", key];
    let run = |words: &[&str]| place.run(&[&["log"], words, &read[..]].concat());
    prints(&run(&["audit"]).expect(0), "all 2 entries");
    prints(&run(&["tail", "-n", "1"]).expect(0), "1  ");
    prints(
        &run(&["consistency", "1"]).expect(0),
        "are the beginning of 2",
    );
    let proof = run(&["inclusion", &digest]).expect(0);
    assert!(proof.out.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n"));
    run(&["inclusion", &"0".repeat(64)]).expect(7);
    let json = |words: &[&str], schema: &str| {
        let done = run(&[words, &["--json"]].concat()).expect(0);
        done.json_of(schema)
    };
    assert_eq!(json(&["show"], "cli-log-show")["size"], 2);
    assert_eq!(json(&["audit"], "cli-log-audit")["entries"], 2);
    assert_eq!(json(&["tail", "-n", "1"], "cli-log-tail")["index"], 1);
    assert_eq!(json(&["consistency", "1"], "cli-log-consistency")["old"], 1);
    let proved = json(&["inclusion", &digest], "cli-log-inclusion");
    assert_eq!(proved["proof"], proof.out.as_str());
    place.run(&["log", "show", &files]).expect(2).says("--key");

    // One byte of one tile, and the audit names it.
    let tile = format!("{files}/tile/0/000.p/2");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    run(&["audit"]).expect(5).says("tile/0/000.p/2");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn answers_are_audited_without_the_model() {
    let place = Place::new();
    let server = start(&place, &["cnn", "--no-keep", "--no-log"]);
    let (_, bundle) = answer(&server, &place, "one.json");
    let operator = format!("http://{}", server.address);
    // Another home, which has no model.
    let own = place.path("own");
    let audit = ["audit", bundle, "--operator", &operator, "--cells", "16"];
    for _ in 0..2 {
        let audited = place.run_at(&own, &audit).expect(0);
        prints(&audited, "drawn by their work: 16");
    }
    assert_eq!(std::fs::read_dir(own.join("cards")).unwrap().count(), 1);
    let json = place.run_at(&own, &[&audit[..], &["--json"]].concat());
    assert_eq!(json.expect(0).json_of("cli-verify")["accepted"], true);

    // What an audit kept is checked again by its challenge, and by no other.
    let kept = [&audit[..], &["--out", "audited.json"]].concat();
    let told = place.run_at(&own, &kept).expect(0).err;
    let (_, challenge) = told.split_once("--challenge ").unwrap();
    let challenge = challenge.split(' ').next().unwrap().to_owned();
    let again = |challenge: &str, cells: &str| {
        let words = ["verify", "audited.json", "--require", "spot", "--challenge"];
        place.run_at(&own, &[&words[..], &[challenge, "--cells", cells]].concat())
    };
    prints(&again(&challenge, "16").expect(0), "spot-checked");
    // Fewer than were asked for, and more: the operator may not choose how many.
    again(&challenge, "17").expect(3);
    again(&challenge, "15").expect(3);
    again(&"ab".repeat(32), "16").expect(3);

    // Whoever has no openings is not entitled to more.
    let text = std::fs::read(place.path("one.json")).unwrap();
    let mut public: Value = serde_json::from_slice(&text).unwrap();
    public.as_object_mut().unwrap().remove("openings");
    let public = place.write("public.json", public.to_string().as_bytes());
    let audit = ["audit", public, "--operator", &operator, "--json"];
    let refused = place.run_at(&own, &audit).expect(7).says("openings");
    refused.json_of("cli-verify");
    // An operator that answers with anything else has shown nothing.
    let nobody = ["audit", bundle, "--operator", "http://127.0.0.1:1"];
    place.run_at(&own, &nobody).expect(9).says("opens nothing");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn evidence_of_a_spot_check_comes_with_the_receipt() {
    let place = Place::new();
    let server = start(&place, &["cnn", "--no-keep", "--no-log", "--spot"]);
    let (_, bundle) = answer(&server, &place, "one.json");
    let own = place.path("own");
    let verify = ["verify", bundle, "--require", "spot"];
    let verified = place.run_at(&own, &verify).expect(0);
    prints(&verified, "chance to miss that share: 80 bits");
    assert_eq!(server.stop(), Some(0));
}

/// Audits by draws from what the witness signed: the same for whoever has the bundle, and of nobody's choosing here.
fn draws_from_cosignatures(
    place: &Place,
    server: &Server,
    bundle: &str,
    (key, witness): (&str, &str),
) {
    let own = place.path("own");
    let operator = format!("http://{}", server.address);
    let demand = policy(key, Some(witness)).replace("\"signed\"", "\"spot\"");
    let demand = place.write("spot.toml", demand.as_bytes());
    let words = [
        "--challenge",
        "checkpoint",
        "--policy",
        demand,
        "--cells",
        "16",
    ];
    let audit = [
        "audit",
        bundle,
        "--operator",
        &operator,
        "--out",
        "drawn.json",
    ];
    place.run_at(&own, &[&audit[..], &words].concat()).expect(0);
    let again = |more: &[&str]| place.run_at(&own, &[&["verify", "drawn.json"], more].concat());
    prints(&again(&words).expect(0), "spot-checked");
    let other = [&words[..5], &["17"]].concat();
    again(&other).expect(3);
    let random = "ab".repeat(32);
    again(&["--challenge", &random, "--policy", demand, "--cells", "16"]).expect(3);
    let unnamed = [
        "audit",
        bundle,
        "--operator",
        &operator,
        "--challenge",
        "checkpoint",
    ];
    place.run_at(&own, &unnamed).expect(2).says("policy");
    let nobody = policy(key, None).replace("\"signed\"", "\"spot\"");
    let nobody = place.write("nobody.toml", nobody.as_bytes());
    let lonely = [&unnamed[..], &["--policy", nobody]].concat();
    place.run_at(&own, &lonely).expect(2).says("no witness");
}

#[test]
fn proofs_are_by_checkpoints_that_a_witness_cosigned() {
    let place = Place::new();
    let own = own_home(&place);
    let at_own = |words: &[&str]| place.run_at(std::path::Path::new(&own), words);
    let key = at_own(&["log", "init"]).expect(0);
    // Another place under the same key would be another history.
    let elsewhere = place.path("elsewhere");
    let words = ["serve", "cnn", "--no-keep", "--listen", "127.0.0.1:0"];
    let words = [&words[..], &["--log", elsewhere.to_str().unwrap()]].concat();
    at_own(&words).expect(9).says("would be a fork");
    let key = key.out.trim().to_owned();
    let init = at_own(&["log", "init", "--json"]).expect(0);
    assert_eq!(init.json_of("cli-log-init")["key"], key.as_str());
    let config = format!(
        "name = \"w.test/1\"\nkey = \"w.pem\"\nstate = \"state\"\nlisten = \"127.0.0.1:0\"\nlogs = [\"{key}\"]\n"
    );
    place.write("w.toml", config.as_bytes());
    let mut child = credence(home(), place.folder.path())
        .args(["witness", "w.toml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    let events = BufReader::new(child.stdout.take().unwrap()).lines();
    let witnessing = Running(child);
    let (mut witness, mut address) = (None, None);
    for line in told.lines() {
        let line = line.unwrap();
        if let Some((_, key)) = line.split_once("the witness's key is ") {
            witness = Some(key.trim().to_owned());
        }
        if let Some((_, at)) = line.split_once("listening on ") {
            address = Some(at.trim().to_owned());
            break;
        }
    }
    let (witness, address) = (witness.unwrap(), address.unwrap());

    let words = [
        "cnn",
        "--home",
        &own,
        "--no-keep",
        "--log-wait",
        "--log-interval-ms",
        "20",
    ];
    let server = start(
        &place,
        &[&words[..], &["--witness", &witness, &address]].concat(),
    );
    let (_, bundle) = answer(&server, &place, "one.json");
    let demand = place.write("policy.toml", policy(&key, Some(&witness)).as_bytes());
    let accepted = place.run(&["verify", bundle, "--policy", demand]).expect(0);
    prints(&accepted, "1 witnesses saw that checkpoint");
    let mut told = events.map(|line| line_of("cli-witness", &line.unwrap()));
    assert!(told.any(|event| event["event"] == "cosigned"));

    draws_from_cosignatures(&place, &server, bundle, (&key, &witness));
    assert_eq!(server.stop(), Some(0));
    let words = ["log", "serve", "--listen", "127.0.0.1:0", "--json"];
    let serving = crate::disputes::Running::start(&place, std::path::Path::new(&own), &words);
    crate::shared::fits("cli-log-serve", &serving.first);
    let audit = ["log", "audit", &serving.url, "--key", &key];
    prints(&place.run(&audit).expect(0), "entries");
    assert_eq!(serving.signal("-TERM"), Some(0));
    // Not the witness's own doing: it goes on until it is told to stop.
    let id = witnessing.0.id().to_string();
    let stopped = Command::new("kill").args(["-0", &id]).status().unwrap();
    assert!(stopped.success());
}

#[test]
fn evidence_in_a_file_is_confirmed_by_anyone() {
    use credence_log::frontier::Frontier;
    use credence_log::proof::{Plan, TileSet};
    let place = Place::new();
    let name = KeyName::new("log.test/1").unwrap();
    let log = Signer::new(
        name.clone(),
        Algorithm::Ed25519,
        SigningKey::from_seed(&[1; 32]),
    );
    let leaf = |byte: u8| Hash::from_bytes([byte; 32]);
    let mut edge = credence_log::Edge::new();
    let mut five = Frontier::new();
    for byte in 0..9 {
        edge.append(leaf(byte)).unwrap();
        if byte < 5 {
            five.append(leaf(byte)).unwrap();
        }
    }
    let sign = |size, root| {
        let checkpoint = Checkpoint::new(&name, size, root).unwrap();
        checkpoint.sign(&log).unwrap()
    };
    let (smaller, larger) = (sign(5, leaf(99)), sign(9, edge.root()));
    let mut tiles = TileSet::new();
    tiles.extend(edge.take_tiles());
    let proof = Plan::consistency(5, 9).unwrap().make(&tiles).unwrap();
    let found =
        credence_witness::Evidence::check(log.verifier(), &smaller, &larger, five.root(), &proof);
    let text = found.unwrap().encode();
    let file = place.write("fork.evidence", text.as_bytes());
    let done = place.run(&["verify", "--kind", "evidence", file]).expect(0);
    prints(&done, "of which one is false");
    let json = place
        .run(&["verify", "--kind", "evidence", file, "--json"])
        .expect(0);
    let json = json.json_of("cli-verify-evidence");
    assert_eq!(
        (&json["smaller"]["size"], &json["larger"]["size"]),
        (&5.into(), &9.into())
    );
    place
        .run(&["verify", file])
        .expect(6)
        .says("--kind evidence");
    let changed = text.replacen("\n9\n", "\n8\n", 1);
    let file = place.write("changed.evidence", changed.as_bytes());
    place
        .run(&["verify", "--kind", "evidence", file])
        .expect(3)
        .says("shows nothing");
}

/// Not as an answer, whatever is demanded; and no demand on answers is passed over.
fn never_as_an_answer(place: &Place, lie: &str) {
    let as_answer = place.run(&["verify", lie, "--json"]).expect(6);
    assert_eq!(as_answer.json_of("cli-verify")["accepted"], false);
    place
        .run(&["verify", lie])
        .expect(6)
        .says("--kind equivocation");
    let nonce = "ab".repeat(32);
    for demand in [
        ["--policy", "none.toml"],
        ["--model", "cnn"],
        ["--require", "signed"],
        ["--operator", PUBLIC_KEY],
        ["--nonce", &nonce],
        ["--max-age", "1"],
        ["--min-bits", "100"],
        ["--weights", "none.json"],
        ["--stream", "none.sse"],
        ["--key-statement", "none.json"],
    ] {
        let words = [
            "verify",
            "--kind",
            "equivocation",
            lie,
            demand[0],
            demand[1],
        ];
        place.run(&words).expect(2).says(demand[0]);
    }
}

#[test]
fn a_logs_two_truths_are_confirmed_by_anyone() {
    let place = Place::new();
    let seeded = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let name = KeyName::new("log.test/1").unwrap();
    let log = Signer::new(name.clone(), Algorithm::Ed25519, seeded(1));
    let checkpoint = |root: u8, by: &Signer| {
        let checkpoint = Checkpoint::new(&name, 5, Hash::from_bytes([root; 32])).unwrap();
        checkpoint.sign(by).unwrap().encode()
    };
    let bundle = |second: String| {
        let statement = Statement::Equivocation(Equivocation {
            operator: seeded(2).public_key(),
            log: log.verifier().to_string(),
            first: checkpoint(3, &log),
            second,
            time_unix_s: 1_700_000_000,
        });
        let envelope = sign(&statement, &seeded(2)).unwrap();
        let bundle = Bundle::new(envelope, Openings::default(), Vec::new()).unwrap();
        bundle.encode().unwrap()
    };
    let lie = place.write("lie.json", &bundle(checkpoint(4, &log)));
    prints(
        &place
            .run(&["verify", "--kind", "equivocation", lie])
            .expect(0),
        "a log said two things",
    );
    place
        .run(&["verify", "--kind", "equivocation", lie, "--json"])
        .expect(0)
        .json_of("cli-verify-equivocation");
    never_as_an_answer(&place, lie);
    // The slanderer: one truth told twice, and a checkpoint that the log did not sign.
    let once = place.write("once.json", &bundle(checkpoint(3, &log)));
    assert_ne!(
        place.run(&["verify", "--kind", "equivocation", once]).code,
        Some(0)
    );
    let other = Signer::new(name.clone(), Algorithm::Ed25519, seeded(9));
    let forged = place.write("forged.json", &bundle(checkpoint(4, &other)));
    assert_ne!(
        place
            .run(&["verify", "--kind", "equivocation", forged])
            .code,
        Some(0)
    );
}
