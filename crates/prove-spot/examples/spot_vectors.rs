//! Writes `vectors/spot/`: to be run when the format of evidence changes, and then only.
//!
//! `cargo run --release -p credence-prove-spot --example spot_vectors`. What the files hold is said beside the test that reads them.
#![expect(clippy::unwrap_used, reason = "an example that fails stops")]

#[path = "../tests/spot/common.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod common;
#[path = "../tests/spot/making.rs"]
mod making;

fn main() {
    std::fs::create_dir_all(making::folder()).unwrap();
    for (name, file) in making::files() {
        let text = serde_json::to_string_pretty(&file).unwrap();
        std::fs::write(making::folder().join(name), text + "\n").unwrap();
    }
}
