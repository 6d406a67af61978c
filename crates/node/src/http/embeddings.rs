//! OpenAI's endpoint for embeddings: from a request's bytes to vectors, each with a receipt.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use credence_base::Nonce;
use credence_generate::{Embedder, Prompt};

use crate::http::body;
use crate::http::nonce::read_nonce;
use crate::http::openai_error::OpenAiError;
use crate::http::receipts::name_receipt;
use crate::http::router::App;
use crate::openai::{
    Embeddings, INPUT_TOKENS_MAX, Prompted, RequestError, embeddings_body, read_embeddings,
};
use crate::service::Service;

/// The parameter that holds the texts.
const PARAM: &str = "input";

pub(crate) async fn embeddings(
    State(app): State<App>,
    request: Request,
) -> Result<Response, OpenAiError> {
    let nonce = read_nonce(request.headers())?;
    let body = body::read_in_time(&app, request).await?;
    // Behind the body: one that comes slowly must not keep others from running.
    let permit = Arc::clone(&app.permits)
        .try_acquire_owned()
        .map_err(|_| OpenAiError::busy(app.limits.concurrent_max))?;
    let service = Arc::clone(&app.service);
    let run = move || {
        // Held until the run ends, also when nobody waits for it any more.
        let _permit = permit;
        answer(&service, &body, nonce)
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(response) => response,
        Err(error) => Err(OpenAiError::internal(
            "the run did not come to its end",
            &error,
        )),
    }
}

fn answer(service: &Service, body: &[u8], header: Option<Nonce>) -> Result<Response, OpenAiError> {
    let asked = read_embeddings(body)?;
    let name = &asked.model;
    let hosted = service.model(name);
    let hosted = hosted.ok_or_else(|| OpenAiError::no_model(name))?;
    let embedder = hosted
        .embedder()
        .ok_or_else(|| OpenAiError::no_encoder(name))?;
    let nonce = match (asked.nonce, header) {
        (Some(own), Some(header)) if own != header => {
            return Err(OpenAiError::contradicting_nonces());
        }
        (own, header) => own.or(header),
    };
    let prompts = prompts(&asked, embedder)?;
    let embedded = service.embed((hosted.id(), embedder), &prompts, nonce)?;
    let body = embeddings_body((name, hosted.id()), asked.encoding, &embedded);
    let mut response = Json(body).into_response();
    if let Some(first) = embedded.first() {
        name_receipt(&mut response, &first.kept);
    }
    Ok(response)
}

/// The tokens of every text, within what the model and one request take.
fn prompts(asked: &Embeddings, embedder: &Embedder) -> Result<Vec<Prompt>, RequestError> {
    let width = u64::try_from(embedder.width()).unwrap_or(u64::MAX);
    if asked.dimensions.is_some_and(|wanted| wanted != width) {
        return Err(RequestError::Unsupported {
            param: "dimensions".to_owned(),
            instead: "an embedding has the elements that its receipt says; leave it out",
        });
    }
    let (mut prompts, mut tokens) = (Vec::with_capacity(asked.inputs.len()), 0_usize);
    for (number, input) in (0_u32..).zip(&asked.inputs) {
        let prompt = match input {
            Prompted::Text(text) => {
                let content = credence_generate::Content::Text(text.clone());
                Prompt::new(content, number, embedder.text())
            }
            Prompted::Tokens(ids) => Prompt::tokens(ids.clone(), number),
        };
        let prompt = prompt.map_err(|source| RequestError::Prompt {
            param: PARAM,
            source,
        })?;
        let (got, max) = (prompt.ids().len(), embedder.context());
        if got > max {
            return Err(RequestError::Context {
                param: PARAM,
                max,
                got,
            });
        }
        let vocabulary = embedder.text().vocab_len();
        let known = |id: &u32| usize::try_from(*id).is_ok_and(|id| id < vocabulary);
        if let Some(&got) = prompt.ids().iter().find(|id| !known(id)) {
            return Err(RequestError::Token {
                param: PARAM,
                vocabulary,
                got,
            });
        }
        tokens = tokens.saturating_add(got);
        prompts.push(prompt);
    }
    if tokens > INPUT_TOKENS_MAX {
        return Err(RequestError::Count {
            param: PARAM,
            what: "tokens",
            max: INPUT_TOKENS_MAX,
            got: tokens,
        });
    }
    Ok(prompts)
}
