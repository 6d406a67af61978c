//! Every way in which `verify` refuses, with its exit code, and those of the other commands.

use credence_base::{PublicKey, SigningKey};
use credence_claim::{Opened, Openings};
use credence_exec::{Execution, Isa, Options};
use credence_hub::Hub;
use credence_model::{Elements, Tensor, TensorLimits, Tensors};
use credence_node::inference::issue;
use credence_node::{Draws, Hosted, Operator, Question, Service};
use credence_receipt::Bundle;
use credence_store::MemoryReceipts;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::shared::{Place, bundle, four_digits, home, honest, model_file};

/// An archive of one array of floats, as numpy writes it.
fn npz(name: &str, shape: &str, cells: &[f32]) -> Vec<u8> {
    use std::io::Write as _;
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.start_file(format!("{name}.npy"), options).unwrap();
    for part in [&b"\x93NUMPY\x01\x00"[..], &len, header.as_bytes()] {
        writer.write_all(part).unwrap();
    }
    for cell in cells {
        writer.write_all(&cell.to_le_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn encoded(bundle: &Bundle) -> Vec<u8> {
    bundle.encode().unwrap()
}

fn with(edit: impl Fn(&mut Openings)) -> Vec<u8> {
    let honest = bundle();
    let mut openings = honest.openings().clone();
    edit(&mut openings);
    encoded(&Bundle::new(honest.receipt().clone(), openings, Vec::new()).unwrap())
}

fn flip(content: &mut [u8]) {
    *content.last_mut().unwrap() ^= 1;
}

/// A bundle that some operator signed over an answer that `edit` made of the honest one.
fn signed_lie(edit: impl Fn(Execution) -> Execution) -> Vec<u8> {
    let loaded = Hub::load_file(&model_file()).unwrap();
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let hosted = Hosted::new("cnn".to_owned(), Arc::new(loaded.model), options).unwrap();
    let input = bundle().openings().input.clone().unwrap().content;
    let question = Question {
        inputs: Tensors::decode(&input, TensorLimits { bytes_max: 1 << 20 }).unwrap(),
        nonce: None,
    };
    let operator = Operator::new(SigningKey::from_seed(&[9; 32]));
    let service = Service::new(operator, Vec::new(), Box::new(MemoryReceipts::new(0)));
    let execution = edit(service.execute(&hosted, &question).unwrap());
    let draws = Draws::from_system().unwrap();
    let answer = issue(
        service.operator(),
        hosted.id(),
        &question,
        execution,
        &draws,
    )
    .unwrap();
    encoded(&answer.bundle)
}

/// One score of the answer a little higher.
fn wrong_score(execution: Execution) -> Execution {
    let tensor = execution.outputs.iter().next().unwrap();
    let Elements::Fp32(scores) = tensor.elements() else {
        panic!("not FP32");
    };
    let mut scores = scores.clone();
    scores[3] += 0.5;
    let edited = Tensor::new(
        tensor.name(),
        tensor.shape().to_vec(),
        Elements::Fp32(scores),
    );
    Execution {
        outputs: Tensors::new(vec![edited.unwrap()]).unwrap(),
        ..execution
    }
}

struct Case<'a> {
    name: &'a str,
    bytes: Vec<u8>,
    arguments: &'a [&'a str],
    code: i32,
    kind: &'a str,
    says: &'a str,
}

fn check(case: &Case<'_>) {
    let place = Place::new();
    let file = place.write("b.json", &case.bytes);
    let arguments = [&["verify", file], case.arguments].concat();
    let done = place.run(&arguments).expect(case.code).says(case.says);
    assert!(done.out.is_empty(), "{}: {done:#?}", case.name);
    let json = place
        .run(&[arguments.as_slice(), &["--json"]].concat())
        .expect(case.code)
        .json_of("cli-verify");
    assert_eq!(
        (&json["kind"], &json["exit_code"]),
        (&case.kind.into(), &case.code.into()),
        "{}",
        case.name
    );
    assert_eq!(place.names(), ["b.json"], "verify leaves nothing behind");
}

#[test]
fn malformed_bundles_are_3() {
    let honest = honest();
    let text = std::str::from_utf8(honest).unwrap();
    let cases = [
        ("empty", Vec::new()),
        ("cut short", honest[..honest.len() - 1].to_vec()),
        ("a newline behind", [honest, b"\n"].concat()),
        (
            "a field doubled",
            text.replacen('{', r#"{"evidence":[],"#, 1).into_bytes(),
        ),
        (
            "a field missing",
            text.replacen(r#""evidence":[],"#, "", 1).into_bytes(),
        ),
        (
            "a field unknown",
            text.replacen('{', r#"{"a":1,"#, 1).into_bytes(),
        ),
        ("not JSON", b"hello".to_vec()),
    ];
    for (name, bytes) in cases {
        let says = "is refused";
        let arguments = &[];
        check(&Case {
            name,
            bytes,
            arguments,
            code: 3,
            kind: "malformed",
            says,
        });
    }
}

#[test]
fn a_receipt_changed_after_signing_is_4() {
    // One digit of the signed time, in the base64 of the payload: still canonical JSON, no longer what was signed.
    let text = String::from_utf8(honest().to_vec()).unwrap();
    let at = text.find(r#""payload":""#).unwrap() + 200;
    let mut bytes = text.into_bytes();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    check(&Case {
        name: "payload",
        bytes,
        arguments: &[],
        code: 4,
        kind: "bad_signature",
        says: "signature",
    });
}

#[test]
fn openings_that_were_changed_are_5() {
    type Edit = fn(&mut Openings);
    let edits: [(&str, Edit); 3] = [
        ("output", |o| flip(&mut o.output.as_mut().unwrap().content)),
        ("input", |o| flip(&mut o.input.as_mut().unwrap().content)),
        ("parameters", |o| {
            let Opened { content, .. } = o.params.as_mut().unwrap();
            flip(content);
        }),
    ];
    for (name, edit) in edits {
        check(&Case {
            name,
            bytes: with(edit),
            arguments: &[],
            code: 5,
            kind: "inconsistent",
            says: &format!("the opened {name} is not what the claim commits to"),
        });
    }
}

#[test]
fn what_the_policy_does_not_accept_is_6() {
    let other: PublicKey = SigningKey::from_seed(&[7; 32]).public_key();
    let other = other.to_string();
    let zeros = "0".repeat(64);
    let cases: [(&str, &[&str], &str); 4] = [
        (
            "operator",
            &["--operator", &other],
            "not among those that the policy accepts",
        ),
        ("nonce", &["--nonce", &zeros], "nonce"),
        ("method", &["--require", "tee"], "`tee`"),
        (
            "method beside others",
            &["--require", "replay", "--require", "tee"],
            "`tee`",
        ),
    ];
    for (name, arguments, says) in cases {
        check(&Case {
            name,
            bytes: honest().to_vec(),
            arguments,
            code: 6,
            kind: "policy_unmet",
            says,
        });
    }
}

#[test]
fn another_models_receipt_is_6() {
    let place = Place::new();
    let own = place.path("home");
    let mlp = crate::shared::shipped("digits-mlp.onnx");
    let inputs = crate::shared::shipped("digits-mlp.calibrate.npz");
    let import = [
        "model",
        "import",
        mlp.to_str().unwrap(),
        "--calibrate",
        inputs.to_str().unwrap(),
        "--name",
        "mlp",
    ];
    place.run_at(&own, &import).expect(0);
    let bundle = place.write("b.json", honest());
    place
        .run_at(&own, &["verify", bundle, "--model", "mlp"])
        .expect(6)
        .says("another model");
}

#[test]
fn policies_from_a_file() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let operator = self::bundle().receipt().signer().to_string();
    let nonce = "5a".repeat(32);
    let good = format!(
        "require = ['signed', 'replay']\noperators = ['{operator}']\nmax_age_s = 86400\nnonce = '{nonce}'\n"
    );
    let policy = place.write("policy.toml", good.as_bytes());
    place.run(&["verify", bundle, "--policy", policy]).expect(0);
    let policy = place.write(
        "policy.toml",
        good.replace(&nonce, &"5b".repeat(32)).as_bytes(),
    );
    place
        .run(&["verify", bundle, "--policy", policy])
        .expect(6)
        .says("nonce");
    for bad in ["requires = ['signed']", "require = []", "operators = ['x']"] {
        let policy = place.write("policy.toml", bad.as_bytes());
        place
            .run(&["verify", bundle, "--policy", policy])
            .expect(2)
            .says("policy.toml");
    }
    // A policy is the whole of what is demanded: options do not loosen it.
    place
        .run(&["verify", bundle, "--policy", policy, "--require", "signed"])
        .expect_usage();
}

#[test]
fn what_is_missing_is_7() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let empty = place.path("empty");
    place
        .run_at(&empty, &["verify", bundle])
        .expect(7)
        .says("needs model");
    // The signature alone needs no model.
    place
        .run_at(&empty, &["verify", bundle, "--require", "signed"])
        .expect(0);
    assert!(!empty.exists(), "verify makes no home");
    type Edit = fn(&mut Openings);
    let edits: [(&str, Edit); 4] = [
        ("the opened input", |o| o.input = None),
        ("the opened parameters", |o| o.params = None),
        ("the opened output", |o| o.output = None),
        ("the salt of the trace", |o| o.trace = None),
    ];
    for (says, edit) in edits {
        check(&Case {
            name: says,
            bytes: with(edit),
            arguments: &[],
            code: 7,
            kind: "missing",
            says,
        });
    }
    place
        .run(&["verify", bundle, "--model", "nobody"])
        .expect(7)
        .says("`nobody`");
}

#[test]
fn lies_that_are_signed_are_8() {
    check(&Case {
        name: "answer",
        bytes: signed_lie(wrong_score),
        arguments: &[],
        code: 8,
        kind: "refuted",
        says: "output `logits`, value 3",
    });
    // Without running the model again the lie is not seen, and the assurance says that nothing was bounded.
    let place = Place::new();
    let file = place.write("b.json", &signed_lie(wrong_score));
    let done = place
        .run(&["verify", file, "--require", "signed"])
        .expect(0);
    assert!(done.out.contains("no bound on a wrong output"), "{done:#?}");
    // And what is not a lie passes.
    let file = place.write("b.json", &signed_lie(|execution| execution));
    place.run(&["verify", file]).expect(0);
}

#[test]
fn files_that_are_not_there_are_9() {
    let place = Place::new();
    place
        .run(&["verify", "absent.json"])
        .expect(9)
        .says("`absent.json` does not exist");
    place.run(&["verify", "."]).expect(9).says("is a folder");
    let bundle = place.write("b.json", honest());
    place
        .run(&["verify", bundle, "--model", "./absent.safetensors"])
        .expect(9)
        .says("absent.safetensors");
}

#[test]
fn models_that_were_changed_are_3() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let good = std::fs::read(model_file()).unwrap();
    let mut changed = good.clone();
    flip(&mut changed);
    place.write("cut.safetensors", &good[..good.len() / 2]);
    place
        .run(&["verify", bundle, "--model", "./cut.safetensors"])
        .expect(3)
        .says("cut.safetensors");
    // A changed weight is another model, and the receipt is not about that one.
    place.write("changed.safetensors", &changed);
    place
        .run(&["verify", bundle, "--model", "./changed.safetensors"])
        .expect(6)
        .says("another model");
    // In the home folder a file must hold what its name says.
    let own = place.path("home/models");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join(model_file().file_name().unwrap()), &changed).unwrap();
    place
        .run_at(&place.path("home"), &["verify", bundle])
        .expect(3)
        .says("holds model");
}

#[test]
fn wrong_usage_is_2() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let cases: [&[&str]; 8] = [
        &["fly"],
        &["verify"],
        &["verify", bundle, "--operator", "xyz"],
        &["verify", bundle, "--require", "Replay"],
        &["verify", bundle, "--nonce", "12"],
        &["run", "cnn"],
        &["serve", "--listen", "nowhere"],
        &["run", "cnn", "--input", "x.npz", "--threads", "0"],
    ];
    for arguments in cases {
        place.run(arguments).expect_usage();
    }
    place
        .run(&["run", "cnn", "--input", "x.txt"])
        .expect(2)
        .says("`.npz` nor `.json`");
    place.run(&["model", "show", "A b"]).expect(2).says("`A b`");
    place.run(&["model", "show", "nobody"]).expect(7);
    place.run(&["model", "rm", "nobody"]).expect(7);
}

