//! What an auditor makes of answers: each counted once, to whom it belongs, whoever logs, crashes, spoils, stalls or keeps silent.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use credence_base::SigningKey;
use credence_claim::{Case, FinishReason};
use credence_exec::sampling::{Parameters, Settings};
use credence_exec::{Append, Engine};
use credence_generate::{Finish, Generation, Language, Limits, Prompt};
use credence_log::{Algorithm, KeyName, LogPolicy, VerifierKey};
use credence_method_spot::Challenge;
use credence_model::Model;
use credence_prove_spot::{Carry, Opener};
use credence_receipt::{AuditOutcome, Bundle, Statement};
use credence_testkit::speaking::speaking;
use credence_watch::auditor::{AuditorEvent, Counts, Patience, run_auditor};

use crate::operator::{
    Contents, INTERVAL, NOON, World, answer, answer_by, contents, digest, drawn, key, options,
    reopened, signed, signed_at, small,
};
use crate::shared::log_key;

fn ours() -> credence_base::PublicKey {
    key().public_key()
}

#[test]
fn what_is_logged_twice_or_audited_before_a_crash_counts_once() {
    let (good, bad) = (answer(1, false), answer(2, true));
    let world = World::new([&good, &good, &bad, &good, &bad].map(digest).to_vec());
    [&good, &bad]
        .into_iter()
        .for_each(|bundle| world.put(bundle));
    let mut auditor = world.auditor();
    assert!(auditor.round(INTERVAL).unwrap());
    let expected = Counts {
        replayed: 1,
        refuted: 1,
        ..Counts::default()
    };
    assert_eq!(drawn(&auditor, &ours()), expected);
    assert_eq!(world.audits().len(), 2);
    drop(auditor);

    // Ended before the scoreboard was written, and now without the model: what was found stays, and so does its count.
    let folder = world.folder.path().join("auditor");
    std::fs::remove_file(folder.join("board.json")).unwrap();
    let blind = World {
        models: Arc::new(|_| None),
        ..world
    };
    blind.events.lock().unwrap().clear();
    let mut auditor = blind.auditor();
    assert_eq!(drawn(&auditor, &ours()), expected);
    assert!(!auditor.round(INTERVAL).unwrap());
    assert_eq!(drawn(&auditor, &ours()), expected);
    let events = blind.events.lock().unwrap();
    let audited = |event: &AuditorEvent| matches!(event, AuditorEvent::Audited { .. });
    assert!(!events.iter().any(audited), "nothing was made anew");
}

#[test]
fn an_operator_that_is_out_of_order_is_asked_again() {
    let bundle = answer(1, false);
    let world = World::new(vec![digest(&bundle)]);
    world.entitle(core::slice::from_ref(&bundle));
    let mut auditor = world.auditor();
    for status in [503, 429, 500] {
        world.stub.status(status);
        auditor.round(INTERVAL).unwrap();
        world.later(40);
    }
    assert_eq!(drawn(&auditor, &ours()), Counts::default());
    assert_eq!(auditor.board().nobodys.drawn, Counts::default());
    assert_eq!(auditor.board().pending.unanswered(), 1);
    drop(auditor);
    // Also by one that was ended in between.
    world.stub.serves(&[bundle]);
    let mut auditor = world.auditor();
    world.later(60);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(drawn(&auditor, &ours()).replayed, 1);
    assert!(auditor.board().pending.all().is_empty());
}

