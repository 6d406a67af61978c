//! A court on a free port with a clock that tests turn, claims honest and not, and parties.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use credence_base::{Digest, Profile, SigningKey, TraceRoot, domain};
use credence_claim::{
    Claim, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots, Salts,
    SeedSource, commitment,
};
use credence_commit::tree;
use credence_court::{
    CourtClient, CourtEvent, Draft, Filing, Notice, Pass, Rules, Seat, Standing, Step, serve, step,
};
use credence_dispute::{Body, Party, Referee, Terms, Verdict};
use credence_exec::{Engine, Isa, Options};
use credence_method_spot::{Tree, root_of};
use credence_model::Model;
use credence_prove_dispute::{Challenger, Operator, PlayError, Player, Sections};
use credence_receipt::{Envelope, Inference, Statement, sign};
use credence_testkit::program_gen::{model, request};
use credence_witness::fetch::Prefix;
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const NOON: u64 = 1_700_000_000;
pub(crate) const TURN: u32 = 600;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub(crate) fn operator() -> SigningKey {
    key(1)
}

pub(crate) fn challenger() -> SigningKey {
    key(2)
}

pub(crate) fn referee() -> SigningKey {
    key(3)
}

pub(crate) fn rules() -> Rules {
    Rules {
        turn_s: TURN,
        live_max: 4,
        live_of_one_max: 2,
        live_of_operator_max: 4,
        kept_max: 8,
        kept_s: 10_000_000,
        models_max: 2,
        models_of_one_max: 2,
    }
}

/// A server that runs.
pub(crate) struct Court {
    pub(crate) client: CourtClient,
    pub(crate) address: String,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) wall: Arc<AtomicU64>,
    pub(crate) events: Arc<Mutex<Vec<CourtEvent>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Court {
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::at(folder, Arc::new(AtomicU64::new(NOON)))
    }

    pub(crate) fn at(folder: Arc<TempDir>, wall: Arc<AtomicU64>) -> Self {
        Self::by((folder, wall), rules())
    }

    pub(crate) fn by((folder, wall): (Arc<TempDir>, Arc<AtomicU64>), rules: Rules) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let events: Arc<Mutex<Vec<CourtEvent>>> = Arc::default();
        let (path, clock, kept) = (
            folder.path().to_owned(),
            Arc::clone(&wall),
            Arc::clone(&events),
        );
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let served = serve(
                (path, "127.0.0.1:0".parse().unwrap()),
                (referee(), rules),
                (
                    Arc::new(move || clock.load(Ordering::Relaxed)),
                    Arc::new(move |event| {
                        if let CourtEvent::Listening { url, .. } = &event {
                            tell.send(url.clone()).unwrap();
                        }
                        kept.lock().unwrap().push(event);
                    }),
                ),
                async {
                    drop(stopped.await);
                },
            );
            runtime.block_on(served).unwrap();
        });
        let url = told.recv().unwrap();
        Self {
            client: CourtClient::new(Prefix::new(&url).unwrap()),
            address: url.strip_prefix("http://").unwrap().to_owned(),
            folder,
            wall,
            events,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops the server and gives what a new one needs.
    pub(crate) fn stop(mut self) -> (Arc<TempDir>, Arc<AtomicU64>) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
        (Arc::clone(&self.folder), Arc::clone(&self.wall))
    }

    /// A pass for one dispute.
    pub(crate) fn pass(&self, key: &SigningKey, dispute: &Digest) -> Pass {
        let about = self.client.about().unwrap();
        Pass::sign(key, (&about.referee, Some(dispute)), about.time_unix_s)
    }

    /// A pass for the list of a party's disputes.
    pub(crate) fn list_pass(&self, key: &SigningKey) -> Pass {
        let about = self.client.about().unwrap();
        Pass::sign(key, (&about.referee, None), about.time_unix_s)
    }

    /// Time passes while the referee looks at its clock, as it does when it is awake.
    pub(crate) fn later(&self, seconds: u64) {
        let mut left = seconds;
        while left > 0 {
            let step = left.min(25);
            self.wall.fetch_add(step, Ordering::Relaxed);
            self.client.about().unwrap();
            left -= step;
        }
    }

    /// Waits until the dispute has ended by itself, as it does half a second after time ran out.
    pub(crate) fn ended(&self, notice: &Notice) -> Notice {
        for _ in 0..200 {
            let now = self.client.notice(&notice.dispute).unwrap();
            if matches!(now.standing, Standing::Over(..)) {
                return now;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("the dispute goes on");
    }
}

pub(crate) fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// A model with a player, and what its operator said.
pub(crate) struct Told {
    pub(crate) player: Player,
    pub(crate) claim: Claim,
    pub(crate) openings: Openings,
    pub(crate) receipt: Envelope,
    /// What the operator answers from.
    pub(crate) shown: Sections,
    /// What is right.
    pub(crate) truth: Sections,
}

/// How an operator lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// One byte of the trace is another.
    Trace,
    /// The trace is right, the answer is not.
    Output,
}

