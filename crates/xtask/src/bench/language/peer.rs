//! Runs `bench/peers/llama_bench.py` in its environment and reads its figures.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Part, Parts, Start, Work};

/// The environment and the script.
pub(crate) struct Llama {
    python: PathBuf,
    script: PathBuf,
}

/// What one run of one file gave.
pub(crate) struct Run {
    pub(crate) parts: Parts,
    pub(crate) start: Start,
    pub(crate) version: String,
    pub(crate) processor: String,
    /// The instructions that llama.cpp says it uses.
    pub(crate) system: String,
}

impl Llama {
    /// A script of `bench/peers` in its environment.
    pub(crate) fn new(root: &Path, python: PathBuf, script: &str) -> Self {
        let script = root.join("bench/peers").join(script);
        Self { python, script }
    }

    /// Starts the script; what it reads is written, what it writes is the caller's to read.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn spawn(
        &self,
        arguments: &[&str],
        work: &Value,
    ) -> Result<std::process::Child, String> {
        let mut child = Command::new(&self.python)
            .arg(&self.script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| format!("{}: {error}\n", self.python.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            let written = stdin.write_all(work.to_string().as_bytes());
            written.map_err(|error| format!("{}: {error}\n", self.script.display()))?;
        }
        Ok(child)
    }

    /// Runs the script to its end; what it wrote.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn output(&self, arguments: &[&str], work: &Value) -> Result<Vec<u8>, String> {
        let output = self.spawn(arguments, work)?.wait_with_output();
        let output = output.map_err(|error| format!("{}: {error}\n", self.script.display()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!(
            "`{}` failed; it says why above\n",
            self.script.display()
        ))
    }

    /// Writes a file in Q8_0, if it is not there yet.
    ///
    /// # Errors
    /// llama.cpp refuses.
    pub(crate) fn quantise(&self, source: &Path, target: &Path) -> Result<(), String> {
        if target.exists() {
            return Ok(());
        }
        let (source, target) = (source.to_string_lossy(), target.to_string_lossy());
        self.output(&["quantise", &source, &target], &Value::Null)?;
        Ok(())
    }

    /// Times one file.
    ///
    /// # Errors
    /// The script failed, or wrote what is not its document.
    pub(crate) fn time(&self, model: &Path, threads: usize, work: &Work) -> Result<Run, String> {
        let work = json!({
            "prompt": work.prompt,
            "generate": work.generate,
            "answer": work.answer,
            "streams": work.streams,
            "steps": work.steps,
        });
        let (model, threads) = (model.to_string_lossy(), threads.to_string());
        let output = self.output(&["time", &model, "--threads", &threads], &work)?;
        let document: Value = serde_json::from_slice(&output).map_err(|e| format!("{e}\n"))?;
        read(&document).ok_or_else(|| "llama.cpp's document lacks a figure\n".to_owned())
    }
}

fn read(document: &Value) -> Option<Run> {
    let part = |name: &str| {
        let part = &document["parts"][name];
        Some(Part {
            tokens: part["tokens"].as_f64()?,
            wall_s: part["wall_s"].as_f64()?,
            cpu_s: part["cpu_s"].as_f64()?,
        })
    };
    let text = |name: &str| document[name].as_str().map(str::to_owned);
    Some(Run {
        parts: Parts {
            prefill: part("prefill")?,
            decode: part("decode")?,
            make: part("make")?,
            verify: part("verify")?,
            streams: part("streams")?,
        },
        start: Start {
            load_s: document["load_s"].as_f64()?,
            // What Python takes before llama.cpp is asked for anything is not llama.cpp's.
            peak_mb: (document["peak_kib"].as_f64()? - document["idle_kib"].as_f64()?) * 1024.0
                / 1e6,
        },
        version: text("version")?,
        processor: text("processor")?,
        system: text("system")?,
    })
}
