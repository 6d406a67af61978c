//! Tensors from files: `.npz` as numpy writes it, or JSON as the Open Inference Protocol has it.

mod json;
mod npy;
mod npz;

use std::path::Path;

use credence_model::Tensors;
use credence_store::file;

use crate::error::{CliError, chain};
use crate::exit::Exit;

pub(crate) use npz::read as read_npz;

/// The longest file of tensors that is read, in bytes, packed or not.
pub(crate) const TENSORS_BYTES_MAX: u64 = 1 << 30;

/// Reads the tensors of a file, whose name says which kind it is.
pub(crate) fn read_file(path: &Path) -> Result<Tensors, CliError> {
    let extension = path.extension().and_then(|e| e.to_str());
    let kind = extension.map(str::to_ascii_lowercase);
    let refuse = |error: &dyn std::error::Error| {
        let what = format!("`{}` cannot be used: {}", path.display(), chain(error));
        CliError::new(Exit::Malformed, what)
    };
    match kind.as_deref() {
        Some("npz") => npz::read(&file::read(path, TENSORS_BYTES_MAX)?, TENSORS_BYTES_MAX)
            .map_err(|e| refuse(&e).hint("numpy writes such files: `numpy.savez(FILE, name=array)`")),
        Some("json") => json::read(&file::read(path, TENSORS_BYTES_MAX)?).map_err(|e| {
            refuse(&e).hint(r#"the form is `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0,1]}]}`"#)
        }),
        Some(_) | None => {
            let what = format!("`{}` is neither `.npz` nor `.json`", path.display());
            Err(CliError::new(Exit::Usage, what)
                .hint("the end of its name says what a file of tensors holds"))
        }
    }
}
