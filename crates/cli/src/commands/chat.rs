//! `credence chat`: a conversation in the terminal, each answer with a receipt.
//!
//! The person at the terminal is client and operator at once: the nonce is drawn here, so that every draw follows from it and from what was asked. Each turn runs the
//! whole conversation anew, which is what its receipt claims.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_base::{ModelId, Nonce, ReceiptDigest};
use credence_claim::FinishReason;
use credence_exec::sampling::{GrammarText, Parameters, Settings};
use credence_exec::{Append, Engine, Session};
use credence_generate::{Content, Finish, Generation, Language, Limits, Prompt};
use credence_grammar::{GRAMMAR_BYTES_MAX, Grammar};
use credence_model::Model;
use credence_node::speech::issue::{Ask, Begun, Closed, Outcome, Secrets, begin, close};
use credence_node::{Draws, Operator};
use credence_receipt::BUNDLE_LEN_MAX;
use credence_store::file::{self, Access};
use credence_store::{FolderReceipts, Receipts as _};
use credence_text::Conversation;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::ChatArgs;
use crate::context::{Context, engine_options};
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// Longest line that is read.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What `chat --json` prints for each answer.
#[derive(Debug, Serialize)]
struct ChatView {
    model: String,
    content: String,
    finish: &'static str,
    prompt_tokens: usize,
    tokens: usize,
    receipt: String,
    bundle: String,
}

/// A model at hand, and who signs.
pub(crate) struct Talker {
    model: Arc<Model>,
    language: Language,
    operator: Operator,
    settings: Settings,
}

/// An answer with its receipt.
pub(crate) struct Said {
    pub(crate) begun: Begun,
    pub(crate) outcome: Outcome,
    pub(crate) closed: Closed,
    prompt_tokens: usize,
    prefill: Duration,
    decode: Duration,
}

/// Talks until the input ends.
pub(crate) fn run(context: &mut Context, args: &ChatArgs) -> Result<(), CliError> {
    let found = context.model(&args.model)?;
    let operator = context.operator()?;
    let talker = Talker::new(operator, found.model, args)?;
    let mut messages = Vec::new();
    if let Some(system) = &args.system {
        messages.push(json!({"role": "system", "content": system}));
    }
    if let Some(words) = &args.message {
        return turn(context, &talker, &mut messages, words, args);
    }
    let asks = std::io::stdin().is_terminal();
    if asks {
        context.console.say("an empty line ends the conversation");
    }
    loop {
        if asks {
            drop(write!(std::io::stderr(), "> "));
        }
        match line()? {
            Some(words) if !words.trim().is_empty() => {
                turn(context, &talker, &mut messages, words.trim(), args)?;
            }
            _ => return Ok(()),
        }
    }
}

/// One line of standard input; nothing at its end.
fn line() -> Result<Option<String>, CliError> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut input = std::io::Read::take(std::io::stdin().lock(), limit);
    let read = input
        .read_until(b'\n', &mut line)
        .map_err(|e| CliError::because(Exit::Io, "standard input cannot be read", e))?;
    if read == 0 {
        return Ok(None);
    }
    let text = String::from_utf8(line);
    text.map(Some)
        .map_err(|_| CliError::new(Exit::Malformed, "standard input is not UTF-8"))
}

/// Asks, shows the answer as it comes, and keeps its receipt.
fn turn(
    context: &mut Context,
    talker: &Talker,
    messages: &mut Vec<Value>,
    words: &str,
    args: &ChatArgs,
) -> Result<(), CliError> {
    messages.push(json!({"role": "user", "content": words}));
    let quiet = context.console.json();
    let said = talker.say(messages, |piece| {
        if quiet {
            return Ok(());
        }
        context.console.raw(piece.as_bytes())?;
        context.console.flush()
    })?;
    messages.push(json!({"role": "assistant", "content": said.outcome.output.text}));
    let bundle = keep(context, args, &said.closed)?;
    if quiet {
        return context.console.data_json(&ChatView {
            model: talker.model.id().to_string(),
            content: said.outcome.output.text.clone(),
            finish: said.outcome.finish.as_str(),
            prompt_tokens: said.prompt_tokens,
            tokens: said.outcome.output.tokens.len(),
            receipt: said.closed.receipt.to_string(),
            bundle: bundle.display().to_string(),
        });
    }
    context.console.data("")?;
    context.console.flush()?;
    context.console.say(&format!(
        "[{} tokens read at {}, {} made at {}; receipt {}]\nhint: `credence verify {}` runs it again",
        said.prompt_tokens,
        rate(said.prompt_tokens, said.prefill),
        said.outcome.output.tokens.len(),
        rate(said.outcome.output.tokens.len(), said.decode),
        said.closed.receipt,
        bundle.display()
    ));
    Ok(())
}

