//! What a challenger hands to a referee to begin a dispute.
//!
//! ```text
//! u8 version (1) ‖ terms ‖ u32 n ‖ the operator's receipt ‖ salt and root of the input (32 each) ‖ u32 m ‖ the model's card, empty if the referee has it ‖ signature (64)
//! signed by the challenger: the domain string `DISPUTE_FILING` ‖ the referee's key ‖ terms ‖ receipt digest ‖ salt ‖ root
//! ```
//!
//! The signature keeps strangers from beginning disputes in a challenger's name, which it would lose by silence. The dispute's id is a hash of its terms, so a
//! filing that is sent again begins nothing new. Salt and root open the claim's commitment to the input without the input: whoever has them has the bundle, and is entitled
//! to what a dispute opens. A receipt alone is public, and entitles to nothing. It deliberately shows no content: what was asked and answered is for the operator to open.

use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{Digest, PublicKey, Salt, Signature, SigningKey, domain};
use credence_claim::{Claim, commitment};
use credence_dispute::{Terms, TermsError};
use credence_receipt::{ENVELOPE_LEN_MAX, Envelope, EnvelopeError, OpenError, Statement};

const VERSION: u8 = 1;

/// Most bytes of a card.
pub const CARD_BYTES_MAX: usize = 8 << 20;

/// Most bytes of a filing.
pub const FILING_BYTES_MAX: usize = CARD_BYTES_MAX + ENVELOPE_LEN_MAX + 1024;

/// Why bytes are no filing, or a filing begins no dispute.
#[derive(Debug, thiserror::Error)]
pub enum FilingError {
    /// Other bytes.
    #[error("the bytes are not a filing")]
    Wire(#[from] WireError),
    /// Another version.
    #[error("expected version {VERSION} of a filing, got {got}")]
    Version {
        /// Found.
        got: u8,
    },
    /// The terms are refused.
    #[error("the terms of the dispute are refused")]
    Terms(#[from] TermsError),
    /// The receipt is none.
    #[error("the receipt in the filing is none")]
    Envelope(#[from] EnvelopeError),
    /// The receipt is not signed, or cannot be read.
    #[error("the receipt in the filing is refused")]
    Open(#[from] OpenError),
    /// The receipt is of another kind.
    #[error("the receipt in the filing is not of an inference")]
    Kind,
    /// The receipt is another operator's.
    #[error("the terms name another operator than the receipt's")]
    Operator,
    /// The receipt is of another claim.
    #[error("the terms name another claim than the receipt's")]
    Claim,
    /// The challenger does not show that it may see what was asked.
    #[error(
        "the filing does not open the claim's commitment to its input: only who has the bundle may dispute"
    )]
    Entitled,
    /// The challenger did not sign it for this referee.
    #[error("the filing is not signed by the challenger for this referee")]
    Signature,
}

/// What begins a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// The terms.
    pub terms: Terms,
    /// The operator's receipt, which makes the claim.
    pub receipt: Envelope,
    /// The salt of the claim's commitment to the input.
    pub input_salt: Salt,
    /// The root of the input.
    pub input_root: Digest,
    /// The model's card without its text; empty if the referee is known to have it.
    pub card: Vec<u8>,
    /// The challenger's.
    pub signature: Signature,
}

/// What is filed, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The terms.
    pub terms: Terms,
    /// The operator's receipt.
    pub receipt: Envelope,
    /// The salt of the claim's commitment to the input, and the root of the input.
    pub input: (Salt, Digest),
    /// The model's card without its text; empty if the referee is known to have it.
    pub card: Vec<u8>,
}

impl Filing {
    /// Signs a filing for one referee.
    #[must_use]
    pub fn sign(draft: Draft, key: &SigningKey, referee: &PublicKey) -> Self {
        let Draft {
            terms,
            receipt,
            input: (input_salt, input_root),
            card,
        } = draft;
        let mut own = Self {
            terms,
            receipt,
            input_salt,
            input_root,
            card,
            signature: Signature::from_bytes([0; 64]),
        };
        own.signature = key.sign(&own.signed(referee));
        own
    }

    /// The bytes that the challenger signs.
    fn signed(&self, referee: &PublicKey) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .raw(domain::DISPUTE_FILING.as_str().as_bytes())
            .raw(referee.as_bytes())
            .raw(&self.terms.encode())
            .raw(self.receipt.digest().as_bytes())
            .raw(self.input_salt.as_bytes())
            .digest(&self.input_root);
        writer.finish()
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`WireError`] for a card of 2^32 bytes or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.u8(VERSION).raw(&self.terms.encode());
        writer
            .bytes(&self.receipt.encode())?
            .raw(self.input_salt.as_bytes())
            .digest(&self.input_root);
        writer.bytes(&self.card)?;
        writer.raw(self.signature.as_bytes());
        Ok(writer.finish())
    }

    /// Reads the canonical bytes, at most [`FILING_BYTES_MAX`].
    ///
    /// # Errors
    /// [`FilingError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FilingError> {
        let (max, got) = (FILING_BYTES_MAX, bytes.len());
        if got > max {
            return Err(WireError::TooLong { max, got }.into());
        }
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            got => return Err(FilingError::Version { got }),
        }
        let terms = Terms::decode(reader.raw(Terms::LEN)?)?;
        let receipt = Envelope::decode(reader.bytes(ENVELOPE_LEN_MAX)?, ENVELOPE_LEN_MAX)?;
        let input_salt = Salt::from_bytes(reader.array()?);
        let input_root = reader.digest()?;
        let card = reader.bytes(CARD_BYTES_MAX)?.to_vec();
        let signature = Signature::from_bytes(reader.array()?);
        reader.finish()?;
        Ok(Self {
            terms,
            receipt,
            input_salt,
            input_root,
            card,
            signature,
        })
    }

    /// The claim, if the operator signed it, and the challenger signed the filing for this referee and may see what was asked.
    ///
    /// # Errors
    /// [`FilingError`].
    pub fn check(&self, referee: &PublicKey) -> Result<Claim, FilingError> {
        let signed = self.signed(referee);
        let verified = self.terms.challenger.verify(&signed, &self.signature);
        verified.map_err(|_| FilingError::Signature)?;
        let claim = claim_of(&self.receipt, &self.terms)?;
        let (salt, root) = (&self.input_salt, &self.input_root);
        if commitment::input_commitment(&self.terms.operator, salt, root) != claim.fields().input {
            return Err(FilingError::Entitled);
        }
        Ok(claim)
    }
}

/// The claim of a receipt, if it is the one that the terms name.
///
/// # Errors
/// [`FilingError`].
pub(crate) fn claim_of(receipt: &Envelope, terms: &Terms) -> Result<Claim, FilingError> {
    let Statement::Inference(inference) = receipt.open()?.into_statement() else {
        return Err(FilingError::Kind);
    };
    if inference.operator != terms.operator {
        return Err(FilingError::Operator);
    }
    if inference.claim.digest() != terms.claim {
        return Err(FilingError::Claim);
    }
    Ok(inference.claim)
}
