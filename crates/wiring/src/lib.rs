//! Names, in plain lists, every format and every method this build trusts.
//!
//! Nothing registers itself: to add a format or a method is to add its crate and one line here. That a method stands in the
//! list accepts nothing; a policy must ask for it by name.
//!
//! `signed` is no entry: the verifier checks the signature of every receipt itself, before any method runs.
#![forbid(unsafe_code)]

mod formats;
mod methods;

pub use formats::{
    Bytes, CONFIG_FILE, FloatModel, Folder, Format, JSON_BYTES_MAX, MODULES_FILE, POOLING_FILE,
    ParseError, TOKENIZER_FILE, TensorModel, UnknownFormat, WEIGHTS_BYTES_MAX, WEIGHTS_FILE,
    format_of, parse_folder,
};
pub use methods::methods;
