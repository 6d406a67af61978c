//! The `data` of a tensor: numbers, flat or nested, before anyone knows their type.
//!
//! `datatype` may stand behind `data`, so numbers are kept as integers until one of them is not, and as binary64 from
//! then on. A binary32 element is the binary32 nearest to the binary64 nearest to the decimal that was sent.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};

/// The deepest nesting that is read: the most axes that a tensor has, the batch included.
const DEPTH_MAX: usize = 9;

/// Numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// All of them are integers.
    Integers(Vec<i64>),
    /// At least one is not.
    Floats(Vec<f64>),
    /// For writing: binary32 elements, each as the shortest decimal that gives it back.
    Singles(Vec<f32>),
}

impl Values {
    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(all) => all.len(),
            Self::Floats(all) => all.len(),
            Self::Singles(all) => all.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push_integer(&mut self, value: i64) {
        match self {
            Self::Integers(all) => all.push(value),
            Self::Floats(all) => all.push(nearest(value)),
            Self::Singles(_) => {}
        }
    }

    fn push_float(&mut self, value: f64) {
        if let Self::Integers(all) = self {
            *self = Self::Floats(all.iter().map(|n| nearest(*n)).collect());
        }
        if let Self::Floats(all) = self {
            all.push(value);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the binary64 nearest to an integer is what is wanted"
)]
const fn nearest(value: i64) -> f64 {
    value as f64
}

/// Numbers, and how they were nested.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    values: Values,
    dims: Vec<u64>,
}

impl Data {
    /// Numbers in one flat list.
    #[must_use]
    pub fn flat(values: Values) -> Self {
        let dims = vec![u64::try_from(values.len()).unwrap_or(u64::MAX)];
        Self { values, dims }
    }

    /// The numbers.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// The lengths of the lists, outermost first; one for a flat list.
    #[must_use]
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.values.len()))?;
        match &self.values {
            Values::Integers(all) => all.iter().try_for_each(|n| list.serialize_element(n))?,
            Values::Floats(all) => all.iter().try_for_each(|x| list.serialize_element(x))?,
            Values::Singles(all) => all.iter().try_for_each(|x| list.serialize_element(x))?,
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut state = State {
            values: Values::Integers(Vec::new()),
            dims: Vec::new(),
            leaf_depth: None,
        };
        let depth = 0;
        deserializer.deserialize_seq(List {
            state: &mut state,
            depth,
        })?;
        let State { values, dims, .. } = state;
        let dims = dims.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { values, dims })
    }
}

struct State {
    values: Values,
    /// The length of the lists at each depth, once one of them has ended.
    dims: Vec<Option<u64>>,
    /// The depth at which numbers stand, once there was one.
    leaf_depth: Option<usize>,
}

/// Reads one list at `depth`, 0 being the outermost.
struct List<'a> {
    state: &'a mut State,
    depth: usize,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers, flat or nested")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { state, depth } = self;
        if depth >= DEPTH_MAX {
            let text = format!("lists are nested deeper than {DEPTH_MAX}");
            return Err(A::Error::custom(text));
        }
        if state.dims.len() <= depth {
            state.dims.push(None);
        }
        let mut len = 0_u64;
        let next = depth.saturating_add(1);
        while list
            .next_element_seed(Element {
                state: &mut *state,
                depth: next,
            })?
            .is_some()
        {
            len = len.saturating_add(1);
        }
        let Some(dim) = state.dims.get_mut(depth) else {
            return Ok(());
        };
        match *dim {
            Some(other) if other != len => {
                let text = format!("lists of {other} and of {len} stand side by side");
                Err(A::Error::custom(text))
            }
            _ => {
                *dim = Some(len);
                Ok(())
            }
        }
    }
}

/// Reads a number or a list that stands inside a list.
struct Element<'a> {
    state: &'a mut State,
    depth: usize,
}

impl Element<'_> {
    fn leaf<E: Error>(&mut self) -> Result<&mut Values, E> {
        let depth = *self.state.leaf_depth.get_or_insert(self.depth);
        if depth != self.depth || self.state.dims.len() > self.depth {
            return Err(E::custom("numbers and lists stand side by side"));
        }
        Ok(&mut self.state.values)
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.leaf()?.push_integer(value);
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        let leaf = self.leaf()?;
        match i64::try_from(value) {
            Ok(value) => leaf.push_integer(value),
            Err(_) => {
                return Err(E::custom(format!("{value} is beyond 64-bit integers")));
            }
        }
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.leaf()?.push_float(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        if self.state.leaf_depth.is_some_and(|leaf| leaf <= self.depth) {
            return Err(A::Error::custom("numbers and lists stand side by side"));
        }
        let Self { state, depth } = self;
        List { state, depth }.visit_seq(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Data, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn flat_and_nested_give_the_same_numbers() {
        let integers = Values::Integers(vec![1, 2, 3, 4, 5, 6]);
        for (text, dims) in [
            ("[1,2,3,4,5,6]", vec![6]),
            ("[[1,2,3],[4,5,6]]", vec![2, 3]),
            ("[[[1],[2],[3]],[[4],[5],[6]]]", vec![2, 3, 1]),
        ] {
            let data = read(text).unwrap();
            assert_eq!((data.values(), data.dims()), (&integers, dims.as_slice()));
        }
        assert_eq!(read("[]").unwrap(), Data::flat(Values::Integers(vec![])));
        assert_eq!(read("[[],[]]").unwrap().dims(), [2, 0]);
        let mixed = Values::Floats(vec![1.0, 2.5, -3.0]);
        assert_eq!(read("[1, 2.5, -3]").unwrap(), Data::flat(mixed));
    }

    #[test]
    fn what_has_no_shape_or_no_value_is_refused() {
        let deep = format!("{}1{}", "[".repeat(10), "]".repeat(10));
        let cases = [
            ("[[1,2],[3]]", "side by side"),
            ("[1,[2]]", "side by side"),
            ("[[1],2]", "side by side"),
            ("[[],1]", "side by side"),
            ("[[[1]],[1]]", "side by side"),
            ("[[],[1]]", "side by side"),
            ("[NaN]", "expected value"),
            ("[true]", "boolean"),
            ("[\"1\"]", "string"),
            ("[null]", "null"),
            ("1", "a list of numbers"),
            ("{}", "a list of numbers"),
            ("[9223372036854775808]", "beyond"),
            ("[1e999]", "out of range"),
            (&deep, "nested deeper"),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn singles_are_written_shortest() {
        let data = Data::flat(Values::Singles(vec![
            0.1,
            -0.0,
            16_777_216.0,
            f32::MIN_POSITIVE,
        ]));
        let text = serde_json::to_string(&data).unwrap();
        assert_eq!(text, "[0.1,-0.0,16777216.0,1.1754944e-38]");
    }
}
