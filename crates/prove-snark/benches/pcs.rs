//! What a polynomial commitment costs: time to commit, open and verify, and bytes of proof, for 2^12 to 2^22 values.
//!
//! `cargo bench -p credence-prove-snark --bench pcs`; with numbers behind `--`, those sizes alone. Each time is the least of several runs. Work is counted over all rounds: butterflies of the transforms (a product and
//! two sums of F each) and bytes hashed in leaves and nodes. Memory is what `memory_bytes` says, and what the process had at its peak so far, from `/proc` where there is one: of one size alone it is that size's, with a
//! second copy of the values that the benchmark keeps.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::time::Instant;

use credence_method_snark::pcs::{Params, Security, soundness, verify};
use credence_method_snark::{F, K, Reader, Transcript};
use credence_prove_snark::pcs::{commit, memory_bytes};

fn main() {
    let sizes: Vec<u32> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![12, 14, 16, 18, 20, 22]
    } else {
        sizes
    };
    println!("threads {}", rayon::current_num_threads());
    println!(
        "log2  security  commit ms  open ms  verify ms  proof bytes  bits (without work)  M butterflies  MB hashed  MB said  MB peak"
    );
    for log_len in sizes {
        for security in [Security::Bits100, Security::Bits128] {
            measure(&Params::new(log_len, security).unwrap());
        }
    }
}

fn measure(params: &Params) {
    let log_len = params.log_len();
    let values: Vec<F> = (0..1u64 << log_len)
        .map(|i| F::from_u64(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let point: Vec<K> = (0..log_len)
        .map(|i| K::from(i + 7) * K::new([F::TWO; 3]))
        .collect();
    let runs = if log_len > 20 { 3 } else { 7 };
    let (mut commit_ms, mut open_ms, mut verify_ms) = (f64::MAX, f64::MAX, f64::MAX);
    let mut proof_bytes = 0;
    for _ in 0..runs {
        let values = values.clone();
        let start = Instant::now();
        let committed = commit(params, values).unwrap();
        commit_ms = commit_ms.min(start.elapsed().as_secs_f64() * 1e3);
        let value = committed.evaluate(&point).unwrap();
        let mut proof = Vec::new();
        let start = Instant::now();
        committed.open(&point, value, &mut Transcript::new("bench"), &mut proof);
        open_ms = open_ms.min(start.elapsed().as_secs_f64() * 1e3);
        let commitment = committed.commitment();
        for _ in 0..5 {
            let start = Instant::now();
            let mut transcript = Transcript::new("bench");
            let mut reader = Reader::new(&proof);
            verify(
                params,
                &commitment,
                &point,
                value,
                &mut reader,
                &mut transcript,
            )
            .unwrap();
            verify_ms = verify_ms.min(start.elapsed().as_secs_f64() * 1e3);
        }
        proof_bytes = proof.len();
    }
    let total = soundness::total(params).floor();
    let idle = soundness::total_without_work(params).floor();
    let (butterflies, hashed) = work(params);
    let said = (memory_bytes(params) + (8 << log_len)) / 1_000_000;
    let peak = peak_kb().map_or_else(String::new, |kb| (kb * 1_024 / 1_000_000).to_string());
    println!(
        "{log_len:>4}  {:>8}  {commit_ms:>9.2}  {open_ms:>7.2}  {verify_ms:>9.3}  {proof_bytes:>11}  {total:>4} ({idle:>3})           {:>14.1}  {:>9.1}  {said:>7}  {peak:>7}",
        params.security().bits(),
        butterflies / 1e6,
        hashed / 1e6,
    );
}

/// Butterflies and bytes hashed.
fn work(params: &Params) -> (f64, f64) {
    let (mut butterflies, mut hashed) = (0.0, 0.0);
    for round in params.rounds() {
        let leaves = f64::from(round.log_leaves()).exp2();
        let words = leaves * f64::from(u32::try_from(round.leaf_bytes()).unwrap()) / 8.0;
        butterflies += words * f64::from(round.variables_left()) / 2.0;
        hashed += words * 8.0 + leaves * 64.0;
    }
    (butterflies, hashed)
}

fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
