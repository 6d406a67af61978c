//! What stands behind a claim's commitments, for those entitled to see it.
//!
//! [`Openings`] are whatever someone sent; [`CheckedOpenings`] exist only after each of them was found to be what the
//! claim commits to. The trace's salt is the exception: only a method that recomputes the trace's root can check it,
//! and [`Case::check_trace`](crate::Case::check_trace) is how.

use core::fmt;

use credence_base::{Digest, PublicKey, Salt};

use crate::claim::Claim;
use crate::commitment::{
    input_commitment, input_root, output_commitment, output_root, params_commitment, params_root,
};

/// A committed field of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The input.
    Input,
    /// The parameters.
    Params,
    /// The output.
    Output,
    /// The trace.
    Trace,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Params => "parameters",
            Self::Output => "output",
            Self::Trace => "trace",
        })
    }
}

/// An opening does not match the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the opened {field} is not what the claim commits to: expected {expected}, got {got}")]
pub struct OpeningsError {
    /// Which field.
    pub field: Field,
    /// The commitment in the claim.
    pub expected: Digest,
    /// The commitment that the opening leads to.
    pub got: Digest,
}

/// One opened content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The salt that hid it.
    pub salt: Salt,
    /// Its canonical bytes, as the model's crates define them.
    pub content: Vec<u8>,
}

/// What someone says stands behind the commitments. Nothing of it is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openings {
    /// The input.
    pub input: Option<Opened>,
    /// The parameters.
    pub params: Option<Opened>,
    /// The output.
    pub output: Option<Opened>,
    /// The salt of the trace, whose root the checker recomputes.
    pub trace: Option<Salt>,
}

/// Openings that are what the claim commits to, but for the trace's salt (see the module).
#[derive(Debug, Clone, Copy)]
pub struct CheckedOpenings<'a>(&'a Openings);

impl<'a> CheckedOpenings<'a> {
    pub(crate) fn check(
        claim: &Claim,
        operator: &PublicKey,
        openings: &'a Openings,
    ) -> Result<Self, OpeningsError> {
        let fields = claim.fields();
        let Openings {
            input,
            params,
            output,
            trace: _,
        } = openings;
        if let Some(Opened { salt, content }) = input {
            let got = input_commitment(operator, salt, &input_root(content));
            equal(Field::Input, fields.input.digest(), got.digest())?;
        }
        if let Some(Opened { salt, content }) = params {
            let got = params_commitment(operator, salt, &params_root(content));
            equal(Field::Params, fields.params.digest(), got.digest())?;
        }
        if let Some(Opened { salt, content }) = output {
            let got = output_commitment(operator, salt, &output_root(content));
            equal(Field::Output, fields.output.digest(), got.digest())?;
        }
        Ok(Self(openings))
    }

    /// The input's bytes, if opened.
    #[must_use]
    pub fn input(&self) -> Option<&'a [u8]> {
        self.0
            .input
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }

    /// The parameters' bytes, if opened.
    #[must_use]
    pub fn params(&self) -> Option<&'a [u8]> {
        self.0
            .params
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }

    /// The output's bytes, if opened.
    #[must_use]
    pub fn output(&self) -> Option<&'a [u8]> {
        self.0
            .output
            .as_ref()
            .map(|opened| opened.content.as_slice())
    }

    pub(crate) fn trace_salt(&self) -> Option<&'a Salt> {
        self.0.trace.as_ref()
    }
}

fn equal(field: Field, expected: Digest, got: Digest) -> Result<(), OpeningsError> {
    if expected == got {
        Ok(())
    } else {
        Err(OpeningsError {
            field,
            expected,
            got,
        })
    }
}
