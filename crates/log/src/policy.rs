//! Which logs are accepted, and how many of which witnesses must have seen a checkpoint.
//!
//! ```text
//! SignedCheckpoint ─its log's key─▶ ─each witness's cosignatures─▶ ─quorum─▶ ─times─▶ Witnessed
//! ```
//!
//! Witnesses are counted by name: two keys of one name are one witness, and one key under two names is refused when the
//! policy is made (`tlog-policy`, "Public key representation"). A checkpoint itself has no time. Time comes from the quorum: with
//! `n` witnesses asked for, a checkpoint existed *by* the `n`-th earliest of the witnesses' first times and was still the
//! largest *at* the `n`-th latest of their last times. Fewer than `n` lying witnesses then move neither by themselves. Who
//! trusts a log's own clock lists the log's own cosignature key as a witness.
//!
//! It deliberately parses no policy file: what a user writes is the command line's business.

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::cosignature;
use crate::key::{Algorithm, KeyName, VerifierKey};
use crate::note::NoteError;

/// The most logs, and the most witnesses, that a policy names.
pub const KEYS_MAX: usize = 256;

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogPolicyError {
    /// No log is named.
    #[error("a log policy names at least one log")]
    NoLogs,
    /// Too many keys.
    #[error("a log policy names at most {KEYS_MAX} logs and {KEYS_MAX} witnesses, got {got}")]
    Keys {
        /// Keys given.
        got: usize,
    },
    /// A key of another type than its part needs.
    #[error(
        "`{name}` is a key of type {got:#04x}, expected {expected:#04x}: 0x01 is a log's, 0x04 a witness's"
    )]
    Algorithm {
        /// The key's name.
        name: KeyName,
        /// The type that its part needs.
        expected: u8,
        /// The key's type.
        got: u8,
    },
    /// One public key twice.
    #[error("`{first}` and `{second}` are one public key: it would count twice")]
    SameKey {
        /// A name of the key.
        first: KeyName,
        /// The other one.
        second: KeyName,
    },
    /// More witnesses are asked for than there are.
    #[error("a quorum of {quorum} is asked for, of {witnesses} witnesses")]
    Quorum {
        /// The quorum.
        quorum: u32,
        /// Witnesses by name.
        witnesses: usize,
    },
    /// The age of a checkpoint is asked for, and nobody would say it.
    #[error(
        "a checkpoint's age comes from witnesses: ask for a quorum of at least 1, or for no age"
    )]
    AgeWithoutQuorum,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogRefusal {
    /// Its origin is no accepted log's.
    #[error("log `{origin}` is not among those that the policy accepts")]
    UnknownLog {
        /// The origin.
        origin: String,
    },
    /// None of the log's accepted keys has signed it, or it is false on its face.
    #[error("the checkpoint is not one of log `{origin}`")]
    Checkpoint {
        /// The origin.
        origin: String,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// A cosignature said to be a known witness's is not.
    #[error("a cosignature on the checkpoint is forged or damaged")]
    Cosignature(#[source] NoteError),
    /// Too few witnesses have cosigned it.
    #[error("{got} of the policy's witnesses have cosigned the checkpoint, it asks for {quorum}")]
    Quorum {
        /// Witnesses asked for.
        quorum: u32,
        /// Witnesses that have.
        got: usize,
    },
    /// A witness has cosigned it after now.
    #[error(
        "witness `{witness}` has cosigned the checkpoint {ahead_s} s after now, the policy allows {max_s} s"
    )]
    Future {
        /// The witness.
        witness: KeyName,
        /// Seconds it is ahead.
        ahead_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The checkpoint is too old.
    #[error("the checkpoint is {age_s} s old by its witnesses, the policy allows {max_s} s")]
    Age {
        /// Its age.
        age_s: u64,
        /// Seconds allowed.
        max_s: u64,
    },
}

/// Logs, witnesses and quorum, checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    quorum: u32,
    checkpoint_age_max_s: Option<u64>,
}

/// The verifier's clock, and how far others' may be ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Now, in seconds since 1970-01-01 UTC.
    pub now_unix_s: u64,
    /// How far another clock may be ahead, in seconds.
    pub skew_max_s: u64,
}

/// A witness that has cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigner {
    /// Its name.
    pub name: KeyName,
    /// The first time it names, in seconds since 1970-01-01 UTC.
    pub first_unix_s: u64,
    /// The last time it names.
    pub last_unix_s: u64,
}

