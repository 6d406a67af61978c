//! The log's objects: by number, by tile, and created so that they are what they must be.

use std::sync::Arc;

use credence_base::ReceiptDigest;
use credence_log::entry::{self, EntriesId};
use credence_log::sequencer::{Blob, Kind, RECORD_LEN_MAX, bundle_len_max, parse_group};
use credence_log::tile::{Tile, TileId};
use credence_store::objects::{Child, Created, Object, ObjectName, Objects};

use crate::error::LedgerError;

/// The longest of the log's small objects, in bytes.
const SMALL_LEN_MAX: u64 = 64;

/// The longest checkpoint that is read, in bytes.
const CHECKPOINT_LEN_MAX: u64 = 128 * 1024;

/// A numbered object.
pub(crate) struct Newest {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// A log's view of its object store.
#[derive(Clone)]
pub(crate) struct LogObjects(pub(crate) Arc<dyn Objects>);

impl LogObjects {
    /// The newest object of a kind.
    pub(crate) fn newest(&self, kind: Kind) -> Result<Option<Newest>, LedgerError> {
        let mut found = self.last_below(kind.folder().to_owned(), kind.depth(), 0)?;
        if found.is_none()
            && let Some(older) = kind.older_folder()
        {
            found = self.last_below(older.to_owned(), kind.depth(), 0)?;
        }
        let Some((number, name)) = found else {
            return Ok(None);
        };
        let len_max = match kind {
            Kind::Record => u64::try_from(RECORD_LEN_MAX).unwrap_or(u64::MAX),
            Kind::Checkpoint => CHECKPOINT_LEN_MAX,
        };
        match self.0.get(&ObjectName::new(name.clone())?, len_max)? {
            Some(bytes) => Ok(Some(Newest {
                number,
                name,
                bytes,
            })),
            None => Err(LedgerError::Missing { name }),
        }
    }

    /// A note that is replaced, or `None` if there is none.
    pub(crate) fn note(&self, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.0.get(&ObjectName::new(name)?, CHECKPOINT_LEN_MAX)?)
    }

    /// Puts a note in the place of the one before.
    pub(crate) fn replace(&self, name: &str, bytes: Vec<u8>) -> Result<(), LedgerError> {
        let name = name.to_owned();
        Ok(self.0.replace(&object(Blob { name, bytes })?)?)
    }

    /// The last name at `depth` levels below a folder. One whose making was cut short may be empty: then the one before.
    fn last_below(
        &self,
        folder: String,
        depth: usize,
        number: u64,
    ) -> Result<Option<(u64, String)>, LedgerError> {
        let children = self.0.list(&ObjectName::new(folder.clone())?)?;
        for child in children.into_iter().rev() {
            let (text, is_object) = match child {
                Child::Object(text) => (text, true),
                Child::Folder(text) => (text, false),
            };
            let Some(group) = parse_group(&text) else {
                continue;
            };
            let number = number.saturating_mul(1000).saturating_add(group);
            let name = format!("{folder}/{text}");
            match (is_object, depth) {
                (true, 1) => return Ok(Some((number, name))),
                (false, 2..) => {
                    if let Some(found) = self.last_below(name, depth.saturating_sub(1), number)? {
                        return Ok(Some(found));
                    }
                }
                (true, _) | (false, _) => {}
            }
        }
        Ok(None)
    }

    /// A file of the right edge or a bundle; a partial one that has gone is cut from the full one, as `tlog-tiles` has it.
    pub(crate) fn file(&self, name: &str) -> Result<Vec<u8>, LedgerError> {
        if let Some(bytes) = self.0.get(&ObjectName::new(name)?, bundle_len_max())? {
            return Ok(bytes);
        }
        let missing = || LedgerError::Missing {
            name: name.to_owned(),
        };
        let (full, each) = match (TileId::from_path(name), EntriesId::from_path(name)) {
            (Ok(id), _) if !id.is_full() => (id.full().path(), (id.width(), 32)),
            (_, Ok(id)) if !id.tile().is_full() => {
                (id.full().path(), (id.tile().width(), entry::ENTRY_LEN))
            }
            (_, _) => return Err(missing()),
        };
        let mut bytes = self
            .0
            .get(&ObjectName::new(full)?, bundle_len_max())?
            .ok_or_else(missing)?;
        bytes.truncate(usize::from(each.0).saturating_mul(each.1));
        Ok(bytes)
    }

