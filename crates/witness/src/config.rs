//! What a witness's operator writes down, in TOML, and running it.
//!
//! ```toml
//! name = "witness.example/w1"       # the key's name
//! key = "witness.pem"               # PKCS#8, mode 0600; a relative path is the file's neighbour
//! state = "witness"                 # the folder of records; never remove it
//! evidence = "evidence"             # where evidence against a log is kept
//! listen = "127.0.0.1:7080"
//! prefix = ""                       # before /add-checkpoint
//! logs = ["log.example/receipts+…"] # verifier keys
//! ```
//!
//! It deliberately has no setting that weakens a check.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_base::SigningKey;
use credence_log::{Algorithm, KeyName, Signer, VerifierKey};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::listen::{self, Limits};
use crate::server::{WitnessServer, WitnessServerError, WitnessSink};
use crate::state::{NoteFolder, StateError};

/// The most logs that a witness watches.
pub const LOGS_MAX: usize = 4096;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML of the form.
    #[error("the configuration is not as expected")]
    Toml(#[source] Box<toml::de::Error>),
    /// The name is no key's.
    #[error("`name` is not the name of a key")]
    Name(#[source] credence_log::key::KeyNameError),
    /// A log's key is none.
    #[error("entry {at} of `logs` is no verifier key")]
    Log {
        /// Its number, from 0.
        at: usize,
        /// Why.
        #[source]
        source: credence_log::key::VerifierKeyError,
    },
    /// No logs, or too many.
    #[error("`logs` names 1 to {LOGS_MAX} keys, got {got}")]
    Logs {
        /// Keys given.
        got: usize,
    },
    /// The prefix is no path.
    #[error(
        "`prefix` is empty, or segments of letters, digits, `-`, `_` and `.`, each behind a slash"
    )]
    Prefix,
}

/// Why a witness does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state folder is not at hand.
    #[error("the witness's state is not at hand")]
    State(#[from] StateError),
    /// The witness cannot be set up.
    #[error("the witness cannot start")]
    Server(#[from] WitnessServerError),
    /// The address cannot be listened at.
    #[error("`{address}` cannot be listened at")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    key: PathBuf,
    state: PathBuf,
    evidence: Option<PathBuf>,
    listen: SocketAddr,
    #[serde(default)]
    prefix: String,
    logs: Vec<String>,
}

/// A witness's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessConfig {
    /// The name of its key.
    pub name: KeyName,
    /// The file of its key.
    pub key: PathBuf,
    /// The folder of its records.
    pub state: PathBuf,
    /// The folder of evidence: `evidence` beside the configuration, if it does not say.
    pub evidence: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path before `/add-checkpoint`.
    pub prefix: String,
    /// The logs that it cosigns.
    pub logs: Vec<VerifierKey>,
}

impl WitnessConfig {
    /// Reads a configuration; relative paths are taken from `folder`, where the file stands.
    ///
    /// # Errors
    /// [`ConfigError`], the first reason met.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: File =
            toml::from_str(text).map_err(|error| ConfigError::Toml(Box::new(error)))?;
        let got = file.logs.len();
        if got == 0 || got > LOGS_MAX {
            return Err(ConfigError::Logs { got });
        }
        let logs = file
            .logs
            .iter()
            .enumerate()
            .map(|(at, log)| {
                log.parse()
                    .map_err(|source| ConfigError::Log { at, source })
            })
            .collect::<Result<_, _>>()?;
        if !is_prefix(&file.prefix) {
            return Err(ConfigError::Prefix);
        }
        Ok(Self {
            name: KeyName::new(&file.name).map_err(ConfigError::Name)?,
            key: folder.join(file.key),
            state: folder.join(file.state),
            evidence: folder.join(file.evidence.unwrap_or_else(|| "evidence".into())),
            listen: file.listen,
            prefix: file.prefix,
            logs,
        })
    }
}

/// Whether a path may stand before others.
fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let segment =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
    text.is_empty()
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(segment))
}

/// Runs a witness until `stop` completes; `listening` is told the address once it is open.
///
/// # Errors
/// [`RunError`] when it cannot start: another process holds the state, a record is damaged, the records are gone, the address is taken.
pub async fn run(
    config: WitnessConfig,
    key: SigningKey,
    host: Host,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), RunError> {
    let signer = Signer::new(config.name, Algorithm::CosignatureV1, key);
    let state = NoteFolder::open_of(&config.state, signer.verifier(), host.begins)?;
    let notes = Arc::new(state);
    let server = WitnessServer::open(signer, config.logs, notes, host.clock, host.sink)?
        .with_limits(host.limits);
    let address = config.listen;
    let fail = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    (host.listening)(listener.local_addr().map_err(fail)?);
    let router = Arc::new(server).router(&config.prefix);
    listen::serve(listener, router, host.limits, stop).await;
    Ok(())
}

/// What a running witness is given by whoever runs it.
pub struct Host {
    /// Whether this witness never ran before: its key was made just now, or whoever runs it says so. Else its records must be there.
    pub begins: bool,
    /// The clock.
    pub clock: Clock,
    /// Where events go.
    pub sink: WitnessSink,
    /// Told once the socket is open.
    pub listening: Arc<dyn Fn(SocketAddr) + Send + Sync>,
    /// How much is taken at once.
    pub limits: Limits,
}
