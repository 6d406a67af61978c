//! The keys of notes: names, verifier keys and signers (C2SP `signed-note`, "Verifier keys").
//!
//! A verifier key is `<name>+<key id>+<base64 of type and public key>`. Name and id find a key's signatures on a note; what
//! shows that they are its own is the key.
//!
//! Stricter than the specification in two points: the id must be the recommended hash, and Ed25519 is checked strictly
//! (`credence_base::key`), so that one text has one signature of one key.
//!
//! It deliberately reads no secret from text: whoever holds a key file makes a [`Signer`] of what stands in it.

use core::fmt;
use core::str::FromStr;

use credence_base::key::KeyError;
use credence_base::{PublicKey, Signature, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::text::{from_base64, is_banned, to_base64};

/// The longest name of a key, in bytes.
pub const NAME_LEN_MAX: usize = 255;

/// Why a text is not a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not `<name>+<id>+<key>`.
    #[error("expected a verifier key of the form `<name>+<8 hexadecimal digits>+<base64>`")]
    Form,
    /// The name is no key's.
    #[error("the verifier key does not begin with a key name")]
    Name(#[source] KeyNameError),
    /// A type of signature that this version does not check.
    #[error(
        "the verifier key is of type {got:#04x}; known are 0x01 (Ed25519) and 0x04 (cosignatures with Ed25519)"
    )]
    Algorithm {
        /// The type.
        got: u8,
    },
    /// The key itself is refused.
    #[error("the verifier key named `{name}` holds no Ed25519 public key")]
    Key {
        /// The key's name.
        name: KeyName,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// The id is not the hash of name, type and key.
    #[error("the verifier key named `{name}` has id {got:08x}, expected {expected:08x}")]
    Id {
        /// The key's name.
        name: KeyName,
        /// The hash.
        expected: u32,
        /// The id given.
        got: u32,
    },
}

/// Why a text is not a key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// Empty, or too long.
    #[error("a key's name has 1 to {NAME_LEN_MAX} bytes, got {got}")]
    Len {
        /// Bytes given.
        got: usize,
    },
    /// It holds a space, a plus sign or a control character.
    #[error("a key's name holds no spaces, plus signs or control characters")]
    Character,
}

/// A key's name, such as `example.com/log42`: 1 to 255 bytes, no Unicode space, plus sign or control character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`KeyNameError`] when it is none.
    pub fn new(text: &str) -> Result<Self, KeyNameError> {
        let got = text.len();
        if got == 0 || got > NAME_LEN_MAX {
            return Err(KeyNameError::Len { got });
        }
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyNameError::Character)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({})", self.0)
    }
}

/// Whether a signature line may have this name.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_whitespace() || c == '+' || is_banned(c))
}

/// A type of signature that this version makes and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `0x01`: Ed25519 over the text. Logs sign checkpoints so.
    Ed25519,
    /// `0x04`: Ed25519 over a time and the text (`tlog-cosignature`). Witnesses sign so.
    CosignatureV1,
}

impl Algorithm {
    /// The type's byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    /// The type of that byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

/// A key that signs notes, as those who verify them know it: name, type and public key. Its text form is the
/// specification's `vkey`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    algorithm: Algorithm,
    key: PublicKey,
}

impl VerifierKey {
    /// The key of this name and type.
    #[must_use]
    pub const fn new(name: KeyName, algorithm: Algorithm, key: PublicKey) -> Self {
        Self {
            name,
            algorithm,
            key,
        }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The type of its signatures.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The id that its signatures carry: the first four bytes of the SHA-256 of name, newline, type and key. It finds a
    /// signature and shows nothing.
    #[must_use]
    pub fn id(&self) -> u32 {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::new()
            .chain_update(self.name.as_str())
            .chain_update([b'\n', self.algorithm.byte()])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.algorithm.byte()];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{:08x}+{}", self.name, self.id(), to_base64(&bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // The base64 may hold plus signs, the name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(bytes)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let name = KeyName::new(name).map_err(VerifierKeyError::Name)?;
        let lower = id
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let got = Some(id)
            .filter(|id| id.len() == 8 && lower)
            .and_then(|id| u32::from_str_radix(id, 16).ok())
            .ok_or(VerifierKeyError::Form)?;
        let bytes = Some(bytes)
            .filter(|bytes| bytes.len() <= 4096)
            .and_then(from_base64)
            .ok_or(VerifierKeyError::Form)?;
        let (first, key) = bytes.split_first().ok_or(VerifierKeyError::Form)?;
        let algorithm =
            Algorithm::from_byte(*first).ok_or(VerifierKeyError::Algorithm { got: *first })?;
        let key: [u8; 32] = key.try_into().map_err(|_| VerifierKeyError::Form)?;
        let key = PublicKey::from_bytes(&key).map_err(|source| VerifierKeyError::Key {
            name: name.clone(),
            source,
        })?;
        let found = Self::new(name, algorithm, key);
        let expected = found.id();
        if expected != got {
            return Err(VerifierKeyError::Id {
                name: found.name,
                expected,
                got,
            });
        }
        Ok(found)
    }
}

/// A key that signs notes, with its secret. `Debug` shows the public half alone.
#[derive(Debug)]
pub struct Signer {
    verifier: VerifierKey,
    key: SigningKey,
}

impl Signer {
    /// The signer of this name and type.
    #[must_use]
    pub fn new(name: KeyName, algorithm: Algorithm, key: SigningKey) -> Self {
        let verifier = VerifierKey::new(name, algorithm, key.public_key());
        Self { verifier, key }
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs exactly these bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}
