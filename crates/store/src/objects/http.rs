//! HTTP for the object store's client, over the blocking client that this repository has already.
//!
//! Each request runs on the runtime's pool of blocking threads, whose size is then the number of requests at once. A
//! status is never an error here: the client above reads it, and decides about retries.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use std::time::Duration;
use ureq::Agent;

/// The longest answer that is read, in bytes. The longest object of ours is a few megabytes.
pub(super) const ANSWER_LEN_MAX: u64 = 64 * 1024 * 1024;
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the client.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        Ok(HttpClient::new(Service(config.into())))
    }
}

#[derive(Debug, Clone)]
struct Service(Agent);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.0.clone();
        let answered = tokio::task::spawn_blocking(move || call(&agent, parts, &body)).await;
        answered.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?
    }
}

fn call(
    agent: &Agent,
    parts: http::request::Parts,
    body: &Bytes,
) -> Result<HttpResponse, HttpError> {
    let takes_body = parts.method == http::Method::PUT || parts.method == http::Method::POST;
    let answer = if takes_body {
        agent.run(http::Request::from_parts(parts, body.as_ref()))
    } else {
        agent.run(http::Request::from_parts(parts, ()))
    };
    let (parts, body) = answer.map_err(sort)?.into_parts();
    let bytes = body
        .into_with_config()
        .limit(ANSWER_LEN_MAX)
        .read_to_vec()
        .map_err(sort)?;
    Ok(HttpResponse::from_parts(parts, Bytes::from(bytes).into()))
}

fn sort(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            HttpErrorKind::Connect
        }
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        ureq::Error::BodyExceedsLimit(_) => HttpErrorKind::Decode,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