/// The same request with every number cut down to an integer.
fn whole_numbers(request: &str) -> String {
    let mut json: serde_json::Value = serde_json::from_str(request).unwrap();
    let data = json["inputs"][0]["data"].as_array_mut().unwrap();
    for number in data {
        *number = 1.into();
    }
    json.to_string()
}

#[test]
fn inputs_that_do_not_fit_are_3() {
    let place = Place::new();
    let good = four_digits();
    let cases = [
        ("image", good.replace("\"image\"", "\"picture\"")),
        (
            "convert its elements",
            whole_numbers(&good).replace("FP32", "INT32"),
        ),
        ("[4, 64]", good.replace("[4,1,8,8]", "[4,64]")),
        ("has 256 elements", good.replace("[4,1,8,8]", "[3,1,8,8]")),
        ("not an inference request", good.replace("[0,", "[NaN,")),
        ("not an inference request", "{".to_owned()),
        (
            "temperature",
            good.replacen('{', r#"{"parameters":{"temperature":1},"#, 1),
        ),
    ];
    for (says, text) in cases {
        assert_ne!(text, good, "{says}");
        let file = place.write("x.json", text.as_bytes());
        let arguments = ["run", "cnn", "--input", file, "--receipt", "never.json"];
        place.run(&arguments).expect(3).says(says);
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut cells = vec![0.5_f32; 64];
        cells[7] = value;
        place.write("odd.npz", &npz("image", "(1, 1, 8, 8)", &cells));
        let arguments = [
            "run",
            "cnn",
            "--input",
            "odd.npz",
            "--receipt",
            "never.json",
        ];
        let done = place.run(&arguments).expect(3);
        done.says("element 7 is not a finite number");
    }
    place.write("x.npz", b"PK nothing");
    let arguments = ["run", "cnn", "--input", "x.npz", "--receipt", "never.json"];
    place.run(&arguments).expect(3).says("zip archive");
    assert!(!place.path("never.json").exists());
    assert!(!home().join("receipts").exists());
}
