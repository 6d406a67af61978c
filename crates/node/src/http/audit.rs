//! Spot checks for auditors: a challenge comes, opened cells go.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use credence_base::{Digest, ReceiptDigest};
use credence_method_spot::{CELLS_MAX, Challenge};
use credence_prove_spot::Carry;
use serde::Deserialize;

use crate::http::error::ApiError;
use crate::http::receipts::Asked;
use crate::http::router::App;
use crate::service::ReceiptError;
use crate::spot::{SpotAsked, SpotError};
use credence_receipt::ReceiptKey;

/// The longest body of an audit, in bytes.
pub(crate) const BODY_LEN_MAX: usize = 128 * 1024;

/// What an auditor sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditBody {
    /// 32 random bytes in hexadecimal, drawn after the receipt was there.
    challenge: Option<String>,
    /// In place of them the lines of the witnesses' cosignatures of a checkpoint that covers the receipt.
    cosignatures: Option<String>,
    cells: u32,
    #[serde(default = "one")]
    rows: u32,
    /// What of the model travels along: `nothing`, `program`, or `text` for the program with tokeniser and template.
    #[serde(default)]
    card: CardAsked,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CardAsked {
    #[default]
    Nothing,
    Program,
    Text,
}

/// Most tokens that one audit draws again: each opens a row of logits.
const ROWS_MAX: u32 = 16;
/// The media type of evidence.
const EVIDENCE_MEDIA_TYPE: &str = "application/vnd.credence.spot.v1";

pub(crate) async fn audit(
    State(app): State<App>,
    Path(text): Path<String>,
    Query(asked): Query<Asked>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let digest: ReceiptDigest = text.parse().map_err(|e| {
        ApiError::bad_request(format!("`{text}` is not the digest of a receipt: {e}"))
    })?;
    let key = asked.key.ok_or_else(|| {
        ApiError::forbidden("what is opened shows what was asked: `key` is needed")
    })?;
    let key: ReceiptKey = key
        .parse()
        .map_err(|e| ApiError::bad_request(format!("`key` is not the key of a receipt: {e}")))?;
    let body = body
        .map_err(|_| ApiError::bad_request(format!("the body has at most {BODY_LEN_MAX} bytes")))?;
    let body: AuditBody =
        serde_json::from_slice(&body).map_err(|e| ApiError::bad_request_because(&e))?;
    let asked = read_audit(&body, digest)?;
    let permit = app.reading.acquire_owned().await.ok();
    let service = app.service;
    let run = move || {
        let _permit = permit;
        service.spot_check(digest, key, &asked)
    };
    let found = match tokio::task::spawn_blocking(run).await {
        Ok(Ok(found)) => found,
        Ok(Err(ReceiptError::Key)) => {
            return Err(ApiError::forbidden(ReceiptError::Key.to_string()));
        }
        Ok(Err(ReceiptError::Spot(SpotError::Busy))) => {
            return Err(ApiError::again(SpotError::Busy.to_string()));
        }
        Ok(Err(error)) => return Err(ApiError::internal("the run cannot be opened", &error)),
        Err(error) => return Err(ApiError::internal("the run cannot be opened", &error)),
    };
    let evidence =
        found.ok_or_else(|| ApiError::not_found(format!("no receipt `{digest}` is kept here")))?;
    let headers = [
        (CONTENT_TYPE, EVIDENCE_MEDIA_TYPE),
        (CACHE_CONTROL, "private"),
    ];
    Ok((headers, evidence).into_response())
}

fn read_challenge(body: &AuditBody, digest: ReceiptDigest) -> Result<Challenge, ApiError> {
    match (&body.challenge, &body.cosignatures) {
        (Some(challenge), None) => {
            let bad =
                |e| ApiError::bad_request(format!("`challenge` is 64 hexadecimal digits: {e}"));
            let random: Digest = challenge.parse().map_err(bad)?;
            Ok(Challenge::Auditor(*random.as_bytes()))
        }
        (None, Some(cosignatures)) => Ok(Challenge::Checkpoint {
            receipt: Digest::from_bytes(*digest.as_bytes()),
            cosignatures: cosignatures.clone().into_bytes(),
        }),
        (Some(_), Some(_)) | (None, None) => Err(ApiError::bad_request(
            "an audit gives `challenge` or `cosignatures`, one of them",
        )),
    }
}

fn read_audit(body: &AuditBody, digest: ReceiptDigest) -> Result<SpotAsked, ApiError> {
    let challenge = read_challenge(body, digest)?;
    let (cells, rows) = (body.cells, body.rows);
    let ranges = [("cells", cells, CELLS_MAX), ("rows", rows, ROWS_MAX)];
    for (name, got, max) in ranges {
        if !(1..=max).contains(&got) {
            return Err(ApiError::bad_request(format!(
                "`{name}` is 1 to {max}, got {got}"
            )));
        }
    }
    Ok(SpotAsked {
        challenge,
        cells,
        rows,
        carry: match body.card {
            CardAsked::Nothing => Carry::Nothing,
            CardAsked::Program => Carry::Program,
            CardAsked::Text => Carry::ProgramAndText,
        },
    })
}
