//! Where the numbered objects of a log stand.
//!
//! `record/000/000/001/234`: always four groups of three digits, so that no folder has more than a thousand children and
//! the newest is found by four listings.

use crate::entry::ENTRY_LEN;

/// The largest number: twelve digits. At four batches a second it is reached after seven thousand years.
pub const NUMBER_MAX: u64 = 999_999_999_999;

/// Levels of folders in a numbered name.
const GROUPS: usize = 4;

/// An object to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its name below the log's prefix.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What a batch consists of. Only who runs the log reads it.
    Record,
    /// A published checkpoint.
    Checkpoint,
}

impl Kind {
    /// The folder that all of this kind stand in.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Checkpoint => "checkpoints",
        }
    }

    /// The folder that those of this kind stood in which were written before `checkpoint` became the name of the newest one: a store
    /// that is a folder cannot have a file and a folder of one name. They stay where they are.
    #[must_use]
    pub const fn older_folder(self) -> Option<&'static str> {
        match self {
            Self::Record => None,
            Self::Checkpoint => Some("checkpoint"),
        }
    }

    /// Levels of folders below [`Self::folder`], the objects' own included.
    #[must_use]
    pub const fn depth(self) -> usize {
        GROUPS
    }
}

/// The name of a numbered object; `number` is at most [`NUMBER_MAX`].
#[must_use]
pub fn numbered(kind: Kind, number: u64) -> String {
    let digits = format!("{number:012}");
    let groups = digits.as_bytes().chunks(3);
    let mut name = kind.folder().to_owned();
    for group in groups {
        name.push('/');
        name.extend(group.iter().copied().map(char::from));
    }
    name
}

/// One group of a numbered name, as listings give it; `None` for what is none.
#[must_use]
pub fn parse_group(text: &str) -> Option<u64> {
    let plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Bytes of the longest tile or bundle: 256 entries behind their lengths.
#[must_use]
pub const fn bundle_len_max() -> u64 {
    // A tile has 256 hashes of 32 bytes, which is less.
    const LEN: usize = 256 * ENTRY_LEN;
    const { assert!(LEN == 8704) };
    8704
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers_do() {
        assert_eq!(numbered(Kind::Record, 1), "record/000/000/000/001");
        assert_eq!(
            numbered(Kind::Checkpoint, NUMBER_MAX),
            "checkpoints/999/999/999/999"
        );
        let numbers = [1, 2, 999, 1000, 1001, 999_999, 1_000_000, NUMBER_MAX];
        let names = numbers.map(|number| numbered(Kind::Record, number));
        assert!(names.is_sorted());
        for (text, expected) in [
            ("000", Some(0)),
            ("999", Some(999)),
            ("12", None),
            ("+12", None),
            ("1234", None),
        ] {
            assert_eq!(parse_group(text), expected);
        }
    }
}
