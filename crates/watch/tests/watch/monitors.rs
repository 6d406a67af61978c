//! Monitors as they run: configuration, gossip over sockets and folders, evidence in files.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use credence_base::SigningKey;
use credence_log::{Algorithm, KeyName, Signer};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_verify::confirm_equivocation;
use credence_watch::config::{Host, MonitorConfig};
use credence_watch::{
    Alarm, Archive, Followed, LogSource, Monitor, MonitorEvent, Patience, Peer, PeerPlace, Setup,
    run_monitor,
};
use credence_witness::{Evidence, NoteFolder, Notes, WitnessServer};

use crate::serves::Served;
use crate::shared::{History, Shown, log_key};

type Events = Arc<Mutex<Vec<MonitorEvent>>>;

fn monitor(folder: &Path, shown: &Arc<Shown>, peers: Vec<Peer>) -> (Monitor, Events) {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let monitor = Monitor::open(Setup {
        logs: vec![Followed {
            log: log_key(),
            source: Arc::<Shown>::clone(shown) as Arc<dyn LogSource>,
            policy: None,
        }],
        peers,
        notes: Arc::new(NoteFolder::open(&folder.join("state")).unwrap()),
        archive: Archive {
            folder: folder.join("evidence"),
            key: Some(SigningKey::from_seed(&[42; 32])),
            clock: Arc::new(|| 1_800_000_000),
        },
        patience: Patience::usual(),
        sink: Arc::new(move |event| heard.lock().unwrap().push(event)),
    })
    .unwrap();
    (monitor, events)
}

/// The one alarm among the events, with its files' bytes.
fn alarm(events: &Events) -> (Alarm, Vec<Vec<u8>>) {
    let events = events.lock().unwrap();
    let alarms: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            MonitorEvent::Alarm { alarm, files, .. } => Some((alarm.clone(), files.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(alarms.len(), 1, "{events:?}");
    let (alarm, files) = &alarms[0];
    let files = files.iter().map(|path| std::fs::read(path).unwrap());
    (alarm.clone(), files.collect())
}

#[test]
fn two_monitors_that_talk_find_a_split_view_and_keep_the_evidence() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    for (size_a, size_b, receipt) in [(280, 280, true), (290, 260, false)] {
        let (dir_a, dir_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut b, _) = monitor(dir_b.path(), &Shown::new(&fork, size_b), Vec::new());
        assert_eq!(b.round(), 0);
        let served = Served::router(b.seen().router());
        let peer = Peer {
            name: "b".to_owned(),
            place: PeerPlace::Http(served.prefix()),
        };
        let (mut a, events) = monitor(dir_a.path(), &Shown::new(&history, size_a), vec![peer]);
        assert_eq!(a.round(), 1);
        assert_eq!(a.round(), 0, "the same lie is told of once");
        let (found, files) = alarm(&events);
        let evidence = Evidence::parse(&files[0]).unwrap();
        assert_eq!(evidence.log(), &log_key());
        assert_eq!(files.len(), 1 + usize::from(receipt));
        if receipt {
            assert_eq!(found, Alarm::Equivocation { size: 280 });
            let bundle = Bundle::decode(&files[1], BUNDLE_LEN_MAX).unwrap();
            let shown = confirm_equivocation(&bundle).unwrap();
            assert_eq!(shown.equivocation, evidence.equivocation().unwrap());
        } else {
            assert_eq!(
                found,
                Alarm::Fork {
                    smaller: 260,
                    larger: 290
                }
            );
        }
    }
}

#[test]
fn a_copied_state_folder_is_a_peer_as_well() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let (dir_a, dir_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut b, _) = monitor(dir_b.path(), &Shown::new(&fork, 250), Vec::new());
    b.round();
    let place = |folder: &Path| PeerPlace::Folder(folder.to_owned());
    let peers = vec![
        Peer {
            name: "b".to_owned(),
            place: place(&dir_b.path().join("state")),
        },
        Peer {
            name: "empty".to_owned(),
            place: place(dir_a.path()),
        },
    ];
    let (mut a, events) = monitor(dir_a.path(), &Shown::new(&history, 300), peers);
    assert_eq!(a.round(), 1);
    assert!(matches!(alarm(&events).0, Alarm::Fork { .. }));
}

