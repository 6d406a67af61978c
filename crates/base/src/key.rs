//! Ed25519 keys and signatures (RFC 8032), over `ed25519-dalek`.
//!
//! Verification is strict: a public key or nonce point of small order is refused, and so is a public key whose bytes
//! are not the canonical encoding of its point. One key then has one [`KeyId`], and nobody can make a second
//! signature over the same bytes without the secret.
//!
//! Keys come in as bytes or as PKCS#8 PEM text; reading and writing the file, with its mode, is done elsewhere.

use core::fmt;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};

use crate::domain;
use crate::ids::KeyId;

/// Why key material was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not an Ed25519 private key in PKCS#8 PEM.
    #[error("expected an Ed25519 private key in PKCS#8 PEM (`BEGIN PRIVATE KEY`)")]
    Pkcs8,
    /// The key could not be encoded as PEM.
    #[error("the key could not be encoded as PKCS#8 PEM")]
    Encode,
    /// The bytes are no point of the curve.
    #[error("expected 32 bytes of an Ed25519 public key, got bytes that are no point of the curve")]
    NotAPoint,
    /// The bytes are not the one canonical encoding of their point.
    #[error("expected the canonical encoding of an Ed25519 public key")]
    NotCanonical,
    /// The point has small order, so anyone can sign for it.
    #[error("the public key has small order: anyone could sign for it")]
    Weak,
}

/// The signature does not match the key and the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Ed25519 signature does not match the key and the bytes")]
pub struct BadSignature;

/// A secret key. Zeroed when dropped; `Debug` shows the public half alone.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key whose RFC 8032 seed these 32 bytes are. They must come from a good source of randomness.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----`, as OpenSSL writes it for Ed25519.
    ///
    /// # Errors
    /// [`KeyError::Pkcs8`] when the text is anything else, or names a public key that is not its own.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map(Self)
            .map_err(|_| KeyError::Pkcs8)
    }

    /// Writes PKCS#8 PEM in the form OpenSSL writes and reads (version 1, no public key), ending in a newline.
    ///
    /// The text holds the secret: the caller keeps it where only its owner can read.
    ///
    /// # Errors
    /// [`KeyError::Encode`] when the encoder fails, which it does for no key.
    pub fn to_pkcs8_pem(&self) -> Result<String, KeyError> {
        // Version 2, which carries the public key as well, is refused by OpenSSL before 3.0.
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = pair
            .to_pkcs8_pem(Default::default())
            .map_err(|_| KeyError::Encode)?;
        Ok(pem.as_str().to_owned())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` with pure Ed25519: deterministic, nothing is drawn.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(hidden, {:?})", self.public_key())
    }
}

/// A public key: canonical, and not of small order.
///
/// It holds the 32 bytes alone and finds the point again when it verifies, a small part of what verifying costs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no point, not its canonical encoding, or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        Ok(Self(*bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest that names this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(blake3::derive_key(domain::KEY_ID.as_str(), self.as_bytes()))
    }

    /// Checks a signature over `message`, strictly.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not this key's signature over exactly these bytes.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        key.verify_strict(message, &signature)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::Digest::from_bytes(*self.as_bytes()).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// 64 bytes of an Ed25519 signature. Holding one shows nothing: [`PublicKey::verify`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes 64 bytes as a signature.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, section 7.1, test 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn array<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&array(SEED))
    }

    #[test]
    fn signs_as_rfc_8032_does() {
        assert_eq!(key().public_key().to_string(), PUBLIC);
        assert_eq!(key().sign(&[0x72]).as_bytes(), &array::<64>(SIGNATURE));
        assert!(
            key()
                .public_key()
                .verify(&[0x72], &key().sign(&[0x72]))
                .is_ok()
        );
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let public = key().public_key();
        for bit in 0..512 {
            let mut bytes = array::<64>(SIGNATURE);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                public.verify(&[0x72], &Signature::from_bytes(bytes)),
                Err(BadSignature)
            );
        }
        assert_eq!(
            public.verify(&[0x73], &Signature::from_bytes(array(SIGNATURE))),
            Err(BadSignature)
        );
    }

    #[test]
    fn bad_public_keys_are_refused() {
        let one = |first: u8| {
            let mut bytes = [0u8; 32];
            bytes[0] = first;
            bytes
        };
        // y = p + 3 is a second encoding of the point with y = 3, which exists and is not of small order.
        let mut second_form = [0xff; 32];
        second_form[0] = 0xed + 3;
        second_form[31] = 0x7f;
        let cases = [
            (one(1), KeyError::Weak),
            (one(0), KeyError::Weak),
            (one(2), KeyError::NotAPoint),
            (second_form, KeyError::NotCanonical),
        ];
        for (bytes, expected) in cases {
            assert_eq!(PublicKey::from_bytes(&bytes), Err(expected), "{bytes:02x?}");
        }
        assert!(PublicKey::from_bytes(&one(3)).is_ok());
    }

    #[test]
    fn pem_round_trips_and_reads_openssl() {
        // RFC 8410, section 10.3.
        let openssl = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                       -----END PRIVATE KEY-----\n";
        let read = SigningKey::from_pkcs8_pem(openssl).unwrap();
        assert_eq!(read.to_pkcs8_pem().unwrap(), openssl);
        let own = key().to_pkcs8_pem().unwrap();
        assert_eq!(
            SigningKey::from_pkcs8_pem(&own).unwrap().public_key(),
            key().public_key()
        );
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            &openssl[..openssl.len() / 2],
            &openssl.replace("BQYDK2Vw", "BQYDK2Vv"),
        ] {
            assert_eq!(SigningKey::from_pkcs8_pem(bad).err(), Some(KeyError::Pkcs8));
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", key());
        assert!(
            shown.contains("hidden") && !shown.contains(&SEED[..16]),
            "{shown}"
        );
    }
}
