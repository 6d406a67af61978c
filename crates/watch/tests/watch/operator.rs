//! An operator on a free port that answers as a test says, and auditors that ask it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credence_base::{Profile, PublicKey, ReceiptDigest, SigningKey, TraceRoot};
use credence_claim::{
    Claim, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots, Salts,
    SeedSource, commitment,
};
use credence_exec::{Engine, Isa, Options};
use credence_model::Model;
use credence_receipt::{Audit, BUNDLE_LEN_MAX, Bundle, Inference, Kept, Statement, sign};
use credence_testkit::program_gen::{model, request};
use credence_watch::auditor::{
    Auditor, AuditorEvent, AuditorSetup, Honeypots, Library, Means, ModelSource, Patience, Publish,
    Times,
};
use credence_watch::cards::Cards;
use credence_watch::{Followed, LogSource};
use credence_witness::fetch::Prefix;
use tempfile::TempDir;

use crate::shared::{History, Shown, log_key};

pub(crate) const NOON: u64 = 1_700_000_000;
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn small() -> Arc<Model> {
    Arc::new(model(3))
}

/// What stands behind a claim.
pub(crate) struct Contents {
    pub(crate) input: Vec<u8>,
    pub(crate) params: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) trace: TraceRoot,
    pub(crate) counts: (u64, u64),
    pub(crate) finish: FinishReason,
}

pub(crate) fn signed(by: (&Model, &SigningKey), contents: &Contents, salt: u64) -> Bundle {
    signed_at(by, contents, (salt, NOON))
}

pub(crate) fn signed_at(
    (model, key): (&Model, &SigningKey),
    contents: &Contents,
    (salt, time_unix_s): (u64, u64),
) -> Bundle {
    let mut entropy = [7; 32];
    entropy[..8].copy_from_slice(&salt.to_le_bytes());
    let salts = Salts::derive(&entropy);
    let operator = key.public_key();
    let roots = Roots {
        input: commitment::input_root(&contents.input),
        params: commitment::params_root(&contents.params),
        output: commitment::output_root(&contents.output),
        trace: contents.trace,
    };
    let commitments = Commitments::new(&operator, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: contents.counts.0,
            output: contents.counts.1,
        },
        finish: contents.finish,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
    })
    .unwrap();
    let opened = |salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    let openings = Openings {
        input: opened(salts.input, &contents.input),
        params: opened(salts.params, &contents.params),
        output: opened(salts.output, &contents.output),
        trace: Some(salts.trace),
    };
    let statement = Statement::Inference(Inference {
        claim,
        operator,
        time_unix_s,
    });
    Bundle::new(sign(&statement, key).unwrap(), openings, Vec::new()).unwrap()
}

/// An answer of the small model, true or with its output changed.
pub(crate) fn answer(salt: u64, lie: bool) -> Bundle {
    answer_by(&key(), salt, lie)
}

pub(crate) fn answer_by(key: &SigningKey, salt: u64, lie: bool) -> Bundle {
    signed((&small(), key), &contents(salt, lie), salt)
}

pub(crate) fn contents(salt: u64, lie: bool) -> Contents {
    let model = small();
    let inputs = request(&model, salt, 2);
    let engine = Engine::new(Arc::clone(&model), options()).unwrap();
    let execution = engine.run(&inputs).unwrap();
    let mut output = execution.outputs.encode();
    if lie {
        *output.last_mut().unwrap() ^= 1;
    }
    Contents {
        input: inputs.encode(),
        params: vec![1, 0, 0, 0, 0],
        output,
        trace: execution.trace.root(),
        counts: (execution.positions, execution.positions),
        finish: FinishReason::Complete,
    }
}

pub(crate) fn digest(bundle: &Bundle) -> ReceiptDigest {
    bundle.receipt().digest()
}

/// A bundle with other openings.
pub(crate) fn reopened(bundle: &Bundle, change: impl FnOnce(&mut Openings)) -> Bundle {
    let mut openings = bundle.openings().clone();
    change(&mut openings);
    Bundle::new(bundle.receipt().clone(), openings, Vec::new()).unwrap()
}

type Handler = Box<dyn Fn(&str, &str, &[u8]) -> (u16, Vec<u8>) + Send>;

