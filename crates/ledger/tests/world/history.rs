//! One history: what happens, by the dice.

use std::sync::Arc;

use credence_base::{ReceiptDigest, SigningKey};
use credence_ledger::{Driver, HeadNote, LedgerError, MemoryHead, Options, Pending, Sequenced};
use credence_log::log_proof::LogProof;
use credence_log::policy::{Clock, LogPolicy};
use credence_log::sequencer::Limits;
use credence_log::{Algorithm, KeyName, Signer};

use crate::check::{Said, check};
use credence_testkit::kill::Dice;

use crate::disk::{Disk, FaultyHead, Lie, MemoryIndex, Mood, Mount};

/// What may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) crashes: bool,
    pub(crate) faults: bool,
    pub(crate) second: bool,
    pub(crate) shared_index: bool,
    pub(crate) clock_jumps: bool,
    pub(crate) lie: Lie,
}

const LIMITS: Limits = Limits {
    pool_max: 400,
    batch_max: 300,
};

pub(crate) fn signer() -> Arc<Signer> {
    let name = KeyName::new("example.org/log").unwrap();
    Arc::new(Signer::new(
        name,
        Algorithm::Ed25519,
        SigningKey::from_seed(&[7; 32]),
    ))
}

pub(crate) fn digest(number: u64) -> ReceiptDigest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

struct Process {
    mount: Arc<Mount>,
    index: Arc<MemoryIndex>,
    head: Arc<MemoryHead>,
    driver: Option<Arc<Driver>>,
    pending: Vec<(ReceiptDigest, Pending)>,
}

impl Process {
    fn new(disk: &Arc<Disk>, index: Arc<MemoryIndex>, head: Arc<MemoryHead>) -> Self {
        Self {
            mount: Mount::new(disk),
            index,
            head,
            driver: None,
            pending: Vec::new(),
        }
    }

    fn options(&self) -> Options {
        Options {
            signer: signer(),
            limits: LIMITS,
            objects: self.mount.clone(),
            index: self.index.clone(),
            head: Arc::new(FaultyHead {
                head: self.head.clone(),
                mount: self.mount.clone(),
            }),
            folder: None,
        }
    }

    fn start(&mut self) -> Result<(), LedgerError> {
        self.driver = Some(Arc::new(Driver::open(self.options())?));
        Ok(())
    }

    /// It dies: what it held in memory is gone, and whoever waited hears nothing more.
    fn die(&mut self, disk: &Arc<Disk>) {
        self.driver = None;
        self.pending.clear();
        self.mount = Mount::new(disk);
    }

    fn append(&mut self, number: u64) {
        let Some(driver) = &self.driver else { return };
        let digest = digest(number);
        if let Ok(pending) = driver.append(digest) {
            self.pending.push((digest, pending));
        }
    }

    /// What has been answered since.
    fn hear(&mut self, said: &mut Vec<Said>) {
        let pending = core::mem::take(&mut self.pending);
        for (digest, mut one) in pending {
            match one.try_wait() {
                None => self.pending.push((digest, one)),
                Some(Err(_)) => {}
                Some(Ok(sequenced)) => said.push(said_of(digest, &sequenced)),
            }
        }
    }
}

pub(crate) fn said_of(digest: ReceiptDigest, sequenced: &Sequenced) -> Said {
    Said {
        digest,
        position: sequenced.position,
        number: sequenced.published.number,
        checkpoint: sequenced.published.checkpoint.encode(),
    }
}

struct World {
    plan: Plan,
    dice: Dice,
    disk: Arc<Disk>,
    now_ms: u64,
    processes: Vec<Process>,
    said: Vec<Said>,
}

/// Runs a history.
pub(crate) fn run(plan: Plan, seed: u64) -> Result<(), String> {
    let disk = Disk::new(seed, plan.lie);
    let first = Arc::new(MemoryIndex::default());
    let head = Arc::new(MemoryHead::default());
    let mut processes = vec![Process::new(&disk, Arc::clone(&first), Arc::clone(&head))];
    if plan.second {
        let index = if plan.shared_index {
            first
        } else {
            Arc::default()
        };
        processes.push(Process::new(&disk, index, head));
    }
    let mut world = World {
        plan,
        dice: Dice::new(seed),
        disk,
        now_ms: 1_000_000,
        processes,
        said: Vec::new(),
    };
    for _ in 0..40 {
        world.happen()?;
    }
    world.settle()
}

