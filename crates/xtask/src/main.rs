//! Tasks that keep the repository's own rules. `cargo xtask help` lists them.
//!
//! Tests live elsewhere (`tests/tidy.rs`); here is what writes committed files: vectors and the benchmark page.

#![forbid(unsafe_code)]

mod bench;
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
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["vectors"] => vectors::write(&root()),
        ["bench"] => bench::run(&root(), 0.5),
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
