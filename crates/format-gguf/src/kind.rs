//! Element types of tensors: their numbers in the file, their names, and how many bytes a block of each takes.

use std::fmt;

/// An element type that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TensorKind {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an IEEE single.
    Bf16,
    /// 32 elements: a half `d`, 8-bit integers: `d·q`.
    Q8_0,
    /// 32 elements: a half `d`, 4-bit integers: `d·(q − 8)`.
    Q4_0,
    /// 32 elements: halves `d` and `m`, 4-bit integers: `d·q + m`.
    Q4_1,
    /// 32 elements: a half `d`, 5-bit integers: `d·(q − 16)`.
    Q5_0,
    /// 32 elements: halves `d` and `m`, 5-bit integers: `d·q + m`.
    Q5_1,
    /// 256 elements in 8 parts with 6-bit scales and minima, 4-bit integers.
    Q4K,
    /// 256 elements in 8 parts with 6-bit scales and minima, 5-bit integers.
    Q5K,
    /// 256 elements in 16 parts with 8-bit scales, 6-bit integers.
    Q6K,
}

/// Number in the file, type, name, elements of a block, bytes of a block.
const KINDS: [(u32, TensorKind, &str, usize, usize); 11] = [
    (0, TensorKind::F32, "F32", 1, 4),
    (1, TensorKind::F16, "F16", 1, 2),
    (30, TensorKind::Bf16, "BF16", 1, 2),
    (8, TensorKind::Q8_0, "Q8_0", 32, 34),
    (2, TensorKind::Q4_0, "Q4_0", 32, 18),
    (3, TensorKind::Q4_1, "Q4_1", 32, 20),
    (6, TensorKind::Q5_0, "Q5_0", 32, 22),
    (7, TensorKind::Q5_1, "Q5_1", 32, 24),
    (12, TensorKind::Q4K, "Q4_K", 256, 144),
    (13, TensorKind::Q5K, "Q5_K", 256, 176),
    (14, TensorKind::Q6K, "Q6_K", 256, 210),
];

/// Names of the types that are not supported, for messages.
const OTHERS: [(u32, &str); 23] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl TensorKind {
    /// The type with this number, if it can be read.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let row = KINDS.iter().find(|row| row.0 == number);
        row.map(|row| row.1)
    }

    fn row(self) -> Option<&'static (u32, Self, &'static str, usize, usize)> {
        KINDS.iter().find(|row| row.1 == self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.2)
    }

    /// Elements of a block; rows consist of whole blocks.
    #[must_use]
    pub fn block(self) -> usize {
        self.row().map_or(1, |row| row.3)
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        self.row().map_or(1, |row| row.4)
    }
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to call the type with this number.
pub(crate) fn name_of(number: u32) -> String {
    let known = KINDS.iter().map(|row| (row.0, row.2)).chain(OTHERS);
    let mut named = known.filter(|(other, _)| *other == number);
    named
        .next()
        .map_or_else(|| format!("{number}"), |(_, name)| name.to_owned())
}

/// Names of all types that can be read.
#[must_use]
pub fn supported_kinds() -> String {
    KINDS.map(|row| row.2).join(", ")
}