fn rate(tokens: usize, time: Duration) -> String {
    let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
    format!("{:.0}/s", tokens / time.as_secs_f64().max(1e-6))
}

impl Talker {
    /// Makes a model ready to talk.
    pub(crate) fn new(
        operator: Operator,
        model: Arc<Model>,
        args: &ChatArgs,
    ) -> Result<Self, CliError> {
        let ours = |e: &dyn std::error::Error| {
            CliError::new(Exit::Usage, format!("`{}`: {}", args.model, chain(e)))
        };
        let engine = Engine::new(Arc::clone(&model), engine_options(args.engine.threads));
        let language = Language::new(engine.map_err(|e| ours(&e))?).map_err(|e| ours(&e))?;
        if !language.text().has_template() {
            let what = format!("`{}` has no chat template, so it cannot chat", args.model);
            let hint = "`credence serve` offers it at /v1/completions, which takes plain text";
            return Err(CliError::new(Exit::Usage, what).hint(hint));
        }
        let settings = Settings {
            grammar: args.json_schema.as_deref().map(grammar).transpose()?,
            temperature: millionths(args.temperature),
            top_p: millionths(args.top_p),
            top_k: args.top_k,
            ..Settings::neutral(args.max_tokens)
        };
        Ok(Self {
            model,
            language,
            operator,
            settings,
        })
    }

    /// The model's id.
    pub(crate) fn id(&self) -> ModelId {
        self.model.id()
    }

    /// One answer to a conversation; `show` is given its text as it comes.
    pub(crate) fn say(
        &self,
        messages: &[Value],
        mut show: impl FnMut(&str) -> Result<(), CliError>,
    ) -> Result<Said, CliError> {
        let begun = self.begin(messages)?;
        let prompt = begun.prompt().ids().to_vec();
        let limits = Limits {
            prompt: prompt.len(),
            context: self.language.context(),
        };
        let draws = (begun.seed(), begun.prompt().choice());
        let constraint = self.language.constraint(begun.parameters());
        let constraint = constraint.map_err(|e| CliError::new(Exit::Usage, chain(&e)))?;
        let mut generation =
            Generation::new(self.language.text(), begun.parameters(), draws, limits)
                .with_constraint(constraint);
        let broken = |e: &dyn std::error::Error| CliError::new(Exit::Failed, chain(e));
        let mut session = self.language.engine().session().map_err(|e| broken(&e))?;
        let start = Instant::now();
        let mut prefill = None;
        let mut next = prompt.clone();
        while generation.finish().is_none() {
            let piece = self.step(&mut session, &next, &mut generation)?;
            prefill.get_or_insert_with(|| start.elapsed());
            show(&piece.text)?;
            next = vec![piece.token];
        }
        let finish = match generation.finish() {
            Some(Finish::Stop) => FinishReason::Stop,
            Some(Finish::Length) | None => FinishReason::Length,
        };
        let prefill = prefill.unwrap_or_default();
        let decode = start.elapsed().saturating_sub(prefill);
        let outcome = Outcome {
            output: generation.output(),
            trace_root: session.trace_root(),
            finish,
        };
        let closed = self.close(begun.clone(), &outcome)?;
        Ok(Said {
            begun,
            outcome,
            closed,
            prompt_tokens: prompt.len(),
            prefill,
            decode,
        })
    }

