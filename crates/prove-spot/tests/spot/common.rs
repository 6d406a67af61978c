//! Operators, honest and not: answers, claims, and evidence over whatever bytes an operator chooses to open.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_base::{Nonce, Profile, PublicKey, SigningKey, TraceRoot, domain};
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, Counts, Finding, FinishReason, Method as _, MethodError,
    Opened, Openings, Roots, Salts, SeedSource, commitment,
};
use credence_commit::tree;
use credence_exec::sampling::{Parameters, Settings};
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Finish, Generation, Language, Limits, Output, Prompt};
use credence_method_spot::{
    Card, Challenge, Checks, Demand, Evidence, Layout, Recorder, Spot, Subject, Tree, root_of, show,
};
use credence_model::{Model, TensorLimits, Tensors};
use credence_prove_spot::{Carry, Opener};

pub(crate) const NONCE: Nonce = Nonce::from_bytes([7; 32]);

pub(crate) fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

/// What an operator commits to, before it does.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) model: Arc<Model>,
    pub(crate) input: Vec<u8>,
    pub(crate) params: Vec<u8>,
    pub(crate) output: Vec<u8>,
    /// The sections of the trace that it committed to.
    pub(crate) sections: [Vec<u8>; 4],
    pub(crate) counts: Counts,
    pub(crate) finish: FinishReason,
    pub(crate) seed: SeedSource,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) salt: [u8; 32],
}

/// A claim with all that is opened beside it.
pub(crate) struct Claimed {
    pub(crate) claim: Claim,
    pub(crate) operator: PublicKey,
    pub(crate) openings: Openings,
}

impl Claimed {
    pub(crate) fn case(&self) -> Case<'_> {
        Case::check(&self.claim, &self.operator, &self.openings).unwrap()
    }
}

pub(crate) fn trace_root(language: bool, sections: &[Vec<u8>; 4]) -> TraceRoot {
    let count = if language { 4 } else { 1 };
    let mut list = u32::try_from(count).unwrap().to_le_bytes().to_vec();
    for (kind, bytes) in (0_u8..).zip(sections).take(count) {
        list.push(kind);
        list.extend(wide(bytes.len()).to_le_bytes());
        list.extend(root_of(Tree::Positions, bytes).as_bytes());
    }
    TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list))
}

impl Told {
    pub(crate) fn is_language(&self) -> bool {
        self.model.program().language().is_some()
    }

    pub(crate) fn claim(&self) -> Claimed {
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let salts = Salts::derive(&self.salt);
        let roots = Roots {
            input: commitment::input_root(&self.input),
            params: commitment::params_root(&self.params),
            output: commitment::output_root(&self.output),
            trace: trace_root(self.is_language(), &self.sections),
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
            nonce: self.nonce,
            seed: self.seed,
            constrained: None,
        });
        let opened = |salt, content: &[u8]| {
            Some(Opened {
                salt,
                content: content.to_vec(),
            })
        };
        Claimed {
            claim: claim.unwrap(),
            operator,
            openings: Openings {
                input: opened(salts.input, &self.input),
                params: opened(salts.params, &self.params),
                output: opened(salts.output, &self.output),
                trace: Some(salts.trace),
            },
        }
    }

    /// The tokens of a language model's answer.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        Output::decode(&self.output).unwrap().tokens
    }
}

