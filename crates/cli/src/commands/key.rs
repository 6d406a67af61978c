//! `credence key show`: the public half of the operator's key.

use credence_store::KeyFile;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;

/// What `key show --json` prints.
#[derive(Debug, Serialize)]
struct KeyView {
    public_key: String,
    key_id: String,
    file: String,
}

/// Prints the public key, making the key first if there is none. The secret half is never printed.
pub(crate) fn show(context: &mut Context) -> Result<(), CliError> {
    let file = KeyFile::at(context.home()?.operator_key());
    let operator = context.operator()?;
    let key = operator.public_key();
    if context.console.json() {
        return context.console.data_json(&KeyView {
            public_key: key.to_string(),
            key_id: key.id().to_string(),
            file: file.path().display().to_string(),
        });
    }
    context.console.data(&key.to_string())
}