impl World {
    fn happen(&mut self) -> Result<(), String> {
        let who =
            usize::try_from(self.dice.below(self.processes.len().try_into().unwrap())).unwrap();
        if self.processes[who].driver.is_none() {
            // It may not start while a fault lasts; then another time.
            let started = self.processes[who].start();
            if self.processes[who].mount.is_dead() {
                self.processes[who].die(&self.disk);
            }
            return self.must_not_be_damage(started.err());
        }
        match self.dice.below(10) {
            0..=3 => {
                let many = if self.dice.once_in(5) { 250 } else { 8 };
                for _ in 0..=self.dice.below(many) {
                    // Few enough numbers that many come twice.
                    let number = self.dice.below(900);
                    self.processes[who].append(number);
                }
            }
            4..=6 => self.turn(who)?,
            7 if self.plan.crashes => {
                let writes = self.dice.below(12);
                if self.dice.once_in(2) {
                    self.processes[who].mount.die_in(writes);
                } else {
                    self.processes[who].mount.die_unflushed_in(writes);
                }
                self.turn(who)?;
            }
            8 if self.plan.faults => {
                let moods = [
                    Mood::NotStored,
                    Mood::StoredButLost,
                    Mood::Full,
                    Mood::ReadOnly,
                    Mood::Gone,
                    Mood::Slow,
                    Mood::Well,
                ];
                let mood = moods[usize::try_from(self.dice.below(7)).unwrap()];
                self.processes[who].mount.set_mood(mood);
                let fails = (mood == Mood::NotStored).then(|| Dice::new(self.dice.roll()));
                *self.processes[who].index.fails.lock().unwrap() = fails;
            }
            9 if self.plan.clock_jumps => {
                let jump = self.dice.below(2_000_000);
                self.now_ms = self.now_ms.saturating_sub(1_000_000) + jump;
            }
            _ => self.now_ms += self.dice.below(1000),
        }
        Ok(())
    }

    fn turn(&mut self, who: usize) -> Result<(), String> {
        let other = self.processes.len() - 1 - who;
        if self.plan.second
            && self.dice.once_in(2)
            && let Some(driver) = self.processes[other].driver.clone()
        {
            // In the middle of this turn the other process has one, whole.
            let now_ms = self.now_ms;
            let hook = Box::new(move || drop(driver.turn(now_ms)));
            let after = self.dice.below(8);
            self.processes[who].mount.interleave(after, hook);
        }
        let Some(driver) = self.processes[who].driver.clone() else {
            return Ok(());
        };
        let (told, came) = std::sync::mpsc::channel();
        if self.processes[who].mount.mood() == Mood::Slow {
            // While the disk works, digests come in, old ones among them.
            let (slow, mut dice) = (Arc::downgrade(&driver), Dice::new(self.dice.roll()));
            self.processes[who].mount.while_slow(Box::new(move || {
                let digest = digest(dice.below(900));
                if let Some(Ok(pending)) = slow.upgrade().map(|driver| driver.append(digest)) {
                    told.send((digest, pending)).unwrap();
                }
            }));
        }
        let done = driver.turn(self.now_ms);
        drop(driver);
        self.processes[who].pending.extend(came.try_iter());
        self.processes[who].mount.forget_hook();
        for process in &mut self.processes {
            process.hear(&mut self.said);
        }
        let overtaken = done.as_ref().is_err_and(LedgerError::is_final);
        if self.processes[who].mount.is_dead() || overtaken {
            self.processes[who].die(&self.disk);
            let mut dice = self.dice.clone();
            self.dice.roll();
            if !self.plan.shared_index {
                self.processes[who].index.power_cut(&mut dice);
            }
            // Now and then the machine goes with it. Else the next one sees what was never flushed.
            if self.processes.len() == 1 && self.dice.once_in(2) {
                self.disk.power_cut();
            }
            // After each end of a process all that was ever said must still hold.
            return check(&self.disk, signer().verifier(), &self.said);
        }
        self.must_not_be_damage(done.err())
    }

