//! The kinds of receipt, and the predicate type that names each.
//!
//! A predicate type is a name in the form of an address, as in-toto wants it; nothing is fetched from it. Kinds that
//! this version cannot read are known by name, so that meeting one gives a clear refusal.

use core::fmt;

/// What a receipt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An operator ran a model.
    Inference,
    /// An auditor checked a receipt.
    Audit,
    /// A referee decided a dispute.
    Verdict,
    /// Two checkpoints that cannot both be true were signed by one log.
    Equivocation,
    /// A proof system's commitment belongs to a model's weights.
    WeightsBinding,
    /// A key is rotated, expires or is revoked.
    KeyStatement,
    /// A model was made of a file.
    Imported,
}

impl Kind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Inference,
        Self::Audit,
        Self::Verdict,
        Self::Equivocation,
        Self::WeightsBinding,
        Self::KeyStatement,
        Self::Imported,
    ];

    /// The in-toto predicate type.
    #[must_use]
    pub const fn predicate_type(self) -> &'static str {
        match self {
            Self::Inference => "https://credence.network/inference/v1",
            Self::Audit => "https://credence.network/audit/v1",
            Self::Verdict => "https://credence.network/verdict/v1",
            Self::Equivocation => "https://credence.network/equivocation/v1",
            Self::WeightsBinding => "https://credence.network/weights-binding/v1",
            Self::KeyStatement => "https://credence.network/key-statement/v1",
            Self::Imported => "https://credence.network/imported/v1",
        }
    }

    /// The kind of that predicate type.
    #[must_use]
    pub fn from_predicate_type(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.predicate_type() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inference => "inference",
            Self::Audit => "audit",
            Self::Verdict => "verdict",
            Self::Equivocation => "equivocation",
            Self::WeightsBinding => "weights binding",
            Self::KeyStatement => "key statement",
            Self::Imported => "imported",
        })
    }
}
