//! The parameters of a tensor model: a list that is empty.
//!
//! A tensor model takes nothing but its inputs, and a claim commits to that too, so that a parameter which a later
//! version knows cannot be slipped in. The bytes are a version, 1, and the count of parameters, 0, as a `u32`.

use credence_base::wire::{Reader, WireError};

/// The canonical bytes: `01 00000000`.
pub const TENSOR_PARAMS: &[u8] = &[1, 0, 0, 0, 0];

/// Why bytes are not the parameters of a tensor model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TensorParamsError {
    /// Another version of the list.
    #[error("expected version {expected} of the parameters, got {got}")]
    Version {
        /// The version this build reads.
        expected: u8,
        /// The version found.
        got: u8,
    },
    /// There are parameters.
    #[error("expected no parameter for a tensor model, got {got}")]
    Count {
        /// How many there are said to be.
        got: u32,
    },
    /// Not a list of parameters.
    #[error("the bytes are not a list of parameters")]
    Wire(#[from] WireError),
}

/// Checks that `content` is [`TENSOR_PARAMS`], and says how not.
///
/// # Errors
/// [`TensorParamsError`].
pub fn check_tensor_params(content: &[u8]) -> Result<(), TensorParamsError> {
    let mut reader = Reader::new(content);
    let version = reader.u8()?;
    if version != 1 {
        return Err(TensorParamsError::Version {
            expected: 1,
            got: version,
        });
    }
    match reader.u32()? {
        0 => Ok(reader.finish()?),
        got => Err(TensorParamsError::Count { got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_empty_list_passes() {
        let cases: [(&[u8], bool); 7] = [
            (TENSOR_PARAMS, true),
            (&[], false),
            (&[1], false),
            (&[1, 0, 0, 0], false),
            (&[2, 0, 0, 0, 0], false),
            (&[1, 1, 0, 0, 0], false),
            (&[1, 0, 0, 0, 0, 0], false),
        ];
        for (content, passes) in cases {
            assert_eq!(check_tensor_params(content).is_ok(), passes, "{content:?}");
        }
    }
}
