//! Answers disputes about what this server signed: looks at the referees that its operator named, runs the request again, opens what is asked.
//!
//! ```text
//! every second: referee ─disputes of our key in which we are awaited─▶ receipt kept here ─▶ run again ─▶ one message each
//! ```
//!
//! One run is held at a time, the last one, and one model made ready, so many disputes cost time and no memory; an answer is due within the referee's turn. It
//! deliberately goes to no referee that its operator did not name, and decides nothing: an operator whose run is right wins by answering.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use credence_base::{ClaimDigest, ModelId, PublicKey};
use credence_claim::{Case, Claim, OpeningsError};
use credence_court::{
    ClientError, CourtClient, FilingError, Notice, Pass, Seat, Standing, Step, StepError, step,
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
    run: Option<(ClaimDigest, Sections)>,
    /// Of what the operator was told that it fails: addresses and disputes.
    told: BTreeSet<String>,
}

/// Most failures that are remembered.
const TOLD_MAX: usize = 4096;

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
            run: None,
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
    pass: &Pass,
    referee: &PublicKey,
    notice: &Notice,
) -> Result<(), DisputeError> {
    let filing = court.filing(&notice.dispute, pass)?;
    filing.check(referee)?;
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
        let pass = Pass::sign(key, &about.referee, about.time_unix_s);
        let mut waiting: Vec<(u64, Notice)> = Vec::new();
        for notice in court.under_way(&pass)? {
            let is_ours = notice.terms.operator == key.public_key();
            if let Standing::Awaiting(Party::Operator, until) = notice.standing
                && is_ours
            {
                waiting.push((until, notice));
            }
        }
        waiting.sort_by_key(|(until, notice)| (*until, notice.dispute));
        for (_, notice) in waiting {
            let id = notice.dispute;
            let answered = entitled(court, &pass, &about.referee, &notice)
                .and_then(|()| self.answer(court, keeper, &notice));
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
        let (Some((_, player)), Some((_, sections))) = (&self.ready, &self.run) else {
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
        if self.run.as_ref().is_none_or(|(run, _)| *run != digest) {
            self.run = None;
            let (_, player) = self.ready.as_ref().ok_or(DisputeError::Model(id))?;
            let case = Case::check(claim, operator, bundle.openings())?;
            self.run = Some((digest, player.rerun(&case)?));
        }
        Ok(())
    }
}
