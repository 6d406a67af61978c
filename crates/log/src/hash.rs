//! The hashes of the tree: RFC 6962, section 2.1, with SHA-256.
//!
//! A leaf is `SHA-256(0x00 ‖ entry)`, an inner node `SHA-256(0x01 ‖ left ‖ right)`, the root of the empty tree
//! `SHA-256("")`. The text form is base64, as in checkpoints and proofs.
//!
//! These are the one place of the project where a purpose is told apart by a byte and not by a string of
//! `base/src/domain.rs`: the format is other people's.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::ReceiptDigest;
use sha2::{Digest as _, Sha256};

/// The hash of a leaf, a node or a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// The text is not the base64 of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the base64 of a 32-byte hash, 44 characters ending in `=`")]
pub struct BadHash;

impl Hash {
    /// Its length in bytes.
    pub const LEN: usize = 32;

    /// The root of a tree without entries.
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The leaf of an entry.
    #[must_use]
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update([0])
                .chain_update(entry)
                .finalize()
                .into(),
        )
    }

    /// The leaf of a receipt: its entry is the digest's 32 bytes and nothing else.
    #[must_use]
    pub fn of_receipt(digest: &ReceiptDigest) -> Self {
        Self::of_leaf(digest.as_bytes())
    }

    /// The node over two others.
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        Self(
            Sha256::new()
                .chain_update([1])
                .chain_update(left.0)
                .chain_update(right.0)
                .finalize()
                .into(),
        )
    }

    /// Takes 32 bytes as a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads its base64, of which there is one spelling.
    ///
    /// # Errors
    /// [`BadHash`] for anything else.
    pub fn from_base64(text: &str) -> Result<Self, BadHash> {
        if text.len() != 44 {
            return Err(BadHash);
        }
        let bytes = STANDARD.decode(text).map_err(|_| BadHash)?;
        bytes.try_into().map(Self).map_err(|_| BadHash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The hash over hashes that are a power of two in number, all of one level; the left half over the right one.
///
/// Other counts have no meaning here: a short last pair is carried up as it is.
pub(crate) fn fold(mut level: Vec<Hash>) -> Option<Hash> {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(Hash::of_node(left, right)),
                [one] => Some(*one),
                _ => None,
            })
            .collect();
    }
    level.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_rfc_6962() {
        // The known values of certificate-transparency's own tests.
        assert_eq!(
            hex::encode(Hash::of_empty_tree().as_bytes()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(Hash::of_leaf(b"").as_bytes()),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn base64_has_one_spelling() {
        let hash = Hash::of_leaf(b"x");
        let text = hash.to_string();
        assert_eq!(Hash::from_base64(&text), Ok(hash));
        let tail = text.replace('=', "");
        // The last character before the padding carries two bits that must be nought.
        for end in 'A'..='Z' {
            let mut other = text.clone();
            other.replace_range(42..43, &end.to_string());
            if other != text
                && let Ok(read) = Hash::from_base64(&other)
            {
                assert_ne!(read, hash);
            }
        }
        for bad in [
            "",
            &tail,
            &format!("{text}="),
            &format!(" {text}"),
            &text.replace('=', "\n"),
        ] {
            assert_eq!(Hash::from_base64(bad), Err(BadHash), "{bad}");
        }
    }
}
