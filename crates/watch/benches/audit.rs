//! How fast a log is audited, from memory: entries a second.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark says what is wrong by failing"
)]

use std::collections::BTreeMap;

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::entry::{self, EntriesId};
use credence_log::{Algorithm, Checkpoint, Edge, Hash, KeyName, Signer};
use credence_watch::source::SourceError;
use credence_watch::{LogFile, LogSource, audit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ENTRIES: u64 = 1 << 18;

struct Memory(BTreeMap<String, Vec<u8>>);

impl LogSource for Memory {
    fn read(&self, file: LogFile) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.0.get(&file.path()).cloned())
    }
}

fn audits(criterion: &mut Criterion) {
    let name = KeyName::new("log.example").unwrap();
    let signer = Signer::new(name, Algorithm::Ed25519, SigningKey::from_seed(&[1; 32]));
    let mut files = BTreeMap::new();
    let mut edge = Edge::new();
    let entries: Vec<ReceiptDigest> = (0..ENTRIES)
        .map(|at| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&at.to_le_bytes());
            ReceiptDigest::from_bytes(bytes)
        })
        .collect();
    for (bundle, entries) in (0u64..).zip(entries.chunks(256)) {
        let id = EntriesId::in_tree(bundle, ENTRIES).unwrap();
        files.insert(id.path(), entry::encode(entries));
        for entry in entries {
            edge.append(Hash::of_receipt(entry)).unwrap();
        }
    }
    for tile in edge.take_tiles() {
        files.insert(tile.id().path(), tile.encode());
    }
    let checkpoint = Checkpoint::new(signer.verifier().name(), ENTRIES, edge.root()).unwrap();
    let signed = checkpoint.sign(&signer).unwrap();
    files.insert("checkpoint".to_owned(), signed.encode().into_bytes());
    let memory = Memory(files);
    let mut group = criterion.benchmark_group("audit");
    group.throughput(Throughput::Elements(ENTRIES));
    group.sample_size(10);
    group.bench_function("audit::audit/entries=262144", |bencher| {
        bencher.iter(|| audit(&memory, signer.verifier(), |_| true).unwrap());
    });
    group.finish();
}

criterion_group!(benches, audits);
criterion_main!(benches);
