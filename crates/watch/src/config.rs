//! What a monitor's operator writes down, in TOML, and running monitors and log servers until they are told to stop.
//!
//! ```toml
//! state = "monitor"                  # what was seen; without it the logs are trusted anew
//! evidence = "evidence"              # where evidence goes
//! interval_s = 60
//! listen = "127.0.0.1:7090"          # for peers; leave out to tell nobody
//!
//! [[log]]
//! key = "log.example/receipts+…"
//! at = "https://log.example"         # or a folder, or `s3:FILE`, a file that says where a bucket is
//!
//! [[peer]]
//! name = "north"
//! at = "https://monitor.example"     # a monitor or a witness; or a copy of its state folder
//! ```
//!
//! It deliberately has no setting that weakens a check.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use credence_base::SigningKey;
use credence_log::VerifierKey;
use credence_log::key::VerifierKeyError;
use credence_store::objects::{S3Config, S3Objects};
use credence_store::{KeyFileError, read_secret};
use credence_witness::fetch::{Prefix, PrefixError};
use credence_witness::{Clock, Limits, NoteFolder, StateError, listen};
use serde::Deserialize;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::archive::Archive;
use crate::follow::{FollowError, Patience};
use crate::gossip::{Peer, PeerPlace};
use crate::monitor::{Followed, Monitor, MonitorSink, Setup};
use crate::source::{FolderSource, HttpSource, LogSource, ObjectsSource, SourceError};

/// The most logs that one monitor follows: each is read in a thread of its own.
pub const LOGS_MAX: usize = 64;
/// The most peers that it compares with.
pub const PEERS_MAX: usize = 64;
/// The shortest and the longest time between two polls, in seconds.
pub const INTERVAL_S: core::ops::RangeInclusive<u64> = 1..=86_400;

