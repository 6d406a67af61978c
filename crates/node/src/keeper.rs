//! The operator's key, the place for receipts and the log, and what needs them.

use std::sync::Arc;
use std::time::{SystemTime, SystemTimeError};

use credence_base::ReceiptDigest;
use credence_base::json::JsonError;
use credence_method_spot::Demand;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::{Receipts, StoreError};

use crate::inference::Operator;
use crate::logging::{Logging, LoggingError, Wait};
use crate::speech::issue::{Begun, CloseError, Outcome, close};
use crate::spot::{SpotError, Spots};
use credence_receipt::Kept;

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
    /// Nobody could read it.
    #[error("the bundle has {got} bytes, more than the {BUNDLE_LEN_MAX} that readers take")]
    Length {
        /// Its bytes.
        got: usize,
    },
    /// It could not be opened for a spot check.
    #[error("the evidence of a spot check cannot be made")]
    Spot(#[from] SpotError),
    /// It could not be logged.
    #[error("the receipt cannot be logged")]
    Log(#[from] LoggingError),
}

/// Who signs, and where receipts go.
pub struct Keeper {
    pub(crate) operator: Operator,
    pub(crate) receipts: Box<dyn Receipts>,
    pub(crate) logging: Option<Logging>,
    pub(crate) spots: Arc<Spots>,
    /// Whether each receipt gets evidence of a spot check, and how sure that is to be.
    pub(crate) attached: Option<Demand>,
}

impl Keeper {
    /// Signs what came of an answer, and keeps the receipt: on return it is as durable as the place for receipts says. The client may be told once it was
    /// waited for, if there is something to wait for.
    ///
    /// # Errors
    /// [`KeepError`]; no client may then be told that the answer has ended.
    pub(crate) fn close(
        &self,
        begun: Begun,
        outcome: &Outcome,
    ) -> Result<(Kept, Option<Wait>), KeepError> {
        let closed = close(&self.operator, begun, outcome, now_unix_s()?)?;
        let wait = self.keep(closed.receipt, &closed.bundle)?;
        Ok((Kept::of(&closed.bundle), wait))
    }

    /// Keeps a bundle that is no answer's, and sends it to the log, if there is one.
    pub(crate) fn keep_as_it_is(
        &self,
        digest: ReceiptDigest,
        bundle: &Bundle,
    ) -> Result<(), KeepError> {
        self.receipts.put(digest, &bundle.encode()?)?;
        if let Some(logging) = &self.logging {
            logging.send(digest)?;
        }
        Ok(())
    }

    /// Keeps a receipt and sends it to the log, if there is one.
    pub(crate) fn keep(
        &self,
        digest: ReceiptDigest,
        bundle: &Bundle,
    ) -> Result<Option<Wait>, KeepError> {
        let bytes = match self.attached {
            Some(demand) => self.spots.attach(bundle, demand)?.encode()?,
            None => bundle.encode()?,
        };
        if bytes.len() > BUNDLE_LEN_MAX {
            return Err(KeepError::Length { got: bytes.len() });
        }
        self.receipts.put(digest, &bytes)?;
        match &self.logging {
            Some(logging) => Ok(logging.append(digest)?),
            None => Ok(None),
        }
    }
}

/// Seconds since 1970-01-01 UTC.
pub(crate) fn now_unix_s() -> Result<u64, SystemTimeError> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs())
}
