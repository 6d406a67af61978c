//! How a dispute ends: who lost, and why.
//!
//! A verdict names the head of the dispute's chain, so it belongs to one transcript, from which anyone finds it again. It deliberately judges one dispute: an operator that
//! wins one is not thereby right, and a challenger that loses one may have been clumsy.

use credence_base::Digest;
use credence_base::wire::{Reader, WireError, Writer};

use crate::terms::{Party, Terms, TermsError};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $word:literal;)+) => {
        /// Why a dispute ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The reason of that word.
            #[must_use]
            pub fn from_name(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
            }

            const fn code(self) -> u8 {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

reasons! {
    /// The party said nothing in time.
    Timeout = 1, "timeout";
    /// The party gave up.
    Conceded = 2, "conceded";
    /// The party signed bytes that are not the message that was due.
    Malformed = 3, "malformed";
    /// The operator's contents or salts are not those that the claim commits to.
    Openings = 4, "openings";
    /// The claim contradicts itself, or its contents have no sense.
    Contradiction = 5, "contradiction";
    /// The operator's sections do not lead to the claim's trace.
    Sections = 6, "sections";
    /// The operator's values or bytes do not lead to the node above them.
    Values = 7, "values";
    /// The operator did not show exactly what the check reads.
    NotShown = 8, "not-shown";
    /// A cell is not what its relation gives.
    WrongCell = 9, "wrong-cell";
    /// A byte that belongs to no cell is not 0.
    Filler = 10, "filler";
    /// A token is not the one that is drawn.
    WrongToken = 11, "wrong-token";
    /// The operator's sums of weights are not those of the logits.
    WrongSums = 12, "wrong-sums";
    /// A value of the output is not the one that its cell shows.
    WrongOutput = 13, "wrong-output";
    /// The challenger named what is not there, or what may not be named.
    OutOfPlace = 14, "out-of-place";
    /// What the challenger named is right.
    Unfounded = 15, "unfounded";
    /// The relation takes more work than a referee does: nobody lost.
    TooMuchWork = 16, "too-much-work";
}

/// Why bytes are no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerdictError {
    /// Other bytes.
    #[error("the bytes are not a verdict")]
    Wire(#[from] WireError),
    /// Terms that are none.
    #[error("the verdict's terms are refused")]
    Terms(#[from] TermsError),
    /// A reason for which this party cannot lose.
    #[error("nobody loses so: the reason does not fit who lost")]
    Loser,
}

/// The end of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Of which dispute.
    pub terms: Terms,
    /// The head of its chain: of one transcript.
    pub transcript: Digest,
    /// Who lost; nobody if it is undecided.
    pub loser: Option<Party>,
    /// Why.
    pub reason: Reason,
}

impl Verdict {
    /// Who may lose for a reason.
    const fn fits(loser: Option<Party>, reason: Reason) -> bool {
        match reason {
            Reason::Timeout | Reason::Conceded | Reason::Malformed => loser.is_some(),
            Reason::Openings
            | Reason::Contradiction
            | Reason::Sections
            | Reason::Values
            | Reason::NotShown
            | Reason::WrongCell
            | Reason::Filler
            | Reason::WrongToken
            | Reason::WrongSums
            | Reason::WrongOutput => matches!(loser, Some(Party::Operator)),
            Reason::OutOfPlace | Reason::Unfounded => matches!(loser, Some(Party::Challenger)),
            Reason::TooMuchWork => loser.is_none(),
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(&self.terms.encode()).digest(&self.transcript);
        writer.u8(self.loser.map_or(0, Party::code));
        writer.u8(self.reason.code());
        writer.finish()
    }

    /// Reads the canonical bytes. What they say is shown by the transcript alone.
    ///
    /// # Errors
    /// [`VerdictError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, VerdictError> {
        let mut reader = Reader::new(bytes);
        let terms = Terms::read(&mut reader)?;
        let transcript = reader.digest()?;
        let loser = match reader.u8()? {
            0 => None,
            got => Some(Party::from_code(got).ok_or(WireError::Tag { got })?),
        };
        let got = reader.u8()?;
        let reason = Reason::ALL.iter().find(|reason| reason.code() == got);
        let reason = *reason.ok_or(WireError::Tag { got })?;
        reader.finish()?;
        if !Self::fits(loser, reason) {
            return Err(VerdictError::Loser);
        }
        Ok(Self {
            terms,
            transcript,
            loser,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_base::{ClaimDigest, SigningKey};

    fn verdict(loser: Option<Party>, reason: Reason) -> Verdict {
        Verdict {
            terms: Terms {
                claim: ClaimDigest::from_bytes([1; 32]),
                operator: SigningKey::from_seed(&[2; 32]).public_key(),
                challenger: SigningKey::from_seed(&[3; 32]).public_key(),
                started_unix_s: 4,
                turn_s: 5,
            },
            transcript: Digest::from_bytes([6; 32]),
            loser,
            reason,
        }
    }

    #[test]
    fn verdicts_have_one_form_and_reasons_fit_their_losers() {
        let losers = [None, Some(Party::Operator), Some(Party::Challenger)];
        let mut fitting = 0;
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
            for loser in losers {
                let verdict = verdict(loser, reason);
                let read = Verdict::decode(&verdict.encode());
                if Verdict::fits(loser, reason) {
                    fitting += 1;
                    assert_eq!(read, Ok(verdict));
                } else {
                    assert_eq!(read, Err(VerdictError::Loser));
                }
            }
        }
        assert_eq!(fitting, 19);
    }

    #[test]
    fn edited_bytes_are_refused_or_another_verdict() {
        let own = verdict(Some(Party::Operator), Reason::WrongCell);
        let bytes = own.encode();
        assert_eq!(bytes.len(), Terms::LEN + 34);
        assert_eq!(hex::encode(&bytes[bytes.len() - 2..]), "0109");
        for at in 0..bytes.len() {
            assert!(Verdict::decode(&bytes[..at]).is_err());
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                if let Ok(read) = Verdict::decode(&other) {
                    assert_ne!(read, own);
                    assert_eq!(read.encode(), other);
                }
            }
        }
        assert!(Verdict::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn terms_that_are_refused() {
        let terms = verdict(None, Reason::TooMuchWork).terms;
        assert_eq!(Terms::decode(&terms.encode()), Ok(terms));
        let same = Terms {
            challenger: terms.operator,
            ..terms
        };
        assert_eq!(Terms::decode(&same.encode()), Err(TermsError::SameKey));
        for turn_s in [0, crate::terms::TURN_S_MAX + 1] {
            let wrong = Terms { turn_s, ..terms };
            let error = Err(TermsError::Turn { got: turn_s });
            assert_eq!(Terms::decode(&wrong.encode()), error);
        }
    }
}
