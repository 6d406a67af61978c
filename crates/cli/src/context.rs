//! What every command has at hand: where to speak, where home is, how to find a model.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_exec::{Isa, Options};
use credence_hub::{Hub, Loaded};
use credence_model::{FILE_EXTENSION, Model, Provenance};
use credence_node::Operator;
use credence_store::{Home, KeyFile, Made};

use crate::console::Console;
use crate::error::CliError;

/// The state of one invocation.
pub(crate) struct Context {
    /// Where to speak.
    pub(crate) console: Console,
    chosen_home: Option<PathBuf>,
}

/// A model that a person named.
pub(crate) struct Found {
    /// The model, checked.
    pub(crate) model: Arc<Model>,
    /// What it was called.
    pub(crate) called: String,
    /// What the importer noted.
    pub(crate) provenance: Provenance,
}

impl Found {
    pub(crate) fn new(loaded: Loaded, called: String) -> Self {
        let Loaded { model, provenance } = loaded;
        Self {
            model: Arc::new(model),
            called,
            provenance,
        }
    }
}

impl Context {
    pub(crate) const fn new(console: Console, chosen_home: Option<PathBuf>) -> Self {
        Self {
            console,
            chosen_home,
        }
    }

    /// The home folder. Looked for only by commands that need it, so that the others work without one.
    pub(crate) fn home(&self) -> Result<Home, CliError> {
        Ok(Home::find(self.chosen_home.clone(), |name| {
            std::env::var_os(name)
        })?)
    }

    /// The models in the home folder.
    pub(crate) fn hub(&self) -> Result<Hub, CliError> {
        Ok(Hub::at(self.home()?.models()))
    }

    /// The model called `text`: a file if it looks like one, else a name or an id in the home folder.
    pub(crate) fn model(&self, text: &str) -> Result<Found, CliError> {
        let path = Path::new(text);
        let is_file =
            path.extension().is_some_and(|e| e == FILE_EXTENSION) || path.components().count() > 1;
        let (loaded, called) = if is_file {
            let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned());
            (Hub::load_file(path)?, stem.unwrap_or_default())
        } else {
            let hub = self.hub()?;
            (hub.load(hub.find(text)?)?, text.to_owned())
        };
        Ok(Found::new(loaded, called))
    }

    /// The operator, whose key is made if there is none.
    pub(crate) fn operator(&mut self) -> Result<Operator, CliError> {
        let file = KeyFile::at(self.home()?.operator_key());
        let (key, made) = file.read_or_make()?;
        if made == Made::New {
            let path = file.path().display();
            self.console.say(&format!(
                "made a new operator's key, `{path}`: keep it secret, and keep a copy"
            ));
        }
        Ok(Operator::new(key))
    }
}

/// How to run a model: the fastest instructions that the machine has, on `threads` or all of its threads.
pub(crate) fn engine_options(threads: Option<NonZeroUsize>) -> Options {
    let all = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Options {
        threads: threads.unwrap_or_else(all),
        isa: Isa::detect(),
    }
}
