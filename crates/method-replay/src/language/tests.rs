//! An honest answer passes; each named liar is refuted, and each by the check that is there for it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_base::{Nonce, SigningKey, TraceRoot};
use credence_claim::{
    Claim, Commitments, ConstrainedDecoding, Counts, Method as _, Opened, Openings, Roots, Salts,
};
use credence_exec::sampling::GrammarText;
use credence_exec::sampling::Settings;
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Content, Generation, Limits};
use credence_model::Model;
use credence_testkit::speaking::speaking;
use credence_text::Conversation;
use serde_json::json;

use super::*;
use crate::Replay;

fn options() -> Options {
    let isa = Isa::detect();
    let threads = NonZeroUsize::MIN;
    Options { threads, isa }
}

fn chat() -> Content {
    Content::Chat(Conversation {
        messages: vec![json!({"role": "user", "content": "What is the thing?"})],
        tools: None,
        add_generation_prompt: true,
        date: None,
        extra: BTreeMap::new(),
    })
}

/// What an operator commits to.
#[derive(Clone)]
struct Answer {
    input: Vec<u8>,
    params: Vec<u8>,
    output: Vec<u8>,
    trace: TraceRoot,
    counts: Counts,
    finish: FinishReason,
    seed: SeedSource,
    nonce: Option<Nonce>,
    constrained: Option<ConstrainedDecoding>,
}

const NONCE: Nonce = Nonce::from_bytes([7; 32]);

/// What an honest claim about a constrained answer names.
fn engine() -> ConstrainedDecoding {
    let name = |name| credence_base::Name::new(name).unwrap();
    ConstrainedDecoding {
        engine: name(ENGINE),
        version: name(VERSION),
    }
}

struct Operator {
    model: Arc<Model>,
    language: Language,
}

impl Operator {
    fn new(seed: u64) -> Self {
        let model = Arc::new(speaking(seed));
        let engine = Engine::new(Arc::clone(&model), options()).unwrap();
        let language = Language::new(engine).unwrap();
        Self { model, language }
    }

    /// Answers token by token. `leave` is after how many tokens the client leaves.
    fn answer(&self, content: Content, settings: Settings, leave: usize) -> Answer {
        let parameters = Parameters::new(settings).unwrap();
        let prompt = Prompt::new(content, 0, self.language.text()).unwrap();
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
                model: self.model.id(),
                input_root: commitment::input_root(&input),
                params_root: commitment::params_root(&params),
            })
        });
        let limits = Limits {
            prompt: prompt.ids().len(),
            context: self.language.context(),
        };
        let text = self.language.text();
        let constraint = self.language.constraint(&parameters).unwrap();
        let mut generation =
            Generation::new(text, &parameters, (seed, 0), limits).with_constraint(constraint);
        let mut session = self.language.engine().session().unwrap();
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
            self.language
                .engine()
                .advance(&mut appends, &mut sink)
                .unwrap();
            next = vec![drawn.unwrap().token];
        }
        let finish = match generation.finish() {
            Some(Finish::Stop) => FinishReason::Stop,
            Some(Finish::Length) => FinishReason::Length,
            None => FinishReason::Cancelled,
        };
        generation.cancel();
        let count = |n: usize| u64::try_from(n).unwrap();
        Answer {
            counts: Counts {
                input: count(prompt.ids().len()),
                output: count(generation.tokens().len()),
            },
            input,
            params,
            output: generation.output().encode().unwrap(),
            trace: session.trace_root(),
            finish,
            seed: source,
            nonce: Some(NONCE),
            constrained: parameters.settings().grammar.as_ref().map(|_| engine()),
        }
    }

    fn check(&self, answer: &Answer) -> Result<Finding, MethodError> {
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let salts = Salts::derive(&[2; 32]);
        let roots = Roots {
            input: commitment::input_root(&answer.input),
            params: commitment::params_root(&answer.params),
            output: commitment::output_root(&answer.output),
            trace: answer.trace,
        };
        let commitments = Commitments::new(&operator, &salts, &roots);
        let claim = Claim::new(ClaimFields {
            profile: Profile::Exact1,
            model: self.model.id(),
            input: commitments.input,
            params: commitments.params,
            output: commitments.output,
            trace: commitments.trace,
            counts: answer.counts,
            finish: answer.finish,
            nonce: answer.nonce,
            seed: answer.seed,
            constrained: answer.constrained.clone(),
        })
        .unwrap();
        let opened = |salt, content: &Vec<u8>| {
            Some(Opened {
                salt,
                content: content.clone(),
            })
        };
        let openings = Openings {
            input: opened(salts.input, &answer.input),
            params: opened(salts.params, &answer.params),
            output: opened(salts.output, &answer.output),
            trace: Some(salts.trace),
        };
        let replay = Replay::new(Arc::clone(&self.model), options()).unwrap();
        let case = Case::check(&claim, &operator, &openings).unwrap();
        replay.check(&case, None)
    }
}

