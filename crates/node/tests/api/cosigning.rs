//! A world of witnesses, by dice: down, late, lying, with clocks that are wrong. The log goes on, proofs come when the quorum does, and only a quorum that is
//! lost ends anything.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use credence_base::{ReceiptDigest, SigningKey};
use credence_ledger::Ledger;
use credence_log::policy::Clock;
use credence_log::sequencer::SequencerError;
use credence_log::{
    AddCheckpoint, Algorithm, KeyName, LogPolicy, SignedCheckpoint, Signer, cosignature,
};
use credence_node::{Cosigning, Logging, Pace};
use credence_testkit::kill::Dice;
use credence_witness::fetch::Prefix;
use credence_witness::{Limits, NoteFolder, WitnessAddress, WitnessServer, listen};

use crate::logs::{ledger, signer};

const PACE: Pace = Pace {
    look: Duration::from_millis(2),
    deadline: Duration::from_millis(300),
    linger: Duration::from_millis(5),
    again: Duration::from_secs(600),
    pause_max: Duration::from_millis(10),
};

/// What a witness does with the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Down,
    Late,
    /// It says that it has seen more than there is.
    SaysMore,
    /// It says that it has seen another root.
    SaysOther,
    /// Its clock is a day behind; what has cosigned later refuses to.
    Behind,
    /// Its clock is a day ahead; it refuses for a day then.
    AheadOfTime,
}

struct Witness {
    address: WitnessAddress,
    mood: Arc<Mutex<Mood>>,
    _runtime: tokio::runtime::Runtime,
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

async fn moody(State(mood): State<Arc<Mutex<Mood>>>, request: Request, next: Next) -> Response {
    let mood = *mood.lock().unwrap();
    match mood {
        Mood::Well | Mood::Behind | Mood::AheadOfTime => next.run(request).await,
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Late => {
            tokio::time::sleep(PACE.deadline * 2).await;
            next.run(request).await
        }
        Mood::SaysMore => (StatusCode::CONFLICT, "1000000\n").into_response(),
        Mood::SaysOther => {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20)
                .await
                .unwrap();
            let asked = AddCheckpoint::parse(&body).unwrap();
            let size = asked.checkpoint.unverified().size();
            if asked.old_size == size {
                return StatusCode::UNPROCESSABLE_ENTITY.into_response();
            }
            (StatusCode::CONFLICT, format!("{size}\n")).into_response()
        }
    }
}

