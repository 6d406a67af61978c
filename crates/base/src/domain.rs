//! Every domain string of the project, in this one file.
//!
//! Each is the context of BLAKE3's derive-key mode, so a digest made for one purpose is never a digest made for
//! another. [`Domain`] has no public constructor: a new purpose is a new line here, where a test shows that no string
//! is a prefix of another.

/// A purpose for which something is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(&'static str);

impl Domain {
    /// The string, for use as a BLAKE3 derive-key context, or as the first bytes of what is signed, and nothing else.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: Domain = Domain($text);)+

        /// All of them, in the order of this file.
        pub const ALL: &[Domain] = &[$($name),+];
    };
}

domains! {
    /// A model: canonical program and weight rows.
    MODEL = "credence/model/v1";
    /// A model's canonical program alone.
    PROGRAM = "credence/program/v1";
    /// A model's weight rows alone.
    WEIGHTS = "credence/weights/v1";
    /// One section of a trace.
    TRACE_SECTION = "credence/trace-section/v1";
    /// A whole trace: the list of its sections' roots.
    TRACE_ROOT = "credence/trace-root/v1";
    /// The content of an input.
    INPUT = "credence/input/v1";
    /// The content of a request's parameters.
    PARAMS = "credence/params/v1";
    /// The content of an output.
    OUTPUT = "credence/output/v1";
    /// The salted commitment to an input.
    COMMIT_INPUT = "credence/commit-input/v1";
    /// The salted commitment to a request's parameters.
    COMMIT_PARAMS = "credence/commit-params/v1";
    /// The salted commitment to an output.
    COMMIT_OUTPUT = "credence/commit-output/v1";
    /// The salted commitment to a trace.
    COMMIT_TRACE = "credence/commit-trace/v1";
    /// A field's salt, from a receipt's master secret.
    SALT = "credence/salt/v1";
    /// A claim: all of its fields.
    CLAIM = "credence/claim/v1";
    /// A signed receipt.
    RECEIPT = "credence/receipt/v1";
    /// What opens a kept receipt.
    RECEIPT_KEY = "credence/receipt-key/v1";
    /// A public key's id.
    KEY_ID = "credence/key-id/v1";
    /// A seed, from the client's nonce and its request.
    SEED = "credence/seed/v1";
    /// The head of a stream's chain, from what is known before the first token.
    STREAM = "credence/stream/v1";
    /// The next head, from the last one and what was said since.
    STREAM_LINK = "credence/stream-link/v1";
    /// The first bytes of the message that signs a head.
    STREAM_SIGNATURE = "credence/stream-signature/v1";
    /// A calibration set, as an importer read it.
    CALIBRATION = "credence/calibration/v1";
    /// What the draws of a spot check come from.
    SPOT_CHALLENGE = "credence/spot-challenge/v1";
    /// One draw of a spot check.
    SPOT_DRAW = "credence/spot-draw/v1";
    /// The terms of a dispute: its id.
    DISPUTE = "credence/dispute/v1";
    /// The first bytes of what a party to a dispute signs.
    DISPUTE_MESSAGE = "credence/dispute-message/v1";
    /// The next head of a dispute's chain, from the last one and what happened since.
    DISPUTE_LINK = "credence/dispute-link/v1";
    /// The first bytes of what a challenger signs when it files a dispute with a referee.
    DISPUTE_FILING = "credence/dispute-filing/v1";
    /// The first bytes of what a party signs to read a dispute at its referee.
    DISPUTE_PASS = "credence/dispute-pass/v1";
    /// Whether an auditor samples an entry of a log.
    AUDIT_SAMPLE = "credence/audit-sample/v1";
    /// The start of a Fiat–Shamir transcript.
    TRANSCRIPT = "credence/transcript/v1";
    /// A leaf of a succinct proof's tree: the opened symbol of a codeword.
    SNARK_LEAF = "credence/snark-leaf/v1";
    /// An inner node of a succinct proof's tree.
    SNARK_NODE = "credence/snark-node/v1";
    /// The values of a polynomial that a succinct proof sends in clear.
    SNARK_VALUES = "credence/snark-values/v1";
    /// A proof system's card of a model: its program, what is public of its weights, and the commitment to the others.
    SNARK_CARD = "credence/snark-card/v1";
    /// The work that a succinct proof shows before it may draw.
    SNARK_WORK = "credence/snark-work/v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(
                    i == j || !b.as_str().starts_with(a.as_str()),
                    "{a:?} begins {b:?}"
                );
            }
        }
    }

    #[test]
    fn each_names_the_project_and_a_version() {
        for domain in ALL {
            let text = domain.as_str();
            assert!(
                text.starts_with("credence/") && text.ends_with("/v1"),
                "{text}"
            );
        }
    }
}
