//! The client's nonce, from the request's headers.

use axum::http::HeaderMap;
use credence_base::Nonce;

use crate::http::NONCE_HEADER;

/// The header is there and holds no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header `{NONCE_HEADER}` must hold 64 lower-case hexadecimal digits, once")]
pub(crate) struct BadNonce;

pub(crate) fn read_nonce(headers: &HeaderMap) -> Result<Option<Nonce>, BadNonce> {
    let mut values = headers.get_all(NONCE_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digits = value.to_str().ok().and_then(|text| text.parse().ok());
    match (digits, values.next()) {
        (Some(nonce), None) => Ok(Some(nonce)),
        (None, _) | (_, Some(_)) => Err(BadNonce),
    }
}
