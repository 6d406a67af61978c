//! Where a log's files are read: a folder, an object store, or a server that serves them as `tlog-tiles` says.
//!
//! ```text
//! LogFile ─path()─▶ folder / bucket / address ─bounded read─▶ bytes, or nothing there
//! path of a request ─LogFile::from_path─▶ the files that may be asked for, and no others
//! ```
//!
//! It deliberately checks nothing but lengths: what comes is trusted by nobody until [`crate::tree`] has checked it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use credence_log::entry::{ENTRY_LEN, EntriesId};
use credence_log::note::NOTE_LEN_MAX;
use credence_log::sequencer::parse_group;
use credence_log::{SignedCheckpoint, TileId};
use credence_store::StoreError;
use credence_store::file;
use credence_store::objects::{Child, ObjectName, ObjectNameError, Objects};
use credence_witness::fetch::{Bounds, FetchError, Fetcher, Prefix};

/// The longest that one file may take to come.
const FILE_TIME_MAX: Duration = Duration::from_secs(20);

/// The longest that all the files of one poll may take to come, but for the last of them.
pub(crate) const POLL_TIME_MAX: Duration = Duration::from_secs(60);

/// Folders above a numbered checkpoint: the one of all, and three of three digits each.
const NUMBERED_DEPTH: usize = 4;

/// The newest checkpoint, and where logs of before keep all of them.
const NEWEST: &str = "checkpoint";
/// Where all checkpoints are kept.
const KEPT: &str = "checkpoints";

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
    /// No object store has such a name.
    #[error("`{path}` is no object's name")]
    Name {
        /// The name.
        path: String,
        /// Why not.
        #[source]
        source: ObjectNameError,
    },
    /// The bucket cannot be reached.
    #[error("the bucket that the log lies in cannot be used")]
    Bucket(#[source] StoreError),
    /// It is not said where the bucket is.
    #[error("`{path}` does not say where a bucket is")]
    Place {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: crate::config::S3FileError,
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

/// A log in a folder: `checkpoint` is a file, with all that were ever published in `checkpoints`. Logs of before have a folder of this name
/// with all of them instead.
#[derive(Debug, Clone)]
pub struct FolderSource(PathBuf);

impl FolderSource {
    /// The log in `folder`, or in the folder `log` in it.
    ///
    /// # Errors
    /// [`SourceError::NoLog`] when there is none.
    pub fn open(folder: &Path) -> Result<Self, SourceError> {
        let is_log = |path: &Path| {
            let kept = [NEWEST, KEPT].iter().any(|name| path.join(name).exists());
            kept || path.join("tile").is_dir()
        };
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

impl Keeps for FolderSource {
    fn bytes(&self, path: &str, len_max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let len_max = u64::try_from(len_max).unwrap_or(u64::MAX);
        match file::read(&self.0.join(path), len_max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_absent() => Ok(None),
            // Where logs of before keep their checkpoints.
            Err(StoreError::Folder { .. }) if path == NEWEST => Ok(None),
            Err(source) => Err(failed(path, source)),
        }
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let place = self.0.join(folder);
        let fail = |source| {
            let source = StoreError::from_io(credence_store::Action::Read, &place, source);
            failed(folder, source)
        };
        let children = match std::fs::read_dir(&place) {
            Ok(children) => children,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        for child in children {
            names.extend(child.map_err(fail)?.file_name().into_string());
        }
        Ok(names)
    }
}

impl LogSource for FolderSource {
    fn read(&self, wanted: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        read_kept(self, wanted)
    }

    fn numbered(&self) -> Result<Numbered, SourceError> {
        Ok(Numbered::oldest_first(Arc::new(self.clone())))
    }
}

/// A log in an object store, as whoever runs it keeps it there.
#[derive(Clone)]
pub struct ObjectsSource(Arc<dyn Objects>);

impl ObjectsSource {
    /// The log that these objects are; nothing is asked yet.
    #[must_use]
    pub const fn new(objects: Arc<dyn Objects>) -> Self {
        Self(objects)
    }
}

impl core::fmt::Debug for ObjectsSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ObjectsSource").finish_non_exhaustive()
    }
}

/// The name of an object, which all that a log reads have.
fn object_name(path: &str) -> Result<ObjectName, SourceError> {
    ObjectName::new(path).map_err(|source| SourceError::Name {
        path: path.to_owned(),
        source,
    })
}

impl Keeps for ObjectsSource {
    fn bytes(&self, path: &str, len_max: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let len_max = u64::try_from(len_max).unwrap_or(u64::MAX);
        match self.0.get(&object_name(path)?, len_max) {
            Err(StoreError::Folder { .. }) if path == NEWEST => Ok(None),
            read => read.map_err(|source| failed(path, source)),
        }
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let children = self.0.list(&object_name(folder)?);
        let children = children.map_err(|source| failed(folder, source))?;
        let names = children.into_iter().map(|child| match child {
            Child::Object(name) | Child::Folder(name) => name,
        });
        Ok(names.collect())
    }
}

impl LogSource for ObjectsSource {
    fn read(&self, wanted: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        read_kept(self, wanted)
    }

    fn numbered(&self) -> Result<Numbered, SourceError> {
        Ok(Numbered::oldest_first(Arc::new(self.clone())))
    }
}

fn failed(path: &str, source: StoreError) -> SourceError {
    SourceError::Store {
        path: path.to_owned(),
        source,
    }
}

/// A place where a log is kept by whoever runs it, with what is not for readers.
trait Keeps: Send + Sync {
    fn bytes(&self, path: &str, len_max: usize) -> Result<Option<Vec<u8>>, SourceError>;
    fn names(&self, folder: &str) -> Result<Vec<String>, SourceError>;
}

/// A file of a log where it is kept. The newest checkpoint is the larger of the one under this name and the last of the numbered ones: the
/// first may have cosignatures, and may be late.
fn read_kept<K: Keeps + Clone + 'static>(
    keeps: &K,
    wanted: LogFile,
) -> Result<Option<Vec<u8>>, SourceError> {
    let named = keeps.bytes(&wanted.path(), wanted.len_max())?;
    if wanted != LogFile::Checkpoint {
        return Ok(named);
    }
    let newest = Numbered::newest_first(Arc::new(keeps.clone())).next();
    let newest = newest.transpose()?.map(|(_, bytes)| bytes);
    let size = |bytes: &[u8]| {
        let signed = SignedCheckpoint::parse(bytes).ok();
        signed.map(|signed| signed.unverified().size())
    };
    match (named, newest) {
        // One that is damaged is told of, whichever it is.
        (Some(named), Some(newest)) => match (size(&named), size(&newest)) {
            (Some(have), Some(other)) if other > have => Ok(Some(newest)),
            (Some(_), None) => Ok(Some(newest)),
            (_, _) => Ok(Some(named)),
        },
        (named, newest) => Ok(named.or(newest)),
    }
}

/// Numbered checkpoints, one at a time; at most 4,000 names are held.
pub struct Numbered {
    keeps: Option<Arc<dyn Keeps>>,
    /// What is still to be looked at on each level, the next one last.
    levels: Vec<Vec<(u64, String)>>,
    newest_first: bool,
}

impl core::fmt::Debug for Numbered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Numbered").finish_non_exhaustive()
    }
}

