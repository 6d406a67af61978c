//! Claims, honest or not, and whole disputes about them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_base::{Digest, Nonce, Profile, SigningKey, TraceRoot, domain};
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots, Salts,
    SeedSource, commitment,
};
use credence_commit::tree;
use credence_dispute::{
    Body, Party, Question, Reason, Referee, Status, Terms, Transcript, Verdict, sign,
};
use credence_exec::sampling::{Parameters, Settings};
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Finish, Generation, Language, Limits, Output, Prompt};
use credence_method_spot::{Tree, root_of};
use credence_model::{Model, TensorLimits, Tensors};
use credence_prove_dispute::{Challenger, Operator, PlayError, Player, Sections};

pub(crate) const NONCE: Nonce = Nonce::from_bytes([7; 32]);
pub(crate) const START: u64 = 1_700_000_000;

pub(crate) fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

pub(crate) fn key(party: Party) -> SigningKey {
    SigningKey::from_seed(&match party {
        Party::Operator => [1; 32],
        Party::Challenger => [2; 32],
    })
}

/// What an operator commits to, before it does.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) model: Arc<Model>,
    pub(crate) input: Vec<u8>,
    pub(crate) params: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) sections: Sections,
    pub(crate) counts: Counts,
    pub(crate) finish: FinishReason,
    pub(crate) seed: SeedSource,
    /// What it says is the root of a section without bytes.
    pub(crate) nothing: Digest,
}

impl Told {
    pub(crate) fn is_language(&self) -> bool {
        self.model.program().language().is_some()
    }

    /// The claim, and what stands behind it.
    pub(crate) fn claim(&self) -> (Claim, Openings) {
        let operator = key(Party::Operator).public_key();
        let salts = Salts::derive(&[2; 32]);
        let roots = Roots {
            input: commitment::input_root(&self.input),
            params: commitment::params_root(&self.params),
            output: commitment::output_root(&self.output),
            trace: trace_root(self.is_language(), &self.sections, &self.nothing),
        };
        let commitments = Commitments::new(&operator, &salts, &roots);
        let claim = Claim::new(ClaimFields {
            profile: Profile::Exact1,
            model: self.model.id(),
            input: commitments.input,
            params: commitments.params,
            output: commitments.output,
            trace: commitments.trace,
            counts: self.counts,
            finish: self.finish,
            nonce: self.is_language().then_some(NONCE),
            seed: self.seed,
            constrained: None,
        });
        let opened = |salt, content: &[u8]| {
            Some(Opened {
                salt,
                content: content.to_vec(),
            })
        };
        let openings = Openings {
            input: opened(salts.input, &self.input),
            params: opened(salts.params, &self.params),
            output: opened(salts.output, &self.output),
            trace: Some(salts.trace),
        };
        (claim.unwrap(), openings)
    }

    pub(crate) fn tokens(&self) -> Vec<u32> {
        Output::decode(&self.output).unwrap().tokens
    }

    /// The same answer with one token replaced, its text left alone.
    pub(crate) fn with_token(&self, index: usize, token: u32) -> Self {
        let output = Output::decode(&self.output).unwrap();
        let mut tokens = output.tokens.clone();
        tokens[index] = token;
        Self {
            output: Output::new(output.text, tokens).encode().unwrap(),
            ..self.clone()
        }
    }
}

fn trace_root(language: bool, sections: &Sections, nothing: &Digest) -> TraceRoot {
    let count = if language { 4 } else { 1 };
    let mut list = u32::try_from(count).unwrap().to_le_bytes().to_vec();
    for (kind, bytes) in (0_u8..).zip(sections).take(count) {
        list.push(kind);
        list.extend(wide(bytes.len()).to_le_bytes());
        let root = root_of(Tree::Positions, bytes);
        let root = if bytes.is_empty() { nothing } else { &root };
        list.extend(root.as_bytes());
    }
    TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list))
}

/// A language model's honest answer to ids.
pub(crate) fn answer(model: &Arc<Model>, prompt: &[u32], settings: Settings) -> Told {
    let engine = Engine::new(Arc::clone(model), options()).unwrap();
    let language = Language::new(engine).unwrap();
    let parameters = Parameters::new(settings).unwrap();
    let prompt = Prompt::tokens(prompt.to_vec(), 0).unwrap();
    let (input, params) = (prompt.encode().unwrap(), parameters.encode());
    let draws = parameters.settings().temperature > 0;
    let source = if draws {
        SeedSource::Derived
    } else {
        SeedSource::Nothing
    };
    let seed = derive(&Request {
        nonce: NONCE,
        model: model.id(),
        input_root: commitment::input_root(&input),
        params_root: commitment::params_root(&params),
    });
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, (seed, 0), limits);
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
    let finish = match generation.finish() {
        Some(Finish::Stop) => FinishReason::Stop,
        Some(Finish::Length) => FinishReason::Length,
        None => FinishReason::Cancelled,
    };
    Told {
        model: Arc::clone(model),
        counts: Counts {
            input: wide(prompt.ids().len()),
            output: wide(generation.tokens().len()),
        },
        input,
        params,
        output: generation.output().encode().unwrap(),
        sections: session.sections().unwrap(),
        finish,
        seed: source,
        nothing: root_of(Tree::Positions, &[]),
    }
}

pub(crate) fn greedy(max_tokens: u32) -> Settings {
    Settings {
        temperature: 0,
        ..Settings::neutral(max_tokens)
    }
}

pub(crate) fn prompt_ids(len: usize) -> Vec<u32> {
    let text = b"What is the thing that a referee with neither model nor data decides?";
    text.iter().take(len).map(|&byte| byte.into()).collect()
}