    /// Whatever fails here, nothing on the disk may look damaged: nobody damaged it.
    fn must_not_be_damage(&self, error: Option<LedgerError>) -> Result<(), String> {
        match error {
            None
            | Some(
                LedgerError::Objects(_)
                | LedgerError::Index(_)
                | LedgerError::Sequencer(_)
                | LedgerError::Head(_)
                | LedgerError::Count { .. },
            ) => Ok(()),
            // Two that read and write at once: one saw a checkpoint and then two more records.
            Some(_) if self.plan.second => Ok(()),
            Some(error) => Err(format!("{error:?}")),
        }
    }

    /// All faults end, every process is started and emptied, and everything is checked.
    fn settle(&mut self) -> Result<(), String> {
        for process in &mut self.processes {
            process.mount.set_mood(Mood::Well);
            process.mount.live_on();
            if process.mount.is_dead() {
                process.die(&self.disk);
            }
            *process.index.fails.lock().unwrap() = None;
        }
        for who in 0..self.processes.len() {
            if self.processes[who].driver.is_none() {
                let started = self.processes[who].start();
                started.map_err(|error| format!("does not start: {error:?}"))?;
            }
            let driver = self.processes[who].driver.clone().unwrap();
            // One to recover, and enough to empty the pool.
            let turns: Vec<_> = (0..4).map(|_| driver.turn(self.now_ms)).collect();
            self.processes[who].hear(&mut self.said);
            let last = turns.into_iter().next_back().unwrap();
            match last {
                Ok(turn) if turn.waiting == 0 => {}
                Err(error) if error.is_final() && self.plan.second => {}
                other => return Err(format!("does not come to rest: {other:?}")),
            }
        }
        check(&self.disk, signer().verifier(), &self.said)?;
        self.shown()?;
        self.proofs()
    }

    /// Readers see the newest checkpoint once all is well, or one before it while two run the log.
    fn shown(&self) -> Result<(), String> {
        let published = self.processes[0].driver.as_ref().unwrap().published();
        let shelf = self.disk.shelf.lock().unwrap();
        let shown = shelf.objects.get("checkpoint").cloned();
        let newest = published.map(|published| published.checkpoint.encode().into_bytes());
        if self.plan.second || shown == newest {
            return Ok(());
        }
        Err("the newest checkpoint is not the one that readers see".to_owned())
    }

    /// Any process proves what any process said, and answers a digest again with its first position.
    fn proofs(&mut self) -> Result<(), String> {
        self.processes[0].die(&self.disk);
        self.processes[0]
            .start()
            .map_err(|error| format!("{error:?}"))?;
        let driver = self.processes[0].driver.clone().unwrap();
        let said: Vec<Said> = self
            .said
            .iter()
            .rev()
            .step_by(17)
            .take(5)
            .cloned()
            .collect();
        for one in said {
            let proof = driver
                .proof(one.digest)
                .map_err(|error| format!("{error:?}"))?;
            verify(&proof.ok_or("no proof of what was acknowledged")?, &one)?;
            self.processes[0].append(u64::from_be_bytes(
                one.digest.as_bytes()[..8].try_into().unwrap(),
            ));
            driver
                .turn(self.now_ms)
                .map_err(|error| format!("{error:?}"))?;
            let mut again = Vec::new();
            self.processes[0].hear(&mut again);
            if again.first().map(|again| again.position) != Some(one.position) {
                return Err(format!("{one:?} was answered again with {again:?}"));
            }
        }
        Ok(())
    }
}

