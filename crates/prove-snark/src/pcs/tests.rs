//! Tests of commitment and opening: a second prover, plain and slow, whose bytes the fast one must give, and which can lie.

use credence_base::Digest;
use credence_method_snark::pcs::merkle::TreeHash;
use credence_method_snark::pcs::{Commitment, Params, PcsError, Round, Security, steps, verify};
use credence_method_snark::{F, K, ReadError, Reader, Transcript, mle, sumcheck};

use crate::pcs::{CommitError, commit};

/// One way to cheat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// None.
    Honest,
    /// Commits with another value at the sample point.
    Sample,
    /// Commits to a word of which every second leaf is wrong.
    FarWord,
    /// Goes on with another polynomial behind the first fold.
    OtherFold,
    /// Says another value at the second oracle's sample point.
    OtherSample,
    /// Shows a leaf with another element.
    Leaf,
    /// Shows other leaves than those drawn.
    OtherLeaves,
    /// Shows no work.
    Idle,
    /// Sends another last polynomial, one of which the claim holds.
    Last,
}

struct Slow {
    lie: Lie,
    hash: TreeHash,
}

/// A tree's levels and its leaves' bytes.
struct Shown {
    leaves: Vec<Vec<u8>>,
    levels: Vec<Vec<Digest>>,
}

impl Slow {
    fn oracle(&self, round: &Round, values: &[K]) -> Shown {
        let width = 1usize << round.fold;
        let rows: Vec<&[K]> = values.chunks(width).collect();
        let leaves: Vec<Vec<u8>> = (0..1u64 << round.log_leaves())
            .map(|leaf| {
                let point = steps::leaf_point(round.log_leaves(), leaf);
                let mut bytes = Vec::new();
                for column in 0..width {
                    let falling = rows.iter().rev().map(|row| row[column]);
                    let mut value = falling.fold(K::ZERO, |sum, value| sum * point + value);
                    if self.lie == Lie::FarWord && round.is_base && leaf % 2 == 1 {
                        value += K::ONE;
                    }
                    if round.is_base {
                        bytes.extend(value.coordinates()[0].to_bytes());
                    } else {
                        value.write(&mut bytes);
                    }
                }
                bytes
            })
            .collect();
        let mut levels: Vec<Vec<Digest>> =
            vec![leaves.iter().map(|leaf| self.hash.leaf(leaf)).collect()];
        while levels.last().unwrap().len() > 1 {
            let pairs = levels.last().unwrap().chunks(2);
            levels.push(
                pairs
                    .map(|pair| self.hash.node(&pair[0], &pair[1]))
                    .collect(),
            );
        }
        Shown { leaves, levels }
    }

    fn commit(&self, params: &Params, values: &[F]) -> (Commitment, Shown) {
        let wide: Vec<K> = values.iter().map(|value| K::from(*value)).collect();
        let shown = self.oracle(&params.rounds()[0], &wide);
        let root = shown.levels.last().unwrap()[0];
        let mut sample = mle::horner(&wide, Commitment::sample_point(params, &root));
        if self.lie == Lie::Sample {
            sample += K::ONE;
        }
        (Commitment::new(params, root, sample), shown)
    }

    fn show(
        &self,
        shown: &Shown,
        round: &Round,
        t: &mut Transcript,
        out: &mut Vec<u8>,
    ) -> (Vec<u64>, K) {
        let seed = steps::work_seed(t);
        let good = |nonce: &u64| steps::has_worked(&seed, *nonce) == (self.lie != Lie::Idle);
        let nonce = (0..).find(good).unwrap();
        out.extend(nonce.to_le_bytes());
        let mut indices = steps::queries(round, nonce, t);
        if self.lie == Lie::OtherLeaves {
            indices.iter_mut().for_each(|index| *index ^= 1);
            indices.sort_unstable();
        }
        let mut leaves: Vec<u8> = Vec::new();
        for index in &indices {
            leaves.extend(&shown.leaves[usize::try_from(*index).unwrap()]);
        }
        if self.lie == Lie::Leaf {
            leaves[0] ^= 1;
        }
        out.extend(&leaves);
        let mut known = indices.clone();
        for level in &shown.levels[..shown.levels.len() - 1] {
            for index in &known {
                if !known.contains(&(index ^ 1)) {
                    out.extend(level[usize::try_from(index ^ 1).unwrap()].as_bytes());
                }
            }
            known = known.iter().map(|index| index / 2).collect();
            known.dedup();
        }
        (indices, steps::join(&leaves, t))
    }