/// A checkpoint that met a policy, and who saw it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    checkpoint: Checkpoint,
    log: VerifierKey,
    cosigners: Vec<Cosigner>,
    quorum: u32,
}

impl LogPolicy {
    /// A policy that accepts the checkpoints of `logs` (keys of type `0x01`; several of one name are one log's), cosigned by
    /// `quorum` of `witnesses` (keys of type `0x04`; several of one name are one witness).
    ///
    /// # Errors
    /// [`LogPolicyError`] when it could not be met, or a key would count twice.
    pub fn new(
        logs: Vec<VerifierKey>,
        witnesses: Vec<VerifierKey>,
        quorum: u32,
    ) -> Result<Self, LogPolicyError> {
        if logs.is_empty() {
            return Err(LogPolicyError::NoLogs);
        }
        check_keys(&logs, Algorithm::Ed25519)?;
        check_keys(&witnesses, Algorithm::CosignatureV1)?;
        // A log that is its own witness would be no witness.
        let all: Vec<_> = logs.iter().chain(&witnesses).collect();
        for (at, first) in all.iter().enumerate() {
            let mut later = all.iter().skip(at).skip(1);
            if let Some(second) = later.find(|other| other.key() == first.key()) {
                return Err(LogPolicyError::SameKey {
                    first: first.name().clone(),
                    second: second.name().clone(),
                });
            }
        }
        let mut names: Vec<_> = witnesses.iter().map(VerifierKey::name).collect();
        names.sort_unstable();
        names.dedup();
        let count = names.len();
        if usize::try_from(quorum).map_or(true, |quorum| quorum > count) {
            return Err(LogPolicyError::Quorum {
                quorum,
                witnesses: count,
            });
        }
        Ok(Self {
            logs,
            witnesses,
            quorum,
            checkpoint_age_max_s: None,
        })
    }

    /// The same, for checkpoints of at most this age in seconds.
    ///
    /// # Errors
    /// [`LogPolicyError::AgeWithoutQuorum`] when no witness is asked for.
    pub fn with_age_max_s(self, max_s: u64) -> Result<Self, LogPolicyError> {
        if self.quorum == 0 {
            return Err(LogPolicyError::AgeWithoutQuorum);
        }
        Ok(Self {
            checkpoint_age_max_s: Some(max_s),
            ..self
        })
    }

    /// The accepted logs' keys.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses' keys.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// How many witnesses must have cosigned.
    #[must_use]
    pub const fn quorum(&self) -> u32 {
        self.quorum
    }

    /// How old a checkpoint may be, in seconds.
    #[must_use]
    pub const fn checkpoint_age_max_s(&self) -> Option<u64> {
        self.checkpoint_age_max_s
    }

    /// Accepts a checkpoint, or says why not.
    ///
    /// # Errors
    /// [`LogRefusal`], the first reason met.
    pub fn check(&self, signed: &SignedCheckpoint, clock: Clock) -> Result<Witnessed, LogRefusal> {
        self.check_at_any_age(signed, clock).and_then(|witnessed| {
            let age_s = witnessed
                .at_unix_s()
                .map(|at| clock.now_unix_s.saturating_sub(at));
            match age_s.zip(self.checkpoint_age_max_s) {
                Some((age_s, max_s)) if age_s > max_s => Err(LogRefusal::Age { age_s, max_s }),
                Some(_) | None => Ok(witnessed),
            }
        })
    }

    /// As [`LogPolicy::check`], whatever the checkpoint's age: for what stays true once it was logged.
    ///
    /// # Errors
    /// [`LogRefusal`], the first reason met.
    pub fn check_at_any_age(
        &self,
        signed: &SignedCheckpoint,
        clock: Clock,
    ) -> Result<Witnessed, LogRefusal> {
        let log = self.log_of(signed)?;
        let (cosigners, ahead) = self.cosigners(signed, clock)?;
        let got = cosigners.len();
        let lacks = |got: usize| usize::try_from(self.quorum).map_or(true, |quorum| got < quorum);
        if lacks(got) {
            let with_ahead = got.saturating_add(ahead.len());
            return Err(match ahead.into_iter().next() {
                // It is their clocks, or ours, that the quorum fails on.
                Some((witness, ahead_s)) if !lacks(with_ahead) => LogRefusal::Future {
                    witness,
                    ahead_s,
                    max_s: clock.skew_max_s,
                },
                Some(_) | None => LogRefusal::Quorum {
                    quorum: self.quorum,
                    got,
                },
            });
        }
        Ok(Witnessed {
            checkpoint: signed.unverified().clone(),
            log,
            cosigners,
            quorum: self.quorum,
        })
    }

