//! Receipts that go to a log: a real one, in a folder.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use credence_base::SigningKey;
use credence_ledger::{Ledger, Schedule, open_folder};
use credence_log::sequencer::Limits as Pool;
use credence_log::{Algorithm, KeyName, LogPolicy, Signer, VerifierKey};
use credence_node::http::{BUNDLE_HEADER, router};
use credence_node::{Care, Hosted, Logging, Operator, Service};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::{FolderReceipts, Receipts};
use credence_verify::{Facts, LogDemand, Policy, check};
use serde_json::json;

use crate::common::{ASKED, LIMITS, ask, chunks, get, infer, model, options, post};

#[expect(dead_code, reason = "the store's tests use more of it")]
#[path = "../../../store/tests/common/postgres.rs"]
mod postgres;

pub(crate) fn signer() -> Signer {
    let name = KeyName::new("example.com/test").unwrap();
    Signer::new(name, Algorithm::Ed25519, SigningKey::from_seed(&[9; 32]))
}

pub(crate) fn ledger(folder: &Path, interval_ms: u64, pool_max: usize) -> Arc<Ledger> {
    let limits = Pool {
        pool_max,
        ..Pool::usual()
    };
    let options = open_folder(&folder.join("log"), Arc::new(signer()), limits).unwrap();
    let schedule = Schedule {
        interval: Duration::from_millis(interval_ms),
        ..Schedule::new(Box::new(|error| panic!("{error}")))
    };
    Arc::new(Ledger::open(options, schedule).unwrap())
}

fn receipts(folder: &Path) -> Box<dyn Receipts> {
    let place = folder.join("receipts");
    std::fs::create_dir_all(&place).unwrap();
    Box::new(FolderReceipts::new(place, 1 << 20))
}

pub(crate) fn api(folder: &Path, logging: Option<Logging>) -> Router {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let hosted = Hosted::new("small".to_owned(), model(), options()).unwrap();
    let care = Care {
        logging,
        attached: None,
    };
    let service = Service::with_care(operator, vec![hosted], receipts(folder), care);
    router(Arc::new(service), LIMITS)
}

/// A policy that asks for the log's proof.
fn demanding(log: VerifierKey) -> Policy {
    Policy {
        log: Some(LogDemand {
            policy: LogPolicy::new(vec![log], Vec::new(), 0).unwrap(),
            required: true,
        }),
        ..Policy::signature_only()
    }
}

fn is_logged(bundle: &Bundle) -> bool {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let policy = demanding(signer().verifier().clone());
    check(bundle, &policy, &[], &Facts::at(now.as_secs())).is_ok()
}

pub(crate) async fn bundle(api: &Router, path: &str) -> Bundle {
    let kept = get(api, path).await;
    assert_eq!(kept.status, StatusCode::OK);
    Bundle::decode(&kept.body, BUNDLE_LEN_MAX).unwrap()
}

