//! A disk and an index in memory, with faults by the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use credence_base::ReceiptDigest;
use credence_ledger::{Head, HeadError, HeadNote, MemoryHead};
use credence_store::StoreError;
use credence_store::index::{Index, IndexError, Known};
use credence_store::objects::{Child, Created, Object, ObjectName, Objects};
use credence_testkit::kill::Dice;

/// What a disk does that no disk may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Reports writes as durable that a crash takes away.
    Forgets,
    /// Flushes what it creates, and not what it finds.
    FlushesNewAlone,
    /// Replaces what exists, and says that it did not exist.
    Overwrites,
    /// Says that it created what it did not, since something existed.
    SaysNew,
    /// Changes a byte of what is written, now and then.
    Corrupts,
}

/// How the next writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Now and then a write is not done, or in part.
    NotStored,
    /// Now and then a write is done and reported as failed.
    StoredButLost,
    Full,
    ReadOnly,
    /// Reads fail as well.
    Gone,
    /// All is well and takes its time: meanwhile other things happen.
    Slow,
}

type Hook = Box<dyn FnOnce() + Send>;
type Meanwhile = Box<dyn FnMut() + Send>;

#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    /// What was written since the last crash, for the disk that forgets.
    fresh: Vec<String>,
    /// What can be read and was never flushed: a power cut takes of it what it likes.
    volatile: BTreeSet<String>,
}

/// What all processes share.
pub(crate) struct Disk {
    pub(crate) shelf: Mutex<Shelf>,
    dice: Mutex<Dice>,
    pub(crate) lie: Lie,
}

impl Disk {
    pub(crate) fn new(seed: u64, lie: Lie) -> Arc<Self> {
        Arc::new(Self {
            shelf: Mutex::default(),
            dice: Mutex::new(Dice::new(seed ^ 0xd15c)),
            lie,
        })
    }

    fn roll(&self, times: u64) -> bool {
        self.dice.lock().unwrap().once_in(times)
    }

    /// A power cut: of what was not flushed, each may be gone, and with a disk that forgets more than that.
    pub(crate) fn power_cut(&self) {
        let mut shelf = self.shelf.lock().unwrap();
        for name in core::mem::take(&mut shelf.volatile) {
            if self.roll(2) {
                shelf.objects.remove(&name);
            }
        }
        let fresh = core::mem::take(&mut shelf.fresh);
        if self.lie == Lie::Forgets {
            for name in fresh.iter().rev().take(2) {
                shelf.objects.remove(name);
            }
        }
    }

    fn put(&self, object: &Object) -> Created {
        let mut bytes = object.bytes.clone();
        if self.lie == Lie::Corrupts && self.roll(30) && !bytes.is_empty() {
            bytes[0] ^= 1;
        }
        let mut shelf = self.shelf.lock().unwrap();
        let name = object.name.to_string();
        let existed = shelf.objects.contains_key(&name);
        if !existed || self.lie == Lie::Overwrites {
            shelf.objects.insert(name.clone(), bytes);
            shelf.volatile.insert(name.clone());
            shelf.fresh.push(name);
            return Created::New;
        }
        if self.lie == Lie::SaysNew {
            return Created::New;
        }
        Created::Existed
    }

    /// What was created, or found to exist, is durable from here on.
    fn flush(&self, objects: &[Object], created: &[(usize, Created)]) {
        let mut shelf = self.shelf.lock().unwrap();
        for (at, created) in created {
            if *created == Created::New || self.lie != Lie::FlushesNewAlone {
                shelf.volatile.remove(objects[*at].name.as_str());
            }
        }
    }
}

/// One process's way to the disk.
pub(crate) struct Mount {
    disk: Arc<Disk>,
    state: Mutex<State>,
}

struct State {
    mood: Mood,
    /// Operations until the process dies.
    dies_in: Option<u64>,
    /// And then before the flush, not before the next write.
    dies_unflushed: bool,
    dead: bool,
    /// Removing fails.
    keeps_all: bool,
    /// Something else that happens before an operation.
    hook: Option<(u64, Hook)>,
    /// What happens before each operation of a slow disk.
    meanwhile: Option<Meanwhile>,
    /// Writes so far, an object each.
    writes: u64,
}

