//! Where a log may lie and what it is told: buckets, databases, each option alone; a server that is killed, a home that was never used.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use credence_testkit::kill::{self, Dice};
use serde_json::Value;

use crate::logs::{answer, own_home, policy, prints};
use crate::serve::{Server, start};
use crate::shared::{Place, four_digits, names};
use crate::{store_postgres, store_s3};

const FAST: [&str; 3] = ["--log-wait", "--log-interval-ms", "20"];

fn key_of(server: &Server) -> String {
    let first: Value = serde_json::from_str(&server.first).unwrap();
    first["log"].as_str().unwrap().to_owned()
}

/// A secret file, its owner's alone.
fn secret(place: &Place, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    place.write(name, text.as_bytes());
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.path(name), mode).unwrap();
    place.path(name).to_str().unwrap().to_owned()
}

#[test]
fn a_log_in_a_bucket_is_served_read_and_audited() {
    let place = Place::new();
    let own = own_home(&place);
    let bucket = store_s3::Server::start();
    let file = secret(&place, "bucket.toml", &bucket.file("log"));
    let database = store_postgres::Server::start();
    let connection = database.as_ref().map(store_postgres::Server::connection);
    let mut words = vec!["cnn", "--home", &own, "--no-keep", "--log-s3", &file];
    words.extend(connection.iter().flat_map(|c| ["--log-index", c]));
    words.extend(FAST);
    let server = start(&place, &words);
    let key = key_of(&server);
    let (digest, bundle) = answer(&server, &place, "one.json");
    answer(&server, &place, "two.json");
    let demand = place.write("policy.toml", policy(&key, None).as_bytes());
    place.run(&["verify", bundle, "--policy", demand]).expect(0);

    // By our own commands, while it runs and afterwards; nothing is written by them.
    let at = format!("s3:{file}");
    let run = |words: &[&str]| place.run(&[&["log"], words, &[&at, "--key", &key]].concat());
    prints(&run(&["audit"]).expect(0), "all 2 entries");
    prints(&run(&["show"]).expect(0), "size  2");
    prints(&run(&["tail", "-n", "1"]).expect(0), "1  ");
    prints(
        &run(&["consistency", "1"]).expect(0),
        "are the beginning of 2",
    );
    prints(
        &run(&["inclusion", &digest]).expect(0),
        "c2sp.org/tlog-proof@v1",
    );
    assert_eq!(server.stop(), Some(0));

    // A server for static files, which knows nothing of logs, has all that a reader asks for.
    let shown = bucket.folder().join("log/checkpoint");
    let shown = std::fs::read_to_string(shown).unwrap();
    assert!(shown.contains("\n2\n"), "{shown}");
    let served = Serving::start(&place, &[&at, "--key", &key]);
    let address = served.0.clone();
    let over = ["log", "audit", &address, "--key", &key];
    prints(&place.run(&over).expect(0), "all 2 entries");
    // A key that is not the log's: nothing is handed out as if it were.
    let foreign = place.run_at(&place.path("foreign"), &["log", "init"]);
    let foreign = foreign.expect(0).out.trim().to_owned();
    run(&["audit"]).expect(0);
    place
        .run(&["log", "audit", &at, "--key", &foreign])
        .expect(3);
    drop(served);
    drop(bucket);
    // An outage is no lie.
    run(&["audit"]).expect(9);
    let nobody = ["log", "show", "http://127.0.0.1:1", "--key", &key];
    place.run(&nobody).expect(9);
}

/// `credence log serve`, until it is dropped.
struct Serving(String, std::process::Child);

impl Serving {
    fn start(place: &Place, words: &[&str]) -> Self {
        use std::io::BufRead as _;
        let mut child = crate::shared::credence(crate::shared::home(), place.folder.path())
            .args(["log", "serve", "--listen", "127.0.0.1:0", "--json"])
            .args(words)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufReader::new(out).read_line(&mut first).unwrap();
        let json: Value = serde_json::from_str(&first).unwrap();
        Self(json["url"].as_str().unwrap().to_owned(), child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.1.kill());
        drop(self.1.wait());
    }
}