fn greedy(max_tokens: u32) -> Settings {
    Settings {
        temperature: 0,
        ..Settings::neutral(max_tokens)
    }
}

#[test]
fn honest_answers_of_every_kind_pass() {
    for model in 0..4 {
        let operator = Operator::new(model);
        let settings = [
            greedy(20),
            Settings::neutral(30),
            Settings {
                seed: Some([3; 32]),
                top_k: 40,
                top_p: 900_000,
                frequency_penalty: 500_000,
                stop: vec!["e".to_owned()],
                logit_bias: vec![(5, 1_000_000)],
                ..Settings::neutral(400)
            },
        ];
        for settings in settings {
            for content in [chat(), Content::Text("the the".to_owned())] {
                for leave in [1, 7, usize::MAX] {
                    let answer = operator.answer(content.clone(), settings.clone(), leave);
                    let finding = operator.check(&answer);
                    assert!(finding.is_ok(), "model {model}, {settings:?}: {finding:?}");
                }
            }
        }
    }
}

fn output(answer: &Answer, edit: impl Fn(&mut Output)) -> Answer {
    let mut output = Output::decode(&answer.output).unwrap();
    edit(&mut output);
    let output = output.encode().unwrap();
    Answer {
        output,
        ..answer.clone()
    }
}

/// An operator, an answer of its own, and what refutes an edited one.
fn honest() -> (Operator, Answer) {
    let operator = Operator::new(0);
    let honest = operator.answer(chat(), Settings::neutral(12), usize::MAX);
    assert!(operator.check(&honest).is_ok());
    (operator, honest)
}

fn refutation(operator: &Operator, answer: &Answer) -> Refutation {
    match operator.check(answer) {
        Err(MethodError::Refuted(refutation)) => refutation,
        other => panic!("not refuted: {other:?}"),
    }
}

#[test]
fn liars_about_the_answer_are_refuted() {
    let (operator, honest) = honest();
    let refutation = |answer: &Answer| refutation(&operator, answer);
    // Who edits a token, who edits the text alone, and who leaves tokens out.
    let edited = output(&honest, |output| output.tokens[5] ^= 1);
    assert!(matches!(
        refutation(&edited),
        Refutation::Token { index: 5, .. }
    ));
    let retold = output(&honest, |output| output.text.push('!'));
    assert!(matches!(refutation(&retold), Refutation::Output { .. }));
    let shorter = output(&honest, |output| output.tokens.truncate(6));
    assert!(matches!(
        refutation(&shorter),
        Refutation::OutputCount { .. }
    ));
    let mut cut = shorter;
    cut.counts.output = 6;
    assert!(matches!(
        refutation(&cut),
        Refutation::Finish {
            got: FinishReason::Cancelled,
            ..
        }
    ));
    // Who goes on behind the end.
    let mut longer = output(&honest, |output| output.tokens.push(0));
    longer.counts.output += 1;
    assert!(matches!(
        refutation(&longer),
        Refutation::OutputLength { got: 12 }
    ));
}

#[test]
fn liars_about_what_led_to_it_are_refuted() {
    let (operator, honest) = honest();
    let refutation = |answer: &Answer| refutation(&operator, answer);
    // Who samples otherwise than asked.
    let other = operator.answer(chat(), greedy(12), usize::MAX);
    let mut greedy_instead = honest.clone();
    greedy_instead.output = other.output;
    greedy_instead.trace = other.trace;
    assert!(matches!(
        refutation(&greedy_instead),
        Refutation::Token { .. }
    ));
    // Who answers another prompt, and who keeps the words and feeds other tokens.
    let mut prompt: serde_json::Value = serde_json::from_slice(&honest.input).unwrap();
    prompt["tokens"][3] = json!(1);
    let input = serde_json::to_vec(&prompt).unwrap();
    let fed = Answer {
        input,
        ..honest.clone()
    };
    assert!(matches!(refutation(&fed), Refutation::Prompt));
}

