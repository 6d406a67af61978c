//! Runs a GGUF model in floats: token ids on standard input, the likeliest next tokens after each of them as JSON on standard output.
//!
//! ```text
//! echo 1 2 3 | cargo run --release -p credence-format-gguf --example logits -- MODEL.gguf [LOGITS.f32]
//! ```
//!
//! With a second path, all logits are written there as little-endian f32, one row for each token.

use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;

use credence_format_gguf::{Gguf, Limits, language_graph};
use credence_import::language::FloatRun;
use serde_json::json;

/// How many tokens to show for each position.
const SHOWN: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: logits MODEL.gguf [LOGITS.f32] < tokens")?;
    let file = Gguf::parse(Arc::new(std::fs::read(path)?), &Limits::MODELS)?;
    let graph = language_graph(&file)?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let tokens = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<Vec<u32>, _>>()?;
    let positions: Vec<usize> = (0..tokens.len()).collect();
    let started = std::time::Instant::now();
    let logits = FloatRun::new(&graph).logits(&tokens, &positions)?;
    let seconds = started.elapsed().as_secs_f64();
    let top: Vec<_> = logits.iter().map(|row| likeliest(row)).collect();
    let report = json!({ "model": graph.name, "seconds": seconds, "top": top });
    writeln!(std::io::stdout(), "{report}")?;
    if let Some(path) = arguments.next() {
        let bytes: Vec<u8> = logits
            .iter()
            .flatten()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// The highest logits with their tokens.
fn likeliest(row: &[f32]) -> Vec<(usize, f32)> {
    let mut all: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(SHOWN);
    all.shrink_to_fit();
    all
}
