//! npz files, and an import with its fidelity.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_exec::{Isa, Options};
use credence_format_onnx::reference::Runner;
use credence_format_onnx::{FILE_BYTES_MAX, Limits, Onnx};
use credence_import::fidelity::{Fidelity, measure};
use credence_import::{
    Clipping, Elements, ImportOptions, Imported, Tensor, Tensors, evaluate, import,
};

pub(crate) const LIMITS: Limits = Limits {
    bytes_max: FILE_BYTES_MAX,
};

/// The folder of the shipped models.
pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// Parses a file that is fine.
pub(crate) fn parse(bytes: &[u8]) -> Onnx {
    Onnx::parse(bytes, LIMITS).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// An npz file as tensors.
pub(crate) fn npz(path: &Path) -> Tensors {
    let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut tensors = Vec::new();
    for name in names {
        let array = archive.by_name(&name).unwrap().unwrap();
        let shape = array.shape().to_vec();
        let elements = Elements::Fp32(array.into_vec::<f32>().unwrap());
        tensors.push(Tensor::new(name, shape, elements).unwrap());
    }
    Tensors::new(tensors).unwrap()
}

pub(crate) fn import_with(onnx: &Onnx, calibration: Option<&Tensors>) -> Imported {
    let options = ImportOptions {
        calibration,
        clipping: Clipping::LeastError,
        source: &onnx.source(),
    };
    import(onnx.graph(), &options).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Fidelity against tract, or against our own evaluation where tract cannot run the file.
pub(crate) fn fidelity(onnx: &Onnx, imported: Imported, inputs: &Tensors) -> (Fidelity, bool) {
    let reference = match Runner::new(onnx) {
        Ok(runner) => (runner.run(inputs).unwrap(), true),
        Err(_) => (evaluate(onnx.graph(), inputs).unwrap(), false),
    };
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let measured = measure(&Arc::new(imported.model), inputs, &reference.0, options);
    (measured.unwrap(), reference.1)
}
