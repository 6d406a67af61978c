//! Answers disputes about what this server signed: looks at the referees that its operator named, runs the request again, opens what is asked.
//!
//! ```text
//! every second: referee ─disputes of our key in which we are awaited─▶ receipt kept here ─▶ run again ─▶ messages, for as long as the other party answers at once
//! ```
//!
//! What is urgent comes first; between two that are not, the one whose run is at hand. A run costs seconds and a message milliseconds, so it stays with a dispute while the other
//! party answers at once and no other dispute grows urgent: whoever opens many at once wins nothing by it, as long as the referee lets no more than some be under way against
//! one operator. Runs are held up to half a gigabyte together, and one model made ready. It deliberately goes to no referee that its operator did not name, nor to one
//! that has another key, and decides nothing: an operator whose run is right wins by answering.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use credence_base::{ClaimDigest, ModelId, PublicKey, SigningKey};
use credence_claim::{Case, Claim, OpeningsError};
use credence_court::{
    About, ClientError, CourtClient, FilingError, Notice, Pass, Seat, Standing, Step, StepError,
    step,
};
use credence_dispute::Party;
use credence_exec::Options;
use credence_model::Model;
use credence_prove_dispute::{Operator, PlayError, Player, Sections};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, BundleError, OpenError, Statement};
use credence_store::StoreError;

use crate::keeper::Keeper;

/// Models that are hosted, and how they are run.
pub(crate) type Models = BTreeMap<ModelId, (Arc<Model>, Options)>;

