//! All disputes before one referee.
//!
//! ```text
//! Filing ─▶ begin ─▶ Live{head, who is awaited, until when}                       in memory: some hundred bytes each
//! message ─signature over the head?─▶ no: ignored, at the cost of a hash
//!                                  └▶ yes: the referee over all entries so far ─step─▶ entry in a file ─▶ Live, or the verdict, signed
//! tick ─▶ whoever is awaited and late has lost
//! ```
//!
//! One dispute is stepped at a time, any number beside each other. It deliberately keeps no referee between messages: a dispute has some forty entries, and to be led
//! over them again takes a millisecond.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence_base::{Digest, ModelId, PublicKey, ReceiptDigest, SigningKey};
use credence_claim::Claim;
use credence_dispute::{
    Entry, Ignored, Party, Referee, Status, Terms, Transcript, Verdict, signed_body,
};
use credence_method_spot::Card;
use credence_receipt::{Bundle, Statement, sign};
use credence_witness::Clock;

use crate::clock::StillClock;
use crate::error::CourtError;
use crate::filing::{Filing, claim_of};
use crate::notice::{About, Notice, Standing};
use crate::records::Records;
use crate::verdict::{Dossier, bare, statement};
use crate::{MESSAGE_BYTES_MAX, TRANSCRIPT_BYTES_MAX};

/// Cards that are held in memory at once: a program of a hundred kilobytes takes some megabytes.
const CARDS_MAX: usize = 8;
/// How far the start in the terms may be from the referee's time, in seconds.
const START_SKEW_S: u64 = 60;

/// How much a referee takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long a turn is, in seconds: the same for every dispute.
    pub turn_s: u32,
    /// Disputes under way at once.
    pub live_max: usize,
    /// Disputes under way at once of one challenger's key.
    pub live_of_one_max: usize,
    /// Disputes under way at once against one operator: each takes it a run for each message, and a turn has room for so many.
    pub live_of_operator_max: usize,
    /// Disputes kept in all.
    pub kept_max: usize,
    /// How long a dispute is kept after its end, in seconds.
    pub kept_s: u64,
    /// Models whose cards are kept.
    pub models_max: usize,
    /// Models that the disputes of one challenger's key are about.
    pub models_of_one_max: usize,
}

impl Rules {
    /// Turns of ten minutes, 64 disputes at once, 8 of one challenger and 8 against one operator, 10,000 kept for 90 days, of 256 models, 8 of one challenger.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            turn_s: 600,
            live_max: 64,
            live_of_one_max: 8,
            live_of_operator_max: 8,
            kept_max: 10_000,
            kept_s: 90 * 24 * 3600,
            models_max: 256,
            models_of_one_max: 8,
        }
    }
}

/// Where one dispute stands.
#[derive(Debug)]
struct Live {
    terms: Terms,
    receipt: ReceiptDigest,
    model: ModelId,
    head: Digest,
    last_unix_s: u64,
    entries: u32,
    bytes: usize,
    standing: Standing,
    /// Most bytes of the message that is awaited.
    awaited_bytes_max: usize,
    /// A file may or may not have been written: it is read again before anything else.
    unsure: bool,
}

type Slot = Arc<Mutex<Live>>;

