//! Runs the peers' benchmark script in its pinned environment and reads its figures.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::measure::Figures;

/// What onnxruntime did, on the same machine.
pub(crate) struct Peer {
    pub(crate) version: String,
    pub(crate) processor: String,
    cases: Vec<Value>,
}

impl Peer {
    /// Runs the script with this many threads.
    ///
    /// # Errors
    /// The environment is not there, or the script failed.
    pub(crate) fn run(root: &Path, threads: usize, seconds: f64) -> Result<Self, String> {
        let python = root.join(".venv/bin/python");
        if !python.exists() {
            return Err("`.venv` is not there\nhint: run `scripts/python-env` first".to_owned());
        }
        let output = Command::new(python)
            .arg(root.join("bench/peers/onnxruntime_bench.py"))
            .args([
                "--threads",
                &threads.to_string(),
                "--seconds",
                &seconds.to_string(),
                "--bind",
            ])
            .output()
            .map_err(|error| format!("the peers' benchmark cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "the peers' benchmark failed: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let document: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let text = |key: &str| document[key].as_str().unwrap_or("unknown").to_owned();
        let cases = document["cases"].as_array().cloned().unwrap_or_default();
        Ok(Self {
            version: text("onnxruntime"),
            processor: text("processor"),
            cases,
        })
    }

    /// Its figures for a model (or `call-overhead/MODEL`) at a batch size.
    pub(crate) fn figures(&self, model: &str, batch: usize) -> Option<Figures> {
        let case = self
            .cases
            .iter()
            .find(|case| case["model"] == model && case["batch"] == batch)?;
        Some(Figures {
            wall_median_s: case["wall_median_s"].as_f64()?,
            cpu_median_s: case["cpu_median_s"].as_f64()?,
        })
    }
}
