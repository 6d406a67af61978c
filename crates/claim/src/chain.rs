//! The chain of a stream: signed heads over what has been said so far, for a client that reads an answer while it is made.
//!
//! ```text
//! Prefix ──Head::start──▶ head 0 ──token ids, text──▶ head 1 ──token ids, text──▶ head 2 …      each signed on its own
//! ```
//!
//! A stream that breaks off leaves its client with a signature over every token that it was shown, under the commitments that the receipt would have had; an operator
//! that tells two clients different continuations of one prefix has signed both. `docs/spec/receipt.md`, section 12, is normative.
//!
//! It deliberately does not say that tokens are right: the receipt, which a whole answer ends with, is what a method checks. And it reads no JSON: the
//! gateway and its clients have their own.

use core::fmt;

use credence_base::key::BadSignature;
use credence_base::wire::Writer;
use credence_base::{
    Digest, InputCommitment, ModelId, Nonce, PROTOCOL_VERSION, ParamsCommitment, Profile,
    PublicKey, Signature, SigningKey, domain,
};
use credence_commit::tree;

/// What is known of a claim before the first token is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The arithmetic that defines what is right.
    pub profile: Profile,
    /// The model.
    pub model: ModelId,
    /// What was asked.
    pub input: InputCommitment,
    /// How it is to be answered.
    pub params: ParamsCommitment,
    /// The client's nonce, if it sent one.
    pub nonce: Option<Nonce>,
    /// Who answers, and signs the heads.
    pub operator: PublicKey,
}

/// A head of a chain: a digest of the prefix and of everything said since.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head(Digest);

/// More was said at once than a link can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link holds fewer than 2^32 token ids and bytes of text: say it in several")]
pub struct TooLong;

/// One chunk of a stream, as its client read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The head after this chunk.
    pub head: Head,
    /// The operator's signature over it.
    pub signature: Signature,
    /// Ids of the tokens that are new.
    pub tokens: Vec<u32>,
    /// Text that is new.
    pub text: String,
}

/// What a checked stream says: signed, in this order, from its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// All token ids.
    pub tokens: Vec<u32>,
    /// All text.
    pub text: String,
}

/// Why a stream is not what its operator signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Another operator.
    #[error("the stream is of operator {got}, expected {expected}")]
    Operator {
        /// The key asked for.
        expected: PublicKey,
        /// The key in the prefix.
        got: PublicKey,
    },
    /// No chunk at all.
    #[error("the stream has no chunk, so nothing of it is signed")]
    Empty,
    /// The first chunk says something, but it only opens the chain.
    #[error(
        "the first chunk must have neither tokens nor text: it signs what is known before them"
    )]
    Opening,
    /// A head that does not follow.
    #[error("the head of chunk {index} is {got}, but what was said leads to {expected}")]
    Head {
        /// Which chunk, from 0.
        index: usize,
        /// What the chunks lead to.
        expected: Head,
        /// What the chunk says.
        got: Head,
    },
    /// A signature that is not the operator's over this head.
    #[error("the signature of chunk {index} is not the operator's over its head")]
    Signature {
        /// Which chunk, from 0.
        index: usize,
        /// What the key says.
        #[source]
        source: BadSignature,
    },
    /// A chunk that is too long to be one.
    #[error("chunk {index} is too long")]
    TooLong {
        /// Which chunk, from 0.
        index: usize,
        /// How long it may be.
        #[source]
        source: TooLong,
    },
}

impl Prefix {
    /// The bytes that the first head is the digest of.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Naming every field makes a new one an error here until it is written.
        let Self {
            profile,
            model,
            input,
            params,
            nonce,
            operator,
        } = self;
        let mut w = Writer::new();
        w.u32(PROTOCOL_VERSION)
            .u8(profile.code())
            .digest(&model.digest())
            .digest(&input.digest())
            .digest(&params.digest());
        match nonce {
            None => w.u8(0),
            Some(nonce) => w.u8(1).raw(nonce.as_bytes()),
        };
        w.raw(operator.as_bytes());
        w.finish()
    }
}

impl Head {
    /// The head before anything is said.
    #[must_use]
    pub fn start(prefix: &Prefix) -> Self {
        Self(tree::root(domain::STREAM, &prefix.encode()))
    }

    /// The head after these tokens and this text.
    ///
    /// # Errors
    /// [`TooLong`] when there are 2³² of them or more.
    pub fn link(&self, tokens: &[u32], text: &str) -> Result<Self, TooLong> {
        let count = |len: usize| u32::try_from(len).map_err(|_| TooLong);
        let mut w = Writer::new();
        w.digest(&self.0).u32(count(tokens.len())?);
        for token in tokens {
            w.u32(*token);
        }
        w.u32(count(text.len())?).raw(text.as_bytes());
        Ok(Self(tree::root(domain::STREAM_LINK, &w.finish())))
    }

