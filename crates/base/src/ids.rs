//! One type for each thing that 32 bytes can name, so that none is passed for another.
//!
//! All have the text form of [`Digest`]. [`Salt`] alone is secret: it has no text form and its `Debug` shows nothing.

use core::fmt;
use core::str::FromStr;

use crate::digest::{Digest, HexError};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Digest);

        impl $name {
            /// Takes a digest that was computed as this type's documentation says.
            #[must_use]
            pub const fn from_digest(digest: Digest) -> Self {
                Self(digest)
            }

            /// Takes 32 bytes, as read from a place that says what they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Digest::from_bytes(bytes))
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// The same bytes, no longer saying what they name.
            #[must_use]
            pub const fn digest(&self) -> Digest {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// The root of a canonical program and its weights: what a model *is*. Never the digest of a file.
    ModelId;
    /// SHA-256 of a file's bytes. Never identifies a model: two files can hold the same one.
    FileDigest;
    /// The root of an execution's trace, before it is salted.
    TraceRoot;
    /// The salted commitment to a request's input.
    InputCommitment;
    /// The salted commitment to a request's parameters.
    ParamsCommitment;
    /// The salted commitment to an answer.
    OutputCommitment;
    /// The salted commitment to a trace's root.
    TraceCommitment;
    /// The digest of every field of a claim.
    ClaimDigest;
    /// The digest of a signed receipt's canonical envelope.
    ReceiptDigest;
    /// The digest of a public key.
    KeyId;
    /// 32 bytes that a client chose, so that the answer cannot be older than the request.
    Nonce;
}

/// 32 secret bytes that hide a committed value from whoever would guess it.
///
/// It opens one commitment and is given to those entitled to the value behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 bytes as a salt.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes. Whoever writes them somewhere gives the value behind the commitment away.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_their_digest_and_a_salt_prints_nothing() {
        let id = ModelId::from_bytes([0xab; 32]);
        assert_eq!(id.to_string(), "ab".repeat(32));
        assert_eq!(format!("{id:?}"), format!("ModelId({})", "ab".repeat(32)));
        assert_eq!(id.to_string().parse::<ModelId>().unwrap(), id);
        assert_eq!(
            format!("{:?}", Salt::from_bytes([0xab; 32])),
            "Salt(hidden)"
        );
    }
}
