//! The bundle: a receipt with what is needed to check it, in one file.
//!
//! The signature covers the receipt alone. Openings are checked against its commitments, and evidence must convince
//! its method; until then both are whatever someone put there. Absent parts are absent, never `null` or empty objects,
//! and evidence stands in ascending order of method and version, so a bundle has one spelling.

use credence_base::NameError;
use credence_base::json::{self, JsonError};
use credence_claim::{Evidence, Openings};

use crate::envelope::{Envelope, EnvelopeError};

mod wire;

use wire::BundleJson;

/// The media type that a bundle names itself with.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.credence.bundle.v1+json";

/// The usual limit on a bundle's length: 64 MiB.
pub const BUNDLE_LEN_MAX: usize = 64 * 1024 * 1024;

/// The longest log proof in a bundle, in bytes.
pub const LOG_LEN_MAX: usize = 144 * 1024;

/// Why bytes are not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not the canonical JSON of a bundle.
    #[error("the bundle is not the canonical JSON of a bundle")]
    Json(#[from] JsonError),
    /// Another media type.
    #[error("expected a bundle of media type `{BUNDLE_MEDIA_TYPE}`")]
    MediaType,
    /// The receipt in it is not an envelope.
    #[error("the bundle's receipt is refused")]
    Receipt(#[from] EnvelopeError),
    /// `openings` is there and opens nothing.
    #[error("the bundle has `openings` that open nothing")]
    NoOpening,
    /// Evidence names no method.
    #[error("the bundle's evidence {index} names no method")]
    Method {
        /// Its place in the list.
        index: usize,
        /// Why the name is none.
        source: NameError,
    },
    /// `log` holds nothing, or too much.
    #[error("the bundle's `log` holds {got} bytes, expected 1 to {LOG_LEN_MAX}")]
    Log {
        /// Bytes given.
        got: usize,
    },
    /// Evidence out of order, or twice for one method and version.
    #[error("the bundle's evidence {index} is not in ascending order of method and version")]
    Order {
        /// Its place in the list.
        index: usize,
    },
}

/// A receipt, what stands behind it, and evidence for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    receipt: Envelope,
    openings: Openings,
    evidence: Vec<Evidence>,
    log: Option<String>,
}

impl Bundle {
    /// Puts a bundle together. Evidence is brought into order.
    ///
    /// # Errors
    /// [`BundleError::Order`] when two pieces are for one method and version.
    pub fn new(
        receipt: Envelope,
        openings: Openings,
        mut evidence: Vec<Evidence>,
    ) -> Result<Self, BundleError> {
        evidence.sort_by(|a, b| (&a.method, a.version).cmp(&(&b.method, b.version)));
        check_order(&evidence)?;
        Ok(Self {
            receipt,
            openings,
            evidence,
            log: None,
        })
    }

    /// The same bundle with the proof that its receipt is in a log, as the text of a `tlog-proof` file. A proof that was there is
    /// dropped.
    ///
    /// # Errors
    /// [`BundleError::Log`] when the text is empty or longer than [`LOG_LEN_MAX`].
    pub fn with_log(self, log: String) -> Result<Self, BundleError> {
        check_log(&log)?;
        Ok(Self {
            log: Some(log),
            ..self
        })
    }

    /// Reads a bundle of at most `len_max` bytes; [`BUNDLE_LEN_MAX`] is usual.
    ///
    /// # Errors
    /// [`BundleError`] when the bytes are not its canonical JSON, to the last byte.
    pub fn decode(bytes: &[u8], len_max: usize) -> Result<Self, BundleError> {
        let bundle = json::from_canonical::<BundleJson>(bytes, len_max)?.read()?;
        check_order(&bundle.evidence)?;
        Ok(bundle)
    }

    /// Its canonical JSON, without a newline at the end.
    ///
    /// # Errors
    /// [`JsonError::Encode`], which no bundle gives.
    pub fn encode(&self) -> Result<Vec<u8>, JsonError> {
        json::to_canonical(&BundleJson::new(self))
    }

    /// The receipt, unchecked.
    #[must_use]
    pub const fn receipt(&self) -> &Envelope {
        &self.receipt
    }

    /// What is said to stand behind its commitments, unchecked.
    #[must_use]
    pub const fn openings(&self) -> &Openings {
        &self.openings
    }

    /// The proof that the receipt is in a log, unchecked: nothing here reads it.
    #[must_use]
    pub fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// Evidence, unchecked, in ascending order of method and version.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}

fn check_log(log: &str) -> Result<(), BundleError> {
    let got = log.len();
    if (1..=LOG_LEN_MAX).contains(&got) {
        Ok(())
    } else {
        Err(BundleError::Log { got })
    }
}

fn check_order(evidence: &[Evidence]) -> Result<(), BundleError> {
    let pairs = evidence.iter().zip(evidence.iter().skip(1)).enumerate();
    for (before, (a, b)) in pairs {
        if (&a.method, a.version) >= (&b.method, b.version) {
            return Err(BundleError::Order {
                index: before.saturating_add(1),
            });
        }
    }
    Ok(())
}
