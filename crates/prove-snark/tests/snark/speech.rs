//! Claims about language models: honest answers are proved, whatever draws their tokens, and each named liar is refused.
//!
//! It deliberately changes no value of a run: `tokens.rs` does.

use std::sync::Arc;

use credence_base::{Name, Nonce, Profile, SigningKey};
use credence_claim::seed::{Request, derive};
use credence_claim::{
    Case, Claim, ClaimFields, Commitments, ConstrainedDecoding, Counts, Fact, Finding,
    FinishReason, Method as _, MethodError, Opened, Openings, Part, Refutation, Roots, Salts,
    SeedSource, commitment,
};
use credence_exec::Append;
use credence_exec::sampling::{GrammarText, Parameters, Settings};
use credence_generate::{Content, Embedder, Finish, Generation, Language, Limits, Output, Prompt};
use credence_method_snark::circuit::{Circuit, CircuitError};
use credence_method_snark::pcs::Security;
use credence_method_snark::protocol::Statement;
use credence_method_snark::{Snark, Speech};
use credence_model::Model;
use credence_prove_snark::prover::prove_witness;
use credence_prove_snark::run::token_values;
use credence_prove_snark::witness::Witness;
use credence_prove_snark::{ProveError, prove};
use credence_testkit::speaking::{embedding, forgetful, speaking};

use crate::common::engine;
use crate::small;
use crate::story::OPTIONS;

const NONCE: Nonce = Nonce::from_bytes([7; 32]);

/// What an operator commits to.
#[derive(Clone)]
struct Answer {
    input: Vec<u8>,
    params: Vec<u8>,
    output: Vec<u8>,
    counts: Counts,
    finish: FinishReason,
    seed: SeedSource,
    constrained: Option<ConstrainedDecoding>,
}

/// What it signs, and opens.
struct Told {
    claim: Claim,
    openings: Openings,
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn told(model: &Model, answer: &Answer) -> Told {
    let operator = SigningKey::from_seed(&[1; 32]).public_key();
    let salts = Salts::derive(&[2; 32]);
    let roots = Roots {
        input: commitment::input_root(&answer.input),
        params: commitment::params_root(&answer.params),
        output: commitment::output_root(&answer.output),
        trace: credence_base::TraceRoot::from_bytes([6; 32]),
    };
    let commitments = Commitments::new(&operator, &salts, &roots);
    let fields = ClaimFields {
        profile: Profile::Exact1,
        model: model.id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: answer.counts,
        finish: answer.finish,
        nonce: Some(NONCE),
        seed: answer.seed,
        constrained: answer.constrained.clone(),
    };
    let opened = |salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    let openings = Openings {
        input: opened(salts.input, &answer.input),
        params: opened(salts.params, &answer.params),
        output: opened(salts.output, &answer.output),
        trace: None,
    };
    Told {
        claim: Claim::new(fields).unwrap(),
        openings,
    }
}

impl Told {
    fn case(&self) -> Case<'_> {
        let operator = Box::leak(Box::new(SigningKey::from_seed(&[1; 32]).public_key()));
        Case::check(&self.claim, operator, &self.openings).unwrap()
    }
}

/// A model whose runs can be proved, by the first seed that gives one.
fn model(models: impl Fn(u64) -> Model) -> Arc<Model> {
    let provable = |model: &Model| {
        let extent = credence_method_snark::circuit::Extent {
            positions: 4,
            sampled: 1,
        };
        match Circuit::new(model, extent) {
            Ok(circuit) => circuit.committed.len() < 40_000,
            Err(CircuitError::Wide { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    Arc::new((0..).map(models).find(provable).unwrap())
}

/// Answers token by token, until the client leaves.
fn answer(model: &Arc<Model>, content: Content, settings: Settings, leave: usize) -> Answer {
    let language = Language::new(engine(Arc::clone(model))).unwrap();
    let parameters = Parameters::new(settings).unwrap();
    let prompt = Prompt::new(content, 0, language.text()).unwrap();
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
            model: model.id(),
            input_root: commitment::input_root(&input),
            params_root: commitment::params_root(&params),
        })
    });
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, (seed, 0), limits);
    let mut session = language.engine().session().unwrap();
    let mut next = prompt.ids().to_vec();
    while generation.finish().is_none() && generation.tokens().len() < leave {
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
    generation.cancel();
    Answer {
        counts: Counts {
            input: count(prompt.ids().len()),
            output: count(generation.tokens().len()),
        },
        input,
        params,
        output: generation.output().encode().unwrap(),
        finish,
        seed: source,
        constrained: None,
    }
}

