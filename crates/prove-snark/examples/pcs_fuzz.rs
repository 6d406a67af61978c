//! Changes proofs of openings at random and checks that each is refused: `cargo run --release -p credence-prove-snark --example pcs_fuzz -- [executions] [seed]`.
//!
//! Each execution takes an honest proof of one of five sizes and changes it once to four times: a bit, a byte, a run of bytes from elsewhere in it or in another proof, a number of eight bytes at one of the field's edges,
//! an exchange of two runs, a cut, or bytes added. Whatever differs from the honest proof must be refused; a panic ends the program. Same seed, same executions.
#![expect(
    clippy::unwrap_used,
    reason = "a program for developers that stops when something fails"
)]
#![expect(clippy::print_stdout, reason = "it says what it found")]
#![expect(clippy::panic, reason = "an accepted change must not go unseen")]

use std::collections::BTreeMap;

use credence_method_snark::field::MODULUS;
use credence_method_snark::pcs::{Commitment, Params, Security, verify};
use credence_method_snark::{F, K, Reader, Transcript};
use credence_prove_snark::pcs::commit;

struct Case {
    params: Params,
    commitment: Commitment,
    point: Vec<K>,
    value: K,
    proof: Vec<u8>,
}

/// Marsaglia's xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().unwrap());
    let executions: u64 = args.next().unwrap_or(1_000_000);
    let seed: u64 = args.next().unwrap_or(1);
    let cases: Vec<Case> = [0, 4, 12, 13, 16].map(honest).into();
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    for execution in 0..executions {
        let number = random.below(cases.len());
        let mut proof = cases[number].proof.clone();
        for _ in 0..=random.below(4) {
            change(&mut proof, &cases, &mut random);
        }
        if proof == cases[number].proof {
            continue;
        }
        match check(&cases[number], &proof) {
            Ok(()) => panic!("execution {execution} was accepted"),
            Err(reason) => *refusals.entry(reason).or_default() += 1,
        }
    }
    println!("{executions} executions from seed {seed}, none accepted");
    for (reason, count) in refusals {
        println!("{count:>9}  {reason}");
    }
}

fn honest(log_len: u32) -> Case {
    let params = Params::new(log_len, Security::Bits100).unwrap();
    let number = |i: u64| F::from_u64(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 7));
    let values = (0..1u64 << log_len).map(number).collect();
    let committed = commit(&params, values).unwrap();
    let coordinate = |i: u32| K::new([1, 2, 3].map(|at| number(u64::from(i) * 3 + at)));
    let point: Vec<K> = (0..log_len).map(coordinate).collect();
    let value = committed.evaluate(&point).unwrap();
    let mut proof = Vec::new();
    committed.open(&point, value, &mut Transcript::new("fuzz"), &mut proof);
    let commitment = committed.commitment();
    let case = Case {
        params,
        commitment,
        point,
        value,
        proof,
    };
    check(&case, &case.proof).unwrap();
    case
}

/// The refusal's kind: its debug form without numbers.
fn check(case: &Case, proof: &[u8]) -> Result<(), String> {
    let mut reader = Reader::new(proof);
    let mut transcript = Transcript::new("fuzz");
    let (point, value) = (&case.point, case.value);
    let end = verify(
        &case.params,
        &case.commitment,
        point,
        value,
        &mut reader,
        &mut transcript,
    );
    let kind = |text: String| text.split([' ', '(']).next().unwrap_or_default().to_owned();
    end.map_err(|error| kind(format!("{error:?}")))?;
    reader.finish().map_err(|error| kind(format!("{error:?}")))
}

fn change(proof: &mut Vec<u8>, cases: &[Case], random: &mut Random) {
    let len = proof.len();
    let at = random.below(len);
    let run = 1 + random.below(64);
    match random.below(9) {
        0 | 1 if len > 0 => proof[at] ^= 1 << random.below(8),
        2 if len > 0 => proof[at] = random.next().to_le_bytes()[0],
        3 if len > run => {
            let from = random.below(len - run);
            let to = random.below(len - run);
            proof.copy_within(from..from + run, to);
        }
        4 if len > 8 => {
            let edges = [0, 1, MODULUS - 1, MODULUS, MODULUS + 1, u64::MAX];
            let edge = edges[random.below(edges.len())];
            let start = random.below(len / 8) * 8;
            proof[start..start + 8].copy_from_slice(&edge.to_le_bytes());
        }
        5 if len > 2 * run => {
            let half = len / 2;
            let (left, right) = proof.split_at_mut(half);
            let from = random.below(half - run + 1);
            left[from..from + run].swap_with_slice(&mut right[from..from + run]);
        }
        6 => proof.truncate(at),
        7 => {
            let other = &cases[random.below(cases.len())].proof;
            let from = random.below(other.len());
            let piece = &other[from..(from + run).min(other.len())];
            proof.splice(at..(at + piece.len()).min(len), piece.iter().copied());
        }
        _ => {
            let bytes = random.next().to_le_bytes();
            let count = 1 + random.below(8);
            proof.extend(&bytes[..count]);
        }
    }
}
