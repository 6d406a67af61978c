//! What the one who verifies demands, and what it knows.

use credence_base::{ModelId, Nonce, PublicKey};
use credence_claim::MethodId;
use credence_log::LogPolicy;
use credence_receipt::Bundle;

/// What a receipt must meet to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The methods that must each find the claim right. The signature is checked whether `signed` stands here or not.
    pub required: Vec<MethodId>,
    /// The operators whose receipts are accepted; `None` accepts any key, and the assurance then says so.
    pub operators: Option<Vec<PublicKey>>,
    /// The models whose answers are accepted; `None` accepts any, and the assurance then says so.
    pub models: Option<Vec<ModelId>>,
    /// How long ago the operator may have signed, in seconds; `None` accepts any age.
    pub age_max_s: Option<u64>,
    /// How far the operator's clock may be ahead of the verifier's, in seconds.
    pub skew_max_s: u64,
    /// The nonce that the claim must hold; `None` asks for none.
    pub nonce: Option<Nonce>,
    /// Whose word is taken that a commitment is to a model's weights; `None` takes anyone's, and the assurance then says so.
    pub vouchers: Option<Vec<PublicKey>>,
    /// The bits by which the chance of a wrong output is bounded at least, by every required method that gives a bound and by one at least; `None` asks for no bound.
    pub bits_min: Option<u32>,
    /// The logs that are believed; `None` looks at no log proof, and the assurance then says so.
    pub log: Option<LogDemand>,
}

/// What is asked of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDemand {
    /// Which logs, which witnesses, and how old a checkpoint may be.
    pub policy: LogPolicy,
    /// Whether a receipt without a log proof is refused. A proof that is there must hold in any case.
    pub required: bool,
}

impl Policy {
    /// Signed and re-executed; any operator, model and age; clocks two minutes apart.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            required: vec![MethodId::REPLAY],
            ..Self::signature_only()
        }
    }

    /// Signed, by anyone, at any time; clocks two minutes apart. Shows nothing about the answer.
    #[must_use]
    pub const fn signature_only() -> Self {
        Self {
            required: Vec::new(),
            operators: None,
            models: None,
            age_max_s: None,
            skew_max_s: 120,
            nonce: None,
            vouchers: None,
            bits_min: None,
            log: None,
        }
    }
}

/// What the one who verifies knows and the bundle cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The time, in seconds since 1970-01-01 UTC.
    pub now_unix_s: u64,
    /// Statements about operators' keys, each a bundle with its own log proof, in any order. One that cannot be read is an
    /// error: passing over it might pass over a revocation.
    pub key_statements: Vec<Bundle>,
}

impl Facts {
    /// The time alone: nothing is known of any key.
    #[must_use]
    pub const fn at(now_unix_s: u64) -> Self {
        Self {
            now_unix_s,
            key_statements: Vec::new(),
        }
    }
}