#[test]
fn liars_about_draws_and_the_end_are_refuted() {
    let (operator, honest) = honest();
    let refutation = |answer: &Answer| refutation(&operator, answer);
    // Who says that the client chose the seed, that nothing was drawn, or that another nonce was sent.
    for seed in [
        SeedSource::Client,
        SeedSource::Operator,
        SeedSource::Nothing,
    ] {
        assert!(matches!(
            refutation(&Answer {
                seed,
                ..honest.clone()
            }),
            Refutation::Seed
        ));
    }
    // Who chooses a seed for a client whose nonce gives one; without a nonce the assurance says who chose.
    let given = Settings {
        seed: Some([3; 32]),
        ..Settings::neutral(12)
    };
    let mut chosen = operator.answer(chat(), given, usize::MAX);
    chosen.seed = SeedSource::Operator;
    assert!(matches!(refutation(&chosen), Refutation::Seed));
    chosen.nonce = None;
    let finding = operator.check(&chosen).unwrap();
    let said = |what: &str| finding.not_checked.iter().any(|words| words.contains(what));
    assert!(said("chose the seed"));
    assert!(said("probabilities of tokens"));
    let nonce = Some(Nonce::from_bytes([8; 32]));
    assert!(matches!(
        refutation(&Answer {
            nonce,
            ..honest.clone()
        }),
        Refutation::Token { .. }
    ));
    // Who commits to another inside, other counts, another end, or a constraint.
    let trace = TraceRoot::from_bytes([0; 32]);
    assert!(matches!(
        refutation(&Answer {
            trace,
            ..honest.clone()
        }),
        Refutation::Trace { .. }
    ));
    let mut counted = honest.clone();
    counted.counts.input += 1;
    assert!(matches!(
        refutation(&counted),
        Refutation::InputCount { .. }
    ));
    let finish = FinishReason::Stop;
    assert!(matches!(
        refutation(&Answer {
            finish,
            ..honest.clone()
        }),
        Refutation::Finish { .. }
    ));
    let name = |name| credence_base::Name::new(name).unwrap();
    let constrained = Some(ConstrainedDecoding {
        engine: name("grammar"),
        version: name("1"),
    });
    assert!(matches!(
        refutation(&Answer {
            constrained,
            ..honest.clone()
        }),
        Refutation::Feature { .. }
    ));
}

fn schema(text: &str) -> Option<GrammarText> {
    let text = text.to_owned();
    Some(GrammarText { kind: 1, text })
}

/// A model that says noise says it as JSON; the draws are at temperature 1.
fn constrained(operator: &Operator, text: &str, leave: usize) -> Answer {
    let settings = Settings {
        grammar: schema(text),
        // White space, of which such a model would say much.
        logit_bias: [9, 10, 32].map(|id| (id, -100_000_000)).to_vec(),
        ..Settings::neutral(60)
    };
    operator.answer(chat(), settings, leave)
}

const SHAPE: &str = r#"{"type":"object","properties":{"ok":{"type":"boolean"},"n":{"type":"integer"}},"required":["ok","n"],"additionalProperties":false}"#;

#[test]
fn constrained_answers_pass_and_fit() {
    for model in 0..4 {
        let operator = Operator::new(model);
        let answer = constrained(&operator, SHAPE, usize::MAX);
        assert!(operator.check(&answer).is_ok(), "model {model}");
        let output = Output::decode(&answer.output).unwrap();
        assert_eq!(answer.finish, FinishReason::Stop, "{}", output.text);
        let value: serde_json::Value = serde_json::from_str(&output.text).unwrap();
        assert!(value["ok"].is_boolean() && value["n"].is_i64(), "{value}");
        // One whose client left is checked as far as it goes.
        let left = constrained(&operator, SHAPE, 3);
        assert_eq!(left.finish, FinishReason::Cancelled);
        assert!(operator.check(&left).is_ok());
        let greedy = Settings {
            grammar: schema(SHAPE),
            ..greedy(40)
        };
        let greedy = operator.answer(chat(), greedy, usize::MAX);
        assert!(operator.check(&greedy).is_ok());
    }
}

