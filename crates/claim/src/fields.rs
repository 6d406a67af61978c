//! The small fields of a claim, each with its number in binary and its name in a receipt.

use credence_base::Name;

/// How much went in and came out.
///
/// The unit is the model's own: items of the batch for a tensor model, tokens for a language model. One pair of
/// names fits both because the model id says which kind it is, and so what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Items or tokens read.
    pub input: u64,
    /// Items or tokens made.
    pub output: u64,
}

/// Why the output ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model computes all of its output at once, and did. Tensor models know no other.
    Complete,
    /// A language model gave its end, or a stop sequence was met.
    Stop,
    /// A language model reached the length that was asked for, or its context's end.
    Length,
    /// The client left, or withdrew the request; the output is what was made until then.
    Cancelled,
}

/// Where the seed of every random draw comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedSource {
    /// Nothing is drawn.
    Nothing,
    /// It is derived from the client's nonce and request ([`crate::seed`]); the parameters do not hold it.
    Derived,
    /// The client chose it; the parameters hold it.
    Client,
    /// The operator chose it; the parameters hold it. The operator could have drawn until it liked the answer.
    Operator,
}

macro_rules! coded {
    ($type:ident { $($variant:ident = $code:literal, $name:literal;)+ }) => {
        impl $type {
            /// All values, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its number in binary encodings.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The value of that number.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.code() == code)
            }

            /// Its name in receipts.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The value of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }
    };
}

coded!(FinishReason {
    Complete = 1, "complete";
    Stop = 2, "stop";
    Length = 3, "length";
    Cancelled = 4, "cancelled";
});

coded!(SeedSource {
    Nothing = 1, "nothing";
    Derived = 2, "derived";
    Client = 3, "client";
    Operator = 4, "operator";
});

/// The engine that constrained which tokens a language model could give, such as a grammar's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstrainedDecoding {
    /// The engine.
    pub engine: Name,
    /// Its version, since another version may allow other tokens.
    pub version: Name,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for value in FinishReason::ALL {
            assert_eq!(FinishReason::from_code(value.code()), Some(*value));
            assert_eq!(FinishReason::from_name(value.as_str()), Some(*value));
        }
        for value in SeedSource::ALL {
            assert_eq!(SeedSource::from_code(value.code()), Some(*value));
            assert_eq!(SeedSource::from_name(value.as_str()), Some(*value));
        }
        for wrong in [0, 5, 255] {
            assert_eq!(FinishReason::from_code(wrong), None);
            assert_eq!(SeedSource::from_code(wrong), None);
        }
        assert_eq!(SeedSource::from_name("Derived"), None);
    }
}
