//! Histories of a log, in memory and in folders.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::entry::{self, EntriesId};
use credence_log::{
    Algorithm, Checkpoint, Edge, Frontier, Hash, KeyName, SignedCheckpoint, Signer, VerifierKey,
};
use credence_watch::source::SourceError;
use credence_watch::{LogFile, LogSource};
use credence_witness::{Notes, StateError};

pub(crate) fn signer(name: &str, seed: u8) -> Signer {
    let name = KeyName::new(name).unwrap();
    Signer::new(name, Algorithm::Ed25519, SigningKey::from_seed(&[seed; 32]))
}

pub(crate) fn log_signer() -> Signer {
    signer("log.example/receipts", 1)
}

pub(crate) fn log_key() -> VerifierKey {
    log_signer().verifier().clone()
}

/// One history of the log: its entries, tiles, and the checkpoint of every size.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) entries: Vec<ReceiptDigest>,
    /// Hashes by level of the tiles.
    levels: Vec<Vec<Hash>>,
    pub(crate) checkpoints: Vec<SignedCheckpoint>,
}

impl History {
    /// `size` entries; from `fork_at` on they are those of branch `branch`.
    pub(crate) fn new(size: u64, fork_at: u64, branch: u8) -> Self {
        let entry = |at: u64| {
            let mut bytes = [0x5a; 32];
            bytes[..8].copy_from_slice(&at.to_le_bytes());
            if at >= fork_at {
                bytes[31] ^= branch;
            }
            ReceiptDigest::from_bytes(bytes)
        };
        Self::of((0..size).map(entry).collect())
    }

    /// A log of these entries.
    pub(crate) fn of(entries: Vec<ReceiptDigest>) -> Self {
        let signer = log_signer();
        let name = signer.verifier().name();
        let mut levels = vec![Vec::new(), Vec::new(), Vec::new()];
        let mut frontier = Frontier::new();
        let sign = |frontier: &Frontier| {
            let checkpoint = Checkpoint::new(name, frontier.size(), frontier.root()).unwrap();
            checkpoint.sign(&signer).unwrap()
        };
        let mut checkpoints = vec![sign(&frontier)];
        for entry in &entries {
            frontier.append(Hash::of_receipt(entry)).unwrap();
            levels[0].push(Hash::of_receipt(entry));
            checkpoints.push(sign(&frontier));
        }
        let mut edge = Edge::new();
        for leaf in levels[0].clone() {
            edge.append(leaf).unwrap();
        }
        let mut tiles = edge.take_tiles();
        tiles.sort_by_key(credence_log::Tile::id);
        for tile in tiles.iter().filter(|tile| tile.id().level() > 0) {
            levels[usize::from(tile.id().level())].extend(tile.hashes());
        }
        Self {
            entries,
            levels,
            checkpoints,
        }
    }

    pub(crate) fn checkpoint(&self, size: u64) -> &SignedCheckpoint {
        &self.checkpoints[usize::try_from(size).unwrap()]
    }

    /// A file of the log as it is when it has `size` entries.
    pub(crate) fn file(&self, file: LogFile, size: u64) -> Option<Vec<u8>> {
        match file {
            LogFile::Checkpoint => Some(self.checkpoint(size).encode().into_bytes()),
            LogFile::Tile(id) => {
                let have = size >> (8 * u32::from(id.level()));
                let first = id.index() * 256;
                let end = first + u64::from(id.width());
                let range = usize::try_from(first).unwrap()..usize::try_from(end).unwrap();
                let hashes = (end <= have).then(|| &self.levels[usize::from(id.level())][range])?;
                Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
            }
            LogFile::Entries(id) => {
                let first = id.tile().index() * 256;
                let end = first + u64::from(id.tile().width());
                let range = usize::try_from(first).unwrap()..usize::try_from(end).unwrap();
                (end <= size).then(|| entry::encode(&self.entries[range]))
            }
        }
    }

    /// Writes the log of `size` entries as a folder, its checkpoint as one file.
    pub(crate) fn write(&self, folder: &Path, size: u64) {
        let put = |path: &str, bytes: Vec<u8>| {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        for id in credence_log::TileId::added(0, size) {
            let file = LogFile::Tile(id);
            put(&file.path(), self.file(file, size).unwrap());
        }
        for id in EntriesId::added(0, size) {
            let file = LogFile::Entries(id);
            put(&file.path(), self.file(file, size).unwrap());
        }
        put("checkpoint", self.file(LogFile::Checkpoint, size).unwrap());
    }

    /// The same with numbered checkpoints of these sizes, the last being the newest, as our logs keep them before the newest has its name.
    pub(crate) fn write_numbered(&self, folder: &Path, sizes: &[u64]) {
        let newest = *sizes.last().unwrap();
        self.write(&folder.join("log"), newest);
        std::fs::remove_file(folder.join("log/checkpoint")).unwrap();
        for (number, size) in sizes.iter().enumerate() {
            let number = number + 999;
            let name = format!(
                "log/checkpoints/000/000/{:03}/{:03}",
                number / 1000,
                number % 1000
            );
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, self.checkpoint(*size).encode()).unwrap();
        }
    }
}

/// What one vantage point is shown.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) history: Arc<History>,
    /// The size of the checkpoint.
    pub(crate) size: u64,
    /// The size to which tiles are there.
    pub(crate) tiles: u64,
    pub(crate) down: bool,
    /// What is served as the checkpoint instead.
    pub(crate) says: Option<Vec<u8>>,
    /// Tiles that are still served; then there are none.
    pub(crate) tiles_left: Option<u32>,
    /// How long each file takes.
    pub(crate) slow: std::time::Duration,
}

/// A source whose view can be changed while it is used.
#[derive(Debug)]
pub(crate) struct Shown(Mutex<View>);

impl Shown {
    pub(crate) fn new(history: &Arc<History>, size: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(View {
            history: Arc::clone(history),
            size,
            tiles: size,
            down: false,
            says: None,
            tiles_left: None,
            slow: std::time::Duration::ZERO,
        })))
    }

    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.0.lock().unwrap()
    }

    /// Shows this size, tiles and all.
    pub(crate) fn grow(&self, size: u64) {
        let mut view = self.view();
        (view.size, view.tiles) = (size, size);
    }
}

impl LogSource for Shown {
    fn read(&self, file: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        let slow = self.view().slow;
        std::thread::sleep(slow);
        let mut view = self.view();
        if file != LogFile::Checkpoint {
            match &mut view.tiles_left {
                Some(0) => return Ok(None),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        if view.down {
            return Err(SourceError::Status {
                path: file.path(),
                status: 503,
            });
        }
        if file == LogFile::Checkpoint {
            let says = view.says.clone();
            return Ok(says.or_else(|| view.history.file(file, view.size)));
        }
        Ok(view.history.file(file, view.tiles))
    }
}

/// Notes in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryNotes(Mutex<BTreeMap<String, Vec<u8>>>);

impl Notes for MemoryNotes {
    fn load(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(origin).cloned())
    }

    fn keep(&self, origin: &str, note: &[u8]) -> Result<(), StateError> {
        let mut kept = self.0.lock().unwrap();
        kept.insert(origin.to_owned(), note.to_vec());
        Ok(())
    }
}
