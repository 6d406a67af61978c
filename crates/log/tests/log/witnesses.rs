//! The witness: every status of the specification, never a step back, and the evidence that it finds.

use credence_log::cosignature::{self, CosignatureError};
use credence_log::note::parse_signatures;
use credence_log::proof::{Plan, ProofError};
use credence_log::witness::{RequestError, WitnessError};
use credence_log::{
    AddCheckpoint, Algorithm, Answer, Checkpoint, Hash, Note, Record, SignedCheckpoint, Witness,
};
use proptest::prelude::*;

use crate::shared::{
    NOW, checkpoint, flips, leaf, log_signer, signer, tree, witness as witness_signer,
};

fn witness() -> Witness {
    Witness::new(witness_signer(1), vec![log_signer().verifier().clone()]).unwrap()
}

/// What an honest log asks.
fn request(old: u64, new: u64) -> AddCheckpoint {
    let proof = Plan::consistency(old, new)
        .unwrap()
        .make(&tree(new).1)
        .unwrap();
    AddCheckpoint {
        old_size: old,
        proof,
        checkpoint: checkpoint(new),
    }
}

fn cosign(record: Option<&Record>, request: &AddCheckpoint) -> Record {
    let answer = witness().answer(record, request, NOW).unwrap();
    assert_eq!(answer.status(), 200);
    let Answer::Cosigned { record, body } = answer else {
        unreachable!("only this answer has that status");
    };
    // What the log does with the body: add the line to its own note.
    let lines = parse_signatures(&body).unwrap();
    let mut signed = request.checkpoint.clone();
    signed.note_mut().add(lines[0].clone()).unwrap();
    let times = cosignature::times(signed.note(), witness().key()).unwrap();
    assert_eq!(times, [NOW]);
    *record
}

#[test]
fn an_honest_log_is_cosigned_step_by_step() {
    let mut record = None;
    for (old, new) in [(0, 0), (0, 1), (1, 1), (1, 7), (7, 8), (8, 300), (300, 300)] {
        let asked = request(old, new);
        let again = AddCheckpoint::parse(asked.encode().as_bytes()).unwrap();
        assert_eq!(again, asked);
        let next = cosign(record.as_ref(), &again);
        assert_eq!(next.checkpoint().unverified().size(), new);
        assert_eq!(Record::decode(next.encode().as_bytes()), Ok(next.clone()));
        // A monitor that reads the record finds both signatures.
        let served = next.checkpoint();
        assert!(served.verify(log_signer().verifier()).is_ok());
        assert_eq!(
            cosignature::times(served.note(), witness().key()).unwrap(),
            [NOW]
        );
        record = Some(next);
    }
}

#[test]
fn a_log_that_does_not_know_gets_the_size() {
    let record = cosign(None, &request(0, 7));
    let answer = witness()
        .answer(Some(&record), &request(0, 9), NOW)
        .unwrap();
    assert_eq!(answer, Answer::Conflict { size: 7 });
    assert_eq!(answer.status(), 409);
    // Never back: an older checkpoint conflicts, whatever old size it names.
    for old in [0, 3] {
        let answer = witness().answer(Some(&record), &request(old, 5), NOW);
        assert_eq!(answer, Ok(Answer::Conflict { size: 7 }));
    }
    // And nothing was seen yet: size 0.
    let answer = witness().answer(None, &request(3, 9), NOW);
    assert_eq!(answer, Ok(Answer::Conflict { size: 0 }));
}

#[test]
fn an_old_size_past_the_checkpoint_is_a_bad_request() {
    let record = cosign(None, &request(0, 7));
    let mut asked = request(5, 5);
    asked.old_size = 7;
    let answer = witness().answer(Some(&record), &asked, NOW).unwrap();
    assert_eq!(answer, Answer::BadRequest);
}

#[test]
fn unknown_logs_and_unsigned_checkpoints_are_turned_away() {
    let other = signer("other.example", Algorithm::Ed25519, 3);
    let head = |log: &credence_log::Signer| AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: Checkpoint::new(log.verifier().name(), 1, leaf(0))
            .unwrap()
            .sign(log)
            .unwrap(),
    };
    let ask = |request: &AddCheckpoint| witness().answer(None, request, NOW).unwrap();
    assert_eq!(ask(&head(&other)), Answer::NotFound);
    let namesake = signer("log.example/receipts", Algorithm::Ed25519, 3);
    assert_eq!(ask(&head(&namesake)), Answer::Forbidden);
    // A bad signature of the known key beside a good one is malformed: 403.
    let mut both = head(&log_signer());
    let foreign = checkpoint(5).note().signatures()[0].clone();
    both.checkpoint.note_mut().add(foreign).unwrap();
    assert_eq!(ask(&both), Answer::Forbidden);
    // A signature of an unknown key is ignored, and not kept.
    let mut good = head(&log_signer());
    let line = Note::sign(good.checkpoint.note().text(), &other).unwrap();
    good.checkpoint
        .note_mut()
        .add(line.signatures()[0].clone())
        .unwrap();
    let record = cosign(None, &good);
    assert_eq!(record.checkpoint().note().signatures().len(), 2);
}

