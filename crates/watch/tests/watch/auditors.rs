//! An auditor over logs that grow, go back, fork: it looks at each entry once, draws the same after a restart, and counts nothing of a log that contradicts itself.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credence_base::SigningKey;
use credence_exec::{Isa, Options};
use credence_watch::auditor::{
    Auditor, AuditorEvent, AuditorSetup, Board, Library, Means, Patience, Times,
};
use credence_watch::cards::Cards;
use credence_watch::{Followed, LogSource};
use credence_witness::fetch::Prefix;
use tempfile::TempDir;

use crate::shared::{History, Shown, log_key};

const SIZE: u64 = 600;
const INTERVAL: Duration = Duration::from_secs(1);

struct World {
    folder: TempDir,
    shown: Arc<Shown>,
    events: Arc<Mutex<Vec<AuditorEvent>>>,
}

impl World {
    fn new(size: u64) -> Self {
        let history = Arc::new(History::new(SIZE, 0, 0));
        Self {
            folder: tempfile::tempdir().unwrap(),
            shown: Shown::new(&history, size),
            events: Arc::default(),
        }
    }

    fn auditor(&self, keys: Option<&Path>) -> Auditor {
        let source = Arc::clone(&self.shown) as Arc<dyn LogSource>;
        let events = Arc::clone(&self.events);
        Auditor::open(AuditorSetup {
            logs: vec![Followed {
                log: log_key(),
                source,
                policy: None,
            }],
            rate_ppm: 200_000,
            library: Library::new(None, keys.map(Path::to_owned)),
            means: Means {
                models: Arc::new(|_| None),
                options: Options {
                    threads: NonZeroUsize::MIN,
                    isa: Isa::detect(),
                },
                // Nobody listens there.
                operator: Prefix::new("http://127.0.0.1:1").unwrap(),
                cells: 16,
                rows: 1,
                cards: Cards::at(&self.folder.path().join("cards")),
            },
            honeypots: None,
            times: Times {
                patience: Patience {
                    tries: 1,
                    over_s: 0,
                },
                ..Times::usual()
            },
            folder: self.folder.path().to_owned(),
            key: SigningKey::from_seed(&[8; 32]),
            clock: Arc::new(|| 1_700_000_000),
            publish: None,
            sink: Arc::new(move |event| events.lock().unwrap().push(event)),
        })
        .unwrap()
    }

    fn failed(&self) -> bool {
        let mut events = self.events.lock().unwrap();
        let failed = |event: &AuditorEvent| matches!(event, AuditorEvent::LogFailed { .. });
        let found = events.iter().any(failed);
        events.clear();
        found
    }
}

#[test]
fn each_entry_is_looked_at_once_and_a_restart_draws_the_same() {
    let world = World::new(300);
    let mut auditor = world.auditor(None);
    assert!(!auditor.round(INTERVAL).unwrap());
    let drawn = auditor.board().unseen();
    assert!(
        (30..90).contains(&drawn),
        "a fifth of 300 is drawn: {drawn}"
    );
    auditor.round(INTERVAL).unwrap();
    assert_eq!(auditor.board().unseen(), drawn);
    drop(auditor);

    world.shown.grow(600);
    let mut auditor = world.auditor(None);
    auditor.round(INTERVAL).unwrap();
    let all = auditor.board().unseen();
    assert!(all > drawn);
    drop(auditor);

    // Anew, with the same secret and no scoreboard: the same draws.
    std::fs::remove_file(world.folder.path().join("board.json")).unwrap();
    let mut auditor = world.auditor(None);
    auditor.round(INTERVAL).unwrap();
    assert_eq!(auditor.board().unseen(), all);
    drop(auditor);
    // With another secret, others.
    std::fs::remove_file(world.folder.path().join("board.json")).unwrap();
    std::fs::write(world.folder.path().join("secret"), [3; 32]).unwrap();
    let mut other = world.auditor(None);
    other.round(INTERVAL).unwrap();
    assert!(!world.failed());
    std::fs::write(world.folder.path().join("secret"), [3; 31]).unwrap();
}

#[test]
fn a_log_that_goes_back_or_forks_is_told_and_not_counted() {
    let world = World::new(300);
    let mut auditor = world.auditor(None);
    auditor.round(INTERVAL).unwrap();
    let before = auditor.board().clone();
    world.shown.view().size = 200;
    auditor.round(INTERVAL).unwrap();
    assert!(world.failed());
    assert_eq!(*auditor.board(), before);
    drop(auditor);

    // Another history from entry 100 on, in place of the one that was followed.
    let fork = Arc::new(History::new(SIZE, 100, 1));
    let forked = World {
        folder: world.folder,
        shown: Shown::new(&fork, 400),
        events: world.events,
    };
    let mut auditor = forked.auditor(None);
    auditor.round(INTERVAL).unwrap();
    assert!(forked.failed());
    assert_eq!(*auditor.board(), before);
    forked.shown.view().down = true;
    auditor.round(INTERVAL).unwrap();
    assert!(forked.failed(), "an outage is told as well");
}

#[test]
fn an_operator_that_does_not_give_what_we_may_see_has_not_answered() {
    let world = World::new(300);
    let history = History::new(300, 0, 0);
    let keys = world.folder.path().join("keys.txt");
    let line = |digest: &credence_base::ReceiptDigest| format!("{digest} {}\n", "ab".repeat(32));
    let text: String = history.entries.iter().map(line).collect();
    std::fs::write(&keys, text).unwrap();
    let mut auditor = world.auditor(Some(&keys));
    auditor.round(INTERVAL).unwrap();
    let board = auditor.board();
    // Nobody shows whose they are, so they count against nobody.
    assert_eq!((board.unseen(), board.operators.len()), (0, 0));
    let counts = board.nobodys.drawn;
    assert!(counts.unanswered > 30);
    assert_eq!(counts.settled().at_95_ppm, 1_000_000, "nothing was settled");
    assert_eq!(counts.strict(0).wrong, counts.unanswered);
}

/// A scoreboard may be published, so others read it: whatever stands in the file, it is refused or read, and what is read is written as it is read.
#[test]
fn no_edited_scoreboard_stops_whoever_reads_it() {
    use credence_testkit::mutation::{Choices, mutate};
    let world = World::new(300);
    let history = History::new(300, 0, 0);
    let keys = world.folder.path().join("keys.txt");
    let line = |digest: &credence_base::ReceiptDigest| format!("{digest} {}\n", "ab".repeat(32));
    let some: String = history.entries.iter().take(100).map(line).collect();
    std::fs::write(&keys, some).unwrap();
    let mut auditor = world.auditor(Some(&keys));
    auditor.round(INTERVAL).unwrap();
    let honest = auditor.board().encode().unwrap();
    assert_eq!(&Board::decode(&honest).unwrap(), auditor.board());
    let mut choices = Choices::new(3);
    let mut read = 0;
    for _ in 0..5_000 {
        if let Ok(board) = Board::decode(&mutate(&honest, &mut choices)) {
            read += 1;
            let again = board.encode().unwrap();
            assert_eq!(Board::decode(&again).unwrap(), board);
            for tally in board.operators.values().chain([&board.nobodys]) {
                // Counts that no auditor has are bounded as any others.
                assert!(tally.drawn.replayed > 1 << 40 || tally.drawn.settled().always_95_ppm > 0);
            }
        }
    }
    assert!(read > 0);
    for cut in 0..honest.len().min(2_000) {
        assert!(Board::decode(&honest[..cut]).is_err(), "{cut}");
    }
}
