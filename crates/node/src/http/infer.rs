//! One inference: from the request's bytes to the answer and its receipt's digest.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use credence_base::Nonce;
use credence_model::Program;

use crate::http::body;
use crate::http::error::ApiError;
use crate::http::models::find;
use crate::http::nonce::read_nonce;
use crate::http::receipts::name_receipt;
use crate::http::router::App;
use crate::inference::{Answer, Question};
use crate::oip::{
    InferRequest, InferResponse, OutputRequest, check_parameters, read_tensors, write_tensor,
};
use crate::service::Hosted;
use credence_receipt::Kept;

/// What a client of the binary extension sends.
const BINARY_HEADER: &str = "inference-header-content-length";

pub(crate) async fn infer(
    State(app): State<App>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let hosted = find(&app, &model, None)?;
    answer(app, model, hosted, request).await
}

pub(crate) async fn infer_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let hosted = find(&app, &model, Some(&version))?;
    answer(app, model, hosted, request).await
}

async fn answer(
    app: App,
    name: String,
    hosted: Arc<Hosted>,
    request: Request,
) -> Result<Response, ApiError> {
    let nonce = nonce(request.headers())?;
    let body = body::read(&app, request)
        .await
        .map_err(|error| ApiError::body(&error))?;
    // Behind the body: one that comes slowly must not keep others from running.
    let permit = Arc::clone(&app.permits)
        .try_acquire_owned()
        .map_err(|_| ApiError::busy(app.limits.concurrent_max))?;

    let service = Arc::clone(&app.service);
    let run = move || -> Result<Response, ApiError> {
        // Held until the run ends, also when nobody waits for it any more.
        let _permit = permit;
        let request = parse(&body)?;
        let wanted = wanted(hosted.model().program(), request.outputs.as_deref())?;
        let inputs =
            read_tensors(request.inputs).map_err(|error| ApiError::bad_request_because(&error))?;
        let question = Question { inputs, nonce };
        let answer = service.answer(&hosted, &question)?;
        Ok(respond(name, &hosted, request.id, &answer, &wanted))
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(response) => response,
        Err(error) => Err(ApiError::internal(
            "the run did not come to its end",
            &error,
        )),
    }
}

fn parse(body: &[u8]) -> Result<InferRequest, ApiError> {
    let request: InferRequest = serde_json::from_slice(body).map_err(|e| {
        ApiError::bad_request(format!(
            "the body is not the JSON of an inference request: {e}"
        ))
    })?;
    check_parameters(request.parameters.as_ref(), "the request")
        .map_err(|e| ApiError::bad_request_because(&e))?;
    Ok(request)
}

fn nonce(headers: &HeaderMap) -> Result<Option<Nonce>, ApiError> {
    if headers.contains_key(BINARY_HEADER) {
        return Err(ApiError::bad_request(
            "tensors in binary are not taken: send JSON without the header `inference-header-content-length`",
        ));
    }
    read_nonce(headers).map_err(|error| ApiError::bad_request_because(&error))
}

/// Checks which outputs are wanted; none named means all.
fn wanted(program: &Program, outputs: Option<&[OutputRequest]>) -> Result<Vec<String>, ApiError> {
    let all = program.spec().outputs.iter().map(|output| &output.name);
    let asked = outputs.unwrap_or_default();
    for output in asked {
        let whose = format!("output `{}`", output.name);
        check_parameters(output.parameters.as_ref(), &whose)
            .map_err(|e| ApiError::bad_request_because(&e))?;
        if !all.clone().any(|name| *name == output.name) {
            let names: Vec<_> = all.map(|name| format!("`{name}`")).collect();
            return Err(ApiError::bad_request(format!(
                "there is no {whose}; the model has {}",
                names.join(", ")
            )));
        }
    }
    if asked.is_empty() {
        return Ok(all.cloned().collect());
    }
    Ok(asked.iter().map(|output| output.name.clone()).collect())
}

fn respond(
    name: String,
    hosted: &Hosted,
    id: Option<String>,
    answer: &Answer,
    wanted: &[String],
) -> Response {
    let outputs = answer.outputs.iter();
    let body = InferResponse {
        model_name: name,
        model_version: hosted.id().to_string(),
        id,
        outputs: outputs
            .filter(|tensor| wanted.iter().any(|name| name == tensor.name()))
            .map(write_tensor)
            .collect(),
    };
    let mut response = Json(body).into_response();
    name_receipt(&mut response, &Kept::of(&answer.bundle));
    response
}