#[test]
fn lasting_silence_is_signed_and_counts_to_whom_the_receipt_is_shown_to_be() {
    let bundle = answer(1, false);
    // The receipt alone is public, whoever may see more; or nobody shows it.
    for shown in [true, false] {
        let world = World::new(vec![digest(&bundle)]);
        world.entitle(core::slice::from_ref(&bundle));
        let bare = reopened(&bundle, |openings| *openings = Default::default());
        let bytes = bare.encode().unwrap();
        world.stub.answers(move |_, path, _| {
            if path.contains("?key=") || !shown {
                (404, Vec::new())
            } else {
                (200, bytes.clone())
            }
        });
        let mut auditor = world.auditor();
        for _ in 0..4 {
            auditor.round(INTERVAL).unwrap();
            world.later(60);
        }
        let (own, nobodys) = (drawn(&auditor, &ours()), auditor.board().nobodys.drawn);
        assert_eq!(
            (own.unanswered, nobodys.unanswered),
            (shown.into(), (!shown).into())
        );
        let audits = world.audits();
        assert_eq!(audits.len(), 1);
        assert_eq!(audits[0].outcome, AuditOutcome::Failed);
        assert_eq!(audits[0].receipt, digest(&bundle));
        let answered = audits[0]
            .numbers
            .iter()
            .find(|(name, _)| name.as_str() == "answered");
        assert_eq!(answered.unwrap().1, 0);
        // It is settled: asked no more.
        let asked = world.stub.asked.load(Ordering::Relaxed);
        auditor.round(INTERVAL).unwrap();
        assert_eq!(world.stub.asked.load(Ordering::Relaxed), asked);
    }
}

#[test]
fn what_may_be_seen_later_is_looked_at_then() {
    let bundles = [1, 2, 3].map(|salt| answer(salt, false));
    let world = World::new(bundles.iter().map(digest).collect());
    world.stub.serves(&bundles);
    let whole = world.entitle(&bundles);
    // Cut in the middle of its second line, as while it is written; and a bundle of which half is there.
    std::fs::write(world.keys(), &whole[..whole.len() / 2]).unwrap();
    let path = world.bundles().join("third.json");
    let third = bundles[2].encode().unwrap();
    std::fs::write(&path, &third[..third.len() / 2]).unwrap();
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    assert_eq!(
        (drawn(&auditor, &ours()).replayed, auditor.board().unseen()),
        (1, 2)
    );
    std::fs::write(&path, &third).unwrap();
    auditor.round(INTERVAL).unwrap();
    assert_eq!(drawn(&auditor, &ours()).replayed, 2);
    std::fs::write(world.keys(), &whole).unwrap();
    auditor.round(INTERVAL).unwrap();
    assert_eq!(
        (drawn(&auditor, &ours()).replayed, auditor.board().unseen()),
        (3, 0)
    );
}

#[test]
fn a_key_that_is_refused_shows_nothing_against_anybody() {
    let bundle = answer(1, false);
    let world = World::new(vec![digest(&bundle)]);
    world.stub.serves(core::slice::from_ref(&bundle));
    let line = format!("{} {}\n", digest(&bundle), "ab".repeat(32));
    std::fs::write(world.keys(), line).unwrap();
    let mut auditor = world.auditor();
    for _ in 0..5 {
        auditor.round(INTERVAL).unwrap();
        world.later(1000);
    }
    assert_eq!(auditor.board().unseen(), 1);
    assert!(world.audits().is_empty());
    assert!(auditor.board().operators.is_empty());
}