pub(crate) fn verify(proof: &LogProof, said: &Said) -> Result<(), String> {
    let proof = LogProof::parse(proof.encode().as_bytes()).map_err(|error| format!("{error:?}"))?;
    let policy = LogPolicy::new(vec![signer().verifier().clone()], Vec::new(), 0).unwrap();
    let clock = Clock {
        now_unix_s: 0,
        skew_max_s: 0,
    };
    let logged = proof.verify_at_any_age(&said.digest, &policy, clock);
    let logged = logged.map_err(|error| format!("{error:?}"))?;
    if logged.index() == said.position {
        Ok(())
    } else {
        Err("a proof of another position".to_owned())
    }
}

/// A log with some batches: its disk, and what was said.
fn grown(sizes: &[u64]) -> (Arc<Disk>, Process, Vec<Said>) {
    let disk = Disk::new(1, Lie::None);
    let mut process = Process::new(&disk, Arc::default(), Arc::default());
    process.start().unwrap();
    let (mut said, mut next) = (Vec::new(), 0);
    for size in sizes {
        for number in next..next + size {
            process.append(number);
        }
        next += size;
        process.driver.as_ref().unwrap().turn(1).unwrap();
        process.hear(&mut said);
    }
    assert_eq!(u64::try_from(said.len()).unwrap(), next);
    (disk, process, said)
}

/// For one batch that crosses a tile: the process dies at its first write, at its second, …; each time the next one carries
/// on, and a record that was committed is carried through.
pub(crate) fn crash_at_each_write() {
    let mut committed = 0;
    for at in 0.. {
        let (disk, mut process, mut said) = grown(&[200, 30]);
        for number in 1000..1290 {
            process.append(number);
        }
        let before = process.mount.writes();
        process.mount.die_in(at);
        let done = process.driver.as_ref().unwrap().turn(2);
        process.hear(&mut said);
        let writes = process.mount.writes() - before;
        let acknowledged = said.len() > 230;
        // The last writes take partial files away, after all was said.
        assert!(acknowledged || done.is_err(), "{done:?}");
        process.die(&disk);
        check(&disk, signer().verifier(), &said).unwrap();
        process.start().unwrap();
        let size = process.driver.as_ref().unwrap().published().unwrap();
        let size = size.checkpoint.unverified().size();
        // From the record on, it is in.
        assert_eq!(size, if at == 0 { 230 } else { 520 }, "at write {at}");
        committed += usize::from(!acknowledged && at > 0);
        check(&disk, signer().verifier(), &said).unwrap();
        if done.is_ok() {
            // Record, three bundles, four tiles of two levels, checkpoint; then partial files go.
            assert!(writes <= at, "it ends at its last write");
            break;
        }
    }
    assert!(committed >= 6, "{committed}");
}

/// What waited when the log stopped, and what came while it was, is in the log once it goes on, though nobody asks again.
pub(crate) fn what_waited_is_logged() {
    for mood in [Mood::Full, Mood::ReadOnly, Mood::Gone] {
        let (disk, mut process, mut said) = grown(&[10]);
        for number in 100..200 {
            process.append(number);
        }
        process.mount.set_mood(mood);
        let driver = process.driver.clone().unwrap();
        driver.turn(1).unwrap_err();
        for number in 200..210 {
            process.append(number);
        }
        driver.turn(1).unwrap_err();
        assert_eq!(driver.waiting(), 110);
        // It is bounded meanwhile as well.
        for number in 1000..2000 {
            process.append(number);
        }
        assert_eq!(driver.waiting(), 400);
        process.mount.set_mood(Mood::Well);
        while driver.turn(1).unwrap().waiting > 0 {}
        process.hear(&mut said);
        let size = driver.published().unwrap().checkpoint.unverified().size();
        assert_eq!(size, 410, "{mood:?}");
        for number in 100..210 {
            assert!(driver.proof(digest(number)).unwrap().is_some());
        }
        check(&disk, signer().verifier(), &said).unwrap();
    }
}

