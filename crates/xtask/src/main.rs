//! Tasks that keep the repository's own rules. `cargo xtask help` lists them.
//!
//! Tests live elsewhere (`tests/`); here is what writes committed files: vectors, the pages of benchmarks and of fidelity.

#![forbid(unsafe_code)]

mod bench;
mod fidelity;
mod vectors;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask TASK

  vectors            write vectors/ from the code
  vectors --check    fail if a file under vectors/ is not what the code gives
  bench              time Credence and onnxruntime in turns; write docs/performance.md
                     (about two minutes; needs scripts/python-env, and an idle machine)
  bench language [--gguf FILE] [--python FILE] [--rounds N]
                     time Credence and llama.cpp in turns; write the second half of docs/performance.md
                     (about ten minutes; needs the environment of bench/peers/requirements.in, and an idle machine)
  bench log [SIZE...]
                     time a log of 10^4, 10^6 and 10^8 entries, or of those sizes; write the last part of docs/performance.md
                     (about half an hour and 10 GB of disk; needs an idle machine; CREDENCE_BENCH_FOLDER names the disk)
  bench audit [--model FILE.safetensors]
                     run the examples that measure spot checks and disputes; write the last part of docs/performance.md
                     (about two minutes; needs an imported language model, and an idle machine)
  fidelity [--gguf FILE] [--python FILE] [--tokens N]
                     compare the float model, the exact one and llama.cpp on bench/texts; write docs/fidelity.md
                     (about twenty minutes; needs the same environment)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["vectors"] => vectors::write(&root()),
        ["bench"] => bench::run(&root(), 0.5),
        ["bench", "log", flags @ ..] => bench::log::run(&root(), flags),
        ["bench", "language", flags @ ..] => bench::language::run(&root(), flags),
        ["bench", "audit", flags @ ..] => bench::audit::run(&root(), flags),
        [bench::language::child::TASK, file, threads] => bench::language::child::run(file, threads),
        ["fidelity", flags @ ..] => fidelity::run(&root(), flags),
        ["vectors", "--check"] => vectors::check(&root()),
        _ => Ok(HELP.to_owned()),
    };
    let (text, code) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Nothing is left to do if the terminal has gone away.
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        ExitCode::FAILURE
    } else {
        code
    }
}

/// The repository's root: this crate lies two folders below.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .unwrap_or_default()
}
