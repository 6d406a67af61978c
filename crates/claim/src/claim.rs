//! The claim: every value that a dispute could be about, and the digest of all of them.
//!
//! The encoding (`docs/spec/receipt.md`, "Claim") writes every field in a fixed order, absent ones as a zero byte, so no
//! two claims share bytes.

use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{
    ClaimDigest, InputCommitment, ModelId, Nonce, OutputCommitment, PROTOCOL_VERSION,
    ParamsCommitment, Profile, TraceCommitment, domain,
};

use crate::fields::{ConstrainedDecoding, Counts, FinishReason, SeedSource};

/// Why a claim cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The bytes are not a claim's.
    #[error("the bytes are not a claim")]
    Wire(#[from] WireError),
    /// Another protocol version.
    #[error("expected protocol version {expected}, got {got}")]
    Version {
        /// The version this build reads.
        expected: u32,
        /// The version found.
        got: u32,
    },
    /// The seed is said to derive from a nonce, but there is none.
    #[error("the seed is derived from the client's nonce, but the claim has no nonce")]
    DerivedWithoutNonce,
}

/// The fields of a claim. All of them are in its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimFields {
    /// The arithmetic that defines what is right.
    pub profile: Profile,
    /// The model, its tokeniser and its chat template.
    pub model: ModelId,
    /// What was asked.
    pub input: InputCommitment,
    /// How it was to be answered: every parameter, with the seed where someone chose one.
    pub params: ParamsCommitment,
    /// What was answered: text and token ids, or tensors.
    pub output: OutputCommitment,
    /// The inside of the computation.
    pub trace: TraceCommitment,
    /// How much went in and came out.
    pub counts: Counts,
    /// Why the output ends where it does.
    pub finish: FinishReason,
    /// The client's nonce, if it sent one.
    pub nonce: Option<Nonce>,
    /// Who chose the seed.
    pub seed: SeedSource,
    /// The engine of constrained decoding, if one ran.
    pub constrained: Option<ConstrainedDecoding>,
}

/// A claim of protocol version [`PROTOCOL_VERSION`], whose fields agree with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(ClaimFields);

impl Claim {
    /// The longest a claim's canonical bytes can be.
    pub const LEN_MAX: usize = 347;

    /// Takes fields that agree with each other.
    ///
    /// # Errors
    /// [`ClaimError::DerivedWithoutNonce`].
    pub fn new(fields: ClaimFields) -> Result<Self, ClaimError> {
        if fields.seed == SeedSource::Derived && fields.nonce.is_none() {
            return Err(ClaimError::DerivedWithoutNonce);
        }
        Ok(Self(fields))
    }

    /// The fields.
    #[must_use]
    pub const fn fields(&self) -> &ClaimFields {
        &self.0
    }

    /// The digest of every field.
    #[must_use]
    pub fn digest(&self) -> ClaimDigest {
        ClaimDigest::from_bytes(blake3::derive_key(domain::CLAIM.as_str(), &self.encode()))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Naming every field makes a new one an error here until it is written.
        let ClaimFields {
            profile,
            model,
            input,
            params,
            output,
            trace,
            counts:
                Counts {
                    input: count_in,
                    output: count_out,
                },
            finish,
            nonce,
            seed,
            constrained,
        } = &self.0;
        let mut w = Writer::new();
        w.u32(PROTOCOL_VERSION)
            .u8(profile.code())
            .digest(&model.digest());
        w.digest(&input.digest()).digest(&params.digest());
        w.digest(&output.digest()).digest(&trace.digest());
        w.u64(*count_in).u64(*count_out).u8(finish.code());
        match nonce {
            None => w.u8(0),
            Some(nonce) => w.u8(1).raw(nonce.as_bytes()),
        };
        w.u8(seed.code());
        match constrained {
            None => w.u8(0),
            Some(ConstrainedDecoding { engine, version }) => w.u8(1).name(engine).name(version),
        };
        w.finish()
    }

    /// Reads the canonical bytes. A claim has at most [`Claim::LEN_MAX`] of them.
    ///
    /// # Errors
    /// [`ClaimError`] when the bytes are not exactly one claim of this protocol version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClaimError> {
        let mut r = Reader::new(bytes);
        let got = r.u32()?;
        if got != PROTOCOL_VERSION {
            return Err(ClaimError::Version {
                expected: PROTOCOL_VERSION,
                got,
            });
        }
        let fields = ClaimFields {
            profile: tag(&mut r, Profile::from_code)?,
            model: ModelId::from_digest(r.digest()?),
            input: InputCommitment::from_digest(r.digest()?),
            params: ParamsCommitment::from_digest(r.digest()?),
            output: OutputCommitment::from_digest(r.digest()?),
            trace: TraceCommitment::from_digest(r.digest()?),
            counts: Counts {
                input: r.u64()?,
                output: r.u64()?,
            },
            finish: tag(&mut r, FinishReason::from_code)?,
            nonce: if present(&mut r)? {
                Some(Nonce::from_bytes(r.array()?))
            } else {
                None
            },
            seed: tag(&mut r, SeedSource::from_code)?,
            constrained: if present(&mut r)? {
                Some(ConstrainedDecoding {
                    engine: r.name()?,
                    version: r.name()?,
                })
            } else {
                None
            },
        };
        r.finish()?;
        Self::new(fields)
    }
}