#[test]
fn a_witness_is_a_peer_as_well() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let dir = tempfile::tempdir().unwrap();
    let notes = NoteFolder::open(&dir.path().join("witness")).unwrap();
    // The witness was shown the other history, and has cosigned it.
    notes
        .keep(
            log_key().name().as_str(),
            fork.checkpoint(240).encode().as_bytes(),
        )
        .unwrap();
    let name = KeyName::new("w.example").unwrap();
    let signer = Signer::new(
        name,
        Algorithm::CosignatureV1,
        SigningKey::from_seed(&[7; 32]),
    );
    let logs = vec![log_key()];
    let server = WitnessServer::open(
        signer,
        logs,
        Arc::new(notes),
        Arc::new(|| 1),
        Arc::new(|_| {}),
    )
    .unwrap();
    let served = Served::router(Arc::new(server).router(""));
    let peer = Peer {
        name: "w".to_owned(),
        place: PeerPlace::Http(served.prefix()),
    };
    let (mut a, events) = monitor(dir.path(), &Shown::new(&history, 300), vec![peer]);
    assert_eq!(a.round(), 1);
    assert!(matches!(
        alarm(&events).0,
        Alarm::Fork {
            smaller: 240,
            larger: 300
        }
    ));
}

#[test]
fn a_peer_that_fails_is_an_event_and_no_alarm() {
    let history = Arc::new(History::new(30, 0, 0));
    let dir = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let prefix = credence_witness::fetch::Prefix::new(&format!("http://{address}")).unwrap();
    let peer = Peer {
        name: "down".to_owned(),
        place: PeerPlace::Http(prefix),
    };
    let (mut a, events) = monitor(dir.path(), &Shown::new(&history, 30), vec![peer]);
    assert_eq!(a.round(), 0);
    let events = events.lock().unwrap();
    assert!(
        matches!(
            events[..],
            [
                MonitorEvent::FirstSeen { size: 30, .. },
                MonitorEvent::PeerFailed { .. }
            ]
        ),
        "{events:?}"
    );
    // As JSON, one object each.
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(json["event"], "first_seen");
    let event = MonitorEvent::Alarm {
        log: "l".to_owned(),
        words: Alarm::Equivocation { size: 3 }.to_string(),
        alarm: Alarm::Equivocation { size: 3 },
        evidence: None,
        files: Vec::new(),
    };
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(
        (&json["event"], &json["alarm"], &json["size"]),
        (&"alarm".into(), &"equivocation".into(), &3.into())
    );
}

fn config(folder: &Path, more: &str) -> String {
    format!(
        "state = \"state\"\nevidence = \"evidence\"\ninterval_s = 1\n{more}\n[[log]]\nkey = \"{}\"\nat = \"{}\"\n",
        log_key(),
        folder.display()
    )
}

#[test]
fn a_monitor_runs_from_its_configuration_until_it_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    History::new(300, 0, 0).write_numbered(&dir.path().join("l"), &[200, 300]);
    let text = config(Path::new("l"), "listen = \"127.0.0.1:0\"");
    let config = MonitorConfig::parse(&text, dir.path()).unwrap();
    let (told, heard) = mpsc::channel::<SocketAddr>();
    let (events, seen) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let told = Mutex::new(told);
    let events = Mutex::new(events);
    let host = Host {
        key: None,
        clock: Arc::new(|| 1),
        sink: Arc::new(move |event| drop(events.lock().unwrap().send(event))),
        listening: Arc::new(move |address| told.lock().unwrap().send(address).unwrap()),
    };
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run_monitor(config, host, async { drop(stopped.await) }))
    });
    let address = heard.recv().unwrap();
    assert!(matches!(
        seen.recv().unwrap(),
        MonitorEvent::FirstSeen { size: 300, .. }
    ));
    let prefix = credence_witness::fetch::Prefix::new(&format!("http://{address}")).unwrap();
    let peer = Peer {
        name: "p".to_owned(),
        place: PeerPlace::Http(prefix),
    };
    let fetcher = credence_witness::fetch::Fetcher::new();
    // What was seen is told once the round is over.
    let heard = loop {
        if let Some(heard) = peer.ask("log.example/receipts", &fetcher).unwrap() {
            break heard;
        }
        std::thread::yield_now();
    };
    assert!(
        String::from_utf8(heard)
            .unwrap()
            .starts_with("log.example/receipts\n300\n")
    );
    assert_eq!(peer.ask("other", &fetcher), Ok(None));
    stop.send(()).unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_configuration_is_read_or_refused() {
    let good = config(
        Path::new("l"),
        "[[peer]]\nname = \"p\"\nat = \"https://p.example/x/\"",
    );
    let read = |text: &str| MonitorConfig::parse(text, Path::new("/etc"));
    let config = read(&good).unwrap();
    assert_eq!(config.state, Path::new("/etc/state"));
    for (from, to) in [
        ("interval_s = 1", "interval_s = 0"),
        ("interval_s", "interval"),
        ("https://", "https:// "),
        ("+", "-"),
        ("evidence = ", "insecure = true\nevidence = "),
    ] {
        assert!(read(&good.replacen(from, to, 1)).is_err(), "{from} -> {to}");
    }
    let again = good.split("[[log]]").nth(1).unwrap();
    assert!(read(&format!("{good}[[log]]{again}")).is_err());
    assert!(read("state = \"s\"\nevidence = \"e\"\ninterval_s = 1\nlog = []\n").is_err());
}

