//! What a monitor tells whoever runs it: events in words and as JSON, alarms among them.
//!
//! It deliberately does not decide what to do: an alarm is raised once, with its evidence where there is any, and acting on it is a
//! person's affair.

use core::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Something that an honest log does not do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "alarm", rename_all = "snake_case")]
pub enum Alarm {
    /// The log signed two roots of one size. There is evidence.
    Equivocation {
        /// The size.
        size: u64,
    },
    /// The log signed two checkpoints of which the larger does not continue the smaller. There is evidence, unless the log took its tiles away
    /// between two of them.
    Fork {
        /// Entries of the smaller.
        smaller: u64,
        /// Entries of the larger.
        larger: u64,
    },
    /// The log has served fewer entries than before, again and again.
    Rollback {
        /// Entries that it had.
        seen: u64,
        /// Entries that it shows.
        shown: u64,
    },
    /// The log has grown, and its tiles contradict its checkpoint or cannot be had.
    Inconsistent {
        /// Entries before.
        from: u64,
        /// Entries that it says it has.
        to: u64,
        /// Why that is not shown, in words.
        reason: String,
    },
    /// The checkpoint is not signed by the key that is known, or its signature is forged.
    UnknownKey {
        /// What is wrong with it, in words.
        reason: String,
    },
    /// What the log has shown elsewhere can be neither confirmed nor refuted by what it shows here, for too long.
    Withheld {
        /// Who was shown it.
        peer: String,
        /// How many entries.
        size: u64,
        /// Entries that it shows here.
        seen: u64,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equivocation { size } => {
                write!(
                    f,
                    "the log signed two roots of {size} entries: it lied to someone"
                )
            }
            Self::Fork { smaller, larger } => write!(
                f,
                "the log signed a checkpoint of {larger} entries that does not continue one of {smaller} that it signed as well: it lied to someone"
            ),
            Self::Rollback { seen, shown } => write!(
                f,
                "the log keeps showing {shown} entries, and had shown {seen}: it has lost entries, or hides them"
            ),
            Self::Inconsistent { from, to, reason } => write!(
                f,
                "the log says that it has grown from {from} to {to} entries and does not show it: {reason}"
            ),
            Self::UnknownKey { reason } => {
                write!(f, "the checkpoint is not by the log's known key: {reason}")
            }
            Self::Withheld { peer, size, seen } => write!(
                f,
                "the log has shown {size} entries to `{peer}` and {seen} here, and does not show that they are one history: it may be hiding another"
            ),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MonitorEvent {
    /// A log was seen for the first time; nothing is known of it before this.
    FirstSeen {
        /// The log.
        log: String,
        /// Its entries.
        size: u64,
    },
    /// A log has grown, and what it was before is its beginning.
    Grown {
        /// The log.
        log: String,
        /// Entries before.
        from: u64,
        /// Entries now.
        to: u64,
    },
    /// An older checkpoint came, which fits; it may come from a cache.
    Stale {
        /// The log.
        log: String,
        /// Its entries.
        size: u64,
        /// Entries that were seen before.
        seen: u64,
    },
    /// A log could not be read.
    Unreachable {
        /// The log.
        log: String,
        /// Why, in words.
        reason: String,
    },
    /// What a peer has seen agrees with what we have.
    PeerAgrees {
        /// The log.
        log: String,
        /// The peer.
        peer: String,
        /// Entries that it has seen.
        size: u64,
    },
    /// A peer could not be asked, or said nothing usable.
    PeerFailed {
        /// The log.
        log: String,
        /// The peer.
        peer: String,
        /// Why, in words.
        reason: String,
    },
    /// What was seen could not be kept, so it does not count.
    NotKept {
        /// The log.
        log: String,
        /// Why, in words.
        reason: String,
    },
    /// Something that an honest log does not do.
    Alarm {
        /// The log.
        log: String,
        /// What it is.
        #[serde(flatten)]
        alarm: Alarm,
        /// The alarm in words.
        words: String,
        /// The evidence, to be checked by anyone; without it the alarm is our word.
        evidence: Option<String>,
        /// Where the evidence was kept.
        files: Vec<PathBuf>,
    },
}
