//! A DSSE envelope (`dsse` v1.0.2, `envelope.md` and `protocol.md`) with exactly one Ed25519 signature.
//!
//! Deviations from DSSE, all of them narrower: one signature, canonical JSON, standard base64 only, and a `keyid`
//! that is required and is the public key itself in hexadecimal. DSSE calls it a hint that nothing authenticates, and so
//! it is used here: it says which key to try, and the signed statement must then name the same key. Choosing it so lets
//! the signature be checked before anything that was signed is parsed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::json::{self, Base64, Hex32, JsonError};
use credence_base::key::{BadSignature, KeyError};
use credence_base::{PublicKey, ReceiptDigest, Signature, SigningKey, domain};
use serde::{Deserialize, Serialize};

use crate::statement::{STATEMENT_LEN_MAX, Statement, StatementError};

/// What an envelope's payload is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The longest envelope that [`Envelope::decode`] need be given: four thirds of a statement, and the rest.
pub const ENVELOPE_LEN_MAX: usize = 24 * 1024;

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the canonical JSON of an envelope.
    #[error("the receipt is not the canonical JSON of a DSSE envelope")]
    Json(#[from] JsonError),
    /// Another payload type.
    #[error("expected payload type `{PAYLOAD_TYPE}`")]
    PayloadType,
    /// The `keyid` is not a public key.
    #[error("expected an Ed25519 public key as `keyid`")]
    KeyId(#[source] KeyError),
    /// The signature has the wrong length.
    #[error("expected a signature of {expected} bytes, got {got}")]
    SignatureLen {
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
}

/// Why an envelope does not give a signed statement.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The signature is not that key's over these bytes.
    #[error("the receipt's signature is wrong")]
    Signature(#[source] BadSignature),
    /// What was signed is no statement that this version reads.
    #[error("the signed statement is refused")]
    Statement(#[from] StatementError),
    /// The statement names another key than the one that signed it.
    #[error("the statement names operator {named}, but {signer} signed it")]
    Signer {
        /// The key in the statement.
        named: PublicKey,
        /// The key that signed.
        signer: PublicKey,
    },
}

/// Why a statement could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The statement names another operator than the signing key.
    #[error("the statement names operator {named}, but the signing key is {signer}")]
    Signer {
        /// The key in the statement.
        named: PublicKey,
        /// The key at hand.
        signer: PublicKey,
    },
    /// The statement has no canonical JSON.
    #[error("the statement cannot be encoded")]
    Encode(#[source] JsonError),
    /// Nobody could read the statement: a text is too long, say.
    #[error("the statement is one that nobody could read, so it was not signed")]
    Unreadable(#[source] StatementError),
}

/// A signed payload. Neither the signature nor the payload is checked until [`Envelope::open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signer: PublicKey,
    signature: Signature,
}

/// A statement that its operator signed, and that agrees with itself. Made by [`Envelope::open`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    statement: Statement,
}

impl Signed {
    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What was signed.
    #[must_use]
    pub fn into_statement(self) -> Statement {
        self.statement
    }
}

/// Signs `statement` with its operator's key.
///
/// # Errors
/// [`SignError::Signer`] when the statement names another key, [`SignError::Unreadable`] when it could not be read back.
pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Envelope, SignError> {
    let (named, signer) = (*statement.operator(), key.public_key());
    if named != signer {
        return Err(SignError::Signer { named, signer });
    }
    let payload = statement.encode().map_err(SignError::Encode)?;
    Statement::decode(&payload, STATEMENT_LEN_MAX).map_err(SignError::Unreadable)?;
    let signature = key.sign(&pae(&payload));
    Ok(Envelope {
        payload,
        signer,
        signature,
    })
}

/// The bytes that are signed: DSSE's pre-authentication encoding of the payload.
#[must_use]
pub fn pae(payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Reads an envelope of at most `len_max` bytes ([`ENVELOPE_LEN_MAX`] is enough for any).
    ///
    /// # Errors
    /// [`EnvelopeError`] when the bytes are not its canonical JSON.
    pub fn decode(bytes: &[u8], len_max: usize) -> Result<Self, EnvelopeError> {
        Self::from_json(json::from_canonical(bytes, len_max)?)
    }

    /// Its canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Written out, since no part can fail or needs escaping; a test holds it to RFC 8785.
        let payload = STANDARD.encode(&self.payload);
        let signature = STANDARD.encode(self.signature.as_bytes());
        let text = format!(
            r#"{{"payload":"{payload}","payloadType":"{PAYLOAD_TYPE}","signatures":[{{"keyid":"{}","sig":"{signature}"}}]}}"#,
            self.signer
        );
        text.into_bytes()
    }

    /// The digest that names this receipt.
    #[must_use]
    pub fn digest(&self) -> ReceiptDigest {
        let bytes = blake3::derive_key(domain::RECEIPT.as_str(), &self.encode());
        ReceiptDigest::from_bytes(bytes)
    }

    /// The bytes that were signed, unchecked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The key that is said to have signed, unchecked.
    #[must_use]
    pub const fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// Checks the signature, then reads what was signed.
    ///
    /// # Errors
    /// [`OpenError`]; nothing of the payload is parsed when the signature is wrong.
    pub fn open(&self) -> Result<Signed, OpenError> {
        self.signer
            .verify(&pae(&self.payload), &self.signature)
            .map_err(OpenError::Signature)?;
        let statement = Statement::decode(&self.payload, STATEMENT_LEN_MAX)?;
        let (named, signer) = (*statement.operator(), self.signer);
        if named != signer {
            return Err(OpenError::Signer { named, signer });
        }
        Ok(Signed { statement })
    }

    pub(crate) fn from_json(json: EnvelopeJson) -> Result<Self, EnvelopeError> {
        let EnvelopeJson {
            payload,
            payload_type,
            signatures: [SignatureJson { keyid, sig }],
        } = json;
        if payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType);
        }
        let signer = PublicKey::from_bytes(&keyid.0).map_err(EnvelopeError::KeyId)?;
        let got = sig.0.len();
        let signature = sig
            .0
            .try_into()
            .map(Signature::from_bytes)
            .map_err(|_| EnvelopeError::SignatureLen { expected: 64, got })?;
        Ok(Self {
            payload: payload.0,
            signer,
            signature,
        })
    }

    pub(crate) fn to_json(&self) -> EnvelopeJson {
        EnvelopeJson {
            payload: Base64(self.payload.clone()),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: [SignatureJson {
                keyid: Hex32(*self.signer.as_bytes()),
                sig: Base64(self.signature.as_bytes().to_vec()),
            }],
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EnvelopeJson {
    payload: Base64,
    payload_type: String,
    signatures: [SignatureJson; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    keyid: Hex32,
    sig: Base64,
}
