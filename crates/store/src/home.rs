//! The home folder: where models, keys and receipts are kept unless someone says otherwise.
//!
//! `--home DIR`, else `CREDENCE_HOME`, else `$XDG_DATA_HOME/credence`, else `~/.local/share/credence`. Nothing else is
//! read from the environment, and nothing in it weakens a check.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::file::{Access, make_folder};

/// There is no place for a home folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// No variable of the environment says where.
    #[error("no home folder: none of `CREDENCE_HOME`, `XDG_DATA_HOME` and `HOME` is set")]
    Unset,
    /// A variable names a place that depends on the current folder.
    #[error("`{variable}` must be an absolute path, but is `{got}`")]
    Relative {
        /// The variable.
        variable: &'static str,
        /// Its value.
        got: PathBuf,
    },
}

/// The home folder. It need not exist: parts of it are made when they are first written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// Takes a folder as home.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Finds the home folder. `chosen` is what the user named; `variable` reads the environment.
    ///
    /// # Errors
    /// [`HomeError`] when nobody names one, or a variable names it relative to the current folder.
    pub fn find(
        chosen: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, HomeError> {
        if let Some(folder) = chosen {
            return Ok(Self(folder));
        }
        let below = |name: &'static str, rest: &str| {
            let folder = variable(name).filter(|value| !value.is_empty())?;
            let got = PathBuf::from(folder);
            Some(if got.is_absolute() {
                // Joining an empty path would leave a slash at the end.
                Ok(Self(if rest.is_empty() { got } else { got.join(rest) }))
            } else {
                Err(HomeError::Relative {
                    variable: name,
                    got,
                })
            })
        };
        below("CREDENCE_HOME", "")
            .or_else(|| below("XDG_DATA_HOME", "credence"))
            .or_else(|| below("HOME", ".local/share/credence"))
            .unwrap_or(Err(HomeError::Unset))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where models are kept.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.0.join("models")
    }

    /// Where receipts are kept.
    #[must_use]
    pub fn receipts(&self) -> PathBuf {
        self.0.join("receipts")
    }

    /// Where receipts are kept if they are encrypted or go after a time.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault")
    }

    /// Where the log lies.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The log's key.
    #[must_use]
    pub fn log_key(&self) -> PathBuf {
        self.0.join("keys").join("log.pem")
    }

    /// The operator's key.
    #[must_use]
    pub fn operator_key(&self) -> PathBuf {
        self.0.join("keys").join("operator.pem")
    }

    /// Makes the folder of models.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn make_models(&self) -> Result<PathBuf, StoreError> {
        let folder = self.models();
        make_folder(&folder, Access::Public)?;
        Ok(folder)
    }

    /// Makes the folder of receipts, readable by its owner alone: openings show what was asked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn make_receipts(&self) -> Result<PathBuf, StoreError> {
        let folder = self.receipts();
        make_folder(&folder, Access::Owner)?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_set_wins() {
        let relative = |variable| {
            Err(HomeError::Relative {
                variable,
                got: PathBuf::from("rel"),
            })
        };
        let home = |path: &str| Ok(Home::at(PathBuf::from(path)));
        type Set<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Option<&str>, Set<'_>, Result<Home, HomeError>); 8] = [
            (Some("x"), &[("CREDENCE_HOME", "/c")], home("x")),
            (None, &[("CREDENCE_HOME", "/c"), ("HOME", "/h")], home("/c")),
            (
                None,
                &[("XDG_DATA_HOME", "/d"), ("HOME", "/h")],
                home("/d/credence"),
            ),
            (None, &[("HOME", "/h")], home("/h/.local/share/credence")),
            (
                None,
                &[("CREDENCE_HOME", ""), ("HOME", "/h")],
                home("/h/.local/share/credence"),
            ),
            (None, &[("CREDENCE_HOME", "rel")], relative("CREDENCE_HOME")),
            (None, &[("XDG_DATA_HOME", "rel")], relative("XDG_DATA_HOME")),
            (None, &[], Err(HomeError::Unset)),
        ];
        for (chosen, set, expected) in cases {
            let variable = |name: &str| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(
                Home::find(chosen.map(PathBuf::from), variable),
                expected,
                "{set:?}"
            );
        }
    }
}
