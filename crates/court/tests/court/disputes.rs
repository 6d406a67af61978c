//! Disputes from the filing to a verdict that anyone reaches again.

use std::sync::atomic::Ordering;

use credence_base::Name;
use credence_claim::{Evidence, MethodId, Openings};
use credence_court::{
    CourtEvent, DOSSIER_VERSION, Dossier, ShownVerdict, Standing, Step, VerdictRefusal, confirm,
    statement,
};
use credence_dispute::{Body, Party, Reason};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Loser, Statement, sign};

use crate::common::{Court, Lie, NOON, TURN, challenger, key, operator, referee, told};

/// The whole verdict, as a party gets it, reached again.
fn shown(court: &Court, id: &credence_base::Digest) -> ShownVerdict {
    let pass = court.pass(&challenger(), id);
    let bundle = court.client.verdict(id, Some(&pass)).unwrap();
    confirm(&bundle).unwrap()
}

#[test]
fn a_lying_operator_loses_and_anyone_reaches_the_verdict_again() {
    for (lie, reasons) in [
        (Lie::Trace, [Reason::WrongCell, Reason::Filler]),
        (Lie::Output, [Reason::WrongOutput, Reason::Contradiction]),
    ] {
        let (court, told) = (Court::new(), told(4, lie, 2));
        let notice = told.file(&court);
        let verdict = told.play(&court, &notice);
        assert_eq!(verdict.loser, Some(Party::Operator), "{verdict:?}");
        assert!(reasons.contains(&verdict.reason), "{lie:?} {verdict:?}");
        let shown = shown(&court, &notice.dispute);
        assert_eq!(shown.verdict, verdict);
        assert!(shown.is_proof());
        assert_eq!(shown.statement.loser, Loser::Operator);
        assert_eq!(shown.disputed, told.receipt.digest());
        // Who lost is no secret, what was said is.
        let public = court.client.verdict(&notice.dispute, None).unwrap();
        assert_eq!(public.receipt().digest(), shown.digest);
        assert!(matches!(confirm(&public), Err(VerdictRefusal::NoDossier)));
        let events = court.events.lock().unwrap().clone();
        assert!(
            events.iter().any(
                |event| matches!(event, CourtEvent::Ended { loser, .. } if loser == "operator")
            )
        );
    }
}

#[test]
fn a_lying_challenger_loses_whatever_it_names() {
    let lies = [
        Body::Section(0),
        Body::Output { output: 0, at: 0 },
        Body::Section(3),
        Body::Draw(0),
        Body::Cell(credence_method_spot::Cell {
            position: 0,
            node: credence_exact_node(),
            index: 0,
        }),
        Body::Concede,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (court, told) = (Court::new(), told(4, Lie::None, 2));
        let notice = told.file(&court);
        for _ in 0..40 {
            let done = told.step(&court, &notice, Party::Operator, Some);
            if let Step::Over(verdict) = done {
                assert_eq!(
                    verdict.loser,
                    Some(Party::Challenger),
                    "{number} {verdict:?}"
                );
                assert!(!shown(&court, &notice.dispute).is_proof());
                break;
            }
            let own = lie.clone();
            told.step(&court, &notice, Party::Challenger, |honest| {
                // It goes on down the first child, whatever is there.
                Some(match (&own, honest) {
                    (Body::Section(_), Body::Concede) => own.clone(),
                    (lie, _) => lie.clone(),
                })
            });
        }
        let last = court.client.notice(&notice.dispute).unwrap().standing;
        assert!(
            matches!(last, Standing::Over(Some(Party::Challenger), _)),
            "{number} {last:?}"
        );
    }
}

const fn credence_exact_node() -> credence_exact::NodeId {
    credence_exact::NodeId(0)
}

#[test]
fn whoever_stalls_loses_by_time() {
    let (court, told) = (Court::new(), told(5, Lie::None, 2));
    let notice = told.file(&court);
    court.later(u64::from(TURN) + 1);
    let ended = court.ended(&notice);
    let lost = |party| Standing::Over(Some(party), Reason::Timeout);
    assert_eq!(ended.standing, lost(Party::Operator));
    let shown_first = shown(&court, &notice.dispute);
    assert!(
        !shown_first.is_proof(),
        "silence shows nothing of the claim"
    );

    let notice = told.file(&court);
    assert_eq!(
        told.step(&court, &notice, Party::Operator, Some),
        Step::Said
    );
    court.later(u64::from(TURN));
    std::thread::sleep(std::time::Duration::from_millis(700));
    let still = court.client.notice(&notice.dispute).unwrap();
    assert!(matches!(
        still.standing,
        Standing::Awaiting(Party::Challenger, _)
    ));
    court.later(1);
    assert_eq!(court.ended(&notice).standing, lost(Party::Challenger));
    shown(&court, &notice.dispute);
}

