//! The server: every status, durability before words, one origin at a time, and nothing forgotten.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use credence_log::note::parse_signatures;
use credence_log::{Algorithm, Record, SignedCheckpoint, cosignature};
use credence_witness::fetch::{Fetcher, Prefix};
use credence_witness::state::origin_name;
use credence_witness::{
    Evidence, Limits, NoteFolder, Notes, StateError, WitnessEvent, WitnessServer,
    WitnessServerError,
};

use crate::shared::{
    History, NOW, TRUE, bounds, folder, log_signer, run, run_from, run_with, signer, witness_signer,
};

const FORK: History = History {
    fork_at: 3,
    branch: 1,
};

#[test]
fn every_status_of_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    let first = witness.post(&TRUE.request(0, 5));
    assert_eq!(first.status, 200);
    let line = parse_signatures(core::str::from_utf8(&first.body).unwrap()).unwrap();
    let mut signed = TRUE.checkpoint(5);
    signed.note_mut().add(line[0].clone()).unwrap();
    let times = cosignature::times(signed.note(), witness_signer(1).verifier()).unwrap();
    assert_eq!(times, [NOW]);

    let other = signer("other.example", Algorithm::Ed25519, 9);
    let stolen = signer("log.example/receipts", Algorithm::Ed25519, 9);
    let request = |checkpoint: SignedCheckpoint| format!("old 5\n\n{}", checkpoint.encode());
    let small = TRUE.checkpoint(3).encode();
    for (body, status, said) in [
        (TRUE.request(5, 9), 200, None),
        (TRUE.request(9, 9), 200, None),
        (TRUE.request(5, 9), 409, Some("9\n")),
        (TRUE.request(0, 4), 409, Some("9\n")),
        (format!("old 9\n\n{small}"), 400, None),
        (FORK.request(9, 20), 422, None),
        (FORK.request(9, 9), 422, None),
        (request(TRUE.checkpoint_of(&other, 9)), 404, None),
        (request(TRUE.checkpoint_of(&stolen, 9)), 403, None),
        ("old 5".to_owned(), 400, None),
        (String::new(), 400, None),
        ("old 05\n\n".to_owned(), 400, None),
        ("x".repeat(1 << 18), 413, None),
    ] {
        let reply = witness.post(&body);
        let shown = body.get(..80.min(body.len()));
        assert_eq!(reply.status, status, "{shown:?}");
        if let Some(said) = said {
            assert_eq!(reply.body, said.as_bytes());
        }
    }
    // The wrong method, the wrong path.
    for (path, status) in [("add-checkpoint", 405), ("x", 404), ("", 404)] {
        let reply = Fetcher::new()
            .get(&witness.prefix.join(path), bounds())
            .unwrap();
        assert_eq!(reply.status, status, "{path}");
    }
}

#[test]
fn the_vectors_request_gets_the_vectors_answer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/log/notes.json");
    let text = std::fs::read(path).unwrap();
    let vectors: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let of = |name: &str| vectors["addCheckpoint"][name].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let notes = folder(dir.path());
    notes
        .keep("log.example/receipts", of("record").as_bytes())
        .unwrap();
    let start = of("timeUnixS").parse().unwrap();
    let witness = run_from(1, notes, Limits::usual(), start);
    let reply = witness.post(of("request"));
    assert_eq!((reply.status, reply.body), (200, of("response").into()));
}

#[test]
fn a_split_view_is_refused_and_reported_with_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    assert_eq!(witness.post(&TRUE.request(0, 7)).status, 200);
    assert_eq!(witness.post(&FORK.request(7, 7)).status, 422);
    let events = witness.events.lock().unwrap();
    let evidence = events.iter().find_map(|event| match event {
        WitnessEvent::SplitView {
            size: 7, evidence, ..
        } => Some(evidence),
        _ => None,
    });
    let evidence = Evidence::parse(evidence.unwrap().as_bytes()).unwrap();
    assert_eq!(evidence.log(), log_signer().verifier());
    assert!(evidence.equivocation().is_some());
    // The same size with the same root is no lie.
    let alarms = |events: &[WitnessEvent]| {
        let split = |event: &&WitnessEvent| matches!(event, WitnessEvent::SplitView { .. });
        events.iter().filter(split).count()
    };
    let before = alarms(&events);
    drop(events);
    assert_eq!(witness.post(&TRUE.request(7, 7)).status, 200);
    assert_eq!(alarms(&witness.events.lock().unwrap()), before);
}

