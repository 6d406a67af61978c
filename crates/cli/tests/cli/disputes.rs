//! `credence dispute`: processes, sockets and files. An operator that lies loses, a challenger that lies loses, whoever stalls loses by time, a flood harms nobody.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use credence_claim::Opened;
use credence_model::{TensorLimits, Tensors};
use credence_node::{Draws, Operator, Question, inference};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::KeyFile;
use serde_json::Value;

use crate::shared::{Place, credence, fits, four_digits, home, honest, line_of, names};

/// A process that says in its first line where it listens.
pub(crate) struct Running {
    child: Child,
    pub(crate) url: String,
    pub(crate) first: Value,
}

impl Running {
    pub(crate) fn start(place: &Place, home: &Path, arguments: &[&str]) -> Self {
        let mut child = credence(home, place.folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first).unwrap();
        // What comes later is read, so that nothing ever waits for it.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let first: Value = serde_json::from_str(&first).unwrap();
        Self {
            child,
            url: first["url"].as_str().unwrap().to_owned(),
            first,
        }
    }

    pub(crate) fn signal(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A home of its own with the models of the shared one.
pub(crate) fn home_with_models(place: &Place, name: &str) -> PathBuf {
    let own = place.path(name);
    std::fs::create_dir_all(own.join("models")).unwrap();
    for name in names(&home().join("models")) {
        let from = home().join("models").join(&name);
        std::fs::copy(from, own.join("models").join(&name)).unwrap();
    }
    own
}

/// How an operator lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Output,
}

/// Signs, by the key of `home`, an answer of the digits model with a lie in it, keeps it there and writes it to `name`.
pub(crate) fn answered(place: &Place, home: &Path, name: &str, lie: Lie) -> String {
    place.run_at(home, &["key", "show"]).expect(0);
    let key = KeyFile::at(home.join("keys/operator.pem")).read().unwrap();
    let right = Bundle::decode(honest(), BUNDLE_LEN_MAX).unwrap();
    let Opened { content, .. } = right.openings().input.clone().unwrap();
    let limits = TensorLimits { bytes_max: 1 << 24 };
    let inputs = Tensors::decode(&content, limits).unwrap();
    let file = crate::shared::model_file();
    let (model, _) =
        credence_model::Model::from_safetensors(&std::fs::read(file).unwrap()).unwrap();
    let id = model.id();
    let options = credence_exec::Options {
        threads: std::num::NonZeroUsize::MIN,
        isa: credence_exec::Isa::detect(),
    };
    let engine = credence_exec::Engine::new(std::sync::Arc::new(model), options).unwrap();
    let mut execution = engine.run(&inputs).unwrap();
    if lie == Lie::Output {
        let mut bytes = execution.outputs.encode();
        *bytes.last_mut().unwrap() ^= 1;
        execution.outputs = Tensors::decode(&bytes, limits).unwrap();
    }
    let question = Question {
        inputs,
        nonce: None,
    };
    let draws = Draws::from_system().unwrap();
    let answer = inference::issue(&Operator::new(key), id, &question, execution, &draws).unwrap();
    let bytes = answer.bundle.encode().unwrap();
    let kept = home.join("receipts");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join(format!("{}.json", answer.receipt)), &bytes).unwrap();
    std::fs::write(place.path(name), bytes).unwrap();
    answer.receipt.to_string()
}

/// A referee, an operator with its home, and a challenger's home.
struct World {
    place: Place,
    referee: Running,
    operator: PathBuf,
    challenger: PathBuf,
}

impl World {
    fn new(turn: &str) -> Self {
        let place = Place::new();
        let own = place.path("referee");
        let arguments = [
            "dispute",
            "referee",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--turn",
            turn,
        ];
        let referee = Running::start(&place, &own, &arguments);
        fits("cli-dispute-referee", &referee.first);
        let operator = home_with_models(&place, "operator");
        let challenger = home_with_models(&place, "challenger");
        Self {
            referee,
            operator,
            challenger,
            place,
        }
    }

