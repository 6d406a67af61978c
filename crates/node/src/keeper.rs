//! The operator's key and the place for receipts, and what needs both.

use std::time::{SystemTime, SystemTimeError};

use credence_base::ReceiptDigest;
use credence_base::json::JsonError;
use credence_store::{Receipts, StoreError};

use crate::inference::Operator;
use crate::speech::issue::{Begun, CloseError, Outcome, close};

/// Why a finished answer has no receipt.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It cannot be made.
    #[error("the receipt cannot be made")]
    Close(#[from] CloseError),
    /// The clock says that it is before 1970.
    #[error("the system's clock is set before 1970")]
    Clock(#[from] SystemTimeError),
    /// The bundle has no JSON form.
    #[error("the bundle cannot be written")]
    Encode(#[from] JsonError),
    /// It could not be kept.
    #[error("the receipt cannot be kept")]
    Store(#[from] StoreError),
}

/// Who signs, and where receipts go.
pub struct Keeper {
    pub(crate) operator: Operator,
    pub(crate) receipts: Box<dyn Receipts>,
}

impl Keeper {
    /// Signs what came of an answer, and keeps the receipt: on return it is as durable as the place for receipts says.
    ///
    /// # Errors
    /// [`KeepError`]; no client may then be told that the answer has ended.
    pub fn close(&self, begun: Begun, outcome: &Outcome) -> Result<ReceiptDigest, KeepError> {
        let closed = close(&self.operator, begun, outcome, now_unix_s()?)?;
        self.receipts
            .put(closed.receipt, &closed.bundle.encode()?)?;
        Ok(closed.receipt)
    }
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now_unix_s() -> Result<u64, SystemTimeError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs())
}
