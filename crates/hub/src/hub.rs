//! The models in one folder.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_base::{ModelId, Name};
use credence_model::{Bytes, FILE_EXTENSION, MODEL_FILE_BYTES_MAX, Model, ProgramSpec, Provenance};
use credence_store::file::{self, Access, Lock, make_folder};
use credence_store::{Action, Map, StoreError};

use crate::error::HubError;
use crate::names::Names;
use crate::query::{Query, check_name};

/// A folder of models. It need not exist until one is put there.
#[derive(Debug, Clone)]
pub struct Hub {
    folder: PathBuf,
}

/// One model that is kept, as the folder shows it: nothing is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The id in the file's name. Only loading shows that the file holds it.
    pub id: ModelId,
    /// Its names, in order. May be empty.
    pub names: Vec<Name>,
    /// Length of its file in bytes; `None` if a name is left of a file that is gone.
    pub size_bytes: Option<u64>,
}

/// A model that was read, checked, and has the id it was asked by.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// What the importer noted. Nothing authenticates it.
    pub provenance: Provenance,
}

/// What [`Hub::remove`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The model.
    pub id: ModelId,
    /// The names that no longer stand for it.
    pub names: Vec<Name>,
    /// Whether its file is gone too; it stays while it has another name.
    pub file: bool,
}

/// A model's file in memory: read when it is looked at, given back when its tensors are released.
struct Mapped(Map);

impl Bytes for Mapped {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn release(&self, range: Range<usize>) {
        self.0.release(range);
    }
}

impl Hub {
    /// Uses the models in `folder`.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the file of a model is or would be.
    #[must_use]
    pub fn path(&self, id: ModelId) -> PathBuf {
        self.folder.join(format!("{id}.{FILE_EXTENSION}"))
    }

    /// Keeps a model under its id and gives it a name. File and name are durable on return; the name comes last, so no name
    /// ever stands for a file that is not whole.
    ///
    /// # Errors
    /// [`HubError::NameTaken`] when the name stands for another model, [`HubError::NameLikeId`], or as the files say.
    pub fn put(
        &self,
        model: &Model,
        provenance: &Provenance,
        name: &Name,
    ) -> Result<PathBuf, HubError> {
        check_name(name)?;
        let _lock = self.lock()?;
        let mut names = self.names()?;
        names.add(name, model.id())?;
        let parts = model
            .file_parts(provenance)
            .map_err(|e| HubError::Encode(Box::new(e)))?;
        let path = self.path(model.id());
        let mut all = vec![parts.header.as_slice()];
        all.extend(parts.tensors);
        file::write_parts(&path, &all, Access::Public)?;
        names.write()?;
        Ok(path)
    }

    /// Gives a model that is here another name. Durable on return.
    ///
    /// # Errors
    /// As [`Hub::put`].
    pub fn name(&self, id: ModelId, name: &Name) -> Result<(), HubError> {
        check_name(name)?;
        let _lock = self.lock()?;
        let mut names = self.names()?;
        names.add(name, id)?;
        names.write()
    }

    /// What the file of a model says it is, without checking that it is so: for lists.
    ///
    /// # Errors
    /// [`HubError`] when there is no file, or it cannot be read.
    pub fn peek(&self, id: ModelId) -> Result<ProgramSpec, HubError> {
        let path = self.path(id);
        let bytes = credence_store::map(&path, MODEL_FILE_BYTES_MAX)?;
        let read = credence_model::peek_safetensors(bytes.as_ref());
        let (program, _) = read.map_err(|source| HubError::File {
            path,
            source: Box::new(source),
        })?;
        Ok(program)
    }

    /// All models, by id.
    ///
    /// # Errors
    /// [`HubError`] when the folder or the list of names cannot be read. A folder that is absent has no models.
    pub fn list(&self) -> Result<Vec<Entry>, HubError> {
        let mut sizes: BTreeMap<ModelId, Option<u64>> = self.files()?;
        let names = self.names()?;
        for (_, id) in names.iter() {
            sizes.entry(id).or_insert(None);
        }
        let entry = |(id, size_bytes)| Entry {
            id,
            names: names.of(id),
            size_bytes,
        };
        Ok(sizes.into_iter().map(entry).collect())
    }

