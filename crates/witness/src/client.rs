//! Asks witnesses to cosign a checkpoint: all at once, each for itself, until enough have or the time is over.
//!
//! ```text
//! checkpoint ─▶ each witness, in its own thread: POST with the size it is thought to have ─409─▶ proof from the size it says ─▶ POST again, once
//!            ◀─ cosignatures, each checked against the witness's key ─ quorum, and a moment for the rest ─▶ Asked
//! ```
//!
//! A witness that is down, slow, wrong or hostile costs its own cosignature and nothing else: sizes and times of answers are bounded,
//! and a witness that still has not answered an earlier question is not asked again meanwhile. Witnesses count by name, as in
//! `credence_log::policy`.
//!
//! A cosignature counts only if its time is close to our clock's: one from the future would spoil nothing for whoever verifies, but it would
//! not count there either, and one from the past would make the checkpoint look old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use credence_log::cosignature;
use credence_log::note::{NOTE_LEN_MAX, parse_signatures};
use credence_log::{
    AddCheckpoint, Algorithm, Hash, KeyName, Note, NoteSignature, SignedCheckpoint, VerifierKey,
};
use serde::Serialize;

use crate::clock::{Clock, system_clock};
use crate::fetch::{Bounds, FetchError, Fetcher, Prefix};

/// The most witnesses that one client asks.
pub const WITNESSES_MAX: usize = 256;

/// How far a witness's clock may be from ours, in seconds: what a verifier allows by itself.
pub const SKEW_MAX_S: u64 = 120;

/// The longest answer that is read, in bytes.
const ANSWER_LEN_MAX: usize = NOTE_LEN_MAX;

/// Why a client cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A log's key, where a witness's is needed.
    #[error("`{0}` is not a witness's key: its type is not 0x04")]
    Algorithm(KeyName),
    /// Too many of them.
    #[error("a client asks at most {WITNESSES_MAX} witnesses, got {got}")]
    TooMany {
        /// Witnesses given.
        got: usize,
    },
    /// One public key twice.
    #[error("`{first}` and `{second}` are one public key: it would count twice")]
    SameKey {
        /// A name of the key.
        first: KeyName,
        /// The other one.
        second: KeyName,
    },
    /// More are asked for than there are.
    #[error("a quorum of {quorum} is asked for, of {witnesses} witnesses")]
    Quorum {
        /// The quorum.
        quorum: usize,
        /// Witnesses by name.
        witnesses: usize,
    },
}

/// A witness and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAddress {
    /// Its key.
    pub key: VerifierKey,
    /// Its submission prefix.
    pub prefix: Prefix,
}

/// A proof could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no consistency proof from {old} to {new} entries")]
pub struct ProofsError {
    /// The old size.
    pub old: u64,
    /// The new size.
    pub new: u64,
    /// Why.
    #[source]
    pub source: Box<dyn core::error::Error + Send + Sync>,
}

/// Whoever can show that a log's tree of one size begins that of another.
pub trait Proofs: Send + Sync {
    /// The consistency proof from `old` to `new` entries.
    ///
    /// # Errors
    /// [`ProofsError`] when the tiles cannot be read.
    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, ProofsError>;
}

/// How long to ask, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Witnesses that must have cosigned.
    pub quorum: usize,
    /// The longest that asking takes.
    pub deadline: Duration,
    /// How long to wait for the rest once the quorum is there.
    pub linger: Duration,
}

