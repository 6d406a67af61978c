//! What a polynomial commitment costs: time to commit, open and verify, and bytes of proof, for 2^12 to 2^22 values.
//!
//! `cargo bench -p credence-prove-snark --bench pcs`; with numbers behind `--`, those sizes alone. Each time is the least of several runs.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails stops")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::time::Instant;

use credence_method_snark::pcs::{Params, Security, soundness, verify};
use credence_method_snark::{F, K, Reader, Transcript};
use credence_prove_snark::pcs::commit;

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
    println!("log2  security  commit ms  open ms  verify ms  proof bytes  bits (without work)");
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
    println!(
        "{log_len:>4}  {:>8}  {commit_ms:>9.2}  {open_ms:>7.2}  {verify_ms:>9.3}  {proof_bytes:>11}  {total} ({idle})",
        params.security().bits(),
    );
}