#[test]
fn what_is_missing_or_silent_is_told_from_what_is_false() {
    let place = Place::new();
    let own = own_home(&place);
    let server = start(&place, &[&["cnn", "--home", &own][..], &FAST].concat());
    let key = key_of(&server);
    answer(&server, &place, "one.json");
    assert_eq!(server.stop(), Some(0));
    let log = Path::new(&own).join("log/log");
    // Served as files by anyone, since the newest checkpoint has its own name.
    let shown = std::fs::read_to_string(log.join("checkpoint")).unwrap();
    assert!(shown.contains("\n1\n"), "{shown}");
    let at_own = |words: &[&str]| place.run_at(Path::new(&own), words);
    at_own(&["log", "audit"]).expect(0);
    at_own(&["log", "consistency", "5"]).expect(2);
    let tile = log.join("tile/0/000.p/1");
    let whole = std::fs::read(&tile).unwrap();
    std::fs::remove_file(&tile).unwrap();
    at_own(&["log", "audit"]).expect(7);
    at_own(&["log", "tail"]).expect(7);
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    std::fs::write(&tile, flipped).unwrap();
    at_own(&["log", "tail"]).expect(5).says("contradicts");
    std::fs::write(&tile, &whole[1..]).unwrap();
    at_own(&["log", "tail"]).expect(3);
    std::fs::write(&tile, whole).unwrap();
    // Our server hands nothing out that another key signed.
    let serving = Serving::start(&place, &[log.to_str().unwrap(), "--key", &key]);
    let over = ["log", "audit", &serving.0, "--key", &key];
    place.run(&over).expect(0);
    place
        .run(&["log", "serve", log.to_str().unwrap()])
        .expect(2);
}

#[test]
fn reading_the_log_of_a_home_that_has_none_makes_none() {
    let place = Place::new();
    let own = place.path("fresh");
    for words in [["log", "show"], ["log", "audit"], ["log", "tail"]] {
        place.run_at(&own, &words).expect(7).says("has no log");
    }
    place.run_at(&own, &["log", "serve"]).expect(7);
    assert!(!own.join("keys").exists());
    place.run_at(&own, &["log", "init"]).expect(0);
    place.run_at(&own, &["log", "show"]).expect(7);
    assert_eq!(
        names(&own.join("keys")).len(),
        4,
        "{:?}",
        names(&own.join("keys"))
    );
}

/// Each option of the log switches logging on where receipts are not kept.
#[test]
fn any_option_of_the_log_asks_for_one() {
    let place = Place::new();
    let bucket = store_s3::Server::start();
    let file = secret(&place, "bucket.toml", &bucket.file("one"));
    let database = store_postgres::Server::start();
    let connection = database.as_ref().map(store_postgres::Server::connection);
    let witness = "w.test/1+6b3b0c4a+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut cases: Vec<Vec<&str>> = vec![
        vec!["--log-s3", &file],
        vec!["--log-origin", "log.test/own"],
        vec!["--log-wait"],
    ];
    cases.extend(connection.iter().map(|c| vec!["--log-index", c.as_str()]));
    for (at, case) in cases.iter().enumerate() {
        let inner = Place::new();
        let own = own_home(&inner);
        let words = [
            "cnn",
            "--home",
            &own,
            "--no-keep",
            "--log-interval-ms",
            "20",
        ];
        let server = start(&inner, &[&words[..], case].concat());
        let key = key_of(&server);
        let (_, bundle) = answer(&server, &inner, "one.json");
        if case.contains(&"--log-wait") {
            let demand = inner.write("policy.toml", policy(&key, None).as_bytes());
            inner.run(&["verify", bundle, "--policy", demand]).expect(0);
        }
        assert_eq!(key.starts_with("log.test/own+"), at == 1, "{key}");
        assert_eq!(server.stop(), Some(0), "{case:?}");
    }
    // A witness that is none is refused before anything is served.
    let own = own_home(&place);
    let words = [
        "serve",
        "cnn",
        "--no-keep",
        "--witness",
        witness,
        "http://127.0.0.1:1",
    ];
    let refused = place.run_at(Path::new(&own), &words);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    // And without any option nothing is logged.
    let server = start(&place, &["cnn", "--home", &own, "--no-keep"]);
    let first: Value = serde_json::from_str(&server.first).unwrap();
    assert!(first.get("log").is_none());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn receipts_in_a_vault_stay_readable_or_are_refused() {
    let place = Place::new();
    let own = own_home(&place);
    let key = place.path("receipts.key");
    let key = key.to_str().unwrap();
    let serve = |more: &[&str]| {
        start(
            &place,
            &[&["cnn", "--home", &own, "--no-log"], more].concat(),
        )
    };
    let bundle_of = |server: &Server| {
        let (head, _) = server.ask("POST", "/v2/models/cnn/infer", &four_digits());
        let path = head
            .lines()
            .find_map(|line| line.strip_prefix("credence-bundle: "));
        path.unwrap().to_owned()
    };
    let has = |server: &Server, path: &str| {
        let (head, _) = server.ask("GET", path, "");
        head.starts_with("HTTP/1.1 200 ")
    };
    // In the open; then by age, which moves them; and without the option they are still there.
    let server = serve(&[]);
    let plain = bundle_of(&server);
    assert_eq!(server.stop(), Some(0));
    let server = serve(&["--receipts-days", "30"]);
    assert!(has(&server, &plain));
    assert_eq!(server.stop(), Some(0));
    let server = serve(&[]);
    assert!(has(&server, &plain));
    let also = bundle_of(&server);
    assert_eq!(server.stop(), Some(0));
    // Encrypted from then on: what was there is read, and nothing goes on without the key.
    let server = serve(&["--receipts-key", key]);
    assert!(has(&server, &plain) && has(&server, &also));
    assert_eq!(server.stop(), Some(0));
    let other = Place::new();
    let sealed_home = own_home(&other);
    let words = [
        "cnn",
        "--home",
        &sealed_home,
        "--no-log",
        "--receipts-key",
        key,
    ];
    let server = start(&other, &words);
    let sealed = bundle_of(&server);
    let vault = Path::new(&sealed_home).join("vault/bundles");
    assert_eq!(server.stop(), Some(0));
    assert!(vault.is_dir());
    let serve = ["serve", "cnn", "--no-log", "--listen", "127.0.0.1:0"];
    for more in [&[][..], &["--receipts-days", "9"]] {
        let words = [&serve[..], more].concat();
        let refused = other.run_at(Path::new(&sealed_home), &words).expect(2);
        refused.says("--receipts-key");
    }
    let server = start(&other, &words);
    assert!(has(&server, &sealed));
    assert_eq!(server.stop(), Some(0));
}