impl Mount {
    pub(crate) fn new(disk: &Arc<Disk>) -> Arc<Self> {
        Arc::new(Self {
            disk: Arc::clone(disk),
            state: Mutex::new(State {
                mood: Mood::Well,
                dies_in: None,
                dies_unflushed: false,
                keeps_all: false,
                dead: false,
                hook: None,
                meanwhile: None,
                writes: 0,
            }),
        })
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The process dies when it has done this many more writes.
    pub(crate) fn die_in(&self, writes: u64) {
        self.state.lock().unwrap().dies_in = Some(writes);
    }

    /// The same, before what it wrote is flushed.
    pub(crate) fn die_unflushed_in(&self, writes: u64) {
        let mut state = self.state.lock().unwrap();
        (state.dies_in, state.dies_unflushed) = (Some(writes), true);
    }

    /// From now on nothing can be removed.
    pub(crate) fn remove_nothing(&self) {
        self.state.lock().unwrap().keeps_all = true;
    }

    /// The process does not die after all.
    pub(crate) fn live_on(&self) {
        self.state.lock().unwrap().dies_in = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    pub(crate) fn writes(&self) -> u64 {
        self.state.lock().unwrap().writes
    }

    /// Does something else after so many operations, in the middle of whatever goes on then.
    pub(crate) fn interleave(&self, after: u64, hook: Hook) {
        self.state.lock().unwrap().hook = Some((after, hook));
    }

    pub(crate) fn forget_hook(&self) {
        let mut state = self.state.lock().unwrap();
        (state.hook, state.meanwhile) = (None, None);
    }

    /// Does something at each operation, as long as the disk is slow.
    pub(crate) fn while_slow(&self, meanwhile: Meanwhile) {
        self.state.lock().unwrap().meanwhile = Some(meanwhile);
    }

    pub(crate) fn mood(&self) -> Mood {
        self.state.lock().unwrap().mood
    }

    fn before(&self) -> Result<Mood, StoreError> {
        let hook = {
            let mut state = self.state.lock().unwrap();
            match state.hook.take() {
                Some((0, hook)) => Some(hook),
                Some((left, hook)) => {
                    state.hook = Some((left - 1, hook));
                    None
                }
                None => None,
            }
        };
        if let Some(hook) = hook {
            hook();
        }
        let slow = {
            let mut state = self.state.lock().unwrap();
            (state.mood == Mood::Slow).then(|| state.meanwhile.take())
        };
        if let Some(Some(mut meanwhile)) = slow {
            meanwhile();
            self.state.lock().unwrap().meanwhile = Some(meanwhile);
        }
        let state = self.state.lock().unwrap();
        if state.dead {
            return Err(error(ErrorKind::BrokenPipe));
        }
        Ok(state.mood)
    }

    /// Whether the process still lives when all is written and nothing flushed.
    fn before_flush(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        if state.dies_in == Some(0) && state.dies_unflushed {
            state.dead = true;
            return Err(error(ErrorKind::BrokenPipe));
        }
        Ok(())
    }

    /// One object written: whether the process still lives.
    fn count_write(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        if state.dies_in == Some(0) {
            state.dead = true;
            return Err(error(ErrorKind::BrokenPipe));
        }
        state.dies_in = state.dies_in.map(|left| left - 1);
        state.writes += 1;
        Ok(())
    }
}

fn error(kind: ErrorKind) -> StoreError {
    StoreError::Io {
        path: PathBuf::from("simulated"),
        action: credence_store::Action::Write,
        source: Error::from(kind),
    }
}

impl Objects for Mount {
    fn get(&self, name: &ObjectName, len_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if self.before()? == Mood::Gone {
            return Err(error(ErrorKind::TimedOut));
        }
        let shelf = self.disk.shelf.lock().unwrap();
        let bytes = shelf.objects.get(name.as_str()).cloned();
        assert!(
            bytes
                .as_ref()
                .is_none_or(|b| u64::try_from(b.len()).unwrap() <= len_max)
        );
        Ok(bytes)
    }

    fn create(&self, objects: &[Object]) -> Result<Vec<Created>, StoreError> {
        let mood = self.before()?;
        match mood {
            Mood::Full => return Err(error(ErrorKind::StorageFull)),
            Mood::ReadOnly => return Err(error(ErrorKind::ReadOnlyFilesystem)),
            Mood::Gone => return Err(error(ErrorKind::TimedOut)),
            Mood::Well | Mood::Slow | Mood::NotStored | Mood::StoredButLost => {}
        }
        let mut created = Vec::new();
        // A batch is written in no particular order.
        let turned = self
            .disk
            .dice
            .lock()
            .unwrap()
            .below(objects.len().max(1).try_into().unwrap());
        let start = usize::try_from(turned).unwrap();
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.rotate_left(start);
        for at in order {
            if mood == Mood::NotStored && self.disk.roll(4) {
                return Err(error(ErrorKind::TimedOut));
            }
            self.count_write()?;
            created.push((at, self.disk.put(&objects[at])));
        }
        // Between the writes and their flush the process may die as well.
        self.before_flush()?;
        self.disk.flush(objects, &created);
        if mood == Mood::StoredButLost && self.disk.roll(3) {
            return Err(error(ErrorKind::TimedOut));
        }
        created.sort_by_key(|(at, _)| *at);
        Ok(created.into_iter().map(|(_, created)| created).collect())
    }

    fn list(&self, folder: &ObjectName) -> Result<Vec<Child>, StoreError> {
        if self.before()? == Mood::Gone {
            return Err(error(ErrorKind::TimedOut));
        }
        let shelf = self.disk.shelf.lock().unwrap();
        let prefix = format!("{folder}/");
        let mut children: Vec<Child> = shelf
            .objects
            .range(prefix.clone()..)
            .map_while(|(name, _)| name.strip_prefix(&prefix))
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => Child::Folder(folder.to_owned()),
                None => Child::Object(rest.to_owned()),
            })
            .collect();
        children.sort();
        children.dedup();
        Ok(children)
    }

