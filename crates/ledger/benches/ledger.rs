//! How many digests a second a log takes, how long one waits, and what a proof costs; in a folder, flushed, with SQLite.
//!
//! ```text
//! cargo bench -p credence-ledger -- append 1000000     as fast as it goes, from empty
//! cargo bench -p credence-ledger -- latency 5000 10    so many a second, for so many seconds
//! cargo bench -p credence-ledger -- large 100000000 20000 10
//!                                                      a log of that size, synthesised, with a real index: proofs of random entries, a
//!                                                      bundle with three cosignatures verified, appends at that rate and as fast as it goes
//! ```
//!
//! The variable `CREDENCE_BENCH_FOLDER` names the disk. Without arguments it does a little of each. `cargo xtask bench log` writes what it says of
//! three sizes into `docs/performance.md`.
//!
//! The large log repeats one entry but where proofs are looked up, so that only those tiles that are read need be written: the right edge,
//! and the paths of those positions. Its index is real: so many rows, all different, with those of the proved entries among them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that fails may say so and end, and its output is lines"
)]

use std::collections::BTreeMap;
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
use credence_log::{Algorithm, Checkpoint, Frontier, KeyName, LogPolicy, Signer, cosignature};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::index::{Index as _, SqliteIndex};
use credence_store::objects::{FolderObjects, Object, ObjectName, Objects as _};
use credence_testkit::kill::Dice;
use credence_verify::{Facts, LogDemand, Policy, check};

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
        (Some("large"), Some(size), rate) => {
            large(size, rate.unwrap_or(20_000), number(3).unwrap_or(10));
        }
        (None, _, _) => {
            append(10_000);
            latency(1000, 2);
            large(10_000, 5000, 2);
        }
        _ => say("expected: append COUNT | latency RATE SECONDS | large SIZE RATE SECONDS"),
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

/// What stands where in the log of one size: every digest of the index at its position, in the tree only those that are looked up.
struct Made {
    size: u64,
    /// Positions whose leaves are those of the index's digests; all others hold one entry that is repeated.
    real: BTreeMap<u64, ReceiptDigest>,
    /// The hash of a full subtree of repeated entries, by its height.
    repeated: Vec<Hash>,
}

fn repeated() -> ReceiptDigest {
    ReceiptDigest::from_bytes([0x5a; 32])
}

