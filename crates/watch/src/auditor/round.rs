//! One round: what waits, then what is new in each log, then perhaps a request of our own.
//!
//! ```text
//! round ─▶ audits in no log ─▶ log        pending whose time has come ─▶ attempt        log ─head, witnesses─▶ new entries ─drawn─▶ attempt
//! attempt ─▶ audited before? nothing : settled ─▶ sign, keep, count, log : silent ─▶ pending ─at last─▶ unanswered, signed as well
//! ```
//!
//! Between two entries it asks whether to stop and whether there is time. It deliberately counts what was newly kept, and nothing else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use credence_base::{Name, NameError, ReceiptDigest};
use credence_claim::Openings;
use credence_log::policy::Clock;
use credence_log::{Hash, LogRefusal};
use credence_receipt::{Audit, BUNDLE_LEN_MAX, Bundle, Statement, sign};
use credence_store::file::{self, Access};
use credence_verify::Policy;
use credence_witness::server::chain_of;

use super::check::{Audited, Judged, Outcome, audit, expected, silence};
use super::honeypot::{Got, Sent};
use super::library::{Budget, Found, From, Place, model_of, signer_of};
use super::pending::Fate;
use super::records::{ANSWERED, Counted, HONEYPOT};
use super::{Auditor, AuditorError, AuditorEvent, board_path};
use crate::monitor::Followed;
use crate::source::Gated;
use crate::tree::{Tree, TreeError, head};

/// Entries of one log that are looked at in one round.
const ENTRIES_PER_ROUND: u64 = 4096;
/// Audits that are brought into a log in one round.
const PUBLISHED_PER_ROUND: usize = 1024;
/// Until we ask again where an operator said that our key is none, in seconds.
const FORBIDDEN_WAIT_S: u64 = 600;

/// What one round may take.
struct Round {
    budget: Budget,
    end: Instant,
}

/// What became of an entry.
enum Became {
    Audited(Outcome),
    Unseen,
    Waits,
    Nothing,
}

impl Auditor {
    /// Looks at what waits, at every log once, and sends a request of its own if `interval` says that it is time. Blocks its thread. Whether an answer was found
    /// false.
    ///
    /// # Errors
    /// [`AuditorError`]: files fail, and it must stop. A log or an operator that does is an event.
    pub fn round(&mut self, interval: Duration) -> Result<bool, AuditorError> {
        let times = self.setup.times;
        let round = Round {
            budget: Budget::new(times.budget),
            end: Instant::now() + times.round_max,
        };
        self.setup.library.look();
        self.publish_all()?;
        let lapsed = self.board.pending.lapse((self.setup.clock)());
        self.lapsed(lapsed);
        let mut refuted = self.retry(&round)?;
        for number in 0..self.setup.logs.len() {
            let Some(followed) = self.setup.logs.get(number).cloned() else {
                continue;
            };
            if self.is_over(&round) {
                break;
            }
            match self.look(&followed, &round) {
                Ok(found) => refuted |= found,
                Err(LookError::Auditor(error)) => return Err(error),
                Err(error) => self.tell(AuditorEvent::LogFailed {
                    log: followed.log.name().as_str().to_owned(),
                    words: chain_of(&error),
                }),
            }
        }
        if !self.is_over(&round) {
            refuted |= self.honeypot(interval, &round)?;
        }
        self.write_board()?;
        Ok(refuted)
    }

    fn is_over(&self, round: &Round) -> bool {
        self.gate.is_stopped() || Instant::now() >= round.end
    }

    fn tell(&self, event: AuditorEvent) {
        (self.setup.sink)(event);
    }

    fn lapsed(&mut self, count: u64) {
        self.board.unseen = self.board.unseen.saturating_add(count);
    }

    fn write_board(&mut self) -> Result<(), AuditorError> {
        let (operators, nobodys) = self.records.tallies();
        self.board.take(operators, nobodys);
        Ok(self.board.write(&board_path(&self.setup.folder))?)
    }

    /// Brings audits into the log that were kept and are in none: after a crash, or while there was no log.
    fn publish_all(&mut self) -> Result<(), AuditorError> {
        let waiting = self.records.unlogged();
        for (receipt, audit) in waiting.into_iter().take(PUBLISHED_PER_ROUND) {
            if self.gate.is_stopped() || !self.publish(receipt, audit)? {
                break;
            }
        }
        Ok(())
    }

