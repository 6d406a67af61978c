//! Vectors: cases in JSON that an implementation in another language can read, one file for each section of a specification.
//!
//! Files are generated from the code and committed; `--check` compares. A difference is a change of format or arithmetic.

mod arithmetic;
mod language;
mod programs;
mod sampling;
mod transcripts;

use std::path::Path;

use credence_model::Model;
use serde_json::Value;

/// All files: path under `vectors/`, and content.
fn all() -> Result<Vec<(String, Value)>, String> {
    let mut files = arithmetic::files()?;
    files.extend(programs::files()?);
    files.extend(language::files()?);
    files.extend(sampling::files()?);
    files.extend(transcripts::files()?);
    Ok(files)
}

/// What one cell of each node reads at most, cut or not (`docs/spec/trace.md`, section 5).
fn relation_costs(model: &Model) -> Vec<Option<u64>> {
    let program = model.program();
    let nodes = program.nodes();
    nodes
        .map(|(node, _, _)| program.relation_cost(node))
        .collect()
}

fn text_of(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| error.to_string())
}

/// Writes every file.
///
/// # Errors
/// What could not be computed or written.
pub(crate) fn write(root: &Path) -> Result<String, String> {
    let files = all()?;
    for (name, value) in &files {
        let path = root.join("vectors").join(name);
        let folder = path.parent().unwrap_or(root);
        let text = text_of(value)?;
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}\n", path.display()))?;
    }
    Ok(format!("{} files written\n", files.len()))
}

/// Compares every file with what the code gives.
///
/// # Errors
/// The files that differ or are absent.
pub(crate) fn check(root: &Path) -> Result<String, String> {
    let files = all()?;
    let mut stale = String::new();
    for (name, value) in &files {
        let path = root.join("vectors").join(name);
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text_of(value)?) {
            stale.push_str(&format!(
                "{} is not what the code gives; run `cargo xtask vectors`\n",
                path.display()
            ));
        }
    }
    if stale.is_empty() {
        Ok(format!("{} files are up to date\n", files.len()))
    } else {
        Err(stale)
    }
}
