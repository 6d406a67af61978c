//! Refusals in the protocol's form, `{"error": "…"}`, each with its status.
//!
//! What the client did is told in full, with the causes. What went wrong here is told in one sentence and logged in full:
//! paths are nobody else's business.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::chain_of as chain;
use crate::http::body::BodyError;
use crate::keeper::KeepError;
use crate::service::AnswerError;
use crate::speech::Trouble;

/// The body of a refusal.
#[derive(Debug, Serialize)]
struct ErrorBody {
    error: String,
}

/// A refusal.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    text: String,
    retry_after: bool,
}

impl ApiError {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            retry_after: false,
        }
    }

    /// The request cannot be understood or does not fit: `400`.
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// The request does not fit, for the reason that `error` and its sources give: `400`.
    pub(crate) fn bad_request_because(error: &dyn Error) -> Self {
        Self::bad_request(chain(error))
    }

    /// The key is not the one: `403`.
    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// Not now: `429`, try again in a second.
    pub(crate) fn again(text: impl Into<String>) -> Self {
        Self {
            retry_after: true,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, text)
        }
    }

    /// There is no such thing: `404`.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// The path exists, the method does not: `405`.
    pub(crate) fn method_not_allowed() -> Self {
        let text = "this path does not take that method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, text)
    }

    /// The body is too long, did not arrive, or there is no room for it.
    pub(crate) fn body(error: &BodyError) -> Self {
        Self {
            retry_after: matches!(error, BodyError::NoRoom),
            ..Self::new(error.status(), error.to_string())
        }
    }

    /// Too many at once: `429`, try again in a second.
    pub(crate) fn busy(concurrent_max: usize) -> Self {
        let text = format!("{concurrent_max} inferences are running, the most at once; try again");
        Self {
            retry_after: true,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, text)
        }
    }

    /// It took too long: `503`.
    pub(crate) fn timeout(limit: std::time::Duration) -> Self {
        let text = format!("the request took longer than {} s", limit.as_secs());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// Our fault: `500`. The cause is logged.
    pub(crate) fn internal(what: &'static str, error: &dyn Error) -> Self {
        tracing::error!(cause = chain(error), "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    }
}

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        if error.is_clients() {
            return Self::bad_request_because(&error);
        }
        if let AnswerError::Keep(KeepError::Log(cause)) = &error
            && cause.is_passing()
        {
            tracing::warn!(cause = chain(cause), "an answer is withheld");
            return Self {
                retry_after: true,
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Trouble::Unlogged.to_string(),
                )
            };
        }
        Self::internal(
            "no receipt could be made and kept, so no answer is given",
            &error,
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: self.text };
        let mut response = (self.status, Json(body)).into_response();
        if self.retry_after {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}