/// Why a dispute is not answered.
#[derive(Debug, thiserror::Error)]
enum DisputeError {
    #[error("the referee was asked in vain")]
    Client(#[from] ClientError),
    #[error("the disputed receipt is not kept here: what is not kept cannot be defended")]
    Absent,
    #[error("the disputed receipt cannot be read")]
    Store(#[from] StoreError),
    #[error("what is kept is no bundle")]
    Bundle(#[from] BundleError),
    #[error("what was filed entitles nobody to what a dispute opens")]
    Filing(#[from] FilingError),
    #[error("the disputed receipt is refused")]
    Open(#[from] OpenError),
    #[error("the receipt that the referee names is of another claim than its terms")]
    Claim,
    #[error("what is kept contradicts the claim")]
    Openings(#[from] OpeningsError),
    #[error("model {0} is not hosted here any more")]
    Model(ModelId),
    #[error("the run cannot be made again")]
    Play(#[from] PlayError),
    #[error("the step failed")]
    Step(#[from] StepError<PlayError>),
}

/// Answers disputes on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Disputing {
    _end: Sender<()>,
}

/// What a worker holds between messages.
struct Worker {
    keeper: Weak<Keeper>,
    models: Models,
    courts: Vec<CourtClient>,
    ready: Option<(ModelId, Player)>,
    /// The last one last.
    runs: Vec<(ClaimDigest, Sections)>,
    /// How long the longest of the last runs took.
    run_time: Duration,
    /// Of what the operator was told that it fails: addresses and disputes.
    told: BTreeSet<String>,
}

/// Most failures that are remembered.
const TOLD_MAX: usize = 4096;
/// Bytes of all runs that are held, but for the last one, which is held whatever its size.
const RUNS_BYTES_MAX: usize = 512 << 20;
/// How long the other party's next message is waited for before another dispute is turned to.
const LINGER: Duration = Duration::from_secs(2);
/// From one look to the next meanwhile.
const LINGER_LOOK: Duration = Duration::from_millis(100);
/// A dispute is urgent when its turn ends within so many runs, and half a minute.
const URGENT_RUNS: u32 = 3;
const URGENT: Duration = Duration::from_secs(30);

impl Disputing {
    /// Begins to look at these referees, each `every` so often.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        keeper: &Arc<Keeper>,
        models: Models,
        courts: Vec<CourtClient>,
        every: Duration,
    ) -> Result<Self, io::Error> {
        let (end, ended) = channel();
        let mut worker = Worker {
            keeper: Arc::downgrade(keeper),
            models,
            courts,
            ready: None,
            runs: Vec::new(),
            run_time: Duration::ZERO,
            told: BTreeSet::new(),
        };
        let run = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                worker.round();
            }
        };
        thread::Builder::new()
            .name("credence-disputes".to_owned())
            .spawn(run)?;
        Ok(Self { _end: end })
    }
}

/// Whether the challenger may see what a dispute opens, by what it filed. A referee is not believed in that.
fn entitled(
    court: &CourtClient,
    key: &SigningKey,
    about: &About,
    notice: &Notice,
) -> Result<(), DisputeError> {
    let gate = (&about.referee, Some(&notice.dispute));
    let pass = Pass::sign(key, gate, about.time_unix_s);
    let filing = court.filing(&notice.dispute, &pass)?;
    filing.check(&about.referee)?;
    if filing.terms != notice.terms || filing.receipt.digest() != notice.receipt {
        return Err(DisputeError::Claim);
    }
    Ok(())
}

impl Worker {
    fn round(&mut self) {
        for court in self.courts.clone() {
            let Some(keeper) = self.keeper.upgrade() else {
                return;
            };
            let at = court.prefix().to_string();
            match self.look(&court, &keeper) {
                Ok(()) => {
                    self.told.remove(&at);
                }
                Err(error) if self.told.insert(at.clone()) => {
                    tracing::warn!(cause = crate::chain_of(&error), "no disputes from {at}");
                }
                Err(_) => {}
            }
            if self.told.len() > TOLD_MAX {
                self.told.clear();
            }
        }
    }

    fn look(&mut self, court: &CourtClient, keeper: &Keeper) -> Result<(), DisputeError> {
        let about = court.about()?;
        let key = keeper.operator.key();
        let pass = Pass::sign(key, (&about.referee, None), about.time_unix_s);
        let mut waiting: Vec<(u64, Notice)> = Vec::new();
        for notice in court.under_way(&pass)? {
            let is_ours = notice.terms.operator == key.public_key();
            if let Standing::Awaiting(Party::Operator, until) = notice.standing
                && is_ours
            {
                waiting.push((until, notice));
            }
        }
        while let Some(notice) = self.next(&mut waiting, about.time_unix_s) {
            let id = notice.dispute;
            let soonest = waiting.iter().map(|(until, _)| *until).min();
            let answered = entitled(court, key, &about, &notice)
                .and_then(|()| self.attend((court, keeper), &notice, soonest));
            match answered {
                Ok(step) => tracing::info!("dispute {id}: {step:?}"),
                // Once for each, and not every second.
                Err(error) if self.told.insert(id.to_string()) => {
                    tracing::error!(
                        cause = crate::chain_of(&error),
                        "dispute {id} is not answered"
                    );
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Seconds before the end of a turn from which on a dispute is urgent.
    fn urgent_s(&self) -> u64 {
        let runs = self.run_time.saturating_mul(URGENT_RUNS);
        runs.saturating_add(URGENT).as_secs()
    }

    /// The dispute to turn to: the one that ends soonest if that is soon, else one whose run is at hand, else the one that ends soonest.
    fn next(&self, waiting: &mut Vec<(u64, Notice)>, now_unix_s: u64) -> Option<Notice> {
        waiting.sort_by_key(|(until, notice)| (*until, notice.dispute));
        let soon = now_unix_s.saturating_add(self.urgent_s());
        let is_urgent = waiting.first().is_some_and(|(until, _)| *until < soon);
        let has_run = |(_, notice): &(u64, Notice)| self.has_run(&notice.terms.claim);
        let at = if is_urgent {
            0
        } else {
            waiting.iter().position(has_run).unwrap_or(0)
        };
        (at < waiting.len()).then(|| waiting.remove(at).1)
    }

    /// Answers, and goes on answering while the other party does at once, unless another dispute grows urgent.
    fn attend(
        &mut self,
        (court, keeper): (&CourtClient, &Keeper),
        notice: &Notice,
        soonest: Option<u64>,
    ) -> Result<Step, DisputeError> {
        let started = Instant::now();
        let mut step = self.answer(court, keeper, notice)?;
        let mut said = Instant::now();
        let left_s = match soonest {
            Some(soonest) => soonest.saturating_sub(court.about()?.time_unix_s),
            None => u64::from(notice.terms.turn_s),
        };
        let spare = Duration::from_secs(left_s.saturating_sub(self.urgent_s()));
        while step == Step::Said && said.elapsed() < LINGER && started.elapsed() < spare {
            std::thread::sleep(LINGER_LOOK);
            let now = court.notice(&notice.dispute)?;
            match now.standing {
                Standing::Awaiting(Party::Operator, _) => {
                    step = self.answer(court, keeper, notice)?;
                    said = Instant::now();
                }
                Standing::Awaiting(Party::Challenger, _) => {}
                Standing::Over(..) => break,
            }
        }
        Ok(step)
    }

    fn has_run(&self, claim: &ClaimDigest) -> bool {
        self.runs.iter().any(|(own, _)| own == claim)
    }

    fn answer(
        &mut self,
        court: &CourtClient,
        keeper: &Keeper,
        notice: &Notice,
    ) -> Result<Step, DisputeError> {
        let bytes = keeper.receipts.get(notice.receipt)?;
        let bundle = Bundle::decode(&bytes.ok_or(DisputeError::Absent)?, BUNDLE_LEN_MAX)?;
        let Statement::Inference(inference) = bundle.receipt().open()?.into_statement() else {
            return Err(DisputeError::Claim);
        };
        let claim = inference.claim;
        if claim.digest() != notice.terms.claim {
            return Err(DisputeError::Claim);
        }
        self.make_ready(&claim, &bundle, &notice.terms.operator)?;
        let (Some((_, player)), Some((_, sections))) = (&self.ready, self.runs.last()) else {
            return Err(DisputeError::Model(claim.fields().model));
        };
        let is_language = player.card().program().language().is_some();
        let seat = Seat {
            key: keeper.operator.key(),
            party: Party::Operator,
            card: player.card(),
            claim: &claim,
            terms: notice.terms,
        };
        let run = (player.weights(), sections);
        let operator = Operator::new(bundle.openings(), is_language, run)?;
        Ok(step(court, &seat, |referee| operator.answer(referee))?)
    }

    /// Makes the model ready and the run again, unless they are those at hand.
    fn make_ready(
        &mut self,
        claim: &Claim,
        bundle: &Bundle,
        operator: &PublicKey,
    ) -> Result<(), DisputeError> {
        let id = claim.fields().model;
        if self.ready.as_ref().is_none_or(|(ready, _)| *ready != id) {
            // The old one goes first, so that two are never held.
            self.ready = None;
            let (model, options) = self.models.get(&id).ok_or(DisputeError::Model(id))?;
            self.ready = Some((id, Player::new(model, *options)?));
        }
        let digest = claim.digest();
        if let Some(at) = self.runs.iter().position(|(own, _)| *own == digest) {
            let run = self.runs.remove(at);
            self.runs.push(run);
            return Ok(());
        }
        let (_, player) = self.ready.as_ref().ok_or(DisputeError::Model(id))?;
        let case = Case::check(claim, operator, bundle.openings())?;
        let started = Instant::now();
        let run = player.rerun(&case)?;
        self.run_time = started.elapsed().max(self.run_time / 2);
        self.runs.push((digest, run));
        let bytes = |runs: &[(ClaimDigest, Sections)]| {
            let sections = runs.iter().flat_map(|(_, sections)| sections);
            sections.map(Vec::len).sum::<usize>()
        };
        while self.runs.len() > 1 && bytes(&self.runs) > RUNS_BYTES_MAX {
            self.runs.remove(0);
        }
        Ok(())
    }
}