/// A referee with its disputes.
pub struct Docket {
    key: SigningKey,
    rules: Rules,
    records: Records,
    clock: StillClock,
    cards: Mutex<BTreeMap<ModelId, Arc<Card>>>,
    slots: Mutex<BTreeMap<Digest, Slot>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Docket {
    /// Opens the referee's folder and reads where every dispute stands.
    ///
    /// # Errors
    /// [`CourtError`] if a file cannot be read: a referee that has forgotten must not start.
    pub fn open(
        folder: &Path,
        key: SigningKey,
        rules: Rules,
        wall: Clock,
    ) -> Result<Self, CourtError> {
        let records = Records::open(folder)?;
        records.tidy()?;
        let known = records.all()?;
        let mut idle = true;
        for id in &known {
            idle &= records.verdict(id)?.is_some();
        }
        let clock = StillClock::open(&records.clock(), wall, idle)?;
        let docket = Self {
            key,
            rules,
            records,
            clock,
            cards: Mutex::default(),
            slots: Mutex::default(),
        };
        for id in known {
            let live = docket.load(&id)?;
            lock(&docket.slots).insert(id, Arc::new(Mutex::new(live)));
        }
        docket.clock.beat()?;
        docket.sweep()?;
        Ok(docket)
    }

    /// What the referee tells of itself.
    #[must_use]
    pub fn about(&self) -> About {
        About {
            referee: self.key.public_key(),
            time_unix_s: self.clock.now(),
            turn_s: self.rules.turn_s,
        }
    }

    /// Writes down that the referee is there.
    ///
    /// # Errors
    /// [`CourtError::Store`].
    pub fn beat(&self) -> Result<(), CourtError> {
        self.clock.beat()
    }

    fn card(&self, model: ModelId) -> Result<Arc<Card>, CourtError> {
        if let Some(card) = lock(&self.cards).get(&model) {
            return Ok(Arc::clone(card));
        }
        let bytes = self.records.card(model)?.ok_or(CourtError::NoCard)?;
        let card = Arc::new(Card::decode(model, &bytes)?);
        let mut cards = lock(&self.cards);
        while cards.len() >= CARDS_MAX {
            cards.pop_first();
        }
        cards.insert(model, Arc::clone(&card));
        Ok(card)
    }

    /// Leads a referee over entries.
    fn led<R>(
        &self,
        (terms, claim): (Terms, &Claim),
        entries: &[Entry],
        then: impl FnOnce(&mut Referee<'_>) -> Result<R, CourtError>,
    ) -> Result<R, CourtError> {
        let card = self.card(claim.fields().model)?;
        let mut referee = Referee::new(&card, claim, terms)?;
        for entry in entries {
            let taken = referee.step(entry.message.as_deref(), entry.time_unix_s)?;
            if taken.as_ref() != Some(entry) {
                let dispute = terms.id();
                let what = "entries";
                return Err(CourtError::Damaged { what, dispute });
            }
        }
        then(&mut referee)
    }

    /// Reads a dispute's files. A verdict that was not written down for a crash is signed now.
    fn load(&self, id: &Digest) -> Result<Live, CourtError> {
        let filing = self.records.filing(id)?;
        let claim = claim_of(&filing.receipt, &filing.terms)?;
        let entries = self.records.entries(id)?;
        let live = self.led((filing.terms, &claim), &entries, |referee| {
            let messages = entries.iter().filter_map(|entry| entry.message.as_ref());
            Ok(Live {
                terms: filing.terms,
                receipt: filing.receipt.digest(),
                model: claim.fields().model,
                head: *referee.head(),
                last_unix_s: entries
                    .last()
                    .map_or(filing.terms.started_unix_s, |entry| entry.time_unix_s),
                entries: u32::try_from(entries.len()).unwrap_or(u32::MAX),
                bytes: messages.map(Vec::len).sum(),
                standing: self.standing(id, referee)?,
                awaited_bytes_max: awaited_bytes_max(referee),
                unsure: false,
            })
        })?;
        Ok(live)
    }

    /// Where a referee stands; a verdict is signed and kept.
    fn standing(&self, id: &Digest, referee: &Referee<'_>) -> Result<Standing, CourtError> {
        match referee.status() {
            Status::Awaiting {
                question,
                until_unix_s,
            } => Ok(Standing::Awaiting(question.party(), until_unix_s)),
            Status::Over(verdict) => {
                self.conclude(id, &verdict)?;
                Ok(Standing::Over(verdict.loser, verdict.reason))
            }
        }
    }

    fn conclude(&self, id: &Digest, verdict: &Verdict) -> Result<(), CourtError> {
        if self.records.verdict(id)?.is_some() {
            return Ok(());
        }
        let stated = statement(verdict, self.key.public_key(), self.clock.wall_unix_s());
        let what = "verdict";
        let stated = stated.map_err(|_| CourtError::Damaged { what, dispute: *id })?;
        let envelope = sign(&Statement::Verdict(stated), &self.key)?;
        self.records.conclude(id, &bare(envelope, Vec::new())?)
    }

    fn slot(&self, id: &Digest) -> Result<Slot, CourtError> {
        let slots = lock(&self.slots);
        slots.get(id).cloned().ok_or(CourtError::Unknown(*id))
    }

    /// Where a dispute stands, as it is on disk.
    fn sure<'l>(&self, id: &Digest, slot: &'l Slot) -> Result<MutexGuard<'l, Live>, CourtError> {
        let mut live = lock(slot);
        if live.unsure {
            *live = self.load(id)?;
        }
        Ok(live)
    }