    /// A tile. Nothing shows yet that it is right.
    pub(crate) fn tile(&self, id: TileId) -> Result<Tile, LedgerError> {
        let name = id.path();
        let bytes = self.file(&name)?;
        Tile::decode(id, &bytes).map_err(|source| LedgerError::Tile { name, source })
    }

    /// A bundle whose entries are the leaves of its tile.
    pub(crate) fn entries(&self, id: EntriesId) -> Result<Vec<ReceiptDigest>, LedgerError> {
        let name = id.path();
        let bytes = self.file(&name)?;
        let entries = match entry::decode(id, &bytes) {
            Ok(entries) => entries,
            Err(source) => return Err(LedgerError::Entries { name, source }),
        };
        if self.tile(id.tile())?.hashes() == entry::leaves(&entries) {
            Ok(entries)
        } else {
            Err(LedgerError::Leaves { name })
        }
    }

    /// A small object, or `None` if there is none.
    pub(crate) fn small(&self, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.0.get(&ObjectName::new(name)?, SMALL_LEN_MAX)?)
    }

    /// Creates an object; gives what stood there if it existed.
    pub(crate) fn create(&self, blob: Blob) -> Result<Option<Vec<u8>>, LedgerError> {
        let object = object(blob)?;
        let created = self.0.create(core::slice::from_ref(&object))?;
        if created == [Created::New] {
            return Ok(None);
        }
        let len_max = u64::try_from(RECORD_LEN_MAX).unwrap_or(u64::MAX);
        match self.0.get(&object.name, len_max)? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(LedgerError::Missing {
                name: object.name.to_string(),
            }),
        }
    }

    /// Creates objects; those that exist must be the same.
    pub(crate) fn create_same(&self, blobs: Vec<Blob>) -> Result<(), LedgerError> {
        let objects = blobs
            .into_iter()
            .map(object)
            .collect::<Result<Vec<_>, _>>()?;
        let created = self.0.create(&objects)?;
        for (object, created) in objects.iter().zip(created) {
            if created == Created::New {
                continue;
            }
            let len_max = CHECKPOINT_LEN_MAX.max(bundle_len_max());
            if self.0.get(&object.name, len_max)?.as_ref() != Some(&object.bytes) {
                return Err(LedgerError::Differs {
                    name: object.name.to_string(),
                });
            }
        }
        Ok(())
    }
}

impl LogObjects {
    /// Removes the partial tiles and bundles at places that became full between two published sizes. `tlog-tiles` allows it,
    /// and without it a slow log would keep up to 255 files for each full one. What a crash leaves here stays, and harms
    /// nobody. On each level only the first of the tiles that were added can have been partial.
    ///
    /// Records are never removed: that one of a number exists is what stops a sequencer that fell asleep before it.
    pub(crate) fn prune(&self, old: u64, new: u64) -> Result<(), LedgerError> {
        let edge = TileId::right_edge(old).into_iter();
        let grown = edge.filter(|id| !id.is_full()).filter(|id| {
            TileId::in_tree(id.level(), id.index(), new).is_some_and(|now| now.is_full())
        });
        let mut places = Vec::new();
        for id in grown {
            if id.level() == 0
                && let Some(bundle) = EntriesId::in_tree(id.index(), new)
            {
                places.push(bundle.path());
            }
            places.push(id.full().path());
        }
        for full in places {
            let folder = format!("{full}.p");
            let children = self.0.list(&ObjectName::new(folder.clone())?)?;
            let names = children.into_iter().filter_map(|child| match child {
                Child::Object(text) => Some(ObjectName::new(format!("{folder}/{text}"))),
                Child::Folder(_) => None,
            });
            let names = names.collect::<Result<Vec<_>, _>>()?;
            if !names.is_empty() {
                self.0.remove(&names)?;
            }
        }
        Ok(())
    }
}

fn object(blob: Blob) -> Result<Object, LedgerError> {
    Ok(Object {
        name: ObjectName::new(blob.name)?,
        bytes: blob.bytes,
    })
}