    fn serve(&self) -> Running {
        let arguments = [
            "serve",
            "cnn",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--disputes",
            &self.referee.url,
            self.referee.first["referee"].as_str().unwrap(),
        ];
        Running::start(&self.place, &self.operator, &arguments)
    }

    fn open(&self, bundle: &str, more: &[&str]) -> crate::shared::Done {
        let arguments = [
            "dispute",
            "open",
            bundle,
            "--referee",
            &self.referee.url,
            "--out",
            "verdict.json",
        ];
        let arguments = [arguments.as_slice(), more].concat();
        self.place.run_at(&self.challenger, &arguments)
    }
}

/// A line for each message, and the verdict.
fn shown_as_json(place: &Place, home: &Path) -> Value {
    let show = ["dispute", "show", "verdict.json", "--json"];
    let out = place.run_at(home, &show).expect(0).out;
    let (said, verdict) = out.trim_end().rsplit_once('\n').unwrap();
    for line in said.lines() {
        line_of("cli-dispute-show", line);
    }
    line_of("cli-dispute", verdict)
}

#[test]
fn an_operator_that_lies_loses_and_anyone_confirms_it() {
    let world = World::new("600");
    let receipt = answered(&world.place, &world.operator, "b.json", Lie::Output);
    let server = world.serve();
    let view = world
        .open("b.json", &["--json"])
        .expect(0)
        .json_of("cli-dispute");
    assert_eq!(view["loser"], "operator");
    assert_eq!(view["shows_claim_false"], true);
    assert_eq!(view["receipt"], receipt.as_str());
    assert_eq!(view["referee"], world.referee.first["referee"]);
    assert_eq!(server.signal("-TERM"), Some(0));

    // By someone with an empty home, without a model, offline.
    let (place, empty) = (&world.place, world.place.path("empty"));
    for command in [["dispute", "verify"].as_slice(), &["verify"]] {
        let arguments = [command, &["verdict.json", "--json"]].concat();
        let again = place.run_at(&empty, &arguments).expect(0);
        assert_eq!(again.json_of("cli-dispute"), view);
    }
    let shown = place
        .run_at(&empty, &["dispute", "show", "verdict.json"])
        .expect(0);
    for words in [
        "opens the claim",
        "shows what the check reads",
        "the claim is false",
    ] {
        assert!(shown.out.contains(words), "{words}: {shown:#?}");
    }
    assert_eq!(shown_as_json(place, &empty), view);
    let key = world.referee.first["referee"].as_str().unwrap().to_owned();
    place
        .run_at(
            &empty,
            &["dispute", "verify", "verdict.json", "--referee", &key],
        )
        .expect(0);
    let other = place
        .run_at(&world.challenger, &["key", "show"])
        .expect(0)
        .out;
    place
        .run_at(
            &empty,
            &[
                "dispute",
                "verify",
                "verdict.json",
                "--referee",
                other.trim(),
            ],
        )
        .expect(6)
        .says("signed by");
    // Whoever answers in the referee's place, with another key, is asked for nothing.
    let elsewhere = ["--referee-key", other.trim(), "--anyway"];
    world.open("b.json", &elsewhere).expect(6).says(&key);
    let bytes = std::fs::read(place.path("verdict.json")).unwrap();
    for cut in [1, bytes.len() / 2] {
        place.write("cut.json", &bytes[..bytes.len() - cut]);
        place
            .run_at(&empty, &["dispute", "verify", "cut.json"])
            .expect(3);
    }
    place
        .run_at(&empty, &["dispute", "verify", "b.json"])
        .expect(3)
        .says("no verdict");
}

