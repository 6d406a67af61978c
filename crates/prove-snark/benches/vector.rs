//! Loops over K in vectors against the same with K's operators, on one thread: nanoseconds an element.
//!
//! `cargo bench -p credence-prove-snark --bench vector`. Each is the least of many runs over 2^14 elements, which a core's cache holds.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::time::Instant;

use credence_method_snark::{F, K, mle};
use credence_prove_snark::vector;

const LEN: u32 = 1 << 14;

fn main() {
    if let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        pool.install(measure);
    }
}

fn measure() {
    let table = |seed: u64| -> Vec<K> {
        let word = |i: u64| F::from_u64((i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let element = |i: u64| K::new([word(i), word(i + 1), word(i + 2)]);
        (0..u64::from(LEN)).map(element).collect()
    };
    let [p, q, u, w, rest] = [1, 2, 3, 4, 5].map(table);
    let half = p.len() / 2;
    let rest = &rest[..half];
    let factor = q[0];
    report(
        "fold",
        || {
            let mut values = p.clone();
            mle::fold(&mut values, factor);
            values.len()
        },
        || {
            let mut values = p.clone();
            vector::fold(&mut values, factor);
            values.len()
        },
    );
    report(
        "add_fractions",
        || {
            let sum = |i: usize| (p[i] * q[i + half] + p[i + half] * q[i], q[i] * q[i + half]);
            let sums: (Vec<K>, Vec<K>) = (0..half).map(sum).unzip();
            sums.0.len()
        },
        || vector::add_fractions(&p, &q).0.len(),
    );
    report(
        "fraction_sums",
        || {
            let mut sums = [K::ZERO; 2];
            for i in 0..half {
                let lead = (p[i + half] - p[i]) * (q[i + half] - q[i]);
                let more = (u[i + half] - u[i]) * (w[i + half] - w[i]);
                sums[0] += rest[i] * (p[i] * q[i] + u[i] * w[i]);
                sums[1] += rest[i] * (lead + more);
            }
            usize::from(sums[0] == sums[1])
        },
        || {
            let sums = vector::fraction_sums(&p, &q, (&u, &w), rest);
            usize::from(sums[0] == sums[1])
        },
    );
    report(
        "product_sums",
        || {
            let mut sums = [K::ZERO; 2];
            for i in 0..half {
                sums[0] += p[i] * q[i];
                sums[1] += (p[i + half].double() - p[i]) * (q[i + half].double() - q[i]);
            }
            usize::from(sums[0] == sums[1])
        },
        || {
            let sums = vector::product_sums(&p, &q);
            usize::from(sums[0] == sums[1])
        },
    );
}

fn report(name: &str, plain: impl FnMut() -> usize, vectors: impl FnMut() -> usize) {
    let (plain, vectors) = (least_ns(plain), least_ns(vectors));
    println!("{name:>14}  plain {plain:>5.2} ns  vectors {vectors:>5.2} ns");
}

fn least_ns(mut work: impl FnMut() -> usize) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        black_box(work());
        least = least.min(start.elapsed().as_secs_f64());
    }
    least * 1e9 / f64::from(LEN)
}
