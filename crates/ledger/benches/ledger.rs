//! How many digests a second a log takes, how long one waits, and what a proof costs; in a folder, flushed, with SQLite.
//!
//! ```text
//! cargo bench -p credence-ledger -- append 1000000     as fast as it goes, from empty
//! cargo bench -p credence-ledger -- latency 5000 10    so many a second, for so many seconds
//! cargo bench -p credence-ledger -- large 100000000    a log of that size, synthesised, with a real index: proofs, appends
//! ```
//!
//! The variable `CREDENCE_BENCH_FOLDER` names the disk. Without arguments it does a little of each.
//!
//! The large log repeats one entry, so that all full tiles of a level are the same and only those that are read need be
//! written: the right edge, and the paths of the positions that are proved. Its index is real: so many rows, all different.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that fails may say so and end, and its output is lines"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use credence_base::{ReceiptDigest, SigningKey};
use credence_ledger::{
    Driver, Ledger, LedgerError, MemoryHead, Options, Pending, Schedule, open_folder,
};
use credence_log::entry::{self, EntriesId};
use credence_log::hash::Hash;
use credence_log::sequencer::{Kind, Limits, Record, SequencerError, numbered};
use credence_log::tile::TileId;
use credence_log::{Algorithm, Checkpoint, Frontier, KeyName, Signer};
use credence_store::index::{Index, IndexError, Known, SqliteIndex};
use credence_store::objects::{FolderObjects, Object, ObjectName, Objects as _};

const LIMITS: Limits = Limits {
    pool_max: 65_536,
    batch_max: 65_536,
};

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<u64>().unwrap());
    match (arguments.first().map(String::as_str), number(1), number(2)) {
        (Some("append"), Some(count), _) => append(count),
        (Some("latency"), Some(rate), Some(seconds)) => latency(rate, seconds),
        (Some("large"), Some(size), _) => large(size),
        (None, _, _) => {
            append(10_000);
            latency(1000, 2);
            large(300_000);
        }
        _ => say("expected: append COUNT | latency RATE SECONDS | large SIZE"),
    }
}

fn say(line: &str) {
    println!("{line}");
}

fn signer() -> Arc<Signer> {
    let name = KeyName::new("example.org/bench").unwrap();
    Arc::new(Signer::new(
        name,
        Algorithm::Ed25519,
        SigningKey::from_seed(&[7; 32]),
    ))
}

fn digest(number: u64) -> ReceiptDigest {
    // SplitMix64: digests are random, and so are the pages of the index that they fall on.
    let mut bytes = [0; 32];
    for (at, part) in bytes.chunks_mut(8).enumerate() {
        let mut z = number
            .wrapping_mul(4)
            .wrapping_add(u64::try_from(at).unwrap() + 1);
        z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes());
    }
    ReceiptDigest::from_bytes(bytes)
}

fn folder() -> tempfile::TempDir {
    let disk =
        std::env::var_os("CREDENCE_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(disk).unwrap()
}

fn schedule() -> Schedule {
    Schedule::new(Box::new(|error: &LedgerError| panic!("{error:?}")))
}

/// Appends, and gives back how long each waited, sorted. `pause` says when the next may come.
fn load(
    ledger: &Ledger,
    numbers: std::ops::Range<u64>,
    pause: impl Fn(u64) -> Option<Instant>,
) -> Vec<Duration> {
    let (tell, hear) = sync_channel::<(Instant, Pending)>(200_000);
    let waits = std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let waits = hear.iter().map(|(begun, pending)| {
                pending.wait().unwrap();
                begun.elapsed()
            });
            waits.collect::<Vec<_>>()
        });
        for number in numbers {
            if let Some(due) = pause(number) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let begun = Instant::now();
            let pending = loop {
                match ledger.append(digest(number)) {
                    Ok(pending) => break pending,
                    Err(SequencerError::Full { .. }) => {
                        std::thread::sleep(Duration::from_millis(1))
                    }
                    Err(error) => panic!("{error:?}"),
                }
            };
            tell.send((begun, pending)).unwrap();
        }
        drop(tell);
        waiter.join().unwrap()
    });
    let mut waits = waits;
    waits.sort();
    waits
}