    /// Brings one audit into the log; whether it is there, or there is no log.
    fn publish(
        &mut self,
        receipt: ReceiptDigest,
        audit: ReceiptDigest,
    ) -> Result<bool, AuditorError> {
        let Some(publish) = self.setup.publish.clone() else {
            return Ok(false);
        };
        match publish(audit) {
            Ok(()) => {
                self.records.logged(&receipt)?;
                Ok(true)
            }
            Err(words) => {
                let audit = audit.to_string();
                self.tell(AuditorEvent::NotLogged { audit, words });
                Ok(false)
            }
        }
    }

    fn retry(&mut self, round: &Round) -> Result<bool, AuditorError> {
        let mut refuted = false;
        for receipt in self.board.pending.due((self.setup.clock)()) {
            if self.is_over(round) {
                break;
            }
            // What we may not see costs nothing until we may.
            if self.own_path(receipt).exists() || self.setup.library.has(&receipt) {
                let became = self.attempt(receipt, round)?;
                refuted |= matches!(became, Became::Audited(Outcome::Refuted));
            }
        }
        Ok(refuted)
    }

    /// The log's newest checkpoint, if it is what the policy asks for.
    fn head(
        &self,
        followed: &Followed,
        source: &Gated,
    ) -> Result<credence_log::SignedCheckpoint, LookError> {
        let signed = head(source, &followed.log)?;
        if let Some(policy) = &followed.policy {
            let clock = Clock {
                now_unix_s: (self.setup.clock)(),
                skew_max_s: Policy::signature_only().skew_max_s,
            };
            policy.check(&signed, clock)?;
        }
        Ok(signed)
    }

    fn look(&mut self, followed: &Followed, round: &Round) -> Result<bool, LookError> {
        let origin = followed.log.name().as_str().to_owned();
        self.gate.begin(self.setup.times.log_max);
        let source = Gated {
            source: followed.source.clone(),
            gate: self.gate.clone(),
        };
        let signed = self.head(followed, &source)?;
        let checkpoint = signed.unverified();
        let place = self.board.logs.get(&origin).cloned().unwrap_or_default();
        if checkpoint.size() < place.size {
            return Err(LookError::Shrunk {
                before: place.size,
                now: checkpoint.size(),
            });
        }
        let mut tree = Tree::open(&source, checkpoint)?;
        if place.size > 0 {
            let now: Hash = tree.root_at(place.size)?;
            if now.to_string() != place.root {
                return Err(LookError::Rewritten { size: place.size });
            }
        }
        let mut entries = Vec::new();
        tree.each_entry(place.next, |index, receipt| {
            entries.push((index, *receipt));
            u64::try_from(entries.len()).is_ok_and(|len| len < ENTRIES_PER_ROUND)
        })?;
        let own = self.board.logs.entry(origin.clone()).or_default();
        own.size = checkpoint.size();
        own.root = checkpoint.root().to_string();
        Ok(self.go_through(origin, (checkpoint.size(), &entries), round)?)
    }

    /// Audits what is drawn of new entries. Whether an answer was found false.
    fn go_through(
        &mut self,
        origin: String,
        (size, entries): (u64, &[(u64, ReceiptDigest)]),
        round: &Round,
    ) -> Result<bool, AuditorError> {
        let (mut refuted, mut new, mut drawn, mut unseen) = (false, 0_u64, 0_u64, 0_u64);
        for (index, receipt) in entries {
            // Full of what is not answered, it takes no more: the log stays.
            if self.is_over(round) || !self.board.pending.has_room() {
                break;
            }
            new = new.saturating_add(1);
            if self.sampler.draws(receipt) {
                drawn = drawn.saturating_add(1);
                match self.attempt(*receipt, round)? {
                    Became::Audited(outcome) => refuted |= outcome == Outcome::Refuted,
                    Became::Unseen => unseen = unseen.saturating_add(1),
                    Became::Waits | Became::Nothing => {}
                }
            }
            let own = self.board.logs.entry(origin.clone()).or_default();
            own.next = index.saturating_add(1);
        }
        if new > 0 {
            self.write_board()?;
            let log = origin;
            self.tell(AuditorEvent::Looked {
                log,
                size,
                new,
                drawn,
                unseen,
            });
        }
        Ok(refuted)
    }

