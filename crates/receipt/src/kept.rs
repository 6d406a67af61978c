//! What a client holds of a receipt that is kept here: its digest, which anyone may see in a log, and the key that opens it, which no one else has.
//!
//! A signed receipt and its place in the log are public: they hold commitments and digests. What was asked and answered stands behind them, and goes to
//! whoever shows the key. The key follows from a salt of the claim, so nothing has to be remembered for it, and whoever has the bundle has the key.

use core::fmt;
use core::str::FromStr;

use crate::bundle::Bundle;
use credence_base::{Digest, HexError, ReceiptDigest, domain};
use credence_commit::tree;

/// What opens a kept receipt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceiptKey(Digest);

impl ReceiptKey {
    /// The key of a bundle's receipt, if the salt from which it follows is there.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Option<Self> {
        let salt = bundle.openings().trace.as_ref()?;
        let digest = bundle.receipt().digest();
        let parts = [digest.as_bytes().as_slice(), salt.as_bytes()];
        Some(Self(tree::root_parts(domain::RECEIPT_KEY, parts)))
    }
}

impl fmt::Display for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiptKey(hidden)")
    }
}

impl FromStr for ReceiptKey {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A receipt that is kept, as its client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The digest that names it.
    pub digest: ReceiptDigest,
    /// What opens it, if it has anything to open.
    pub key: Option<ReceiptKey>,
}

impl Kept {
    /// The receipt in a bundle.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        Self {
            digest: bundle.receipt().digest(),
            key: ReceiptKey::of(bundle),
        }
    }

    /// Where its client gets the bundle.
    #[must_use]
    pub fn path(&self) -> String {
        match self.key {
            Some(key) => format!("/v1/receipts/{}?key={key}", self.digest),
            None => format!("/v1/receipts/{}", self.digest),
        }
    }
}