fn percentile(sorted: &[Duration], hundredths: usize) -> f64 {
    let at = (sorted.len() * hundredths / 10_000).min(sorted.len() - 1);
    sorted[at].as_secs_f64() * 1000.0
}

fn report(name: &str, count: u64, took: Duration, waits: &[Duration]) {
    let rate = f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64();
    let [p50, p99, max] = [5000, 9900, 10_000].map(|h| percentile(waits, h));
    say(&format!(
        "{name}: {rate:.0}/s; append to durable checkpoint: median {p50:.0} ms, p99 {p99:.0} ms, longest {max:.0} ms"
    ));
}

fn append(count: u64) {
    let folder = folder();
    let options = open_folder(folder.path(), signer(), LIMITS).unwrap();
    let ledger = Ledger::open(options, schedule()).unwrap();
    let begun = Instant::now();
    let waits = load(&ledger, 0..count, |_| None);
    report(
        &format!("ledger::append/entries={count}"),
        count,
        begun.elapsed(),
        &waits,
    );
    let proofs = Instant::now();
    for number in (0..count).step_by(usize::try_from(count / 100).unwrap()) {
        ledger.proof(digest(number)).unwrap().unwrap();
    }
    say(&format!(
        "ledger::proof/entries={count}: {:.3} ms",
        proofs.elapsed().as_secs_f64() * 10.0
    ));
    let begun = Instant::now();
    ledger.close().unwrap();
    drop(
        open_folder(folder.path(), signer(), LIMITS)
            .map(Driver::open)
            .unwrap()
            .unwrap(),
    );
    say(&format!(
        "ledger::recover/entries={count}: {:.1} ms",
        begun.elapsed().as_secs_f64() * 1000.0
    ));
}

fn latency(rate: u64, seconds: u64) {
    let folder = folder();
    let options = open_folder(folder.path(), signer(), LIMITS).unwrap();
    let ledger = Ledger::open(options, schedule()).unwrap();
    let begun = Instant::now();
    let due = |number: u64| Some(begun + Duration::from_nanos(number * 1_000_000_000 / rate));
    let waits = load(&ledger, 0..rate * seconds, due);
    report(
        &format!("ledger::latency/rate={rate}"),
        rate * seconds,
        begun.elapsed(),
        &waits,
    );
}

/// An index in which one digest stands wherever the benchmark says, and all others really.
struct Pointing {
    inner: SqliteIndex,
    size: u64,
    at: std::sync::atomic::AtomicU64,
}

fn repeated() -> ReceiptDigest {
    ReceiptDigest::from_bytes([0x5a; 32])
}

impl Index for Pointing {
    fn count(&self) -> Result<u64, IndexError> {
        self.inner.count()
    }

    fn positions(&self, digests: &[ReceiptDigest]) -> Result<Known, IndexError> {
        let mut known = self.inner.positions(digests)?;
        for (digest, position) in digests.iter().zip(&mut known.positions) {
            if *digest == repeated() {
                // The last entry of the published log when it is opened, then what is proved.
                *position = Some(self.at.load(std::sync::atomic::Ordering::Relaxed));
            }
        }
        Ok(known)
    }

    fn extend(&self, start: u64, digests: &[ReceiptDigest]) -> Result<(), IndexError> {
        self.inner.extend(start, digests)
    }

    fn clear(&self) -> Result<(), IndexError> {
        panic!("an index of {} rows would be thrown away", self.size)
    }
}