    /// The bundle of a request of our own that waits.
    fn own_path(&self, receipt: ReceiptDigest) -> PathBuf {
        let folder = self.setup.folder.join("own");
        folder.join(format!("{receipt}.json"))
    }

    fn own_bundle(&self, receipt: ReceiptDigest) -> Option<Bundle> {
        let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
        let bytes = file::read(&self.own_path(receipt), len_max).ok()?;
        Bundle::decode(&bytes, BUNDLE_LEN_MAX).ok()
    }

    /// Tries to audit a receipt, unless it is audited.
    fn attempt(&mut self, receipt: ReceiptDigest, round: &Round) -> Result<Became, AuditorError> {
        if self.records.has(&receipt) {
            self.settle(&receipt)?;
            return Ok(Became::Nothing);
        }
        let now = (self.setup.clock)();
        let own = self.own_bundle(receipt);
        let honeypot = own.is_some();
        let operator = self.setup.means.operator.clone();
        let place = Place {
            fetcher: &self.fetcher,
            operator: &operator,
            budget: &round.budget,
        };
        let found = match own {
            Some(bundle) => Found::Bundle(Box::new(bundle), From::Operator),
            None => self.setup.library.find(receipt, &place),
        };
        let judged = match found {
            Found::Bundle(bundle, from) => audit(&self.setup.means, &place, (&bundle, from), now),
            Found::Silent(words) => Judged::Silent(words),
            Found::Busy(words) => Judged::Busy(words),
            Found::PutOff => Judged::PutOff,
            Found::Forbidden => Judged::Forbidden,
            Found::Unseen => {
                let lapsed = self.board.pending.not_seen(&receipt, (now, 0));
                self.lapsed(lapsed);
                return Ok(Became::Unseen);
            }
        };
        self.become_of(receipt, (judged, honeypot), round)
    }

    fn become_of(
        &mut self,
        receipt: ReceiptDigest,
        (judged, honeypot): (Judged, bool),
        round: &Round,
    ) -> Result<Became, AuditorError> {
        let now = (self.setup.clock)();
        let patience = self.setup.times.patience;
        match judged {
            Judged::Settled(audited) => {
                self.keep(&audited, honeypot)?;
                Ok(Became::Audited(audited.outcome))
            }
            Judged::NoAnswer => {
                self.board.pending.remove(&receipt);
                Ok(Became::Nothing)
            }
            Judged::PutOff => {
                let lapsed = self.board.pending.put_off(&receipt, now);
                self.lapsed(lapsed);
                Ok(Became::Waits)
            }
            Judged::Forbidden => {
                let until = (now, FORBIDDEN_WAIT_S);
                let lapsed = self.board.pending.not_seen(&receipt, until);
                self.lapsed(lapsed);
                Ok(Became::Unseen)
            }
            Judged::Silent(words) => {
                let tried = (now, patience);
                let fate = self.board.pending.not_answered(&receipt, tried, &words);
                self.in_vain(receipt, (fate, words, honeypot), round)
            }
            Judged::Busy(words) => {
                let tried = (now, patience);
                let fate = self.board.pending.was_busy(&receipt, tried, &words);
                self.in_vain(receipt, (fate, words, honeypot), round)
            }
        }
    }

    /// What becomes of an entry that was tried in vain.
    fn in_vain(
        &mut self,
        receipt: ReceiptDigest,
        ((fate, lapsed), words, honeypot): ((Fate, u64), String, bool),
        round: &Round,
    ) -> Result<Became, AuditorError> {
        self.lapsed(lapsed);
        if fate == Fate::Unanswered {
            return self.unanswered(receipt, (words, honeypot), round);
        }
        let tries = self.board.pending.tries(&receipt);
        let receipt = receipt.to_string();
        self.tell(AuditorEvent::Waits {
            receipt,
            tries,
            words,
        });
        Ok(Became::Waits)
    }