impl Witness {
    fn start(at: u8, folder: &Path) -> Self {
        let name = KeyName::new(&format!("w{at}.example")).unwrap();
        let key = SigningKey::from_seed(&[100 + at; 32]);
        let key = Signer::new(name, Algorithm::CosignatureV1, key);
        let verifier = key.verifier().clone();
        let mood = Arc::new(Mutex::new(Mood::Well));
        let clocked = Arc::clone(&mood);
        let clock = Arc::new(move || match *clocked.lock().unwrap() {
            Mood::Behind => now_s() - 86_400,
            Mood::AheadOfTime => now_s() + 86_400,
            _ => now_s(),
        });
        let notes = NoteFolder::open(&folder.join(format!("w{at}"))).unwrap();
        let logs = vec![signer().verifier().clone()];
        let server =
            WitnessServer::open(key, logs, Arc::new(notes), clock, Arc::new(|_| {})).unwrap();
        let router = Arc::new(server)
            .router("")
            .layer(from_fn_with_state(Arc::clone(&mood), moody));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let stop = std::future::pending::<()>();
        runtime.spawn(listen::serve(listener, router, Limits::usual(), stop));
        Self {
            address: WitnessAddress {
                key: verifier,
                prefix: Prefix::new(&format!("http://{address}")).unwrap(),
            },
            mood,
            _runtime: runtime,
        }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn digest(number: u64) -> ReceiptDigest {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

/// Three witnesses, of whom two must cosign.
fn policy(witnesses: &[Witness]) -> LogPolicy {
    let keys = witnesses.iter().map(|one| one.address.key.clone());
    LogPolicy::new(vec![signer().verifier().clone()], keys.collect(), 2).unwrap()
}

fn proved(ledger: &Ledger, by: &SignedCheckpoint, number: u64, witnesses: &[Witness]) -> bool {
    let clock = Clock {
        now_unix_s: now_s(),
        skew_max_s: 120,
    };
    let proof = ledger.proof_under(digest(number), by).unwrap();
    let policy = policy(witnesses);
    proof.is_some_and(|proof| {
        proof
            .verify_at_any_age(&digest(number), &policy, clock)
            .is_ok()
    })
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One history. At most one witness lies, or spoils its record; the others are whatever the dice say.
fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let witnesses: Vec<Witness> = (0..3).map(|at| Witness::start(at, folder.path())).collect();
    let addresses = || witnesses.iter().map(|one| one.address.clone()).collect();
    let log = ledger(folder.path(), 5, 100);
    let cosigning = Cosigning::at_pace(Arc::clone(&log), addresses(), 2, PACE).unwrap();
    let liar = usize::try_from(dice.below(3)).unwrap();
    let largest = AtomicU64::new(0);
    // Whatever is told of is cosigned by enough, and never goes back.
    let look = || {
        let Some(newest) = cosigning.newest() else {
            return;
        };
        let size = newest.unverified().size();
        assert!(size >= largest.swap(size, Ordering::Relaxed), "seed {seed}");
        let by = witnesses.iter().filter(|one| {
            let times = cosignature::times(newest.note(), &one.address.key).unwrap();
            times.iter().any(|time| time.abs_diff(now_s()) <= 120)
        });
        assert!(by.count() >= 2, "seed {seed}");
    };
    let mut number = 0;
    for _ in 0..8 {
        for (at, witness) in witnesses.iter().enumerate() {
            let moods = [
                Mood::Well,
                Mood::Well,
                Mood::Down,
                Mood::Late,
                Mood::Behind,
                Mood::SaysMore,
                Mood::SaysOther,
                Mood::AheadOfTime,
            ];
            let many = if at == liar { 8 } else { 5 };
            witness.set(moods[usize::try_from(dice.below(many)).unwrap()]);
        }
        for _ in 0..=dice.below(3) {
            log.append(digest(number)).unwrap().wait().unwrap();
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(dice.below(40)));
        look();
    }
    // All is well again: the newest entry is proved under a cosigned checkpoint.
    for witness in &witnesses {
        witness.set(Mood::Well);
    }
    wait_until(&format!("seed {seed}: no quorum"), || {
        look();
        let newest = cosigning.newest();
        newest.is_some_and(|newest| proved(&log, &newest, number - 1, &witnesses))
    });
    // Everybody is dead, and the server starts again: what was proved is proved.
    for witness in &witnesses {
        witness.set(Mood::Down);
    }
    drop(cosigning);
    wait_until("the witnesses' thread holds the log", || {
        Arc::strong_count(&log) == 1
    });
    Arc::into_inner(log).unwrap().close().unwrap();
    let log = ledger(folder.path(), 5, 100);
    let cosigning = Cosigning::at_pace(Arc::clone(&log), addresses(), 2, PACE).unwrap();
    let newest = cosigning.newest().unwrap();
    assert!(proved(&log, &newest, number - 1, &witnesses), "seed {seed}");
    // A policy of other witnesses is not served with it.
    let others = vec![witnesses[0].address.clone()];
    let few = Cosigning::at_pace(Arc::clone(&log), others, 1, PACE).unwrap();
    let cosigned = cosignature::times(newest.note(), &witnesses[0].address.key).unwrap();
    assert_eq!(few.newest().is_some(), !cosigned.is_empty());
}

#[test]
fn witnesses_by_dice() {
    for seed in 0..6 {
        history(seed);
    }
}

#[test]
fn a_log_ends_when_its_quorum_is_lost_and_not_before() {
    for (lies, ends) in [
        ([Mood::SaysOther, Mood::Well, Mood::Well], false),
        ([Mood::SaysMore, Mood::Well, Mood::Well], false),
        // The others are down, and may come back.
        ([Mood::SaysMore, Mood::Down, Mood::Down], false),
        ([Mood::SaysMore, Mood::SaysOther, Mood::Well], true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let witnesses: Vec<Witness> = (0..3).map(|at| Witness::start(at, folder.path())).collect();
        for (witness, mood) in witnesses.iter().zip(lies) {
            witness.set(mood);
        }
        let log = ledger(folder.path(), 5, 100);
        log.append(digest(0)).unwrap().wait().unwrap();
        let addresses = witnesses.iter().map(|one| one.address.clone()).collect();
        let cosigning = Cosigning::at_pace(Arc::clone(&log), addresses, 2, PACE).unwrap();
        let ended = || log.append(digest(0)).err() == Some(SequencerError::Contradicted);
        if ends {
            wait_until("it goes on", ended);
        } else {
            // The others cosign, if they are well; else it is asked a few times in vain.
            if lies[1] == Mood::Well {
                wait_until("no quorum", || cosigning.newest().is_some());
            }
            std::thread::sleep(Duration::from_millis(300));
            assert!(!ended(), "{lies:?}");
            let has = cosigning.newest().is_some();
            assert_eq!(has, lies[1] == Mood::Well, "{lies:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_receipts_are_proved_though_all_witnesses_are_dead() {
    let folder = tempfile::tempdir().unwrap();
    let witnesses: Vec<Witness> = tokio::task::block_in_place(|| {
        (0..2).map(|at| Witness::start(at, folder.path())).collect()
    });
    let mut addresses: Vec<WitnessAddress> =
        witnesses.iter().map(|one| one.address.clone()).collect();
    let path = {
        let log = ledger(folder.path(), 5, 100);
        let cosigning = Cosigning::start(Arc::clone(&log), addresses.clone(), 2).unwrap();
        let api = crate::logs::api(
            folder.path(),
            Some(Logging::new(log, true).witnessed(cosigning)),
        );
        crate::logs::path(&api).await
    };
    // Nobody listens where they were.
    for address in &mut addresses {
        address.prefix = Prefix::new("http://127.0.0.1:1").unwrap();
    }
    let end = Instant::now() + Duration::from_secs(20);
    let log = ledger(folder.path(), 5, 100);
    let cosigning = Cosigning::start(Arc::clone(&log), addresses, 2).unwrap();
    let api = crate::logs::api(
        folder.path(),
        Some(Logging::new(log, false).witnessed(cosigning)),
    );
    let bundle = crate::logs::bundle(&api, &path).await;
    assert!(bundle.log().is_some() && Instant::now() < end);
    tokio::task::block_in_place(|| drop(witnesses));
}
