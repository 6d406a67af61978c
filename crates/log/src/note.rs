//! Signed notes: text with signature lines below it (C2SP `signed-note`).
//!
//! ```text
//! bytes ─Note::parse─▶ Note{text, signatures} ─verify(keys)─▶ which of the keys that we know have signed
//! Note::sign(text, signer) ─▶ Note ─add(signature)─▶ Note ─encode─▶ bytes
//! ```
//!
//! Two types of signature are known: Ed25519 over the text (`0x01`) and timestamped cosignatures (`0x04`,
//! [`crate::cosignature`]). Signatures of other keys are kept and ignored, as the specification has it. A signature
//! of a key that we know and that does not verify makes the whole note refused.
//!
//! It deliberately gives no meaning to the text, and a [`Note`] is trusted by nobody until a key verified it.

use credence_base::Signature;

use crate::cosignature;
use crate::key::{Algorithm, KeyName, Signer, VerifierKey, is_name};
use crate::text::{from_base64, is_banned, line, to_base64};

/// The longest note, in bytes: 16 post-quantum signatures fit, which is what a verifier must accept.
pub const NOTE_LEN_MAX: usize = 128 * 1024;

/// The most signatures on a note.
pub const SIGNATURES_MAX: usize = 64;

const DASH: &str = "\u{2014} ";

/// Why bytes are not a note, or a note is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too many bytes.
    #[error("a note has at most {max} bytes, got {got}")]
    TooLong {
        /// The limit.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// Not UTF-8, or with a control character other than the newline.
    #[error("a note is UTF-8 text without control characters but newlines")]
    Text,
    /// No empty line between text and signatures, or no newline at the end.
    #[error(
        "a note is lines of text, an empty line and lines of signatures, each with its newline"
    )]
    Form,
    /// A line below the text is no signature.
    #[error("signature line {at} is not `— <key name> <base64 of key id and signature>`")]
    SignatureLine {
        /// Its number, from 0.
        at: usize,
    },
    /// Too many signatures.
    #[error("a note has at most {max} signatures")]
    Signatures {
        /// The limit.
        max: usize,
    },
    /// A signature names a key that we know, and is not that key's over this text.
    #[error("the signature said to be by `{name}` is not: the note is forged or damaged")]
    BadSignature {
        /// The key's name.
        name: KeyName,
    },
    /// No key that we know has signed.
    #[error("the note is signed by none of the keys that are known")]
    Unsigned,
}

/// One signature line. Holding one shows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: u32,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key that is said to have signed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of that key.
    #[must_use]
    pub const fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Its line, with the newline.
    #[must_use]
    pub fn encode(&self) -> String {
        let bytes = [&self.key_id.to_be_bytes(), self.bytes.as_slice()].concat();
        format!("{DASH}{} {}\n", self.name, to_base64(&bytes))
    }

    /// The line of this key with these bytes after the key id.
    pub(crate) fn new(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self {
            name: key.name().as_str().to_owned(),
            key_id: key.id(),
            bytes,
        }
    }

    /// Reads a line without its newline.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, bytes) = text.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = from_base64(bytes)?;
        let (id, rest) = bytes.split_first_chunk::<4>()?;
        (is_name(name) && !rest.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: u32::from_be_bytes(*id),
            bytes: rest.to_vec(),
        })
    }
}

/// Reads signature lines, each with its newline, at least one.
///
/// # Errors
/// [`NoteError`] for a line that is none, and past [`SIGNATURES_MAX`].
pub fn parse_signatures(text: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let mut rest = text;
    let mut signatures = Vec::new();
    while !rest.is_empty() {
        let (one, after) = line(rest).ok_or(NoteError::Form)?;
        let at = signatures.len();
        if at >= SIGNATURES_MAX {
            return Err(NoteError::Signatures {
                max: SIGNATURES_MAX,
            });
        }
        signatures.push(NoteSignature::parse(one).ok_or(NoteError::SignatureLine { at })?);
        rest = after;
    }
    if signatures.is_empty() {
        return Err(NoteError::Form);
    }
    Ok(signatures)
}