    /// Signs that a receipt was not answered for, and counts it to whose it is shown to be.
    fn unanswered(
        &mut self,
        receipt: ReceiptDigest,
        (words, honeypot): (String, bool),
        round: &Round,
    ) -> Result<Became, AuditorError> {
        let address = self.setup.means.operator.clone();
        let place = Place {
            fetcher: &self.fetcher,
            operator: &address,
            budget: &round.budget,
        };
        let own = self.own_bundle(receipt);
        let operator = match own.as_ref().and_then(signer_of) {
            Some(operator) => Some(operator),
            None => match self.setup.library.signer(receipt, &place) {
                Some(operator) => operator,
                // Whose it is is asked once there is time: it counts to nobody for want of it.
                None => return Ok(Became::Waits),
            },
        };
        self.keep(&silence(receipt, operator, words), honeypot)?;
        Ok(Became::Audited(Outcome::Unanswered))
    }

    /// Signs an audit, keeps it, counts it, and brings it into the log.
    fn keep(&mut self, audited: &Audited, honeypot: bool) -> Result<(), AuditorError> {
        let bundle = self.stated(audited, honeypot)?;
        let bytes = bundle
            .encode()
            .map_err(|e| AuditorError::State(Box::new(e)))?;
        let digest = bundle.receipt().digest();
        let counted = Counted {
            receipt: audited.receipt,
            operator: audited.operator.as_ref(),
            outcome: audited.outcome,
            honeypot,
        };
        let is_new = self.records.keep(counted, (digest, &bytes))?;
        self.settle(&audited.receipt)?;
        if is_new {
            self.tell(AuditorEvent::Audited {
                receipt: audited.receipt.to_string(),
                operator: audited.operator.map(|operator| operator.to_string()),
                method: audited.method.as_str().to_owned(),
                outcome: audited.outcome.as_str(),
                honeypot,
                words: audited.words.clone(),
                audit: digest.to_string(),
            });
            self.publish(audited.receipt, digest)?;
            self.write_board()?;
        }
        Ok(())
    }

    /// Waits for nothing more of a receipt.
    fn settle(&mut self, receipt: &ReceiptDigest) -> Result<(), AuditorError> {
        self.board.pending.remove(receipt);
        let own = self.own_path(*receipt);
        if own.exists() {
            file::remove(&own)?;
        }
        Ok(())
    }

    fn stated(&self, audited: &Audited, honeypot: bool) -> Result<Bundle, AuditorError> {
        let fail = |e: Box<dyn std::error::Error + Send + Sync>| AuditorError::State(e);
        let mut numbers: Vec<(Name, u64)> = Vec::new();
        let mut all = audited.numbers.clone();
        if honeypot {
            all.push((HONEYPOT, 1));
        }
        let unanswered = audited.outcome == Outcome::Unanswered;
        all.push((ANSWERED, u64::from(!unanswered)));
        all.sort_unstable();
        for (name, value) in all {
            let name = Name::new(name).map_err(|e: NameError| fail(e.into()))?;
            numbers.push((name, value));
        }
        let method = Name::new(audited.method.as_str()).map_err(|e| fail(e.into()))?;
        let statement = Statement::Audit(Audit {
            operator: self.setup.key.public_key(),
            receipt: audited.receipt,
            method,
            method_version: audited.version,
            outcome: audited.outcome.stated(),
            numbers,
            time_unix_s: (self.setup.clock)(),
        });
        let envelope = sign(&statement, &self.setup.key).map_err(|e| fail(e.into()))?;
        let bundle = Bundle::new(envelope, Openings::default(), Vec::new());
        bundle.map_err(|e| fail(e.into()))
    }

