//! OpenAI's endpoints: from a request's bytes to an answer, whole or in chunks.
//!
//! ```text
//! body ─read─▶ prepare (on a thread that may block): JSON, model, template, tokens, commitments ─▶ Speaker::ask ─▶ Reply or Teller
//! ```

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use credence_base::{ModelId, Nonce};
use credence_claim::chain::Prefix;
use credence_exec::sampling::Parameters;
use credence_generate::{Content, Language, Prompt, PromptError};
use credence_grammar::Constraint;
use tokio::sync::mpsc::Receiver;
use zeroize::Zeroizing;

use crate::http::nonce::read_nonce;
use crate::http::openai_error::OpenAiError;
use crate::http::receipts::name_receipt;
use crate::http::router::App;
use crate::http::{body, sse};
use crate::keeper::now_unix_s;
use crate::openai::{
    Asked, CallForm, Frame, Kind, Prompted, Reply, RequestError, Teller, grammar_param, heeded,
    model_entry, models_list, read_chat, read_completion,
};
use crate::service::{Hosted, Service};
use crate::speech::issue::{Ask, Secrets, begin};
use crate::speech::{self, Choice, Event, Speaker, queue};

/// Moves to follow a token that was drawn, at most: it is done on the thread that speaks, and takes milliseconds then.
const TAKING_MOVES_MAX: usize = 100_000;

pub(crate) async fn models(State(app): State<App>) -> Response {
    let entries = app.service.models().filter_map(|hosted| entry(hosted));
    Json(models_list(entries.collect())).into_response()
}