fn proved(model: &Arc<Model>, answer: &Answer) -> Result<Vec<u8>, ProveError> {
    let told = told(model, answer);
    prove(&engine(Arc::clone(model)), &told.case(), OPTIONS)
}

/// A proof of the run that the claim says, whatever should follow from it: what a liar has who runs the model on an answer that it never gave.
fn forced(model: &Arc<Model>, answer: &Answer) -> Vec<u8> {
    let told = told(model, answer);
    let speech = Speech::read(model, &told.case()).unwrap();
    let circuit = Circuit::new(model, speech.extent()).unwrap();
    let nodes = token_values(&engine(Arc::clone(model)), speech.tokens()).unwrap();
    let statement = Statement {
        bound: &speech.bound(),
        security: Security::Bits100,
    };
    let witness = Witness::new(&circuit, &nodes);
    let proof = prove_witness(&statement, model, &circuit, &witness).unwrap();
    [vec![100], proof].concat()
}

fn checked(model: &Arc<Model>, answer: &Answer, proof: &[u8]) -> Result<Finding, MethodError> {
    let told = told(model, answer);
    let method = Snark::new(Arc::clone(model), Security::Bits100);
    method.check(&told.case(), Some(proof))
}

fn text() -> Content {
    Content::Text("the ".to_owned())
}

fn greedy(max_tokens: u32) -> Settings {
    Settings {
        temperature: 0,
        ..Settings::neutral(max_tokens)
    }
}

fn drawn(max_tokens: u32) -> Settings {
    Settings {
        temperature: 800_000,
        top_k: 20,
        top_p: 900_000,
        min_p: 1_000,
        frequency_penalty: 300_000,
        presence_penalty: -100_000,
        logit_bias: vec![(104, 2_000_000)],
        seed: Some([9; 32]),
        ..Settings::neutral(max_tokens)
    }
}

#[test]
fn honest_answers_are_proved_however_their_tokens_are_drawn() {
    let speaks = model(speaking);
    let forgets = model(forgetful);
    let cases = [
        (&speaks, greedy(4), 9),
        (&speaks, drawn(3), 9),
        (&speaks, Settings::neutral(3), 2),
        (&forgets, greedy(3), 9),
    ];
    for (model, settings, leave) in cases {
        let answer = answer(model, text(), settings, leave);
        let proof = proved(model, &answer).unwrap();
        let finding = checked(model, &answer, &proof).unwrap();
        assert!(finding.numbers.iter().any(|n| n.name == "soundness"));
        let said = finding.not_checked.join(" ");
        let cancelled = answer.finish == FinishReason::Cancelled;
        assert_eq!(said.contains("the client left"), cancelled, "{said}");
        // The proof is of this claim alone.
        let mut other = answer.clone();
        other.finish = FinishReason::Stop;
        assert!(checked(model, &other, &proof).is_err());
        let mut proof = proof;
        let last = proof.len() - 1;
        proof[last] ^= 1;
        assert!(checked(model, &answer, &proof).is_err());
    }
}

#[test]
fn tokens_that_the_model_does_not_draw_are_refuted_though_their_run_is_proved() {
    let model = model(speaking);
    let honest = answer(&model, text(), greedy(4), 9);
    let output = Output::decode(&honest.output).unwrap();
    for index in [0, 3] {
        let mut tokens = output.tokens.clone();
        tokens[index] = u32::from(tokens[index] == 65) + 65;
        let mut lie = honest.clone();
        lie.output = Output::new("x".to_owned(), tokens).encode().unwrap();
        let result = checked(&model, &lie, &forced(&model, &lie));
        let index = count(index);
        let refuted = matches!(
            result,
            Err(MethodError::Refuted(Refutation::Token { index: at, .. })) if at == index
        );
        assert!(refuted, "{result:?}");
        assert!(matches!(
            proved(&model, &lie),
            Err(ProveError::Claim(MethodError::Refuted(
                Refutation::Token { .. }
            )))
        ));
    }
    // The right tokens and other words, another end, another length, another seed, other parameters.
    let mut words = honest.clone();
    words.output = Output::new("the".to_owned(), output.tokens.clone())
        .encode()
        .unwrap();
    assert!(checked(&model, &words, &forced(&model, &words)).is_err());
    let mut end = honest.clone();
    end.finish = FinishReason::Cancelled;
    let result = checked(&model, &end, &forced(&model, &end));
    assert!(matches!(
        result,
        Err(MethodError::Refuted(Refutation::Finish { .. }))
    ));
    let mut short = honest.clone();
    short.params = Parameters::new(greedy(2)).unwrap().encode();
    let result = checked(&model, &short, &forced(&model, &short));
    assert!(matches!(
        result,
        Err(MethodError::Refuted(Refutation::OutputLength { got: 2 }))
    ));
    let biased = Settings {
        logit_bias: vec![(66, 100_000_000)],
        ..greedy(4)
    };
    let mut other = honest;
    other.params = Parameters::new(biased).unwrap().encode();
    let result = checked(&model, &other, &forced(&model, &other));
    assert!(matches!(
        result,
        Err(MethodError::Refuted(Refutation::Token { .. }))
    ));
}