    fn open(
        &self,
        params: &Params,
        values: &[F],
        point: &[K],
        value: K,
        t: &mut Transcript,
    ) -> (Commitment, Vec<u8>) {
        let (commitment, mut shown) = self.commit(params, values);
        let join = steps::begin(params, &commitment, point, value, t);
        let sample_point = Commitment::sample_point(params, &commitment.root());
        let mut values: Vec<K> = values.iter().map(|value| K::from(*value)).collect();
        let mut weights: Vec<K> = (0..values.len() as u64)
            .map(|i| mle::eq_index(point, i) + join * sample_point.pow(i))
            .collect();
        let mut out = Vec::new();
        let rounds = params.rounds();
        for (number, round) in rounds.iter().enumerate() {
            for bit in (0..round.fold).rev() {
                sumcheck_round(&mut values, &mut weights, 1 << bit, t, &mut out);
            }
            if let Some(following) = rounds.get(number + 1) {
                if self.lie == Lie::OtherFold {
                    values[0] += K::ONE;
                }
                let next = self.oracle(following, &values);
                let root = next.levels.last().unwrap()[0];
                out.extend(root.as_bytes());
                let sample_point = steps::sample_point(&root, t);
                let mut sample = mle::horner(&values, sample_point);
                if self.lie == Lie::OtherSample {
                    sample += K::ONE;
                }
                sample.write(&mut out);
                steps::sampled(sample, t);
                let (indices, join) = self.show(&shown, round, t, &mut out);
                let mut scale = join;
                let mut add = |base: K| {
                    for (i, weight) in (0..).zip(&mut weights) {
                        *weight += scale * base.pow(i);
                    }
                    scale *= join;
                };
                add(sample_point);
                for index in indices {
                    add(K::from(steps::leaf_point(round.log_leaves(), index)));
                }
                shown = next;
            } else {
                if self.lie == Lie::Last {
                    values[0] += weights[1];
                    values[1] -= weights[0];
                }
                values.iter().for_each(|value| value.write(&mut out));
                steps::last(&values, t);
                self.show(&shown, round, t, &mut out);
            }
        }
        (commitment, out)
    }
}

/// Sets the bit worth `half` of the index.
fn sumcheck_round(
    values: &mut Vec<K>,
    weights: &mut Vec<K>,
    half: usize,
    t: &mut Transcript,
    out: &mut Vec<u8>,
) {
    let at = |table: &[K], x: K| -> Vec<K> {
        let blocks = table.chunks(2 * half);
        blocks
            .flat_map(|block| (0..half).map(|i| block[i] + x * (block[i + half] - block[i])))
            .collect()
    };
    let sum = |x: K| -> K {
        let (values, weights) = (at(values, x), at(weights, x));
        values.iter().zip(&weights).map(|(v, w)| *v * *w).sum()
    };
    let message = [sum(K::ZERO), sum(K::TWO)];
    message.iter().for_each(|value| value.write(out));
    let challenge = sumcheck::challenge(&message, t);
    *values = at(values, challenge);
    *weights = at(weights, challenge);
}

fn number(i: u64) -> F {
    F::from_u64(i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ i)
}

fn values(log_len: u32) -> Vec<F> {
    (0..1u64 << log_len).map(number).collect()
}

fn point(log_len: u32) -> Vec<K> {
    let coordinate = |i: u64| K::new([number(3 * i + 1), number(3 * i + 2), number(3 * i + 3)]);
    (0..u64::from(log_len)).map(coordinate).collect()
}

fn params(log_len: u32) -> Params {
    Params::new(log_len, Security::Bits100).unwrap()
}

fn transcript() -> Transcript {
    Transcript::new("test")
}

