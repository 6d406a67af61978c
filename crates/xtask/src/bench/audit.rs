//! `cargo xtask bench audit`: what a spot check and a dispute of a language model's answer take, as the last part of `docs/performance.md`.
//!
//! It runs the two examples that measure it, `figures` and `disputes`, and shows what they print: they are short programs of what an auditor and a referee do, and anyone
//! runs them alone. It deliberately measures nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::flags::Flags;
use super::language;
use super::page::Chapter;

const INTRODUCTION: &str = "\
# Audits

Made by `cargo xtask bench audit`. Times are of this machine and one run each, but for `verify`, which is the best of 50; bytes and messages are the same on every machine. What is aimed at: 64 cells of a 128-token answer checked in 2 ms, from 600 KB at most; a cell opened in 16 KB at a context of
2,048 tokens; a dispute over 256 tokens in 40 messages and 200 KB. The last two are held by tests (`prove-spot/tests/spot/sizes.rs`, `prove-dispute/tests/dispute/sizes.rs`).
";

/// One example with what it is about.
const EXAMPLES: [(&str, &str, &str, &[&str]); 2] = [
    (
        "A spot check of 64 cells, over 128 tokens",
        "credence-prove-spot",
        "figures",
        &["128", "64"],
    ),
    (
        "Disputes, over 256 tokens",
        "credence-prove-dispute",
        "disputes",
        &["256"],
    ),
];

/// Measures and writes the part of the page.
///
/// # Errors
/// What could not be run or written.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let flags = Flags::read(arguments, &["--model"])?;
    let model = flags.model(root)?;
    let mut page = INTRODUCTION.to_owned();
    for (title, package, example, more) in EXAMPLES {
        let printed = example_of(root, (package, example), &model, more)?;
        page.push_str(&format!(
            "\n## {title}\n\n`cargo run --release -p {package} --example {example}`\n\n```text\n{}\n```\n",
            printed.trim_end()
        ));
    }
    language::write(root, Chapter::Audits, &page)?;
    Ok(page)
}

fn example_of(
    root: &Path,
    (package, example): (&str, &str),
    model: &PathBuf,
    more: &[&str],
) -> Result<String, String> {
    let ran = Command::new("cargo")
        .args([
            "run",
            "--quiet",
            "--release",
            "-p",
            package,
            "--example",
            example,
            "--",
        ])
        .arg(model)
        .args(more)
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}\n"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("example `{example}` failed: {said}\n"));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}