    /// The accepted key that signed the checkpoint under its own name.
    fn log_of(&self, signed: &SignedCheckpoint) -> Result<VerifierKey, LogRefusal> {
        let origin = signed.unverified().origin();
        let mut refusal = LogRefusal::UnknownLog {
            origin: origin.to_owned(),
        };
        let mut found = None;
        for log in self.logs.iter().filter(|log| log.name().as_str() == origin) {
            match signed.verify(log) {
                Ok(_) => found = found.or(Some(log)),
                Err(source) => {
                    let is_forged = !matches!(source, CheckpointError::Unsigned { .. });
                    refusal = LogRefusal::Checkpoint {
                        origin: origin.to_owned(),
                        source,
                    };
                    // A bad signature of a known key spoils the note, even beside a good one of another.
                    if is_forged {
                        return Err(refusal);
                    }
                }
            }
        }
        found.cloned().ok_or(refusal)
    }

    /// The witnesses that have cosigned, each once, by name; and those who did so ahead of the clock alone, and by how much.
    ///
    /// A time ahead of the clock counts for nothing, and takes nothing away: else one witness could veto every proof.
    fn cosigners(&self, signed: &SignedCheckpoint, clock: Clock) -> Result<Cosigners, LogRefusal> {
        let mut cosigners: Vec<Cosigner> = Vec::new();
        let mut ahead: Vec<(KeyName, u64)> = Vec::new();
        for witness in &self.witnesses {
            let mut times =
                cosignature::times(signed.note(), witness).map_err(LogRefusal::Cosignature)?;
            let latest = clock.now_unix_s.saturating_add(clock.skew_max_s);
            let first = times.first().copied();
            times.retain(|time| *time <= latest);
            let (Some(first), Some(last)) = (times.first(), times.last()) else {
                if let Some(first) = first {
                    let by_s = first.saturating_sub(clock.now_unix_s);
                    ahead.push((witness.name().clone(), by_s));
                }
                continue;
            };
            let known = cosigners
                .iter_mut()
                .find(|cosigner| cosigner.name == *witness.name());
            match known {
                Some(known) => {
                    known.first_unix_s = known.first_unix_s.min(*first);
                    known.last_unix_s = known.last_unix_s.max(*last);
                }
                None => cosigners.push(Cosigner {
                    name: witness.name().clone(),
                    first_unix_s: *first,
                    last_unix_s: *last,
                }),
            }
        }
        ahead.retain(|(name, _)| cosigners.iter().all(|cosigner| cosigner.name != *name));
        ahead.dedup_by(|a, b| a.0 == b.0);
        Ok((cosigners, ahead))
    }
}

/// Cosigners, and the names of those who are ahead of the clock, with seconds.
type Cosigners = (Vec<Cosigner>, Vec<(KeyName, u64)>);

impl Witnessed {
    /// What the log says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// The policy's witnesses that have cosigned it, in the policy's order.
    #[must_use]
    pub fn cosigners(&self) -> &[Cosigner] {
        &self.cosigners
    }

    /// How many witnesses the policy asks for.
    #[must_use]
    pub const fn quorum(&self) -> u32 {
        self.quorum
    }

    /// By when it existed: the quorum-th earliest first time. `None` when the policy asks for no witness.
    #[must_use]
    pub fn by_unix_s(&self) -> Option<u64> {
        let mut times: Vec<_> = self.cosigners.iter().map(|one| one.first_unix_s).collect();
        times.sort_unstable();
        self.nth(&times)
    }

    /// When it was still the log's largest: the quorum-th latest last time. `None` when the policy asks for no witness.
    #[must_use]
    pub fn at_unix_s(&self) -> Option<u64> {
        let mut times: Vec<_> = self.cosigners.iter().map(|one| one.last_unix_s).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        self.nth(&times)
    }

    fn nth(&self, times: &[u64]) -> Option<u64> {
        let at = self.quorum.checked_sub(1)?;
        times.get(usize::try_from(at).ok()?).copied()
    }
}

fn check_keys(keys: &[VerifierKey], expected: Algorithm) -> Result<(), LogPolicyError> {
    let got = keys.len();
    if got > KEYS_MAX {
        return Err(LogPolicyError::Keys { got });
    }
    match keys.iter().find(|key| key.algorithm() != expected) {
        None => Ok(()),
        Some(key) => Err(LogPolicyError::Algorithm {
            name: key.name().clone(),
            expected: expected.byte(),
            got: key.algorithm().byte(),
        }),
    }
}
