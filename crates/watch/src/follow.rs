//! What a monitor makes of one log: checkpoints go in, from the log itself and from peers, and events come out.
//!
//! ```text
//! poll ─key?─▶ larger:  old root = the new tree's root at the old size? ─▶ kept ─▶ Grown          else evidence, or an alarm in time
//!            ├ equal:   same root?                                                             else evidence
//!            └ smaller: its root = the seen tree's at that size? ─▶ Stale, too often Rollback  else evidence
//! peer ─key?─▶ not larger than what is seen: as a smaller one    larger: it waits until we have grown as far
//!            └ undecided for too long: Withheld
//! any of them ─▶ another root than anybody showed of this size? ─▶ evidence at once, whatever the log's tiles say
//! ```
//!
//! Roots of other sizes are computed from tiles that were checked against a checkpoint which the log signed, so a lie ends in
//! [`Evidence`]. What merely cannot be read is no lie until it lasts: then it is an alarm in words. A checkpoint counts as seen once it is kept.
//!
//! It deliberately has no clock and no thread: time is counted in polls, so that histories can be replayed in tests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use credence_log::checkpoint::CheckpointError;
use credence_log::{Hash, SignedCheckpoint, VerifierKey};
use credence_witness::evidence::bare;
use credence_witness::server::chain_of;
use credence_witness::{Evidence, Notes, StateError};

use crate::event::{Alarm, MonitorEvent};
use crate::source::{LogFile, LogSource};
use crate::tree::{Tree, TreeError};

/// The most alarms of one log that are remembered, so as not to be raised again.
const ALARMS_MAX: usize = 1024;

/// The most checkpoints of one log that are remembered by size, so as to be compared.
const HEARD_MAX: usize = 4096;

/// The most bytes that they have together.
const HEARD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most bytes that the extension lines of a checkpoint may have. An honest log has few or none, and what a log may put into memory here is
/// bounded.
pub const EXTENSION_BYTES_MAX: usize = 4096;

/// How much is put down to chance before it is an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Polls in a row that show an older checkpoint.
    pub stale_polls: u32,
    /// Polls in a row that say the log has grown while its tiles cannot be had.
    pub unshown_polls: u32,
    /// Polls that what a peer has seen may stay undecided, since the log does not show enough here.
    pub withheld_polls: u32,
}

impl Patience {
    /// 5 older ones, 5 without tiles, 20 behind a peer.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            stale_polls: 5,
            unshown_polls: 5,
            withheld_polls: 20,
        }
    }
}

/// Why a log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// What was seen cannot be read.
    #[error("what was seen of the log cannot be read")]
    State(#[from] StateError),
    /// What was seen is damaged.
    #[error(
        "what was seen of log `{log}` is not one of its checkpoints: restore it, or remove it and trust the log anew"
    )]
    Damaged {
        /// The log.
        log: String,
        /// In what.
        #[source]
        source: CheckpointError,
    },
}

/// Evidence and the alarm that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The alarm.
    pub alarm: Alarm,
    /// What shows it; `None` for what is our word.
    pub evidence: Option<Evidence>,
}

/// What came of looking: events, and alarms that were not raised before.
#[derive(Debug, Default)]
pub struct Looked {
    /// What happened.
    pub events: Vec<MonitorEvent>,
    /// What is wrong.
    pub alarms: Vec<Found>,
}

/// A checkpoint that a peer has seen and we cannot judge yet.
#[derive(Debug)]
struct Waiting {
    signed: SignedCheckpoint,
    polls: u32,
}

/// One log, as it was seen here.
pub struct Follower {
    log: VerifierKey,
    source: Arc<dyn LogSource>,
    notes: Arc<dyn Notes>,
    patience: Patience,
    seen: Option<SignedCheckpoint>,
    waiting: BTreeMap<String, Waiting>,
    heard: Heard,
    stale: u32,
    unshown: u32,
    /// Alarms that were raised, and whether evidence came with them.
    raised: BTreeSet<(Alarm, bool)>,
}

