//! `model import`: what it keeps, what it refuses, and that a refused model leaves nothing.

use crate::shared::{Place, names, shipped};

fn arguments<'a>(model: &'a str, calibrate: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["model", "import", model, "--calibrate", calibrate], more].concat()
}

#[test]
fn a_model_that_is_not_faithful_enough_is_not_kept() {
    let place = Place::new();
    let own = place.path("home");
    let (onnx, calibrate) = (
        shipped("digits-cnn.onnx"),
        shipped("digits-cnn.calibrate.npz"),
    );
    let (onnx, calibrate) = (onnx.to_str().unwrap(), calibrate.to_str().unwrap());
    let strict = arguments(onnx, calibrate, &["--name", "cnn", "--max-error", "0"]);
    let refused = place.run_at(&own, &strict).expect(6).says("is not kept");
    assert!(
        refused.out.contains("cosine"),
        "the report is printed all the same"
    );
    assert!(!own.join("models").exists());
    let json = place
        .run_at(&own, &[strict.as_slice(), &["--json"]].concat())
        .expect(6)
        .json_of("cli-model-import");
    assert_eq!((&json["kept"], &json["file"]), (&false.into(), &().into()));
    place
        .run_at(&own, &[strict.as_slice(), &["--allow-error"]].concat())
        .expect(0);
}

#[test]
fn a_model_that_cannot_be_measured_is_not_kept() {
    let place = Place::new();
    let own = place.path("home");
    let forest = shipped("forest.onnx");
    let import = [
        "model",
        "import",
        forest.to_str().unwrap(),
        "--name",
        "forest",
    ];
    place
        .run_at(&own, &import)
        .expect(6)
        .says("nothing says how faithful it is");
    place
        .run_at(&own, &[&import[..], &["--allow-error"]].concat())
        .expect(0);
    // A float model has no scales without inputs.
    let cnn = shipped("digits-cnn.onnx");
    place
        .run_at(&own, &["model", "import", cnn.to_str().unwrap()])
        .expect(3)
        .says("--calibrate inputs.npz");
}

#[test]
fn files_that_are_no_models_are_refused() {
    let place = Place::new();
    let own = place.path("home");
    let good = std::fs::read(shipped("digits-cnn.onnx")).unwrap();
    let calibrate = shipped("digits-cnn.calibrate.npz");
    let calibrate = calibrate.to_str().unwrap();
    let cases = [
        ("empty.onnx", Vec::new()),
        ("noise.onnx", vec![0xff; 64]),
        ("cut.onnx", good[..good.len() / 2].to_vec()),
        ("cut-late.onnx", good[..good.len() - 1].to_vec()),
    ];
    for (name, bytes) in cases {
        place.write(name, &bytes);
        let import = arguments(name, calibrate, &[]);
        place.run_at(&own, &import).expect(3).says(name);
    }
    place.write("model.ggml", &good);
    place
        .run_at(&own, &arguments("model.ggml", calibrate, &[]))
        .expect(2)
        .says("`.onnx` and `.gguf`");
    place.write("model.gguf", &good);
    place
        .run_at(&own, &["model", "import", "model.gguf"])
        .expect(3)
        .says("the GGUF file is refused");
    place
        .run_at(&own, &arguments("absent.onnx", calibrate, &[]))
        .expect(9)
        .says("`absent.onnx`");
    assert!(!own.exists());
}

#[test]
fn calibration_inputs_that_do_not_fit_are_refused() {
    let place = Place::new();
    let onnx = shipped("digits-cnn.onnx");
    let onnx = onnx.to_str().unwrap();
    let tensor = |name: &str, shape: &str, datatype: &str, len: usize| {
        let data = vec!["0"; len].join(",");
        format!(
            r#"{{"inputs":[{{"name":"{name}","shape":{shape},"datatype":"{datatype}","data":[{data}]}}]}}"#
        )
    };
    let cases = [
        tensor("picture", "[1,1,8,8]", "FP32", 64),
        tensor("image", "[1,64]", "FP32", 64),
        tensor("image", "[0,1,8,8]", "FP32", 0),
        tensor("image", "[1,1,8,8]", "INT64", 64),
        r#"{"inputs":[]}"#.to_owned(),
    ];
    for text in cases {
        let file = place.write("c.json", text.as_bytes());
        let import = arguments(onnx, file, &[]);
        place.run_at(&place.path("home"), &import).expect(3);
    }
}

#[test]
fn names_are_checked_before_anything_is_written() {
    let place = Place::new();
    let own = place.path("home");
    let (onnx, calibrate) = (
        shipped("digits-mlp.onnx"),
        shipped("digits-mlp.calibrate.npz"),
    );
    let (onnx, calibrate) = (onnx.to_str().unwrap(), calibrate.to_str().unwrap());
    for name in ["A", "a b", "", &"a".repeat(65)] {
        let import = arguments(onnx, calibrate, &["--name", name]);
        place.run_at(&own, &import).expect_usage();
    }
    let like_id = arguments(onnx, calibrate, &["--name", "deadbeef"]);
    place.run_at(&own, &like_id).expect(2).says("`deadbeef`");
    assert!(!own.join("models").exists() || names(&own.join("models")).is_empty());

    place
        .run_at(&own, &arguments(onnx, calibrate, &["--name", "mlp"]))
        .expect(0);
    let (other, inputs) = (
        shipped("digits-cnn.onnx"),
        shipped("digits-cnn.calibrate.npz"),
    );
    let (other, inputs) = (other.to_str().unwrap(), inputs.to_str().unwrap());
    place
        .run_at(&own, &arguments(other, inputs, &["--name", "mlp"]))
        .expect(2)
        .says("name of another model");
    place
        .run_at(
            &own,
            &arguments(onnx, calibrate, &["--name", "mlp", "--max-error", "2"]),
        )
        .expect(2)
        .says("`--max-error`");
}