#[test]
fn a_restart_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    assert_eq!(witness.post(&TRUE.request(0, 300)).status, 200);
    drop(witness);
    // What was on its way when the power went is not in the way.
    std::fs::write(dir.path().join(".credence-left"), b"half").unwrap();
    let witness = run(1, folder(dir.path()));
    let rolled_back = witness.post(&TRUE.request(0, 200));
    assert_eq!(
        (rolled_back.status, rolled_back.body),
        (409, b"300\n".to_vec())
    );
    assert_eq!(witness.post(&FORK.request(300, 301)).status, 422);
    assert_eq!(witness.post(&TRUE.request(300, 301)).status, 200);
    let url = witness.prefix.join(&format!(
        "{}/checkpoint",
        origin_name("log.example/receipts")
    ));
    let served = Fetcher::new().get(&url, bounds()).unwrap();
    let record = Record::decode(&served.body).unwrap();
    assert_eq!(record.checkpoint().unverified().size(), 301);
    assert!(record.checkpoint().verify(log_signer().verifier()).is_ok());
}

/// No test by itself: the process that the next one kills.
#[test]
fn a_witness_that_waits_to_be_killed() {
    let Ok(told) = std::env::var("WITNESS_TO_BE_KILLED") else {
        return;
    };
    let (start, state) = told.split_once(' ').unwrap();
    let notes = folder(std::path::Path::new(state));
    let witness = run_from(1, notes, Limits::usual(), start.parse().unwrap());
    println!("\nlistens at {}", witness.prefix);
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_witness_forgets_nothing_that_it_cosigned() {
    use std::io::BufRead as _;
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0u64;
    for round in 0..4u64 {
        let told = format!("{} {}", NOW + 10_000 * round, dir.path().display());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "server::a_witness_that_waits_to_be_killed",
                "--nocapture",
            ])
            .env("WITNESS_TO_BE_KILLED", told)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let prefix = lines
            .map(|line| line.unwrap())
            .find_map(|line| Some(line.strip_prefix("listens at ")?.to_owned()))
            .unwrap();
        let url = Prefix::new(&prefix).unwrap().join("add-checkpoint");
        let (tell, told) = std::sync::mpsc::channel();
        let asking = std::thread::spawn(move || {
            // One more entry each time, until nobody answers.
            let mut cosigned = last;
            loop {
                let body = TRUE.request(cosigned, cosigned + 1);
                let Ok(reply) = Fetcher::new().post(&url, &body, bounds()) else {
                    return cosigned;
                };
                assert_eq!(reply.status, 200);
                cosigned += 1;
                tell.send(()).ok();
            }
        });
        // It is killed while it answers.
        for _ in 0..5 + round {
            told.recv().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let cosigned = asking.join().unwrap();
        // The lock went with the process, and the record is whole: the last answer's, or that of the one that was never sent.
        let notes = NoteFolder::open(dir.path()).unwrap();
        let kept = notes.load("log.example/receipts").unwrap().unwrap();
        let record = Record::decode(&kept).unwrap();
        assert!(record.checkpoint().verify(log_signer().verifier()).is_ok());
        last = record.checkpoint().unverified().size();
        assert!(
            cosigned >= 5 && (cosigned..=cosigned + 1).contains(&last),
            "{last}, {cosigned}"
        );
    }
}

#[test]
fn two_witnesses_never_share_a_folder_and_a_damaged_record_stops_it() {
    let dir = tempfile::tempdir().unwrap();
    let notes = NoteFolder::open(dir.path()).unwrap();
    assert!(matches!(
        NoteFolder::open(dir.path()),
        Err(StateError::InUse { .. })
    ));
    let open = |notes: &Arc<dyn Notes>| {
        WitnessServer::open(
            witness_signer(1),
            vec![log_signer().verifier().clone()],
            Arc::clone(notes),
            Arc::new(|| NOW),
            Arc::new(|_| {}),
        )
        .err()
    };
    let notes: Arc<dyn Notes> = Arc::new(notes);
    assert!(open(&notes).is_none());
    notes.keep("log.example/receipts", b"rubbish").unwrap();
    assert!(matches!(
        open(&notes),
        Some(WitnessServerError::Damaged { .. })
    ));
    let other = signer("other.example", Algorithm::Ed25519, 9);
    let text = TRUE.checkpoint_of(&other, 9).encode();
    notes.keep("log.example/receipts", text.as_bytes()).unwrap();
    assert!(matches!(
        open(&notes),
        Some(WitnessServerError::OtherLog { .. })
    ));
}