impl Follower {
    /// Follows a log from what `notes` has of it.
    ///
    /// # Errors
    /// [`FollowError`] when that cannot be read, or is not signed by the log.
    pub fn open(
        log: VerifierKey,
        source: Arc<dyn LogSource>,
        notes: Arc<dyn Notes>,
        patience: Patience,
    ) -> Result<Self, FollowError> {
        let name = log.name().as_str();
        let seen = match notes.load(name)? {
            None => None,
            Some(bytes) => {
                let read = SignedCheckpoint::parse(&bytes)
                    .and_then(|signed| signed.verify(&log).cloned().map(|_| signed));
                Some(read.map_err(|source| FollowError::Damaged {
                    log: name.to_owned(),
                    source,
                })?)
            }
        };
        let known = seen.as_ref().and_then(|seen| bare(&log, seen).ok());
        let mut heard = Heard::default();
        if let Some(known) = known {
            heard.remember(known);
        }
        Ok(Self {
            heard,
            log,
            source,
            notes,
            patience,
            seen,
            waiting: BTreeMap::new(),
            stale: 0,
            unshown: 0,
            raised: BTreeSet::new(),
        })
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The last checkpoint that was seen, shown to continue those before, and kept.
    #[must_use]
    pub const fn seen(&self) -> Option<&SignedCheckpoint> {
        self.seen.as_ref()
    }

    /// Reads the log's newest checkpoint and judges it, then what peers have seen and could not be judged before.
    pub fn poll(&mut self) -> Looked {
        let mut looked = Looked::default();
        match self.source.read(LogFile::Checkpoint) {
            Ok(Some(bytes)) => self.judge(&bytes, &mut looked),
            Ok(None) => looked.events.push(self.unreachable("it has no checkpoint")),
            Err(error) => looked.events.push(self.unreachable(&chain_of(&error))),
        }
        self.settle(&mut looked);
        self.raise_once(&mut looked);
        looked
    }

    /// Judges a checkpoint that a peer says the log has shown it.
    pub fn hear(&mut self, peer: &str, bytes: &[u8]) -> Looked {
        let mut looked = Looked::default();
        let signed = SignedCheckpoint::parse(bytes)
            .and_then(|signed| signed.verify(&self.log).cloned().map(|_| signed));
        match signed {
            Ok(signed) if is_long(&signed) => looked.events.push(MonitorEvent::PeerFailed {
                log: self.name(),
                peer: peer.to_owned(),
                reason: LONG.to_owned(),
            }),
            // A peer can say what it likes; only what the log signed counts against the log.
            Err(error) => looked.events.push(MonitorEvent::PeerFailed {
                log: self.name(),
                peer: peer.to_owned(),
                reason: chain_of(&error),
            }),
            Ok(signed) => {
                self.remember(&signed, &mut looked);
                // The one that has waited longer is decided first; what contradicts it later contradicts all that follows.
                let known = self
                    .waiting
                    .get(peer)
                    .map(|waiting| waiting.signed.unverified().size());
                if known.is_none_or(|size| signed.unverified().size() <= size) {
                    let polls = self.waiting.get(peer).map_or(0, |waiting| waiting.polls);
                    let waiting = Waiting { signed, polls };
                    self.waiting.insert(peer.to_owned(), waiting);
                    self.settle_one(peer, &mut looked);
                } else {
                    self.settle_one(peer, &mut looked);
                    if !self.waiting.contains_key(peer) {
                        self.waiting
                            .insert(peer.to_owned(), Waiting { signed, polls: 0 });
                        self.settle_one(peer, &mut looked);
                    }
                }
            }
        }
        self.raise_once(&mut looked);
        looked
    }

    fn judge(&mut self, bytes: &[u8], looked: &mut Looked) {
        let signed = match SignedCheckpoint::parse(bytes) {
            Ok(signed) => signed,
            Err(error) => return looked.events.push(self.unreachable(&chain_of(&error))),
        };
        if let Err(error) = signed.verify(&self.log) {
            let reason = chain_of(&error);
            // The log's key did sign that: it is false on its face, whatever came before.
            let alarm = if error == CheckpointError::EmptyRoot {
                let from = self
                    .seen
                    .as_ref()
                    .map_or(0, |seen| seen.unverified().size());
                Alarm::Inconsistent {
                    from,
                    to: 0,
                    reason,
                }
            } else {
                Alarm::UnknownKey { reason }
            };
            return looked.alarms.push(word(alarm));
        }
        if is_long(&signed) {
            return looked.events.push(self.unreachable(LONG));
        }
        self.remember(&signed, looked);
        let Some(seen) = self.seen.clone() else {
            return self.first(signed, looked);
        };
        let (old, new) = (seen.unverified().size(), signed.unverified().size());
        if new < old {
            self.smaller(&seen, &signed, looked);
        } else if new > old {
            self.stale = 0;
            self.larger(&seen, signed, looked);
        } else {
            // Another root of the same size was found by now.
            (self.stale, self.unshown) = (0, 0);
        }
    }

    /// Compares a checkpoint with the first one of its size, from wherever that came, and remembers it if there was none.
    fn remember(&mut self, signed: &SignedCheckpoint, looked: &mut Looked) {
        let checkpoint = signed.unverified();
        let size = checkpoint.size();
        match self.heard.get(&size) {
            Some(first) if first.unverified().root() != checkpoint.root() => {
                looked.alarms.push(Found {
                    alarm: Alarm::Equivocation { size },
                    evidence: Evidence::of_one_size(&self.log, first, signed).ok(),
                });
            }
            Some(_) => {}
            None => {
                if let Ok(own) = bare(&self.log, signed) {
                    self.heard.remember(own);
                }
            }
        }
    }

    fn first(&mut self, signed: SignedCheckpoint, looked: &mut Looked) {
        let size = signed.unverified().size();
        match Tree::open(&*self.source, signed.unverified()) {
            Ok(_) => {
                let event = MonitorEvent::FirstSeen {
                    log: self.name(),
                    size,
                };
                self.keep(signed, event, looked);
            }
            Err(error) => self.not_shown(0, size, &error, looked),
        }
    }

    fn larger(&mut self, seen: &SignedCheckpoint, signed: SignedCheckpoint, looked: &mut Looked) {
        let (from, to) = (seen.unverified().size(), signed.unverified().size());
        match self.compare(seen, &signed) {
            Ok(None) => {
                let event = MonitorEvent::Grown {
                    log: self.name(),
                    from,
                    to,
                };
                self.keep(signed, event, looked);
            }
            Ok(Some(found)) => looked.alarms.push(found),
            Err(error) => self.not_shown(from, to, &error, looked),
        }
    }

    fn smaller(&mut self, seen: &SignedCheckpoint, signed: &SignedCheckpoint, looked: &mut Looked) {
        self.stale = self.stale.saturating_add(1);
        let (shown, before) = (signed.unverified().size(), seen.unverified().size());
        if self.stale >= self.patience.stale_polls {
            looked.alarms.push(word(Alarm::Rollback {
                seen: before,
                shown,
            }));
        }
        match self.compare(signed, seen) {
            Ok(None) => {
                looked.events.push(MonitorEvent::Stale {
                    log: self.name(),
                    size: shown,
                    seen: before,
                });
            }
            Ok(Some(found)) => looked.alarms.push(found),
            Err(error) => looked.events.push(self.unreachable(&chain_of(&error))),
        }
    }

    /// The log says more than it shows. What is false is an alarm at once, what is missing only if it lasts.
    fn not_shown(&mut self, from: u64, to: u64, error: &TreeError, looked: &mut Looked) {
        self.unshown = self.unshown.saturating_add(1);
        let reason = chain_of(error);
        looked.events.push(self.unreachable(&reason));
        if error.is_wrong() || self.unshown >= self.patience.unshown_polls {
            looked
                .alarms
                .push(word(Alarm::Inconsistent { from, to, reason }));
        }
    }

    fn keep(&mut self, signed: SignedCheckpoint, event: MonitorEvent, looked: &mut Looked) {
        match self
            .notes
            .keep(self.log.name().as_str(), signed.encode().as_bytes())
        {
            Ok(()) => {
                self.unshown = 0;
                self.seen = Some(signed);
                looked.events.push(event);
            }
            Err(error) => looked.events.push(MonitorEvent::NotKept {
                log: self.name(),
                reason: chain_of(&error),
            }),
        }
    }

    /// Judges what peers have seen, as far as that is possible now.
    fn settle(&mut self, looked: &mut Looked) {
        let peers: Vec<String> = self.waiting.keys().cloned().collect();
        for peer in peers {
            if let Some(waiting) = self.waiting.get_mut(&peer) {
                waiting.polls = waiting.polls.saturating_add(1);
            }
            self.settle_one(&peer, looked);
        }
    }

    fn settle_one(&mut self, peer: &str, looked: &mut Looked) {
        let Some(waiting) = self.waiting.get(peer) else {
            return;
        };
        let Some(seen) = &self.seen else {
            // Whoever was never shown anything here, and is told that others were, is kept in the dark.
            if waiting.polls >= self.patience.withheld_polls {
                looked.alarms.push(word(Alarm::Withheld {
                    peer: peer.to_owned(),
                    size: waiting.signed.unverified().size(),
                    seen: 0,
                }));
            }
            return;
        };
        let (theirs, ours) = (waiting.signed.clone(), seen.clone());
        let (size, have) = (theirs.unverified().size(), ours.unverified().size());
        // The larger one's tree says what the smaller one's root must be; only what is signed and shown here can be asked.
        let (small, large) = if size <= have {
            (&theirs, &ours)
        } else {
            (&ours, &theirs)
        };
        match self.compare(small, large) {
            Ok(None) => {
                self.waiting.remove(peer);
                looked.events.push(MonitorEvent::PeerAgrees {
                    log: self.name(),
                    peer: peer.to_owned(),
                    size,
                });
            }
            Ok(Some(found)) => {
                // Without evidence it is looked at again.
                if found.evidence.is_some() {
                    self.waiting.remove(peer);
                }
                looked.alarms.push(found);
            }
            Err(_) if waiting.polls >= self.patience.withheld_polls => {
                looked.alarms.push(word(Alarm::Withheld {
                    peer: peer.to_owned(),
                    size,
                    seen: have,
                }));
            }
            // It waits for more tiles, or for a source that can be read.
            Err(_) => {}
        }
    }

    /// Whether the larger checkpoint continues the smaller: nothing if it does, else what is found. Root and proof come from one reading
    /// of the log's tiles; if the proof cannot be had any more, what was seen is said in words.
    fn compare(
        &self,
        small: &SignedCheckpoint,
        large: &SignedCheckpoint,
    ) -> Result<Option<Found>, TreeError> {
        let (smaller, larger) = (small.unverified().size(), large.unverified().size());
        if smaller == larger {
            let same = small.unverified().root() == large.unverified().root();
            return Ok((!same).then(|| Found {
                alarm: Alarm::Equivocation { size: larger },
                evidence: Evidence::of_one_size(&self.log, small, large).ok(),
            }));
        }
        let mut tree = Tree::open(&*self.source, large.unverified())?;
        let root = tree.root_at(smaller)?;
        if root == *small.unverified().root() {
            return Ok(None);
        }
        let proof = tree.consistency(smaller).ok();
        Ok(Some(fork(&self.log, (small, large), root, proof)))
    }

    /// Leaves alarms that were raised before.
    fn raise_once(&mut self, looked: &mut Looked) {
        if self.raised.len() >= ALARMS_MAX {
            self.raised.clear();
        }
        looked.alarms.retain(|found| {
            let (kind, shown) = (kind_of(&found.alarm), found.evidence.is_some());
            // Evidence that comes later is told of; words after evidence are not.
            let is_new = self.raised.insert((kind.clone(), shown));
            is_new && (shown || !self.raised.contains(&(kind, true)))
        });
    }

    fn unreachable(&self, reason: &str) -> MonitorEvent {
        MonitorEvent::Unreachable {
            log: self.name(),
            reason: reason.to_owned(),
        }
    }

    fn name(&self) -> String {
        self.log.name().as_str().to_owned()
    }
}

/// Why a checkpoint with long extension lines is not looked at.
const LONG: &str = "its checkpoint has more than 4096 bytes of extension lines";

fn is_long(signed: &SignedCheckpoint) -> bool {
    let lines = signed.unverified().extensions().iter();
    lines
        .map(|line| line.len().saturating_add(1))
        .sum::<usize>()
        > EXTENSION_BYTES_MAX
}

/// The first checkpoint of each size that anybody showed, with the log's signature alone. What was heard first goes first when there is no more
/// room: which sizes a log has signed is for the log to choose, and when they came is not.
#[derive(Debug, Default)]
struct Heard {
    by_size: BTreeMap<u64, SignedCheckpoint>,
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Heard {
    fn get(&self, size: &u64) -> Option<&SignedCheckpoint> {
        self.by_size.get(size)
    }

    /// Remembers one of a size that is not remembered yet.
    fn remember(&mut self, signed: SignedCheckpoint) {
        let (size, len) = (signed.unverified().size(), signed.encode().len());
        self.bytes = self.bytes.saturating_add(len);
        self.order.push_back((size, len));
        self.by_size.insert(size, signed);
        while self.order.len() > HEARD_MAX || self.bytes > HEARD_BYTES_MAX {
            let Some((oldest, len)) = self.order.pop_front() else {
                return;
            };
            self.by_size.remove(&oldest);
            self.bytes = self.bytes.saturating_sub(len);
        }
    }
}

/// What is found when the larger of two checkpoints has another root at the size of the smaller: evidence if there is a proof, else our word.
fn fork(
    log: &VerifierKey,
    (small, large): (&SignedCheckpoint, &SignedCheckpoint),
    root: Hash,
    proof: Option<Vec<Hash>>,
) -> Found {
    let evidence = proof.and_then(|proof| Evidence::check(log, small, large, root, &proof).ok());
    Found {
        alarm: Alarm::Fork {
            smaller: small.unverified().size(),
            larger: large.unverified().size(),
        },
        evidence,
    }
}

fn word(alarm: Alarm) -> Found {
    Found {
        alarm,
        evidence: None,
    }
}

/// What makes two alarms one: a log that grows or changes its words must not raise the same one at every poll, and one lie that is
/// shown is enough.
fn kind_of(alarm: &Alarm) -> Alarm {
    match alarm {
        Alarm::Inconsistent { from, .. } => Alarm::Inconsistent {
            from: *from,
            to: 0,
            reason: String::new(),
        },
        Alarm::Rollback { seen, .. } => Alarm::Rollback {
            seen: *seen,
            shown: 0,
        },
        Alarm::Withheld { peer, size, .. } => Alarm::Withheld {
            peer: peer.clone(),
            size: *size,
            seen: 0,
        },
        Alarm::Fork { .. } => Alarm::Fork {
            smaller: 0,
            larger: 0,
        },
        Alarm::UnknownKey { .. } => Alarm::UnknownKey {
            reason: String::new(),
        },
        Alarm::Equivocation { .. } => Alarm::Equivocation { size: 0 },
    }
}

#[cfg(test)]
mod tests {
    use credence_base::SigningKey;
    use credence_log::proof::{Plan, TileSet};
    use credence_log::{Algorithm, Checkpoint, Edge, Frontier, KeyName, Signer};

