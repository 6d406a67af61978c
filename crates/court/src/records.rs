//! A referee's files: what was filed, every entry, the verdict. Nothing is ever written over, and what ended long ago is removed.
//!
//! ```text
//! <folder>/lock                              held while the process lives
//! <folder>/clock                             crate::clock
//! <folder>/cards/<ModelId>                   programs; checked against the id whenever they are read
//! <folder>/disputes/<id>/filing              once it is there, the dispute has begun
//! <folder>/disputes/<id>/entries/<number>    u64 time ‖ u8 0, or u8 1 ‖ message
//! <folder>/disputes/<id>/verdict             the signed verdict, a bundle without evidence
//! ```
//!
//! Every file is durable when the call that writes it returns. A dispute that is removed loses its filing first, so one that is half removed is none. It deliberately
//! does not decide which are old.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use credence_base::wire::{Reader, Writer};
use credence_base::{Digest, ModelId};
use credence_dispute::Entry;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::file::{self, Access, Lock};
use credence_store::{Action, StoreError};

use crate::MESSAGE_BYTES_MAX;
use crate::error::CourtError;
use crate::filing::{CARD_BYTES_MAX, FILING_BYTES_MAX, Filing};

/// Most entries of a dispute that are read: honest ones have some forty.
const ENTRIES_MAX: u32 = 4096;

