//! Paths to handlers, and what holds for all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use crate::http::error::ApiError;
use crate::http::limits::Limits;
use crate::http::{infer, models, receipts};
use crate::service::Service;

/// What every handler may look at.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) limits: Limits,
    pub(crate) permits: Arc<Semaphore>,
}

/// The API over `service`.
pub fn router(service: Arc<Service>, limits: Limits) -> Router {
    let app = App {
        service,
        limits,
        permits: Arc::new(Semaphore::new(limits.concurrent_max)),
    };
    Router::new()
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
        .fallback(|| async { ApiError::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(DefaultBodyLimit::max(limits.body_bytes_max))
        .layer(middleware::from_fn_with_state(app.clone(), timed))
        .with_state(app)
}

/// Ends requests that take too long. A run that has begun goes on to its end, and its permit with it: arithmetic cannot be
/// interrupted, and what it takes must stay counted.
async fn timed(State(app): State<App>, request: Request, next: Next) -> Response {
    let limit = app.limits.request_time_max;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout(limit).into_response(),
    }
}
