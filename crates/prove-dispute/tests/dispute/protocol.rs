//! Messages and time: what is ignored, what loses, and that a transcript shows its verdict and no other.

use std::sync::Arc;

use credence_base::domain::WEIGHTS;
use credence_claim::{Claim, ClaimFields, ConstrainedDecoding};
use credence_commit::opening;
use credence_dispute::{
    Body, Entry, Ignored, Party, Reason, Referee, RefereeError, Status, Transcript, Verdict, sign,
};
use credence_method_spot::{Card, CardParts, text_range};
use credence_model::program_bytes;
use credence_prove_dispute::Player;
use credence_testkit::program_gen::encoder_model;
use credence_testkit::speaking::speaking;

use crate::common::{
    Dispute, Numbers, START, Sent, Told, answer, convicted, dispute, greedy, key, options,
    prompt_ids, terms,
};

/// A whole dispute over a wrong cell.
fn wrong() -> (Player, Told, Dispute) {
    let model = Arc::new(speaking(3));
    let player = Player::new(&model, options()).unwrap();
    let honest = answer(&model, &prompt_ids(12), greedy(6));
    let mut lie = honest.clone();
    lie.sections[0][1000] ^= 4;
    let reasons = [Reason::WrongCell, Reason::Filler];
    let done = convicted(&player, &lie, &honest.sections, &reasons);
    (player, lie, done)
}

fn messages(done: &Dispute) -> Vec<Vec<u8>> {
    let entries = done.transcript.entries.iter();
    entries
        .map(|entry| entry.message.clone().unwrap())
        .collect()
}

#[test]
fn no_flipped_replayed_or_reordered_message_counts() {
    let (player, lie, done) = wrong();
    let (claim, _) = lie.claim();
    let all = messages(&done);
    let mut other_terms = terms(&claim);
    other_terms.started_unix_s += 1;
    let mut other = Referee::new(player.card(), &claim, other_terms).unwrap();
    let mut referee = Referee::new(player.card(), &claim, terms(&claim)).unwrap();
    for (number, entry) in done.transcript.entries.iter().enumerate() {
        let (message, now) = (entry.message.clone().unwrap(), entry.time_unix_s);
        let head = *referee.head();
        for at in 0..message.len() {
            // Every byte of the signature and of the body's head, and every 11th behind.
            if at > 100 && at % 11 != 0 {
                continue;
            }
            let mut flipped = message.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(referee.step(Some(&flipped), now), Err(Ignored::Signature));
        }
        for len in [0, 63, 64, message.len() - 1] {
            let cut = referee.step(Some(&message[..len]), now);
            assert_eq!(cut, Err(Ignored::Signature));
        }
        for (at, replayed) in all.iter().enumerate() {
            if at != number {
                let taken = referee.step(Some(replayed), now);
                assert_eq!(taken, Err(Ignored::Signature), "{at} for {number}");
            }
        }
        // Signed by the other party, or for it.
        let awaited = match referee.status() {
            Status::Awaiting { question, .. } => question.party(),
            Status::Over(_) => panic!("too early"),
        };
        for signer in [Party::Operator, Party::Challenger] {
            for named in [Party::Operator, Party::Challenger] {
                if (signer, named) != (awaited, awaited) {
                    let forged = sign(&key(signer), referee.head(), named, &message[64..]);
                    assert_eq!(referee.step(Some(&forged), now), Err(Ignored::Signature));
                }
            }
        }
        assert_eq!(other.step(Some(&message), now), Err(Ignored::Signature));
        assert_eq!(*referee.head(), head);
        assert_eq!(referee.step(Some(&message), now), Ok(Some(entry.clone())));
    }
    assert_eq!(referee.status(), Status::Over(done.verdict));
    let after = referee.step(Some(&all[0]), START + 9999);
    assert_eq!(after, Err(Ignored::Over));
}