#[test]
fn what_a_claim_contradicts_itself_in_is_refused_before_the_proof() {
    let model = model(speaking);
    let honest = answer(&model, text(), greedy(2), 9);
    let proof = proved(&model, &honest).unwrap();
    let refused = |change: &dyn Fn(&mut Answer)| {
        let mut lie = honest.clone();
        change(&mut lie);
        checked(&model, &lie, &proof).unwrap_err()
    };
    let error = refused(&|lie| lie.seed = SeedSource::Derived);
    assert!(matches!(error, MethodError::Refuted(Refutation::Seed)));
    let error = refused(&|lie| lie.counts.input += 1);
    let expected = matches!(error, MethodError::Refuted(Refutation::InputCount { .. }));
    assert!(expected, "{error:?}");
    let error = refused(&|lie| lie.counts.output += 1);
    let expected = matches!(error, MethodError::Refuted(Refutation::OutputCount { .. }));
    assert!(expected, "{error:?}");
    let error = refused(&|lie| lie.params = vec![1, 2]);
    let part = matches!(
        error,
        MethodError::Malformed {
            part: Part::Params,
            ..
        }
    );
    assert!(part, "{error:?}");
    // A grammar is for a replay, and is named.
    let settings = Settings {
        grammar: Some(GrammarText {
            kind: 1,
            text: "{}".to_owned(),
        }),
        ..greedy(2)
    };
    let params = Parameters::new(settings).unwrap().encode();
    let error = refused(&|lie| lie.params.clone_from(&params));
    let named = matches!(error, MethodError::Refuted(Refutation::Unconstrained));
    assert!(named, "{error:?}");
    let error = refused(&|lie| {
        lie.params.clone_from(&params);
        lie.constrained = Some(ConstrainedDecoding {
            engine: Name::new("credence-grammar").unwrap(),
            version: Name::new("1").unwrap(),
        });
    });
    let named = matches!(error, MethodError::Missing(Fact::Engine(_)));
    assert!(named, "{error:?}");
    // No proof of a tensor model's claim is one of a language model's.
    let (_, tensors, _) = small::programs().remove(0);
    let told = told(&model, &honest);
    assert!(Speech::read(&tensors, &told.case()).is_err());
}

/// The model that the command line's test talks to.
#[test]
fn the_first_speaker_can_be_proved() {
    let extent = credence_method_snark::circuit::Extent {
        positions: 40,
        sampled: 3,
    };
    let circuit = Circuit::new(&speaking(0), extent);
    assert!(circuit.is_ok(), "{:?}", circuit.err());
}

#[test]
fn an_encoder_s_vector_is_proved_and_no_other() {
    let model = model(embedding);
    let encoder = Embedder::new(engine(Arc::clone(&model))).unwrap();
    let prompt = Prompt::new(Content::Text("the".to_owned()), 0, encoder.text()).unwrap();
    let made = encoder.run(&[prompt.ids()]).unwrap().remove(0);
    let honest = Answer {
        input: prompt.encode().unwrap(),
        params: vec![1, 0, 0, 0, 0],
        output: made.output.encode(),
        counts: Counts {
            input: count(prompt.ids().len()),
            output: 1,
        },
        finish: FinishReason::Complete,
        seed: SeedSource::Nothing,
        constrained: None,
    };
    let proof = proved(&model, &honest).unwrap();
    checked(&model, &honest, &proof).unwrap();
    let mut lie = honest;
    let last = lie.output.len() - 1;
    lie.output[last] ^= 1;
    assert!(proved(&model, &lie).is_err());
    let result = checked(&model, &lie, &forced(&model, &lie));
    assert!(matches!(result, Err(MethodError::Refuted(_))), "{result:?}");
}
