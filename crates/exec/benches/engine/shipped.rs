//! The models that ship, imported as a user does.

use credence_format_onnx::{Limits, Onnx};
use credence_import::{Clipping, ImportOptions, import};
use credence_model::{Elements, Model, Tensor, Tensors};

/// Pixels like those of digits, from 0 to `white`: what a run costs does not depend on which.
fn pixels(name: &str, shape: &[u64], white: f32) -> Tensors {
    let cells: u64 = shape.iter().product();
    let pixels = (0..cells).map(|at| f32::from(u8::try_from(at * 7 % 17).unwrap()) * white / 16.0);
    let tensor = Tensor::new(name, shape.to_vec(), Elements::Fp32(pixels.collect()));
    Tensors::new(vec![tensor.unwrap()]).unwrap()
}

fn imported(file: &[u8], calibration: &Tensors) -> Model {
    let bytes_max = file.len();
    let onnx = Onnx::parse(file, Limits { bytes_max }).unwrap();
    let options = ImportOptions {
        calibration: Some(calibration),
        clipping: Clipping::LeastError,
        source: &onnx.source(),
    };
    import(onnx.graph(), &options).unwrap().model
}

/// Two convolutions, a pool and two linear layers on 8×8 pixels.
pub(crate) fn digits_cnn() -> Model {
    let file = include_bytes!("../../../../models/digits-cnn.onnx");
    imported(file, &pixels("image", &[64, 1, 8, 8], 1.0))
}

/// Three linear layers on 64 pixels.
pub(crate) fn digits_mlp() -> Model {
    let file = include_bytes!("../../../../models/digits-mlp.onnx");
    imported(file, &pixels("pixels", &[64, 64], 16.0))
}

/// A hundred trees on 64 pixels.
pub(crate) fn forest() -> Model {
    let file = include_bytes!("../../../../models/forest.onnx");
    imported(file, &pixels("pixels", &[64, 64], 16.0))
}
