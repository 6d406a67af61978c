//! What is measured of a proof, how a child process tells it, what the work takes at least, and the page.
//!
//! It deliberately measures nothing but the rates of this machine and its memory.

pub(crate) mod resident;

use std::time::Instant;

use credence_method_snark::K;
use credence_method_snark::circuit::{Circuit, Rows};
use credence_method_snark::pcs::{Params, Security};
use credence_prove_snark::vector;

/// Products of F in one of K, by Karatsuba.
const PRODUCTS: f64 = 6.0;

/// Memory below which nothing is said of an estimate: threads' own and the allocator's is as much.
const SMALL_BYTES: u64 = 4 << 20;

/// A time in ms: of all threads' processors, and on the wall.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    pub(crate) cpu_ms: f64,
    pub(crate) wall_ms: f64,
}

impl Time {
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms.min(other.cpu_ms),
            wall_ms: self.wall_ms.min(other.wall_ms),
        }
    }

    /// Both, to three digits.
    fn text(self) -> String {
        format!("{} / {}", digits(self.cpu_ms), digits(self.wall_ms))
    }
}

fn digits(ms: f64) -> String {
    let places = if ms < 1.0 { 2 } else { usize::from(ms < 100.0) };
    format!("{ms:.places$}")
}

/// What a child measured.
pub(crate) struct Figures {
    pub(crate) parameters: u64,
    pub(crate) positions: usize,
    pub(crate) leaves_log: u32,
    pub(crate) witness_log: u32,
    pub(crate) bits: u32,
    pub(crate) circuit: Time,
    pub(crate) witness: Time,
    pub(crate) prove: Time,
    pub(crate) verify: Time,
    pub(crate) replay: Time,
    pub(crate) proof: usize,
    pub(crate) said: u64,
    pub(crate) peak: u64,
    pub(crate) multiplications: f64,
    pub(crate) hashed: f64,
}

impl Figures {
    /// All of it on one line.
    pub(crate) fn line(&self) -> String {
        let times = [
            self.circuit,
            self.witness,
            self.prove,
            self.verify,
            self.replay,
        ];
        let times = times.map(|time| format!("{} {}", time.cpu_ms, time.wall_ms));
        format!(
            "{} {} {} {} {} {} {} {} {} {} {}",
            self.parameters,
            self.positions,
            self.leaves_log,
            self.witness_log,
            self.bits,
            times.join(" "),
            self.proof,
            self.said,
            self.peak,
            self.multiplications,
            self.hashed,
        )
    }

    /// Reads it.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut number = || words.next()?.parse::<f64>().ok();
        let mut whole = || number().map(|value| format!("{value:.0}"));
        let parameters = whole()?.parse().ok()?;
        let positions = whole()?.parse().ok()?;
        let leaves_log = whole()?.parse().ok()?;
        let witness_log = whole()?.parse().ok()?;
        let bits = whole()?.parse().ok()?;
        let mut time = || {
            Some(Time {
                cpu_ms: number()?,
                wall_ms: number()?,
            })
        };
        let [circuit, witness] = [time()?, time()?];
        let [prove, verify, replay] = [time()?, time()?, time()?];
        let mut whole = || number().map(|value| format!("{value:.0}"));
        Some(Self {
            parameters,
            positions,
            leaves_log,
            witness_log,
            bits,
            circuit,
            witness,
            prove,
            verify,
            replay,
            proof: whole()?.parse().ok()?,
            said: whole()?.parse().ok()?,
            peak: whole()?.parse().ok()?,
            multiplications: number()?,
            hashed: number()?,
        })
    }

    /// Whether estimate and peak are more than a fifth apart, of a proof that takes enough to say so.
    pub(crate) fn is_apart(&self) -> bool {
        let known = self.peak > 0 && self.said.max(self.peak) > SMALL_BYTES;
        known && (self.said.abs_diff(self.peak)) * 5 > self.peak
    }
}

/// What one thread of this machine does in a second.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    multiplications: f64,
    hashed: f64,
}

