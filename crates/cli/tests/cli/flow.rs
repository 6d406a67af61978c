//! The way from a model to an accepted receipt, in words and in JSON.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::shared::{
    Place, credence, four_digits, home, honest, line_of, model_file, names, shipped,
};

#[test]
fn import_run_verify_list_show_remove() {
    let place = Place::new();
    let own = place.path("home");
    let (onnx, calibrate) = (shipped("forest.onnx"), shipped("forest.calibrate.npz"));
    let import = [
        "model",
        "import",
        onnx.to_str().unwrap(),
        "--calibrate",
        calibrate.to_str().unwrap(),
        "--name",
        "forest",
    ];
    let imported = place.run_at(&own, &import).expect(0);
    for words in [
        "top-1 agreement",
        "cosine",
        "kept as `forest`",
        "error 0.000 %",
    ] {
        assert!(imported.out.contains(words), "{words}: {imported:#?}");
    }
    let listed = place.run_at(&own, &["model", "list"]).expect(0);
    assert!(listed.out.contains("forest"));
    let shown = place.run_at(&own, &["model", "show", "forest"]).expect(0);
    for words in [
        "exact-1",
        "tree_leaves",
        "gather_sum",
        "parameters",
        "source.sha256",
    ] {
        assert!(shown.out.contains(words), "{words}: {shown:#?}");
    }

    let inputs = shipped("forest.inputs.npz");
    let run = ["run", "forest", "--input", inputs.to_str().unwrap()];
    let ran = place.run_at(&own, &run).expect(0);
    assert!(ran.out.contains("INT64 [360]"), "{ran:#?}");
    assert!(ran.err.contains("made a new operator's key"), "{ran:#?}");
    let kept = names(&own.join("receipts"));
    let bundle = own.join("receipts").join(&kept[0]);
    let again = place.run_at(&own, &run).expect(0);
    assert!(!again.err.contains("made a new"), "{again:#?}");

    let verified = place
        .run_at(&own, &["verify", bundle.to_str().unwrap()])
        .expect(0);
    for words in [
        "accepted",
        "signed",
        "re-executed",
        "trusted",
        "not checked",
        "2^-128",
    ] {
        assert!(verified.out.contains(words), "{words}: {verified:#?}");
    }
    place.run_at(&own, &["model", "rm", "forest"]).expect(0);
    let listed = place.run_at(&own, &["model", "list"]).expect(0);
    assert!(listed.out.is_empty() && listed.err.contains("no models"));
}

#[test]
fn json_fits_the_schemas() {
    let place = Place::new();
    let own = place.path("home");
    let (onnx, calibrate) = (
        shipped("digits-mlp.onnx"),
        shipped("digits-mlp.calibrate.npz"),
    );
    let import = [
        "model",
        "import",
        onnx.to_str().unwrap(),
        "--calibrate",
        calibrate.to_str().unwrap(),
        "--json",
    ];
    let imported = place
        .run_at(&own, &import)
        .expect(0)
        .json_of("cli-model-import");
    assert_eq!(imported["name"], "digits-mlp");
    let list = std::fs::read_to_string(own.join("models/names.json")).unwrap();
    line_of("model-names", &list);
    let listed = place
        .run_at(&own, &["model", "list", "--json"])
        .expect(0)
        .json_of("cli-model-list");
    assert_eq!(listed["models"][0]["id"], imported["id"]);
    let shown = place
        .run_at(&own, &["model", "show", "digits-mlp", "--json"])
        .expect(0)
        .json_of("cli-model-show");
    assert_eq!(shown["id"], imported["id"]);
    let inputs = shipped("digits-mlp.inputs.npz");
    let run = [
        "--json",
        "run",
        "digits-mlp",
        "--input",
        inputs.to_str().unwrap(),
        "--receipt",
        "b.bundle.json",
    ];
    let ran = place.run_at(&own, &run).expect(0).json_of("cli-run");
    assert_eq!(ran["model_version"], imported["id"]);
    let verified = place
        .run_at(&own, &["verify", "b.bundle.json", "--json"])
        .expect(0)
        .json_of("cli-verify");
    assert_eq!(verified["receipt"], ran["receipt"]);
    assert_eq!(verified["findings"][1]["basis"], "re-executed");
    let key = place
        .run_at(&own, &["key", "show", "--json"])
        .expect(0)
        .json_of("cli-key-show");
    assert_eq!(key["public_key"], verified["operator"]);
    place
        .run_at(&own, &["model", "rm", "digits-mlp", "--json"])
        .expect(0)
        .json_of("cli-model-rm");
}

#[test]
fn a_model_is_named_in_four_ways() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let file = model_file();
    let id = file.file_stem().unwrap().to_str().unwrap().to_owned();
    for model in ["cnn", &id, &id[..8], file.to_str().unwrap()] {
        place.run(&["verify", bundle, "--model", model]).expect(0);
        place.run(&["model", "show", model]).expect(0);
    }
}

#[test]
fn outputs_do_not_depend_on_threads() {
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    let outputs = |threads: &str| {
        let arguments = [
            "--json",
            "run",
            "cnn",
            "--input",
            "x.json",
            "--receipt",
            "b.bundle.json",
            "--threads",
            threads,
        ];
        let ran = place.run(&arguments).expect(0).json_of("cli-run");
        (ran["outputs"].clone(), ran["receipt"].clone())
    };
    let (one, two) = (outputs("1"), outputs("3"));
    assert_eq!(one.0, two.0);
    assert_ne!(one.1, two.1, "each receipt has its own salts");
}

#[test]
fn what_is_secret_is_its_owners_alone() {
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home().join("keys/operator.pem")), 0o600);
    assert_eq!(mode(&home().join("keys")), 0o700);
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    place
        .run(&["run", "cnn", "--input", "x.json", "--receipt", "b.json"])
        .expect(0);
    assert_eq!(mode(&place.path("b.json")), 0o600);
}

/// Checks that a command's help has an example, and those of the commands below it; gives how many there are.
fn explained(place: &Place, command: &[String]) -> usize {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let help = place.run(&[&words, &["--help"][..]].concat()).expect(0);
    assert!(help.out.contains("Examples:"), "{command:?}");
    let list = help.out.split("Commands:\n").nth(1).unwrap_or_default();
    let below = list.lines().take_while(|line| !line.trim().is_empty());
    // What goes on with a description stands further in.
    let starts = below.filter_map(|line| line.strip_prefix("  "));
    let names = starts.filter(|line| !line.starts_with(' '));
    let names = names.filter_map(|line| line.split_whitespace().next());
    let each = names.filter(|name| *name != "help").map(|name| {
        let below = [command, &[name.to_owned()]].concat();
        explained(place, &below)
    });
    1 + each.sum::<usize>()
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let all = explained(&Place::new(), &[]);
    assert!(all >= 35, "only {all} commands were found");
}

#[test]
fn completions_know_commands_and_options() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let completions = place.run(&["completions", shell]).expect(0);
        for word in ["verify", "policy", "inclusion", "quorum"] {
            assert!(completions.out.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_reader_that_leaves_changes_nothing() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let mut child = credence(home(), place.folder.path())
        .args(["verify", bundle])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert!(done.stderr.is_empty());
}