struct Case {
    params: Params,
    commitment: Commitment,
    point: Vec<K>,
    value: K,
    proof: Vec<u8>,
}

impl Case {
    fn honest(params: &Params) -> Self {
        let (values, point) = (values(params.log_len()), point(params.log_len()));
        let committed = commit(params, values).unwrap();
        let value = committed.evaluate(&point).unwrap();
        let mut proof = Vec::new();
        committed.open(&point, value, &mut transcript(), &mut proof);
        Self {
            params: params.clone(),
            commitment: committed.commitment(),
            point,
            value,
            proof,
        }
    }

    fn lying(log_len: u32, lie: Lie) -> Self {
        let (params, values, point) = (params(log_len), values(log_len), point(log_len));
        let value = mle::evaluate(&values, &point).unwrap();
        let slow = Slow {
            lie,
            hash: TreeHash::default(),
        };
        let (commitment, proof) = slow.open(&params, &values, &point, value, &mut transcript());
        Self {
            params,
            commitment,
            point,
            value,
            proof,
        }
    }

    fn check_bytes(&self, proof: &[u8]) -> Result<(), PcsError> {
        let mut reader = Reader::new(proof);
        let Self {
            params,
            commitment,
            point,
            value,
            ..
        } = self;
        verify(
            params,
            commitment,
            point,
            *value,
            &mut reader,
            &mut transcript(),
        )?;
        let end = reader.finish();
        end.map_err(|source| PcsError::Read {
            what: "end",
            source,
        })
    }

    fn check(&self) -> Result<(), PcsError> {
        self.check_bytes(&self.proof)
    }
}

#[test]
fn openings_of_all_sizes_are_accepted() {
    for log_len in 0..=18 {
        assert_eq!(Case::honest(&params(log_len)).check(), Ok(()), "{log_len}");
    }
    for log_len in [3, 12, 16] {
        let params = Params::new(log_len, Security::Bits128).unwrap();
        assert_eq!(Case::honest(&params).check(), Ok(()));
    }
}

#[test]
fn values_are_those_of_the_polynomial() {
    for log_len in 0..=12 {
        let committed = commit(&params(log_len), values(log_len)).unwrap();
        let mut point = point(log_len);
        let expected = mle::evaluate(&values(log_len), &point);
        assert_eq!(committed.evaluate(&point), expected, "{log_len}");
        point.push(K::ONE);
        assert_eq!(committed.evaluate(&point), None);
        assert_eq!(committed.values(), values(log_len));
    }
}

#[test]
fn proofs_are_no_longer_than_said() {
    for log_len in [0, 11, 12, 13, 16, 18] {
        let case = Case::honest(&params(log_len));
        let max = case.params.proof_bytes_max();
        assert!(case.proof.len() <= max, "{log_len}");
        assert!(
            case.proof.len() > max - max / 5,
            "{log_len}: not far from it"
        );
    }
}

#[test]
fn prover_and_verifier_leave_the_transcript_alike() {
    for log_len in [4, 12, 13] {
        let case = Case::honest(&params(log_len));
        let committed = commit(&case.params, values(log_len)).unwrap();
        let (mut proving, mut verifying) = (transcript(), transcript());
        committed.open(&case.point, case.value, &mut proving, &mut Vec::new());
        let mut reader = Reader::new(&case.proof);
        let (point, value) = (&case.point, case.value);
        verify(
            &case.params,
            &case.commitment,
            point,
            value,
            &mut reader,
            &mut verifying,
        )
        .unwrap();
        assert_eq!(proving.challenge_k("next"), verifying.challenge_k("next"));
    }
}

#[test]
fn the_plain_prover_gives_the_same_bytes() {
    for log_len in [12, 13] {
        let (fast, slow) = (
            Case::honest(&params(log_len)),
            Case::lying(log_len, Lie::Honest),
        );
        assert_eq!(fast.commitment, slow.commitment);
        assert!(fast.proof == slow.proof, "{log_len}");
    }
}