#[test]
fn who_does_not_follow_the_grammar_is_refuted() {
    let operator = Operator::new(0);
    let honest = constrained(&operator, SHAPE, usize::MAX);
    let refutation = |answer: &Answer| refutation(&operator, answer);
    // Who ignores the mask: the tokens of a free answer under parameters that have a grammar.
    let free = operator.answer(chat(), Settings::neutral(40), usize::MAX);
    let mut ignored = honest.clone();
    (ignored.output, ignored.trace) = (free.output.clone(), free.trace);
    ignored.counts = free.counts;
    assert!(matches!(
        refutation(&ignored),
        Refutation::Token { index: 0, .. }
    ));
    // Who commits to another schema than the one that was followed.
    let other = constrained(
        &operator,
        r#"{"type":"array","items":{"type":"boolean"},"minItems":3}"#,
        usize::MAX,
    );
    let swapped = Answer {
        params: other.params,
        ..honest.clone()
    };
    assert!(matches!(refutation(&swapped), Refutation::Token { .. }));
    // Who keeps silent about the engine, and who names one for an answer without a grammar.
    let silent = Answer {
        constrained: None,
        ..honest.clone()
    };
    assert_eq!(refutation(&silent), Refutation::Unconstrained);
    let boasting = Answer {
        constrained: Some(engine()),
        ..free
    };
    assert!(matches!(refutation(&boasting), Refutation::Feature { .. }));
    // Who cuts an answer before its JSON is whole and calls it stopped.
    let mut cut = constrained(&operator, SHAPE, 4);
    cut.finish = FinishReason::Stop;
    assert!(matches!(
        refutation(&cut),
        Refutation::Finish {
            got: FinishReason::Cancelled,
            ..
        }
    ));
}

#[test]
fn another_engine_is_missing_and_a_grammar_without_sense_malformed() {
    let operator = Operator::new(0);
    let honest = constrained(&operator, SHAPE, usize::MAX);
    for (engine, version) in [("credence-grammar", "2"), ("another", "1")] {
        let name = |name| credence_base::Name::new(name).unwrap();
        let named = ConstrainedDecoding {
            engine: name(engine),
            version: name(version),
        };
        let answer = Answer {
            constrained: Some(named.clone()),
            ..honest.clone()
        };
        let error = operator.check(&answer).unwrap_err();
        assert!(matches!(&error, MethodError::Missing(Fact::Engine(got)) if *got == named));
        let said = error.to_string();
        assert!(said.contains(engine) && said.contains(version), "{said}");
    }
    for text in [
        r#"{"type": "object"}"#,
        r#"{"not":{}}"#,
        "[]",
        r#"{"enum":[]}"#,
    ] {
        let parameters = Settings {
            grammar: schema(text),
            ..Settings::neutral(40)
        };
        let answer = Answer {
            params: Parameters::new(parameters).unwrap().encode(),
            ..honest.clone()
        };
        let error = operator.check(&answer);
        let malformed = matches!(
            error,
            Err(MethodError::Malformed {
                part: Part::Params,
                ..
            })
        );
        assert!(malformed, "{text}: {error:?}");
    }
}

#[test]
fn bytes_without_sense_are_malformed() {
    let operator = Operator::new(1);
    let honest = operator.answer(chat(), greedy(5), usize::MAX);
    let edits: [fn(&mut Answer); 6] = [
        |a| a.input.push(b' '),
        |a| a.params.push(0),
        |a| a.output.push(b' '),
        |a| a.input = b"{}".to_vec(),
        |a| a.params = crate::TENSOR_PARAMS.to_vec(),
        |a| a.output = br#"{"text":"","tokens":[],"version":2}"#.to_vec(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut answer = honest.clone();
        edit(&mut answer);
        let error = operator.check(&answer);
        assert!(
            matches!(error, Err(MethodError::Malformed { .. })),
            "{number}: {error:?}"
        );
    }
    let mut none = output(&honest, |output| output.tokens.clear());
    none.counts.output = 0;
    assert!(matches!(
        operator.check(&none),
        Err(MethodError::Malformed {
            part: Part::Output,
            ..
        })
    ));
}
