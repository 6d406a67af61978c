//! The models that ship in `models/`, all the way: imported, run exactly, compared with tract's float run on held-out inputs.

use credence_import::ImportOptions;
use credence_import::{Clipping, import};

use crate::support::{fidelity, import_with, models, npz, parse};

/// Name, `ModelId`. An id changes with the importer: then its version changes as well, and this line.
const GOLDEN: [(&str, &str); 3] = [
    (
        "digits-cnn",
        "2806b65d8738b69ff9173c5898dc70356095b4808c4ed4bfbe0ec508944f9b72",
    ),
    (
        "digits-mlp",
        "b81be515f6841b1c0da1dfe1cdc966c30492c80a0a54e28ffb0016dbf9c998c6",
    ),
    (
        "forest",
        "7f2187df557644ac9121c6f0ad9880f177f50519b79517271db12dae10100da3",
    ),
];

#[test]
fn shipped_models_are_faithful_on_held_out_inputs() {
    for (name, _) in GOLDEN {
        let onnx = parse(&std::fs::read(models().join(format!("{name}.onnx"))).unwrap());
        let calibration = npz(&models().join(format!("{name}.calibrate.npz")));
        let imported = import_with(&onnx, Some(&calibration));
        let inputs = npz(&models().join(format!("{name}.inputs.npz")));
        let (fidelity, independent) = fidelity(&onnx, imported, &inputs);
        assert!(independent, "{name}");
        let exact = name == "forest";
        for output in &fidelity.outputs {
            if let Some(top_1) = output.top_1 {
                let enough = if exact { 1.0 } else { 0.99 };
                assert!(top_1.share() >= enough, "{name}: {output:?}");
            }
            if let Some(errors) = output.errors {
                assert!(errors.cosine >= 0.9999, "{name}: {output:?}");
                assert!(!exact || errors.max < 1e-6, "{name}: {output:?}");
            }
        }
    }
}

#[test]
fn ids_depend_on_nothing_but_file_options_and_calibration() {
    for (name, golden) in GOLDEN {
        let bytes = std::fs::read(models().join(format!("{name}.onnx"))).unwrap();
        let calibration = npz(&models().join(format!("{name}.calibrate.npz")));
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let id = pool.build().unwrap().install(|| {
                let onnx = parse(&bytes);
                import_with(&onnx, Some(&calibration)).model.id()
            });
            assert_eq!(id.to_string(), golden, "{name} with {threads} threads");
        }
    }
}

#[test]
fn provenance_names_file_and_calibration_set() {
    let onnx = parse(&std::fs::read(models().join("digits-cnn.onnx")).unwrap());
    let calibration = npz(&models().join("digits-cnn.calibrate.npz"));
    let imported = import_with(&onnx, Some(&calibration));
    let keys: Vec<&str> = imported.provenance.keys().map(String::as_str).collect();
    let expected = [
        "calibration.blake3",
        "importer.clipping",
        "importer.version",
        "source.format",
        "source.sha256",
    ];
    assert_eq!(keys, expected);
    let sums = std::fs::read_to_string(models().join("SHA256SUMS")).unwrap();
    assert!(sums.contains(&imported.provenance["source.sha256"]));
}

#[test]
fn trees_need_no_calibration_and_floats_ask_for_it() {
    let without = |name: &str| {
        let onnx = parse(&std::fs::read(models().join(name)).unwrap());
        let options = ImportOptions {
            calibration: None,
            clipping: Clipping::LeastError,
            source: &[],
        };
        import(onnx.graph(), &options).map(|imported| imported.model.id())
    };
    assert!(without("forest.onnx").is_ok());
    let error = without("digits-cnn.onnx").unwrap_err();
    let text = crate::support::chain(&error);
    assert!(text.contains("--calibrate"), "{text}");
}