/// A server is killed while many ask; started again, every digest that it gave out is in its log, and its log is right.
#[test]
fn a_server_that_is_killed_logs_all_that_it_gave_out() {
    let place = Place::new();
    let own = own_home(&place);
    let mut dice = Dice::new(kill::seed(
        "a_server_that_is_killed_logs_all_that_it_gave_out",
    ));
    let words = ["cnn", "--home", &own, "--log-interval-ms", "20"];
    let mut given: Vec<String> = Vec::new();
    for _ in 0..4 {
        let server = start(&place, &words);
        let stop = AtomicBool::new(false);
        let load = || {
            let mut heard = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                // The connection may break at any moment.
                let asked = server.try_ask("POST", "/v2/models/cnn/infer", &four_digits());
                let Some((head, _)) = asked else { break };
                let digest = head
                    .lines()
                    .find_map(|line| line.strip_prefix("credence-receipt: "));
                heard.extend(digest.map(str::to_owned));
            }
            heard
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(load)).collect();
            std::thread::sleep(Duration::from_millis(100 + dice.below(600)));
            server.kill();
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                given.extend(thread.join().unwrap());
            }
        });
    }
    assert!(given.len() > 10, "{}", given.len());
    let server = start(&place, &words);
    let key = key_of(&server);
    let demand = place.write("policy.toml", policy(&key, None).as_bytes());
    let end = Instant::now() + Duration::from_secs(60);
    for (at, digest) in given.iter().enumerate() {
        // Logged though nobody asked before; the proof is there once the start has caught up.
        let body = loop {
            let (head, body) = server.ask("GET", &format!("/v1/receipts/{digest}"), "");
            assert!(head.starts_with("HTTP/1.1 200 "), "{digest}: {head}");
            if body.contains("\"log\":") {
                break body;
            }
            assert!(Instant::now() < end, "{digest} is not logged");
            std::thread::sleep(Duration::from_millis(20));
        };
        // Each proof is checked by whoever verifies; the command takes a while, so not each by it.
        if at % 16 == 0 {
            place.write("kept.json", body.as_bytes());
            place
                .run(&["verify", "kept.json", "--policy", demand])
                .expect(0);
        }
    }
    assert_eq!(server.stop(), Some(0));
    let audited = place.run_at(Path::new(&own), &["log", "audit"]).expect(0);
    let entries = audited
        .out
        .split(' ')
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap();
    assert!(entries >= given.len(), "{audited:#?}");
    let mut distinct = given.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), given.len());
}
