//! Writes `vectors/commit`, `vectors/receipt` and this crate's fixture: `cargo run -p credence-receipt --example vectors`.
//!
//! Running it and finding a difference is a change of format.

use std::path::Path;

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in support::vectors::files() {
        std::fs::write(root.join(path), text)?;
    }
    Ok(())
}