#[test]
fn an_audit_that_was_kept_is_logged_later_and_not_twice() {
    let bundle = answer(1, false);
    let mut world = World::new(vec![digest(&bundle)]);
    world.put(&bundle);
    let (is_up, logged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let (up, log) = (Arc::clone(&is_up), Arc::clone(&logged));
    world.publish = Some(Arc::new(move |digest| {
        if !up.load(Ordering::Relaxed) {
            return Err("the log is down".to_owned());
        }
        log.lock().unwrap().push(digest);
        Ok(())
    }));
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    let events = world.events.lock().unwrap().clone();
    let not_logged = |event: &AuditorEvent| matches!(event, AuditorEvent::NotLogged { .. });
    assert!(events.iter().any(not_logged));
    drop(auditor);

    is_up.store(true, Ordering::Relaxed);
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    auditor.round(INTERVAL).unwrap();
    drop(auditor);
    world.auditor().round(INTERVAL).unwrap();
    let named = events.iter().find_map(|event| match event {
        AuditorEvent::Audited { audit, .. } => Some(audit.clone()),
        _ => None,
    });
    let logged: Vec<String> = logged
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    // What was told of is what was kept and what is logged.
    assert_eq!(logged, [named.unwrap()]);
}

#[test]
fn spoilt_openings_count_against_whoever_spoilt_them() {
    let bundle = answer(1, false);
    let spoilt = reopened(&bundle, |openings| {
        openings.input.as_mut().unwrap().content[0] ^= 1;
    });
    let other = answer(9, false);
    let resalted = reopened(&bundle, |openings| {
        openings.trace = other.openings().trace;
    });
    let bare = reopened(&bundle, |openings| openings.output = None);

    // By the operator: it opens what it did not claim, or leaves it out. It has not answered, though it may still.
    for served in [&spoilt, &bare] {
        let world = World::new(vec![digest(&bundle)]);
        world.entitle(core::slice::from_ref(&bundle));
        let bytes = served.encode().unwrap();
        world.stub.answers(move |_, _, _| (200, bytes.clone()));
        let mut auditor = world.auditor();
        for _ in 0..4 {
            auditor.round(INTERVAL).unwrap();
            world.later(60);
        }
        assert_eq!(drawn(&auditor, &ours()).unanswered, 1);
        assert_eq!(auditor.board().unseen(), 0);
    }
    // By whoever fills the folder: the operator's own bundle decides, also where a wrong salt makes a true trace look false.
    for given in [&spoilt, &resalted] {
        let world = World::new(vec![digest(&bundle)]);
        world.put(given);
        world.stub.serves(core::slice::from_ref(&bundle));
        let mut auditor = world.auditor();
        assert!(!auditor.round(INTERVAL).unwrap());
        let counts = drawn(&auditor, &ours());
        assert_eq!((counts.refuted, counts.unanswered), (0, 0));
        let is_salt = core::ptr::eq(given, &raw const resalted);
        assert_eq!(counts.replayed, u64::from(!is_salt));
    }
    // One that is left bare in the folder is fetched, if there is a key.
    let world = World::new(vec![digest(&bundle)]);
    world.put(&bare);
    world.stub.serves(core::slice::from_ref(&bundle));
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    assert_eq!(auditor.board().unseen(), 1);
    world.entitle(&[bundle]);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(drawn(&auditor, &ours()).replayed, 1);
}

#[test]
fn each_counts_to_its_own_operator() {
    let other = SigningKey::from_seed(&[77; 32]);
    let bundles = [answer(1, false), answer_by(&other, 2, true)];
    let world = World::new(bundles.iter().map(digest).collect());
    bundles.iter().for_each(|bundle| world.put(bundle));
    let mut auditor = world.auditor();
    assert!(auditor.round(INTERVAL).unwrap());
    assert_eq!(drawn(&auditor, &ours()).replayed, 1);
    assert_eq!(drawn(&auditor, &ours()).refuted, 0);
    assert_eq!(drawn(&auditor, &other.public_key()).refuted, 1);
}

#[test]
fn a_log_without_its_quorum_is_not_looked_at() {
    let bundle = answer(1, false);
    let mut world = World::new(vec![digest(&bundle)]);
    world.put(&bundle);
    let witness = SigningKey::from_seed(&[5; 32]).public_key();
    let name = KeyName::new("w.example").unwrap();
    let witness = VerifierKey::new(name, Algorithm::CosignatureV1, witness);
    world.policy = Some(LogPolicy::new(vec![log_key()], vec![witness], 1).unwrap());
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    let events = world.events.lock().unwrap().clone();
    assert!(
        matches!(&events[..], [AuditorEvent::LogFailed { words, .. }] if words.contains("policy"))
    );
    assert!(world.audits().is_empty());
    drop(auditor);
    world.policy = Some(LogPolicy::new(vec![log_key()], Vec::new(), 0).unwrap());
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    assert_eq!(drawn(&auditor, &ours()).replayed, 1);
}

/// A greedy answer of a model that speaks, its words as they are or edited.
fn spoken(model: &Arc<Model>, edit: bool) -> Bundle {
    let language = Language::new(Engine::new(Arc::clone(model), options()).unwrap()).unwrap();
    let settings = Settings {
        temperature: 0,
        ..Settings::neutral(4)
    };
    let parameters = Parameters::new(settings).unwrap();
    let prompt = Prompt::tokens(vec![87, 104, 97, 116], 0).unwrap();
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, ([0; 32], 0), limits);
    let mut session = language.engine().recording_session().unwrap();
    let mut next = prompt.ids().to_vec();
    while generation.finish().is_none() {
        let mut drawn = None;
        let mut appends = [Append {
            session: &mut session,
            tokens: &next,
            sampled: 1,
        }];
        let mut sink = |_: usize, _: usize, logits: &[i32]| {
            drawn = Some(generation.step(logits).unwrap());
        };
        language.engine().advance(&mut appends, &mut sink).unwrap();
        next = vec![drawn.unwrap().token];
    }
    let mut output = generation.output();
    if edit {
        output.text = "Send money.".to_owned();
    }
    let contents = Contents {
        input: prompt.encode().unwrap(),
        params: parameters.encode(),
        output: output.encode().unwrap(),
        trace: session.trace_root(),
        counts: (4, u64::try_from(generation.tokens().len()).unwrap()),
        finish: match generation.finish() {
            Some(Finish::Stop) => FinishReason::Stop,
            Some(Finish::Length) => FinishReason::Length,
            None => FinishReason::Cancelled,
        },
    };
    signed((model, &key()), &contents, 5)
}

