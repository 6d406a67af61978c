//! Receipts by digest: put once, read many times.
//!
//! A bundle holds openings, so whoever reads it learns what was asked and answered. In a folder it is readable by its
//! owner alone; over a network it goes to whoever knows the digest, which is 32 bytes that the client alone was told.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use credence_base::ReceiptDigest;

use crate::error::{Action, StoreError};
use crate::file::{self, Access};

/// Keeps bundles by the digest of their receipt.
pub trait Receipts: Send + Sync {
    /// Keeps a bundle. On return it can be read, and it is as durable as the implementation says. A digest that is known
    /// already keeps its first bundle.
    ///
    /// # Errors
    /// [`StoreError`]; the bundle may then not be handed out as kept.
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError>;

    /// The bundle, or `None` if it is not kept.
    ///
    /// # Errors
    /// [`StoreError`] when it is kept and cannot be read.
    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// The digests of what was kept from `unix_s` on, in seconds since 1970, and perhaps of some that came before. What ends with the
    /// process has none, which is what an implementation says that does not say otherwise.
    ///
    /// # Errors
    /// [`StoreError`].
    fn kept_since(&self, _unix_s: u64) -> Result<Vec<ReceiptDigest>, StoreError> {
        Ok(Vec::new())
    }
}

impl<T: Receipts + ?Sized> Receipts for Arc<T> {
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        (**self).put(digest, bundle)
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        (**self).get(digest)
    }

    fn kept_since(&self, unix_s: u64) -> Result<Vec<ReceiptDigest>, StoreError> {
        (**self).kept_since(unix_s)
    }
}

/// One file for each receipt. A bundle survives a crash once [`Receipts::put`] returned.
#[derive(Debug)]
pub struct FolderReceipts {
    folder: PathBuf,
    len_max: u64,
}

impl FolderReceipts {
    /// Keeps receipts in a folder that exists; reads bundles of at most `len_max` bytes.
    #[must_use]
    pub const fn new(folder: PathBuf, len_max: u64) -> Self {
        Self { folder, len_max }
    }

    /// Where a receipt is or would be.
    #[must_use]
    pub fn path(&self, digest: ReceiptDigest) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    /// Every receipt that is kept, and when it came, in seconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be read.
    pub fn all(&self) -> Result<Vec<(ReceiptDigest, u64)>, StoreError> {
        let fail = |source| StoreError::from_io(Action::Read, &self.folder, source);
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(Ok(digest)) = digest.map(str::parse::<ReceiptDigest>) else {
                continue;
            };
            let written = entry.metadata().and_then(|file| file.modified());
            let since = written.map_err(fail)?.duration_since(UNIX_EPOCH);
            all.push((digest, since.map_or(0, |since| since.as_secs())));
        }
        all.sort_unstable();
        Ok(all)
    }
}

impl Receipts for FolderReceipts {
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        match file::create(&self.path(digest), bundle, Access::Owner) {
            Ok(()) | Err(StoreError::Exists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        match file::read(&self.path(digest), self.len_max) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn kept_since(&self, unix_s: u64) -> Result<Vec<ReceiptDigest>, StoreError> {
        let all = self.all()?.into_iter();
        Ok(all
            .filter(|(_, came)| *came >= unix_s)
            .map(|(digest, _)| digest)
            .collect())
    }
}

/// The latest receipts, in memory alone: nothing is durable, and the oldest go when there is no more room.
#[derive(Debug)]
pub struct MemoryReceipts {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bundles: BTreeMap<ReceiptDigest, Arc<[u8]>>,
    order: VecDeque<ReceiptDigest>,
    bytes: usize,
}

impl MemoryReceipts {
    /// Keeps bundles of `bytes_max` bytes together.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Mutex::default(),
        }
    }
}

impl Receipts for MemoryReceipts {
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        // Nothing between lock and unlock can panic half-way, so a poisoned lock still guards whole data.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if bundle.len() > self.bytes_max || kept.bundles.contains_key(&digest) {
            return Ok(());
        }
        while kept.bytes > self.bytes_max - bundle.len() {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            if let Some(gone) = kept.bundles.remove(&oldest) {
                kept.bytes = kept.bytes.saturating_sub(gone.len());
            }
        }
        kept.bytes = kept.bytes.saturating_add(bundle.len());
        kept.order.push_back(digest);
        kept.bundles.insert(digest, bundle.into());
        Ok(())
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.bundles.get(&digest).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> ReceiptDigest {
        ReceiptDigest::from_bytes([byte; 32])
    }

    fn suite(receipts: &dyn Receipts) {
        assert_eq!(receipts.get(digest(1)).unwrap(), None);
        receipts.put(digest(1), b"one").unwrap();
        receipts.put(digest(2), b"two").unwrap();
        receipts.put(digest(1), b"again").unwrap();
        let got = |byte| receipts.get(digest(byte)).unwrap().map(|b| b.to_vec());
        assert_eq!(got(1), Some(b"one".to_vec()));
        assert_eq!(got(2), Some(b"two".to_vec()));
        assert_eq!(got(3), None);
    }

    #[test]
    fn both_keep_the_first_of_a_digest() {
        let folder = tempfile::tempdir().unwrap();
        suite(&FolderReceipts::new(folder.path().to_owned(), 100));
        suite(&MemoryReceipts::new(100));
    }

    #[test]
    fn what_came_since_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = FolderReceipts::new(folder.path().to_owned(), 100);
        for (byte, came) in [(1, 1000), (2, 2000), (3, 3000)] {
            receipts.put(digest(byte), b"one").unwrap();
            let file = std::fs::File::options()
                .write(true)
                .open(receipts.path(digest(byte)))
                .unwrap();
            let came = UNIX_EPOCH + std::time::Duration::from_secs(came);
            file.set_modified(came).unwrap();
        }
        std::fs::write(folder.path().join("other.json"), b"x").unwrap();
        let since = |unix_s| receipts.kept_since(unix_s).unwrap();
        assert_eq!(since(0), [digest(1), digest(2), digest(3)]);
        assert_eq!(since(2000), [digest(2), digest(3)]);
        assert_eq!(since(3001), []);
        let memory = MemoryReceipts::new(100);
        memory.put(digest(1), b"one").unwrap();
        assert_eq!(memory.kept_since(0).unwrap(), []);
    }

    #[test]
    fn memory_is_bounded() {
        let receipts = MemoryReceipts::new(10);
        for byte in 0..10 {
            receipts.put(digest(byte), &[byte; 4]).unwrap();
        }
        let kept = |byte| receipts.get(digest(byte)).unwrap().is_some();
        assert_eq!((0..10).filter(|b| kept(*b)).collect::<Vec<_>>(), [8, 9]);
        receipts.put(digest(99), &[0; 11]).unwrap();
        assert!(!kept(99) && kept(9));
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let receipts = FolderReceipts::new(folder.path().join("gone"), 100);
        assert!(receipts.put(digest(1), b"one").is_err());
    }
}
