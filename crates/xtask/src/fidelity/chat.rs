//! Plain greedy chats, by the exact model and by llama.cpp, from the same tokens on.

use std::collections::BTreeMap;

use credence_exec::Append;
use credence_exec::sampling::{Parameters, Settings};
use credence_generate::{Content, Generation, Language, Limits, Prompt};
use credence_text::{Context, Conversation, Detokeniser, Show};
use serde_json::{Value, json};

use crate::bench::language::chain;
use crate::bench::language::peer::Llama;

/// Tokens of an answer, at most.
const TOKENS: u32 = 96;
/// Questions of several sorts, chosen before any answer was seen.
const QUESTIONS: [&str; 5] = [
    "What is the capital of France, and which river flows through it?",
    "Explain in two sentences why the sky is blue.",
    "Write a short poem about the sea.",
    "Write a Python function that returns the n-th Fibonacci number.",
    "A train travels 60 km in 45 minutes. What is its speed in km/h?",
];

/// One question with both answers.
pub(crate) struct Chat {
    pub(crate) question: &'static str,
    pub(crate) exact: String,
    pub(crate) llama: String,
    /// How many tokens both begin with alike, and how many each has.
    pub(crate) alike: usize,
    pub(crate) lens: [usize; 2],
}

/// Asks both.
///
/// # Errors
/// What either says.
pub(crate) fn ask(language: &Language, llama: &Llama, file: &str) -> Result<Vec<Chat>, String> {
    let prompts = QUESTIONS.map(|question| prompt(language, question));
    let prompts = prompts.into_iter().collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&[u32]> = prompts.iter().map(Prompt::ids).collect();
    let output = llama.output(
        &["greedy", file],
        &json!({ "prompts": ids, "tokens": TOKENS }),
    )?;
    let theirs: Value = serde_json::from_slice(&output).map_err(|e| format!("{e}\n"))?;
    let mut chats = Vec::new();
    for (at, (question, prompt)) in QUESTIONS.iter().zip(&prompts).enumerate() {
        let theirs: Vec<u32> = theirs[at].as_array().map_or_else(Vec::new, |ids| {
            let ids = ids.iter().filter_map(Value::as_u64);
            ids.filter_map(|id| u32::try_from(id).ok()).collect()
        });
        let (ours, exact) = answer(language, prompt)?;
        let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b);
        chats.push(Chat {
            question,
            exact,
            llama: shown(language, &theirs)?,
            alike: same.count(),
            lens: [ours.len(), theirs.len()],
        });
    }
    Ok(chats)
}

fn prompt(language: &Language, question: &str) -> Result<Prompt, String> {
    let conversation = Conversation {
        messages: vec![json!({ "role": "user", "content": question })],
        tools: None,
        add_generation_prompt: true,
        date: None,
        extra: BTreeMap::new(),
    };
    Prompt::new(Content::Chat(conversation), 0, language.text()).map_err(|e| chain(&e))
}

/// Tokens and text.
fn answer(language: &Language, prompt: &Prompt) -> Result<(Vec<u32>, String), String> {
    let settings = Settings {
        temperature: 0,
        ..Settings::neutral(TOKENS)
    };
    let parameters = Parameters::new(settings).map_err(|e| chain(&e))?;
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, ([0; 32], 0), limits);
    let mut session = language.engine().session().map_err(|e| chain(&e))?;
    let mut tokens = prompt.ids().to_vec();
    let mut logits = Vec::new();
    loop {
        let mut appends = [Append {
            session: &mut session,
            tokens: &tokens,
            sampled: 1,
        }];
        let mut sink = |_: usize, _: usize, got: &[i32]| logits = got.to_vec();
        let done = language.engine().advance(&mut appends, &mut sink);
        done.map_err(|e| chain(&e))?;
        let piece = generation.step(&logits).map_err(|e| chain(&e))?;
        if piece.finish.is_some() {
            return Ok((generation.tokens().to_vec(), generation.shown().to_owned()));
        }
        tokens = vec![piece.token];
    }
}

fn shown(language: &Language, ids: &[u32]) -> Result<String, String> {
    let mut detokeniser = Detokeniser::new(language.text(), Show::Words, Context::Continue);
    let mut text = String::new();
    for &id in ids {
        text.push_str(&detokeniser.push(id).map_err(|e| chain(&e))?);
    }
    text.push_str(&detokeniser.finish());
    Ok(text)
}
