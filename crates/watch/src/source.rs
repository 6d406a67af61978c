//! Where a log's files are read: a folder, or a server that serves them as `tlog-tiles` says.
//!
//! ```text
//! LogFile ─path()─▶ folder / address ─bounded read─▶ bytes, or nothing there
//! path of a request ─LogFile::from_path─▶ the files that may be asked for, and no others
//! ```
//!
//! It deliberately checks nothing but lengths: what comes is trusted by nobody until [`crate::tree`] has checked it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use credence_log::TileId;
use credence_log::entry::{ENTRY_LEN, EntriesId};
use credence_log::note::NOTE_LEN_MAX;
use credence_store::StoreError;
use credence_store::file;
use credence_witness::fetch::{Bounds, FetchError, Fetcher, Prefix};

/// The longest that one file may take to come.
const FILE_TIME_MAX: Duration = Duration::from_secs(20);

/// The longest that all the files of one poll may take to come, but for the last of them.
pub(crate) const POLL_TIME_MAX: Duration = Duration::from_secs(60);

/// Folders above a numbered checkpoint: three digits each.
const NUMBERED_DEPTH: usize = 4;

/// Why a log's file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file system refused.
    #[error("file `{path}` of the log cannot be read")]
    Store {
        /// The file, below the log's prefix.
        path: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The server gave no answer.
    #[error("file `{path}` of the log cannot be fetched")]
    Fetch {
        /// The file, below the log's prefix.
        path: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// The server answered otherwise.
    #[error("the log's server answered {status} for `{path}`")]
    Status {
        /// The file, below the log's prefix.
        path: String,
        /// The status.
        status: u16,
    },
    /// The time for one poll is over.
    #[error("file `{path}` of the log was not read: the files before it took {} s already", POLL_TIME_MAX.as_secs())]
    Late {
        /// The file, below the log's prefix.
        path: String,
    },
    /// We were told to stop.
    #[error("file `{path}` of the log was not read, since the monitor stops")]
    Stopped {
        /// The file, below the log's prefix.
        path: String,
    },
    /// The folder holds no log.
    #[error("`{path}` holds no log: expected `checkpoint` or `tile` in it")]
    NoLog {
        /// The folder.
        path: PathBuf,
    },
}

/// A file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFile {
    /// The newest checkpoint.
    Checkpoint,
    /// A tile.
    Tile(TileId),
    /// A bundle of entries.
    Entries(EntriesId),
}

impl LogFile {
    /// Its path below the log's prefix.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Tile(id) => id.path(),
            Self::Entries(id) => id.path(),
        }
    }

    /// The file of this path, which has one spelling; `None` for everything that is no file of a log.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let entries = EntriesId::from_path(path).map(Self::Entries);
        entries
            .or_else(|_| TileId::from_path(path).map(Self::Tile))
            .ok()
    }

    /// The longest that it can be, in bytes.
    #[must_use]
    pub fn len_max(&self) -> usize {
        match self {
            Self::Checkpoint => NOTE_LEN_MAX,
            Self::Tile(id) => usize::from(id.width()) * 32,
            Self::Entries(id) => usize::from(id.tile().width()) * ENTRY_LEN,
        }
    }

    /// The full file that takes the place of a partial one, `None` for one that has no fuller.
    #[must_use]
    pub fn fuller(&self) -> Option<Self> {
        match self {
            Self::Tile(id) if !id.is_full() => Some(Self::Tile(id.full())),
            Self::Entries(id) if !id.tile().is_full() => Some(Self::Entries(id.full())),
            Self::Checkpoint | Self::Tile(_) | Self::Entries(_) => None,
        }
    }
}

/// Something that has a log's files.
pub trait LogSource: Send + Sync {
    /// The bytes of a file, at most [`LogFile::len_max`] of them; `None` when it is not there.
    ///
    /// # Errors
    /// [`SourceError`] when that cannot be told.
    fn read(&self, file: LogFile) -> Result<Option<Vec<u8>>, SourceError>;

    /// The checkpoints that the log ever published, oldest first, where the source keeps them: number and bytes.
    ///
    /// # Errors
    /// [`SourceError`] when they cannot be listed.
    fn numbered(&self) -> Result<Numbered, SourceError> {
        Ok(Numbered::none())
    }
}

/// A file, or the beginning of the full one at its place when only that is there any more (`tlog-tiles`, "Partial Tiles").
///
/// # Errors
/// As [`LogSource::read`].
pub fn read_or_fuller(
    source: &dyn LogSource,
    file: LogFile,
) -> Result<Option<Vec<u8>>, SourceError> {
    if let Some(bytes) = source.read(file)? {
        return Ok(Some(bytes));
    }
    let Some(fuller) = file.fuller() else {
        return Ok(None);
    };
    let mut found = source.read(fuller)?;
    if let Some(bytes) = &mut found {
        bytes.truncate(file.len_max());
    }
    Ok(found)
}

/// A log in a folder: `checkpoint` is a file, or a folder of numbered ones as our logs keep them.
#[derive(Debug, Clone)]
pub struct FolderSource(PathBuf);