/// The same answer with its last token exchanged, signed again.
fn with_another_token(bundle: &Bundle, key: &credence_base::SigningKey) -> Bundle {
    let credence_receipt::Statement::Inference(inference) =
        bundle.receipt().open().unwrap().into_statement()
    else {
        panic!("the server answers with inferences")
    };
    let mut openings = bundle.openings().clone();
    let opened = openings.output.as_mut().unwrap();
    let mut output = credence_generate::Output::decode(&opened.content).unwrap();
    *output.tokens.last_mut().unwrap() ^= 1;
    opened.content = output.encode().unwrap();
    let root = credence_claim::commitment::output_root(&opened.content);
    let commitment =
        credence_claim::commitment::output_commitment(&inference.operator, &opened.salt, &root);
    let claim = credence_claim::Claim::new(credence_claim::ClaimFields {
        output: commitment,
        ..inference.claim.fields().clone()
    });
    let statement = credence_receipt::Statement::Inference(credence_receipt::Inference {
        claim: claim.unwrap(),
        ..inference
    });
    let envelope = credence_receipt::sign(&statement, key).unwrap();
    Bundle::new(envelope, openings, Vec::new()).unwrap()
}

#[test]
fn an_edited_token_of_a_language_model_loses_by_two_logits() {
    let world = World::new("600");
    let place = &world.place;
    let tiny = crate::language::tiny();
    for home in [&world.operator, &world.challenger] {
        let import = ["model", "import", tiny.to_str().unwrap(), "--name", "tiny"];
        place.run_at(home, &import).expect(0);
    }
    let arguments = [
        "serve",
        "tiny",
        "--listen",
        "127.0.0.1:0",
        "--json",
        "--disputes",
        &world.referee.url,
        world.referee.first["referee"].as_str().unwrap(),
    ];
    let server = Running::start(place, &world.operator, &arguments);
    let asked = r#"{"model":"tiny","prompt":[3,4,5],"max_tokens":5,"temperature":0}"#;
    let (_, body) = crate::auditors::ask(&server.url, "POST", "/v1/completions", asked);
    let body: Value = serde_json::from_str(&body).unwrap();
    let path = body["credence"]["bundle"].as_str().unwrap();
    let (_, told) = crate::auditors::ask(&server.url, "GET", path, "");
    let honest = Bundle::decode(told.as_bytes(), BUNDLE_LEN_MAX).unwrap();
    let key = KeyFile::at(world.operator.join("keys/operator.pem"));
    let lie = with_another_token(&honest, &key.read().unwrap());
    let kept = world.operator.join("receipts");
    for (name, bundle) in [("lie.json", &lie), ("honest.json", &honest)] {
        let bytes = bundle.encode().unwrap();
        let digest = bundle.receipt().digest();
        std::fs::write(kept.join(format!("{digest}.json")), &bytes).unwrap();
        std::fs::write(place.path(name), &bytes).unwrap();
    }
    let view = world.open("lie.json", &["--json"]).expect(0).json();
    assert_eq!(view["loser"], "operator");
    assert_eq!(view["reason"], "wrong-token");
    assert_eq!(view["shows_claim_false"], true);
    let view = world
        .open("honest.json", &["--anyway", "--json"])
        .expect(0)
        .json();
    assert_eq!(view["loser"], "challenger");
    assert_eq!(server.signal("-TERM"), Some(0));
}

#[test]
fn a_challenger_of_what_is_right_loses() {
    let world = World::new("600");
    answered(&world.place, &world.operator, "b.json", Lie::None);
    world
        .open("b.json", &[])
        .expect(2)
        .says("nothing to dispute");
    let server = world.serve();
    let lost = world.open("b.json", &["--anyway", "--json"]).expect(0);
    let view = lost.json_of("cli-dispute");
    assert_eq!(view["loser"], "challenger");
    assert_eq!(view["shows_claim_false"], false);
    assert_eq!(server.signal("-INT"), Some(0));
}

