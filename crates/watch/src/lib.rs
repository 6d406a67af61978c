//! Stands on the user's side: reads logs, audits them and the answers in them, monitors them, and serves one from a folder.
//!
//! ```text
//! folder, bucket, HTTP ─source─▶ tree ─each tile checked against the checkpoint─▶ entries, proofs, roots of other sizes
//! audit::audit      a whole log computed again; the first thing that is wrong, by name
//! follow, monitor   logs over time ─peers, gossip─▶ events, alarms, evidence in files
//! auditor           a sample of what logs hold, run again or opened; a scoreboard with bounds (odds)
//! opening, cards    asks an operator to open cells of a run; the programs that it brings
//! serve             a log's files over HTTP, checked from its signed checkpoint, and nothing else
//! config            what operators write down; run_monitor, run_log_server
//! ```
//!
//! It deliberately believes no log, no peer and no cache: what counts is what a log's key has signed, and what follows from that.
#![forbid(unsafe_code)]

pub mod archive;
pub mod audit;
pub mod auditor;
pub mod cards;
pub mod config;
pub mod event;
pub mod follow;
pub mod gossip;
pub mod monitor;
pub mod odds;
pub mod opening;
pub mod serve;
pub mod source;
pub mod tree;

pub use archive::Archive;
pub use audit::{AuditError, AuditProgress, AuditReport, audit};
pub use config::{
    Host, MonitorConfig, Place, RunError, S3FileError, read_s3, run_log_server, run_monitor,
};
pub use event::{Alarm, MonitorEvent};
pub use follow::{Follower, Patience};
pub use gossip::{Peer, PeerPlace, Seen};
pub use monitor::{Followed, Monitor, MonitorSink, Setup};
pub use source::{FolderSource, HttpSource, LogFile, LogSource, ObjectsSource};
pub use tree::{Tree, TreeError, head};
