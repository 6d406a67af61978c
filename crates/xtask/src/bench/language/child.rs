//! A process of its own that starts an imported model and decodes with it: what starting takes, and how much memory.
//!
//! The parent holds the float graph and has imported; here is only what a server holds. Not for people: the task is not listed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use credence_hub::{Hub, Loaded};
use serde_json::{Value, json};

use super::subject::language;
use super::{Start, chain, ours};

/// The task's name.
pub(crate) const TASK: &str = "bench-child";

/// What the child does: start, prefill, decode; a JSON document of what it took.
///
/// # Errors
/// The file is no model.
pub(crate) fn run(file: &str, threads: &str) -> Result<String, String> {
    let threads = threads.parse().map_err(|e| format!("{e}\n"))?;
    let start = Instant::now();
    let Loaded { model, .. } = Hub::load_file(Path::new(file)).map_err(|e| chain(&e))?;
    let read_s = start.elapsed().as_secs_f64();
    let language = language(Arc::new(model), threads)?;
    let load_s = start.elapsed().as_secs_f64();
    let prompt: Vec<u32> = (0..128).collect();
    ours::answer(&language, &prompt, 128)?;
    Ok(json!({ "read_s": read_s, "load_s": load_s, "peak_kib": peak_kib() }).to_string())
}

/// Runs the child on a stored model.
///
/// # Errors
/// It failed.
pub(crate) fn measure(file: &Path, threads: usize) -> Result<Start, String> {
    let itself = std::env::current_exe().map_err(|e| format!("{e}\n"))?;
    let output = Command::new(itself)
        .arg(TASK)
        .arg(file)
        .arg(threads.to_string())
        .output()
        .map_err(|e| format!("{e}\n"))?;
    let document: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stdout).into_owned())?;
    let figure = |name: &str| document[name].as_f64().unwrap_or(0.0);
    Ok(Start {
        load_s: figure("load_s"),
        peak_mb: figure("peak_kib") * 1024.0 / 1e6,
    })
}

/// The most memory that this process has held; 0 where there is no `/proc`.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}