/// What became of one witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It cosigned, at this time by its own clock.
    Cosigned {
        /// Seconds since 1970-01-01 UTC.
        time_unix_s: u64,
    },
    /// It cosigned, at a time too far from ours: that counts for nothing.
    WrongTime {
        /// Its time, in seconds since 1970-01-01 UTC.
        time_unix_s: u64,
        /// Ours.
        now_unix_s: u64,
    },
    /// It has not answered yet.
    Pending,
    /// It still owes the answer to an earlier question, and was not asked.
    Busy,
    /// It could not be reached, broke off, or sent too much.
    Failed {
        /// Why, in words.
        reason: String,
    },
    /// It answered with this status.
    Refused {
        /// The status.
        status: u16,
    },
    /// It has cosigned a larger tree already: this checkpoint is old, or the log has gone back.
    Ahead {
        /// The size it has cosigned last.
        size: u64,
    },
    /// It says that it has cosigned fewer entries than it did cosign for us: it has lost its state, and its word is worth nothing.
    Forgot {
        /// Entries that it cosigned.
        cosigned: u64,
        /// Entries that it says.
        says: u64,
    },
    /// It has cosigned another root of this size: two truths of one log.
    SplitView {
        /// The size.
        size: u64,
    },
    /// What it sent is not a cosignature of its key over this checkpoint.
    BadAnswer,
    /// It would have cosigned, but no proof could be made for it.
    NoProof {
        /// The size it has cosigned last.
        from: u64,
        /// Why not, in words.
        reason: String,
    },
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whether as many witnesses as were asked for have cosigned.
    pub quorum: bool,
    /// The cosignatures, checked, in the order of the witnesses.
    pub cosignatures: Vec<NoteSignature>,
    /// What became of each witness, in their order.
    pub outcomes: Vec<(VerifierKey, Outcome)>,
}

/// What is known of a witness's record of one log.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The size that it is thought to have cosigned last; only a guess, which saves a round.
    guess: u64,
    /// The largest size that it has cosigned for us, by its own signature.
    cosigned: u64,
}

/// One who is asked.
#[derive(Debug)]
struct Seat {
    address: WitnessAddress,
    /// Per origin.
    known: Mutex<BTreeMap<String, Known>>,
    busy: AtomicBool,
}

/// Asks the same witnesses again and again.
pub struct Client {
    seats: Vec<Arc<Seat>>,
    names: usize,
    fetcher: Fetcher,
    clock: Clock,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("seats", &self.seats)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of these witnesses.
    ///
    /// # Errors
    /// [`ClientError`] when a key is not a witness's, or counts twice.
    pub fn new(witnesses: Vec<WitnessAddress>) -> Result<Self, ClientError> {
        if witnesses.len() > WITNESSES_MAX {
            return Err(ClientError::TooMany {
                got: witnesses.len(),
            });
        }
        let mut keys: BTreeMap<[u8; 32], KeyName> = BTreeMap::new();
        for WitnessAddress { key, .. } in &witnesses {
            if key.algorithm() != Algorithm::CosignatureV1 {
                return Err(ClientError::Algorithm(key.name().clone()));
            }
            if let Some(first) = keys.insert(*key.key().as_bytes(), key.name().clone()) {
                return Err(ClientError::SameKey {
                    first,
                    second: key.name().clone(),
                });
            }
        }
        let names: BTreeSet<&KeyName> = witnesses.iter().map(|w| w.key.name()).collect();
        let names = names.len();
        let seat = |address| {
            Arc::new(Seat {
                address,
                known: Mutex::new(BTreeMap::new()),
                busy: AtomicBool::new(false),
            })
        };
        Ok(Self {
            seats: witnesses.into_iter().map(seat).collect(),
            names,
            fetcher: Fetcher::new(),
            clock: system_clock(),
        })
    }

    /// The same, by this clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Whether so many could cosign at all.
    ///
    /// # Errors
    /// [`ClientError::Quorum`].
    pub const fn check_quorum(&self, quorum: usize) -> Result<(), ClientError> {
        if quorum > self.names {
            return Err(ClientError::Quorum {
                quorum,
                witnesses: self.names,
            });
        }
        Ok(())
    }

