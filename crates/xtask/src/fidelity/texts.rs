//! Reads `bench/texts`: files named `KIND.NAME.txt`, in the order of their names.

use std::path::Path;

use credence_text::{Context, Special, Text};

use super::cut::Tokens;
use crate::bench::language::chain;

/// All texts, as tokens.
///
/// # Errors
/// A file cannot be read or tokenised.
pub(crate) fn read(root: &Path, text: &Text) -> Result<Vec<Tokens>, String> {
    let folder = root.join("bench/texts");
    let refused = |path: &Path, error: std::io::Error| format!("{}: {error}\n", path.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| refused(&folder, error))? {
        let entry = entry.map_err(|error| refused(&folder, error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut texts = Vec::new();
    for name in names {
        let Some((kind, rest)) = name.split_once('.') else {
            continue;
        };
        if !rest.contains('.') {
            continue;
        }
        let path = folder.join(&name);
        let words = std::fs::read_to_string(&path).map_err(|error| refused(&path, error))?;
        let ids = text
            .tokenise(&words, Special::Plain, Context::Begin)
            .map_err(|e| chain(&e))?;
        texts.push(Tokens {
            kind: kind.to_owned(),
            ids,
        });
    }
    Ok(texts)
}