    fn replace(&self, object: &Object) -> Result<(), StoreError> {
        let mood = self.before()?;
        match mood {
            Mood::Full => return Err(error(ErrorKind::StorageFull)),
            Mood::ReadOnly => return Err(error(ErrorKind::ReadOnlyFilesystem)),
            Mood::Gone => return Err(error(ErrorKind::TimedOut)),
            Mood::NotStored if self.disk.roll(4) => return Err(error(ErrorKind::TimedOut)),
            Mood::Well | Mood::Slow | Mood::NotStored | Mood::StoredButLost => {}
        }
        self.count_write()?;
        let mut shelf = self.disk.shelf.lock().unwrap();
        // A rename: the old one or the new one, also after a power cut.
        shelf
            .objects
            .insert(object.name.to_string(), object.bytes.clone());
        drop(shelf);
        if mood == Mood::StoredButLost && self.disk.roll(3) {
            return Err(error(ErrorKind::TimedOut));
        }
        Ok(())
    }

    fn remove(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        let mood = self.before()?;
        match mood {
            Mood::Full | Mood::Well | Mood::Slow | Mood::NotStored | Mood::StoredButLost => {}
            Mood::ReadOnly => return Err(error(ErrorKind::ReadOnlyFilesystem)),
            Mood::Gone => return Err(error(ErrorKind::TimedOut)),
        }
        if self.state.lock().unwrap().keeps_all {
            return Err(error(ErrorKind::TimedOut));
        }
        for name in names {
            if mood == Mood::NotStored && self.disk.roll(4) {
                return Err(error(ErrorKind::TimedOut));
            }
            self.count_write()?;
            let mut shelf = self.disk.shelf.lock().unwrap();
            shelf.objects.remove(name.as_str());
        }
        if mood == Mood::StoredButLost && self.disk.roll(3) {
            return Err(error(ErrorKind::TimedOut));
        }
        Ok(())
    }
}

