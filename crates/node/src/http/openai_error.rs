//! Refusals in OpenAI's form, `{"error": {"message", "type", "param", "code"}}`, each with its status.
//!
//! What the client did is told in full, with the causes; what went wrong here is told in one sentence and logged in full.

use std::error::Error;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::chain_of;
use crate::http::body::BodyError;
use crate::http::nonce::BadNonce;
use crate::keeper::KeepError;
use crate::openai::{Failure, RequestError};
use crate::service::AnswerError;
use crate::speech::{Full, Trouble};

/// A refusal.
#[derive(Debug)]
pub(crate) struct OpenAiError {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: &'static str,
    retry_after: bool,
    /// Receipts of choices that ended all the same.
    kept: Vec<Value>,
}

/// What is said when something is missing for the moment.
const UNAVAILABLE: &str = "unavailable";

impl OpenAiError {
    fn new(status: StatusCode, message: String, code: &'static str) -> Self {
        Self {
            status,
            message,
            param: None,
            code,
            retry_after: status == StatusCode::TOO_MANY_REQUESTS,
            kept: Vec::new(),
        }
    }

    /// Not our client's fault, and likely over in a moment: `503`, try again in a second.
    fn passing(message: String) -> Self {
        Self {
            retry_after: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message, UNAVAILABLE)
        }
    }

    /// It took too long.
    pub(crate) fn timeout(limit: Duration) -> Self {
        let message = format!("the request took longer than {} s", limit.as_secs());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message, "timeout")
    }

    pub(crate) fn nowhere() -> Self {
        let message = "there is nothing at this path".to_owned();
        Self::new(StatusCode::NOT_FOUND, message, "unknown_url")
    }

    pub(crate) fn no_method() -> Self {
        let message = "this path does not take that method".to_owned();
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            message,
            "method_not_allowed",
        )
    }

    pub(crate) fn no_model(name: &str) -> Self {
        let message = format!("model `{name}` is not served here");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, message, "model_not_found")
        }
    }

    pub(crate) fn tensors(name: &str) -> Self {
        let message =
            format!("model `{name}` takes tensors, not text: ask it at `/v2/models/{name}/infer`");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, message, "invalid_value")
        }
    }

    pub(crate) fn no_encoder(name: &str) -> Self {
        let message = format!("model `{name}` gives no embeddings: ask for one that does");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, message, "invalid_value")
        }
    }

    pub(crate) fn encoder(name: &str) -> Self {
        let message =
            format!("model `{name}` gives embeddings, not text: ask it at `/v1/embeddings`");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, message, "invalid_value")
        }
    }

    pub(crate) fn busy(max: usize) -> Self {
        let message = format!("{max} runs are going on, the most at once; try again");
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            message,
            "rate_limit_exceeded",
        )
    }

    pub(crate) fn contradicting_nonces() -> Self {
        let message =
            "`credence.nonce` and the header `credence-nonce` differ: send one of them".to_owned();
        Self {
            param: Some("credence.nonce".to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, message, "invalid_value")
        }
    }

    /// Our fault: the cause is logged.
    pub(crate) fn internal(what: &'static str, error: &dyn Error) -> Self {
        tracing::error!(cause = chain_of(error), "{what}");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, what.to_owned(), "internal_error")
    }

    /// The words of OpenAI's API for a kind of status.
    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body, also as the last word of a stream.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({"error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        }});
        if !self.kept.is_empty() {
            body["credence"] = json!({"choices": self.kept});
        }
        body
    }
}

impl From<RequestError> for OpenAiError {
    fn from(error: RequestError) -> Self {
        if error.is_passing() {
            tracing::warn!(cause = chain_of(&error), "a request is not worked on");
            return Self::passing(
                "the system gives no thread for the prompt; try again".to_owned(),
            );
        }
        Self {
            param: error.param().map(str::to_owned),
            ..Self::new(StatusCode::BAD_REQUEST, chain_of(&error), error.code())
        }
    }
}

impl From<BodyError> for OpenAiError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLong { .. } => "body_too_long",
            BodyError::Broken => "invalid_body",
            BodyError::NoRoom => "rate_limit_exceeded",
            BodyError::Slow { .. } => "timeout",
        };
        Self::new(error.status(), error.to_string(), code)
    }
}

impl From<BadNonce> for OpenAiError {
    fn from(error: BadNonce) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string(), "invalid_header")
    }
}

impl From<Full> for OpenAiError {
    fn from(error: Full) -> Self {
        let (status, code) = match error {
            Full::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Full::Never { .. } => (StatusCode::BAD_REQUEST, "invalid_value"),
            Full::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        // An `n` that is too large by itself was refused before: there are too many prompts.
        let param = matches!(error, Full::Never { .. }).then(|| "prompt".to_owned());
        Self {
            param,
            ..Self::new(status, error.to_string(), code)
        }
    }
}

impl From<Failure> for OpenAiError {
    fn from(failure: Failure) -> Self {
        let said = failure.trouble.to_string();
        let error = match failure.trouble {
            Trouble::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, said, "stopping"),
            Trouble::Grammar => Self::new(StatusCode::BAD_REQUEST, said, "invalid_value"),
            Trouble::Unlogged => Self::passing(said),
            Trouble::Run | Trouble::Receipt => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, said, "internal_error")
            }
        };
        let kept = failure.kept.iter().map(|(index, kept)| {
            json!({"index": index, "receipt": kept.digest.to_string(), "bundle": kept.path()})
        });
        Self {
            param: failure.param.map(str::to_owned),
            kept: kept.collect(),
            ..error
        }
    }
}

/// Everything that the client could mend was refused before the run.
impl From<AnswerError> for OpenAiError {
    fn from(error: AnswerError) -> Self {
        if let AnswerError::Keep(KeepError::Log(cause)) = &error
            && cause.is_passing()
        {
            tracing::warn!(cause = chain_of(cause), "an answer is withheld");
            return Self::passing(Trouble::Unlogged.to_string());
        }
        Self::internal("the texts cannot be embedded, or have no receipt", &error)
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.retry_after {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use credence_generate::PromptError;
    use credence_text::TextError;

    use super::*;

    #[test]
    fn no_thread_for_a_template_is_nobodys_fault_and_passes() {
        let source = std::io::Error::from(std::io::ErrorKind::WouldBlock);
        let error = RequestError::Prompt {
            param: "messages",
            source: PromptError::Text(TextError::TemplateThread { source }),
        };
        let response = OpenAiError::from(error).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
