//! A log in a folder, which needs no server.
//!
//! ```text
//! <folder>/lock           one process at a time
//!         /head           what the key has signed last
//!         /index.sqlite   a cache, made anew if it is removed
//!         /log/           tile/…, checkpoint, checkpoints/…, record/…: the log
//! ```

use std::path::Path;
use std::sync::Arc;

use credence_log::Signer;
use credence_log::sequencer::Limits;
use credence_store::file::{Access, Lock, lock, make_folder};
use credence_store::index::SqliteIndex;
use credence_store::objects::FolderObjects;

use crate::driver::Options;
use crate::error::LedgerError;
use crate::head::HeadFile;

/// A log's folder, locked until dropped; [`Options`] hold it.
#[derive(Debug)]
pub struct Folder {
    _lock: Lock,
}

/// Keeps other processes out of a log's folder, which is made if it is absent.
///
/// # Errors
/// [`LedgerError`], also when another process holds the folder for ten seconds.
pub fn lock_folder(path: &Path) -> Result<Folder, LedgerError> {
    make_folder(path, Access::Owner)?;
    let held = lock(&path.join("lock"))?;
    Ok(Folder { _lock: held })
}

/// Opens a folder for a log, makes it if it is absent, and keeps other processes out. The note of what the key has signed
/// lies in it as well, which protects the log from older copies of its objects and not from those of the whole folder: where the
/// key lies elsewhere, keep a [`HeadFile`] beside it.
///
/// # Errors
/// [`LedgerError`], also when another process holds the folder for ten seconds.
pub fn open_folder(
    path: &Path,
    signer: Arc<Signer>,
    limits: Limits,
) -> Result<Options, LedgerError> {
    let folder = lock_folder(path)?;
    let head = HeadFile::open(&path.join("head"))?;
    let objects = FolderObjects::open(path.join("log"), Access::Public)?;
    let index = SqliteIndex::open(path.join("index.sqlite"))?;
    Ok(Options {
        signer,
        limits,
        objects: Arc::new(objects),
        index: Arc::new(index),
        head: Arc::new(head),
        folder: Some(Arc::new(folder)),
    })
}
