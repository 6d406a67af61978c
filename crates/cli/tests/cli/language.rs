//! Language models: imported, refused, listed and shown. The file is one of `credence-format-gguf`'s, a few thousand weights.

use std::path::PathBuf;

use crate::shared::{Place, repository};

/// A whole model of two blocks with 24 tokens.
pub(crate) fn tiny() -> PathBuf {
    repository().join("crates/format-gguf/tests/golden/models/llama.gguf")
}

#[test]
fn a_language_model_is_imported_listed_and_shown() {
    let place = Place::new();
    let own = place.path("home");
    let file = tiny();
    let import = ["model", "import", file.to_str().unwrap(), "--name", "tiny"];
    let one = place
        .run_at(&own, &[&import[..], &["--json", "--threads", "1"]].concat())
        .expect(0)
        .json_of("cli-model-import");
    let fidelity = &one["language_fidelity"];
    assert!(fidelity["divergence"].as_f64().unwrap() < 0.01, "{one}");
    assert!(fidelity["agreement"].as_f64().unwrap() > 0.9, "{one}");
    assert_eq!((&one["kept"], &one["fidelity"]), (&true.into(), &().into()));
    let two = place.run_at(&own, &[&import[..], &["--threads", "2"]].concat());
    let id = one["id"].as_str().unwrap();
    assert!(two.expect(0).out.contains(id), "threads change no bit");

    let list = place.run_at(&own, &["model", "list", "--json"]).expect(0);
    let list = list.json_of("cli-model-list");
    assert_eq!(list["models"][0]["kind"], "language");
    let show = place.run_at(&own, &["model", "show", "tiny", "--json"]);
    let show = show.expect(0).json_of("cli-model-show");
    assert_eq!(show["provenance"]["source.format"], "gguf");
    let language = &show["language"];
    assert_eq!(list["models"][0]["context"], language["context"]);
    assert_eq!(language["vocabulary"], 24);
    assert_eq!(language["text"]["kind"], "bpe");
    let number = |key: &str| language[key].as_u64().unwrap();
    assert!(number("trace_bytes_last_token") >= number("trace_bytes_first_token"));
    let blocks = usize::try_from(number("blocks")).unwrap();
    let units = language["units"].as_str().unwrap();
    assert_eq!(units.split(' ').count(), blocks);
    let text = place.run_at(&own, &["model", "show", "tiny"]).expect(0).out;
    assert!(text.contains("24 tokens of vocabulary"), "{text}");
}

#[test]
fn context_and_calibration_are_what_is_asked_for() {
    let place = Place::new();
    let own = place.path("home");
    let file = tiny();
    let import = ["model", "import", file.to_str().unwrap(), "--json"];
    let id = |more: &[&str]| {
        let done = place.run_at(&own, &[&import[..], more].concat()).expect(0);
        done.json_of("cli-model-import")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let plain = id(&["--name", "a"]);
    assert_ne!(id(&["--name", "b", "--context", "16"]), plain);
    let words = place.write("words.txt", "abab baba, ab".repeat(40).as_bytes());
    id(&["--name", "c", "--context", "16", "--calibrate", words]);
    let refused = |more: &[&str], code| {
        place
            .run_at(&own, &[&import[..], more].concat())
            .expect(code)
    };
    refused(&["--context", "1000000"], 3).says("1000000 are asked for");
    place.write("empty.txt", b" ");
    refused(&["--calibrate", "empty.txt"], 3).says("calibration text");
    place.write("noise.txt", &[0xff, 0xfe]);
    refused(&["--calibrate", "noise.txt"], 3).says("UTF-8");
    refused(&["--max-divergence=-1"], 2).says("`--max-divergence`");
    let onnx = crate::shared::shipped("forest.onnx");
    let onnx = ["model", "import", onnx.to_str().unwrap(), "--context", "9"];
    place.run_at(&own, &onnx).expect(2).says("`--context`");
}

#[test]
fn a_language_model_that_diverges_is_not_kept() {
    let place = Place::new();
    let own = place.path("home");
    let file = tiny();
    let strict = [
        "model",
        "import",
        file.to_str().unwrap(),
        "--max-divergence",
        "0",
    ];
    let refused = place.run_at(&own, &strict).expect(6).says("nats");
    assert!(
        refused.out.contains("perplexity"),
        "the report is printed all the same"
    );
    assert!(!own.join("models").exists());
    place
        .run_at(&own, &[&strict[..], &["--allow-error"]].concat())
        .expect(0);
}

#[test]
fn damaged_files_are_refused_and_nothing_is_left() {
    let place = Place::new();
    let own = place.path("home");
    let good = std::fs::read(tiny()).unwrap();
    let cases = [
        ("empty.gguf", Vec::new()),
        ("cut.gguf", good[..good.len() / 2].to_vec()),
        ("cut-late.gguf", good[..good.len() - 1].to_vec()),
        ("longer.gguf", [good.as_slice(), &[1; 64]].concat()),
    ];
    for (name, bytes) in cases {
        place.write(name, &bytes);
        let done = place.run_at(&own, &["model", "import", name]);
        done.expect(3).says(name);
    }
    assert!(!own.exists());
}