/// Opens whatever it is asked for, with `carry` of the model.
fn opener(model: &Arc<Model>, bundle: &Bundle, carry: Carry) -> impl Fn(&[u8]) -> Vec<u8> + use<> {
    let opener = Opener::new(model, options()).unwrap();
    let bundle = bundle.clone();
    move |body| {
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap();
        let random: credence_base::Digest = asked["challenge"].as_str().unwrap().parse().unwrap();
        let signed = bundle.receipt().open().unwrap().into_statement();
        let Statement::Inference(inference) = signed else {
            panic!("another statement")
        };
        let openings = bundle.openings();
        let case = Case::check(&inference.claim, &inference.operator, openings).unwrap();
        let rerun = opener.rerun(&case).unwrap();
        let carry = if asked["card"] == "nothing" {
            Carry::Nothing
        } else {
            carry
        };
        let challenge = Challenge::Auditor(*random.as_bytes());
        rerun.prove(&challenge, (16, 1), carry).unwrap()
    }
}

/// The words of an answer are edited and its tokens left: by a program without tokeniser it would pass as spot-checked.
#[test]
fn a_program_without_its_tokeniser_shows_nothing() {
    let model = Arc::new(speaking(1));
    let honest = spoken(&model, false);
    for (bundle, carry, expected) in [
        (&honest, Carry::ProgramAndText, "spot_checked"),
        (&honest, Carry::Program, "unanswered"),
        (&honest, Carry::Nothing, "unanswered"),
        (&spoken(&model, true), Carry::Program, "unanswered"),
    ] {
        let mut world = World::new(vec![digest(bundle)]);
        world.times.patience = Patience {
            tries: 1,
            over_s: 0,
        };
        world.models = Arc::new(|_| None);
        world.put(bundle);
        let opens = opener(&model, bundle, carry);
        world.stub.answers(move |method, _, body| match method {
            "POST" => (200, opens(body)),
            _ => (404, Vec::new()),
        });
        let mut auditor = world.auditor();
        auditor.round(INTERVAL).unwrap();
        let counts = drawn(&auditor, &ours());
        let got = (counts.spot_checked, counts.unanswered);
        let expected = (
            u64::from(expected == "spot_checked"),
            u64::from(expected == "unanswered"),
        );
        assert_eq!(got, expected, "{carry:?}");
        let cards = world
            .folder
            .path()
            .join("cards")
            .join(model.id().to_string());
        assert_eq!(
            cards.exists(),
            expected.0 == 1,
            "what passed is kept, and only that"
        );
    }
}