/// The note beside the key, on the process's own disk: it is as moody as the mount.
pub(crate) struct FaultyHead {
    pub(crate) head: Arc<MemoryHead>,
    pub(crate) mount: Arc<Mount>,
}

impl HeadNote for FaultyHead {
    fn load(&self) -> Result<Option<Head>, HeadError> {
        if self.mount.before()? == Mood::Gone {
            return Err(error(ErrorKind::TimedOut).into());
        }
        self.head.load()
    }

    fn keep(&self, head: &Head) -> Result<(), HeadError> {
        let mood = self.mount.before()?;
        match mood {
            Mood::Full => return Err(error(ErrorKind::StorageFull).into()),
            Mood::ReadOnly => return Err(error(ErrorKind::ReadOnlyFilesystem).into()),
            Mood::Gone => return Err(error(ErrorKind::TimedOut).into()),
            Mood::NotStored if self.mount.disk.roll(3) => {
                return Err(error(ErrorKind::TimedOut).into());
            }
            Mood::Well | Mood::Slow | Mood::NotStored | Mood::StoredButLost => {}
        }
        self.mount.count_write()?;
        self.head.keep(head)?;
        if mood == Mood::StoredButLost && self.mount.disk.roll(3) {
            return Err(error(ErrorKind::TimedOut).into());
        }
        Ok(())
    }
}

/// An index in memory, which a power cut sets back by some batches.
#[derive(Default)]
pub(crate) struct MemoryIndex {
    held: Mutex<Held>,
    pub(crate) fails: Mutex<Option<Dice>>,
}

#[derive(Default)]
struct Held {
    /// The count after each batch.
    batches: Vec<u64>,
    known: BTreeMap<ReceiptDigest, u64>,
}

impl Held {
    fn count(&self) -> u64 {
        self.batches.last().copied().unwrap_or(0)
    }
}

impl MemoryIndex {
    fn fault(&self) -> Result<(), IndexError> {
        let mut fails = self.fails.lock().unwrap();
        if fails.as_mut().is_some_and(|dice| dice.once_in(6)) {
            return Err(IndexError::Damaged { value: -1 });
        }
        Ok(())
    }

    pub(crate) fn power_cut(&self, dice: &mut Dice) {
        let mut held = self.held.lock().unwrap();
        let lost = usize::try_from(dice.below(3)).unwrap();
        let kept = held.batches.len().saturating_sub(lost);
        held.batches
            .truncate(if dice.once_in(10) { 0 } else { kept });
        let count = held.count();
        held.known.retain(|_, position| *position < count);
    }
}

impl Index for MemoryIndex {
    fn count(&self) -> Result<u64, IndexError> {
        self.fault()?;
        Ok(self.held.lock().unwrap().count())
    }

    fn positions(&self, digests: &[ReceiptDigest]) -> Result<Known, IndexError> {
        self.fault()?;
        let held = self.held.lock().unwrap();
        let find = |digest| held.known.get(digest).copied();
        Ok(Known {
            count: held.count(),
            positions: digests.iter().map(find).collect(),
        })
    }

    fn extend(&self, start: u64, digests: &[ReceiptDigest]) -> Result<(), IndexError> {
        self.fault()?;
        let mut held = self.held.lock().unwrap();
        let got = held.count();
        if got != start {
            let expected = start;
            return Err(IndexError::Count { expected, got });
        }
        for (position, digest) in (start..).zip(digests) {
            held.known.entry(*digest).or_insert(position);
        }
        held.batches
            .push(start + u64::try_from(digests.len()).unwrap());
        drop(held);
        // Done, and reported as failed.
        self.fault()
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.fault()?;
        *self.held.lock().unwrap() = Held::default();
        Ok(())
    }
}
