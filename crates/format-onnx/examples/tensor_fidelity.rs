//! Import an ONNX file and compare the exact program with float outputs that another engine has computed.
//!
//! ```text
//! tensor_fidelity MODEL.onnx CALIBRATION.npz INPUTS.npz OUTPUTS.npz [--clipping least-error|percentile|largest] [--dim NAME=SIZE]... [--write OUT.npz]
//! ```
//!
//! Prints one JSON object: times, sizes, and errors and clamped cells on the first inputs; `--write` keeps the outputs for all. `bench/peers/tensor_fidelity.py` makes the files and the page. It decides nothing about what is good enough.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for people, whose mistakes may stop it"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use credence_exec::{Engine, Isa, Options};
use credence_format_onnx::{FILE_BYTES_MAX, Limits, Onnx};
use credence_import::fidelity::{Fidelity, measure};
use credence_import::{Clipping, Elements, ImportOptions, Tensor, Tensors, import};
use credence_model::Model;
use npyz::WriterBuilder as _;

/// Runs timed, of which the fastest counts.
const ROUNDS: usize = 5;
/// Inputs on which errors and clamped cells are counted in the program itself: that watches every value and is slow.
const WATCHED: usize = 24;

struct Arguments {
    files: Vec<String>,
    clipping: Clipping,
    dims: Vec<(String, usize)>,
    write: Option<String>,
    threads: NonZeroUsize,
}