/// The trace of other tokens than those said.
pub(crate) fn sections_of(model: &Arc<Model>, tokens: &[u32], sampled: usize) -> Sections {
    let engine = Engine::new(Arc::clone(model), options()).unwrap();
    let mut session = engine.recording_session().unwrap();
    let mut appends = [Append {
        session: &mut session,
        tokens,
        sampled,
    }];
    engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
    session.sections().unwrap()
}

/// A tensor model's honest answer.
pub(crate) fn infer(model: &Arc<Model>, inputs: &Tensors) -> Told {
    let engine = Engine::new(Arc::clone(model), options()).unwrap();
    let execution = engine.run(inputs).unwrap();
    let bytes = execution.trace.bytes().to_vec();
    Told {
        model: Arc::clone(model),
        input: inputs.encode(),
        params: vec![1, 0, 0, 0, 0],
        output: execution.outputs.encode(),
        sections: [bytes, Vec::new(), Vec::new(), Vec::new()],
        counts: Counts {
            input: execution.positions,
            output: execution.positions,
        },
        finish: FinishReason::Complete,
        seed: SeedSource::Nothing,
        nothing: root_of(Tree::Positions, &[]),
    }
}

pub(crate) fn outputs(told: &Told) -> Tensors {
    Tensors::decode(&told.output, TensorLimits { bytes_max: 1 << 24 }).unwrap()
}

/// The model with some weights changed.
pub(crate) fn altered(model: &Model, mut change: impl FnMut(usize, &mut [u8])) -> Arc<Model> {
    let spec = model.program().spec().clone();
    let params = model.params().iter().enumerate().map(|(at, bytes)| {
        let mut bytes = bytes.to_vec();
        change(at, &mut bytes);
        bytes
    });
    let params = params.collect();
    Arc::new(Model::new(spec, params).unwrap())
}

/// What a party sends instead of what it should.
pub(crate) enum Sent {
    Body(Body),
    /// Signed, whatever it is.
    Bytes(Vec<u8>),
    /// Nothing, until time has run out.
    Nothing,
}

/// One dispute.
pub(crate) struct Dispute {
    pub(crate) transcript: Transcript,
    pub(crate) verdict: Verdict,
}

impl Dispute {
    /// Bytes of all messages.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.transcript.entries.iter();
        entries
            .map(|entry| entry.message.as_ref().map_or(0, Vec::len))
            .sum()
    }
}

pub(crate) fn terms(claim: &Claim) -> Terms {
    Terms {
        claim: claim.digest(),
        operator: key(Party::Operator).public_key(),
        challenger: key(Party::Challenger).public_key(),
        started_unix_s: START,
        turn_s: 600,
    }
}

/// Plays a dispute about what was told. `speak` gets what a party would say honestly, and gives what it says.
pub(crate) fn dispute(
    player: &Player,
    told: &Told,
    truth: &Sections,
    mut speak: impl FnMut(&Referee<'_>, &Question, Body) -> Sent,
) -> Dispute {
    let (claim, openings) = told.claim();
    let mut referee = Referee::new(player.card(), &claim, terms(&claim)).unwrap();
    let run = (player.weights(), &told.sections);
    let operator = Operator::new(&openings, told.is_language(), run).unwrap();
    let challenger = Challenger::new(player.weights(), truth);
    let (mut entries, mut now) = (Vec::new(), START);
    loop {
        let question = match referee.status() {
            Status::Over(verdict) => {
                let transcript = Transcript {
                    terms: *referee.terms(),
                    entries,
                };
                return Dispute {
                    transcript,
                    verdict,
                };
            }
            Status::Awaiting { question, .. } => question.clone(),
        };
        let party = question.party();
        let honest = match party {
            // Whoever's trace is too short has nothing to show.
            Party::Operator => match operator.answer(&referee) {
                Ok(body) => body.unwrap(),
                Err(PlayError::Short) => Body::Concede,
                Err(error) => panic!("{error:?}"),
            },
            Party::Challenger => challenger.answer(&referee).unwrap(),
        };
        now += 5;
        let bytes = match speak(&referee, &question, honest) {
            Sent::Body(body) => body.encode().unwrap(),
            Sent::Bytes(bytes) => bytes,
            Sent::Nothing => {
                now += 600;
                entries.extend(referee.step(None, now).unwrap());
                continue;
            }
        };
        let message = sign(&key(party), referee.head(), party, &bytes);
        entries.extend(referee.step(Some(&message), now).unwrap());
        assert!(entries.len() < 200, "{question:?}");
    }
}

/// Both parties play as they should: the operator by what it committed to, the challenger by the truth.
pub(crate) fn played(player: &Player, told: &Told, truth: &Sections) -> Dispute {
    let dispute = dispute(player, told, truth, |_, _, body| Sent::Body(body));
    let (claim, _) = told.claim();
    let again = dispute.transcript.check(player.card(), &claim).unwrap();
    assert_eq!(again, dispute.verdict);
    dispute
}

/// The truth about what was told: its request, run again on the tokens that it claims.
pub(crate) fn rerun(player: &Player, told: &Told) -> Sections {
    let (claim, openings) = told.claim();
    let operator = key(Party::Operator).public_key();
    let case = Case::check(&claim, &operator, &openings).unwrap();
    player.rerun(&case).unwrap()
}

/// An honest challenger convicts, for one of these reasons.
pub(crate) fn convicted(
    player: &Player,
    told: &Told,
    truth: &Sections,
    reasons: &[Reason],
) -> Dispute {
    let dispute = played(player, told, truth);
    let verdict = dispute.verdict;
    assert_eq!(verdict.loser, Some(Party::Operator), "{verdict:?}");
    assert!(reasons.contains(&verdict.reason), "{verdict:?}");
    dispute
}

/// A small generator: the same numbers on every machine.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }

    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(wide(end))).unwrap()
    }
}