#[test]
fn evidence_that_cannot_be_kept_is_kept_later() {
    let (history, fork) = (
        Arc::new(History::new(300, 0, 0)),
        Arc::new(History::new(300, 200, 1)),
    );
    let dir = tempfile::tempdir().unwrap();
    let shown = Shown::new(&history, 300);
    let (mut monitor, events) = monitor(dir.path(), &shown, Vec::new());
    monitor.round();
    // Where the folder should be, a file is.
    std::fs::write(dir.path().join("evidence"), b"x").unwrap();
    shown.view().history = fork;
    monitor.round();
    // The log is honest again, and the disk is mended: what was found is not lost.
    shown.view().history = Arc::clone(&history);
    monitor.round();
    std::fs::remove_file(dir.path().join("evidence")).unwrap();
    events.lock().unwrap().clear();
    monitor.round();
    let (raised, files) = alarm(&events);
    assert_eq!(raised, Alarm::Equivocation { size: 300 });
    assert!(Evidence::parse(&files[0]).is_ok());
    events.lock().unwrap().clear();
    monitor.round();
    assert!(events.lock().unwrap().is_empty());
}

#[test]
fn a_slow_log_holds_up_neither_the_others_nor_the_end() {
    let second = std::time::Duration::from_secs(1);
    let dir = tempfile::tempdir().unwrap();
    let history = Arc::new(History::new(300, 0, 0));
    let (slow, quick) = (Shown::new(&history, 300), Shown::new(&history, 5));
    slow.view().slow = second;
    let other = Signer::new(
        KeyName::new("slow.example").unwrap(),
        Algorithm::Ed25519,
        SigningKey::from_seed(&[9; 32]),
    );
    let (events, heard) = mpsc::channel();
    let events = Mutex::new(events);
    let followed = |log: &credence_log::VerifierKey, shown: &Arc<Shown>| Followed {
        log: log.clone(),
        source: Arc::<Shown>::clone(shown) as Arc<dyn LogSource>,
        policy: None,
    };
    let monitor = Monitor::open(Setup {
        logs: vec![
            followed(other.verifier(), &slow),
            followed(&log_key(), &quick),
        ],
        peers: Vec::new(),
        notes: Arc::new(NoteFolder::open(&dir.path().join("state")).unwrap()),
        archive: Archive {
            folder: dir.path().join("evidence"),
            key: None,
            clock: Arc::new(|| 1),
        },
        patience: Patience::usual(),
        sink: Arc::new(move |event| drop(events.lock().unwrap().send(event))),
    })
    .unwrap();
    let begun = std::time::Instant::now();
    let following = monitor.follow(second / 100).unwrap();
    let mut size = 5;
    // The quick one is seen to grow again and again while the slow one has not given its first file.
    while size < 50 {
        match heard.recv_timeout(second * 5).unwrap() {
            MonitorEvent::FirstSeen { .. } | MonitorEvent::Grown { .. } => {
                size += 5;
                quick.grow(size);
            }
            _ => {}
        }
    }
    assert!(begun.elapsed() < second * 4);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ending = std::time::Instant::now();
    runtime.block_on(following.stop(second * 10));
    // One file of the slow one is waited for, and not the rest.
    assert!(ending.elapsed() < second * 3, "{:?}", ending.elapsed());
}
