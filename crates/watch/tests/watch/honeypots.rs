//! Requests of an auditor's own: the receipt must be the operator's, new, and of what was sent and received.

use std::sync::Arc;

use credence_base::{ModelId, SigningKey};
use credence_claim::Openings;
use credence_receipt::{AuditOutcome, Bundle, Kept};
use credence_watch::auditor::{
    Auditor, AuditorEvent, Counts, Exchange, Honeypots, Patience, Prompts,
};
use credence_witness::fetch::Fetcher;
use serde_json::json;

use crate::operator::{INTERVAL, World, answer, answer_by, key, small};

/// In these tests a request's body says the salt of its answer, and so does the answer.
fn is_same(exchange: &Exchange<'_>, openings: &Openings) -> Result<(), String> {
    let sent: serde_json::Value = serde_json::from_str(exchange.body).unwrap();
    let said: serde_json::Value = serde_json::from_slice(exchange.answer).unwrap();
    let expected = answer(sent["salt"].as_u64().unwrap(), false);
    let (own, other) = (expected.openings(), openings);
    let content = |openings: &Openings| {
        let input = openings.input.as_ref().map(|own| own.content.clone());
        (
            input,
            openings.output.as_ref().map(|own| own.content.clone()),
        )
    };
    if content(own).0 != content(other).0 {
        return Err("another request".to_owned());
    }
    if said["words"] != json!(hex(&content(other).1.unwrap())) {
        return Err("other words".to_owned());
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn world(expect: Option<&str>) -> (World, Auditor) {
    world_of(expect, None)
}

fn world_of(expect: Option<&str>, model: Option<ModelId>) -> (World, Auditor) {
    let mut world = World::new(Vec::new());
    world.times.patience = Patience {
        tries: 2,
        over_s: 50,
    };
    let mut line = json!({"path": "/v1/completions", "body": {"salt": 1}});
    if let Some(expect) = expect {
        line["expect"] = json!(expect);
    }
    if let Some(model) = model {
        line["model"] = json!(model.to_string());
    }
    let path = world.folder.path().join("prompts.jsonl");
    std::fs::write(&path, line.to_string()).unwrap();
    let auditor = again(&world);
    (world, auditor)
}

fn again(world: &World) -> Auditor {
    let path = world.folder.path().join("prompts.jsonl");
    world.auditor_with(Some(Honeypots {
        prompts: Prompts::read(&path).unwrap(),
        every_s: 1,
        client: Fetcher::named("curl/8.5.0"),
        operator: key().public_key(),
        same: Arc::new(is_same),
    }))
}

/// The operator answers with `says` and names the receipt of `shows`.
fn answers(world: &World, says: &Bundle, shows: &Bundle) {
    let words = hex(&says.openings().output.as_ref().unwrap().content);
    let path = Kept::of(shows).path();
    let reply = json!({"words": words, "choices": [{"text": "It is Paris."}], "credence": {"bundle": path}});
    let (reply, bundle) = (reply.to_string().into_bytes(), shows.encode().unwrap());
    world.stub.answers(move |method, _, _| match method {
        "POST" => (200, reply.clone()),
        _ => (200, bundle.clone()),
    });
}

fn counts(auditor: &Auditor) -> Counts {
    let tally = auditor
        .board()
        .operators
        .get(&key().public_key().to_string());
    tally.copied().unwrap_or_default().honeypots
}

#[test]
fn an_honest_answer_is_run_again_once_and_shown_twice_it_is_none() {
    let (world, mut auditor) = world(Some("Paris"));
    let bundle = answer(1, false);
    answers(&world, &bundle, &bundle);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(counts(&auditor).replayed, 1);
    // A receipt that was seen before is not one of this answer.
    auditor.round(INTERVAL).unwrap();
    let now = counts(&auditor);
    assert_eq!((now.replayed, now.unanswered), (1, 1));
    assert_eq!(world.audits().len(), 1);
}

#[test]
fn a_receipt_of_something_else_is_no_answer() {
    let honest = answer(1, false);
    // True receipts all, of another request, of other words, of another operator's.
    let others = SigningKey::from_seed(&[66; 32]);
    let input = |bundle: &Bundle| bundle.openings().input.as_ref().unwrap().content.clone();
    let mut all = (2..50).map(|salt| answer(salt, false));
    let another = all.find(|other| input(other) != input(&honest)).unwrap();
    for (says, shows, published) in [
        (&honest, another, 1),
        (&answer(1, true), honest.clone(), 1),
        (&honest, answer_by(&others, 1, false), 0),
    ] {
        let (world, mut auditor) = world(None);
        answers(&world, says, &shows);
        auditor.round(INTERVAL).unwrap();
        let now = counts(&auditor);
        assert_eq!((now.replayed, now.unanswered), (0, 1));
        assert_eq!(auditor.board().operators.len(), 1, "nobody else is charged");
        let audits = world.audits();
        assert_eq!(audits.len(), published, "what can be named is signed");
        assert!(
            audits
                .iter()
                .all(|audit| audit.outcome == AuditOutcome::Failed)
        );
    }
}

#[test]
fn a_false_answer_is_false_and_an_unexpected_one_has_not_passed() {
    let (false_world, mut auditor) = world(None);
    let lie = answer(1, true);
    answers(&false_world, &lie, &lie);
    assert!(auditor.round(INTERVAL).unwrap());
    assert_eq!(counts(&auditor).refuted, 1);

    let (odd, mut auditor) = world(Some("Rome"));
    let bundle = answer(1, false);
    answers(&odd, &bundle, &bundle);
    assert!(!auditor.round(INTERVAL).unwrap());
    assert_eq!((counts(&auditor).failed, counts(&auditor).replayed), (1, 0));
    let audit = &odd.audits()[0];
    assert_eq!(audit.outcome, AuditOutcome::Failed);
    let expected = audit
        .numbers
        .iter()
        .find(|(name, _)| name.as_str() == "expected");
    assert_eq!(expected.unwrap().1, 0);
}

/// A cheaper model under the name of another: true answers all. The one that the line names must answer; where none is named, the one that answered first.
#[test]
fn another_model_than_was_named_or_answered_first_is_no_right_answer() {
    let (bundle, own) = (answer(1, false), small().id());
    let other = ModelId::from_bytes([9; 32]);
    for (named, replayed, unanswered) in [(own, 1, 0), (other, 0, 1)] {
        let (world, mut auditor) = world_of(None, Some(named));
        answers(&world, &bundle, &bundle);
        auditor.round(INTERVAL).unwrap();
        let now = counts(&auditor);
        assert_eq!((now.replayed, now.unanswered), (replayed, unanswered));
    }
    let (world, mut auditor) = world_of(None, None);
    answers(&world, &bundle, &bundle);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(counts(&auditor).replayed, 1);
    let models = &auditor.board().models;
    assert_eq!(models.get("/v1/completions "), Some(&own.to_string()));
    drop(auditor);

    // One that answered first, before this auditor was ended, was another.
    let (world, auditor) = world_of(None, None);
    drop(auditor);
    let path = credence_watch::auditor::board_path(&world.folder.path().join("auditor"));
    let mut board = credence_watch::auditor::Board::read(&path).unwrap();
    board
        .models
        .insert("/v1/completions ".to_owned(), other.to_string());
    board.write(&path).unwrap();
    let mut auditor = again(&world);
    answers(&world, &bundle, &bundle);
    auditor.round(INTERVAL).unwrap();
    let now = counts(&auditor);
    assert_eq!((now.replayed, now.failed, now.unanswered), (0, 1, 0));
}

/// The answer came and its receipt cannot be fetched: nobody's silence, and not settled either.
#[test]
fn a_receipt_that_cannot_be_fetched_is_no_silence_and_stays_unsettled() {
    for (status, unanswered) in [
        (408, 0),
        (425, 0),
        (429, 0),
        (500, 0),
        (503, 0),
        (403, 1),
        (404, 1),
    ] {
        let (world, mut auditor) = world(None);
        let path = Kept::of(&answer(1, false)).path();
        let reply = json!({"credence": {"bundle": path}})
            .to_string()
            .into_bytes();
        world.stub.answers(move |method, _, _| match method {
            "POST" => (200, reply.clone()),
            _ => (status, Vec::new()),
        });
        auditor.round(INTERVAL).unwrap();
        assert_eq!(counts(&auditor).unanswered, unanswered, "{status}");
        let waits = auditor.board().waits_own();
        assert_eq!(waits + unanswered, 1, "{status}");
        assert_eq!(counts(&auditor).strict(waits).wrong, 1);
    }
}

#[test]
fn an_outage_is_no_silence_until_it_lasts() {
    let (world, mut auditor) = world(None);
    world.stub.status(503);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(counts(&auditor).unanswered, 0);
    world.later(60);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(counts(&auditor).unanswered, 1);
    // Said to our face, it counts at once.
    world.stub.status(404);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(counts(&auditor).unanswered, 2);
    let counted: Vec<bool> = world
        .events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            AuditorEvent::NoAnswer { counted, .. } => Some(*counted),
            _ => None,
        })
        .collect();
    assert_eq!(counted, [false, true, true]);
    // It is remembered.
    drop(auditor);
    let board = credence_watch::auditor::Board::read(&credence_watch::auditor::board_path(
        &world.folder.path().join("auditor"),
    ));
    assert_eq!(board.unwrap().silent.values().sum::<u64>(), 2);
}