#[test]
fn forks_and_wrong_proofs_are_unprocessable_and_leave_no_trace() {
    let record = cosign(None, &request(0, 7));
    let fork = |size, root, old_size, proof| AddCheckpoint {
        old_size,
        proof,
        checkpoint: Checkpoint::new(log_signer().verifier().name(), size, root)
            .unwrap()
            .sign(&log_signer())
            .unwrap(),
    };
    let ask = |request: &AddCheckpoint| witness().answer(Some(&record), request, NOW).unwrap();
    let honest = request(7, 9);
    let cases = [
        fork(7, leaf(0), 7, Vec::new()),
        fork(9, leaf(0), 7, honest.proof.clone()),
        fork(9, tree(9).0.root(), 7, Vec::new()),
        fork(9, tree(9).0.root(), 7, honest.proof[1..].to_vec()),
    ];
    for case in &cases {
        assert_eq!(ask(case).status(), 422);
    }
    assert_eq!(
        cosign(Some(&record), &honest)
            .checkpoint()
            .unverified()
            .size(),
        9
    );
    // Only the first can be shown to others: the same size, another root.
    let found: Vec<_> = cases
        .iter()
        .map(|case| witness().evidence(&record, case).is_some())
        .collect();
    assert_eq!(found, [true, false, false, false]);
    assert!(witness().evidence(&record, &request(7, 7)).is_none());

    let unneeded = witness().answer(None, &fork(9, leaf(0), 0, vec![leaf(1)]), NOW);
    assert!(matches!(
        unneeded,
        Ok(Answer::Unprocessable {
            reason: ProofError::Len { got: 1 }
        })
    ));
    // A root for no entries that is not the empty one.
    let text = format!("{}\n0\n{}\n", log_signer().verifier().name(), leaf(0));
    let note = Note::sign(&text, &log_signer()).unwrap();
    let lie = AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: SignedCheckpoint::parse(note.encode().as_bytes()).unwrap(),
    };
    assert_eq!(witness().answer(None, &lie, NOW).unwrap().status(), 422);
}

#[test]
fn without_a_clock_nothing_is_cosigned() {
    let answer = witness().answer(None, &request(0, 7), 0);
    assert_eq!(answer, Err(CosignatureError::Time { got: 0 }));
}

#[test]
fn keys_have_their_types() {
    assert!(matches!(
        Witness::new(log_signer(), Vec::new()),
        Err(WitnessError::Key(_))
    ));
    let not_a_log = witness_signer(2).verifier().clone();
    assert_eq!(
        Witness::new(witness_signer(1), vec![not_a_log.clone()]).err(),
        Some(WitnessError::Log(not_a_log))
    );
}

#[test]
fn bodies_of_another_form_are_refused() {
    let text = request(7, 300).encode();
    assert!(text.starts_with("old 7\n"));
    let parse = |text: &str| AddCheckpoint::parse(text.as_bytes());
    for old in [
        "old 07",
        "old",
        "old -1",
        "Old 7",
        "old 7 ",
        "old 9223372036854775808",
    ] {
        assert_eq!(
            parse(&text.replacen("old 7", old, 1)),
            Err(RequestError::Old),
            "{old}"
        );
    }
    assert_eq!(
        parse(&text.replacen("old 7\n", "old 7\nxx\n", 1)),
        Err(RequestError::Hash { at: 0 })
    );
    let many = format!("old 7\n{}", format!("{}\n", leaf(0)).repeat(63));
    assert_eq!(
        parse(&text.replacen("old 7\n", &many, 1)),
        Err(RequestError::Hashes)
    );
    assert_eq!(AddCheckpoint::parse(&[0xff]), Err(RequestError::Utf8));
    assert!(matches!(
        AddCheckpoint::parse(&vec![b'o'; 200_000]),
        Err(RequestError::TooLong { .. })
    ));
    let bytes = text.as_bytes();
    for len in 0..bytes.len() {
        assert!(AddCheckpoint::parse(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn no_flipped_bit_is_cosigned() {
    let record = cosign(None, &request(0, 7));
    let bytes = request(7, 13).encode().into_bytes();
    for (bit, flipped) in flips(&bytes) {
        let Ok(asked) = AddCheckpoint::parse(&flipped) else {
            continue;
        };
        let answer = witness().answer(Some(&record), &asked, NOW).unwrap();
        assert_ne!(answer.status(), 200, "bit {bit}");
    }
}

proptest! {
    /// Whatever is asked in whatever order, the record grows and every two of its states agree.
    #[test]
    fn a_record_never_goes_back(steps in proptest::collection::vec((0u64..40, 0u64..40, any::<bool>()), 1..20)) {
        let mut record: Option<Record> = None;
        for (old, new, honest) in steps {
            let asked = match (old <= new, honest) {
                (true, true) => request(old, new),
                _ => AddCheckpoint {
                    old_size: old,
                    proof: vec![leaf(old); 3],
                    checkpoint: Checkpoint::new(log_signer().verifier().name(), new.max(1), Hash::of_leaf(b"liar"))
                        .unwrap()
                        .sign(&log_signer())
                        .unwrap(),
                },
            };
            let before = record.as_ref().map_or(0, |record| record.checkpoint().unverified().size());
            if let Answer::Cosigned { record: next, .. } = witness().answer(record.as_ref(), &asked, NOW).unwrap() {
                let (size, root) = next.checkpoint().unverified().tree();
                prop_assert!(size >= before);
                prop_assert_eq!(*root, tree(size).0.root());
                record = Some(*next);
            }
        }
    }
}