#[test]
fn proofs_keep_their_form() {
    let cases = [
        (3, "143bd17b506b6372"),
        (12, "ce8e8463383408c4"),
        (13, "286a7e7afa585d29"),
    ];
    for (log_len, expected) in cases {
        let case = Case::honest(&params(log_len));
        let mut bytes = Vec::new();
        case.commitment.write(&case.params, &mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            Commitment::read(&case.params, &mut reader),
            Ok(case.commitment)
        );
        assert_eq!(reader.finish(), Ok(()));
        bytes.extend(&case.proof);
        let got = blake3::hash(&bytes).to_hex();
        assert_eq!(got[..16], *expected, "{log_len}");
    }
}

#[test]
fn liars_are_refused_each_by_its_check() {
    for log_len in [12, 13] {
        let refused = |lie| Case::lying(log_len, lie).check().unwrap_err();
        assert_eq!(refused(Lie::Sample), PcsError::Claim);
        assert!(matches!(
            refused(Lie::Leaf),
            PcsError::Root { round: 0, .. }
        ));
        assert!(matches!(
            refused(Lie::OtherLeaves),
            PcsError::Root { round: 0, .. }
        ));
        assert_eq!(refused(Lie::Idle), PcsError::Work { round: 0 });
        assert!(matches!(refused(Lie::Last), PcsError::Last { .. }));
    }
    // Of one round, the last polynomial is held against the word itself; of two, it is the claim that the word's leaves joined.
    let far = |log_len| Case::lying(log_len, Lie::FarWord).check();
    assert!(matches!(far(12), Err(PcsError::Last { .. })));
    assert_eq!(far(13), Err(PcsError::Claim));
    for lie in [Lie::OtherFold, Lie::OtherSample] {
        assert_eq!(
            Case::lying(13, lie).check(),
            Err(PcsError::Claim),
            "{lie:?}"
        );
        assert_eq!(
            Case::lying(12, lie).check(),
            Ok(()),
            "{lie:?}: of one round, there is no such lie"
        );
    }
}

#[test]
fn another_value_point_or_commitment_is_refused() {
    for log_len in [0, 5, 12, 13] {
        let honest = Case::honest(&params(log_len));
        let mut case = Case::honest(&params(log_len));
        case.value += K::ONE;
        assert!(case.check().is_err());
        let committed = commit(&case.params, values(log_len)).unwrap();
        committed.open(&case.point, case.value, &mut transcript(), &mut Vec::new());
        case.value = honest.value;
        for at in 0..case.point.len() {
            case.point[at] += K::ONE;
            assert!(case.check().is_err());
            case.point[at] -= K::ONE;
        }
        case.commitment = Commitment::new(&case.params, Digest::from_bytes([7; 32]), K::ONE);
        assert!(case.check().is_err());
        case.commitment = honest.commitment;
        assert_eq!(case.check(), Ok(()));
        case.point.push(K::ONE);
        let got = case.point.len();
        let expected = log_len;
        assert_eq!(case.check(), Err(PcsError::Point { expected, got }));
    }
}

/// The proof is made for the wrong value from the start: only the end shows it.
#[test]
fn a_proof_for_a_wrong_value_is_refused() {
    for (log_len, expected) in [
        (4, PcsError::Value),
        (12, PcsError::Claim),
        (13, PcsError::Claim),
    ] {
        let mut case = Case::honest(&params(log_len));
        case.value += K::ONE;
        case.proof.clear();
        let committed = commit(&case.params, values(log_len)).unwrap();
        committed.open(&case.point, case.value, &mut transcript(), &mut case.proof);
        assert_eq!(case.check(), Err(expected));
    }
}

/// Of each value sent in clear, of its hash.
#[test]
fn values_in_clear_must_be_those_committed_to() {
    let mut case = Case::honest(&params(3));
    case.proof[9] ^= 1;
    assert!(matches!(case.check(), Err(PcsError::Values { .. })));
    // A value that is p or more, committed to as such.
    let mut case = Case::honest(&params(0));
    case.proof = vec![0xff; 8];
    let root = blake3::derive_key("credence/snark-values/v1", &case.proof);
    case.commitment = Commitment::new(&case.params, Digest::from_bytes(root), K::ZERO);
    let source = ReadError::NotCanonical;
    let what = "values";
    assert_eq!(case.check(), Err(PcsError::Read { what, source }));
}