/// A text with signatures, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note with one signature, by this key, over `text` with its newline.
    ///
    /// # Errors
    /// [`NoteError`] when the text is none that a note can have.
    pub fn sign(text: &str, signer: &Signer) -> Result<Self, NoteError> {
        check_text(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Form);
        }
        let signature = signer.sign(text.as_bytes());
        let mut note = Self {
            text: text.to_owned(),
            signatures: Vec::new(),
        };
        note.add(NoteSignature::new(
            signer.verifier(),
            signature.as_bytes().to_vec(),
        ))?;
        Ok(note)
    }

    /// Adds a signature, if it is not there already.
    ///
    /// # Errors
    /// [`NoteError`] when the note would be over its limits.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(NoteError::Signatures {
                max: SIGNATURES_MAX,
            });
        }
        let got = self.encode().len().saturating_add(signature.encode().len());
        if got > NOTE_LEN_MAX {
            return Err(NoteError::TooLong {
                max: NOTE_LEN_MAX,
                got,
            });
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Reads a note of at most [`NOTE_LEN_MAX`] bytes.
    ///
    /// # Errors
    /// [`NoteError`] when the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_LEN_MAX {
            return Err(NoteError::TooLong {
                max: NOTE_LEN_MAX,
                got: bytes.len(),
            });
        }
        let whole = core::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        check_text(whole)?;
        // The last empty line parts the two; the text keeps its own newline.
        let (text, signatures) = whole.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        Ok(Self {
            text: format!("{text}\n"),
            signatures: parse_signatures(signatures)?,
        })
    }

    /// Its text form. Parsing it gives the same note.
    #[must_use]
    pub fn encode(&self) -> String {
        let lines = self.signatures.iter().map(NoteSignature::encode);
        format!("{}\n{}", self.text, lines.collect::<String>())
    }

    /// The text, with its last newline. Trusted only after a key verified it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, unchecked.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Whether `key`, of the type `0x01`, signed the text. `false` when no signature names it, or it is of another type.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when a signature names it and is not by it.
    pub fn is_signed_by(&self, key: &VerifierKey) -> Result<bool, NoteError> {
        if key.algorithm() != Algorithm::Ed25519 {
            return Ok(false);
        }
        let found = self.verify_with(key, |bytes| {
            let bytes: [u8; 64] = bytes.try_into().ok()?;
            let signature = Signature::from_bytes(bytes);
            key.key().verify(self.text.as_bytes(), &signature).ok()
        })?;
        Ok(!found.is_empty())
    }

    /// The note with no signatures but those that name one of `keys`, each once.
    pub(crate) fn stripped(&self, keys: &[VerifierKey]) -> Self {
        let ids: Vec<_> = keys.iter().map(|key| (key.id(), key.name())).collect();
        let named = |line: &&NoteSignature| {
            ids.iter()
                .any(|(id, name)| *id == line.key_id && line.name == name.as_str())
        };
        let mut signatures: Vec<NoteSignature> = Vec::new();
        for line in self.signatures.iter().filter(named) {
            if !signatures.contains(line) {
                signatures.push(line.clone());
            }
        }
        Self {
            text: self.text.clone(),
            signatures,
        }
    }

    /// Which of `keys` signed the text, whether as logs or as witnesses do; the note is trusted as far as these are.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when a signature names one of them and is not by it, [`NoteError::Unsigned`] when none
    /// signed.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signers = Vec::new();
        for key in keys {
            let signed = match key.algorithm() {
                Algorithm::Ed25519 => self.is_signed_by(key)?,
                Algorithm::CosignatureV1 => !cosignature::times(self, key)?.is_empty(),
            };
            if signed {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            return Err(NoteError::Unsigned);
        }
        Ok(signers)
    }

    /// What `check` finds in each of this key's signatures, from the bytes after the key id.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when a signature names the key and `check` finds nothing in it.
    pub(crate) fn verify_with<T>(
        &self,
        key: &VerifierKey,
        check: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, NoteError> {
        let (id, name) = (key.id(), key.name());
        self.signatures
            .iter()
            .filter(|signature| signature.key_id == id && signature.name == name.as_str())
            .map(|signature| {
                check(&signature.bytes)
                    .ok_or_else(|| NoteError::BadSignature { name: name.clone() })
            })
            .collect()
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.chars().any(is_banned) {
        Err(NoteError::Text)
    } else {
        Ok(())
    }
}
