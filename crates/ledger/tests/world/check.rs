//! What must hold of a disk, whatever happened to it: read by other code than that which wrote it.

use std::collections::{BTreeMap, BTreeSet};

use credence_base::ReceiptDigest;
use credence_log::entry::{self, EntriesId};
use credence_log::frontier::Frontier;
use credence_log::sequencer::{Kind, Record, numbered};
use credence_log::tile::{Tile, TileId};
use credence_log::{Hash, SignedCheckpoint, VerifierKey};

use crate::disk::Disk;

/// What a process said to whoever asked.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) digest: ReceiptDigest,
    pub(crate) position: u64,
    pub(crate) number: u64,
    pub(crate) checkpoint: String,
}

struct Disc<'a> {
    objects: &'a BTreeMap<String, Vec<u8>>,
}

impl Disc<'_> {
    fn get(&self, name: &str) -> Result<&Vec<u8>, String> {
        self.objects
            .get(name)
            .ok_or_else(|| format!("`{name}` is missing"))
    }

    /// A partial file, or as much of the full one.
    fn part(&self, partial: &str, full: &str, len: usize) -> Result<&[u8], String> {
        match (self.objects.get(partial), self.objects.get(full)) {
            (Some(bytes), _) => Ok(bytes),
            (None, Some(bytes)) => Ok(&bytes[..len]),
            (None, None) => Err(format!("`{partial}` is missing")),
        }
    }

    /// The published checkpoints, by number, without a gap.
    fn checkpoints(&self, log: &VerifierKey) -> Result<Vec<SignedCheckpoint>, String> {
        let names = self
            .objects
            .keys()
            .filter(|name| name.starts_with("checkpoints/"));
        let count = names.count();
        let mut all = Vec::new();
        for number in 1..=u64::try_from(count).unwrap() {
            let bytes = self.get(&numbered(Kind::Checkpoint, number))?;
            let checkpoint = SignedCheckpoint::parse(bytes).map_err(|e| format!("{e:?}"))?;
            checkpoint.verify(log).map_err(|e| format!("{e:?}"))?;
            all.push(checkpoint);
        }
        Ok(all)
    }

    fn entries(&self, size: u64) -> Result<Vec<ReceiptDigest>, String> {
        let mut all = Vec::new();
        for index in 0..size.div_ceil(256) {
            let id = EntriesId::in_tree(index, size).unwrap();
            let bytes = self.get(&id.path())?;
            all.extend(entry::decode(id, bytes).map_err(|e| format!("{e:?}"))?);
        }
        Ok(all)
    }
}

/// Checks everything. `said` is what was acknowledged, by whatever process.
pub(crate) fn check(disk: &Disk, log: &VerifierKey, said: &[Said]) -> Result<(), String> {
    check_objects(&disk.shelf.lock().unwrap().objects, log, said)
}

/// As [`check`], of objects by name.
pub(crate) fn check_objects(
    objects: &BTreeMap<String, Vec<u8>>,
    log: &VerifierKey,
    said: &[Said],
) -> Result<(), String> {
    let disc = Disc { objects };
    let checkpoints = disc.checkpoints(log)?;
    let size = checkpoints
        .last()
        .map_or(0, |last| last.unverified().size());
    let entries = disc.entries(size)?;
    consistent(&checkpoints, &entries)?;
    files_of_each(&disc, &checkpoints, &entries)?;
    shown(&disc, &checkpoints)?;
    times_never_go_back(&disc, checkpoints.len())?;
    let distinct: BTreeSet<&ReceiptDigest> = entries.iter().collect();
    if distinct.len() != entries.len() {
        return Err("a digest stands in the log twice".to_owned());
    }
    for one in said {
        let at = usize::try_from(one.position).unwrap();
        if entries.get(at) != Some(&one.digest) {
            return Err(format!("acknowledged and not there: {one:?}"));
        }
        let number = usize::try_from(one.number).unwrap();
        let checkpoint = checkpoints
            .get(number - 1)
            .ok_or("acknowledged under no checkpoint")?;
        if checkpoint.encode() != one.checkpoint || one.position >= checkpoint.unverified().size() {
            return Err(format!("acknowledged under another checkpoint: {one:?}"));
        }
    }
    Ok(())
}

/// What stands under the name of the newest checkpoint was published.
fn shown(disc: &Disc<'_>, checkpoints: &[SignedCheckpoint]) -> Result<(), String> {
    let Some(bytes) = disc.objects.get("checkpoint") else {
        return Ok(());
    };
    let published = |signed: &SignedCheckpoint| signed.encode().as_bytes() == bytes;
    if checkpoints.iter().any(published) {
        return Ok(());
    }
    Err("what is shown as the newest checkpoint was never published".to_owned())
}

/// Each checkpoint ever published is of the tree of the first so many entries.
fn consistent(checkpoints: &[SignedCheckpoint], entries: &[ReceiptDigest]) -> Result<(), String> {
    let mut frontier = Frontier::default();
    let mut rest = entries.iter();
    for checkpoint in checkpoints {
        let (size, root) = checkpoint.unverified().tree();
        if size <= frontier.size() {
            return Err(format!(
                "a checkpoint of {size} after one of {}",
                frontier.size()
            ));
        }
        while frontier.size() < size {
            let digest = rest.next().ok_or("fewer entries than a checkpoint says")?;
            frontier.append(Hash::of_receipt(digest)).unwrap();
        }
        if frontier.root() != *root {
            return Err(format!("the checkpoint of {size} is not of these entries"));
        }
    }
    Ok(())
}

/// Whatever a published checkpoint covers can be asked for.
fn files_of_each(
    disc: &Disc<'_>,
    checkpoints: &[SignedCheckpoint],
    entries: &[ReceiptDigest],
) -> Result<(), String> {
    let leaves = entry::leaves(entries);
    let mut old = 0;
    for checkpoint in checkpoints {
        let size = checkpoint.unverified().size();
        for id in TileId::added(old, size) {
            let bytes = disc.part(&id.path(), &id.full().path(), usize::from(id.width()) * 32)?;
            let tile = Tile::decode(id, bytes).map_err(|e| format!("{e:?}"))?;
            if id.level() == 0 {
                let first = usize::try_from(id.index() * 256).unwrap();
                if tile.hashes() != &leaves[first..first + usize::from(id.width())] {
                    return Err(format!("`{id}` is not of these entries"));
                }
            }
        }
        for id in EntriesId::added(old, size) {
            let first = usize::try_from(id.tile().index() * 256).unwrap();
            let expected = entry::encode(&entries[first..first + usize::from(id.tile().width())]);
            if disc.part(&id.path(), &id.full().path(), expected.len())? != expected {
                return Err(format!("`{}` is not of these entries", id.path()));
            }
        }
        old = size;
    }
    Ok(())
}

fn times_never_go_back(disc: &Disc<'_>, count: usize) -> Result<(), String> {
    let mut last = 0;
    for number in 1..=u64::try_from(count).unwrap() {
        let bytes = disc.get(&numbered(Kind::Record, number))?;
        let record = Record::decode(bytes).map_err(|e| format!("{e:?}"))?;
        if record.time_ms < last {
            return Err(format!(
                "record {number} is of {} after {last}",
                record.time_ms
            ));
        }
        last = record.time_ms;
    }
    Ok(())
}