    /// Sends a request of our own, if it is drawn for this round.
    fn honeypot(&mut self, interval: Duration, round: &Round) -> Result<bool, AuditorError> {
        let Some(honeypots) = &self.setup.honeypots else {
            return Ok(false);
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let (first, second) = random.split_at(8);
        let draw = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        let wait = draw(first).checked_rem(honeypots.every_s.max(1));
        if wait.is_some_and(|at| at >= interval.as_secs().max(1)) {
            return Ok(false);
        }
        let operator = self.setup.means.operator.clone();
        let place = Place {
            fetcher: &self.fetcher,
            operator: &operator,
            budget: &round.budget,
        };
        let sent = honeypots
            .prompts
            .send(draw(second), &honeypots.client, &place);
        match sent {
            Sent::PutOff => Ok(false),
            Sent::Unreached(words) => self.unreached(words),
            // It waits for good: a bound that counts what is not settled as wrong has it.
            Sent::Unfetched(words) => {
                self.board.unfetched = self.board.unfetched.saturating_add(1);
                self.write_board()?;
                let counted = false;
                self.tell(AuditorEvent::NoAnswer { words, counted });
                Ok(false)
            }
            Sent::Silent(words) => self.silent(words),
            Sent::Got(got) => {
                self.unreached = (0, 0);
                self.answered(&got, round)
            }
        }
    }

    /// A request of ours that nobody answered: a fault of the network's until it has lasted.
    fn unreached(&mut self, words: String) -> Result<bool, AuditorError> {
        let now = (self.setup.clock)();
        let (tries, since) = match self.unreached {
            (0, _) => (1, now),
            (tries, since) => (tries.saturating_add(1), since),
        };
        let patience = self.setup.times.patience;
        if tries >= patience.tries && now.saturating_sub(since) >= patience.over_s {
            self.unreached = (0, 0);
            return self.silent(words);
        }
        self.unreached = (tries, since);
        let counted = false;
        self.tell(AuditorEvent::NoAnswer { words, counted });
        Ok(false)
    }

    /// A request of ours that had no receipt which we could name: it counts to whom we asked.
    fn silent(&mut self, words: String) -> Result<bool, AuditorError> {
        let Some(honeypots) = &self.setup.honeypots else {
            return Ok(false);
        };
        let count = self
            .board
            .silent
            .entry(honeypots.operator.to_string())
            .or_default();
        *count = count.saturating_add(1);
        self.write_board()?;
        let counted = true;
        self.tell(AuditorEvent::NoAnswer { words, counted });
        Ok(false)
    }

    /// A request of ours that had a receipt: it must be the operator's, new, and of what was sent and received.
    fn answered(&mut self, got: &Got, round: &Round) -> Result<bool, AuditorError> {
        let Some(honeypots) = &self.setup.honeypots else {
            return Ok(false);
        };
        let receipt = got.bundle.receipt().digest();
        if signer_of(&got.bundle) != Some(honeypots.operator) {
            return self.silent("the answer's receipt is another's".to_owned());
        }
        if self.records.has(&receipt) || self.board.pending.holds(&receipt) {
            return self.silent("the answer's receipt was seen before".to_owned());
        }
        let model = model_of(&got.bundle);
        let named = model.map_or(Ok(None), |model| got.is_of_model(model));
        let same = got.is_same(&honeypots.same).and(named);
        let is_first = match (&same, model) {
            (Ok(Some(calls)), Some(model)) => self.board.is_first(calls.clone(), &model),
            _ => true,
        };
        let fault = match (got.is_expected(), is_first) {
            (true, true) => None,
            (false, _) => Some(("expected", "the answer is not the one that was expected")),
            (true, false) => Some((
                "first_model",
                "another model answered under this name first",
            )),
        };
        let operator = Some(honeypots.operator);
        let now = (self.setup.clock)();
        let address = self.setup.means.operator.clone();
        let place = Place {
            fetcher: &self.fetcher,
            operator: &address,
            budget: &round.budget,
        };
        let bundle = (&got.bundle, From::Operator);
        let judged = match same {
            Err(words) => Judged::Settled(Box::new(silence(receipt, operator, words))),
            Ok(_) => match audit(&self.setup.means, &place, bundle, now) {
                Judged::Settled(audited) => Judged::Settled(Box::new(expected(*audited, fault))),
                other => other,
            },
        };
        if !matches!(judged, Judged::Settled(_)) {
            let own = self.own_path(receipt);
            let bytes = got.bundle.encode();
            let bytes = bytes.map_err(|e| AuditorError::State(Box::new(e)))?;
            file::make_folder(&self.setup.folder.join("own"), Access::Owner)?;
            file::write(&own, &bytes, Access::Owner)?;
        }
        let became = self.become_of(receipt, (judged, true), round)?;
        self.board.pending.is_own(&receipt);
        Ok(matches!(became, Became::Audited(Outcome::Refuted)))
    }
}

/// Why a log was not looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the log cannot be read")]
    Tree(#[from] TreeError),
    #[error("the log's checkpoint is not what the policy asks for")]
    Policy(#[from] LogRefusal),
    #[error("the log had {before} entries and has {now}: it went back")]
    Shrunk { before: u64, now: u64 },
    #[error("the first {size} entries of the log are not those that it had")]
    Rewritten { size: u64 },
    #[error("the auditor failed")]
    Auditor(#[from] AuditorError),
}
