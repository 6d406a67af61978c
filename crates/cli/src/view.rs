//! How things are shown: to people as text, to programs as JSON.
//!
//! Library types carry no `Serialize`; the forms that this program prints stand here and are held to `schemas/cli-*.v1.json`.

pub(crate) mod assurance;
pub(crate) mod digits;
pub(crate) mod fidelity;
pub(crate) mod language;
pub(crate) mod model;
pub(crate) mod table;
pub(crate) mod tensors;