/// A server that answers as it is told to.
pub(crate) struct Stub {
    pub(crate) url: String,
    handler: Arc<Mutex<Handler>>,
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Stub {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let none: Handler = Box::new(|_, _, _| (503, Vec::new()));
        let (handler, asked) = (Arc::new(Mutex::new(none)), Arc::new(AtomicUsize::new(0)));
        let (own, count) = (Arc::clone(&handler), Arc::clone(&asked));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut socket) = socket else { return };
                count.fetch_add(1, Ordering::Relaxed);
                let mut reader = BufReader::new(socket.try_clone().unwrap());
                let mut first = String::new();
                reader.read_line(&mut first).unwrap();
                let mut len = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        len = value.trim().parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; len];
                reader.read_exact(&mut body).unwrap();
                let mut words = first.split_whitespace();
                let (method, path) = (words.next().unwrap(), words.next().unwrap());
                let (status, answer) = own.lock().unwrap()(method, path, &body);
                let head = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                // Whoever asked may have left.
                drop(socket.write_all(&[head.as_bytes(), &answer].concat()));
            }
        });
        Self {
            url,
            handler,
            asked,
        }
    }

    pub(crate) fn answers(
        &self,
        handler: impl Fn(&str, &str, &[u8]) -> (u16, Vec<u8>) + Send + 'static,
    ) {
        *self.handler.lock().unwrap() = Box::new(handler);
    }

    pub(crate) fn status(&self, status: u16) {
        self.answers(move |_, _, _| (status, Vec::new()));
    }

    /// Serves these bundles to whoever has their keys, and the receipts alone to anyone, as an honest operator does.
    pub(crate) fn serves(&self, bundles: &[Bundle]) {
        let mut all = BTreeMap::new();
        for bundle in bundles {
            all.insert(Kept::of(bundle).path(), bundle.encode().unwrap());
            let bare = reopened(bundle, |openings| *openings = Openings::default());
            let path = Kept::of(&bare).path();
            all.insert(path, bare.encode().unwrap());
        }
        self.answers(move |_, path, _| match all.get(path) {
            Some(bytes) => (200, bytes.clone()),
            None if path.contains("?key=") => (403, Vec::new()),
            None => (404, Vec::new()),
        });
    }
}

/// An auditor's folder, a log of receipts, an operator, and a clock that the test turns.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) shown: Arc<Shown>,
    pub(crate) stub: Stub,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) events: Arc<Mutex<Vec<AuditorEvent>>>,
    pub(crate) models: ModelSource,
    pub(crate) publish: Option<Publish>,
    pub(crate) times: Times,
    pub(crate) policy: Option<credence_log::LogPolicy>,
}

impl World {
    pub(crate) fn new(entries: Vec<ReceiptDigest>) -> Self {
        let size = u64::try_from(entries.len()).unwrap();
        let history = Arc::new(History::of(entries));
        let own = small();
        Self {
            folder: tempfile::tempdir().unwrap(),
            shown: Shown::new(&history, size),
            stub: Stub::new(),
            clock: Arc::new(AtomicU64::new(NOON)),
            events: Arc::default(),
            models: Arc::new(move |id| (own.id() == id).then(|| Arc::clone(&own))),
            publish: None,
            times: Times {
                patience: Patience {
                    tries: 3,
                    over_s: 100,
                },
                ..Times::usual()
            },
            policy: None,
        }
    }

    pub(crate) fn bundles(&self) -> PathBuf {
        let folder = self.folder.path().join("bundles");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys.txt")
    }

    pub(crate) fn put(&self, bundle: &Bundle) {
        let path = self.bundles().join(format!("{}.json", digest(bundle)));
        std::fs::write(path, bundle.encode().unwrap()).unwrap();
    }

    pub(crate) fn entitle(&self, bundles: &[Bundle]) -> String {
        let line = |bundle: &Bundle| {
            let key = Kept::of(bundle).key.unwrap();
            format!("{} {key}\n", digest(bundle))
        };
        let text: String = bundles.iter().map(line).collect();
        std::fs::write(self.keys(), &text).unwrap();
        text
    }

    pub(crate) fn auditor(&self) -> Auditor {
        self.auditor_with(None)
    }

    pub(crate) fn auditor_with(&self, honeypots: Option<Honeypots>) -> Auditor {
        let source = Arc::clone(&self.shown) as Arc<dyn LogSource>;
        let (events, clock) = (Arc::clone(&self.events), Arc::clone(&self.clock));
        Auditor::open(AuditorSetup {
            logs: vec![Followed {
                log: log_key(),
                source,
                policy: self.policy.clone(),
            }],
            rate_ppm: 1_000_000,
            library: Library::new(Some(self.bundles()), Some(self.keys())),
            means: Means {
                models: Arc::clone(&self.models),
                options: options(),
                operator: Prefix::new(&self.stub.url).unwrap(),
                cells: 16,
                rows: 1,
                cards: Cards::at(&self.folder.path().join("cards")),
            },
            honeypots,
            times: self.times,
            folder: self.folder.path().join("auditor"),
            key: SigningKey::from_seed(&[8; 32]),
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            publish: self.publish.clone(),
            sink: Arc::new(move |event| events.lock().unwrap().push(event)),
        })
        .unwrap()
    }

    pub(crate) fn later(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The audits that stand in files.
    pub(crate) fn audits(&self) -> Vec<Audit> {
        let folder = self.folder.path().join("auditor/audits");
        let mut found = Vec::new();
        for child in std::fs::read_dir(folder).unwrap() {
            let path = child.unwrap().path();
            if is_json(&path) {
                let bytes = std::fs::read(&path).unwrap();
                let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).unwrap();
                let signed = bundle.receipt().open().unwrap().into_statement();
                let Statement::Audit(audit) = signed else {
                    panic!("{path:?} is another statement")
                };
                found.push(audit);
            }
        }
        found
    }
}

pub(crate) fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

/// What is counted of the operator with that key.
pub(crate) fn drawn(auditor: &Auditor, key: &PublicKey) -> credence_watch::auditor::Counts {
    let tally = auditor.board().operators.get(&key.to_string());
    tally.copied().unwrap_or_default().drawn
}