    /// Signs what is said to have come of it.
    pub(crate) fn close(&self, begun: Begun, outcome: &Outcome) -> Result<Closed, CliError> {
        let broken = |e: &dyn std::error::Error| CliError::new(Exit::Failed, chain(e));
        let draws = Draws::from_system().map_err(|e| broken(&e))?;
        let closed = close(&self.operator, begun, outcome, draws.time_unix_s);
        closed.map_err(|e| broken(&e))
    }

    fn step(
        &self,
        session: &mut Session,
        tokens: &[u32],
        generation: &mut Generation<'_>,
    ) -> Result<credence_generate::Piece, CliError> {
        let mut drawn = None;
        let mut appends = [Append {
            session,
            tokens,
            sampled: 1,
        }];
        let mut sink = |_: usize, _: usize, logits: &[i32]| {
            drawn = Some(generation.step(logits));
        };
        let advanced = self.language.engine().advance(&mut appends, &mut sink);
        advanced.map_err(|e| {
            CliError::new(Exit::Usage, chain(&e))
                .hint("begin a new conversation, or import the model with a larger --context")
        })?;
        let piece = drawn.and_then(Result::ok);
        piece.ok_or_else(|| CliError::new(Exit::Failed, "no token could be drawn"))
    }

    fn begin(&self, messages: &[Value]) -> Result<Begun, CliError> {
        let content = Content::Chat(Conversation {
            messages: messages.to_vec(),
            tools: None,
            add_generation_prompt: true,
            date: None,
            extra: BTreeMap::new(),
        });
        let refused = |e: &dyn std::error::Error| CliError::new(Exit::Usage, chain(e));
        let prompt = Prompt::new(content, 0, self.language.text()).map_err(|e| refused(&e))?;
        let parameters = Parameters::new(self.settings.clone()).map_err(|e| refused(&e))?;
        let random = || Draws::from_system().map_err(|e| CliError::new(Exit::Failed, chain(&e)));
        let (salts, seed, nonce) = (random()?, random()?, random()?);
        let ask = Ask {
            model: self.model.id(),
            prompt,
            parameters,
            nonce: Some(Nonce::from_bytes(*nonce.salt_master)),
        };
        let secrets = Secrets {
            salt_master: salts.salt_master,
            seed: *seed.salt_master,
        };
        begin(*self.operator.public_key(), ask, &secrets).map_err(|e| refused(&e))
    }
}

/// Reads a JSON schema for answers to fit.
fn grammar(path: &Path) -> Result<GrammarText, CliError> {
    let limit = u64::try_from(2 * GRAMMAR_BYTES_MAX).unwrap_or(u64::MAX);
    let text = file::read(path, limit)?;
    let what = || {
        format!(
            "`{}` is no schema that an answer can be held to",
            path.display()
        )
    };
    let text =
        String::from_utf8(text).map_err(|e| CliError::because(Exit::Malformed, what(), e))?;
    let grammar = Grammar::schema(&text);
    let grammar = grammar.map_err(|e| CliError::because(Exit::Malformed, what(), e))?;
    Ok(GrammarText {
        kind: grammar.kind().code(),
        text: grammar.text().to_owned(),
    })
}

/// A share or temperature in the fixed point of the parameters; what is out of range is refused there.
fn millionths(x: f64) -> u32 {
    let scaled = (x * 1e6).round();
    if (0.0..4e9).contains(&scaled) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range, and whole"
        )]
        return scaled as u32;
    }
    u32::MAX
}

/// Writes the bundle where it was asked for, else among the receipts.
fn keep(context: &Context, args: &ChatArgs, closed: &Closed) -> Result<PathBuf, CliError> {
    let bytes = closed.bundle.encode();
    let bytes = bytes.map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    if let Some(path) = &args.receipt {
        file::write(path, &bytes, Access::Owner)?;
        return Ok(path.clone());
    }
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let receipts = FolderReceipts::new(context.home()?.make_receipts()?, len_max);
    let digest: ReceiptDigest = closed.receipt;
    receipts.put(digest, &bytes)?;
    Ok(receipts.path(digest))
}