    /// The id of the model that a person calls `text`.
    ///
    /// # Errors
    /// [`HubError::Unknown`], [`HubError::Ambiguous`], [`HubError::Query`].
    pub fn find(&self, text: &str) -> Result<ModelId, HubError> {
        let query = Query::parse(text)?;
        let unknown = || HubError::Unknown {
            query: text.to_owned(),
        };
        if let Query::Name(name) = &query {
            return self.names()?.get(name).ok_or_else(unknown);
        }
        let entries = self.list()?;
        let mut fitting = entries.iter().filter(|entry| query.fits(entry.id));
        let first = fitting.next().ok_or_else(unknown)?.id;
        match fitting.count() {
            0 => Ok(first),
            more => Err(HubError::Ambiguous {
                query: text.to_owned(),
                count: more.saturating_add(1),
            }),
        }
    }

    /// Reads and checks the model of this id.
    ///
    /// # Errors
    /// [`HubError::Absent`] when there is none, [`HubError::OtherModel`] when its file holds another.
    pub fn load(&self, id: ModelId) -> Result<Loaded, HubError> {
        let path = self.path(id);
        let loaded = match Self::load_file(&path) {
            Err(HubError::Store(error)) if error.is_absent() => {
                return Err(HubError::Absent { id });
            }
            other => other?,
        };
        let got = loaded.model.id();
        if got != id {
            let expected = id;
            return Err(HubError::OtherModel {
                path,
                expected,
                got,
            });
        }
        Ok(loaded)
    }

    /// Reads and checks a model's file anywhere. Its id is whatever it holds. The model keeps a map of the file: nobody may change it in place
    /// ([`credence_store::map`]).
    ///
    /// # Errors
    /// [`HubError`].
    pub fn load_file(path: &Path) -> Result<Loaded, HubError> {
        let bytes = credence_store::map(path, MODEL_FILE_BYTES_MAX)?;
        let read = Model::from_shared_safetensors(Arc::new(Mapped(bytes)));
        let (model, provenance) = read.map_err(|source| HubError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Loaded { model, provenance })
    }

    /// Removes a name, and the model's file with its last one; asked by id, all names and the file.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn remove(&self, text: &str) -> Result<Removed, HubError> {
        let query = Query::parse(text)?;
        // Looked for first: asking for what is not there makes no folder.
        self.find(text)?;
        let _lock = self.lock()?;
        let id = self.find(text)?;
        let mut names = self.names()?;
        let before = names.of(id);
        match &query {
            Query::Name(name) => names.remove(name),
            Query::Id(_) | Query::Prefix(_) => names.remove_all(id),
        }
        let after = names.of(id);
        // The name goes first: a file without a name is kept, a name without a file would be a broken promise.
        names.write()?;
        let file = after.is_empty();
        if file {
            match file::remove(&self.path(id)) {
                Err(error) if error.is_absent() => {}
                other => other?,
            }
        }
        let names = before.into_iter().filter(|n| !after.contains(n)).collect();
        Ok(Removed { id, names, file })
    }

    fn names(&self) -> Result<Names, HubError> {
        Names::read(self.folder.join("names.json"))
    }

    fn lock(&self) -> Result<Lock, HubError> {
        make_folder(&self.folder, Access::Public)?;
        Ok(file::lock(&self.folder.join("names.lock"))?)
    }

    fn files(&self) -> Result<BTreeMap<ModelId, Option<u64>>, HubError> {
        let fail = |source| StoreError::from_io(Action::Read, &self.folder, source);
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(fail(error).into()),
        };
        let mut sizes = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let path = entry.path();
            let named = path.extension().is_some_and(|e| e == FILE_EXTENSION);
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(id) = stem.filter(|_| named).and_then(|stem| stem.parse().ok()) {
                sizes.insert(id, Some(entry.metadata().map_err(fail)?.len()));
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests;