    use super::*;

    fn signer() -> Signer {
        let name = KeyName::new("log.example/receipts").unwrap();
        Signer::new(name, Algorithm::Ed25519, SigningKey::from_seed(&[1; 32]))
    }

    fn signed(size: u64, root: Hash) -> SignedCheckpoint {
        let log = signer();
        let checkpoint = Checkpoint::new(log.verifier().name(), size, root).unwrap();
        checkpoint.sign(&log).unwrap()
    }

    struct Nothing;

    impl LogSource for Nothing {
        fn read(&self, _: LogFile) -> Result<Option<Vec<u8>>, crate::source::SourceError> {
            Ok(None)
        }
    }

    impl Notes for Nothing {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>, StateError> {
            Ok(None)
        }

        fn keep(&self, _: &str, _: &[u8]) -> Result<(), StateError> {
            Ok(())
        }
    }

    fn follower() -> Follower {
        let log = signer().verifier().clone();
        Follower::open(log, Arc::new(Nothing), Arc::new(Nothing), Patience::usual()).unwrap()
    }

    #[test]
    fn a_fork_is_evidence_with_a_proof_and_our_word_without() {
        let leaf = |byte: u8| Hash::from_bytes([byte; 32]);
        let (mut edge, mut five) = (Edge::new(), Frontier::new());
        for byte in 0..9 {
            edge.append(leaf(byte)).unwrap();
            if byte < 5 {
                five.append(leaf(byte)).unwrap();
            }
        }
        let (small, large) = (signed(5, leaf(99)), signed(9, edge.root()));
        let mut tiles = TileSet::new();
        tiles.extend(edge.take_tiles());
        let proof = Plan::consistency(5, 9).unwrap().make(&tiles).unwrap();
        let key = signer().verifier().clone();
        let alarm = Alarm::Fork {
            smaller: 5,
            larger: 9,
        };
        let found = |proof| fork(&key, (&small, &large), five.root(), proof);
        let shown = found(Some(proof.clone()));
        assert!(shown.alarm == alarm && shown.evidence.is_some());
        // A proof that shows nothing is none.
        let mut bad = proof;
        bad[0] = leaf(7);
        for words in [found(None), found(Some(bad))] {
            assert!(words.alarm == alarm && words.evidence.is_none());
        }
    }

