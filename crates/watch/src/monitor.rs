//! A monitor: follows several logs, compares with other vantage points, and raises alarms with evidence in files.
//!
//! ```text
//! each log in a thread of its own, on a schedule of its own:  poll ─▶ peers ─▶ events ─▶ sink
//!                                        alarm ─▶ archive: evidence in files, checked by anyone; tried again until it is kept
//! ```
//!
//! A log that is slow on purpose holds up its own thread, and for no longer than a poll may take; whoever stops the monitor is heeded
//! between two files.
//!
//! It deliberately stops nothing and informs nobody but its sink: who is told of an alarm is for whoever runs it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use credence_log::{LogPolicy, VerifierKey};
use credence_witness::Notes;
use credence_witness::fetch::Fetcher;
use credence_witness::server::chain_of;

use crate::archive::Archive;
use crate::event::MonitorEvent;
use crate::follow::{FollowError, Follower, Found, Looked, Patience};
use crate::gossip::{Peer, Seen};
use crate::source::{Gate, Gated, LogSource, POLL_TIME_MAX};

/// The most pieces of evidence of one log that wait to be kept.
const UNKEPT_MAX: usize = 16;

/// Where events go. It must not block for long.
pub type MonitorSink = Arc<dyn Fn(MonitorEvent) + Send + Sync>;

/// A log to follow.
#[derive(Clone)]
pub struct Followed {
    /// Its key.
    pub log: VerifierKey,
    /// Where it is read.
    pub source: Arc<dyn LogSource>,
    /// What an auditor asks of its checkpoints: witnesses and their quorum. A monitor compares what others are shown instead.
    pub policy: Option<LogPolicy>,
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
    followers: Vec<One>,
    shared: Arc<Shared>,
}

/// One log.
struct One {
    follower: Follower,
    gate: Arc<Gate>,
    /// Evidence that could not be kept yet.
    unkept: Vec<Found>,
}

/// Logs that are followed by threads of their own, until this is told to stop.
pub struct Following {
    gates: Vec<Arc<Gate>>,
    stopping: Arc<Stopping>,
    ended: tokio::sync::mpsc::UnboundedReceiver<()>,
}

/// Wakes threads that wait for their next poll.
#[derive(Default)]
struct Stopping {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopping {
    /// Waits this long, or until it is told to stop; whether it was.
    fn wait(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(stopped, time, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *stopped
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// Says that a thread has ended, however it did.
struct Ended(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Whoever listens may have gone.
        let _heard = self.0.send(());
    }
}

impl Following {
    /// Completes when a thread has ended by itself, which none does unless it failed.
    pub async fn failed(&mut self) {
        self.ended.recv().await;
    }

    /// Stops between two files, and waits for the threads no longer than `time_max`: what is under way then keeps nothing by halves.
    pub async fn stop(mut self, time_max: Duration) {
        for gate in &self.gates {
            gate.stop();
        }
        self.stopping.stop();
        let all = async { while self.ended.recv().await.is_some() {} };
        if tokio::time::timeout(time_max, all).await.is_err() {
            tracing::warn!("a log was still being read when the monitor ended");
        }
    }
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
        for Followed { log, source, .. } in setup.logs {
            let gate = Arc::new(Gate::default());
            let source = Arc::new(Gated {
                source,
                gate: Arc::clone(&gate),
            });
            let follower = Follower::open(log, source, Arc::clone(&setup.notes), setup.patience)?;
            tell_peers(&seen, &follower);
            followers.push(One {
                follower,
                gate,
                unkept: Vec::new(),
            });
        }
        Ok(Self {
            followers,
            shared: Arc::new(Shared {
                peers: setup.peers,
                fetcher: Fetcher::new(),
                archive: setup.archive,
                sink: setup.sink,
                seen,
            }),
        })
    }

    /// What peers are told.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared.seen.clone()
    }

    /// Looks at every log and every peer once, one after the other. The number of alarms raised.
    pub fn round(&mut self) -> usize {
        let shared = &self.shared;
        let looks = self.followers.iter_mut().map(|one| shared.look(one));
        looks.sum()
    }

    /// Looks at every log and every peer from now on, each log in a thread of its own, with `interval` between one look and the next.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn follow(self, interval: Duration) -> std::io::Result<Following> {
        let (sender, ended) = tokio::sync::mpsc::unbounded_channel();
        let stopping = Arc::new(Stopping::default());
        let following = Following {
            gates: self
                .followers
                .iter()
                .map(|one| Arc::clone(&one.gate))
                .collect(),
            stopping: Arc::clone(&stopping),
            ended,
        };
        for mut one in self.followers {
            let shared = Arc::clone(&self.shared);
            let stopping = Arc::clone(&stopping);
            let ended = Ended(sender.clone());
            std::thread::Builder::new()
                .name("follow-log".to_owned())
                .spawn(move || {
                    let _ended = ended;
                    loop {
                        shared.look(&mut one);
                        if stopping.wait(interval) {
                            return;
                        }
                    }
                })?;
        }
        Ok(following)
    }
}

impl Shared {
    fn look(&self, one: &mut One) -> usize {
        one.gate.begin(POLL_TIME_MAX);
        for found in core::mem::take(&mut one.unkept) {
            self.alarm(one, found);
        }
        let mut alarms = self.report(one, Follower::poll);
        let origin = one.follower.log().name().as_str().to_owned();
        for peer in &self.peers {
            if one.gate.is_stopped() {
                return alarms;
            }
            match peer.ask(&origin, &self.fetcher) {
                Ok(Some(bytes)) => {
                    alarms += self.report(one, |follower| follower.hear(&peer.name, &bytes));
                }
                Ok(None) => {}
                Err(reason) => (self.sink)(MonitorEvent::PeerFailed {
                    log: origin.clone(),
                    peer: peer.name.clone(),
                    reason,
                }),
            }
        }
        tell_peers(&self.seen, &one.follower);
        alarms
    }

    fn report(&self, one: &mut One, look: impl FnOnce(&mut Follower) -> Looked) -> usize {
        let looked = look(&mut one.follower);
        if one.gate.is_stopped() && looked.alarms.is_empty() {
            return 0;
        }
        for event in looked.events {
            (self.sink)(event);
        }
        let count = looked.alarms.len();
        for found in looked.alarms {
            self.alarm(one, found);
        }
        count
    }

    /// Raises an alarm. One whose evidence cannot be kept is raised again with every look until it is.
    fn alarm(&self, one: &mut One, found: Found) {
        let log = one.follower.log().name().as_str().to_owned();
        let mut files = Vec::new();
        if let Some(evidence) = &found.evidence {
            match self.archive.keep(evidence) {
                Ok(kept) => files = kept,
                Err(error) => {
                    (self.sink)(MonitorEvent::NotKept {
                        log: log.clone(),
                        reason: chain_of(&error),
                    });
                    if one.unkept.len() < UNKEPT_MAX {
                        one.unkept.push(found.clone());
                    }
                }
            }
        }
        (self.sink)(MonitorEvent::Alarm {
            log,
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
