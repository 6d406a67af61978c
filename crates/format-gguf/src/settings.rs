//! Settings of one architecture and the tokenizer, typed, each known by name: one that nobody asked for could change what the model computes, so it is refused.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::cursor::Cursor;
use crate::error::GgufError;
use crate::file::Gguf;
use crate::number::narrow;
use crate::value::{Scalar, Value, ValueKind, scalar};

/// Metadata of a file, and which of it has been asked for.
pub(crate) struct Settings<'a> {
    file: &'a Gguf,
    asked: BTreeSet<String>,
}

impl<'a> Settings<'a> {
    pub(crate) const fn new(file: &'a Gguf) -> Self {
        Self {
            file,
            asked: BTreeSet::new(),
        }
    }

    /// Refuses keys under these prefixes that nobody asked for.
    pub(crate) fn finish(&self, prefixes: &[&str]) -> Result<(), GgufError> {
        let ours = |key: &&String| prefixes.iter().any(|prefix| key.starts_with(prefix));
        let mut unknown = self.file.metadata().keys().filter(ours);
        match unknown.find(|key| !self.asked.contains(*key)) {
            Some(key) => Err(GgufError::UnknownSetting { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// A key that says nothing about what the model computes.
    pub(crate) fn ignore(&mut self, key: &str) {
        self.asked.insert(key.to_owned());
    }

    fn get(&mut self, key: &str) -> Option<&'a Value> {
        self.asked.insert(key.to_owned());
        self.file.metadata().get(key)
    }

    fn typed<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let taken = take(value).ok_or_else(|| wrong(key, expected, value))?;
        Ok(Some(taken))
    }

    /// A count or an id.
    pub(crate) fn count(&mut self, key: &str) -> Result<Option<usize>, GgufError> {
        self.typed(key, "an integer that is no less than 0", |value| {
            let Value::Scalar(Scalar::Integer(got)) = value else {
                return None;
            };
            usize::try_from(*got).ok()
        })
    }

    /// A count that may also be given for each block, if all are the same.
    pub(crate) fn same_count(&mut self, key: &str) -> Result<Option<usize>, GgufError> {
        let Some(Value::Array { kind, count, at }) = self.get(key) else {
            return self.count(key);
        };
        let mut cursor = Cursor::starting(self.file.bytes(), at.start);
        let mut same = None;
        for _ in 0..*count {
            let got = scalar(&mut cursor, *kind)?;
            if same.is_some_and(|first| first != got) {
                return Err(refused(key, "one count for all blocks", "different ones"));
            }
            same = Some(got);
        }
        let count = match same {
            Some(Scalar::Integer(got)) => usize::try_from(got).ok(),
            _ => None,
        };
        let expected = "one count for all blocks";
        count
            .map(Some)
            .ok_or_else(|| refused(key, expected, "no such count"))
    }

    /// A count that must be there.
    pub(crate) fn need_count(&mut self, key: &str) -> Result<usize, GgufError> {
        let found = self.same_count(key)?;
        found.ok_or_else(|| missing(key))
    }

    /// A float.
    pub(crate) fn number(&mut self, key: &str) -> Result<Option<f32>, GgufError> {
        self.typed(key, "a float", |value| {
            let Value::Scalar(Scalar::Float(got)) = value else {
                return None;
            };
            Some(narrow(*got))
        })
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, GgufError> {
        self.typed(key, "true or false", |value| {
            let Value::Scalar(Scalar::Bool(got)) = value else {
                return None;
            };
            Some(*got)
        })
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<&'a str>, GgufError> {
        self.typed(key, "a text", |value| {
            let Value::String(got) = value else {
                return None;
            };
            Some(got.as_str())
        })
    }

    /// A text that must be there.
    pub(crate) fn need_text(&mut self, key: &str) -> Result<&'a str, GgufError> {
        self.text(key)?.ok_or_else(|| missing(key))
    }

    fn array(
        &mut self,
        key: &str,
        wanted: ValueKind,
    ) -> Result<Option<(usize, Range<usize>)>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array { kind, count, at }) if *kind == wanted => {
                Ok(Some((*count, at.clone())))
            }
            Some(other) => Err(GgufError::Setting {
                key: key.to_owned(),
                expected: format!("an array of {wanted:?}"),
                got: other.to_string(),
            }),
        }
    }

    /// Texts; none if there is no such key.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Vec<String>, GgufError> {
        let Some((count, at)) = self.array(key, ValueKind::String)? else {
            return Ok(Vec::new());
        };
        let mut cursor = Cursor::starting(self.file.bytes(), at.start);
        let read = (0..count).map(|_| cursor.string("a text in an array", u64::MAX));
        read.map(|text| text.map(str::to_owned)).collect()
    }

    /// Floats of 32 bits; none if there is no such key.
    pub(crate) fn numbers(&mut self, key: &str) -> Result<Vec<f32>, GgufError> {
        let Some((count, at)) = self.array(key, ValueKind::F32)? else {
            return Ok(Vec::new());
        };
        let mut cursor = Cursor::starting(self.file.bytes(), at.start);
        let read = (0..count).map(|_| cursor.array("a number").map(f32::from_le_bytes));
        read.collect()
    }

    /// Integers of 32 bits; none if there is no such key.
    pub(crate) fn integers(&mut self, key: &str) -> Result<Vec<i32>, GgufError> {
        let Some((count, at)) = self.array(key, ValueKind::I32)? else {
            return Ok(Vec::new());
        };
        let mut cursor = Cursor::starting(self.file.bytes(), at.start);
        let read = (0..count).map(|_| cursor.array("a number").map(i32::from_le_bytes));
        read.collect()
    }

    /// Truth values, if the key holds an array.
    pub(crate) fn flags(&mut self, key: &str) -> Result<Option<Vec<bool>>, GgufError> {
        if !matches!(self.get(key), Some(Value::Array { .. })) {
            return Ok(None);
        }
        let Some((count, at)) = self.array(key, ValueKind::Bool)? else {
            return Ok(None);
        };
        let mut cursor = Cursor::starting(self.file.bytes(), at.start);
        let read = (0..count).map(|_| scalar(&mut cursor, ValueKind::Bool));
        let flags = read.map(|flag| flag.map(|flag| flag == Scalar::Bool(true)));
        flags.collect::<Result<_, _>>().map(Some)
    }

    /// Refuses any other value of a count than the one that means nothing special.
    pub(crate) fn only_count(&mut self, key: &str, supported: usize) -> Result<(), GgufError> {
        match self.count(key)? {
            Some(got) if got != supported => {
                Err(refused(key, supported.to_string(), got.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses any other text.
    pub(crate) fn only_text(&mut self, key: &str, supported: &str) -> Result<(), GgufError> {
        match self.text(key)? {
            Some(got) if got != supported => {
                Err(refused(key, format!("`{supported}`"), format!("`{got}`")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses any other number.
    pub(crate) fn only_number(&mut self, key: &str, supported: f32) -> Result<(), GgufError> {
        match self.number(key)? {
            Some(got) if got != supported => {
                Err(refused(key, supported.to_string(), got.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses any other truth value.
    pub(crate) fn only_flag(&mut self, key: &str, supported: bool) -> Result<(), GgufError> {
        match self.flag(key)? {
            Some(got) if got != supported => {
                Err(refused(key, supported.to_string(), got.to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// A setting whose value is not supported.
pub(crate) fn refused(key: &str, expected: impl Into<String>, got: impl Into<String>) -> GgufError {
    GgufError::Setting {
        key: key.to_owned(),
        expected: expected.into(),
        got: got.into(),
    }
}

fn wrong(key: &str, expected: &str, value: &Value) -> GgufError {
    refused(key, expected, value.to_string())
}

fn missing(key: &str) -> GgufError {
    GgufError::Missing {
        key: key.to_owned(),
    }
}