pub(crate) async fn path(api: &Router) -> String {
    let answer = infer(api, ASKED, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.headers[BUNDLE_HEADER].to_str().unwrap().to_owned()
}

/// Asks until the bundle has its proof.
async fn in_time(api: &Router, path: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_logged(&bundle(api, path).await) {
        assert!(Instant::now() < end, "no proof came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proof_comes_without_anyone_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Logging::new(ledger(folder.path(), 20, 100), false);
    let api = api(folder.path(), Some(log));
    let first = path(&api).await;
    in_time(&api, &first).await;
    // An older receipt is proved under a newer checkpoint as well; and in public, without its key.
    in_time(&api, &path(&api).await).await;
    assert!(is_logged(&bundle(&api, &first).await));
    let public = bundle(&api, first.split_once('?').unwrap().0).await;
    assert!(is_logged(&public) && public.openings().input.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_has_the_proof_with_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = Logging::new(ledger(folder.path(), 20, 100), true);
    let api = api(folder.path(), Some(log));
    for _ in 0..3 {
        let path = path(&api).await;
        assert!(is_logged(&bundle(&api, &path).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_before_a_crash_is_logged_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let unlogged = path(&api(folder.path(), None)).await;
    let log = Logging::new(ledger(folder.path(), 20, 100), false);
    let api = api(folder.path(), Some(log));
    assert!(!is_logged(&bundle(&api, &unlogged).await));
    in_time(&api, &unlogged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_log_has_no_room_for_is_withheld_for_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    // The next batch is an hour away, and one digest fills the pool.
    let log = Logging::new(ledger(folder.path(), 3_600_000, 1), false);
    let api = api(folder.path(), Some(log));
    path(&api).await;
    let refused = infer(&api, ASKED, &[]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.error().contains("log"), "{}", refused.error());
    assert!(!refused.headers.contains_key(BUNDLE_HEADER));
}

/// What a bundle opens: contents, and the salts that keep them from being guessed.
fn secrets(kept: &Bundle) -> Vec<Vec<u8>> {
    let openings = kept.openings();
    vec![
        openings.input.as_ref().unwrap().content.clone(),
        openings.output.as_ref().unwrap().content.clone(),
        openings.input.as_ref().unwrap().salt.as_bytes().to_vec(),
        openings.output.as_ref().unwrap().salt.as_bytes().to_vec(),
        openings.trace.as_ref().unwrap().as_bytes().to_vec(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_embeddings_that_the_log_has_no_room_for_are_withheld_alike() {
    let folder = tempfile::tempdir().unwrap();
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let hosted = |name: &str, model| Hosted::new(name.to_owned(), model, options()).unwrap();
    let embed = Arc::new(credence_testkit::speaking::embedding(2));
    let models = vec![
        hosted("small", model()),
        hosted("talk", crate::common::spoken()),
        hosted("embed", embed),
    ];
    let care = Care {
        logging: Some(Logging::new(ledger(folder.path(), 3_600_000, 1), false)),
        attached: None,
    };
    let service = Service::with_care(operator, models, receipts(folder.path()), care);
    let api = router(Arc::new(service), LIMITS);
    path(&api).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let chat = "/v1/chat/completions";
    for (place, body) in [
        (
            chat,
            json!({"model": "talk", "messages": messages, "max_tokens": 2}),
        ),
        (
            "/v1/embeddings",
            json!({"model": "embed", "input": "the thing"}),
        ),
    ] {
        let refused = ask(&api, post(place, &body)).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{place}");
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(refused.json()["error"]["code"], "unavailable");
        assert_eq!(refused.json()["error"]["type"], "server_error");
    }
    let body = json!({"model": "talk", "messages": messages, "max_tokens": 2, "stream": true});
    let (all, done) = chunks(&ask(&api, post(chat, &body)).await.body);
    assert!(!done);
    assert_eq!(all.last().unwrap()["error"]["code"], "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_question_or_answer_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = ledger(folder.path(), 20, 100);
    let api = api(folder.path(), Some(Logging::new(Arc::clone(&log), true)));
    let kept = bundle(&api, &path(&api).await).await;
    let files = found_nowhere(folder.path(), &kept, &secrets(&kept));
    assert!(files >= 4, "{files}");
}

/// A conversation: nothing of its words, of their tokens and of the salts is in tiles, checkpoints, records or the index, be that a file or tables.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_conversation_is_in_log_index_or_tables() {
    const WORDS: &str = "alpha beta gamma delta epsilon zeta";
    let database = tokio::task::block_in_place(postgres::Server::start);
    for in_tables in [false, true] {
        let Some(database) = database.as_ref().filter(|_| in_tables) else {
            if in_tables {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            talk_and_look(folder.path(), WORDS, None).await;
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        talk_and_look(folder.path(), WORDS, Some(database)).await;
    }
    tokio::task::block_in_place(|| drop(database));
}

async fn talk_and_look(folder: &Path, words: &str, database: Option<&postgres::Server>) {
    let api = talking(folder, database);
    let (kept, secrets) = talk(&api, words).await;
    let files = found_nowhere(folder, &kept, &secrets);
    assert!(files >= 4, "{files}");
    if let Some(database) = database {
        found_in_no_table(&database.dump(), &kept, &secrets);
    }
}

/// A language model whose receipts go to a log with that index.
fn talking(folder: &Path, database: Option<&postgres::Server>) -> Router {
    let limits = Pool::usual();
    let mut options = open_folder(&folder.join("log"), Arc::new(signer()), limits).unwrap();
    if let Some(database) = database {
        let index = credence_store::index::PostgresIndex::open(&database.connection()).unwrap();
        options.index = Arc::new(index);
    }
    let schedule = Schedule {
        interval: Duration::from_millis(20),
        ..Schedule::new(Box::new(|error| panic!("{error}")))
    };
    let log = Arc::new(Ledger::open(options, schedule).unwrap());
    let care = Care {
        logging: Some(Logging::new(log, true)),
        attached: None,
    };
    let talk = Hosted::with_caps(
        "talk".to_owned(),
        crate::common::spoken(),
        crate::common::options(),
        crate::common::CAPS,
    );
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let service = Service::with_care(operator, vec![talk.unwrap()], receipts(folder), care);
    router(Arc::new(service), crate::common::ROOMY)
}

/// One conversation: its bundle, and all that must not be found elsewhere.
async fn talk(api: &Router, words: &str) -> (Bundle, Vec<Vec<u8>>) {
    let asked = serde_json::json!({
        "model": "talk",
        "messages": [{"role": "user", "content": words}],
        "max_tokens": 24,
        "logit_bias": crate::common::endless(),
    });
    let answer = crate::common::ask(api, crate::common::post("/v1/chat/completions", &asked)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    let said = answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let place = answer.headers[BUNDLE_HEADER].to_str().unwrap();
    let kept = bundle(api, place).await;
    let mut secrets = secrets(&kept);
    // The words themselves, and what the answer says; and the bundles hold them, so the search would find them.
    secrets.push(words.as_bytes().to_vec());
    if said.len() >= 8 {
        secrets.push(said.into_bytes());
    }
    let output =
        credence_generate::Output::decode(&kept.openings().output.as_ref().unwrap().content);
    let tokens: Vec<u8> = output
        .unwrap()
        .tokens
        .iter()
        .take(8)
        .flat_map(|id| id.to_le_bytes())
        .collect();
    assert!(tokens.len() >= 16);
    secrets.push(tokens);
    let input = &kept.openings().input.as_ref().unwrap().content;
    let has = |secret: &[u8]| input.windows(secret.len()).any(|window| window == secret);
    assert!(has(words.as_bytes()), "the bundle opens the words");
    (kept, secrets)
}

fn found_in_no_table(dump: &str, kept: &Bundle, secrets: &[Vec<u8>]) {
    let dump = dump.to_lowercase();
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    // The search finds what is there.
    let digest = hex(kept.receipt().digest().as_bytes());
    assert!(dump.contains(&digest), "{dump}");
    for secret in secrets {
        assert!(!dump.contains(&hex(secret)), "{dump}");
        if let Ok(text) = std::str::from_utf8(secret) {
            assert!(!dump.contains(&text.to_lowercase()), "{dump}");
        }
    }
}

/// How many files of the log there are, in none of which any of the secrets is.
fn found_nowhere(folder: &Path, kept: &Bundle, secrets: &[Vec<u8>]) -> usize {
    let mut files = 0;
    let mut folders = vec![folder.join("log")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            files += 1;
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret);
                assert!(!found, "{}", path.display());
            }
            // The search finds what is there.
            let digest = kept.receipt().digest();
            let has_digest = bytes.windows(32).any(|window| window == digest.as_bytes());
            let is_entries = path.to_string_lossy().contains("/tile/entries/");
            assert!(has_digest || !is_entries, "{}", path.display());
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_before_a_crash_is_logged_though_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let unlogged = path(&api(folder.path(), None)).await;
    let log = ledger(folder.path(), 20, 1);
    let logging = Logging::new(Arc::clone(&log), false);
    // More than the log has room for at once.
    let receipts = receipts(folder.path());
    for byte in 0..20 {
        let digest = credence_base::ReceiptDigest::from_bytes([byte; 32]);
        receipts.put(digest, b"bundle").unwrap();
    }
    assert_eq!(logging.catch_up(&*receipts).unwrap(), 21);
    let end = Instant::now() + Duration::from_secs(20);
    let size = || {
        let published = log.published();
        published.map_or(0, |published| published.checkpoint.unverified().size())
    };
    while size() < 21 {
        assert!(Instant::now() < end, "{} of 21 are logged", size());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Again after a restart: all of it is known, and nothing stands there twice.
    assert_eq!(logging.catch_up(&*receipts).unwrap(), 21);
    let api = api(folder.path(), Some(logging));
    in_time(&api, &unlogged).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(size(), 21);
}

/// A witness that always answers so.
fn witness_says(status: u16, body: &'static str) -> credence_witness::WitnessAddress {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut seen = [0; 65_536];
            let _len = socket.read(&mut seen);
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            drop(socket.write_all(head.as_bytes()));
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let name = KeyName::new("w.example").unwrap();
    let key = Signer::new(
        name,
        Algorithm::CosignatureV1,
        SigningKey::from_seed(&[3; 32]),
    );
    credence_witness::WitnessAddress {
        key: key.verifier().clone(),
        prefix: credence_witness::fetch::Prefix::new(&format!("http://{address}")).unwrap(),
    }
}

#[test]
fn a_witness_that_has_seen_another_history_ends_the_log() {
    use credence_log::sequencer::SequencerError;
    let digest = |byte| credence_base::ReceiptDigest::from_bytes([byte; 32]);
    // Larger than the log ever was; of its size, and another root; and an outage, which ends nothing.
    for (status, body, ends) in [(409, "1000\n", true), (409, "1\n", true), (500, "", false)] {
        let folder = tempfile::tempdir().unwrap();
        let log = ledger(folder.path(), 20, 100);
        log.append(digest(1)).unwrap().wait().unwrap();
        let witnesses = vec![witness_says(status, body)];
        let _cosigning = credence_node::Cosigning::start(Arc::clone(&log), witnesses, 1).unwrap();
        let end = Instant::now() + Duration::from_secs(if ends { 20 } else { 1 });
        let mut ended = false;
        while !ended && Instant::now() < end {
            let refused = log.append(digest(1)).err();
            ended = refused == Some(SequencerError::Contradicted);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(ended, ends, "{status} {body}");
        // What was proved stays proved.
        assert!(log.proof(digest(1)).unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_about_the_servers_own_key_is_logged_and_no_other() {
    use credence_receipt::{KeyAction, KeyStatement, Statement, sign};
    let folder = tempfile::tempdir().unwrap();
    let log = Logging::new(ledger(folder.path(), 20, 100), false);
    let api = api(folder.path(), Some(log));
    let statement = |seed: u8| {
        let key = SigningKey::from_seed(&[seed; 32]);
        let action = KeyAction::Revoke {
            since_unix_s: 1_700_000_000,
        };
        let statement = Statement::Key(KeyStatement {
            operator: key.public_key(),
            action,
            time_unix_s: 1_700_000_001,
        });
        let envelope = sign(&statement, &key).unwrap();
        Bundle::new(envelope, credence_claim::Openings::default(), Vec::new()).unwrap()
    };
    let send = async |body: Vec<u8>| {
        let request = axum::http::Request::post("/v1/key-statements");
        let request = request.body(axum::body::Body::from(body)).unwrap();
        crate::common::ask(&api, request).await
    };
    let own = statement(1);
    let path = format!("/v1/receipts/{}", own.receipt().digest());
    assert_eq!(get(&api, &path).await.status, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        let taken = send(own.encode().unwrap()).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED);
        assert_eq!(taken.json()["bundle"], path);
    }
    let end = Instant::now() + Duration::from_secs(20);
    while bundle(&api, &path).await.log().is_none() {
        assert!(Instant::now() < end, "no proof came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Another's key, an answer of this server's, rubbish, a changed byte, and a server without a log.
    assert_eq!(
        send(statement(2).encode().unwrap()).await.status,
        StatusCode::FORBIDDEN
    );
    let answer = get(&api, &self::path(&api).await).await;
    assert_eq!(send(answer.body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        send(b"rubbish".to_vec()).await.status,
        StatusCode::BAD_REQUEST
    );
    let mut changed = own.encode().unwrap();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    assert_eq!(send(changed).await.status, StatusCode::BAD_REQUEST);
    let other = tempfile::tempdir().unwrap();
    let unlogged = self::api(other.path(), None);
    let request = axum::http::Request::post("/v1/key-statements");
    let request = request
        .body(axum::body::Body::from(own.encode().unwrap()))
        .unwrap();
    let refused = crate::common::ask(&unlogged, request).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}
