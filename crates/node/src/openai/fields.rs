//! The members of a JSON object, each as its own bytes, taken one by one until none may be left.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::openai::error::RequestError;
use crate::openai::number::millionths;

/// Members that were not taken yet. `null` counts as absent, as OpenAI's own clients mean it.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    members: BTreeMap<String, &'a RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("`{name}` stands twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Fields { members })
            }
        }
        from.deserialize_map(Members)
    }
}

impl<'a> Fields<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, RequestError> {
        serde_json::from_slice(body).map_err(RequestError::Json)
    }

    /// A member's bytes; nothing if it is absent or `null`.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let value = self.members.remove(name)?;
        (value.get() != "null").then_some(value)
    }

    /// A member of a type that JSON can say.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        let read = |value: &RawValue| {
            serde_json::from_str(value.get()).map_err(|_| RequestError::Kind {
                param: name.to_owned(),
                expected,
            })
        };
        self.take(name).map(read).transpose()
    }

    pub(super) fn value(&mut self, name: &str) -> Result<Option<Value>, RequestError> {
        self.typed(name, "JSON that nests less deeply")
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, RequestError> {
        Ok(self.typed(name, "true or false")?.unwrap_or(false))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, RequestError> {
        self.typed(name, "a text")
    }

    /// A whole number of `min..=max`.
    pub(super) fn count(
        &mut self,
        name: &str,
        (min, max): (u64, u64),
    ) -> Result<Option<u64>, RequestError> {
        let got: Option<u64> = self.typed(name, "a whole number, not negative")?;
        match got {
            Some(got) if !(min..=max).contains(&got) => Err(RequestError::Range {
                param: name.to_owned(),
                min,
                max,
                got,
            }),
            got => Ok(got),
        }
    }

    /// A decimal number, in millionths.
    pub(super) fn millionths(&mut self, name: &str) -> Result<Option<i64>, RequestError> {
        let read = |value: &RawValue| {
            millionths(value.get()).map_err(|source| RequestError::Number {
                param: name.to_owned(),
                source,
            })
        };
        self.take(name).map(read).transpose()
    }

    /// Refuses the first member that nobody took.
    pub(super) fn finish(self) -> Result<(), RequestError> {
        match self.members.into_keys().next() {
            None => Ok(()),
            Some(param) => Err(RequestError::Unknown { param }),
        }
    }

    /// The members that are left.
    pub(super) fn into_members(self) -> BTreeMap<String, &'a RawValue> {
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_once_and_none_may_be_left() {
        let mut fields = Fields::read(br#"{"a":1,"b":null,"c":"x","d":0.25}"#).unwrap();
        assert_eq!(fields.count("a", (0, 9)).unwrap(), Some(1));
        assert_eq!(fields.count("a", (0, 9)).unwrap(), None);
        assert!(!fields.flag("b").unwrap());
        assert_eq!(fields.millionths("d").unwrap(), Some(250_000));
        let error = fields.finish().unwrap_err();
        assert_eq!(error.param(), Some("c"));
    }

    #[test]
    fn what_is_no_object_or_says_something_twice_is_refused() {
        for body in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1} x"#,
            "\"\u{0}\"",
        ] {
            assert!(Fields::read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Fields::read(b"{\"a\":\"\xff\"}").is_err());
    }
}