impl FolderSource {
    /// The log in `folder`, or in the folder `log` in it.
    ///
    /// # Errors
    /// [`SourceError::NoLog`] when there is none.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        let is_log = |path: &Path| path.join("checkpoint").exists() || path.join("tile").is_dir();
        let inner = folder.join("log");
        if is_log(folder) {
            Ok(Self(folder.to_owned()))
        } else if is_log(&inner) {
            Ok(Self(inner))
        } else {
            Err(SourceError::NoLog {
                path: folder.to_owned(),
            })
        }
    }
}

impl LogSource for FolderSource {
    fn read(&self, wanted: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        let path = wanted.path();
        let place = self.0.join(&path);
        if wanted == LogFile::Checkpoint && place.is_dir() {
            let mut newest = Numbered::newest_first(&place);
            return newest
                .next()
                .transpose()
                .map(|found| found.map(|(_, bytes)| bytes));
        }
        read_file(&place, &path, wanted.len_max())
    }

    fn numbered(&self) -> Result<Numbered, SourceError> {
        let place = self.0.join("checkpoint");
        if place.is_dir() {
            Ok(Numbered::oldest_first(&place))
        } else {
            Ok(Numbered::none())
        }
    }
}

fn read_file(place: &Path, path: &str, len_max: usize) -> Result<Option<Vec<u8>>, SourceError> {
    match file::read(place, u64::try_from(len_max).unwrap_or(u64::MAX)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_absent() => Ok(None),
        Err(source) => Err(SourceError::Store {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Numbered checkpoints, one at a time; at most 4,000 names are held.
#[derive(Debug)]
pub struct Numbered {
    /// What is still to be looked at on each level, the next one last.
    levels: Vec<Vec<(u64, PathBuf)>>,
    newest_first: bool,
}

impl Numbered {
    const fn none() -> Self {
        Self {
            levels: Vec::new(),
            newest_first: false,
        }
    }

    fn oldest_first(folder: &Path) -> Self {
        Self {
            levels: vec![vec![(0, folder.to_owned())]],
            newest_first: false,
        }
    }

    fn newest_first(folder: &Path) -> Self {
        Self {
            newest_first: true,
            ..Self::oldest_first(folder)
        }
    }

    fn children(&self, number: u64, folder: &Path) -> Result<Vec<(u64, PathBuf)>, SourceError> {
        let fail = |source| SourceError::Store {
            path: "checkpoint".to_owned(),
            source: StoreError::from_io(credence_store::Action::Read, folder, source),
        };
        let mut found = Vec::new();
        for child in std::fs::read_dir(folder).map_err(fail)? {
            let child = child.map_err(fail)?;
            let name = child.file_name();
            let digits = name
                .to_str()
                .filter(|name| name.len() == 3 && name.bytes().all(|digit| digit.is_ascii_digit()));
            if let Some(group) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
                let number = number.saturating_mul(1000).saturating_add(group);
                found.push((number, child.path()));
            }
        }
        found.sort();
        if !self.newest_first {
            found.reverse();
        }
        Ok(found)
    }
}

impl Iterator for Numbered {
    type Item = Result<(u64, Vec<u8>), SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let depth = self.levels.len();
            let Some((number, path)) = self.levels.last_mut()?.pop() else {
                self.levels.pop();
                continue;
            };
            if depth <= NUMBERED_DEPTH {
                match self.children(number, &path) {
                    Ok(children) => self.levels.push(children),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            // One whose making was cut short is empty, and the one before it counts.
            match read_file(&path, &format!("checkpoint number {number}"), NOTE_LEN_MAX) {
                Ok(Some(bytes)) if !bytes.is_empty() => return Some(Ok((number, bytes))),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Says between files whether to go on: a log that is slow on purpose holds up itself alone, and never the end.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    stopped: AtomicBool,
    end: Mutex<Option<Instant>>,
}

impl Gate {
    /// From now on there is as much time as one poll has.
    pub(crate) fn begin(&self, time_max: Duration) {
        let end = self.end.lock();
        *end.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time_max);
    }

    /// Nothing more is read.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn pass(&self, file: &LogFile) -> Result<(), SourceError> {
        if self.is_stopped() {
            return Err(SourceError::Stopped { path: file.path() });
        }
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(SourceError::Late { path: file.path() });
        }
        Ok(())
    }
}

/// A source that asks its gate before each file.
pub(crate) struct Gated {
    pub(crate) source: Arc<dyn LogSource>,
    pub(crate) gate: Arc<Gate>,
}

impl LogSource for Gated {
    fn read(&self, file: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        self.gate.pass(&file)?;
        self.source.read(file)
    }

    fn numbered(&self) -> Result<Numbered, SourceError> {
        self.source.numbered()
    }
}

/// A log behind a server.
#[derive(Debug, Clone)]
pub struct HttpSource {
    prefix: Prefix,
    fetcher: Fetcher,
}

impl HttpSource {
    /// The log at this prefix; nothing is asked yet.
    #[must_use]
    pub fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            fetcher: Fetcher::new(),
        }
    }
}

impl LogSource for HttpSource {
    fn read(&self, wanted: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        let path = wanted.path();
        let bounds = Bounds {
            len_max: wanted.len_max(),
            time_max: FILE_TIME_MAX,
        };
        match self.fetcher.get(&self.prefix.join(&path), bounds) {
            Ok(reply) => match reply.status {
                200 => Ok(Some(reply.body)),
                404 | 410 => Ok(None),
                status => Err(SourceError::Status { path, status }),
            },
            Err(source) => Err(SourceError::Fetch { path, source }),
        }
    }
}
