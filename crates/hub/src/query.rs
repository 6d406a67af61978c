//! How a person says which model: by name, by id, or by the beginning of an id.

use credence_base::{ModelId, Name};

use crate::error::HubError;

/// The fewest digits that stand for an id.
pub const PREFIX_LEN_MIN: usize = 8;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A whole id.
    Id(ModelId),
    /// At least [`PREFIX_LEN_MIN`] of an id's digits.
    Prefix(String),
    /// A name.
    Name(Name),
}

impl Query {
    /// Reads what a person typed. No text is both a name and an id, since [`check_name`] refuses such names.
    ///
    /// # Errors
    /// [`HubError::Query`] when it can be neither.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let source = match Name::new(text) {
            Ok(name) if like_id(text) => return Ok(Self::Prefix(name.as_str().to_owned())),
            Ok(name) => return Ok(Self::Name(name)),
            Err(source) => source,
        };
        Err(HubError::Query {
            query: text.to_owned(),
            source,
        })
    }

    /// Whether `id` is, or begins with, what was asked for. A name fits no id.
    #[must_use]
    pub fn fits(&self, id: ModelId) -> bool {
        match self {
            Self::Id(asked) => *asked == id,
            Self::Prefix(digits) => id.to_string().starts_with(digits),
            Self::Name(_) => false,
        }
    }
}

/// Refuses names that could be taken for the beginning of an id.
pub(crate) fn check_name(name: &Name) -> Result<(), HubError> {
    if like_id(name.as_str()) {
        return Err(HubError::NameLikeId { name: name.clone() });
    }
    Ok(())
}

fn like_id(text: &str) -> bool {
    text.len() >= PREFIX_LEN_MIN && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ids_and_beginnings_are_told_apart() {
        let id = "0123456789abcdef".repeat(4);
        let name = |text: &str| Some(Query::Name(Name::new(text).unwrap()));
        let cases = [
            (id.as_str(), id.parse().ok().map(Query::Id)),
            ("deadbeef", Some(Query::Prefix("deadbeef".to_owned()))),
            ("deadbee", name("deadbee")),
            ("digits-cnn", name("digits-cnn")),
            ("deadbeef-2", name("deadbeef-2")),
            ("Digits", None),
            ("", None),
            ("a b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Query::parse(text).ok(), expected, "{text}");
        }
        let refused = check_name(&Name::new("deadbeef").unwrap());
        assert!(matches!(refused, Err(HubError::NameLikeId { .. })));
    }

    #[test]
    fn a_beginning_fits() {
        let id: ModelId = "0123456789abcdef".repeat(4).parse().unwrap();
        assert!(Query::parse("01234567").unwrap().fits(id));
        assert!(!Query::parse("11234567").unwrap().fits(id));
        assert!(Query::Id(id).fits(id));
    }
}
