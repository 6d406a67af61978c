//! Receipts by digest: put once, read many times.
//!
//! A bundle holds openings, so whoever reads it learns what was asked and answered. In a folder it is readable by its
//! owner alone; over a network it goes to whoever knows the digest, which is 32 bytes that the client alone was told.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use credence_base::ReceiptDigest;

use crate::error::StoreError;
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
}

impl<T: Receipts + ?Sized> Receipts for Arc<T> {
    fn put(&self, digest: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        (**self).put(digest, bundle)
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        (**self).get(digest)
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
