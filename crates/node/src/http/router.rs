//! Paths to handlers, and what holds for all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Uri;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::http::error::ApiError;
use crate::http::limits::Limits;
use crate::http::openai_error::OpenAiError;
use crate::http::{audit, embeddings, infer, models, openai, receipts, statements};
use crate::service::Service;

/// What every handler may look at.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) limits: Limits,
    /// Inferences of tensor models.
    pub(crate) permits: Arc<Semaphore>,
    /// Bytes of bodies.
    pub(crate) bodies: Arc<Semaphore>,
    /// Prompts that are being rendered.
    pub(crate) rendering: Arc<Semaphore>,
    /// Kept receipts that are being read: each may be 64 MiB.
    pub(crate) reading: Arc<Semaphore>,
}

/// Kept receipts that are read at once.
const READING_MAX: usize = 4;

/// The API over `service`.
pub fn router(service: Arc<Service>, limits: Limits) -> Router {
    let app = App {
        service,
        limits,
        permits: Arc::new(Semaphore::new(limits.concurrent_max)),
        bodies: Arc::new(Semaphore::new(
            usize::try_from(limits.bodies_bytes_max).unwrap_or(usize::MAX),
        )),
        rendering: Arc::new(Semaphore::new(limits.concurrent_max)),
        reading: Arc::new(Semaphore::new(READING_MAX)),
    };
    let tensors = Router::new()
        .route("/v2", get(models::server))
        .route("/v2/health/live", get(models::live))
        .route("/v2/health/ready", get(models::ready))
        .route("/v2/models/{model}", get(models::metadata))
        .route("/v2/models/{model}/ready", get(models::model_ready))
        .route("/v2/models/{model}/infer", post(infer::infer))
        .route(
            "/v2/models/{model}/versions/{version}",
            get(models::metadata_of_version),
        )
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(models::version_ready),
        )
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(infer::infer_version),
        )
        .route("/v1/receipts/{digest}", get(receipts::receipt))
        .route(
            "/v1/key-statements",
            post(statements::take).layer(DefaultBodyLimit::max(statements::BODY_LEN_MAX)),
        )
        .route(
            "/v1/receipts/{digest}/audit",
            post(audit::audit).layer(DefaultBodyLimit::max(audit::BODY_LEN_MAX)),
        )
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{model}", get(openai::model))
        .layer(middleware::from_fn_with_state(app.clone(), timed));
    Router::new()
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/completions", post(openai::completions))
        .merge(tensors)
        .fallback(nowhere)
        .method_not_allowed_fallback(no_method)
        // Handlers read bodies themselves, within the limits of all of them together.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// Whether OpenAI's clients ask there, and so read refusals in OpenAI's form.
fn speaks_openai(uri: &Uri) -> bool {
    let ours = ["/v1/receipts", "/v1/key-statements"];
    uri.path().starts_with("/v1/") && !ours.iter().any(|path| uri.path().starts_with(path))
}

async fn nowhere(uri: Uri) -> Response {
    if speaks_openai(&uri) {
        return OpenAiError::nowhere().into_response();
    }
    ApiError::not_found("there is nothing at this path").into_response()
}

async fn no_method(uri: Uri) -> Response {
    if speaks_openai(&uri) {
        return OpenAiError::no_method().into_response();
    }
    ApiError::method_not_allowed().into_response()
}

/// Ends requests that take too long. A run that has begun goes on to its end, and its permit with it: arithmetic cannot be
/// interrupted, and what it takes must stay counted.
async fn timed(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.limits.request_time_max;
    let openai = speaks_openai(request.uri());
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if openai => OpenAiError::timeout(limit).into_response(),
        Err(_) => ApiError::timeout(limit).into_response(),
    }
}