    #[test]
    fn an_alarm_is_raised_once_and_again_with_evidence() {
        let mut follower = follower();
        let words = || {
            word(Alarm::Fork {
                smaller: 5,
                larger: 9,
            })
        };
        let shown = || {
            let evidence = Evidence::of_one_size(
                &signer().verifier().clone(),
                &signed(5, leaf(1)),
                &signed(5, leaf(2)),
            );
            Found {
                evidence: Some(evidence.unwrap()),
                ..words()
            }
        };
        fn leaf(byte: u8) -> Hash {
            Hash::from_bytes([byte; 32])
        }
        let mut raise = |found: Found| {
            let mut looked = Looked {
                alarms: vec![found],
                ..Looked::default()
            };
            follower.raise_once(&mut looked);
            looked.alarms.len()
        };
        assert_eq!([raise(words()), raise(words())], [1, 0]);
        // Evidence that comes later is told of, once; and words after it are nothing new.
        assert_eq!([raise(shown()), raise(shown()), raise(words())], [1, 0, 0]);
        // The same kind with other numbers is the same lie; another kind is not.
        let other = Alarm::Fork {
            smaller: 6,
            larger: 10,
        };
        assert_eq!(raise(word(other)), 0);
        let rollback = Alarm::Rollback { seen: 9, shown: 3 };
        assert_eq!(
            [raise(word(rollback.clone())), raise(word(rollback))],
            [1, 0]
        );
    }