/// The folder of a referee.
pub(crate) struct Records {
    folder: PathBuf,
    _lock: Lock,
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Records {
    /// Opens a folder, which is made if it is absent, for this process alone.
    pub(crate) fn open(folder: &Path) -> Result<Self, CourtError> {
        file::make_folder(folder, Access::Owner)?;
        let lock = file::lock(&folder.join("lock"))?;
        for name in ["cards", "disputes"] {
            file::make_folder(&folder.join(name), Access::Owner)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn clock(&self) -> PathBuf {
        self.folder.join("clock")
    }

    fn dispute(&self, id: &Digest) -> PathBuf {
        self.folder.join("disputes").join(id.to_string())
    }

    fn entry_path(&self, id: &Digest, number: u32) -> PathBuf {
        self.dispute(id)
            .join("entries")
            .join(format!("{number:04}"))
    }

    /// Every dispute that has begun, in no order.
    pub(crate) fn all(&self) -> Result<Vec<Digest>, CourtError> {
        let folder = self.folder.join("disputes");
        let fail = |source| StoreError::from_io(Action::Read, &folder, source);
        let mut found = Vec::new();
        for child in std::fs::read_dir(&folder).map_err(fail)? {
            let child = child.map_err(fail)?;
            let id = child
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(id) = id
                && child.path().join("filing").exists()
            {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Removes a dispute; what is left of one whose removal was cut short goes as well.
    pub(crate) fn remove(&self, id: &Digest) -> Result<(), CourtError> {
        match file::remove(&self.dispute(id).join("filing")) {
            Ok(()) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        let folder = self.dispute(id);
        let fail = |source| StoreError::from_io(Action::Remove, &folder, source);
        Ok(std::fs::remove_dir_all(&folder).map_err(fail)?)
    }

    /// Removes what is left of disputes whose removal was cut short, or that never began.
    pub(crate) fn tidy(&self) -> Result<(), CourtError> {
        let folder = self.folder.join("disputes");
        let fail = |source| StoreError::from_io(Action::Read, &folder, source);
        for child in std::fs::read_dir(&folder).map_err(fail)? {
            let path = child.map_err(fail)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let id: Option<Digest> = name.and_then(|name| name.parse().ok());
            if let Some(id) = id
                && !path.join("filing").exists()
            {
                self.remove(&id)?;
            }
        }
        Ok(())
    }

    /// Removes the cards of all models but these.
    pub(crate) fn keep_cards_of(&self, models: &BTreeSet<ModelId>) -> Result<(), CourtError> {
        let folder = self.folder.join("cards");
        let fail = |source| StoreError::from_io(Action::Read, &folder, source);
        for child in std::fs::read_dir(&folder).map_err(fail)? {
            let path = child.map_err(fail)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let model: Option<ModelId> = name.and_then(|name| name.parse().ok());
            if model.is_some_and(|model| !models.contains(&model)) {
                file::remove(&path)?;
            }
        }
        Ok(())
    }

    pub(crate) fn card(&self, model: ModelId) -> Result<Option<Vec<u8>>, CourtError> {
        let path = self.folder.join("cards").join(model.to_string());
        absent(file::read(&path, wide(CARD_BYTES_MAX)))
    }

    /// Keeps a card, which is checked against the model's id by now, unless there are as many as may be.
    pub(crate) fn keep_card(
        &self,
        model: ModelId,
        card: &[u8],
        max: usize,
    ) -> Result<(), CourtError> {
        let folder = self.folder.join("cards");
        let path = folder.join(model.to_string());
        if path.exists() {
            return Ok(());
        }
        let fail = |source| StoreError::from_io(Action::Read, &folder, source);
        if std::fs::read_dir(&folder).map_err(fail)?.count() >= max {
            return Err(CourtError::Models { max });
        }
        once(file::create(&path, card, Access::Owner))
    }

    pub(crate) fn filing(&self, id: &Digest) -> Result<Filing, CourtError> {
        let bytes = file::read(&self.dispute(id).join("filing"), wide(FILING_BYTES_MAX))?;
        Filing::decode(&bytes).map_err(|_| damaged("filing", id))
    }

    /// Begins a dispute. The card is kept apart.
    pub(crate) fn begin(&self, id: &Digest, filing: &Filing) -> Result<(), CourtError> {
        file::make_folder(&self.dispute(id).join("entries"), Access::Owner)?;
        let bare = Filing {
            card: Vec::new(),
            ..filing.clone()
        };
        let path = self.dispute(id).join("filing");
        once(file::create(&path, &bare.encode()?, Access::Owner))
    }

    /// All entries, in order.
    pub(crate) fn entries(&self, id: &Digest) -> Result<Vec<Entry>, CourtError> {
        let mut entries = Vec::new();
        for number in 0..ENTRIES_MAX {
            let len_max = wide(MESSAGE_BYTES_MAX).saturating_add(9);
            let Some(bytes) = absent(file::read(&self.entry_path(id, number), len_max))? else {
                break;
            };
            entries.push(read_entry(&bytes).ok_or_else(|| damaged("entries", id))?);
        }
        Ok(entries)
    }

    /// Writes an entry down that was not there.
    pub(crate) fn append(&self, id: &Digest, number: u32, entry: &Entry) -> Result<(), CourtError> {
        let mut writer = Writer::new();
        writer
            .u64(entry.time_unix_s)
            .u8(u8::from(entry.message.is_some()))
            .raw(entry.message.as_deref().unwrap_or_default());
        let path = self.entry_path(id, number);
        Ok(file::create(&path, &writer.finish(), Access::Owner)?)
    }

    /// The signed verdict, if there is one.
    pub(crate) fn verdict(&self, id: &Digest) -> Result<Option<Bundle>, CourtError> {
        let path = self.dispute(id).join("verdict");
        let Some(bytes) = absent(file::read(&path, wide(BUNDLE_LEN_MAX)))? else {
            return Ok(None);
        };
        let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX);
        bundle.map(Some).map_err(|_| damaged("verdict", id))
    }

    /// Keeps the signed verdict; one that is there already stays.
    pub(crate) fn conclude(&self, id: &Digest, verdict: &Bundle) -> Result<(), CourtError> {
        let path = self.dispute(id).join("verdict");
        once(file::create(&path, &verdict.encode()?, Access::Owner))
    }
}

const fn damaged(what: &'static str, id: &Digest) -> CourtError {
    CourtError::Damaged { what, dispute: *id }
}

fn absent(read: Result<Vec<u8>, StoreError>) -> Result<Option<Vec<u8>>, CourtError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn once(written: Result<(), StoreError>) -> Result<(), CourtError> {
    match written {
        Ok(()) | Err(StoreError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let mut reader = Reader::new(bytes);
    let time_unix_s = reader.u64().ok()?;
    let message = match reader.u8().ok()? {
        0 => None,
        1 => Some(reader.raw(reader.remaining()).ok()?.to_vec()),
        _ => return None,
    };
    reader.finish().ok()?;
    Some(Entry {
        time_unix_s,
        message,
    })
}