/// An older copy, an empty place and another place under one key are refused, and each goes on when the right one is back.
pub(crate) fn no_older_place_is_taken_for_the_log() {
    let (disk, mut process, _) = grown(&[200, 30]);
    let old = disk.shelf.lock().unwrap().objects.clone();
    for number in 1000..1020 {
        process.append(number);
    }
    process.driver.as_ref().unwrap().turn(2).unwrap();
    let new = disk.shelf.lock().unwrap().objects.clone();
    process.die(&disk);
    let mut open = |objects: &std::collections::BTreeMap<String, Vec<u8>>, index: bool| {
        disk.shelf.lock().unwrap().objects = objects.clone();
        if !index {
            process.index = Arc::default();
        }
        let started = process.start();
        process.die(&disk);
        let written = disk.shelf.lock().unwrap().objects != *objects;
        assert!(
            !written || started.is_ok(),
            "what was refused was written to"
        );
        started
    };
    // The index knows, and without it the note does.
    let refused = open(&old, true).unwrap_err();
    assert!(
        matches!(
            refused,
            LedgerError::Behind {
                expected: 250,
                got: 230
            }
        ),
        "{refused:?}"
    );
    let refused = open(&old, false).unwrap_err();
    assert!(matches!(refused, LedgerError::Behind { .. }), "{refused:?}");
    let refused = open(&std::collections::BTreeMap::new(), false).unwrap_err();
    assert!(
        matches!(refused, LedgerError::NoPlace { size: 250, .. }),
        "{refused:?}"
    );
    let (other, _, _) = grown(&[200, 50, 7]);
    let other = other.shelf.lock().unwrap().objects.clone();
    let refused = open(&other, false).unwrap_err();
    assert!(
        matches!(refused, LedgerError::OtherPlace { .. }),
        "{refused:?}"
    );
    // The same place with another history: somebody ran an older copy elsewhere.
    let mut forked = other;
    forked.insert("place".to_owned(), new["place"].clone());
    let refused = open(&forked, false).unwrap_err();
    assert!(
        matches!(refused, LedgerError::OtherHistory { size: 250 }),
        "{refused:?}"
    );
    open(&new, false).unwrap();
    // Without a note, an index that is ahead shows as much.
    open(&new, true).unwrap();
    process.head = Arc::default();
    disk.shelf.lock().unwrap().objects = old;
    let refused = process.start().unwrap_err();
    assert!(
        matches!(
            refused,
            LedgerError::IndexAhead {
                expected: 230,
                got: 250
            }
        ),
        "{refused:?}"
    );
    refuses_a_note_of_another_key(&mut process);
}

fn refuses_a_note_of_another_key(process: &mut Process) {
    let key = SigningKey::from_seed(&[9; 32]);
    let name = KeyName::new("example.org/log").unwrap();
    let mut head = MemoryHead::default().load().unwrap();
    assert!(head.is_none());
    let stranger = Signer::new(name, Algorithm::Ed25519, key);
    head.replace(credence_ledger::Head {
        log: stranger.verifier().clone(),
        place: credence_ledger::PlaceId::random().unwrap(),
        size: 0,
        root: credence_log::Hash::of_empty_tree(),
    });
    process.head.keep(&head.unwrap()).unwrap();
    assert!(matches!(process.start(), Err(LedgerError::OtherKey { .. })));
}

/// Partial files that cannot be removed fail no batch.
pub(crate) fn what_cannot_be_pruned_stays() {
    let (disk, mut process, _) = grown(&[200]);
    for number in 1000..1100 {
        process.append(number);
    }
    process.mount.remove_nothing();
    let turn = process.driver.as_ref().unwrap().turn(2).unwrap();
    assert_eq!((turn.acknowledged, turn.waiting), (100, 0));
    let mut said = Vec::new();
    process.hear(&mut said);
    assert_eq!(said.len(), 100);
    check(&disk, signer().verifier(), &said).unwrap();
}

/// A witness has seen what the log does not have: nothing more is signed, and proofs are still given.
pub(crate) fn a_contradicted_log_ends() {
    let (disk, mut process, said) = grown(&[20]);
    process.append(500);
    let driver = process.driver.clone().unwrap();
    driver.contradict();
    let mut heard = Vec::new();
    process.hear(&mut heard);
    assert!(heard.is_empty() && process.pending.is_empty());
    for _ in 0..3 {
        assert!(driver.turn(2).unwrap_err().is_final());
    }
    let refused = driver.append(digest(501)).unwrap_err();
    assert_eq!(
        refused,
        credence_log::sequencer::SequencerError::Contradicted
    );
    verify(&driver.proof(said[3].digest).unwrap().unwrap(), &said[3]).unwrap();
    let checkpoints = |name: &&String| name.starts_with("checkpoints/");
    assert_eq!(
        disk.shelf
            .lock()
            .unwrap()
            .objects
            .keys()
            .filter(checkpoints)
            .count(),
        1
    );
}