#[test]
fn requests_for_one_log_come_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    // Forty ask for forty sizes at once, each from what it thinks was last, and go on as they are told.
    std::thread::scope(|scope| {
        for size in 1..=40 {
            let witness = &witness;
            scope.spawn(move || {
                let mut old = 0;
                loop {
                    let reply = witness.post(&TRUE.request(old, size));
                    match reply.status {
                        200 => return,
                        409 => {}
                        status => panic!("{status}"),
                    }
                    old = core::str::from_utf8(&reply.body)
                        .unwrap()
                        .trim()
                        .parse()
                        .unwrap();
                    if old > size {
                        return;
                    }
                }
            });
        }
    });
    let sizes: Vec<u64> = witness
        .events
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match event {
            WitnessEvent::Cosigned { size, .. } => Some(*size),
            _ => None,
        })
        .collect();
    assert!(sizes.is_sorted(), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&40));
}

#[test]
fn a_clock_that_goes_back_gets_no_cosignature() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    for (old, new) in [(0, 5), (5, 9), (9, 9)] {
        assert_eq!(witness.post(&TRUE.request(old, new)).status, 200);
    }
    drop(witness);
    // The clock of the test starts again, and has ticked three times before.
    let witness = run(1, folder(dir.path()));
    for expected in [503, 503, 200] {
        assert_eq!(witness.post(&TRUE.request(9, 10)).status, expected);
    }
}

/// Notes that fail as disks do.
#[derive(Default)]
struct Failing {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What the next writes do: not stored, stored but reported lost, stored.
    plan: Mutex<Vec<Fault>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    NotStored,
    ReportedLost,
}

impl Notes for Failing {
    fn load(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.kept.lock().unwrap().get(origin).cloned())
    }

    fn keep(&self, origin: &str, note: &[u8]) -> Result<(), StateError> {
        let fault = self.plan.lock().unwrap().pop();
        if fault != Some(Fault::NotStored) {
            self.kept
                .lock()
                .unwrap()
                .insert(origin.to_owned(), note.to_vec());
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(StateError::Other {
                origin: origin.to_owned(),
                source: std::io::Error::other("the disk failed"),
            }),
        }
    }
}

#[test]
fn what_is_not_durable_is_not_cosigned() {
    for (fault, next) in [(Fault::NotStored, 409), (Fault::ReportedLost, 200)] {
        let notes = Arc::new(Failing::default());
        let witness = run(1, Arc::<Failing>::clone(&notes));
        assert_eq!(witness.post(&TRUE.request(0, 5)).status, 200);
        notes.plan.lock().unwrap().push(fault);
        let reply = witness.post(&TRUE.request(5, 9));
        assert_eq!(reply.status, 503);
        assert!(!String::from_utf8(reply.body).unwrap().contains('\u{2014}'));
        let told = witness.events.lock().unwrap().clone();
        assert!(told.iter().any(|event| matches!(event, WitnessEvent::NotDurable { reason, .. } if reason.contains("the disk failed"))));
        // It goes on from what is stored, whatever that is.
        assert_eq!(witness.post(&TRUE.request(9, 12)).status, next);
        let from = if next == 200 { 12 } else { 5 };
        assert_eq!(witness.post(&TRUE.request(from, 13)).status, 200);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_gets_no_cosignature() {
    let dir = tempfile::tempdir().unwrap();
    let witness = run(1, folder(dir.path()));
    let file = dir.path().join(origin_name("log.example/receipts"));
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    assert_eq!(witness.post(&TRUE.request(0, 5)).status, 503);
    // What cannot be read again is not answered for either.
    assert_eq!(witness.post(&TRUE.request(0, 5)).status, 503);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(witness.post(&TRUE.request(0, 5)).status, 200);
}

#[test]
fn slow_clients_are_cut_off_and_others_served() {
    use std::io::{Read as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections_max: 4,
        head_time_max: std::time::Duration::from_millis(200),
        request_time_max: std::time::Duration::from_millis(400),
        ..Limits::usual()
    };
    let witness = run_with(1, folder(dir.path()), limits);
    let host = witness
        .prefix
        .as_str()
        .trim_start_matches("http://")
        .trim_end_matches("/witness");
    let mut sockets = Vec::new();
    for head in [
        "POST /witness/add-checkpoint HTTP/1.1\r\n",
        "POST /witness/add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nold 1",
        "",
        "POST /witness/add-checkpoint HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
    ] {
        let mut socket = std::net::TcpStream::connect(host).unwrap();
        socket.write_all(head.as_bytes()).unwrap();
        sockets.push(socket);
    }
    // All places are taken; this one waits until the slow ones are cut off.
    assert_eq!(witness.post(&TRUE.request(0, 5)).status, 200);
    for mut socket in sockets {
        let mut rest = Vec::new();
        drop(socket.read_to_end(&mut rest));
        let said = String::from_utf8_lossy(&rest).into_owned();
        assert!(!said.contains(" 200 "), "{said}");
    }
}

/// Notes on a disk that loses what was not flushed: what a failed write left can be read until the power goes.
#[derive(Default)]
struct Volatile {
    seen: Mutex<BTreeMap<String, Vec<u8>>>,
    durable: Mutex<BTreeMap<String, Vec<u8>>>,
    unflushed: Mutex<u32>,
}

impl Volatile {
    fn power_cut(&self) {
        *self.seen.lock().unwrap() = self.durable.lock().unwrap().clone();
    }
}

impl Notes for Volatile {
    fn load(&self, origin: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.seen.lock().unwrap().get(origin).cloned())
    }

    fn keep(&self, origin: &str, note: &[u8]) -> Result<(), StateError> {
        let mut seen = self.seen.lock().unwrap();
        seen.insert(origin.to_owned(), note.to_vec());
        let mut left = self.unflushed.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return Err(StateError::Other {
                origin: origin.to_owned(),
                source: std::io::Error::other("the flush failed"),
            });
        }
        let mut durable = self.durable.lock().unwrap();
        durable.insert(origin.to_owned(), note.to_vec());
        Ok(())
    }
}