#[test]
fn an_operator_that_is_silent_loses_by_time_and_that_shows_nothing_else() {
    let world = World::new("2");
    answered(&world.place, &world.operator, "b.json", Lie::Output);
    let view = world
        .open("b.json", &["--json"])
        .expect(0)
        .json_of("cli-dispute");
    assert_eq!(view["loser"], "operator");
    assert_eq!(view["reason"], "timeout");
    assert_eq!(view["shows_claim_false"], false);
    assert_eq!(view["messages"], 1);
}

#[test]
fn a_referee_that_was_killed_goes_on_and_so_does_the_dispute() {
    let world = World::new("600");
    answered(&world.place, &world.operator, "b.json", Lie::Output);
    // The challenger files and waits for an operator that is not there yet.
    let mut waiting = credence(&world.challenger, world.place.folder.path())
        .args(["dispute", "open", "b.json", "--referee", &world.referee.url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("is under way") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0);
    }
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let World {
        place,
        referee,
        operator,
        challenger,
    } = world;
    let address = referee.url.strip_prefix("http://").unwrap().to_owned();
    referee.signal("-KILL");
    let own = place.path("referee");
    let arguments = ["dispute", "referee", "--listen", &address, "--json"];
    let referee = Running::start(&place, &own, &arguments);
    let world = World {
        place,
        referee,
        operator,
        challenger,
    };
    let server = world.serve();
    let done = world.open("b.json", &["--json"]).expect(0);
    assert!(done.err.contains("going on with a dispute"), "{done:#?}");
    assert_eq!(done.json()["loser"], "operator");
    assert_eq!(names(&own.join("referee/disputes")).len(), 1);
    assert_eq!(server.signal("-TERM"), Some(0));
    assert_eq!(world.referee.signal("-TERM"), Some(0));
}

#[test]
fn a_flood_at_the_referee_harms_nobody() {
    let world = World::new("600");
    answered(&world.place, &world.operator, "b.json", Lie::Output);
    let server = world.serve();
    let address = world
        .referee
        .url
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut held = Vec::new();
    for _ in 0..24 {
        let mut socket = TcpStream::connect(&address).unwrap();
        let head = "POST /v1/disputes HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n";
        socket.write_all(head.as_bytes()).unwrap();
        // Whoever is refused is cut off in the middle.
        drop(socket.write_all(&vec![0; 7_000_000]));
        held.push(socket);
    }
    let view = world.open("b.json", &["--json"]).expect(0).json();
    assert_eq!(view["loser"], "operator");
    let status = format!("/proc/{}/status", world.referee.child.id());
    let status = std::fs::read_to_string(status).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak < 400_000, "{peak} kB at most");
    drop(held);
    assert_eq!(server.signal("-TERM"), Some(0));
}

#[test]
fn what_cannot_be_disputed_is_refused_at_once() {
    let world = World::new("600");
    let (place, referee) = (&world.place, world.referee.url.clone());
    place.write("x.json", four_digits().as_bytes());
    answered(place, &world.operator, "b.json", Lie::Output);
    let open = |home: &Path, bundle: &str, referee: &str| {
        place.run_at(home, &["dispute", "open", bundle, "--referee", referee])
    };
    open(&world.operator, "b.json", &referee)
        .expect(2)
        .says("two parties");
    open(&place.path("empty"), "b.json", &referee).expect(7);
    open(&world.challenger, "none.json", &referee).expect(9);
    open(&world.challenger, "b.json", "nowhere").expect(2);
    open(&world.challenger, "b.json", "http://127.0.0.1:1")
        .expect(9)
        .says("asked in vain");
    let bundle = Bundle::decode(
        &std::fs::read(place.path("b.json")).unwrap(),
        BUNDLE_LEN_MAX,
    );
    let bare = Bundle::new(
        bundle.unwrap().receipt().clone(),
        credence_claim::Openings::default(),
        Vec::new(),
    );
    place.write("bare.json", &bare.unwrap().encode().unwrap());
    open(&world.challenger, "bare.json", &referee).expect(7);
}
