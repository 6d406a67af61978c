//! `vectors/transcripts/`: small language models that speak, and what claims about their answers commit to (`docs/spec/generation.md`, section 7).
//!
//! An answer is made token by token, as a server makes it; whoever reads the file runs it again, all tokens at once. Each model's file holds its program
//! and weights, so a reader needs no generator. Cases are there for each way in which an answer begins, is drawn and ends.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_base::Nonce;
use credence_claim::commitment::{input_root, params_root};
use credence_claim::seed::{Request, derive};
use credence_exact::ParamId;
use credence_exec::sampling::{GrammarText, Parameters, Settings};
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Content, ENGINE, Finish, Generation, Language, Limits, Prompt, VERSION};
use credence_model::program_bytes;
use credence_testkit::speaking::speaking;
use credence_text::Conversation;
use serde_json::{Value, json};

type Failure = String;

/// Models, by the test kit's seed: chosen for being small and unlike each other.
const MODELS: [(&str, u64); 2] = [("one", 0), ("two", 3)];
/// The end token of the test kit's tokeniser.
const END: u32 = 259;

fn text(error: impl core::fmt::Display) -> Failure {
    error.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request, and when its client leaves.
struct Case {
    name: &'static str,
    content: Content,
    choice: u32,
    settings: Settings,
    /// The claim's word for the seed's source.
    source: &'static str,
    nonce: Option<[u8; 32]>,
    /// After how many tokens the client leaves, if it does.
    leave: Option<usize>,
}

impl Case {
    /// Greedy, to the end.
    fn greedy(name: &'static str, content: Content, max_tokens: u32) -> Self {
        Self {
            name,
            content,
            choice: 0,
            settings: Settings {
                temperature: 0,
                ..Settings::neutral(max_tokens)
            },
            source: "nothing",
            nonce: None,
            leave: None,
        }
    }

    /// Drawn, by a seed of the client.
    fn drawn(name: &'static str, content: Content, max_tokens: u32) -> Self {
        let settings = Settings {
            // As an API's seed of -5: eight bytes, and zeros.
            seed: Some(small_seed(-5)),
            ..Settings::neutral(max_tokens)
        };
        Self {
            settings,
            source: "client",
            ..Self::greedy(name, content, max_tokens)
        }
    }

    fn with(self, edit: impl FnOnce(&mut Settings)) -> Self {
        let mut case = self;
        edit(&mut case.settings);
        case
    }
}

/// Section 2: a whole number as a seed.
fn small_seed(number: i64) -> [u8; 32] {
    let mut seed = [0; 32];
    for (to, from) in seed.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    seed
}

fn chat(question: &str) -> Content {
    Content::Chat(Conversation {
        messages: vec![
            json!({"role": "system", "content": "Say the thing."}),
            json!({"role": "user", "content": question}),
        ],
        tools: None,
        add_generation_prompt: true,
        date: Some("2026-11-21".to_owned()),
        extra: BTreeMap::from([("style".to_owned(), json!("plain"))]),
    })
}

fn plain(words: &str) -> Content {
    Content::Text(words.to_owned())
}

fn cases() -> Vec<Case> {
    let mut cases = beginnings();
    cases.extend(ends());
    cases.extend(constrained());
    cases
}

/// Answers that fit a grammar.
fn constrained() -> Vec<Case> {
    let grammar = |kind, text: &str| {
        let text = text.to_owned();
        Some(GrammarText { kind, text })
    };
    // White space, of which a model that says noise would say much.
    let little = |settings: &mut Settings| {
        settings.logit_bias = [9, 10, 32].map(|id| (id, -100_000_000)).to_vec();
    };
    let shape = r#"{"type":"object","properties":{"b":{"type":"string","maxLength":3},"a":{"type":["integer","null"],"minimum":-5}},"required":["b","a"],"additionalProperties":false}"#;
    let calls = r#"[{"name":"f","parameters":{"type":"array","items":{"enum":[1,12,"x"]},"minItems":1,"maxItems":3}}]"#;
    vec![
        Case::drawn("schema", chat("What is the thing?"), 60)
            .with(|settings| settings.grammar = grammar(1, shape))
            .with(little),
        Case::greedy("schema-cut-short", plain("say"), 4)
            .with(|settings| settings.grammar = grammar(1, shape)),
        Case::drawn("calls", plain("say"), 120)
            .with(|settings| settings.grammar = grammar(2, calls))
            .with(little),
    ]
}

/// Each content, and each source of a seed.
fn beginnings() -> Vec<Case> {
    let nonce = Some([0x4e; 32]);
    vec![
        Case::greedy("greedy", chat("What is the thing?"), 20),
        // Special tokens in a plain text are text.
        Case::greedy("plain-text", plain("the <|end|> wäre 'll 12"), 9),
        Case::greedy("tokens", Content::Tokens, 5),
        Case::drawn("drawn", chat("Grüße, 世界!"), 40),
        Case {
            nonce,
            ..Case::drawn("every-parameter", plain("the other"), 60)
        }
        .with(|settings| {
            settings.temperature = 1_250_000;
            settings.top_p = 930_000;
            settings.top_k = 120;
            settings.min_p = 1_000;
            settings.frequency_penalty = 700_000;
            settings.presence_penalty = -300_000;
            settings.logit_bias = vec![(32, 1_500_000), (END, -100_000_000)];
            settings.stop = vec!["\u{1F600}".to_owned(), "the the".to_owned()];
        }),
        Case {
            choice: 2,
            source: "derived",
            nonce,
            ..Case::drawn("derived", chat("And then?"), 25)
        }
        .with(|settings| settings.seed = None),
        Case {
            source: "operator",
            ..Case::drawn("operator", plain("a"), 8)
        }
        .with(|settings| settings.seed = Some([0xa5; 32])),
    ]
}

/// Each way to end.
fn ends() -> Vec<Case> {
    let letters = |settings: &mut Settings| {
        // Tokens that are letters, so that the stop texts are met in time.
        settings.logit_bias = (97..=106).map(|id| (id, 20_000_000)).collect();
    };
    vec![
        Case::drawn("stop-text", plain("say"), 200)
            .with(letters)
            .with(|settings| {
                settings.stop = vec!["bad".to_owned(), "de".to_owned(), "hi".to_owned()]
            }),
        Case::drawn("end-token", plain("say"), 200)
            .with(|settings| settings.logit_bias = vec![(END, 4_000_000)]),
        Case::drawn("context", plain(&"the ".repeat(70)), 1_000_000).with(|settings| {
            settings.logit_bias = vec![(END, -100_000_000), (END + 2, -100_000_000)]
        }),
        // The first byte of a character of three, and again: it never ends.
        Case::drawn("unfinished", plain("say"), 7)
            .with(|settings| settings.logit_bias = vec![(0xe4, 100_000_000)]),
        // The U+FFFD that the end makes of an unfinished character is a stop text: it cuts the text, and the end is as before.
        Case::drawn("stop-at-the-end", plain("say"), 1).with(|settings| {
            settings.logit_bias = vec![(0xe4, 100_000_000)];
            settings.stop = vec!["\u{fffd}".to_owned()];
        }),
        Case {
            leave: Some(11),
            ..Case::drawn("cancelled", chat("Go on."), 50)
        },
        // What is held back when the client leaves is the beginning of a stop text.
        Case {
            leave: Some(3),
            ..Case::drawn("cancelled-early", plain("say"), 50)
        }
        .with(|settings| {
            settings.logit_bias = vec![(97, 100_000_000)];
            settings.stop = vec!["aaaa".to_owned()];
        }),
    ]
}

/// The seed of all draws.
fn seed(
    case: &Case,
    language: &Language,
    input: &[u8],
    params: &[u8],
) -> Result<[u8; 32], Failure> {
    if case.source != "derived" {
        return Ok(case.settings.seed.unwrap_or_default());
    }
    let nonce = case.nonce.ok_or("a derived seed without a nonce")?;
    Ok(derive(&Request {
        nonce: Nonce::from_bytes(nonce),
        model: language.model().id(),
        input_root: input_root(input),
        params_root: params_root(params),
    }))
}

fn prompt(case: &Case, language: &Language) -> Result<Prompt, Failure> {
    let made = match &case.content {
        Content::Tokens => Prompt::tokens(vec![0, END, 7, 258], case.choice),
        content => Prompt::new(content.clone(), case.choice, language.text()),
    };
    made.map_err(text)
}

/// Answers one case, token by token.
fn answer(language: &Language, case: &Case) -> Result<Value, Failure> {
    let parameters = Parameters::new(case.settings.clone()).map_err(text)?;
    let prompt = prompt(case, language)?;
    let (input, params) = (prompt.encode().map_err(text)?, parameters.encode());
    let seed = seed(case, language, &input, &params)?;
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let place = (seed, case.choice);
    let constraint = language.constraint(&parameters).map_err(text)?;
    // What is allowed at each step, for those who do not follow grammars.
    let mut follower = constraint.clone();
    let mut allowed = Vec::new();
    let mut generation =
        Generation::new(language.text(), &parameters, place, limits).with_constraint(constraint);
    let mut session = language.engine().session().map_err(text)?;
    let mut next = prompt.ids().to_vec();
    let most = case.leave.unwrap_or(usize::MAX);
    while generation.finish().is_none() && generation.tokens().len() < most {
        let mut drawn = Err("no logits".to_owned());
        let mut sink = |_: usize, _: usize, logits: &[i32]| {
            drawn = generation.step(logits).map_err(text);
        };
        let mut appends = [Append {
            session: &mut session,
            tokens: &next,
            sampled: 1,
        }];
        let run = language.engine().advance(&mut appends, &mut sink);
        run.map_err(text)?;
        let token = drawn?.token;
        next = vec![token];
        if let Some(follower) = &mut follower {
            let words = follower.allowed().map_err(text)?.iter();
            allowed.push(hex(&words
                .flat_map(|word| word.to_le_bytes())
                .collect::<Vec<u8>>()));
            follower.take(token).map_err(text)?;
        }
    }
    let finish = match generation.finish() {
        Some(Finish::Stop) => "stop",
        Some(Finish::Length) => "length",
        None => "cancelled",
    };
    generation.cancel();
    let drawn = generation.tokens().len();
    let mut answer = json!({
        "name": case.name,
        "input": hex(&input),
        "params": hex(&params),
        "output": hex(&generation.output().encode().map_err(text)?),
        "finish": finish,
        "seed_source": case.source,
        "nonce": case.nonce.map(|nonce| hex(&nonce)),
        "seed": (case.source != "nothing").then(|| hex(&seed)),
        "input_count": prompt.ids().len(),
        "output_count": drawn,
        "sampled": [prompt.ids().len().saturating_sub(1), drawn],
        "trace_root": session.trace_root().to_string(),
    });
    if follower.is_some() {
        answer["constrained"] = json!({"engine": ENGINE, "version": VERSION});
        answer["allowed"] = json!(allowed);
    }
    Ok(answer)
}

fn file(seed: u64) -> Result<Value, Failure> {
    let model = Arc::new(speaking(seed));
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let engine = Engine::new(Arc::clone(&model), options).map_err(text)?;
    let language = Language::new(engine).map_err(text)?;
    let answers = cases().into_iter().map(|case| {
        let answer = answer(&language, &case);
        answer.map_err(|error| format!("{}: {error}", case.name))
    });
    let answers: Vec<Value> = answers.collect::<Result<_, _>>()?;
    let program = program_bytes(model.program().spec()).map_err(text)?;
    let params = (0_u32..).map(ParamId).map_while(|param| model.param(param));
    Ok(json!({
        "program": String::from_utf8(program).map_err(text)?,
        "weights": params.map(|view| hex(view.bytes())).collect::<Vec<String>>(),
        "model_id": model.id().to_string(),
        "answers": answers,
    }))
}

pub(super) fn files() -> Result<Vec<(String, Value)>, Failure> {
    let made = MODELS.into_iter().map(|(name, seed)| {
        let file = file(seed).map_err(|error| format!("{name}: {error}"))?;
        Ok((format!("transcripts/{name}.json"), file))
    });
    made.collect()
}
