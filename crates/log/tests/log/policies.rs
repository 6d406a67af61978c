//! Cosignatures and quorums: who counts, who counts once, what time they give, and lies that are caught.

use credence_log::checkpoint::CheckpointError;
use credence_log::cosignature::{self, CosignatureError, cosign};
use credence_log::{
    Algorithm, Checkpoint, Equivocation, EquivocationError, LogPolicy, LogPolicyError, LogRefusal,
    Note, SignedCheckpoint, VerifierKey,
};

use crate::shared::{
    CLOCK, NOW, checkpoint, cosigned, leaf, log_signer, policy, signer, tree, witness,
};

#[test]
fn a_cosignature_is_of_its_witness_text_and_time() {
    let w = witness(1);
    let signed = cosigned(9, &[(&w, NOW), (&w, NOW - 5)]);
    let again = SignedCheckpoint::parse(signed.encode().as_bytes()).unwrap();
    let times = |signed: &SignedCheckpoint, key: &VerifierKey| {
        cosignature::times(signed.note(), key).unwrap()
    };
    assert_eq!(times(&again, w.verifier()), [NOW - 5, NOW]);
    assert_eq!(times(&again, witness(2).verifier()), [] as [u64; 0]);
    // The same key as a log's key says nothing, and neither does a log's signature as a witness's.
    let as_log = VerifierKey::new(
        w.verifier().name().clone(),
        Algorithm::Ed25519,
        *w.verifier().key(),
    );
    assert_eq!(times(&again, &as_log), [] as [u64; 0]);
    assert_eq!(again.note().is_signed_by(w.verifier()), Ok(false));
    for got in [0, 1 << 63, u64::MAX] {
        assert_eq!(
            cosign(&signed, got, &w),
            Err(CosignatureError::Time { got })
        );
    }
    assert!(matches!(
        cosign(&signed, NOW, &log_signer()),
        Err(CosignatureError::Algorithm(_))
    ));
}

#[test]
fn a_cosignature_moved_to_another_checkpoint_spoils_it() {
    let w = witness(1);
    let line = cosigned(9, &[(&w, NOW)]).note().signatures()[1].clone();
    let mut other = checkpoint(10);
    other.note_mut().add(line).unwrap();
    assert!(matches!(
        policy(1, 1).check(&other, CLOCK),
        Err(LogRefusal::Cosignature(_))
    ));
    // A policy that does not know the witness ignores it.
    let none = LogPolicy::new(vec![log_signer().verifier().clone()], Vec::new(), 0).unwrap();
    assert!(none.check(&other, CLOCK).is_ok());
}

#[test]
fn the_same_witness_counts_once() {
    let (w1, w2, w3) = (witness(1), witness(2), witness(3));
    let three_times = cosigned(9, &[(&w1, NOW), (&w1, NOW - 1), (&w1, NOW - 2)]);
    let strict = policy(3, 2);
    assert_eq!(
        strict.check(&three_times, CLOCK),
        Err(LogRefusal::Quorum { quorum: 2, got: 1 })
    );
    let two = cosigned(9, &[(&w1, NOW), (&w2, NOW)]);
    assert!(strict.check(&two, CLOCK).is_ok());
    assert_eq!(
        policy(3, 3).check(&two, CLOCK),
        Err(LogRefusal::Quorum { quorum: 3, got: 2 })
    );
    let all = cosigned(9, &[(&w3, NOW), (&w1, NOW), (&w2, NOW)]);
    assert!(policy(3, 3).check(&all, CLOCK).is_ok());
    assert_eq!(
        strict.check(&checkpoint(9), CLOCK),
        Err(LogRefusal::Quorum { quorum: 2, got: 0 })
    );
    assert!(policy(3, 0).check(&checkpoint(9), CLOCK).is_ok());
}

#[test]
fn two_keys_of_one_witness_count_once() {
    let (old, new) = (
        signer("w.example", Algorithm::CosignatureV1, 51),
        signer("w.example", Algorithm::CosignatureV1, 52),
    );
    let log = vec![log_signer().verifier().clone()];
    let keys = vec![
        old.verifier().clone(),
        new.verifier().clone(),
        witness(1).verifier().clone(),
    ];
    let both = cosigned(9, &[(&old, NOW - 9), (&new, NOW)]);
    let one = LogPolicy::new(log.clone(), keys.clone(), 1).unwrap();
    let seen = one.check(&both, CLOCK).unwrap();
    assert_eq!(seen.cosigners().len(), 1);
    assert_eq!(
        (seen.by_unix_s(), seen.at_unix_s()),
        (Some(NOW - 9), Some(NOW))
    );
    let two = LogPolicy::new(log.clone(), keys.clone(), 2).unwrap();
    assert_eq!(
        two.check(&both, CLOCK),
        Err(LogRefusal::Quorum { quorum: 2, got: 1 })
    );
    // Three keys, but two witnesses.
    assert_eq!(
        LogPolicy::new(log, keys, 3),
        Err(LogPolicyError::Quorum {
            quorum: 3,
            witnesses: 2
        })
    );
}

