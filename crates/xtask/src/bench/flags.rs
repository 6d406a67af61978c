//! The flags of tasks: pairs of a name and a value.

use std::path::{Path, PathBuf};

/// Flags as given.
#[derive(Debug)]
pub(crate) struct Flags<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Flags<'a> {
    /// Reads pairs, each name one of `known`.
    ///
    /// # Errors
    /// A name that is not known, or has no value.
    pub(crate) fn read(arguments: &[&'a str], known: &[&str]) -> Result<Self, String> {
        let mut pairs = Vec::new();
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if known.contains(name) => pairs.push((*name, *value)),
                [name, ..] => {
                    let known = known.join("`, `");
                    return Err(format!(
                        "`{name}` is no flag with a value\nhint: there are `{known}`, each with a value\n"
                    ));
                }
                [] => {}
            }
        }
        Ok(Self { pairs })
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let last = self.pairs.iter().rev().find(|(given, _)| *given == name);
        last.map(|(_, value)| *value)
    }

    /// A whole number, or what stands in for it.
    ///
    /// # Errors
    /// The value is no number, or 0.
    pub(crate) fn count(&self, name: &str, otherwise: usize) -> Result<usize, String> {
        let Some(text) = self.text(name) else {
            return Ok(otherwise);
        };
        let number = text.parse().ok().filter(|&number| number > 0);
        number.ok_or_else(|| format!("`{name}` takes a whole number above 0, got `{text}`\n"))
    }

    fn file(&self, name: &str, otherwise: &Path, hint: &str) -> Result<PathBuf, String> {
        let path = self
            .text(name)
            .map_or_else(|| otherwise.to_path_buf(), PathBuf::from);
        if path.exists() {
            return Ok(path);
        }
        Err(format!("`{}` is not there\nhint: {hint}\n", path.display()))
    }

    /// The model.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn gguf(&self, root: &Path) -> Result<PathBuf, String> {
        let hint = "give a model with --gguf FILE; the published figures are those of SmolLM2-135M-Instruct, Q4_1";
        self.file("--gguf", &root.join("target/peers/model.gguf"), hint)
    }

    /// An imported language model.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn model(&self, root: &Path) -> Result<PathBuf, String> {
        let hint = "give a model that `credence model import` made with --model FILE; the published figures are those of SmolLM2-135M-Instruct";
        self.file(
            "--model",
            &root.join("target/bench/model.safetensors"),
            hint,
        )
    }

    /// The Python that has llama.cpp.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn python(&self, root: &Path) -> Result<PathBuf, String> {
        let hint =
            "make the environment as bench/peers/requirements.in says, or give --python FILE";
        self.file("--python", &root.join("target/peers/bin/python"), hint)
    }
}