/// The digest at a position: ascending over the whole range of keys, with random ends, so that an index is quickly filled and is met all over.
fn row(number: u64, size: u64) -> ReceiptDigest {
    let mut bytes = *digest(number).as_bytes();
    let place = u128::from(number) * (1 << 64) / u128::from(size);
    bytes[..8].copy_from_slice(&u64::try_from(place).unwrap().to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

impl Made {
    fn new(size: u64, real: BTreeMap<u64, ReceiptDigest>) -> Self {
        let mut repeated_hashes = vec![Hash::of_receipt(&repeated())];
        for _ in 0..63 {
            let last = *repeated_hashes.last().unwrap();
            repeated_hashes.push(Hash::of_node(&last, &last));
        }
        Self {
            size,
            real,
            repeated: repeated_hashes,
        }
    }

    /// The hash of the full subtree of this height, the so manieth of them.
    fn node(&self, height: u32, index: u64) -> Hash {
        let first = index << height;
        if self
            .real
            .range(first..first + (1 << height))
            .next()
            .is_none()
        {
            return self.repeated[usize::try_from(height).unwrap()];
        }
        if height == 0 {
            return Hash::of_receipt(&self.real[&index]);
        }
        let (left, right) = (
            self.node(height - 1, 2 * index),
            self.node(height - 1, 2 * index + 1),
        );
        Hash::of_node(&left, &right)
    }

    fn tile(&self, id: TileId) -> Object {
        let height = 8 * u32::from(id.level());
        let hashes = (0..u64::from(id.width())).map(|at| self.node(height, id.index() * 256 + at));
        Object {
            name: ObjectName::new(id.path()).unwrap(),
            bytes: hashes.flat_map(|hash| *hash.as_bytes()).collect(),
        }
    }

    fn root(&self) -> Hash {
        let (mut peaks, mut first) = (Vec::new(), 0);
        for bit in (0..63u32).rev() {
            if self.size >> bit & 1 == 1 {
                peaks.push(self.node(bit, first >> bit));
                first += 1 << bit;
            }
        }
        Frontier::from_peaks(self.size, peaks).unwrap().root()
    }
}

/// Proofs that are looked up, at random positions.
const LOOKED_UP: u64 = 400;

fn large(size: u64, rate: u64, seconds: u64) {
    let folder = folder();
    let begun = Instant::now();
    let bundle = credence_testkit::samples::bundle();
    // One of the rows is the receipt of a bundle.
    let receipt_at = size / 3;
    let index = fill(
        &folder.path().join("index.sqlite"),
        size,
        (receipt_at, bundle.receipt().digest()),
    );
    say(&format!(
        "ledger::fill/rows={size}: {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    let mut dice = Dice::new(size);
    let mut real: BTreeMap<u64, ReceiptDigest> = (0..LOOKED_UP)
        .map(|_| dice.below(size))
        .chain([size - 1])
        .map(|position| (position, row(position, size)))
        .collect();
    real.insert(receipt_at, bundle.receipt().digest());
    let made = Made::new(size, real);
    let objects = FolderObjects::open(
        folder.path().join("log"),
        credence_store::file::Access::Public,
    )
    .unwrap();
    synthesise(&objects, &made);
    let options = Options {
        signer: signer(),
        limits: LIMITS,
        objects: Arc::new(objects),
        index: Arc::new(index),
        head: Arc::new(MemoryHead::default()),
        folder: None,
    };
    let ledger = Ledger::open(options, schedule()).unwrap();
    prove(&ledger, &made);
    verify(&ledger, bundle, size);
    let count = rate * seconds;
    let begun = Instant::now();
    let due =
        |number: u64| Some(begun + Duration::from_nanos((number - size) * 1_000_000_000 / rate));
    let waits = load(&ledger, size..size + count, due);
    report(
        &format!("ledger::append/entries={size},rate={rate}"),
        count,
        begun.elapsed(),
        &waits,
    );
    let count = 10 * seconds * 2000;
    let begun = Instant::now();
    let waits = load(&ledger, size + (1 << 40)..size + (1 << 40) + count, |_| {
        None
    });
    report(
        &format!("ledger::append/entries={size},rate=most"),
        count,
        begun.elapsed(),
        &waits,
    );
}

/// A proof of each digest that is looked up, from the index to the last hash.
fn prove(ledger: &Ledger, made: &Made) {
    let mut times = Vec::new();
    for digest in made.real.values() {
        let begun = Instant::now();
        ledger.proof(*digest).unwrap().unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    let [p50, p99] = [5000, 9900].map(|h| percentile(&times, h));
    let size = made.size;
    say(&format!(
        "ledger::proof/entries={size}: median {p50:.3} ms, p99 {p99:.3} ms"
    ));
}

/// What a client does with a bundle that has a proof in this log under three cosignatures: everything, from its bytes.
fn verify(ledger: &Ledger, bundle: Bundle, size: u64) {
    let digest = bundle.receipt().digest();
    let mut checkpoint = ledger.published().unwrap().checkpoint.clone();
    let now = 1_800_000_000;
    let witnesses: Vec<Signer> = (1..=3u8)
        .map(|at| {
            let name = KeyName::new(&format!("w{at}.example")).unwrap();
            let key = SigningKey::from_seed(&[at; 32]);
            Signer::new(name, Algorithm::CosignatureV1, key)
        })
        .collect();
    let plain = checkpoint.clone();
    for witness in &witnesses {
        let line = cosignature::cosign(&plain, now, witness).unwrap();
        checkpoint.note_mut().add(line).unwrap();
    }
    let proof = ledger.proof_under(digest, &checkpoint).unwrap().unwrap();
    let hashes = proof
        .encode()
        .lines()
        .skip(2)
        .take_while(|line| !line.is_empty())
        .count();
    let bytes = bundle.with_log(proof.encode()).unwrap().encode().unwrap();
    let keys = witnesses.iter().map(|witness| witness.verifier().clone());
    let policy = Policy {
        log: Some(LogDemand {
            policy: LogPolicy::new(vec![signer().verifier().clone()], keys.collect(), 3).unwrap(),
            required: true,
        }),
        ..Policy::signature_only()
    };
    let facts = Facts::at(now);
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let begun = Instant::now();
            let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap();
            check(&bundle, &policy, &[], &facts).unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    let [p50, p99] = [5000, 9900].map(|h| percentile(&times, h));
    say(&format!(
        "ledger::verify/entries={size},hashes={hashes},cosignatures=3: median {p50:.3} ms, p99 {p99:.3} ms"
    ));
}

/// So many rows. They go in sorted, which random ones that come one after the other do not: filling is not what is measured.
fn fill(path: &Path, size: u64, (at, digest): (u64, ReceiptDigest)) -> SqliteIndex {
    let index = SqliteIndex::open(path.to_owned()).unwrap();
    let part = 1_000_000;
    let mut start = 0;
    while start < size {
        let end = (start + part).min(size);
        let rows: Vec<ReceiptDigest> = (start..end)
            .map(|number| {
                if number == at {
                    digest
                } else {
                    row(number, size)
                }
            })
            .collect();
        index.extend(start, &rows).unwrap();
        start = end;
    }
    index
}

/// The files of the log, as far as they are read here.
fn synthesise(objects: &FolderObjects, made: &Made) {
    let size = made.size;
    let mut all: BTreeMap<String, Object> = BTreeMap::new();
    let mut add = |object: Object| drop(all.insert(object.name.to_string(), object));
    for id in TileId::right_edge(size) {
        add(made.tile(id));
    }
    for position in made.real.keys() {
        let mut index = *position;
        for level in 0..8 {
            index /= 256;
            if let Some(id) = TileId::in_tree(level, index, size) {
                add(made.tile(id));
            }
        }
    }
    let last = EntriesId::in_tree((size - 1) / 256, size).unwrap();
    let first = last.tile().index() * 256;
    let entries: Vec<ReceiptDigest> = (first..first + u64::from(last.tile().width()))
        .map(|at| made.real.get(&at).copied().unwrap_or_else(repeated))
        .collect();
    add(Object {
        name: ObjectName::new(last.path()).unwrap(),
        bytes: entry::encode(&entries),
    });
    let signer = signer();
    let checkpoint = Checkpoint::new(signer.verifier().name(), size, made.root()).unwrap();
    let signed = checkpoint.clone().sign(&signer).unwrap();
    add(Object {
        name: ObjectName::new(numbered(Kind::Checkpoint, 1)).unwrap(),
        bytes: signed.encode().into_bytes(),
    });
    let record = Record {
        number: 1,
        time_ms: 1,
        start: size - 1,
        digests: vec![row(size - 1, size)],
        checkpoint,
    };
    add(Object {
        name: ObjectName::new(numbered(Kind::Record, 1)).unwrap(),
        bytes: record.encode().unwrap(),
    });
    let all: Vec<Object> = all.into_values().collect();
    objects.create(&all).unwrap();
}