impl Numbered {
    const fn none() -> Self {
        Self {
            keeps: None,
            levels: Vec::new(),
            newest_first: false,
        }
    }

    /// Those of logs of before come first: they are older.
    fn oldest_first(keeps: Arc<dyn Keeps>) -> Self {
        Self {
            keeps: Some(keeps),
            levels: vec![vec![(0, KEPT.to_owned()), (0, NEWEST.to_owned())]],
            newest_first: false,
        }
    }

    fn newest_first(keeps: Arc<dyn Keeps>) -> Self {
        Self {
            levels: vec![vec![(0, NEWEST.to_owned()), (0, KEPT.to_owned())]],
            newest_first: true,
            ..Self::oldest_first(keeps)
        }
    }

    fn children(
        &self,
        keeps: &dyn Keeps,
        number: u64,
        folder: &str,
    ) -> Result<Vec<(u64, String)>, SourceError> {
        let mut found = Vec::new();
        for name in keeps.names(folder)? {
            if let Some(group) = parse_group(&name) {
                let number = number.saturating_mul(1000).saturating_add(group);
                found.push((number, format!("{folder}/{name}")));
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
        let keeps = Arc::clone(self.keeps.as_ref()?);
        loop {
            let depth = self.levels.len();
            let Some((number, path)) = self.levels.last_mut()?.pop() else {
                self.levels.pop();
                continue;
            };
            if depth <= NUMBERED_DEPTH {
                match self.children(&*keeps, number, &path) {
                    Ok(children) => self.levels.push(children),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            // One whose making was cut short is empty, and the one before it counts.
            match keeps.bytes(&path, NOTE_LEN_MAX) {
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
