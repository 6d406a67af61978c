//! `cargo xtask bench log`: runs the ledger's benchmark at three sizes, in one mode, and writes the log's part of `docs/performance.md`.
//!
//! It deliberately measures nothing itself: `cargo bench -p credence-ledger -- large SIZE RATE SECONDS` prints the same lines.

use std::path::Path;
use std::process::Command;

use crate::bench::language::write;
use crate::bench::log_report::{Line, text};
use crate::bench::page::Chapter;

/// Sizes at which it is measured, if no others are asked for.
const SIZES: [&str; 3] = ["10000", "1000000", "100000000"];
/// Entries a second, and for how many seconds.
const RATE: (&str, &str) = ("20000", "10");

/// Measures and writes. `flags` may name the sizes.
///
/// # Errors
/// What could not be run or written.
pub(crate) fn run(root: &Path, flags: &[&str]) -> Result<String, String> {
    let sizes = if flags.is_empty() { &SIZES[..] } else { flags };
    let mut lines = Vec::new();
    for size in sizes {
        let output = Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["bench", "--workspace", "--bench", "ledger", "--"])
            .args(["large", size, RATE.0, RATE.1])
            .output()
            .map_err(|error| format!("cargo: {error}\n"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the benchmark failed at {size} entries:\n{said}\n"));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        lines.extend(said.lines().filter_map(Line::parse));
    }
    let text = text(&lines);
    write(root, Chapter::Log, &text)?;
    Ok(text)
}