#[test]
fn every_changed_byte_is_refused() {
    for log_len in [3, 12] {
        let case = Case::honest(&params(log_len));
        let mut proof = case.proof.clone();
        for at in 0..proof.len() {
            proof[at] ^= 1 << (at % 8);
            assert!(case.check_bytes(&proof).is_err(), "{log_len} {at}");
            proof[at] = case.proof[at];
        }
    }
    let case = Case::honest(&params(13));
    let mut proof = case.proof.clone();
    for at in (0..proof.len()).step_by(5) {
        proof[at] = proof[at].wrapping_add(0x80);
        assert!(case.check_bytes(&proof).is_err(), "{at}");
        proof[at] = case.proof[at];
    }
}

#[test]
fn shorter_and_longer_proofs_are_refused() {
    for (log_len, step) in [(0, 1), (3, 1), (12, 13), (13, 29)] {
        let case = Case::honest(&params(log_len));
        for len in (0..case.proof.len()).step_by(step) {
            assert!(
                case.check_bytes(&case.proof[..len]).is_err(),
                "{log_len} {len}"
            );
        }
        let longer = [case.proof.as_slice(), &[0]].concat();
        let source = ReadError::Trailing { got: 1 };
        let expected = Err(PcsError::Read {
            what: "end",
            source,
        });
        assert_eq!(case.check_bytes(&longer), expected);
    }
}

#[test]
fn proofs_of_another_size_or_security_are_refused() {
    let sizes = [0, 3, 11, 12, 13, 14, 16];
    let cases: Vec<Case> = sizes.map(|log_len| Case::honest(&params(log_len))).into();
    for own in &cases {
        for other in &cases {
            if own.params.log_len() != other.params.log_len() {
                assert!(own.check_bytes(&other.proof).is_err());
                // The other's commitment as well: only the size is this one's.
                let mixed = Case {
                    params: own.params.clone(),
                    commitment: other.commitment,
                    point: own.point.clone(),
                    value: other.value,
                    proof: other.proof.clone(),
                };
                assert!(mixed.check().is_err());
            }
        }
        let strict = Params::new(own.params.log_len(), Security::Bits128).unwrap();
        let mixed = Case {
            params: strict,
            proof: own.proof.clone(),
            point: own.point.clone(),
            ..*own
        };
        // Sent in clear, a polynomial has no security to choose.
        assert_eq!(mixed.check().is_ok(), own.params.rounds().is_empty());
    }
}

#[test]
fn a_proof_is_of_one_place_in_one_transcript() {
    let case = Case::honest(&params(12));
    let mut other = Transcript::new("another");
    let mut reader = Reader::new(&case.proof);
    let (point, value) = (&case.point, case.value);
    let result = verify(
        &case.params,
        &case.commitment,
        point,
        value,
        &mut reader,
        &mut other,
    );
    assert!(result.is_err());
}

#[test]
fn bytes_of_strangers_are_refused() {
    let case = Case::honest(&params(12));
    for seed in 0..200u64 {
        let len = usize::try_from(number(seed).to_u64() % 30_000).unwrap();
        let garbage: Vec<u8> = (0..len as u64)
            .map(|i| number(seed * 99_991 + i).to_bytes()[3])
            .collect();
        assert!(case.check_bytes(&garbage).is_err());
    }
    assert!(case.check_bytes(&[0xff; 40_000]).is_err());
    assert!(case.check_bytes(&[0; 40_000]).is_err());
}

#[test]
fn other_numbers_of_values_are_not_committed_to() {
    for len in [0, 1, 7, 9, 16] {
        let result = commit(&params(3), vec![F::ONE; len]).map(|_| ());
        assert_eq!(
            result,
            Err(CommitError::Len {
                log_len: 3,
                got: len
            })
        );
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let of = |threads| pool(threads).install(|| Case::honest(&params(14)).proof);
    assert!(of(1) == of(3));
}
