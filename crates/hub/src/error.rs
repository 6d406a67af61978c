//! Why a model is not kept, found or loaded.

use std::path::PathBuf;

use credence_base::json::JsonError;
use credence_base::{ModelId, Name, NameError};
use credence_model::FileError;
use credence_store::StoreError;

/// Why a model is not kept, found or loaded.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A file cannot be read or written.
    #[error("the models cannot be read or written")]
    Store(#[from] StoreError),
    /// No model of that name, id or beginning of an id.
    #[error("no model is called `{query}`, and no model's id begins so")]
    Unknown {
        /// What was asked for.
        query: String,
    },
    /// The model of that id is not here.
    #[error("model `{id}` is not here")]
    Absent {
        /// The id.
        id: ModelId,
    },
    /// Several ids begin like that.
    #[error("`{query}` begins the ids of {count} models")]
    Ambiguous {
        /// What was asked for.
        query: String,
        /// How many models fit.
        count: usize,
    },
    /// Neither a name nor an id.
    #[error("`{query}` is neither a name nor at least eight hexadecimal digits of an id")]
    Query {
        /// What was asked for.
        query: String,
        /// Why it is no name.
        source: NameError,
    },
    /// A name that could be taken for an id.
    #[error("`{name}` cannot name a model: it could be the beginning of an id")]
    NameLikeId {
        /// The name.
        name: Name,
    },
    /// The name belongs to another model.
    #[error("`{name}` is the name of another model, `{id}`")]
    NameTaken {
        /// The name.
        name: Name,
        /// The model that has it.
        id: ModelId,
    },
    /// The file is no model.
    #[error("`{path}` is not a model")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<FileError>,
    },
    /// The file holds another model than its name says.
    #[error("`{path}` holds model `{got}`, expected `{expected}`")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The id in its name.
        expected: ModelId,
        /// The id of what it holds.
        got: ModelId,
    },
    /// The model cannot be written as a file.
    #[error("the model cannot be written as a file")]
    Encode(#[source] Box<FileError>),
    /// The list of names is damaged.
    #[error("`{path}` is not a list of names")]
    Names {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: JsonError,
    },
    /// The list of names has something else than a name in it.
    #[error("`{path}` has `{name}` in it, which is no name")]
    NamesName {
        /// The file.
        path: PathBuf,
        /// What stands there.
        name: String,
        /// Why it is none.
        source: NameError,
    },
}

impl HubError {
    /// What to do about it, where that is known.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Unknown { .. } | Self::Absent { .. } => {
                Some("`credence model list` shows what is here; `credence model import` adds one")
            }
            Self::Ambiguous { .. } => Some("give more digits of the id"),
            Self::Query { .. } => Some("names are 1 to 64 of `a-z0-9._-`"),
            Self::NameLikeId { .. } => {
                Some("choose a name with another letter than `0-9a-f` in it")
            }
            Self::NameTaken { .. } => Some(
                "choose another `--name`, or remove that model first: `credence model rm NAME`",
            ),
            Self::File { .. } => {
                Some("a model's file comes from `credence model import`; import it again")
            }
            Self::OtherModel { .. } => {
                Some("the file was changed or renamed: remove it and import the model again")
            }
            Self::Encode(_) => None,
            Self::Names { .. } | Self::NamesName { .. } => {
                Some("remove that file; models stay, and can be named again by importing them")
            }
        }
    }
}