#[test]
fn policies_that_cannot_hold_are_refused() {
    let log = log_signer().verifier().clone();
    let w = witness(1).verifier().clone();
    assert_eq!(
        LogPolicy::new(Vec::new(), Vec::new(), 0),
        Err(LogPolicyError::NoLogs)
    );
    let alias = signer("alias.example", Algorithm::CosignatureV1, 101);
    assert!(matches!(
        LogPolicy::new(
            vec![log.clone()],
            vec![w.clone(), alias.verifier().clone()],
            2
        ),
        Err(LogPolicyError::SameKey { .. })
    ));
    let own = signer("log.example/receipts", Algorithm::CosignatureV1, 1);
    assert!(matches!(
        LogPolicy::new(vec![log.clone()], vec![own.verifier().clone()], 1),
        Err(LogPolicyError::SameKey { .. })
    ));
    assert!(matches!(
        LogPolicy::new(vec![w.clone()], Vec::new(), 0),
        Err(LogPolicyError::Algorithm {
            expected: 1,
            got: 4,
            ..
        })
    ));
    assert!(matches!(
        LogPolicy::new(vec![log.clone()], vec![log.clone()], 0),
        Err(LogPolicyError::Algorithm {
            expected: 4,
            got: 1,
            ..
        })
    ));
    assert!(matches!(
        LogPolicy::new(vec![log.clone()], vec![w], u32::MAX),
        Err(LogPolicyError::Quorum { .. })
    ));
    assert!(matches!(
        LogPolicy::new(vec![log.clone(); 257], Vec::new(), 0),
        Err(LogPolicyError::Keys { got: 257 })
    ));
    let without = LogPolicy::new(vec![log], Vec::new(), 0).unwrap();
    assert_eq!(
        without.with_age_max_s(60),
        Err(LogPolicyError::AgeWithoutQuorum)
    );
}

#[test]
fn fewer_liars_than_the_quorum_move_no_time() {
    let (w1, w2, w3) = (witness(1), witness(2), witness(3));
    // Witness 1 dates back by a year, and once more to now.
    let signed = cosigned(
        9,
        &[
            (&w1, NOW - 31_536_000),
            (&w1, NOW),
            (&w2, NOW - 100),
            (&w3, NOW - 50),
        ],
    );
    let seen = policy(3, 2).check(&signed, CLOCK).unwrap();
    assert_eq!(seen.by_unix_s(), Some(NOW - 100));
    assert_eq!(seen.at_unix_s(), Some(NOW - 50));
    let all = policy(3, 3).check(&signed, CLOCK).unwrap();
    assert_eq!(
        (all.by_unix_s(), all.at_unix_s()),
        (Some(NOW - 50), Some(NOW - 100))
    );
    let none = policy(3, 0).check(&signed, CLOCK).unwrap();
    assert_eq!((none.by_unix_s(), none.at_unix_s()), (None, None));
}

#[test]
fn age_and_future_have_limits() {
    let w = witness(1);
    let aged = |max| policy(1, 1).with_age_max_s(max).unwrap();
    let signed = cosigned(9, &[(&w, NOW - 61)]);
    assert_eq!(
        aged(60).check(&signed, CLOCK),
        Err(LogRefusal::Age {
            age_s: 61,
            max_s: 60
        })
    );
    assert!(aged(61).check(&signed, CLOCK).is_ok());
    assert!(aged(60).check_at_any_age(&signed, CLOCK).is_ok());
    assert!(
        aged(0)
            .check(&cosigned(9, &[(&w, NOW + 120)]), CLOCK)
            .is_ok()
    );
    let ahead = cosigned(9, &[(&w, NOW + 121)]);
    assert!(matches!(
        policy(1, 1).check(&ahead, CLOCK),
        Err(LogRefusal::Future { ahead_s: 121, .. })
    ));
    // Where it is not needed it counts for nothing, and vetoes nothing.
    assert!(
        policy(1, 0)
            .check(&ahead, CLOCK)
            .unwrap()
            .cosigners()
            .is_empty()
    );
}

