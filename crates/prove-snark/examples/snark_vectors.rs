//! Writes `vectors/snark`: `cargo run --release -p credence-prove-snark --example snark_vectors`.
//!
//! Running it and finding a difference is a change of format.
#![expect(
    dead_code,
    reason = "the tests' own helpers, of which some are for tests alone"
)]
#![expect(clippy::unwrap_used, reason = "what cannot be made is not written")]

use std::path::Path;

#[path = "../tests/snark/common.rs"]
mod common;
#[path = "../tests/snark/small.rs"]
mod small;
#[path = "../tests/snark/story.rs"]
mod story;
#[path = "../tests/snark/vectors.rs"]
mod vectors;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in vectors::files() {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}