fn arguments() -> Arguments {
    let mut all = std::env::args().skip(1);
    let mut arguments = Arguments {
        files: Vec::new(),
        clipping: Clipping::LeastError,
        dims: Vec::new(),
        write: None,
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    while let Some(argument) = all.next() {
        let mut value = || all.next().expect("a value behind an option");
        match argument.as_str() {
            "--clipping" => {
                let wanted = value();
                let known = [
                    Clipping::LeastError,
                    Clipping::Percentile,
                    Clipping::Largest,
                ];
                let found = known.into_iter().find(|c| c.name() == wanted);
                arguments.clipping = found.expect("least-error, percentile or largest");
            }
            "--dim" => {
                let text = value();
                let (name, size) = text.rsplit_once('=').expect("NAME=SIZE");
                let size = size.parse().expect("a number");
                arguments.dims.push((name.to_owned(), size));
            }
            "--write" => arguments.write = Some(value()),
            "--threads" => arguments.threads = value().parse().expect("a number"),
            _ => arguments.files.push(argument),
        }
    }
    arguments
}

/// An npz file of one array for each input or output.
fn read(path: &str) -> Tensors {
    let mut archive = npyz::npz::NpzArchive::open(path).expect("an npz file");
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let tensors = names.into_iter().map(|name| {
        let array = archive.by_name(&name).expect("readable").expect("there");
        let shape = array.shape().to_vec();
        let elements = match array.dtype().descr().trim_matches('\'') {
            "<f4" => Elements::Fp32(array.into_vec().expect("floats")),
            "<i4" => Elements::Int32(array.into_vec().expect("integers")),
            _ => Elements::Int64(array.into_vec().expect("integers of 64 bits")),
        };
        Tensor::new(name, shape, elements).expect("a tensor")
    });
    Tensors::new(tensors.collect()).expect("tensors of distinct names")
}

fn write(path: &str, tensors: &Tensors) {
    let mut archive = npyz::npz::NpzWriter::create(path).expect("a file to write");
    for tensor in tensors.iter() {
        if let Elements::Fp32(all) = tensor.elements() {
            let array = archive.array(tensor.name(), zip_options());
            let array = array.expect("an array").default_dtype();
            let mut writer = array.shape(tensor.shape()).begin_nd().expect("a shape");
            writer.extend(all.iter()).expect("room");
            writer.finish().expect("room");
        }
    }
}

fn zip_options() -> npyz::zip::write::FileOptions {
    npyz::zip::write::FileOptions::default()
}

/// Milliseconds of the fastest of several runs of a batch, trace included.
fn fastest(engine: &Engine, inputs: &Tensors) -> f64 {
    let time = || {
        let start = Instant::now();
        engine.run(inputs).expect("a run");
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..ROUNDS).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn head(tensors: &Tensors, count: usize) -> Tensors {
    let parts = tensors.iter().map(|tensor| {
        let batch = usize::try_from(tensor.shape()[0]).expect("a batch");
        let count = count.min(batch);
        let cells = tensor.elements().len() / batch * count;
        let elements = match tensor.elements() {
            Elements::Fp32(all) => Elements::Fp32(all[..cells].to_vec()),
            Elements::Int32(all) => Elements::Int32(all[..cells].to_vec()),
            Elements::Int64(all) => Elements::Int64(all[..cells].to_vec()),
        };
        let mut shape = tensor.shape().to_vec();
        shape[0] = u64::try_from(count).expect("a batch");
        Tensor::new(tensor.name(), shape, elements).expect("a part")
    });
    Tensors::new(parts.collect()).expect("parts")
}

fn show(fidelity: &Fidelity) -> String {
    let outputs = fidelity.outputs.iter().map(|output| {
        let errors = output.errors.map_or_else(String::new, |errors| {
            format!(
                r#", "max": {:e}, "mean": {:e}, "cosine": {}, "magnitude": {:e}"#,
                errors.max, errors.mean, errors.cosine, errors.magnitude
            )
        });
        let top = output.top_1.map_or_else(String::new, |top| {
            format!(r#", "same": {}, "of": {}"#, top.same, top.of)
        });
        format!(r#"{{"name": "{}"{errors}{top}}}"#, output.name)
    });
    let clamped = fidelity.saturated.iter().map(|node| {
        format!(
            r#"{{"node": {:?}, "cells": {}, "of": {}}}"#,
            node.node, node.cells, node.of
        )
    });
    format!(
        r#""positions": {}, "outputs": [{}], "clamped": [{}]"#,
        fidelity.positions,
        outputs.collect::<Vec<_>>().join(", "),
        clamped.collect::<Vec<_>>().join(", ")
    )
}

fn imported(arguments: &Arguments) -> (Arc<Model>, f64) {
    let bytes = std::fs::read(Path::new(&arguments.files[0])).expect("the model's file");
    let limits = Limits {
        bytes_max: FILE_BYTES_MAX,
    };
    let start = Instant::now();
    let onnx = Onnx::parse_with(&bytes, limits, &arguments.dims)
        .unwrap_or_else(|error| stop("the file is refused", &error));
    let calibration = read(&arguments.files[1]);
    let options = ImportOptions {
        calibration: Some(&calibration),
        clipping: arguments.clipping,
        source: &onnx.source(),
    };
    let imported =
        import(onnx.graph(), &options).unwrap_or_else(|error| stop("the graph is refused", &error));
    (Arc::new(imported.model), start.elapsed().as_secs_f64())
}

fn stop(what: &str, error: &dyn std::error::Error) -> ! {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    println!("{text}");
    std::process::exit(1)
}

fn main() {
    let arguments = arguments();
    let (model, import_s) = imported(&arguments);
    let options = Options {
        threads: arguments.threads,
        isa: Isa::detect(),
    };
    let nodes = model.program().spec().nodes.len();
    let params: usize = model.params().iter().map(|bytes| bytes.len()).sum();
    let engine = Engine::new(Arc::clone(&model), options)
        .unwrap_or_else(|error| stop("the program cannot be planned", &error));
    let inputs = read(&arguments.files[2]);
    let one = fastest(&engine, &head(&inputs, 1));
    if let Some(path) = &arguments.write {
        let run = engine.run(&inputs).expect("a run");
        write(path, &run.outputs);
    }
    let outputs = read(&arguments.files[3]);
    let (some, expected) = (head(&inputs, WATCHED), head(&outputs, WATCHED));
    let fidelity = measure(&model, &some, &expected, options)
        .unwrap_or_else(|error| stop("the outputs cannot be compared", &error));
    println!(
        r#"{{"id": "{}", "import_s": {import_s:.2}, "nodes": {nodes}, "bytes": {params}, "ms": {one:.3}, {}}}"#,
        model.id(),
        show(&fidelity)
    );
}