fn large(size: u64) {
    let folder = folder();
    let begun = Instant::now();
    let index = fill(&folder.path().join("index.sqlite"), size);
    say(&format!(
        "ledger::fill/rows={size}: {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    let objects = FolderObjects::open(
        folder.path().join("log"),
        credence_store::file::Access::Public,
    )
    .unwrap();
    let positions: Vec<u64> = (0..200).map(|i| size / 200 * i + i % 7).collect();
    synthesise(&objects, size, &positions);
    let pointing = Arc::new(Pointing {
        inner: index,
        size,
        at: (size - 1).into(),
    });
    let options = Options {
        signer: signer(),
        limits: LIMITS,
        objects: Arc::new(objects),
        index: pointing.clone(),
        head: Arc::new(MemoryHead::default()),
        folder: None,
    };
    let ledger = Ledger::open(options, schedule()).unwrap();
    let mut times = Vec::new();
    for position in &positions {
        pointing
            .at
            .store(*position, std::sync::atomic::Ordering::Relaxed);
        let begun = Instant::now();
        ledger.proof(repeated()).unwrap().unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    let [p50, p99] = [5000, 9900].map(|h| percentile(&times, h));
    say(&format!(
        "ledger::proof/entries={size}: median {p50:.2} ms, p99 {p99:.2} ms"
    ));
    let count = 200_000;
    let begun = Instant::now();
    let waits = load(&ledger, size..size + count, |_| None);
    report(
        &format!("ledger::append/entries={size}+{count}"),
        count,
        begun.elapsed(),
        &waits,
    );
}

/// So many rows. They go in sorted, which random ones that come one after the other do not: filling is not what is measured.
fn fill(path: &Path, size: u64) -> SqliteIndex {
    let index = SqliteIndex::open(path.to_owned()).unwrap();
    let part = 1_000_000;
    let mut start = 0;
    while start < size {
        let end = (start + part).min(size);
        // Ascending over the whole range of keys, with random ends.
        let rows: Vec<ReceiptDigest> = (start..end)
            .map(|number| {
                let mut bytes = *digest(number).as_bytes();
                let place = u128::from(number) * (1 << 64) / u128::from(size);
                bytes[..8].copy_from_slice(&u64::try_from(place).unwrap().to_be_bytes());
                ReceiptDigest::from_bytes(bytes)
            })
            .collect();
        index.extend(start, &rows).unwrap();
        start = end;
    }
    index
}

/// The files of a log that holds one entry so many times, as far as they are read here.
fn synthesise(objects: &FolderObjects, size: u64, positions: &[u64]) {
    // What every hash of a level of the tiles is.
    let mut level = Hash::of_receipt(&repeated());
    let mut levels = Vec::new();
    for _ in 0..8 {
        levels.push(level);
        for _ in 0..8 {
            level = Hash::of_node(&level, &level);
        }
    }
    let tile = |id: TileId| {
        let hash = levels[usize::from(id.level())];
        Object {
            name: ObjectName::new(id.path()).unwrap(),
            bytes: hash.as_bytes().repeat(usize::from(id.width())),
        }
    };
    let mut all: std::collections::BTreeMap<String, Object> = std::collections::BTreeMap::new();
    let mut add = |object: Object| drop(all.insert(object.name.to_string(), object));
    for id in TileId::right_edge(size) {
        add(tile(id));
    }
    for position in positions.iter().chain(&[size - 1]) {
        let mut index = *position;
        for level in 0..8 {
            index /= 256;
            if let Some(id) = TileId::in_tree(level, index, size) {
                add(tile(id));
            }
        }
    }
    let last = EntriesId::in_tree((size - 1) / 256, size).unwrap();
    let entries = vec![repeated(); usize::from(last.tile().width())];
    add(Object {
        name: ObjectName::new(last.path()).unwrap(),
        bytes: entry::encode(&entries),
    });
    // The peaks of the tree: one for each bit of its size.
    let mut peaks = Vec::new();
    let mut hash = Hash::of_receipt(&repeated());
    for bit in 0..63 {
        if size >> bit & 1 == 1 {
            peaks.insert(0, hash);
        }
        hash = Hash::of_node(&hash, &hash);
    }
    let root = Frontier::from_peaks(size, peaks).unwrap().root();
    let signer = signer();
    let checkpoint = Checkpoint::new(signer.verifier().name(), size, root).unwrap();
    let signed = checkpoint.clone().sign(&signer).unwrap();
    add(Object {
        name: ObjectName::new(numbered(Kind::Checkpoint, 1)).unwrap(),
        bytes: signed.encode().into_bytes(),
    });
    let record = Record {
        number: 1,
        time_ms: 1,
        start: size - 1,
        digests: vec![repeated()],
        checkpoint,
    };
    add(Object {
        name: ObjectName::new(numbered(Kind::Record, 1)).unwrap(),
        bytes: record.encode().unwrap(),
    });
    let all: Vec<Object> = all.into_values().collect();
    objects.create(&all).unwrap();
}
