//! Exit codes: one for each kind of failure, so that a script can tell a lie from a missing file.

use credence_verify::RefusalKind;

/// Why the process ends. The numbers are part of the interface (`docs/cli.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A fault of this machine or this program.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Something that was read is damaged, or not what it should be.
    Malformed,
    /// The signature is wrong.
    BadSignature,
    /// The parts of a bundle contradict each other.
    Inconsistent,
    /// All may be right, and it is not what was asked for.
    PolicyUnmet,
    /// Something that is needed is not here.
    Missing,
    /// The claim is false.
    Refuted,
    /// A file or socket could not be read or written.
    Io,
}

impl Exit {
    /// The number that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Malformed => 3,
            Self::BadSignature => 4,
            Self::Inconsistent => 5,
            Self::PolicyUnmet => 6,
            Self::Missing => 7,
            Self::Refuted => 8,
            Self::Io => 9,
        }
    }

    /// Its name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::Inconsistent => "inconsistent",
            Self::PolicyUnmet => "policy_unmet",
            Self::Missing => "missing",
            Self::Refuted => "refuted",
            Self::Io => "io",
        }
    }
}

impl From<RefusalKind> for Exit {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Malformed => Self::Malformed,
            RefusalKind::BadSignature => Self::BadSignature,
            RefusalKind::Inconsistent => Self::Inconsistent,
            RefusalKind::PolicyUnmet => Self::PolicyUnmet,
            RefusalKind::MissingFacts => Self::Missing,
            RefusalKind::Refuted => Self::Refuted,
            RefusalKind::Failed => Self::Failed,
        }
    }
}
