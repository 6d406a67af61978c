//! Bundles by digest: the public part for everyone, the whole for whoever shows the key.

use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use credence_base::ReceiptDigest;
use credence_receipt::BUNDLE_MEDIA_TYPE;
use serde::Deserialize;

use crate::http::error::ApiError;
use crate::http::router::App;
use crate::http::{BUNDLE_HEADER, RECEIPT_HEADER};
use crate::service::ReceiptError;
use credence_receipt::{Kept, ReceiptKey};

/// What may follow the digest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) key: Option<String>,
}

pub(crate) async fn receipt(
    State(app): State<App>,
    Path(text): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let digest: ReceiptDigest = text.parse().map_err(|e| {
        ApiError::bad_request(format!("`{text}` is not the digest of a receipt: {e}"))
    })?;
    let key = asked.key.map(|key| key.parse::<ReceiptKey>()).transpose();
    let key =
        key.map_err(|e| ApiError::bad_request(format!("`key` is not the key of a receipt: {e}")))?;
    // The semaphore is never closed; a request that waits too long is ended as any other.
    let permit = app.reading.acquire_owned().await.ok();
    let service = app.service;
    let run = move || {
        let _permit = permit;
        service.receipt(digest, key)
    };
    let read = tokio::task::spawn_blocking(run).await;
    let found = match read {
        Ok(Ok(found)) => found,
        Ok(Err(ReceiptError::Key)) => {
            return Err(ApiError::forbidden(ReceiptError::Key.to_string()));
        }
        Ok(Err(error)) => return Err(ApiError::internal("the receipt cannot be read", &error)),
        Err(error) => return Err(ApiError::internal("the receipt cannot be read", &error)),
    };
    let bundle =
        found.ok_or_else(|| ApiError::not_found(format!("no receipt `{digest}` is kept here")))?;
    // With the key it shows what one client asked, and its proof grows newer: shared caches may not keep it.
    let headers = [
        (CONTENT_TYPE, BUNDLE_MEDIA_TYPE),
        (CACHE_CONTROL, "private"),
    ];
    Ok((headers, bundle).into_response())
}

/// Says in an answer's headers which receipt it has, and where its client gets the bundle.
pub(crate) fn name_receipt(response: &mut Response, kept: &Kept) {
    let named = [
        (RECEIPT_HEADER, kept.digest.to_string()),
        (BUNDLE_HEADER, kept.path()),
    ];
    for (name, value) in named {
        // Hexadecimal digits and a path are a header's value; if they were not, the answer would lack it rather than fail.
        if let Ok(value) = HeaderValue::from_str(&value) {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, value);
        }
    }
}
