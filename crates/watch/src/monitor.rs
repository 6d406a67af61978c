//! A monitor: follows several logs, compares with other vantage points, and raises alarms with evidence in files.
//!
//! ```text
//! every interval, each log in a thread of its own:  poll ─▶ peers ─▶ events ─▶ sink
//!                                                      alarm ─▶ archive: evidence in files, checked by anyone
//! ```
//!
//! It deliberately stops nothing and informs nobody but its sink: who is told of an alarm is for whoever runs it.

use std::sync::Arc;

use credence_log::VerifierKey;
use credence_witness::Notes;
use credence_witness::fetch::Fetcher;
use credence_witness::server::chain_of;

use crate::archive::Archive;
use crate::event::MonitorEvent;
use crate::follow::{FollowError, Follower, Found, Looked, Patience};
use crate::gossip::{Peer, Seen};
use crate::source::LogSource;

/// Where events go. It must not block for long.
pub type MonitorSink = Arc<dyn Fn(MonitorEvent) + Send + Sync>;

/// A log to follow.
#[derive(Clone)]
pub struct Followed {
    /// Its key.
    pub log: VerifierKey,
    /// Where it is read.
    pub source: Arc<dyn LogSource>,
}

/// What a monitor works with.
pub struct Setup {
    /// The logs.
    pub logs: Vec<Followed>,
    /// Other vantage points.
    pub peers: Vec<Peer>,
    /// What was seen: durable, and this monitor's alone.
    pub notes: Arc<dyn Notes>,
    /// Where evidence goes.
    pub archive: Archive,
    /// How much is put down to chance.
    pub patience: Patience,
    /// Where events go.
    pub sink: MonitorSink,
}

/// Follows logs.
pub struct Monitor {
    followers: Vec<Follower>,
    shared: Shared,
}

/// What all logs share.
struct Shared {
    peers: Vec<Peer>,
    fetcher: Fetcher,
    archive: Archive,
    sink: MonitorSink,
    seen: Seen,
}

impl Monitor {
    /// A monitor that goes on from what it has seen before.
    ///
    /// # Errors
    /// [`FollowError`] when that cannot be read.
    pub fn open(setup: Setup) -> Result<Self, FollowError> {
        let seen = Seen::new();
        let mut followers = Vec::new();
        for Followed { log, source } in setup.logs {
            let follower = Follower::open(log, source, Arc::clone(&setup.notes), setup.patience)?;
            tell_peers(&seen, &follower);
            followers.push(follower);
        }
        Ok(Self {
            followers,
            shared: Shared {
                peers: setup.peers,
                fetcher: Fetcher::new(),
                archive: setup.archive,
                sink: setup.sink,
                seen,
            },
        })
    }

    /// What peers are told.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.seen.clone()
    }

    /// Looks at every log and every peer once; blocks until all have answered or their times are over. The number of alarms raised.
    pub fn round(&mut self) -> usize {
        let shared = &self.shared;
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .followers
                .iter_mut()
                .map(|follower| scope.spawn(|| shared.look(follower)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or(0))
                .sum()
        })
    }
}

impl Shared {
    fn look(&self, follower: &mut Follower) -> usize {
        let mut alarms = self.report(follower, Follower::poll);
        let origin = follower.log().name().as_str().to_owned();
        for peer in &self.peers {
            match peer.ask(&origin, &self.fetcher) {
                Ok(Some(bytes)) => {
                    alarms += self.report(follower, |follower| follower.hear(&peer.name, &bytes));
                }
                Ok(None) => {}
                Err(reason) => (self.sink)(MonitorEvent::PeerFailed {
                    log: origin.clone(),
                    peer: peer.name.clone(),
                    reason,
                }),
            }
        }
        tell_peers(&self.seen, follower);
        alarms
    }

    fn report(&self, follower: &mut Follower, look: impl FnOnce(&mut Follower) -> Looked) -> usize {
        let looked = look(follower);
        for event in looked.events {
            (self.sink)(event);
        }
        let count = looked.alarms.len();
        for found in looked.alarms {
            self.alarm(follower.log(), found);
        }
        count
    }

    fn alarm(&self, log: &VerifierKey, found: Found) {
        let mut files = Vec::new();
        if let Some(evidence) = &found.evidence {
            match self.archive.keep(evidence) {
                Ok(kept) => files = kept,
                Err(error) => (self.sink)(MonitorEvent::NotKept {
                    log: log.name().as_str().to_owned(),
                    reason: chain_of(&error),
                }),
            }
        }
        (self.sink)(MonitorEvent::Alarm {
            log: log.name().as_str().to_owned(),
            words: found.alarm.to_string(),
            alarm: found.alarm,
            evidence: found.evidence.map(|evidence| evidence.encode()),
            files,
        });
    }
}

fn tell_peers(seen: &Seen, follower: &Follower) {
    if let Some(checkpoint) = follower.seen() {
        seen.tell(follower.log().name().as_str(), checkpoint.encode());
    }
}
