//! Does what the sequencer says, one batch a turn.
//!
//! The lock is held while the sequencer thinks and never while a store works, so digests come in all the time, also while
//! the log recovers. An error at any step drops the sequencer; the next turn recovers another one from the objects, and
//! what had waited is appended once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence_base::ReceiptDigest;
use credence_log::sequencer::{Blob, Event, Limits, Sequencer, SequencerError, Step, Verdict};
use credence_log::{SignedCheckpoint, Signer};
use credence_store::index::Index;
use credence_store::objects::Objects;

use crate::error::LedgerError;
use crate::folder::Folder;
use crate::head::{Head, HeadNote, PlaceId};
use crate::objects::LogObjects;
use crate::pending::{Answer, Pending, Sequenced, Unsure};
use crate::recover::{Recovered, recover};
use crate::shown::{self, Shown};
use crate::{prove, rebuild};

/// What a driver needs.
#[derive(Clone)]
pub struct Options {
    /// The log's key; its name is the log's origin.
    pub signer: Arc<Signer>,
    /// What is held at most.
    pub limits: Limits,
    /// Where the log lies.
    pub objects: Arc<dyn Objects>,
    /// Where positions are found.
    pub index: Arc<dyn Index>,
    /// What the key has signed last.
    pub head: Arc<dyn HeadNote>,
    /// A folder that is kept locked while the log runs, if it lies in one.
    pub folder: Option<Arc<Folder>>,
}

/// A published checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its number.
    pub number: u64,
    /// When its batch was put in order, in milliseconds since 1970; never before the last one's.
    pub time_ms: u64,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Digests that were told of.
    pub acknowledged: usize,
    /// Digests that still wait.
    pub waiting: usize,
}

/// Runs a log, without thread or clock.
pub struct Driver {
    options: Options,
    objects: LogObjects,
    inner: Mutex<Inner>,
    shown: Shown,
    /// Held for a whole turn: one at a time.
    turn: Mutex<()>,
}

struct Inner {
    sequencer: Sequencer,
    place: PlaceId,
    published: Option<Arc<Published>>,
    waiters: BTreeMap<ReceiptDigest, Vec<Answer>>,
    /// What waited when the log stopped, and came since.
    backlog: BTreeSet<ReceiptDigest>,
    stopped: bool,
    /// Why nothing is appended any more.
    refused: Option<SequencerError>,
}

impl Inner {
    /// Takes a digest in while there is no sequencer.
    fn put_by(&mut self, digest: ReceiptDigest, max: usize) -> Result<(), SequencerError> {
        if self.backlog.len() >= max && !self.backlog.contains(&digest) {
            return Err(SequencerError::Full { max });
        }
        self.backlog.insert(digest);
        Ok(())
    }

    /// Gives the sequencer what was put by, as far as it has room. What is in the log already is found there.
    fn take_up(&mut self) {
        while let Some(digest) = self.backlog.pop_first() {
            if self.sequencer.append(digest).is_err() {
                self.backlog.insert(digest);
                return;
            }
        }
    }

    fn waiting(&self) -> usize {
        self.sequencer.waiting().saturating_add(self.backlog.len())
    }
}