pub(crate) async fn model(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, OpenAiError> {
    // What is no text is no model's name.
    let Path(name) = name.map_err(|_| OpenAiError::no_model("\u{fffd}"))?;
    let found = app.service.model(&name).and_then(|hosted| entry(hosted));
    let mut found = found.ok_or_else(|| OpenAiError::no_model(&name))?;
    found["id"] = name.into();
    Ok(Json(found).into_response())
}

fn entry(hosted: &Hosted) -> Option<serde_json::Value> {
    let context = match (hosted.speaker(), hosted.embedder()) {
        (Some(speaker), _) => speaker.language().context(),
        (None, Some(embedder)) => embedder.context(),
        (None, None) => return None,
    };
    Some(model_entry(hosted.name(), hosted.id(), context))
}

pub(crate) async fn chat(
    State(app): State<App>,
    request: Request,
) -> Result<Response, OpenAiError> {
    answer(app, Kind::Chat, request).await
}

pub(crate) async fn completions(
    State(app): State<App>,
    request: Request,
) -> Result<Response, OpenAiError> {
    answer(app, Kind::Completion, request).await
}

/// What a body asks for, before a model is found.
struct Wanted {
    asked: Asked,
    contents: Vec<(Content, Vec<u32>)>,
    /// The parameter that holds the contents.
    param: &'static str,
}

/// A request on its way.
struct Prepared {
    events: Receiver<Event>,
    frame: Frame,
    prefixes: Vec<Prefix>,
    stream: bool,
}

async fn answer(app: App, kind: Kind, request: Request) -> Result<Response, OpenAiError> {
    let nonce = read_nonce(request.headers())?;
    let body = body::read_in_time(&app, request).await?;
    // Bounded by the room for bodies: whoever waits here holds nothing else.
    let permit = Arc::clone(&app.rendering).acquire_owned().await;
    let service = Arc::clone(&app.service);
    let prepare = move || {
        let prepared = prepare(&service, kind, &body, nonce);
        drop(permit);
        prepared
    };
    let prepared = tokio::task::spawn_blocking(prepare).await;
    let prepared = prepared.map_err(|error| {
        OpenAiError::internal("the request could not be worked on to its end", &error)
    })??;
    let Prepared {
        mut events,
        frame,
        prefixes,
        stream,
    } = prepared;
    if stream {
        let teller = Teller::new(frame, Arc::clone(app.service.keeper()), prefixes);
        return Ok(sse::respond(events, teller));
    }
    let mut reply = Reply::new(frame);
    while !reply.is_whole() {
        let Some(event) = events.recv().await else {
            break;
        };
        reply.take(event);
    }
    let (body, receipt) = reply.finish()?;
    let mut response = Json(body).into_response();
    name_receipt(&mut response, &receipt);
    Ok(response)
}

fn wanted(kind: Kind, body: &[u8]) -> Result<Wanted, RequestError> {
    Ok(match kind {
        Kind::Chat => {
            let chat = read_chat(body)?;
            Wanted {
                asked: chat.asked,
                contents: vec![(Content::Chat(chat.conversation), Vec::new())],
                param: "messages",
            }
        }
        Kind::Completion => {
            let completion = read_completion(body)?;
            let content = |prompted| match prompted {
                Prompted::Text(text) => (Content::Text(text), Vec::new()),
                Prompted::Tokens(ids) => (Content::Tokens, ids),
            };
            Wanted {
                contents: completion.prompts.into_iter().map(content).collect(),
                asked: completion.asked,
                param: "prompt",
            }
        }
    })
}

/// Everything up to the speaker's inbox.
fn prepare(
    service: &Service,
    kind: Kind,
    body: &[u8],
    header: Option<Nonce>,
) -> Result<Prepared, OpenAiError> {
    let mut wanted = wanted(kind, body)?;
    let name = wanted.asked.model.clone();
    let hosted = service.model(&name);
    let hosted = hosted.ok_or_else(|| OpenAiError::no_model(&name))?;
    let speaker = hosted.speaker().ok_or_else(|| match hosted.embedder() {
        Some(_) => OpenAiError::encoder(&name),
        None => OpenAiError::tensors(&name),
    })?;
    wanted.asked.nonce = match (wanted.asked.nonce, header) {
        (Some(own), Some(header)) if own != header => {
            return Err(OpenAiError::contradicting_nonces());
        }
        (own, header) => own.or(header),
    };
    let Started {
        requests,
        prefixes,
        prompt_tokens,
        tools,
        events,
    } = start(service, (hosted.id(), speaker), &wanted)?;
    let frame = Frame {
        kind,
        id: random_id()?,
        created: now_unix_s().map_err(|error| {
            OpenAiError::internal("the system's clock is set before 1970", &error)
        })?,
        model: name,
        model_id: hosted.id(),
        language: Arc::clone(speaker.language()),
        answers: prefixes.len(),
        prompt_tokens,
        tools,
        grammar: wanted.asked.settings.grammar.as_ref().map(grammar_param),
        include_usage: wanted.asked.include_usage,
    };
    speaker.ask(requests, service.keeper())?;
    Ok(Prepared {
        events,
        frame,
        prefixes,
        stream: wanted.asked.stream,
    })
}

/// Answers that are committed to and not asked for yet.
struct Started {
    requests: Vec<speech::Request>,
    prefixes: Vec<Prefix>,
    prompt_tokens: usize,
    tools: Option<CallForm>,
    events: Receiver<Event>,
}

/// Commits to every answer, once it is sure that there is room for all.
fn start(
    service: &Service,
    (model, speaker): (ModelId, &Speaker),
    wanted: &Wanted,
) -> Result<Started, OpenAiError> {
    let parameters = checked_parameters(wanted, speaker)?;
    let n = usize::try_from(wanted.asked.n).unwrap_or(usize::MAX);
    let answers = n.saturating_mul(wanted.contents.len());
    speaker.room_for(answers, n)?;
    let tools = tools(wanted, speaker.language())?;
    let constraint = constraint(&parameters, speaker.language())?;
    let (told, events) = queue(answers);
    let (mut requests, mut prefixes, mut prompt_tokens) = (Vec::new(), Vec::new(), 0);
    for (content, ids) in &wanted.contents {
        let mut choices = Vec::new();
        for _ in 0..wanted.asked.n {
            let number = u32::try_from(prefixes.len()).unwrap_or(u32::MAX);
            let prompt = match content {
                Content::Tokens => Prompt::tokens(ids.clone(), number),
                content => Prompt::new(content.clone(), number, speaker.language().text()),
            };
            let prompt = checked_prompt(prompt, wanted.param, speaker.language())?;
            if choices.is_empty() {
                prompt_tokens += prompt.ids().len();
            }
            let ask = Ask {
                model,
                prompt,
                parameters: parameters.clone(),
                nonce: wanted.asked.nonce,
            };
            let begun = begin(*service.operator().public_key(), ask, &secrets()?);
            let begun = begun.map_err(|source| refused(wanted.param, source))?;
            prefixes.push(begun.prefix());
            choices.push(Choice {
                begun,
                constraint: constraint.clone(),
                logprobs: wanted.asked.logprobs,
            });
        }
        let events = told.clone();
        requests.push(speech::Request { choices, events });
    }
    Ok(Started {
        requests,
        prefixes,
        prompt_tokens,
        tools,
        events,
    })
}

/// The form of calls to look for; refuses what the model's template does not read.
fn tools(wanted: &Wanted, language: &Language) -> Result<Option<CallForm>, RequestError> {
    let Some((Content::Chat(conversation), _)) = wanted.contents.first() else {
        return Ok(None);
    };
    let forced = wanted.asked.settings.grammar.is_some();
    heeded(conversation, forced, language.text())
}

fn checked_parameters(wanted: &Wanted, speaker: &Speaker) -> Result<Parameters, RequestError> {
    let language = speaker.language();
    let caps = speaker.caps();
    let n = usize::try_from(wanted.asked.n).unwrap_or(usize::MAX);
    if n > caps.running_max {
        return Err(RequestError::Answers {
            max: caps.running_max,
            got: n,
        });
    }
    let most = caps.answer_tokens_max;
    let parameters = wanted.asked.parameters(language.context(), most)?;
    let biases = parameters.settings().logit_bias.iter();
    let mut outside = biases.filter(|(id, _)| !is_token(language, *id));
    if let Some((got, _)) = outside.next() {
        return Err(RequestError::Token {
            param: "logit_bias",
            vocabulary: language.text().vocab_len(),
            got: *got,
        });
    }
    Ok(parameters)
}

/// What follows the parameters' grammar, if this model can.
fn constraint(
    parameters: &Parameters,
    language: &Language,
) -> Result<Option<Constraint>, RequestError> {
    let param = parameters.settings().grammar.as_ref().map(grammar_param);
    let constraint = language.constraint(parameters);
    let patient = |constraint: Constraint| constraint.within(TAKING_MOVES_MAX);
    constraint
        .map(|constraint| constraint.map(patient))
        .map_err(|source| RequestError::Grammar {
            param: param.unwrap_or("response_format"),
            source,
        })
}

fn is_token(language: &Language, id: u32) -> bool {
    usize::try_from(id).is_ok_and(|id| id < language.text().vocab_len())
}

fn checked_prompt(
    prompt: Result<Prompt, PromptError>,
    param: &'static str,
    language: &Language,
) -> Result<Prompt, RequestError> {
    let prompt = prompt.map_err(|source| refused(param, source))?;
    let (got, max) = (prompt.ids().len(), language.context());
    if got > max {
        return Err(RequestError::Context { param, max, got });
    }
    let outside = prompt.ids().iter().find(|id| !is_token(language, **id));
    if let Some(&got) = outside {
        let vocabulary = language.text().vocab_len();
        return Err(RequestError::Token {
            param,
            vocabulary,
            got,
        });
    }
    Ok(prompt)
}

const fn refused(param: &'static str, source: PromptError) -> RequestError {
    RequestError::Prompt { param, source }
}

fn fill(bytes: &mut [u8]) -> Result<(), OpenAiError> {
    getrandom::fill(bytes)
        .map_err(|error| OpenAiError::internal("the system gives no random bytes", &error))
}

fn secrets() -> Result<Secrets, OpenAiError> {
    let mut salt_master = Zeroizing::new([0; 32]);
    fill(salt_master.as_mut_slice())?;
    let mut seed = [0; 32];
    fill(&mut seed)?;
    Ok(Secrets { salt_master, seed })
}

/// Names the answer. It says nothing, so half a digest's length is enough.
fn random_id() -> Result<String, OpenAiError> {
    let mut bytes = [0; 32];
    let (drawn, _) = bytes.split_at_mut(16);
    fill(drawn)?;
    let digits = credence_base::Digest::from_bytes(bytes).to_string();
    Ok(digits.chars().take(32).collect())
}