    /// Takes 32 bytes that a chunk says are its head.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.0
    }

    /// What is signed: the domain string, and the head.
    fn message(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(domain::STREAM_SIGNATURE.as_str().as_bytes())
            .digest(&self.0);
        w.finish()
    }

    /// Signs the head.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(&self.message())
    }

    /// Checks a signature over the head.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not this key's.
    pub fn verify(&self, key: &PublicKey, signature: &Signature) -> Result<(), BadSignature> {
        key.verify(&self.message(), signature)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({})", self.0)
    }
}

/// Checks that `operator` signed all of `chunks`, from the first, in this order, under `prefix`. A stream that broke off is checked as far as it came.
///
/// # Errors
/// [`StreamError`], for the first chunk that does not follow.
pub fn check_stream(
    prefix: &Prefix,
    chunks: &[Chunk],
    operator: &PublicKey,
) -> Result<Said, StreamError> {
    if prefix.operator != *operator {
        return Err(StreamError::Operator {
            expected: *operator,
            got: prefix.operator,
        });
    }
    let Some(first) = chunks.first() else {
        return Err(StreamError::Empty);
    };
    if !first.tokens.is_empty() || !first.text.is_empty() {
        return Err(StreamError::Opening);
    }
    let mut head = Head::start(prefix);
    let mut said = Said::default();
    for (index, chunk) in chunks.iter().enumerate() {
        if index > 0 {
            let next = head.link(&chunk.tokens, &chunk.text);
            head = next.map_err(|source| StreamError::TooLong { index, source })?;
        }
        if head != chunk.head {
            return Err(StreamError::Head {
                index,
                expected: head,
                got: chunk.head,
            });
        }
        let signed = head.verify(operator, &chunk.signature);
        signed.map_err(|source| StreamError::Signature { index, source })?;
        said.tokens.extend_from_slice(&chunk.tokens);
        said.text.push_str(&chunk.text);
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn prefix() -> Prefix {
        Prefix {
            profile: Profile::Exact1,
            model: ModelId::from_bytes([1; 32]),
            input: InputCommitment::from_bytes([2; 32]),
            params: ParamsCommitment::from_bytes([3; 32]),
            nonce: Some(Nonce::from_bytes([4; 32])),
            operator: key().public_key(),
        }
    }

    fn stream(said: &[(Vec<u32>, String)]) -> Vec<Chunk> {
        let mut head = Head::start(&prefix());
        let chunk = |head: Head, tokens: &[u32], text: &str| Chunk {
            head,
            signature: head.sign(&key()),
            tokens: tokens.to_vec(),
            text: text.to_owned(),
        };
        let mut chunks = vec![chunk(head, &[], "")];
        for (tokens, text) in said {
            head = head.link(tokens, text).unwrap();
            chunks.push(chunk(head, tokens, text));
        }
        chunks
    }

    fn three() -> Vec<Chunk> {
        stream(&[
            (vec![1, 65_536], "Grüße".to_owned()),
            (vec![], " an".to_owned()),
            (vec![2], String::new()),
        ])
    }

    #[test]
    fn golden_bytes() {
        let digests: String = (1..=3).map(|i| format!("{i:02x}").repeat(32)).collect();
        let operator = key().public_key();
        let bytes = format!("0100000001{digests}01{}{operator}", "04".repeat(32));
        assert_eq!(hex::encode(prefix().encode()), bytes);
        let without = Prefix {
            nonce: None,
            ..prefix()
        };
        let bytes = format!("0100000001{digests}00{operator}");
        assert_eq!(hex::encode(without.encode()), bytes);
        let heads: Vec<String> = three().iter().map(|c| c.head.to_string()).collect();
        assert_eq!(heads, GOLDEN_HEADS);
        let last = three().pop().unwrap();
        assert_eq!(hex::encode(last.signature.as_bytes()), GOLDEN_SIGNATURE);
    }

    // Made with another BLAKE3 and another Ed25519: Python's `blake3` and `cryptography`, from the words of the specification.
    const GOLDEN_HEADS: [&str; 4] = [
        "d5bcdb52a4bbbb1c10d52d6f48af8c6b7bada7e2f189a280874c59f821359b76",
        "4231f06e4583914a304f04d9455aa6b3d00418a141da0e46a0f13e44f7902d33",
        "89c257c79ee2f621edefa2a6ffd5cad729dc4a749c73809c8ae827e9bdf57967",
        "4b841a20effc893e35de7741371a9f4e59c284b30ab81f736cf1707b51bbeba7",
    ];
    const GOLDEN_SIGNATURE: &str = "a4bd4b43f7cad8282bd93459552f7d2084577eec53c78380054206b47e7457f38c9f3256ff5ad9c766e751642f2b0886dab54cd53d01576b6d6cf9a2f3b7910f";

    #[test]
    fn a_stream_is_what_was_said_also_if_it_breaks_off() {
        let operator = key().public_key();
        let chunks = three();
        let said = check_stream(&prefix(), &chunks, &operator).unwrap();
        assert_eq!(said.tokens, [1, 65_536, 2]);
        assert_eq!(said.text, "Grüße an");
        for len in 1..chunks.len() {
            let said = check_stream(&prefix(), &chunks[..len], &operator).unwrap();
            assert!("Grüße an".starts_with(&said.text));
        }
    }

    #[test]
    fn what_a_link_holds_is_read_in_one_way() {
        let start = Head::start(&prefix());
        let said: [(&[u32], &str); 6] = [
            (&[], ""),
            (&[], "a"),
            (&[0], ""),
            (&[0x61], ""),
            (&[1, 0x61], ""),
            (&[], "\u{1}\0\0\0a\0\0\0"),
        ];
        let mut heads: Vec<Head> = said.map(|(t, s)| start.link(t, s).unwrap()).to_vec();
        heads.push(start);
        heads.push(start.link(&[], "a").unwrap().link(&[], "").unwrap());
        for (i, a) in heads.iter().enumerate() {
            assert!(heads.iter().skip(i + 1).all(|b| a != b), "{i}");
        }
    }

    #[test]
    fn every_field_of_the_prefix_is_in_the_first_head() {
        let other = SigningKey::from_seed(&[8; 32]).public_key();
        let edits: [fn(&mut Prefix, PublicKey); 6] = [
            |p, _| p.model = ModelId::from_bytes([9; 32]),
            |p, _| p.input = InputCommitment::from_bytes([9; 32]),
            |p, _| p.params = ParamsCommitment::from_bytes([9; 32]),
            |p, _| p.nonce = None,
            |p, _| p.nonce = Some(Nonce::from_bytes([9; 32])),
            |p, key| p.operator = key,
        ];
        let mut seen = vec![Head::start(&prefix())];
        for edit in edits {
            let mut edited = prefix();
            edit(&mut edited, other);
            let head = Head::start(&edited);
            assert!(!seen.contains(&head));
            seen.push(head);
        }
    }

    #[test]
    fn each_lie_is_named() {
        let operator = key().public_key();
        let other = SigningKey::from_seed(&[8; 32]);
        type Edit = fn(&mut Vec<Chunk>);
        let cases: [(&str, Edit); 8] = [
            ("chunk 0", |c| {
                c.remove(0);
                c[0].tokens.clear();
                c[0].text.clear();
            }),
            ("chunk 1 ", |c| c[1].text.push('!')),
            ("chunk 1 ", |c| c[1].tokens[0] = 2),
            ("chunk 2 ", |c| {
                c.remove(2);
            }),
            ("chunk 1 ", |c| c.swap(1, 2)),
            ("signature of chunk 2", |c| {
                c[2].signature = c[1].signature;
            }),
            ("neither tokens nor text", |c| c[0].tokens.push(1)),
            ("no chunk", Vec::clear),
        ];
        for (named, edit) in cases {
            let mut chunks = three();
            edit(&mut chunks);
            let error = check_stream(&prefix(), &chunks, &operator).unwrap_err();
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
        let error = check_stream(&prefix(), &three(), &other.public_key()).unwrap_err();
        assert!(matches!(error, StreamError::Operator { .. }));
        // The right heads, signed by another.
        let mut forged = three();
        for chunk in &mut forged {
            chunk.signature = chunk.head.sign(&other);
        }
        let error = check_stream(&prefix(), &forged, &operator).unwrap_err();
        assert!(matches!(error, StreamError::Signature { index: 0, .. }));
    }

    proptest! {
        #[test]
        fn any_stream_checks_and_no_bit_of_it_may_change(
            said in prop::collection::vec((prop::collection::vec(any::<u32>(), 0..4), ".{0,8}"), 0..5),
            at in any::<prop::sample::Index>(),
            bit in 0_usize..256,
        ) {
            let operator = key().public_key();
            let mut chunks = stream(&said);
            let whole: String = said.iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(check_stream(&prefix(), &chunks, &operator).unwrap().text, whole);
            let at = at.index(chunks.len());
            let mut bytes = *chunks[at].head.digest().as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            chunks[at].head = Head::from_digest(Digest::from_bytes(bytes));
            prop_assert!(check_stream(&prefix(), &chunks, &operator).is_err());
        }
    }
}
