//! What two parties dispute, and how long each may take: fixed before the first message.
//!
//! It deliberately holds no claim and no model: their digests are there, and the referee is given both.

use credence_base::key::KeyError;
use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{ClaimDigest, Digest, PublicKey, domain};

/// The version of all bytes of a dispute.
pub(crate) const VERSION: u8 = 1;

/// The longest turn, in seconds: thirty days.
pub const TURN_S_MAX: u32 = 30 * 24 * 3600;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// Who made the claim.
    Operator,
    /// Who says that it is false.
    Challenger,
}

impl Party {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Operator => 1,
            Self::Challenger => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Operator),
            2 => Some(Self::Challenger),
            _ => None,
        }
    }
}

/// Why terms are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// One key on both sides.
    #[error("operator and challenger are the same key: a dispute needs two parties")]
    SameKey,
    /// A turn of no time, or of too much.
    #[error("a turn takes 1 to {TURN_S_MAX} seconds, got {got}")]
    Turn {
        /// Given.
        got: u32,
    },
    /// Other bytes.
    #[error("the bytes are not the terms of a dispute")]
    Wire(#[from] WireError),
    /// No key.
    #[error("the terms hold bytes that are no public key")]
    Key(#[from] KeyError),
    /// Another version.
    #[error("expected version {VERSION} of a dispute, got {got}")]
    Version {
        /// Found.
        got: u8,
    },
}

/// What is disputed, by whom, since when, and how long a turn takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The claim.
    pub claim: ClaimDigest,
    /// Who made it.
    pub operator: PublicKey,
    /// Who disputes it.
    pub challenger: PublicKey,
    /// When the dispute began, in seconds since 1970-01-01 UTC, by the referee's clock.
    pub started_unix_s: u64,
    /// How long each party has for each message, in seconds.
    pub turn_s: u32,
}

impl Terms {
    /// Bytes of any terms.
    pub const LEN: usize = 1 + 32 + 32 + 32 + 8 + 4;

    pub(crate) fn check(&self) -> Result<(), TermsError> {
        if self.operator == self.challenger {
            return Err(TermsError::SameKey);
        }
        if !(1..=TURN_S_MAX).contains(&self.turn_s) {
            return Err(TermsError::Turn { got: self.turn_s });
        }
        Ok(())
    }

    /// The key of a party.
    #[must_use]
    pub const fn key(&self, party: Party) -> &PublicKey {
        match party {
            Party::Operator => &self.operator,
            Party::Challenger => &self.challenger,
        }
    }

    /// The dispute's id: the head of its chain before the first message.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::from_bytes(blake3::derive_key(domain::DISPUTE.as_str(), &self.encode()))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(VERSION).digest(&self.claim.digest());
        writer.raw(self.operator.as_bytes());
        writer.raw(self.challenger.as_bytes());
        writer.u64(self.started_unix_s).u32(self.turn_s);
        writer.finish()
    }

    /// Reads the canonical bytes and checks them.
    ///
    /// # Errors
    /// [`TermsError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TermsError> {
        let mut reader = Reader::new(bytes);
        let terms = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(terms)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, TermsError> {
        let got = reader.u8()?;
        if got != VERSION {
            return Err(TermsError::Version { got });
        }
        let terms = Self {
            claim: ClaimDigest::from_digest(reader.digest()?),
            operator: PublicKey::from_bytes(&reader.array()?)?,
            challenger: PublicKey::from_bytes(&reader.array()?)?,
            started_unix_s: reader.u64()?,
            turn_s: reader.u32()?,
        };
        terms.check()?;
        Ok(terms)
    }
}
