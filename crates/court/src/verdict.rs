//! A verdict that travels: the referee's signed statement, and as its evidence all that it takes to reach the verdict again.
//!
//! ```text
//! Bundle{receipt: kind `verdict`, evidence: `dispute`, version 1: Dossier}
//! Dossier = u8 version (1) ‖ u32 n ‖ the operator's receipt ‖ u32 m ‖ the model's card ‖ u32 k ‖ transcript
//! confirm: signature ─▶ the operator signed the claim ─▶ the card is of the claim's model ─▶ the referee over the transcript ─▶ the very verdict stated
//! ```
//!
//! Whoever confirms needs nothing but the bundle, and trusts the referee with nothing but the times. It deliberately does not ask who the referee is: whether it was one
//! that both parties had agreed on is for the reader to know.

use core::fmt;

use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{Digest, ModelId, Name, NameError, PublicKey, ReceiptDigest};
use credence_claim::{Evidence, MethodId, Openings};
use credence_dispute::{Party, Reason, RefereeError, Transcript, TranscriptError, Verdict};
use credence_method_spot::{Card, CardError};
use credence_receipt::{
    Bundle, BundleError, ENVELOPE_LEN_MAX, Envelope, EnvelopeError, Loser, OpenError, Statement,
    VerdictStatement,
};

use crate::filing::{CARD_BYTES_MAX, FilingError, claim_of};

/// The version of a dossier.
pub const DOSSIER_VERSION: u8 = 1;

/// All that a verdict follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dossier {
    /// The operator's receipt, which makes the claim.
    pub receipt: Envelope,
    /// The model's card, without its text.
    pub card: Vec<u8>,
    /// The dispute.
    pub transcript: Transcript,
}

/// Why bytes are no dossier.
#[derive(Debug, thiserror::Error)]
pub enum DossierError {
    /// Other bytes.
    #[error("the bytes are not the dossier of a dispute")]
    Wire(#[from] WireError),
    /// Another version.
    #[error("expected version {DOSSIER_VERSION} of a dossier, got {got}")]
    Version {
        /// Found.
        got: u8,
    },
    /// The receipt is none.
    #[error("the receipt in the dossier is none")]
    Envelope(#[from] EnvelopeError),
    /// The transcript is none.
    #[error("the transcript in the dossier is none")]
    Transcript(#[from] TranscriptError),
}

impl Dossier {
    /// The canonical bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for more than can be written.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.u8(DOSSIER_VERSION).bytes(&self.receipt.encode())?;
        writer
            .bytes(&self.card)?
            .bytes(&self.transcript.encode()?)?;
        Ok(writer.finish())
    }

    /// Reads the canonical bytes.
    ///
    /// # Errors
    /// [`DossierError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DossierError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            DOSSIER_VERSION => {}
            got => return Err(DossierError::Version { got }),
        }
        let receipt = Envelope::decode(reader.bytes(ENVELOPE_LEN_MAX)?, ENVELOPE_LEN_MAX)?;
        let card = reader.bytes(CARD_BYTES_MAX)?.to_vec();
        let transcript = Transcript::decode(reader.bytes(reader.remaining())?)?;
        reader.finish()?;
        Ok(Self {
            receipt,
            card,
            transcript,
        })
    }

    /// The bundle of a verdict with this evidence.
    ///
    /// # Errors
    /// [`BundleError`], [`WireError`] in it, for what cannot be written.
    pub fn bundle(&self, verdict: Envelope) -> Result<Bundle, crate::CourtError> {
        let evidence = Evidence {
            method: MethodId::DISPUTE,
            version: u32::from(DOSSIER_VERSION),
            bytes: self.encode()?,
        };
        Ok(bare(verdict, vec![evidence])?)
    }
}

/// A verdict without what it follows from: who lost is no secret.
pub(crate) fn bare(verdict: Envelope, evidence: Vec<Evidence>) -> Result<Bundle, BundleError> {
    Bundle::new(verdict, Openings::default(), evidence)
}

/// A verdict as its referee states it.
///
/// # Errors
/// [`NameError`], which no reason gives.
pub fn statement(
    verdict: &Verdict,
    referee: PublicKey,
    time_unix_s: u64,
) -> Result<VerdictStatement, NameError> {
    let terms = &verdict.terms;
    Ok(VerdictStatement {
        operator: referee,
        claim: terms.claim,
        accused: terms.operator,
        challenger: terms.challenger,
        started_unix_s: terms.started_unix_s,
        turn_s: terms.turn_s,
        transcript: verdict.transcript,
        loser: match verdict.loser {
            Some(Party::Operator) => Loser::Operator,
            Some(Party::Challenger) => Loser::Challenger,
            None => Loser::Nobody,
        },
        reason: Name::new(verdict.reason.as_str())?,
        time_unix_s,
    })
}

