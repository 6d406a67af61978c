//! Which protocol, and which arithmetic, a statement is about.

use core::fmt;

/// The version of the claim's meaning and encoding. A claim of another version is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// A set of arithmetic rules, as a specification under `docs/spec` defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// `exact-1`: integers, one rounding (`docs/spec/arithmetic.md`).
    Exact1,
}

impl Profile {
    /// All profiles this build knows.
    pub const ALL: &[Self] = &[Self::Exact1];

    /// Its name, as it stands in a receipt.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact1 => "exact-1",
        }
    }

    /// The profile of that name, if this build knows it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.as_str() == name)
    }

    /// Its number in binary encodings.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Exact1 => 1,
        }
    }

    /// The profile of that number, if this build knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.code() == code)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_lead_back() {
        for profile in Profile::ALL {
            assert_eq!(Profile::from_name(profile.as_str()), Some(*profile));
            assert_eq!(Profile::from_code(profile.code()), Some(*profile));
        }
        assert_eq!(Profile::from_name("exact-2"), None);
        assert_eq!(Profile::from_code(0), None);
    }
}