#[test]
fn time_runs_out_for_whoever_is_awaited() {
    let (player, lie, done) = wrong();
    let (claim, _) = lie.claim();
    for stop in 0..done.transcript.entries.len() {
        let mut referee = Referee::new(player.card(), &claim, terms(&claim)).unwrap();
        for entry in &done.transcript.entries[..stop] {
            referee
                .step(entry.message.as_deref(), entry.time_unix_s)
                .unwrap();
        }
        let (party, until) = match referee.status() {
            Status::Awaiting {
                question,
                until_unix_s,
            } => (question.party(), until_unix_s),
            Status::Over(_) => panic!("too early"),
        };
        assert_eq!(referee.step(None, until), Ok(None));
        let earlier = referee.step(None, until - 700);
        assert!(matches!(earlier, Err(Ignored::Clock { .. })));
        // The right message, a second late.
        let late = done.transcript.entries[stop].message.clone().unwrap();
        let entry = referee.step(Some(&late), until + 1).unwrap().unwrap();
        assert_eq!(entry.message, None);
        let Status::Over(verdict) = referee.status() else {
            panic!("time ran out");
        };
        assert_eq!(
            (verdict.loser, verdict.reason),
            (Some(party), Reason::Timeout)
        );
        let mut entries = done.transcript.entries[..stop].to_vec();
        entries.push(entry);
        let transcript = Transcript {
            terms: terms(&claim),
            entries,
        };
        let again = transcript.check(player.card(), &claim).unwrap();
        assert_eq!(again, verdict);
    }
}

#[test]
fn whoever_signs_what_is_not_due_loses() {
    let (player, lie, done) = wrong();
    let truth = crate::common::rerun(&player, &lie);
    let count = done.transcript.entries.len();
    for stop in 0..count {
        for refuses in [false, true] {
            let mut number = 0;
            let mut party = None;
            let ended = dispute(&player, &lie, &truth, |_, question, body| {
                number += 1;
                if number <= stop {
                    return Sent::Body(body);
                }
                party = Some(question.party());
                if refuses {
                    return Sent::Body(Body::Concede);
                }
                Sent::Bytes(vec![0xff, 1, 2])
            });
            let reason = if refuses {
                Reason::Conceded
            } else {
                Reason::Malformed
            };
            assert_eq!((ended.verdict.loser, ended.verdict.reason), (party, reason));
        }
    }
}

/// Bodies flipped and signed again: something is decided in the end, by rule, and nothing panics.
#[test]
fn flipped_bodies_that_are_signed_again() {
    let (player, lie, done) = wrong();
    let truth = crate::common::rerun(&player, &lie);
    let count = wide_count(&done);
    let mut numbers = Numbers::new(9);
    for _ in 0..250 {
        let (stop, mut number) = (numbers.below(count), 0);
        let ended = dispute(&player, &lie, &truth, |_, _, body| {
            number += 1;
            if number != stop + 1 {
                return Sent::Body(body);
            }
            let mut bytes = body.encode().unwrap();
            let at = numbers.index(bytes.len());
            bytes[at] ^= 1 << numbers.below(8);
            Sent::Bytes(bytes)
        });
        // An operator gains nothing by what it flips; only a challenger can spoil its case.
        if ended.verdict.loser == Some(Party::Challenger) {
            assert!(stop % 2 == 1, "{:?}", ended.verdict);
        }
        assert!(ended.verdict.loser.is_some());
    }
}

fn wide_count(done: &Dispute) -> u64 {
    u64::try_from(done.transcript.entries.len()).unwrap()
}

type Edit = fn(&mut Transcript);