#[test]
fn a_restart_loses_nothing_and_costs_nobody_time() {
    let told = told(4, Lie::Trace, 2);
    let mut court = Court::new();
    let notice = told.file(&court);
    let mut verdict = None;
    for round in 0..200 {
        let party = if round % 2 == 0 {
            Party::Operator
        } else {
            Party::Challenger
        };
        if let Step::Over(over) = told.step(&court, &notice, party, Some) {
            verdict = Some(over);
            break;
        }
        // Down for longer than a turn, after every message.
        let (folder, wall) = court.stop();
        wall.fetch_add(10 * u64::from(TURN), Ordering::Relaxed);
        court = Court::at(folder, wall);
    }
    let verdict = verdict.unwrap();
    assert_eq!(verdict.loser, Some(Party::Operator));
    assert_ne!(verdict.reason, Reason::Timeout);
    assert_eq!(shown(&court, &notice.dispute).verdict, verdict);
    let (folder, wall) = court.stop();
    let court = Court::at(folder, wall);
    assert_eq!(shown(&court, &notice.dispute).verdict, verdict);
    // Nobody waits for it any more, so the clock is right again.
    let about = court.client.about().unwrap();
    assert!(about.time_unix_s > NOON + 10 * u64::from(TURN));
}

#[test]
fn a_verdict_that_was_not_written_down_is_signed_at_the_next_start() {
    let (court, told) = (Court::new(), told(4, Lie::Output, 2));
    let notice = told.file(&court);
    let verdict = told.play(&court, &notice);
    let (folder, wall) = court.stop();
    let file = folder
        .path()
        .join("disputes")
        .join(notice.dispute.to_string())
        .join("verdict");
    std::fs::remove_file(&file).unwrap();
    let court = Court::at(folder, wall);
    assert!(file.exists());
    assert_eq!(shown(&court, &notice.dispute).verdict, verdict);
}

#[test]
fn what_is_not_durable_was_not_said() {
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let notice = told.file(&court);
    let entries = court
        .folder
        .path()
        .join("disputes")
        .join(notice.dispute.to_string())
        .join("entries");
    std::fs::remove_dir(&entries).unwrap();
    std::fs::write(&entries, b"").unwrap();
    let seat_key = operator();
    let seat = credence_court::Seat {
        key: &seat_key,
        party: Party::Operator,
        card: told.player.card(),
        claim: &told.claim,
        terms: notice.terms,
    };
    let failed = credence_court::step(&court.client, &seat, |referee| {
        told.answer(Party::Operator, referee)
    });
    assert!(failed.is_err());
    std::fs::remove_file(&entries).unwrap();
    std::fs::create_dir(&entries).unwrap();
    let verdict = told.play(&court, &notice);
    assert_eq!(verdict.loser, Some(Party::Operator));
    shown(&court, &notice.dispute);
}

#[test]
fn a_partial_referee_is_found_out() {
    let (court, told) = (Court::new(), told(4, Lie::Trace, 2));
    let notice = told.file(&court);
    let verdict = told.play(&court, &notice);
    let pass = court.pass(&operator(), &notice.dispute);
    let bundle = court.client.verdict(&notice.dispute, Some(&pass)).unwrap();
    let dossier = Dossier::decode(&bundle.evidence()[0].bytes).unwrap();
    let honest = statement(&verdict, referee().public_key(), NOON).unwrap();
    let mut lies = Vec::new();
    for lie in 0..6 {
        let mut own = honest.clone();
        match lie {
            0 => own.loser = Loser::Challenger,
            1 => own.reason = Name::new("unfounded").unwrap(),
            2 => own.transcript = credence_base::Digest::from_bytes([7; 32]),
            3 => own.challenger = key(9).public_key(),
            4 => own.started_unix_s += 1,
            _ => own.turn_s += 1,
        }
        lies.push(own);
    }
    for lie in lies {
        let signed = sign(&Statement::Verdict(lie), &referee()).unwrap();
        let refused = confirm(&dossier.bundle(signed).unwrap());
        assert!(matches!(refused, Err(VerdictRefusal::Otherwise { .. })));
    }
    // The same, honestly signed by anyone: it is the transcript that shows it.
    let other = statement(&verdict, key(8).public_key(), NOON).unwrap();
    let signed = sign(&Statement::Verdict(other), &key(8)).unwrap();
    confirm(&dossier.bundle(signed).unwrap()).unwrap();
}

#[test]
fn no_edited_dossier_shows_the_verdict() {
    let (court, told) = (Court::new(), told(4, Lie::Output, 2));
    let notice = told.file(&court);
    told.play(&court, &notice);
    let pass = court.pass(&operator(), &notice.dispute);
    let bundle = court.client.verdict(&notice.dispute, Some(&pass)).unwrap();
    let bytes = bundle.encode().unwrap();
    assert_eq!(Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap(), bundle);
    let honest = &bundle.evidence()[0].bytes;
    let with = |bytes: Vec<u8>| {
        let evidence = Evidence {
            method: MethodId::DISPUTE,
            version: u32::from(DOSSIER_VERSION),
            bytes,
        };
        let receipt = bundle.receipt().clone();
        Bundle::new(receipt, Openings::default(), vec![evidence]).unwrap()
    };
    confirm(&with(honest.clone())).unwrap();
    for at in (0..honest.len()).step_by(5) {
        assert!(confirm(&with(honest[..at].to_vec())).is_err(), "{at}");
        let mut edited = honest.clone();
        edited[at] ^= 1 << (at % 8);
        assert!(confirm(&with(edited)).is_err(), "{at}");
    }
    assert!(confirm(&with([honest.as_slice(), &[0]].concat())).is_err());
}