/// A claim about a random tensor model.
pub(crate) fn told(seed: u64, lie: Lie, salt: u8) -> Told {
    let model = Arc::new(model(seed));
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let player = Player::new(&model, options).unwrap();
    let inputs = request(&model, seed, 2);
    let engine = Engine::new(Arc::clone(&model), options).unwrap();
    let execution = engine.run(&inputs).unwrap();
    let truth: Sections = [
        execution.trace.bytes().to_vec(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
    ];
    let mut shown = truth.clone();
    let mut output = execution.outputs.encode();
    match lie {
        Lie::None => {}
        Lie::Trace => shown[0][0] ^= 1,
        Lie::Output => *output.last_mut().unwrap() ^= 1,
    }
    let contents = [inputs.encode(), vec![1, 0, 0, 0, 0], output];
    let (claim, openings) = claimed(&model, contents, (&shown[0], salt), execution.positions);
    let statement = Statement::Inference(Inference {
        claim: claim.clone(),
        operator: operator().public_key(),
        time_unix_s: NOON,
    });
    let receipt = sign(&statement, &operator()).unwrap();
    Told {
        player,
        claim,
        openings,
        receipt,
        shown,
        truth,
    }
}

/// The claim of such contents and trace, and what opens it.
fn claimed(
    model: &Model,
    contents: [Vec<u8>; 3],
    (shown, salt): (&[u8], u8),
    positions: u64,
) -> (Claim, Openings) {
    let [input, params, output] = &contents;
    let len = u64::try_from(shown.len()).unwrap();
    let mut list = vec![1, 0, 0, 0, 0];
    list.extend(len.to_le_bytes());
    list.extend(root_of(Tree::Positions, shown).as_bytes());
    let roots = Roots {
        input: commitment::input_root(input),
        params: commitment::params_root(params),
        output: commitment::output_root(output),
        trace: TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list)),
    };
    let salts = Salts::derive(&[salt; 32]);
    let key = operator().public_key();
    let commitments = Commitments::new(&key, &salts, &roots);
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: positions,
            output: positions,
        },
        finish: FinishReason::Complete,
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
        input: opened(salts.input, input),
        params: opened(salts.params, params),
        output: opened(salts.output, output),
        trace: Some(salts.trace),
    };
    (claim, openings)
}

impl Told {
    pub(crate) fn terms(&self, started_unix_s: u64) -> Terms {
        Terms {
            claim: self.claim.digest(),
            operator: operator().public_key(),
            challenger: challenger().public_key(),
            started_unix_s,
            turn_s: TURN,
        }
    }

    /// What is filed, with a card or without.
    pub(crate) fn draft(&self, terms: Terms, card: Vec<u8>) -> Draft {
        let input = self.openings.input.as_ref().unwrap();
        Draft {
            terms,
            receipt: self.receipt.clone(),
            input: (input.salt, commitment::input_root(&input.content)),
            card,
        }
    }

    pub(crate) fn filing(&self, started_unix_s: u64) -> Filing {
        let card = self.player.card_bytes().to_vec();
        let draft = self.draft(self.terms(started_unix_s), card);
        Filing::sign(draft, &challenger(), &referee().public_key())
    }

    /// Files a dispute now.
    pub(crate) fn file(&self, court: &Court) -> Notice {
        let about = court.client.about().unwrap();
        court.client.file(&self.filing(about.time_unix_s)).unwrap()
    }

    /// What an honest party would say, lies of the operator's claim apart.
    pub(crate) fn answer(
        &self,
        party: Party,
        referee: &Referee<'_>,
    ) -> Result<Option<Body>, PlayError> {
        let weights = self.player.weights();
        match party {
            Party::Operator => {
                Operator::new(&self.openings, false, (weights, &self.shown))?.answer(referee)
            }
            Party::Challenger => Ok(Challenger::new(weights, &self.truth).answer(referee)),
        }
    }

    /// One step of a party that says what `speak` makes of what it would say.
    pub(crate) fn step(
        &self,
        court: &Court,
        notice: &Notice,
        party: Party,
        speak: impl FnOnce(Body) -> Option<Body>,
    ) -> Step {
        let key = match party {
            Party::Operator => operator(),
            Party::Challenger => challenger(),
        };
        let seat = Seat {
            key: &key,
            party,
            card: self.player.card(),
            claim: &self.claim,
            terms: notice.terms,
        };
        step(&court.client, &seat, |referee| {
            Ok::<_, PlayError>(self.answer(party, referee)?.and_then(speak))
        })
        .unwrap()
    }

    /// Both parties step until the dispute has ended.
    pub(crate) fn play(&self, court: &Court, notice: &Notice) -> Verdict {
        for _ in 0..200 {
            for party in [Party::Operator, Party::Challenger] {
                if let Step::Over(verdict) = self.step(court, notice, party, Some) {
                    return verdict;
                }
            }
        }
        panic!("the dispute goes on");
    }
}
