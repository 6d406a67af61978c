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

    /// Evidence, unchecked, in ascending order of method and version.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
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