/// With the tokeniser at hand from an audit before, the edited words are found out, and no card travels.
#[test]
fn edited_words_are_found_by_the_card_that_is_kept() {
    let model = Arc::new(speaking(1));
    let (honest, edited) = (spoken(&model, false), spoken(&model, true));
    let mut world = World::new([&honest, &edited].map(digest).to_vec());
    world.models = Arc::new(|_| None);
    [&honest, &edited]
        .into_iter()
        .for_each(|bundle| world.put(bundle));
    let carried: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let told = Arc::clone(&carried);
    let first = opener(&model, &honest, Carry::ProgramAndText);
    let name = digest(&honest).to_string();
    let second = opener(&model, &honest, Carry::Nothing);
    world.stub.answers(move |_, path, body| {
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        told.lock().unwrap().insert(asked["card"].to_string());
        if path.contains(&name) {
            (200, first(body))
        } else {
            (200, second(body))
        }
    });
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    let counts = drawn(&auditor, &ours());
    assert_eq!(counts.spot_checked, 1);
    assert_eq!(
        carried.lock().unwrap().len(),
        2,
        "`text` once, then `nothing`"
    );
    assert!(counts.refuted == 1 || auditor.board().pending.unanswered() == 1);
}

/// A date ahead of the auditor's clock is no way out of being audited.
#[test]
fn an_answer_from_the_future_is_audited_as_any_other() {
    for (lie, refuted) in [(false, 0), (true, 1)] {
        let made = contents(1, lie);
        let bundle = signed_at((&small(), &key()), &made, (1, NOON + 1_000_000));
        let world = World::new(vec![digest(&bundle)]);
        world.put(&bundle);
        let mut auditor = world.auditor();
        auditor.round(INTERVAL).unwrap();
        let counts = drawn(&auditor, &ours());
        let expected = (refuted, 1 - refuted, 0);
        assert_eq!((counts.refuted, counts.replayed, counts.failed), expected);
    }
}

/// The key that opened the operator's own bundle is right: 403 to it is no answer. Of a bundle that another gave us it may be wrong.
#[test]
fn who_refuses_a_key_that_it_has_taken_is_silent() {
    let bundle = answer(1, false);
    for is_own in [true, false] {
        let mut world = World::new(vec![digest(&bundle)]);
        world.models = Arc::new(|_| None);
        if is_own {
            world.entitle(std::slice::from_ref(&bundle));
        } else {
            world.put(&bundle);
        }
        let bytes = bundle.encode().unwrap();
        world.stub.answers(move |method, _, _| match method {
            "POST" => (403, Vec::new()),
            _ => (200, bytes.clone()),
        });
        let mut auditor = world.auditor();
        for _ in 0..4 {
            auditor.round(INTERVAL).unwrap();
            world.later(1000);
        }
        assert_eq!(drawn(&auditor, &ours()).unanswered, u64::from(is_own));
        assert_eq!(auditor.board().unseen(), u64::from(!is_own));
    }
}