    /// Asks all witnesses to cosign the checkpoint; blocks until the quorum is there and the lingering over, all have answered, or
    /// the deadline.
    ///
    /// # Errors
    /// [`ClientError::Quorum`] when more are asked for than there are; whether the quorum was met stands in [`Asked::quorum`].
    pub fn ask(
        &self,
        checkpoint: &SignedCheckpoint,
        ask: Ask,
        proofs: &Arc<dyn Proofs>,
    ) -> Result<Asked, ClientError> {
        self.check_quorum(ask.quorum)?;
        let end = Instant::now() + ask.deadline;
        let (sender, receiver) = channel();
        let mut found: Vec<(Outcome, Option<NoteSignature>)> = Vec::new();
        let mut waiting = 0usize;
        for (at, seat) in self.seats.iter().enumerate() {
            let question = Question {
                seat: Arc::clone(seat),
                fetcher: self.fetcher.clone(),
                checkpoint: checkpoint.clone(),
                proofs: Arc::clone(proofs),
                clock: Arc::clone(&self.clock),
                end,
            };
            let outcome = question.send(at, sender.clone());
            waiting += usize::from(outcome == Outcome::Pending);
            found.push((outcome, None));
        }
        drop(sender);
        let mut end = end;
        let mut quorum = ask.quorum == 0;
        while waiting > 0 {
            match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, answer)) => {
                    waiting -= 1;
                    if let Some(place) = found.get_mut(at) {
                        *place = answer;
                    }
                    if !quorum && self.cosigners(&found) >= ask.quorum {
                        quorum = true;
                        end = end.min(Instant::now() + ask.linger);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let cosignatures = found.iter().filter_map(|(_, line)| line.clone()).collect();
        let keys = self.seats.iter().map(|seat| seat.address.key.clone());
        Ok(Asked {
            quorum,
            cosignatures,
            outcomes: keys
                .zip(found.into_iter().map(|(outcome, _)| outcome))
                .collect(),
        })
    }

    /// Witnesses that have cosigned, by name.
    fn cosigners(&self, found: &[(Outcome, Option<NoteSignature>)]) -> usize {
        let names: BTreeSet<&KeyName> = self
            .seats
            .iter()
            .zip(found)
            .filter(|(_, (_, line))| line.is_some())
            .map(|(seat, _)| seat.address.key.name())
            .collect();
        names.len()
    }
}

type Answer = (Outcome, Option<NoteSignature>);

/// One checkpoint for one witness.
struct Question {
    seat: Arc<Seat>,
    fetcher: Fetcher,
    checkpoint: SignedCheckpoint,
    proofs: Arc<dyn Proofs>,
    clock: Clock,
    end: Instant,
}

/// Frees the seat when the thread ends, however it ends.
struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Question {
    /// Asks in a thread of its own, whose time is bounded by the deadline.
    fn send(self, at: usize, sender: Sender<(usize, Answer)>) -> Outcome {
        if self.seat.busy.swap(true, Ordering::AcqRel) {
            return Outcome::Busy;
        }
        let busy = Busy(Arc::clone(&self.seat));
        let started = std::thread::Builder::new()
            .name("ask-witness".to_owned())
            .spawn(move || {
                let answer = self.ask();
                drop(busy);
                // Whoever asked may have had enough by then.
                drop(sender.send((at, answer)));
            });
        match started {
            Ok(_) => Outcome::Pending,
            Err(error) => Outcome::Failed {
                reason: error.to_string(),
            },
        }
    }

    fn ask(&self) -> Answer {
        let new = self.checkpoint.unverified().size();
        let known = self.known();
        let guess = Some(known.guess).filter(|size| *size <= new).unwrap_or(0);
        match self.post(guess) {
            Err(outcome) => (outcome, None),
            Ok(Posted::Cosigned(line, time_unix_s)) => self.cosigned(line, time_unix_s),
            Ok(Posted::Has(says)) if says < known.cosigned => {
                let cosigned = known.cosigned;
                (Outcome::Forgot { cosigned, says }, None)
            }
            Ok(Posted::Has(size)) if size > new => (Outcome::Ahead { size }, None),
            Ok(Posted::Has(size)) if size == new && guess == new => {
                (Outcome::SplitView { size }, None)
            }
            Ok(Posted::Has(size)) => match self.post(size) {
                Err(outcome) => (outcome, None),
                Ok(Posted::Cosigned(line, time_unix_s)) => self.cosigned(line, time_unix_s),
                Ok(Posted::Has(again)) if again == size && size == new => {
                    (Outcome::SplitView { size }, None)
                }
                Ok(Posted::Has(again)) if again > new => (Outcome::Ahead { size: again }, None),
                // Somebody else was quicker, or it says what it likes; the next time will tell.
                Ok(Posted::Has(_)) => (Outcome::Refused { status: 409 }, None),
            },
        }
    }

    fn cosigned(&self, line: NoteSignature, time_unix_s: u64) -> Answer {
        let size = self.checkpoint.unverified().size();
        self.learn(|known| {
            known.guess = size;
            known.cosigned = known.cosigned.max(size);
        });
        let now_unix_s = (self.clock)();
        if time_unix_s.abs_diff(now_unix_s) > SKEW_MAX_S {
            let wrong = Outcome::WrongTime {
                time_unix_s,
                now_unix_s,
            };
            return (wrong, None);
        }
        (Outcome::Cosigned { time_unix_s }, Some(line))
    }

    fn post(&self, old: u64) -> Result<Posted, Outcome> {
        let new = self.checkpoint.unverified().size();
        let proof = if old == 0 || old == new {
            Vec::new()
        } else {
            self.proofs
                .consistency(old, new)
                .map_err(|error| Outcome::NoProof {
                    from: old,
                    reason: crate::server::chain_of(&error),
                })?
        };
        let body = AddCheckpoint {
            old_size: old,
            proof,
            checkpoint: self.checkpoint.clone(),
        }
        .encode();
        let bounds = Bounds {
            len_max: ANSWER_LEN_MAX,
            time_max: self.end.saturating_duration_since(Instant::now()),
        };
        let url = self.seat.address.prefix.join("add-checkpoint");
        let reply = self
            .fetcher
            .post(&url, &body, bounds)
            .map_err(|error: FetchError| Outcome::Failed {
                reason: crate::server::chain_of(&error),
            })?;
        match reply.status {
            200 => {
                let (line, time) = self.check(&reply.body).ok_or(Outcome::BadAnswer)?;
                Ok(Posted::Cosigned(line, time))
            }
            409 => {
                let size = read_size(&reply.body).ok_or(Outcome::BadAnswer)?;
                self.learn(|known| known.guess = size);
                Ok(Posted::Has(size))
            }
            // Version 1.1.0 of the specification; up to then it was 409.
            422 if old == new => Err(Outcome::SplitView { size: new }),
            status => Err(Outcome::Refused { status }),
        }
    }

    /// The witness's own line among those that came, and its time. Lines of other keys are ignored; a bad one of its own spoils the answer.
    fn check(&self, body: &[u8]) -> Option<(NoteSignature, u64)> {
        let key = &self.seat.address.key;
        let lines = parse_signatures(core::str::from_utf8(body).ok()?).ok()?;
        let mut found = None;
        for line in lines {
            if line.key_id() != key.id() || line.name() != key.name().as_str() {
                continue;
            }
            let text = self.checkpoint.note().text();
            let note = Note::parse(format!("{text}\n{}", line.encode()).as_bytes()).ok()?;
            let time = cosignature::times(&note, key).ok()?.first().copied()?;
            found = found.or(Some((line, time)));
        }
        found
    }

    fn known(&self) -> Known {
        let origin = self.checkpoint.unverified().origin();
        let known = self
            .seat
            .known
            .lock()
            .map(|known| known.get(origin).copied());
        known.ok().flatten().unwrap_or_default()
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        if let Ok(mut known) = self.seat.known.lock() {
            let origin = self.checkpoint.unverified().origin().to_owned();
            change(known.entry(origin).or_default());
        }
    }
}

enum Posted {
    /// It cosigned.
    Cosigned(NoteSignature, u64),
    /// It says that it has cosigned another size last.
    Has(u64),
}

/// The body of an answer of 409.
fn read_size(body: &[u8]) -> Option<u64> {
    let digits = core::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let size = plain.then(|| digits.parse().ok()).flatten()?;
    (size <= credence_log::SIZE_MAX && (digits == "0" || !digits.starts_with('0'))).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_spelling() {
        for (text, expected) in [
            ("0\n", Some(0)),
            ("17\n", Some(17)),
            ("17", None),
            ("017\n", None),
            ("+1\n", None),
            ("\n", None),
            ("1\n\n", None),
            ("9223372036854775807\n", Some(credence_log::SIZE_MAX)),
            ("9223372036854775808\n", None),
        ] {
            assert_eq!(read_size(text.as_bytes()), expected, "{text:?}");
        }
    }
}