/// How long the end waits for files that are being read: all that is kept is kept whole, whenever the process ends.
const END_MAX: Duration = Duration::from_secs(2);

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML of the form.
    #[error("the configuration is not as expected")]
    Toml(#[source] Box<toml::de::Error>),
    /// A log's key is none.
    #[error("the `key` of log number {at} is no verifier key")]
    Log {
        /// Its number, from 0.
        at: usize,
        /// Why.
        #[source]
        source: VerifierKeyError,
    },
    /// One log twice.
    #[error("log `{log}` stands there twice")]
    Twice {
        /// The log.
        log: String,
    },
    /// An address is none.
    #[error("`at` is no address")]
    Address(#[from] PrefixError),
    /// Too many or too few.
    #[error("expected 1 to {LOGS_MAX} logs and at most {PEERS_MAX} peers, got {logs} and {peers}")]
    Count {
        /// Logs given.
        logs: usize,
        /// Peers given.
        peers: usize,
    },
    /// Nobody's word lies in a bucket.
    #[error("peer `{name}` is asked at an address or in a folder, not in a bucket")]
    PeerInBucket {
        /// The peer.
        name: String,
    },
    /// The interval is out of range.
    #[error("`interval_s` is 1 to 86400, got {got}")]
    Interval {
        /// Seconds given.
        got: u64,
    },
}

/// Why a monitor or a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state folder is not at hand.
    #[error("the monitor's state is not at hand")]
    State(#[from] StateError),
    /// A log cannot be followed.
    #[error("a log cannot be followed")]
    Follow(#[from] FollowError),
    /// A log is not where it should be.
    #[error("a log is not at hand")]
    Source(#[from] SourceError),
    /// The address cannot be listened at.
    #[error("`{address}` cannot be listened at")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system starts no thread.
    #[error("no thread can be started to follow a log")]
    Thread(#[source] std::io::Error),
    /// A round broke down.
    #[error("a round of polls broke down; this is a fault of the monitor's")]
    Round,
}

/// Where something is: behind an address, in a bucket, or in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An address.
    Http(Prefix),
    /// A bucket, by the file that says where it is.
    S3(PathBuf),
    /// A folder.
    Folder(PathBuf),
}

impl Place {
    /// What begins with `http://` or `https://` is an address, with `s3:` a file that says where a bucket is, everything else a folder; both
    /// relative to `folder`.
    ///
    /// # Errors
    /// [`PrefixError`] when the address is none.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, PrefixError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            Ok(Self::Http(Prefix::new(text)?))
        } else if let Some(file) = text.strip_prefix("s3:") {
            Ok(Self::S3(folder.join(file)))
        } else {
            Ok(Self::Folder(folder.join(text)))
        }
    }

    /// The log there.
    ///
    /// # Errors
    /// [`SourceError::NoLog`] when a folder holds none, [`SourceError::Place`] when a file says of no bucket; neither an address nor a bucket
    /// is asked yet.
    pub fn open(&self) -> Result<Arc<dyn LogSource>, SourceError> {
        match self {
            Self::Http(prefix) => Ok(Arc::new(HttpSource::new(prefix.clone()))),
            Self::S3(file) => {
                let config = read_s3(file).map_err(|source| SourceError::Place {
                    path: file.clone(),
                    source,
                })?;
                let objects = S3Objects::open_to_read(&config).map_err(SourceError::Bucket)?;
                Ok(Arc::new(ObjectsSource::new(Arc::new(objects))))
            }
            Self::Folder(folder) => Ok(Arc::new(FolderSource::open(folder)?)),
        }
    }
}

/// The longest file that says where a bucket is, in bytes.
const S3_FILE_LEN_MAX: u64 = 64 * 1024;

/// Why a file does not say where a bucket is.
#[derive(Debug, thiserror::Error)]
pub enum S3FileError {
    /// It cannot be read, or others may read it.
    #[error("it cannot be read")]
    Key(#[from] KeyFileError),
    /// It is no text.
    #[error("it is not UTF-8")]
    Utf8(#[source] core::str::Utf8Error),
    /// It is no TOML of the form. Of the reason nothing is quoted: the line may hold the secret.
    #[error("{reason}")]
    Form {
        /// Why not, in words.
        reason: String,
    },
}

/// Where a bucket is, as a file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct S3File {
    endpoint: String,
    region: String,
    bucket: String,
    #[serde(default)]
    prefix: String,
    access_key_id: String,
    secret_access_key: String,
}

/// Reads a file that says where a bucket is and who may use it. It must be its owner's alone, since it holds a secret.
///
/// # Errors
/// [`S3FileError`].
pub fn read_s3(path: &Path) -> Result<S3Config, S3FileError> {
    let bytes = read_secret(path, S3_FILE_LEN_MAX)?;
    let text = core::str::from_utf8(&bytes).map_err(S3FileError::Utf8)?;
    let file: S3File = toml::from_str(text).map_err(|error| S3FileError::Form {
        reason: error.message().to_owned(),
    })?;
    Ok(S3Config {
        endpoint: file.endpoint,
        region: file.region,
        bucket: file.bucket,
        prefix: file.prefix,
        access_key_id: file.access_key_id,
        secret_access_key: Zeroizing::new(file.secret_access_key),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state: PathBuf,
    evidence: PathBuf,
    interval_s: u64,
    listen: Option<SocketAddr>,
    log: Vec<LogLine>,
    #[serde(default)]
    peer: Vec<PeerLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLine {
    key: String,
    at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerLine {
    name: String,
    at: String,
}

/// A monitor's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorConfig {
    /// The folder of what was seen.
    pub state: PathBuf,
    /// The folder of evidence.
    pub evidence: PathBuf,
    /// The time between two polls.
    pub interval: Duration,
    /// Where peers ask.
    pub listen: Option<SocketAddr>,
    /// The logs, and where they are.
    pub logs: Vec<(VerifierKey, Place)>,
    /// Other vantage points.
    pub peers: Vec<Peer>,
}

impl MonitorConfig {
    /// Reads a configuration; relative paths are taken from `folder`, where the file stands.
    ///
    /// # Errors
    /// [`ConfigError`], the first reason met.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: File =
            toml::from_str(text).map_err(|error| ConfigError::Toml(Box::new(error)))?;
        let (logs, peers) = (file.log.len(), file.peer.len());
        if logs == 0 || logs > LOGS_MAX || peers > PEERS_MAX {
            return Err(ConfigError::Count { logs, peers });
        }
        if !INTERVAL_S.contains(&file.interval_s) {
            return Err(ConfigError::Interval {
                got: file.interval_s,
            });
        }
        let mut logs: Vec<(VerifierKey, Place)> = Vec::new();
        for (at, line) in file.log.iter().enumerate() {
            let key: VerifierKey = line
                .key
                .parse()
                .map_err(|source| ConfigError::Log { at, source })?;
            if logs.iter().any(|(known, _)| known.name() == key.name()) {
                return Err(ConfigError::Twice {
                    log: key.name().to_string(),
                });
            }
            logs.push((key, Place::parse(&line.at, folder)?));
        }
        let mut peers = Vec::new();
        for PeerLine { name, at } in file.peer {
            let place = match Place::parse(&at, folder)? {
                Place::Http(prefix) => PeerPlace::Http(prefix),
                Place::Folder(folder) => PeerPlace::Folder(folder),
                Place::S3(_) => return Err(ConfigError::PeerInBucket { name }),
            };
            peers.push(Peer { name, place });
        }
        Ok(Self {
            state: folder.join(file.state),
            evidence: folder.join(file.evidence),
            interval: Duration::from_secs(file.interval_s),
            listen: file.listen,
            logs,
            peers,
        })
    }
}

/// What a running monitor or server is given by whoever runs it.
pub struct Host {
    /// Our key, if evidence is to be signed as a receipt as well.
    pub key: Option<SigningKey>,
    /// The clock for the time in such receipts.
    pub clock: Clock,
    /// Where events go.
    pub sink: MonitorSink,
    /// Told the address once the socket is open.
    pub listening: Arc<dyn Fn(SocketAddr) + Send + Sync>,
}

/// Runs a monitor until `stop` completes, which is heeded between two files.
///
/// # Errors
/// [`RunError`] when it cannot start.
pub async fn run_monitor(
    config: MonitorConfig,
    host: Host,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let mut logs = Vec::new();
    for (log, place) in config.logs {
        let source = place.open()?;
        logs.push(Followed {
            log,
            source,
            policy: None,
        });
    }
    let monitor = Monitor::open(Setup {
        logs,
        peers: config.peers,
        notes: Arc::new(NoteFolder::open(&config.state)?),
        archive: Archive {
            folder: config.evidence,
            key: host.key,
            clock: host.clock,
        },
        patience: Patience::usual(),
        sink: host.sink,
    })?;
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let server = match config.listen {
        None => None,
        Some(address) => {
            let listener = bind(address, &host.listening).await?;
            let router = monitor.seen().router();
            let stopped = until(stopped);
            Some(tokio::spawn(async move {
                listen::serve(listener, router, Limits::usual(), stopped).await;
            }))
        }
    };
    let mut following = monitor.follow(config.interval).map_err(RunError::Thread)?;
    let mut stop = core::pin::pin!(stop);
    let outcome = tokio::select! {
        () = &mut stop => Ok(()),
        () = following.failed() => Err(RunError::Round),
    };
    following.stop(END_MAX).await;
    stopping.send_replace(true);
    if let Some(server) = server {
        drop(server.await);
    }
    outcome
}

/// Serves a log's files, wherever they lie, until `stop` completes.
///
/// # Errors
/// [`RunError`] when no log is there, or the address cannot be listened at.
pub async fn run_log_server(
    place: &Place,
    log: VerifierKey,
    address: SocketAddr,
    listening: Arc<dyn Fn(SocketAddr) + Send + Sync>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let source = place.open()?;
    let listener = bind(address, &listening).await?;
    listen::serve(
        listener,
        crate::serve::router(source, log),
        Limits::usual(),
        stop,
    )
    .await;
    Ok(())
}

async fn bind(
    address: SocketAddr,
    listening: &Arc<dyn Fn(SocketAddr) + Send + Sync>,
) -> Result<TcpListener, RunError> {
    let fail = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    listening(listener.local_addr().map_err(fail)?);
    Ok(listener)
}

async fn until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // The sender outlives the server; if it were gone, that would be a reason to stop as well.
    drop(stopped.wait_for(|stopped| *stopped).await);
}