#[test]
fn no_edited_transcript_shows_the_same_verdict() {
    let (player, lie, done) = wrong();
    let (claim, _) = lie.claim();
    let check = |transcript: &Transcript| -> Option<Verdict> {
        let bytes = transcript.encode().unwrap();
        let read = Transcript::decode(&bytes).ok()?;
        assert_eq!(&read, transcript);
        read.check(player.card(), &claim).ok()
    };
    assert_eq!(check(&done.transcript), Some(done.verdict));
    let edits: &[Edit] = &[
        |t| t.terms.started_unix_s -= 1,
        |t| t.terms.turn_s += 1,
        |t| t.terms.claim = credence_base::ClaimDigest::from_bytes([1; 32]),
        |t| core::mem::swap(&mut t.terms.operator, &mut t.terms.challenger),
        |t| t.entries[0].time_unix_s += 1,
        |t| t.entries[3].time_unix_s += 1,
        |t| t.entries.last_mut().unwrap().time_unix_s += 1,
        |t| t.entries[2].time_unix_s = 0,
        |t| t.entries[2].message = None,
        |t| drop(t.entries.pop()),
        |t| drop(t.entries.remove(0)),
        |t| drop(t.entries.remove(2)),
        |t| t.entries.swap(1, 2),
        |t| t.entries.push(t.entries[0].clone()),
        |t| t.entries.insert(1, t.entries[0].clone()),
        |t| t.entries[4].message.as_mut().unwrap()[70] ^= 1,
        |t| t.entries.last_mut().unwrap().message.as_mut().unwrap()[3] ^= 1,
        |t| t.entries.clear(),
        |t| {
            let time_unix_s = START + 99_999;
            let message = None;
            t.entries[1] = Entry {
                time_unix_s,
                message,
            };
        },
        |t| {
            t.entries.truncate(3);
            t.entries.push(Entry {
                time_unix_s: START + 99_999,
                message: None,
            });
        },
    ];
    for (number, edit) in edits.iter().enumerate() {
        let mut edited = done.transcript.clone();
        edit(&mut edited);
        assert_ne!(check(&edited), Some(done.verdict), "{number}");
    }
    let bytes = done.transcript.encode().unwrap();
    for len in (0..bytes.len()).step_by(97) {
        assert!(Transcript::decode(&bytes[..len]).is_err());
    }
    assert!(Transcript::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn disputes_that_cannot_be() {
    let (player, lie, _) = wrong();
    let (claim, _) = lie.claim();
    let refused = |claim: &Claim, terms| Referee::new(player.card(), claim, terms).unwrap_err();
    let mut other = terms(&claim);
    other.claim = credence_base::ClaimDigest::from_bytes([1; 32]);
    assert_eq!(refused(&claim, other), RefereeError::Claim);
    let mut same = terms(&claim);
    same.challenger = same.operator;
    assert!(matches!(refused(&claim, same), RefereeError::Terms(_)));
    let with = |edit: fn(&mut ClaimFields)| {
        let mut fields = claim.fields().clone();
        edit(&mut fields);
        let claim = Claim::new(fields).unwrap();
        refused(&claim, terms(&claim))
    };
    let model = with(|fields| fields.model = credence_base::ModelId::from_bytes([1; 32]));
    assert_eq!(model, RefereeError::Model);
    let constrained = with(|fields| {
        let name = |text| credence_base::Name::new(text).unwrap();
        fields.constrained = Some(ConstrainedDecoding {
            engine: name("llguidance"),
            version: name("1.2"),
        });
    });
    assert_eq!(constrained, RefereeError::Constrained);

    let encoder = Arc::new(encoder_model(3));
    let other = Player::new(&encoder, options()).unwrap();
    let mut fields = claim.fields().clone();
    fields.model = encoder.id();
    let vector = Claim::new(fields).unwrap();
    let refused = Referee::new(other.card(), &vector, terms(&vector)).unwrap_err();
    assert_eq!(refused, RefereeError::Encoder);

    let model = &lie.model;
    let range = text_range(model.program()).unwrap();
    let text = opening::open(WEIGHTS, player.weights(), &[range]).unwrap();
    let parts = CardParts {
        program: &program_bytes(model.program().spec()).unwrap(),
        weights_len: player.weights().len().try_into().unwrap(),
        weights_root: player.card().weights_root(),
        text: Some(&text),
    };
    let wordy = Card::decode(model.id(), &parts.encode().unwrap()).unwrap();
    let refused = Referee::new(&wordy, &claim, terms(&claim)).unwrap_err();
    assert_eq!(refused, RefereeError::Text);
}

/// A change here is a change of format: of messages, of the chain, or of what parties say.
#[test]
fn a_dispute_is_the_same_on_every_machine() {
    let (_, _, done) = wrong();
    assert_eq!(done.verdict.transcript.to_string(), GOLDEN);
}

const GOLDEN: &str = "97e779fbee2efcf742ca7a9474843db720fb57ebd457843f1e08aafec0a54744";
