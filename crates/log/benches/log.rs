//! How long a proof that travels takes to verify, and an entry to append.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::cosignature::cosign;
use credence_log::proof::{Plan, TileSet};
use credence_log::{
    Algorithm, Checkpoint, Clock, Edge, Frontier, Hash, KeyName, LogPolicy, LogProof, Signer,
};
use criterion::{Criterion, criterion_group, criterion_main};

const NOW: u64 = 1_800_000_000;

fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
    let name = KeyName::new(name).unwrap();
    Signer::new(name, algorithm, SigningKey::from_seed(&[seed; 32]))
}

fn entry(at: u64) -> ReceiptDigest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&at.to_le_bytes());
    ReceiptDigest::from_bytes(bytes)
}

/// A proof in a log of 100,000 entries, with three cosignatures.
fn proof() -> (String, LogPolicy) {
    let log = signer("log.example", Algorithm::Ed25519, 1);
    let witnesses =
        [1, 2, 3].map(|at| signer(&format!("w{at}.example"), Algorithm::CosignatureV1, 10 + at));
    let (mut edge, mut tiles) = (Edge::new(), TileSet::new());
    for at in 0..100_000 {
        edge.append(Hash::of_receipt(&entry(at))).unwrap();
    }
    tiles.extend(edge.take_tiles());
    let head = Checkpoint::new(log.verifier().name(), edge.size(), edge.root()).unwrap();
    let mut signed = head.sign(&log).unwrap();
    for witness in &witnesses {
        let line = cosign(&signed, NOW, witness).unwrap();
        signed.note_mut().add(line).unwrap();
    }
    let hashes = Plan::inclusion(77_777, edge.size())
        .unwrap()
        .make(&tiles)
        .unwrap();
    let keys = witnesses.map(|witness| witness.verifier().clone());
    let policy = LogPolicy::new(vec![log.verifier().clone()], keys.to_vec(), 3).unwrap();
    let proof = LogProof::new(77_777, hashes, signed).unwrap();
    (proof.encode(), policy)
}

fn log(c: &mut Criterion) {
    let (text, policy) = proof();
    let clock = Clock {
        now_unix_s: NOW,
        skew_max_s: 0,
    };
    c.bench_function("log_proof::verify/entries=100000/cosignatures=3", |b| {
        b.iter(|| {
            let read = LogProof::parse(black_box(text.as_bytes())).unwrap();
            read.verify(&entry(77_777), &policy, clock).unwrap()
        });
    });
    let mut frontier = Frontier::new();
    c.bench_function("frontier::append", |b| {
        b.iter(|| {
            frontier
                .append(Hash::of_receipt(&entry(frontier.size())))
                .unwrap()
        });
    });
    let mut edge = Edge::new();
    c.bench_function("edge::append", |b| {
        b.iter(|| {
            let at = edge.append(Hash::of_receipt(&entry(edge.size()))).unwrap();
            if at % 256 == 255 {
                black_box(edge.take_tiles());
            }
        });
    });
}

criterion_group!(benches, log);
criterion_main!(benches);
