//! From contents to salted commitments.
//!
//! ```text
//! root       = BLAKE3-derive-key(INPUT | PARAMS | OUTPUT, content)      (the trace's root comes from its own specification)
//! salt       = BLAKE3-derive-key(SALT, master ‖ field's label)
//! commitment = BLAKE3-derive-key(COMMIT_…, operator's public key ‖ salt ‖ root)
//! ```
//!
//! The salt keeps a public log from confirming a guessed prompt; the operator's key keeps one operator from copying
//! another's commitment before it is opened. Each field has its own salt, so one can be opened without the others.
//!
//! Contents are opaque here: the model's crates define their bytes.

use credence_base::{
    Digest, Domain, InputCommitment, OutputCommitment, ParamsCommitment, PublicKey, Salt,
    TraceCommitment, TraceRoot, domain,
};
use credence_commit::tree;

/// The salts of one receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salts {
    /// Hides the input.
    pub input: Salt,
    /// Hides the parameters.
    pub params: Salt,
    /// Hides the output.
    pub output: Salt,
    /// Hides the trace.
    pub trace: Salt,
}

impl Salts {
    /// Derives them from 32 secret random bytes, drawn for this receipt alone.
    #[must_use]
    pub fn derive(master: &[u8; 32]) -> Self {
        let salt = |label: &[u8]| {
            let key = tree::root_parts(domain::SALT, [master.as_slice(), label]);
            Salt::from_bytes(*key.as_bytes())
        };
        Self {
            input: salt(b"input"),
            params: salt(b"params"),
            output: salt(b"output"),
            trace: salt(b"trace"),
        }
    }
}

/// The roots of what one execution read and made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roots {
    /// Of the input, by [`input_root`].
    pub input: Digest,
    /// Of the parameters, by [`params_root`].
    pub params: Digest,
    /// Of the output, by [`output_root`].
    pub output: Digest,
    /// Of the trace.
    pub trace: TraceRoot,
}

/// The commitments of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitments {
    /// To the input.
    pub input: InputCommitment,
    /// To the parameters.
    pub params: ParamsCommitment,
    /// To the output.
    pub output: OutputCommitment,
    /// To the trace.
    pub trace: TraceCommitment,
}

impl Commitments {
    /// Commits `operator` to `roots`, hidden by `salts`.
    #[must_use]
    pub fn new(operator: &PublicKey, salts: &Salts, roots: &Roots) -> Self {
        Self {
            input: input_commitment(operator, &salts.input, &roots.input),
            params: params_commitment(operator, &salts.params, &roots.params),
            output: output_commitment(operator, &salts.output, &roots.output),
            trace: trace_commitment(operator, &salts.trace, &roots.trace),
        }
    }
}

/// The root of an input's bytes.
#[must_use]
pub fn input_root(content: &[u8]) -> Digest {
    tree::root(domain::INPUT, content)
}

/// The root of the bytes of a request's parameters.
#[must_use]
pub fn params_root(content: &[u8]) -> Digest {
    tree::root(domain::PARAMS, content)
}

/// The root of an output's bytes.
#[must_use]
pub fn output_root(content: &[u8]) -> Digest {
    tree::root(domain::OUTPUT, content)
}

/// The commitment to an input.
#[must_use]
pub fn input_commitment(operator: &PublicKey, salt: &Salt, root: &Digest) -> InputCommitment {
    InputCommitment::from_digest(commitment(domain::COMMIT_INPUT, operator, salt, root))
}

/// The commitment to parameters.
#[must_use]
pub fn params_commitment(operator: &PublicKey, salt: &Salt, root: &Digest) -> ParamsCommitment {
    ParamsCommitment::from_digest(commitment(domain::COMMIT_PARAMS, operator, salt, root))
}

/// The commitment to an output.
#[must_use]
pub fn output_commitment(operator: &PublicKey, salt: &Salt, root: &Digest) -> OutputCommitment {
    OutputCommitment::from_digest(commitment(domain::COMMIT_OUTPUT, operator, salt, root))
}

/// The commitment to a trace.
#[must_use]
pub fn trace_commitment(operator: &PublicKey, salt: &Salt, root: &TraceRoot) -> TraceCommitment {
    let digest = commitment(domain::COMMIT_TRACE, operator, salt, &root.digest());
    TraceCommitment::from_digest(digest)
}

fn commitment(domain: Domain, operator: &PublicKey, salt: &Salt, root: &Digest) -> Digest {
    // All three have 32 bytes, so the concatenation can be read in one way only.
    let parts = [operator.as_bytes(), salt.as_bytes(), root.as_bytes()];
    tree::root_parts(domain, parts.map(<[u8; 32]>::as_slice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_base::SigningKey;

    fn roots() -> Roots {
        Roots {
            input: input_root(b"in"),
            params: params_root(b"{}"),
            output: output_root(b"out"),
            trace: TraceRoot::from_bytes([4; 32]),
        }
    }

    #[test]
    fn golden_commitments() {
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let salts = Salts::derive(&[2; 32]);
        let made = Commitments::new(&operator, &salts, &roots());
        let cases = [
            (
                hex::encode(salts.input.as_bytes()),
                "a81481488de05d22353fed86dbf1c338024749c9da18a5b721fc07f973993f5e",
            ),
            (
                hex::encode(salts.trace.as_bytes()),
                "68dc33b60ec88fc963f8596880d9fac1f4a25cf25a716e2d077cf75d3af4002b",
            ),
            (
                made.input.to_string(),
                "d394f6ffb7c66edbb5ff2fc2dda17cc9e8f20a1ad93aeae8ee9260d1a93eb757",
            ),
            (
                made.params.to_string(),
                "c77b523914842fafd65e015b83253fb3a38fdec66d4ef8bc455dfff6a5b0a0b3",
            ),
            (
                made.output.to_string(),
                "18084243b63550b93f541215fe1df417977b2c983118e4040d79f4cb3031577d",
            ),
            (
                made.trace.to_string(),
                "1be02e4bac2717b434b805dd70c4bcc5ca0e9d0112be1081e18cf7d2d4eabcda",
            ),
        ];
        for (got, expected) in cases {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn salts_are_independent_and_every_part_is_committed_to() {
        let salts = Salts::derive(&[2; 32]);
        let all = [salts.input, salts.params, salts.output, salts.trace].map(|s| *s.as_bytes());
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let base = Commitments::new(&operator, &salts, &roots());
        let copier = SigningKey::from_seed(&[3; 32]).public_key();
        assert_ne!(
            Commitments::new(&copier, &salts, &roots()).output,
            base.output
        );
        let other_salts = Salts::derive(&[3; 32]);
        assert_ne!(
            Commitments::new(&operator, &other_salts, &roots()).input,
            base.input
        );
        let other_root = Roots {
            trace: TraceRoot::from_bytes([5; 32]),
            ..roots()
        };
        assert_ne!(
            Commitments::new(&operator, &salts, &other_root).trace,
            base.trace
        );
        // The same root under the same salt is another commitment in another field.
        let root = input_root(b"in");
        assert_ne!(
            input_commitment(&operator, &salts.input, &root).digest(),
            output_commitment(&operator, &salts.input, &root).digest()
        );
    }
}