impl Rates {
    /// In the prover's own loops: a product of K with a sum, over a table that a cache holds; and BLAKE3.
    pub(crate) fn measured() -> Self {
        const ELEMENTS: usize = 2048;
        const TIMES: u32 = 400;
        let mut values = vec![K::TWO; ELEMENTS];
        let others = vec![K::ONE; ELEMENTS];
        let best = |mut work: Box<dyn FnMut() + '_>| {
            let once = |work: &mut Box<dyn FnMut() + '_>| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64()
            };
            (0..7).map(|_| once(&mut work)).fold(f64::MAX, f64::min)
        };
        let seconds = best(Box::new(|| {
            for _ in 0..TIMES {
                vector::add_scaled(&mut values, K::TWO, &others);
            }
        }));
        let elements = f64::from(TIMES) * wide(ELEMENTS);
        let bytes = vec![7_u8; 4 << 20];
        let hashing = best(Box::new(|| {
            std::hint::black_box(blake3::hash(&bytes));
        }));
        Self {
            multiplications: elements * PRODUCTS / seconds,
            hashed: wide(bytes.len()) / hashing,
        }
    }

    fn floor_ms(self, figures: &Figures) -> f64 {
        let products = figures.multiplications / self.multiplications;
        (products + figures.hashed / self.hashed) * 1e3
    }
}

fn wide(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn terms(rows: &Rows) -> f64 {
    wide(rows.iter().map(<[_]>::len).sum())
}

/// Products of F and bytes hashed that a proof asks for, behind the witness: what each step must multiply, were all else free.
pub(crate) fn work(circuit: &Circuit, params: &Params) -> (f64, f64) {
    let positions = wide(circuit.positions);
    let width = wide(circuit.width());
    let leaves = f64::from(circuit.leaves_log()).exp2();
    let committed = f64::from(circuit.witness_log()).exp2();
    let gates = wide(circuit.gates.a.len()) * width;
    let gate_terms = terms(&circuit.gates.a) + terms(&circuit.gates.b) + terms(&circuit.gates.c);
    let powers = f64::from(circuit.power_max());
    // Leaves: a product for each term, three for each component.
    let mut products = (terms(&circuit.looked_up) + gate_terms) * positions;
    products += wide(circuit.looked_up.len()) * positions * 3.0 * powers;
    // The tree: three products of K a fraction; a round of a layer: six for its sums, four to fold, one for weights.
    products += leaves * (3.0 + 11.0) * PRODUCTS;
    // Four for the sums of a product, three to fold.
    products += gates * 7.0 * PRODUCTS;
    // Weights, sums and folds of the linear claim; its first round is over F.
    products += committed * (3.5 * PRODUCTS + 4.5);
    // The opening: three passes over the values, and the transforms.
    products += committed * 9.0;
    let mut hashed = 0.0;
    for round in params.rounds() {
        let leaves = f64::from(round.log_leaves()).exp2();
        let words = leaves * wide(round.leaf_bytes()) / 8.0;
        products += words * f64::from(round.variables_left()) / 2.0;
        hashed += words * 8.0 + leaves * 64.0;
    }
    (products, hashed)
}

/// The page.
pub(crate) fn page(
    rows: &[(&str, Figures)],
    (security, committed): (Security, bool),
    rates: Rates,
) -> String {
    let mut text = format!(
        "# Performance of succinct proofs\n\n\
        Made by `cargo bench -p credence-prove-snark --bench proofs -- --page`, on programs of random weights in the shapes that provers are compared on. {} bits, {} weights, {} threads. \
        Times are ms of processor time / of wall time, the least of several runs; *circuit* is made once for a model and a batch size, by prover and verifier alike, and *verify* is with the circuit at hand, and reads all weights if they are public. \
        *Replay* is a plain run, what checking costs whoever has the engine. *Peak* is what a proof took from circuit to last byte, by the system, and in brackets the estimate that `--memory` is compared with, both in MB.\n\n\
        The *floor* is the least that the prover's steps could take behind the witness: its products in F, at the rate of this machine's prover in a cache ({:.0} M/s a thread), and the bytes it hashes ({:.1} GB/s). \
        Measured over floor says where to work next.\n\n\
        | workload | parameters | positions | leaves, committed | bits | circuit | witness | prove | verify | replay | proof, bytes | peak (estimate) | products, M | hashed, MB | prove / floor |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        security.bits(),
        if committed { "committed" } else { "public" },
        rayon::current_num_threads(),
        rates.multiplications / 1e6,
        rates.hashed / 1e9,
    );
    let mb = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 976.56;
    for (name, own) in rows {
        text += &format!(
            "| {name} | {} | {} | 2^{}, 2^{} | {} | {} | {} | {} | {} | {} | {} | {:.1} ({:.1}) | {:.1} | {:.1} | {:.1} |\n",
            own.parameters,
            own.positions,
            own.leaves_log,
            own.witness_log,
            own.bits,
            own.circuit.text(),
            own.witness.text(),
            own.prove.text(),
            own.verify.text(),
            own.replay.text(),
            own.proof,
            mb(own.peak),
            mb(own.said),
            own.multiplications / 1e6,
            own.hashed / 1e6,
            own.prove.cpu_ms / rates.floor_ms(own),
        );
    }
    text
}