impl core::fmt::Debug for Driver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Recovers the log from its objects, or begins it; carries a batch through that was committed, and fills the index.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(options: Options) -> Result<Self, LedgerError> {
        let objects = LogObjects(Arc::clone(&options.objects));
        let Recovered { resumed, place } = recover(&options, &objects)?;
        let driver = Self {
            objects,
            options,
            inner: Mutex::new(Inner {
                published: published(&resumed.sequencer),
                sequencer: resumed.sequencer,
                place,
                waiters: BTreeMap::new(),
                backlog: BTreeSet::new(),
                stopped: false,
                refused: None,
            }),
            shown: Shown::default(),
            turn: Mutex::default(),
        };
        if let Err(error) = driver.finish(resumed.step) {
            driver.fail(&error);
            return Err(error);
        }
        driver.show_published();
        Ok(driver)
    }

    /// Takes a digest in, also while the log recovers.
    ///
    /// # Errors
    /// [`SequencerError::Full`]; [`SequencerError::Overtaken`] or [`SequencerError::Contradicted`] when the log has ended.
    pub fn append(&self, digest: ReceiptDigest) -> Result<Pending, SequencerError> {
        let mut inner = self.inner();
        self.take_in(&mut inner, digest)?;
        let (answer, pending) = Pending::new();
        let waiters = inner.waiters.entry(digest).or_default();
        // Whoever has gone is not waited with: a digest may be asked for as often as anyone likes.
        waiters.retain(|answer| !answer.is_closed());
        waiters.push(answer);
        Ok(pending)
    }

    /// As [`Driver::append`], for whoever does not want to hear of it.
    ///
    /// # Errors
    /// As [`Driver::append`].
    pub fn send(&self, digest: ReceiptDigest) -> Result<(), SequencerError> {
        self.take_in(&mut self.inner(), digest)
    }

    /// Callers that wait for digests.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.inner().waiters.values().map(Vec::len).sum()
    }

    fn take_in(&self, inner: &mut Inner, digest: ReceiptDigest) -> Result<(), SequencerError> {
        if let Some(refused) = &inner.refused {
            return Err(refused.clone());
        }
        if inner.stopped {
            inner.put_by(digest, self.options.limits.pool_max)
        } else {
            inner.sequencer.append(digest)
        }
    }

    /// Does one batch, if digests wait and the log is well; else recovers it first. `now_ms` is the clock, in milliseconds
    /// since 1970, which may go back.
    ///
    /// # Errors
    /// [`LedgerError`]; whoever waited was told that the outcome is open, and the next turn recovers, except where
    /// [`LedgerError::is_final`].
    pub fn turn(&self, now_ms: u64) -> Result<Turn, LedgerError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refused) = self.inner().refused.clone() {
            return Err(refused.into());
        }
        let done = self.try_turn(now_ms);
        if let Err(error) = &done {
            self.fail(error);
        }
        done
    }

    fn try_turn(&self, now_ms: u64) -> Result<Turn, LedgerError> {
        let mut acknowledged = 0;
        if self.inner().stopped {
            let Recovered { resumed, place } = recover(&self.options, &self.objects)?;
            {
                let mut inner = self.inner();
                // It may have been told to end meanwhile.
                if let Some(refused) = &inner.refused {
                    return Err(refused.clone().into());
                }
                inner.published = published(&resumed.sequencer);
                inner.sequencer = resumed.sequencer;
                inner.place = place;
                inner.stopped = false;
            }
            acknowledged += self.finish(resumed.step)?;
            self.show_published();
        } else if self.shown.has_failed() {
            self.show_published();
        }
        self.inner().take_up();
        let step = self.inner().sequencer.handle(Event::Tick { now_ms })?;
        acknowledged += self.finish(step)?;
        let waiting = self.inner().waiting();
        Ok(Turn {
            acknowledged,
            waiting,
        })
    }

    /// Ends the log, since a witness has seen a history of it that it does not have. Proofs are still given, nothing is
    /// appended any more, and whoever waits is told that the outcome is open.
    pub fn contradict(&self) {
        let refused = SequencerError::Contradicted;
        self.fail(&LedgerError::Sequencer(refused));
    }

    /// The last published checkpoint.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Published>> {
        self.inner().published.clone()
    }

    /// Digests that wait for their batch.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner().waiting()
    }

    /// The proof that a digest is in the log, under the newest checkpoint; `None` if it is not. Reads the index and at most 16
    /// tiles, all of which are shown right before anything is made of them.
    ///
    /// # Errors
    /// [`LedgerError`], which names what is damaged.
    pub fn proof(
        &self,
        digest: ReceiptDigest,
    ) -> Result<Option<credence_log::log_proof::LogProof>, LedgerError> {
        match self.published() {
            Some(published) => self.proof_under(digest, &published.checkpoint),
            None => Ok(None),
        }
    }

    /// The proof for a digest that was told of, under the checkpoint that came with it.
    ///
    /// # Errors
    /// [`LedgerError`], which names what is damaged.
    pub fn proof_of(
        &self,
        digest: ReceiptDigest,
        sequenced: &Sequenced,
    ) -> Result<credence_log::log_proof::LogProof, LedgerError> {
        prove::prove(
            &self.objects,
            digest,
            sequenced.position,
            &sequenced.published.checkpoint,
        )
    }

    /// The proof for a digest under a checkpoint of this log, such as one that others have cosigned; `None` if the digest is not in it.
    ///
    /// # Errors
    /// [`LedgerError`], which names what is damaged.
    pub fn proof_under(
        &self,
        digest: ReceiptDigest,
        published: &SignedCheckpoint,
    ) -> Result<Option<credence_log::log_proof::LogProof>, LedgerError> {
        let known = self.options.index.positions(&[digest])?;
        let size = published.unverified().size();
        match known.positions.first() {
            Some(Some(position)) if *position < size => {
                prove::prove(&self.objects, digest, *position, published).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The consistency proof from `old` to `new` entries, both of them sizes up to the published one. All its hashes are shown right first.
    ///
    /// # Errors
    /// [`LedgerError`], [`LedgerError::Unproved`] when a tile is damaged.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<credence_log::Hash>, LedgerError> {
        match self.published() {
            Some(published) => {
                let published = published.checkpoint.unverified();
                prove::consistency_of(&self.objects, published, old, new)
            }
            None => prove::consistency(&self.objects, old, new),
        }
    }

    /// Keeps a checkpoint of this log that enough witnesses cosigned, durably, and shows it to readers as `checkpoint` unless a newer one is
    /// there.
    ///
    /// # Errors
    /// [`LedgerError`]; it is no loss but for the next process.
    pub fn keep_cosigned(&self, signed: &SignedCheckpoint) -> Result<(), LedgerError> {
        signed
            .verify(self.options.signer.verifier())
            .map_err(SequencerError::from)?;
        shown::keep_cosigned(&self.objects, signed)?;
        self.shown
            .show(&self.objects, self.options.signer.verifier(), signed)
    }

    /// The checkpoint that was kept so last, if it is this log's and the log has all of it. Its cosignatures are for the caller to check.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn cosigned(&self) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let kept = shown::cosigned(&self.objects, self.options.signer.verifier())?;
        let size = size(self.published());
        Ok(kept.filter(|kept| kept.unverified().size() <= size))
    }

    /// Shows readers the newest checkpoint. Nothing of the log hangs on it, so a failure is said and tried again.
    fn show_published(&self) {
        let Some(published) = self.published() else {
            return;
        };
        let again = self.shown.has_failed();
        let log = self.options.signer.verifier();
        let shown = self.shown.show(&self.objects, log, &published.checkpoint);
        if let Err(error) = shown
            && !again
        {
            tracing::warn!(
                "the newest checkpoint cannot be put under the name `checkpoint`, where readers look for it: {error}{}",
                core::error::Error::source(&error)
                    .map_or(String::new(), |cause| format!(": {cause}"))
            );
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; if it did, the sequencer refuses what does not follow.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries steps out until there is nothing to do; gives how many digests were told of.
    fn finish(&self, mut step: Step) -> Result<usize, LedgerError> {
        loop {
            let event = match step {
                Step::Wait => return Ok(0),
                Step::Acknowledge(verdicts) => {
                    let (old, new) = (size(self.published()), self.inner().sequencer.size());
                    let acknowledged = self.acknowledge(&verdicts);
                    // All is published and told by now.
                    self.show_published();
                    // What is not removed stays, and harms nobody.
                    drop(self.objects.prune(old, new));
                    return Ok(acknowledged);
                }
                Step::Look(digests) => Event::Looked(self.look(&digests)?),
                Step::Commit(blob) => Event::Committed(self.objects.create(blob)?),
                Step::Write(blobs) => {
                    self.objects.create_same(blobs)?;
                    Event::Written
                }
                Step::Extend { start, digests } => {
                    rebuild::extend(&*self.options.index, start, &digests)?;
                    Event::Extended
                }
                Step::Publish(blob) => {
                    self.note(&blob)?;
                    Event::Published(self.objects.create(blob)?)
                }
            };
            step = self.inner().sequencer.handle(event)?;
        }
    }

    /// Notes beside the key what it has signed, before anyone else can see it.
    fn note(&self, blob: &Blob) -> Result<(), LedgerError> {
        let signed = SignedCheckpoint::parse(&blob.bytes).map_err(SequencerError::from)?;
        let (size, root) = signed.unverified().tree();
        // Not in the expression: the lock would be held while the note is written.
        let place = self.inner().place;
        Ok(self.options.head.keep(&Head {
            log: self.options.signer.verifier().clone(),
            place,
            size,
            root: *root,
        })?)
    }

    fn look(&self, digests: &[ReceiptDigest]) -> Result<Vec<Option<u64>>, LedgerError> {
        let known = self.options.index.positions(digests)?;
        let expected = self.inner().sequencer.size();
        if known.count == expected {
            return Ok(known.positions);
        }
        let got = known.count;
        Err(LedgerError::Count { expected, got })
    }

    fn acknowledge(&self, verdicts: &[Verdict]) -> usize {
        let mut inner = self.inner();
        inner.published = published(&inner.sequencer);
        let Some(published) = inner.published.clone() else {
            return 0;
        };
        for verdict in verdicts {
            for answer in inner.waiters.remove(&verdict.digest).unwrap_or_default() {
                let sequenced = Sequenced {
                    position: verdict.position,
                    published: Arc::clone(&published),
                };
                // Whoever asked may have gone.
                let _heard = answer.send(Ok(sequenced));
            }
        }
        verdicts.len()
    }

    fn fail(&self, error: &LedgerError) {
        let mut inner = self.inner();
        let held = inner.sequencer.held();
        inner.backlog.extend(held);
        inner.sequencer.stop();
        inner.stopped = true;
        if let LedgerError::Sequencer(refused) = error
            && error.is_final()
        {
            inner.refused = Some(refused.clone());
        }
        for answer in core::mem::take(&mut inner.waiters).into_values().flatten() {
            let _heard = answer.send(Err(Unsure));
        }
    }
}

fn size(published: Option<Arc<Published>>) -> u64 {
    published.map_or(0, |published| published.checkpoint.unverified().size())
}

fn published(sequencer: &Sequencer) -> Option<Arc<Published>> {
    sequencer.checkpoint().map(|checkpoint| {
        Arc::new(Published {
            number: sequencer.number(),
            time_ms: sequencer.time_ms(),
            checkpoint: checkpoint.clone(),
        })
    })
}
