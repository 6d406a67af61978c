//! Why the parts of a language model do not make one. Each message names the part, what it must be and what it is.

/// Parts that do not fit together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LanguageError {
    /// A size that must be positive and is not, or is too large to compute with.
    #[error("the model's {what} must be from {min} to {max}, but is {got}")]
    Size {
        /// Which size.
        what: &'static str,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
        /// What it is.
        got: usize,
    },
    /// A count that must be a multiple of another.
    #[error("the model's {what} must be a multiple of {of}, but is {got}")]
    Multiple {
        /// Which count.
        what: &'static str,
        /// The other count.
        of: usize,
        /// What it is.
        got: usize,
    },
    /// A number that must be positive and finite.
    #[error("the model's {what} must be positive and finite, but is {got}")]
    Number {
        /// Which number.
        what: &'static str,
        /// What it is.
        got: f32,
    },
    /// A matrix of another shape.
    #[error(
        "{part}: the matrix must have {rows} rows of {columns}, but has {got_rows} of {got_columns}"
    )]
    Shape {
        /// Which matrix.
        part: String,
        /// Rows it must have.
        rows: usize,
        /// Columns it must have.
        columns: usize,
        /// Rows it has.
        got_rows: usize,
        /// Columns it has.
        got_columns: usize,
    },
    /// A vector of another length.
    #[error("{part} must have {expected} elements, but has {got}")]
    Length {
        /// Which vector.
        part: String,
        /// Elements it must have.
        expected: usize,
        /// Elements it has.
        got: usize,
    },
    /// A vector holds NaN or an infinity.
    #[error("{part} has {got} at element {element}: repair the model before importing it")]
    NotFinite {
        /// Which vector.
        part: String,
        /// Index of the element.
        element: usize,
        /// The element.
        got: f32,
    },
    /// Blocks are gated where the model says they are not, or the other way round.
    #[error("block {block}: the gate must be {expected}, but is {got}")]
    Gate {
        /// The block.
        block: usize,
        /// `there` or `absent`.
        expected: &'static str,
        /// `there` or `absent`.
        got: &'static str,
    },
    /// A block names a rotation that the model does not have.
    #[error("block {block} uses rotation {got}, but the model has {count}")]
    Rope {
        /// The block.
        block: usize,
        /// The rotation.
        got: usize,
        /// Rotations there are.
        count: usize,
    },
    /// A special token that is none of the tokens.
    #[error("the special token `{role}` has id {got}, but there are {count} tokens")]
    Special {
        /// Its role.
        role: &'static str,
        /// Its id.
        got: u32,
        /// Tokens there are.
        count: usize,
    },
}
