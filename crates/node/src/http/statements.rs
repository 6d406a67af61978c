//! Statements about the operator's key, for the log of a server that runs: signed by the key itself, so nobody else can make one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::http::error::ApiError;
use crate::http::router::App;
use crate::service::StatementError;

/// The longest bundle of a statement, in bytes.
pub(crate) const BODY_LEN_MAX: usize = 64 * 1024;

/// That a statement is taken in; its bundle has the proof as soon as it is logged.
#[derive(Debug, Serialize)]
struct Taken {
    receipt: String,
    bundle: String,
}

pub(crate) async fn take(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body
        .map_err(|_| ApiError::bad_request(format!("the body has at most {BODY_LEN_MAX} bytes")))?;
    let permit = app.reading.acquire_owned().await.ok();
    let service = app.service;
    let run = move || {
        let _permit = permit;
        service.take_statement(&body)
    };
    let digest = match tokio::task::spawn_blocking(run).await {
        Ok(Ok(digest)) => digest,
        Ok(Err(error @ (StatementError::Bundle(_) | StatementError::Signature(_)))) => {
            return Err(ApiError::bad_request_because(&error));
        }
        Ok(Err(error @ (StatementError::Kind | StatementError::Stranger { .. }))) => {
            return Err(ApiError::forbidden(error.to_string()));
        }
        Ok(Err(error @ StatementError::NoLog)) => {
            return Err(ApiError::not_found(error.to_string()));
        }
        Ok(Err(StatementError::Keep(error))) => {
            return Err(ApiError::internal("the statement cannot be kept", &error));
        }
        Err(error) => return Err(ApiError::internal("the statement cannot be kept", &error)),
    };
    let taken = Taken {
        receipt: digest.to_string(),
        bundle: format!("/v1/receipts/{digest}"),
    };
    Ok((StatusCode::ACCEPTED, Json(taken)).into_response())
}