/// Anyone with two receipts' keys keeps an operator busy: for a day that counts as no silence, and all the while as unsettled.
#[test]
fn a_busy_operator_is_no_silent_one() {
    let bundle = answer(1, false);
    let mut world = World::new(vec![digest(&bundle)]);
    world.models = Arc::new(|_| None);
    world.put(&bundle);
    world.stub.status(429);
    let mut auditor = world.auditor();
    for _ in 0..40 {
        auditor.round(INTERVAL).unwrap();
        world.later(2000);
    }
    assert!(world.audits().is_empty());
    assert_eq!(auditor.board().waits_drawn(), 1);
    assert_eq!(
        drawn(&auditor, &ours())
            .strict(auditor.board().waits_drawn())
            .wrong,
        1
    );
    for _ in 0..10 {
        auditor.round(INTERVAL).unwrap();
        world.later(2000);
    }
    assert_eq!(drawn(&auditor, &ours()).unanswered, 1);
}

/// Words in and tensors out: no cell of an encoder's run can be opened, so to ask for some would make an honest answer an unanswered one.
#[test]
fn an_encoders_answer_without_its_model_is_not_settled_and_not_unanswered() {
    let made = Contents {
        input: Prompt::tokens(vec![1, 2], 0).unwrap().encode().unwrap(),
        ..contents(1, false)
    };
    let bundle = signed((&small(), &key()), &made, 1);
    let mut world = World::new(vec![digest(&bundle)]);
    world.models = Arc::new(|_| None);
    world.put(&bundle);
    world.stub.status(500);
    let mut auditor = world.auditor();
    auditor.round(INTERVAL).unwrap();
    let counts = drawn(&auditor, &ours());
    assert_eq!((counts.failed, counts.unanswered), (1, 0));
    assert_eq!(world.stub.asked.load(Ordering::Relaxed), 0);
}

/// An operator that would have answered in its full time is not silent for having had less.
#[test]
fn a_time_that_is_cut_short_is_not_held_against_the_operator() {
    let bundles = [answer(1, false), answer(2, false)];
    let mut world = World::new(bundles.iter().map(digest).collect());
    world.entitle(&bundles);
    world.stub.answers(|_, _, _| {
        std::thread::sleep(Duration::from_millis(400));
        (404, Vec::new())
    });
    world.times.budget = Duration::from_millis(100);
    let mut auditor = world.auditor();
    for _ in 0..4 {
        auditor.round(INTERVAL).unwrap();
        world.later(1000);
    }
    assert!(world.audits().is_empty());
    assert!(
        auditor
            .board()
            .pending
            .all()
            .iter()
            .all(|one| one.tries == 0)
    );
    assert_eq!(auditor.board().waits_drawn(), 2, "unsettled all the while");
}

#[test]
fn a_slow_operator_costs_a_round_its_budget_and_is_left_when_it_is_time_to_end() {
    let bundles: Vec<Bundle> = (0..40).map(|salt| answer(salt, false)).collect();
    let mut world = World::new(bundles.iter().map(digest).collect());
    world.entitle(&bundles);
    world.stub.answers(|_, _, _| {
        std::thread::sleep(Duration::from_millis(100));
        (404, Vec::new())
    });
    world.times.budget = Duration::from_millis(350);
    let mut auditor = world.auditor();
    let started = Instant::now();
    auditor.round(INTERVAL).unwrap();
    assert!(started.elapsed() < Duration::from_secs(3));
    let asked = world.stub.asked.load(Ordering::Relaxed);
    assert!((1..=5).contains(&asked), "{asked}");
    // None is lost, and those that were not asked for have not been tried.
    let pending = auditor.board().pending.all();
    assert_eq!(pending.len(), 40);
    let tried = pending.iter().filter(|one| one.tries > 0).count();
    assert!((1..=5).contains(&tried), "{tried}");
    drop(auditor);

    // Told to end, it ends between two entries.
    world.times.budget = Duration::from_secs(60);
    world.later(1000);
    let auditor = world.auditor();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = Instant::now();
    let stop = async { tokio::time::sleep(Duration::from_millis(250)).await };
    runtime
        .block_on(run_auditor(auditor, (INTERVAL, false), stop))
        .unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}
