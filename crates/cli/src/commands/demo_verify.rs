//! What both demonstrations do: `credence verify` in a process of its own, which is given a bundle and a model and knows nothing else.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use credence_receipt::Bundle;
use credence_store::file::{self, Access};

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// A bundle to verify, and how that is to end.
pub(super) struct Asked<'a> {
    pub(super) bundle: &'a Path,
    /// The value of `--model`.
    pub(super) model: &'a OsStr,
    /// The value of `--home`, if it is to be told.
    pub(super) home: Option<&'a Path>,
    pub(super) what: &'static str,
    pub(super) expected: u8,
}

/// Says something to people.
pub(super) fn tell(context: &mut Context, text: &str) -> Result<(), CliError> {
    if context.console.json() {
        return Ok(());
    }
    context.console.data(text)?;
    context.console.flush()
}

/// Writes a bundle.
pub(super) fn write(path: &Path, bundle: &Bundle) -> Result<(), CliError> {
    let bytes = bundle
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    Ok(file::write(path, &bytes, Access::Owner)?)
}

/// Runs `credence verify`, shows what it says, and gives the exit code, which is the expected one.
pub(super) fn verify(context: &mut Context, asked: &Asked<'_>) -> Result<Option<i32>, CliError> {
    let program = std::env::current_exe()
        .map_err(|e| CliError::ours("this program cannot be found to run it again", e))?;
    let command = format!(
        "   $ credence verify {} --model {}\n",
        asked.bundle.display(),
        asked.model.display()
    );
    tell(context, &command)?;
    let mut command = Command::new(program);
    command.arg("verify").arg(asked.bundle);
    command.arg("--model").arg(asked.model);
    if let Some(home) = asked.home {
        command.arg("--home").arg(home);
    }
    let output = command
        .output()
        .map_err(|e| CliError::ours("this program cannot be run again", e))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().map(|line| format!("   {line}"));
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    let code = output.status.code();
    let ended = code.map_or_else(
        || "was killed".to_owned(),
        |code| format!("exit code {code}"),
    );
    tell(context, &format!("{}\n   → {ended}\n", lines.join("\n")))?;
    let Asked { what, expected, .. } = asked;
    if code == Some(i32::from(*expected)) {
        return Ok(code);
    }
    let text = format!(
        "`credence verify` of {what} ended otherwise than with exit code {expected}: {ended}"
    );
    Err(CliError::new(Exit::Failed, text)
        .hint("this is a bug: please report it with the output above"))
}