/// A verdict that was reached again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownVerdict {
    /// The verdict's own receipt.
    pub digest: ReceiptDigest,
    /// The referee's statement.
    pub statement: VerdictStatement,
    /// The verdict.
    pub verdict: Verdict,
    /// The receipt that was disputed.
    pub disputed: ReceiptDigest,
    /// Its model.
    pub model: ModelId,
    /// Entries of the transcript, and bytes of their messages.
    pub messages: (usize, usize),
}

impl ShownVerdict {
    /// Whether it shows that the claim is false, as opposed to who lost this dispute.
    #[must_use]
    pub const fn is_proof(&self) -> bool {
        match self.verdict.reason {
            Reason::Openings
            | Reason::Contradiction
            | Reason::Sections
            | Reason::Values
            | Reason::NotShown
            | Reason::WrongCell
            | Reason::Filler
            | Reason::WrongToken
            | Reason::WrongSums
            | Reason::WrongOutput => true,
            Reason::Timeout
            | Reason::Conceded
            | Reason::Malformed
            | Reason::OutOfPlace
            | Reason::Unfounded
            | Reason::TooMuchWork => false,
        }
    }
}

/// Why a verdict is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum VerdictRefusal {
    /// The bundle's receipt is not signed, or cannot be read.
    #[error("the verdict's receipt is refused")]
    Open(#[from] OpenError),
    /// It is of another kind.
    #[error("the bundle's receipt is no verdict")]
    Kind,
    /// The bundle has no dossier.
    #[error(
        "the bundle has the verdict alone, without the dispute: a party gets the whole one from the referee"
    )]
    NoDossier,
    /// The dossier is none.
    #[error("the dispute in the bundle is refused")]
    Dossier(#[from] DossierError),
    /// The operator did not make the claim.
    #[error("the operator's receipt in the bundle does not make the disputed claim")]
    Filing(#[from] FilingError),
    /// The card is not the model's.
    #[error("the model's card in the bundle is refused")]
    Card(#[from] CardError),
    /// The card has the model's text.
    #[error("the model's card in the bundle holds its text: disputes go by the card without it")]
    Text,
    /// There can be no such dispute.
    #[error("there can be no such dispute")]
    Referee(#[from] RefereeError),
    /// The transcript shows no verdict.
    #[error("the transcript leads to no verdict")]
    Transcript(#[from] TranscriptError),
    /// The transcript leads to another verdict.
    #[error("the referee's word is false: it states {stated}, the transcript leads to {reached}")]
    Otherwise {
        /// What the referee signed.
        stated: Box<Ending>,
        /// What follows.
        reached: Box<Ending>,
    },
    /// A reason that is none.
    #[error("the verdict's reason is no name")]
    Reason(#[from] NameError),
}

/// Who lost, why, and by which transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    loser: &'static str,
    reason: Name,
    transcript: Digest,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (loser, reason, transcript) = (self.loser, self.reason.as_str(), self.transcript);
        write!(f, "`{loser}` lost for `{reason}` at head {transcript}")
    }
}

fn ending(statement: &VerdictStatement) -> Box<Ending> {
    Box::new(Ending {
        loser: statement.loser.as_str(),
        reason: statement.reason.clone(),
        transcript: statement.transcript,
    })
}

/// The dossier in a bundle.
pub(crate) fn dossier_of(bundle: &Bundle) -> Result<Dossier, VerdictRefusal> {
    let is_dossier = |evidence: &&Evidence| {
        evidence.method == MethodId::DISPUTE && evidence.version == u32::from(DOSSIER_VERSION)
    };
    let evidence = bundle.evidence().iter().find(is_dossier);
    let evidence = evidence.ok_or(VerdictRefusal::NoDossier)?;
    Ok(Dossier::decode(&evidence.bytes)?)
}

/// Reaches a verdict again.
///
/// # Errors
/// [`VerdictRefusal`], the first reason met.
pub fn confirm(bundle: &Bundle) -> Result<ShownVerdict, VerdictRefusal> {
    let Statement::Verdict(stated) = bundle.receipt().open()?.into_statement() else {
        return Err(VerdictRefusal::Kind);
    };
    let dossier = dossier_of(bundle)?;
    let claim = claim_of(&dossier.receipt, &dossier.transcript.terms)?;
    let model = claim.fields().model;
    let card = Card::decode(model, &dossier.card)?;
    if card.text().is_some() {
        return Err(VerdictRefusal::Text);
    }
    let verdict = dossier.transcript.check(&card, &claim)?;
    let reached = statement(&verdict, stated.operator, stated.time_unix_s)?;
    if reached != stated {
        return Err(VerdictRefusal::Otherwise {
            stated: ending(&stated),
            reached: ending(&reached),
        });
    }
    let entries = &dossier.transcript.entries;
    let bytes = entries.iter().filter_map(|entry| entry.message.as_ref());
    Ok(ShownVerdict {
        digest: bundle.receipt().digest(),
        statement: stated,
        verdict,
        disputed: dossier.receipt.digest(),
        model,
        messages: (entries.len(), bytes.map(Vec::len).sum()),
    })
}