fn tag<T>(r: &mut Reader<'_>, read: impl Fn(u8) -> Option<T>) -> Result<T, WireError> {
    let got = r.u8()?;
    read(got).ok_or(WireError::Tag { got })
}

fn present(r: &mut Reader<'_>) -> Result<bool, WireError> {
    tag(r, |code| match code {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use credence_base::Name;
    use proptest::prelude::*;

    pub(crate) fn fields() -> ClaimFields {
        ClaimFields {
            profile: Profile::Exact1,
            model: ModelId::from_bytes([1; 32]),
            input: InputCommitment::from_bytes([2; 32]),
            params: ParamsCommitment::from_bytes([3; 32]),
            output: OutputCommitment::from_bytes([4; 32]),
            trace: TraceCommitment::from_bytes([5; 32]),
            counts: Counts {
                input: 6,
                output: 7,
            },
            finish: FinishReason::Stop,
            nonce: Some(Nonce::from_bytes([8; 32])),
            seed: SeedSource::Derived,
            constrained: Some(ConstrainedDecoding {
                engine: Name::new("llguidance").unwrap(),
                version: Name::new("1.2").unwrap(),
            }),
        }
    }

    fn plain() -> ClaimFields {
        let finish = FinishReason::Complete;
        let seed = SeedSource::Nothing;
        ClaimFields {
            finish,
            nonce: None,
            seed,
            constrained: None,
            ..fields()
        }
    }

    #[test]
    fn golden_bytes_and_digests() {
        let head = |finish: &str| {
            let digests: String = (1..=5).map(|i| format!("{i:02x}").repeat(32)).collect();
            format!("0100000001{digests}06000000000000000700000000000000{finish}")
        };
        let cases = [
            (
                fields(),
                format!(
                    "{}01{}02010a6c6c67756964616e636503312e32",
                    head("02"),
                    "08".repeat(32)
                ),
                "f4f51d60f7bb9af28ecca7297b7ff9e231f00e053649a6e89bb18c2938d4fa4a",
            ),
            (
                plain(),
                format!("{}000100", head("01")),
                "f2de7018ebc20d185d674b03fd7f80987675d6638fbc680f5b320d53841464d5",
            ),
        ];
        for (fields, bytes, digest) in cases {
            let claim = Claim::new(fields).unwrap();
            assert_eq!(hex::encode(claim.encode()), bytes);
            assert_eq!(claim.digest().to_string(), digest);
            assert_eq!(Claim::decode(&claim.encode()).unwrap(), claim);
        }
    }

    #[test]
    fn every_field_is_in_the_digest() {
        let base = Claim::new(fields()).unwrap().digest();
        let edits: [fn(&mut ClaimFields); 14] = [
            |f| f.model = ModelId::from_bytes([9; 32]),
            |f| f.input = InputCommitment::from_bytes([9; 32]),
            |f| f.params = ParamsCommitment::from_bytes([9; 32]),
            |f| f.output = OutputCommitment::from_bytes([9; 32]),
            |f| f.trace = TraceCommitment::from_bytes([9; 32]),
            |f| f.counts.input = 9,
            |f| f.counts.output = 9,
            |f| f.finish = FinishReason::Length,
            |f| f.nonce = Some(Nonce::from_bytes([9; 32])),
            |f| f.seed = SeedSource::Client,
            |f| f.constrained = None,
            |f| f.constrained.as_mut().unwrap().engine = Name::new("other").unwrap(),
            |f| f.constrained.as_mut().unwrap().version = Name::new("1.3").unwrap(),
            |f| {
                f.nonce = None;
                f.seed = SeedSource::Operator;
            },
        ];
        let mut seen = vec![base];
        for edit in edits {
            let mut fields = fields();
            edit(&mut fields);
            let digest = Claim::new(fields).unwrap().digest();
            assert!(!seen.contains(&digest));
            seen.push(digest);
        }
    }

    #[test]
    fn fields_must_agree() {
        let lie = ClaimFields {
            nonce: None,
            ..fields()
        };
        assert_eq!(Claim::new(lie), Err(ClaimError::DerivedWithoutNonce));
        let mut bytes = Claim::new(plain()).unwrap().encode();
        let seed_at = bytes.len() - 2;
        bytes[seed_at] = SeedSource::Derived.code();
        assert_eq!(Claim::decode(&bytes), Err(ClaimError::DerivedWithoutNonce));
    }

    #[test]
    fn edited_bytes_are_refused_or_another_claim() {
        let claim = Claim::new(fields()).unwrap();
        let bytes = claim.encode();
        for at in 0..bytes.len() {
            assert!(Claim::decode(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut edited = bytes.clone();
                edited[at] ^= 1 << bit;
                if let Ok(other) = Claim::decode(&edited) {
                    assert_eq!(other.encode(), edited);
                    assert_ne!(other.digest(), claim.digest());
                }
            }
        }
        assert!(Claim::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn the_longest_claim_is_as_documented() {
        let mut fields = fields();
        let name = Name::new(&"z".repeat(64)).unwrap();
        fields.constrained = Some(ConstrainedDecoding {
            engine: name.clone(),
            version: name,
        });
        assert_eq!(Claim::new(fields).unwrap().encode().len(), Claim::LEN_MAX);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(claim) = Claim::decode(&bytes) {
                prop_assert_eq!(claim.encode(), bytes);
            }
        }
    }
}