#[test]
fn a_record_that_was_merely_read_is_not_gone_by() {
    for restarted in [false, true] {
        let notes = Arc::new(Volatile::default());
        let mut witness = run(1, Arc::<Volatile>::clone(&notes));
        assert_eq!(witness.post(&TRUE.request(0, 5)).status, 200);
        *notes.unflushed.lock().unwrap() = 1;
        assert_eq!(witness.post(&TRUE.request(5, 9)).status, 503);
        if restarted {
            drop(witness);
            witness = crate::shared::run_from(
                1,
                Arc::<Volatile>::clone(&notes),
                Limits::usual(),
                crate::shared::NOW + 100,
            );
        }
        // It refuses by the record of 9; whoever is told so may rely on it.
        let reply = witness.post(&TRUE.request(5, 7));
        assert_eq!((reply.status, reply.body), (409, b"9\n".to_vec()));
        drop(witness);
        notes.power_cut();
        let record = notes.load("log.example/receipts").unwrap().unwrap();
        assert!(String::from_utf8(record).unwrap().contains("\n9\n"));
    }
}

/// A listener with one place, and what it serves.
fn one_place(limits: Limits) -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    let limits = Limits {
        connections_max: 1,
        ..limits
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    use axum::routing::get;
    let app = axum::Router::new()
        .route("/large", get(|| async { vec![0u8; 64 << 20] }))
        .route("/small", get(|| async { "small" }));
    runtime.spawn(credence_witness::listen::serve(
        listener,
        app,
        limits,
        std::future::pending::<()>(),
    ));
    (runtime, address)
}

#[test]
fn a_client_that_does_not_read_gives_its_place_back() {
    use std::io::{Read as _, Write as _};
    let millis = std::time::Duration::from_millis;
    let fetch = |address| {
        let prefix = credence_witness::fetch::Prefix::new(&format!("http://{address}")).unwrap();
        let fetcher = credence_witness::fetch::Fetcher::new();
        fetcher
            .get(&prefix.join("small"), crate::shared::bounds())
            .unwrap()
            .status
    };
    let limits = Limits {
        write_time_max: millis(300),
        ..Limits::usual()
    };
    let ask = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    // One reads nothing, another a little now and then.
    for trickles in [false, true] {
        let (_runtime, address) = one_place(limits);
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(ask).unwrap();
        let reader = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while trickles && socket.read(&mut some).is_ok_and(|len| len > 0) {
                std::thread::sleep(millis(5));
            }
            socket
        });
        assert_eq!(fetch(address), 200);
        drop(reader.join().unwrap());
    }
    // And one that asks politely, for ever.
    let (_runtime, address) = one_place(Limits {
        connection_time_max: millis(500),
        ..Limits::usual()
    });
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let asking = std::thread::spawn(move || {
        let mut some = [0; 4096];
        let ask = b"GET /small HTTP/1.1\r\nhost: x\r\n\r\n";
        while socket.write_all(ask).is_ok() && socket.read(&mut some).is_ok_and(|len| len > 0) {
            std::thread::sleep(millis(10));
        }
    });
    assert_eq!(fetch(address), 200);
    asking.join().unwrap();
}
