//! The list of names: canonical JSON, an object from name to id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use credence_base::json::{self, Hex32};
use credence_base::{ModelId, Name};
use credence_store::file::{self, Access};

use crate::error::HubError;

/// The longest list that is read: some ten thousand names.
const LIST_LEN_MAX: u64 = 2 * 1024 * 1024;

/// Names, each with the model it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    path: PathBuf,
    ids: BTreeMap<Name, ModelId>,
}

impl Names {
    /// Reads the list; one that is absent is empty.
    pub(crate) fn read(path: PathBuf) -> Result<Self, HubError> {
        let bytes = match file::read(&path, LIST_LEN_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_absent() => {
                let ids = BTreeMap::new();
                return Ok(Self { path, ids });
            }
            Err(error) => return Err(error.into()),
        };
        let list: BTreeMap<String, Hex32> =
            json::from_canonical(&bytes, bytes.len()).map_err(|source| HubError::Names {
                path: path.clone(),
                source,
            })?;
        let entry = |(name, id): (String, Hex32)| match Name::new(&name) {
            Ok(name) => Ok((name, ModelId::from_bytes(id.0))),
            Err(source) => Err(HubError::NamesName {
                path: path.clone(),
                name,
                source,
            }),
        };
        let ids = list.into_iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { path, ids })
    }

    /// Replaces the list on disk. Durable on return.
    pub(crate) fn write(&self) -> Result<(), HubError> {
        let list: BTreeMap<&str, Hex32> = self
            .ids
            .iter()
            .map(|(name, id)| (name.as_str(), Hex32(*id.as_bytes())))
            .collect();
        let bytes = json::to_canonical(&list).map_err(|source| HubError::Names {
            path: self.path.clone(),
            source,
        })?;
        Ok(file::write(self.path(), &bytes, Access::Public)?)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, name: &Name) -> Option<ModelId> {
        self.ids.get(name).copied()
    }

    /// The names of `id`, in order.
    pub(crate) fn of(&self, id: ModelId) -> Vec<Name> {
        let own = self.ids.iter().filter(|(_, of)| **of == id);
        own.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, ModelId)> {
        self.ids.iter().map(|(name, id)| (name, *id))
    }

    /// Gives `id` another name.
    pub(crate) fn add(&mut self, name: &Name, id: ModelId) -> Result<(), HubError> {
        match self.get(name) {
            Some(taken) if taken != id => Err(HubError::NameTaken {
                name: name.clone(),
                id: taken,
            }),
            Some(_) => Ok(()),
            None => {
                self.ids.insert(name.clone(), id);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        self.ids.remove(name);
    }

    pub(crate) fn remove_all(&mut self, id: ModelId) {
        self.ids.retain(|_, of| *of != id);
    }
}