    /// Begins a dispute, durably, or finds it under way.
    ///
    /// # Errors
    /// [`CourtError`] if it is refused, or cannot be kept.
    pub fn file(&self, filing: &Filing) -> Result<Notice, CourtError> {
        let claim = filing.check(&self.key.public_key())?;
        let id = filing.terms.id();
        if let Ok(slot) = self.slot(&id) {
            return Ok(notice(id, &*self.sure(&id, &slot)?));
        }
        let (expected, got) = (self.rules.turn_s, filing.terms.turn_s);
        if got != expected {
            return Err(CourtError::Turn { expected, got });
        }
        let (now, got) = (self.clock.now(), filing.terms.started_unix_s);
        if now.abs_diff(got) > START_SKEW_S {
            return Err(CourtError::Start { now, got });
        }
        let model = claim.fields().model;
        // A card is decoded for nobody who has no room.
        self.room(&lock(&self.slots), &filing.terms, model)?;
        let brought = !filing.card.is_empty();
        if brought {
            let card = Card::decode(model, &filing.card)?;
            if card.text().is_some() {
                return Err(CourtError::Text);
            }
            Referee::new(&card, &claim, filing.terms)?;
        }
        // From here on one filing at a time, so that the limits hold.
        let mut slots = lock(&self.slots);
        self.room(&slots, &filing.terms, model)?;
        if brought {
            let max = self.rules.models_max;
            self.records.keep_card(model, &filing.card, max)?;
        }
        self.led((filing.terms, &claim), &[], |_| Ok(()))?;
        self.records.begin(&id, filing)?;
        let live = self.load(&id)?;
        let told = notice(id, &live);
        slots.insert(id, Arc::new(Mutex::new(live)));
        Ok(told)
    }

    fn room(
        &self,
        slots: &BTreeMap<Digest, Slot>,
        terms: &Terms,
        model: ModelId,
    ) -> Result<(), CourtError> {
        let rules = self.rules;
        if slots.len() >= rules.kept_max {
            let max = rules.kept_max;
            return Err(CourtError::Kept { max });
        }
        let (mut all, mut own, mut against) = (0_usize, 0_usize, 0_usize);
        let mut models = BTreeSet::new();
        for slot in slots.values() {
            let live = lock(slot);
            let is_own = live.terms.challenger == terms.challenger;
            if is_own {
                models.insert(live.model);
            }
            if matches!(live.standing, Standing::Awaiting(..)) {
                all = all.saturating_add(1);
                own = own.saturating_add(usize::from(is_own));
                let is_against = live.terms.operator == terms.operator;
                against = against.saturating_add(usize::from(is_against));
            }
        }
        if all >= rules.live_max {
            let max = rules.live_max;
            return Err(CourtError::Full { max });
        }
        if own >= rules.live_of_one_max {
            let max = rules.live_of_one_max;
            return Err(CourtError::KeyFull { max });
        }
        if against >= rules.live_of_operator_max {
            let max = rules.live_of_operator_max;
            return Err(CourtError::OperatorFull { max });
        }
        if models.len() >= rules.models_of_one_max && !models.contains(&model) {
            let max = rules.models_of_one_max;
            return Err(CourtError::KeyModels { max });
        }
        Ok(())
    }

