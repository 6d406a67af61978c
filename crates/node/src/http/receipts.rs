//! Bundles by digest.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use credence_base::ReceiptDigest;
use credence_receipt::BUNDLE_MEDIA_TYPE;

use crate::http::error::ApiError;
use crate::http::router::App;

pub(crate) async fn receipt(
    State(app): State<App>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let digest: ReceiptDigest = text.parse().map_err(|e| {
        ApiError::bad_request(format!("`{text}` is not the digest of a receipt: {e}"))
    })?;
    let service = app.service;
    let read = tokio::task::spawn_blocking(move || service.receipt(digest)).await;
    let found = match read {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(ApiError::internal("the receipt cannot be read", &error)),
        Err(error) => return Err(ApiError::internal("the receipt cannot be read", &error)),
    };
    let bundle =
        found.ok_or_else(|| ApiError::not_found(format!("no receipt `{digest}` is kept here")))?;
    // It shows what one client asked: shared caches may not keep it.
    let headers = [
        (CONTENT_TYPE, BUNDLE_MEDIA_TYPE),
        (CACHE_CONTROL, "private"),
    ];
    Ok((headers, bundle.to_vec()).into_response())
}