/// One entry a batch: the partial files go when the full one is there, and proofs under old checkpoints are still given.
pub(crate) fn slowly() {
    let (disk, process, said) = grown(&[1; 300]);
    let partial = |prefix: &str| {
        let shelf = disk.shelf.lock().unwrap();
        shelf
            .objects
            .keys()
            .filter(|name| name.starts_with(prefix))
            .count()
    };
    assert_eq!(
        (partial("tile/0/000.p/"), partial("tile/entries/000.p/")),
        (0, 0)
    );
    assert_eq!(
        (partial("tile/0/001.p/"), partial("tile/entries/001.p/")),
        (44, 44)
    );
    assert_eq!(
        (
            partial("tile/1/000.p/"),
            partial("record/"),
            partial("checkpoints/")
        ),
        (1, 300, 300)
    );
    check(&disk, signer().verifier(), &said).unwrap();
    let driver = process.driver.as_ref().unwrap();
    verify(&driver.proof(said[0].digest).unwrap().unwrap(), &said[0]).unwrap();
}

/// Every object in turn is changed, cut or taken away. Whoever reads it says so by name, and no wrong proof is given.
pub(crate) fn damage_each_object() {
    let (disk, mut process, said) = grown(&[300, 300, 100, 5]);
    let names: Vec<String> = disk.shelf.lock().unwrap().objects.keys().cloned().collect();
    let mut noticed = 0;
    for name in &names {
        let whole = disk.shelf.lock().unwrap().objects[name].clone();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [Some(flipped), Some(whole[..middle].to_vec()), None] {
            let mut shelf = disk.shelf.lock().unwrap();
            match damaged {
                Some(bytes) => shelf.objects.insert(name.clone(), bytes),
                None => shelf.objects.remove(name),
            };
            drop(shelf);
            let running = process.driver.clone().unwrap();
            let mut failed = said
                .iter()
                .step_by(41)
                .any(|one| match running.proof(one.digest) {
                    Ok(proof) => {
                        verify(&proof.unwrap(), one).unwrap();
                        false
                    }
                    Err(error) => {
                        assert!(names_it(&error, name), "{error:?} does not name `{name}`");
                        true
                    }
                });
            if let Err(error) = Driver::open(Options {
                index: Arc::<MemoryIndex>::default(),
                ..process.options()
            }) {
                assert!(names_it(&error, name), "{error:?} does not name `{name}`");
                failed = true;
            }
            noticed += usize::from(failed);
            disk.shelf
                .lock()
                .unwrap()
                .objects
                .insert(name.clone(), whole.clone());
        }
    }
    process.die(&disk);
    process.start().unwrap();
    check(&disk, signer().verifier(), &said).unwrap();
    // Ten objects are read: three bundles, four tiles, the newest record and checkpoint, the place's name. A missing checkpoint is
    // written again from its record, and of a published record only number, time and root count, not the digest in its middle.
    assert_eq!(noticed, 10 * 3 - 2, "of {}", names.len());
}

/// Whether an error says which object it is about: by name, by a number of its kind, or as one of a right edge.
fn names_it(error: &LedgerError, name: &str) -> bool {
    let mut text = format!("{error}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(" {inner}"));
        source = inner.source();
    }
    let kind = name.split('/').next().unwrap().trim_end_matches('s');
    let place = name
        .strip_prefix("tile/entries/")
        .or_else(|| name.strip_prefix("tile/0/"));
    text.contains(name)
        || (kind != "tile" && text.contains(kind))
        // A bundle and its tile are told apart by nobody: both are named.
        || place.is_some_and(|place| text.contains("those of its tile") && text.contains(place))
}