    /// Removes what ended long ago, and cards that no dispute is about any more.
    ///
    /// # Errors
    /// [`CourtError`], the first file that cannot be removed.
    pub fn sweep(&self) -> Result<(), CourtError> {
        let now = self.clock.now();
        let mut slots = lock(&self.slots);
        let is_old = |slot: &Slot| {
            let live = lock(slot);
            let is_over = matches!(live.standing, Standing::Over(..));
            is_over && now.saturating_sub(live.last_unix_s) > self.rules.kept_s
        };
        let old: Vec<Digest> = slots
            .iter()
            .filter(|(_, slot)| is_old(slot))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            slots.remove(&id);
            self.records.remove(&id)?;
        }
        let models: BTreeSet<ModelId> = slots.values().map(|slot| lock(slot).model).collect();
        lock(&self.cards).retain(|model, _| models.contains(model));
        self.records.keep_cards_of(&models)
    }

    /// How long a message may be that this dispute awaits: known before one is read.
    ///
    /// # Errors
    /// [`CourtError::Unknown`], [`CourtError::Ignored`] if it is over.
    pub fn awaited_bytes_max(&self, id: &Digest) -> Result<usize, CourtError> {
        let slot = self.slot(id)?;
        let live = self.sure(id, &slot)?;
        match live.standing {
            Standing::Awaiting(..) => Ok(live.awaited_bytes_max),
            Standing::Over(..) => Err(Ignored::Over.into()),
        }
    }

    /// Where a dispute stands.
    ///
    /// # Errors
    /// [`CourtError::Unknown`], or a file that cannot be read.
    pub fn notice(&self, id: &Digest) -> Result<Notice, CourtError> {
        let slot = self.slot(id)?;
        Ok(notice(*id, &*self.sure(id, &slot)?))
    }

    /// The disputes under way to which this key is a party, by id.
    #[must_use]
    pub fn of_party(&self, key: &PublicKey) -> Vec<Notice> {
        let slots: Vec<(Digest, Slot)> = lock(&self.slots)
            .iter()
            .map(|(id, slot)| (*id, Arc::clone(slot)))
            .collect();
        let mut found = Vec::new();
        for (id, slot) in slots {
            let live = lock(&slot);
            let is_live = matches!(live.standing, Standing::Awaiting(..));
            if is_live && is_party(&live.terms, key) {
                found.push(notice(id, &live));
            }
        }
        found
    }

    /// The entries from number `from` on, for a party.
    ///
    /// # Errors
    /// [`CourtError::Pass`] for anyone else; [`CourtError`] if they cannot be read.
    pub fn entries(
        &self,
        id: &Digest,
        from: usize,
        reader: &PublicKey,
    ) -> Result<Transcript, CourtError> {
        let slot = self.slot(id)?;
        let live = self.sure(id, &slot)?;
        if !is_party(&live.terms, reader) {
            return Err(CourtError::Pass);
        }
        let mut entries = self.records.entries(id)?;
        entries.drain(..from.min(entries.len()));
        Ok(Transcript {
            terms: live.terms,
            entries,
        })
    }

    /// What was filed, without the card, for a party: the operator sees by it that the challenger may see what was asked.
    ///
    /// # Errors
    /// [`CourtError::Pass`] for anyone else; [`CourtError`] if it cannot be read.
    pub fn filing(&self, id: &Digest, reader: &PublicKey) -> Result<Filing, CourtError> {
        let slot = self.slot(id)?;
        let terms = self.sure(id, &slot)?.terms;
        if !is_party(&terms, reader) {
            return Err(CourtError::Pass);
        }
        self.records.filing(id)
    }

    /// The verdict: alone for anyone, with the dispute it follows from for a party.
    ///
    /// # Errors
    /// [`CourtError::Unfinished`], [`CourtError::Pass`], or what cannot be read.
    pub fn verdict(&self, id: &Digest, reader: Option<&PublicKey>) -> Result<Bundle, CourtError> {
        let slot = self.slot(id)?;
        let live = self.sure(id, &slot)?;
        let bundle = self.records.verdict(id)?.ok_or(CourtError::Unfinished)?;
        let Some(reader) = reader else {
            return Ok(bundle);
        };
        if !is_party(&live.terms, reader) {
            return Err(CourtError::Pass);
        }
        let card = self.records.card(live.model)?.ok_or(CourtError::NoCard)?;
        let dossier = Dossier {
            receipt: self.records.filing(id)?.receipt,
            card,
            transcript: Transcript {
                terms: live.terms,
                entries: self.records.entries(id)?,
            },
        };
        dossier.bundle(bundle.receipt().clone())
    }

    /// Takes a party's message: it is durable on return, and so is a verdict to which it leads.
    ///
    /// # Errors
    /// [`CourtError::Ignored`] if it changes nothing; [`CourtError`] if it cannot be taken.
    pub fn say(&self, id: &Digest, message: &[u8]) -> Result<Notice, CourtError> {
        let slot = self.slot(id)?;
        let mut live = self.sure(id, &slot)?;
        let Standing::Awaiting(party, _) = live.standing else {
            return Err(Ignored::Over.into());
        };
        let (max, got) = (live.awaited_bytes_max, message.len());
        if got > max {
            return Err(Ignored::Length { max, got }.into());
        }
        // What a stranger sends costs a hash and nothing of the disk.
        if signed_body(live.terms.key(party), &live.head, party, message).is_none() {
            return Err(Ignored::Signature.into());
        }
        let max = TRANSCRIPT_BYTES_MAX;
        if live.bytes.saturating_add(got) > max {
            return Err(CourtError::Room { max });
        }
        self.step(id, &mut live, Some(message))?;
        Ok(notice(*id, &live))
    }

    /// Ends the disputes in which time has run out. Gives those that it ended.
    ///
    /// # Errors
    /// [`CourtError`], the first that could not be ended; the others are.
    pub fn tick(&self) -> Result<Vec<Notice>, CourtError> {
        let now = self.clock.now();
        let all: Vec<(Digest, Slot)> = lock(&self.slots)
            .iter()
            .map(|(id, slot)| (*id, Arc::clone(slot)))
            .collect();
        let (mut ended, mut failed) = (Vec::new(), None);
        for (id, slot) in all {
            let late = matches!(lock(&slot).standing, Standing::Awaiting(_, until) if until < now);
            if !late {
                continue;
            }
            let stepped = self.sure(&id, &slot).and_then(|mut live| {
                self.step(&id, &mut live, None)?;
                Ok(notice(id, &live))
            });
            match stepped {
                Ok(notice) if matches!(notice.standing, Standing::Over(..)) => ended.push(notice),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(ended), Err)
    }

    fn step(&self, id: &Digest, live: &mut Live, message: Option<&[u8]>) -> Result<(), CourtError> {
        let filing = self.records.filing(id)?;
        let claim = claim_of(&filing.receipt, &filing.terms)?;
        let entries = self.records.entries(id)?;
        let now = self.clock.now().max(live.last_unix_s);
        let mut unsure = false;
        let stepped = self.led((filing.terms, &claim), &entries, |referee| {
            let Some(entry) = referee.step(message, now)? else {
                return Ok(None);
            };
            unsure = true;
            self.records.append(id, live.entries, &entry)?;
            let standing = self.standing(id, referee)?;
            unsure = false;
            let bytes_max = awaited_bytes_max(referee);
            Ok(Some((*referee.head(), entry, standing, bytes_max)))
        });
        live.unsure = unsure;
        if unsure {
            // What was said may not be kept: no party's time runs until something is.
            self.clock.stand();
        }
        if let Some((head, entry, standing, bytes_max)) = stepped? {
            live.awaited_bytes_max = bytes_max;
            live.head = head;
            live.standing = standing;
            live.last_unix_s = entry.time_unix_s;
            live.entries = live.entries.saturating_add(1);
            let got = entry.message.as_ref().map_or(0, Vec::len);
            live.bytes = live.bytes.saturating_add(got);
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }
}

/// Most bytes of the message that is awaited.
fn awaited_bytes_max(referee: &Referee<'_>) -> usize {
    match referee.status() {
        Status::Awaiting { question, .. } => question.answer_bytes_max(MESSAGE_BYTES_MAX),
        Status::Over(_) => 0,
    }
}

fn is_party(terms: &Terms, key: &PublicKey) -> bool {
    [Party::Operator, Party::Challenger]
        .iter()
        .any(|party| terms.key(*party) == key)
}

const fn notice(dispute: Digest, live: &Live) -> Notice {
    Notice {
        dispute,
        terms: live.terms,
        receipt: live.receipt,
        model: live.model,
        entries: live.entries,
        standing: live.standing,
    }
}