    #[test]
    fn what_was_heard_is_bounded_and_the_oldest_goes_first() {
        let mut heard = Heard::default();
        // The largest size was heard first, and the smallest last.
        let count = 3 * u64::try_from(HEARD_MAX).unwrap();
        let one = signed(1, Hash::from_bytes([1; 32]));
        let text = one.encode();
        for size in (2..=count).rev().chain([1]) {
            let text = text.replacen("\n1\n", &format!("\n{size}\n"), 1);
            heard.remember(SignedCheckpoint::parse(text.as_bytes()).unwrap());
        }
        assert_eq!(heard.by_size.len(), heard.order.len());
        assert!(heard.order.len() <= HEARD_MAX && heard.bytes <= HEARD_BYTES_MAX);
        assert!(heard.get(&1).is_some() && heard.get(&count).is_none());
        assert!(heard.get(&2).is_some());
        // Long ones make room of their own.
        let line = "x".repeat(4000);
        for size in count + 1..count + 3000 {
            let (head, rest) = text.split_once("\n\n").unwrap();
            let text =
                format!("{head}\n{line}\n\n{rest}").replacen("\n1\n", &format!("\n{size}\n"), 1);
            heard.remember(SignedCheckpoint::parse(text.as_bytes()).unwrap());
        }
        assert!(heard.bytes <= HEARD_BYTES_MAX && heard.get(&1).is_none());
    }
}