#[test]
fn one_witness_ahead_of_the_clock_vetoes_no_proof() {
    let (w1, w2, w3) = (witness(1), witness(2), witness(3));
    let signed = cosigned(
        9,
        &[
            (&w1, NOW + 1_000_000),
            (&w2, NOW - 100),
            (&w3, NOW - 50),
            // Of one that counts, the time ahead does not.
            (&w3, NOW + 1_000_000),
        ],
    );
    let seen = policy(3, 2).check(&signed, CLOCK).unwrap();
    assert_eq!(
        (seen.by_unix_s(), seen.at_unix_s()),
        (Some(NOW - 50), Some(NOW - 100))
    );
    assert!(matches!(
        policy(3, 3).check(&signed, CLOCK),
        Err(LogRefusal::Future { .. })
    ));
    assert!(matches!(
        policy(4, 4).check(&signed, CLOCK),
        Err(LogRefusal::Quorum { quorum: 4, got: 2 })
    ));
}

#[test]
fn a_log_is_known_by_name_and_key() {
    let signed = checkpoint(9);
    let other = signer("other.example", Algorithm::Ed25519, 1);
    let policy = |keys: &[VerifierKey]| LogPolicy::new(keys.to_vec(), Vec::new(), 0).unwrap();
    assert_eq!(
        policy(&[other.verifier().clone()]).check(&signed, CLOCK),
        Err(LogRefusal::UnknownLog {
            origin: "log.example/receipts".to_owned()
        })
    );
    let next = signer("log.example/receipts", Algorithm::Ed25519, 77);
    assert!(matches!(
        policy(&[next.verifier().clone()]).check(&signed, CLOCK),
        Err(LogRefusal::Checkpoint {
            source: CheckpointError::Unsigned { .. },
            ..
        })
    ));
    // A log that changes its key has two for a while, in either order.
    for keys in [[&next, &log_signer()], [&log_signer(), &next]] {
        let keys = keys.map(|signer| signer.verifier().clone());
        let seen = policy(&keys).check(&signed, CLOCK).unwrap();
        assert_eq!(seen.log(), log_signer().verifier());
    }
}

#[test]
fn two_roots_of_one_size_are_evidence_and_nothing_else_is() {
    let log = log_signer();
    let head = |size, root| {
        Checkpoint::new(log.verifier().name(), size, root)
            .unwrap()
            .sign(&log)
            .unwrap()
    };
    let (a, b) = (head(9, tree(9).0.root()), head(9, leaf(0)));
    let shown = Equivocation::check(log.verifier(), &a, &b).unwrap();
    assert_eq!(shown.size(), 9);
    // One lie has one form, whoever shows it in which order, with whichever cosignatures.
    let mut cosigned_b = b.clone();
    cosigned_b
        .note_mut()
        .add(cosign(&b, NOW, &witness(1)).unwrap())
        .unwrap();
    assert_eq!(
        Equivocation::check(log.verifier(), &cosigned_b, &a),
        Ok(shown.clone())
    );
    assert_eq!(
        Equivocation::check(shown.log(), shown.first(), shown.second()),
        Ok(shown.clone())
    );
    assert_eq!(
        Equivocation::check(log.verifier(), &a, &a),
        Err(EquivocationError::SameRoot)
    );
    assert_eq!(
        Equivocation::check(log.verifier(), &a, &head(10, leaf(0))),
        Err(EquivocationError::Sizes {
            first: 9,
            second: 10
        })
    );
    let framed = signer("log.example/receipts", Algorithm::Ed25519, 66);
    let forged = Checkpoint::new(framed.verifier().name(), 9, leaf(1))
        .unwrap()
        .sign(&framed)
        .unwrap();
    assert!(matches!(
        Equivocation::check(log.verifier(), &a, &forged),
        Err(EquivocationError::NotTheLogs {
            which: "second",
            ..
        })
    ));
    // A root for no entries that is not the empty one is as much a lie.
    let text = format!("{}\n0\n{}\n", log.verifier().name(), leaf(0));
    let note = Note::sign(&text, &log).unwrap();
    let none = SignedCheckpoint::parse(note.encode().as_bytes()).unwrap();
    let empty = head(0, credence_log::Hash::of_empty_tree());
    assert!(Equivocation::check(log.verifier(), &none, &empty).is_ok());
}