/// A language model's answer to ids, run by `runs` and claimed to be `claims`'.
pub(crate) fn answer_by(
    (claims, runs): (&Arc<Model>, &Arc<Model>),
    prompt: &[u32],
    settings: Settings,
) -> Told {
    let engine = Engine::new(Arc::clone(runs), options()).unwrap();
    let language = Language::new(engine).unwrap();
    let parameters = Parameters::new(settings).unwrap();
    let prompt = Prompt::tokens(prompt.to_vec(), 0).unwrap();
    let (input, params) = (prompt.encode().unwrap(), parameters.encode());
    let draws = parameters.settings().temperature > 0;
    let source = match (draws, parameters.settings().seed) {
        (false, _) => SeedSource::Nothing,
        (true, Some(_)) => SeedSource::Client,
        (true, None) => SeedSource::Derived,
    };
    let seed = parameters.settings().seed.unwrap_or_else(|| {
        derive(&Request {
            nonce: NONCE,
            model: claims.id(),
            input_root: commitment::input_root(&input),
            params_root: commitment::params_root(&params),
        })
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
        model: Arc::clone(claims),
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
        nonce: Some(NONCE),
        salt: [2; 32],
    }
}

pub(crate) fn greedy(max_tokens: u32) -> Settings {
    Settings {
        temperature: 0,
        ..Settings::neutral(max_tokens)
    }
}

pub(crate) fn prompt_ids() -> Vec<u32> {
    b"What is the thing?"
        .iter()
        .map(|&byte| u32::from(byte))
        .collect()
}

/// An honest greedy answer.
pub(crate) fn answer(model: &Arc<Model>, max_tokens: u32) -> Told {
    answer_by((model, model), &prompt_ids(), greedy(max_tokens))
}

/// The trace of other tokens than those said: what an operator has who runs something else.
pub(crate) fn sections_of(model: &Arc<Model>, tokens: &[u32], sampled: usize) -> [Vec<u8>; 4] {
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

/// A tensor model's answer, run by `runs` and claimed to be `claims`'.
pub(crate) fn infer((claims, runs): (&Arc<Model>, &Arc<Model>), inputs: &Tensors) -> Told {
    let engine = Engine::new(Arc::clone(runs), options()).unwrap();
    let execution = engine.run(inputs).unwrap();
    let bytes = execution.trace.bytes().to_vec();
    Told {
        model: Arc::clone(claims),
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
        nonce: None,
        salt: [2; 32],
    }
}

pub(crate) fn outputs(told: &Told) -> Tensors {
    Tensors::decode(&told.output, TensorLimits { bytes_max: 1 << 20 }).unwrap()
}

/// The model with some weights changed.
pub(crate) fn altered(model: &Model, mut change: impl FnMut(&str, &mut [u8])) -> Arc<Model> {
    let spec = model.program().spec().clone();
    let params = spec
        .params
        .iter()
        .zip(model.params())
        .map(|(param, bytes)| {
            let mut bytes = bytes.to_vec();
            change(&param.name, &mut bytes);
            bytes
        });
    let params = params.collect();
    Arc::new(Model::new(spec, params).unwrap())
}

/// Whoever opens: the true weights and card, and any sections.
pub(crate) struct Liar {
    pub(crate) card: Card,
    pub(crate) weights: Vec<u8>,
}

impl Liar {
    pub(crate) fn new(model: &Arc<Model>) -> Self {
        let opener = Opener::new(model, options()).unwrap();
        let mut weights = Vec::new();
        for bytes in model.params() {
            weights.extend_from_slice(bytes);
            weights.resize(weights.len().next_multiple_of(64), 0);
        }
        Self {
            card: Card::decode(model.id(), &opener.card(true).unwrap()).unwrap(),
            weights,
        }
    }

    pub(crate) fn contents<'a>(&'a self, told: &'a Told) -> [&'a [u8]; 5] {
        let [positions, keys, values, sampled] = &told.sections;
        [&self.weights, positions, keys, values, sampled]
    }

    /// Evidence over what was claimed, right or not: all that is read until a check says no.
    pub(crate) fn evidence(
        &self,
        told: &Told,
        challenge: &Challenge,
        (cells, rows): (u32, u32),
    ) -> Result<Evidence, MethodError> {
        let claimed = told.claim();
        let subject = Subject::read(&self.card, &claimed.case())?;
        let layout = Layout::new(self.card.program(), subject.extent()).unwrap();
        let checks = Checks::new(&self.card, &subject, &layout).unwrap();
        let contents = self.contents(told);
        let mut source = Recorder::new(contents);
        let stream = challenge.bind(&claimed.claim.digest());
        let rows = if told.is_language() { rows } else { 0 };
        // A liar's own check says no, and it sends what it has.
        checks.run(&mut source, &stream, (cells, rows)).ok();
        let mut trees = Vec::new();
        for (tree, content) in Tree::ALL.into_iter().zip(contents) {
            let runs = source.runs(tree);
            let listed = if tree == Tree::Weights {
                !runs.is_empty()
            } else {
                !content.is_empty()
            };
            if listed {
                trees.push(show(tree, (content, root_of(tree, content)), &runs).unwrap());
            }
        }
        Ok(Evidence {
            form: challenge.form(),
            cells,
            rows,
            card: None,
            trees,
        })
    }
}

pub(crate) fn demand(bits: u32, rows: u32) -> Demand {
    Demand {
        bits,
        share_ppm: 500_000,
        rows,
    }
}

/// A verifier that knows the model.
pub(crate) fn spot(model: &Arc<Model>, demand: Demand, challenge: Challenge) -> Spot {
    let opener = Opener::new(model, options()).unwrap();
    let card = Card::decode(model.id(), &opener.card(true).unwrap()).unwrap();
    Spot::new(vec![card], demand, challenge).unwrap()
}

/// Opens honestly and checks.
pub(crate) fn audit(
    told: &Told,
    challenge: Challenge,
    demand: Demand,
) -> Result<Finding, MethodError> {
    let claimed = told.claim();
    let opener = Opener::new(&told.model, options()).unwrap();
    let rerun = opener.rerun(&claimed.case()).unwrap();
    let asked = (demand.cells().unwrap(), demand.rows);
    let evidence = rerun.prove(&challenge, asked, Carry::Nothing).unwrap();
    spot(&told.model, demand, challenge).check(&claimed.case(), Some(&evidence))
}

/// Opens whatever is there and checks.
pub(crate) fn accuse(
    told: &Told,
    challenge: Challenge,
    demand: Demand,
) -> Result<Finding, MethodError> {
    let asked = (demand.cells().unwrap(), demand.rows);
    let evidence = Liar::new(&told.model).evidence(told, &challenge, asked)?;
    let spot = spot(&told.model, demand, challenge);
    spot.check(&told.claim().case(), Some(&evidence.encode().unwrap()))
}
