//! The trace root of an answer: `trace_root MODEL PROMPT ANSWER`, tokens as JSON arrays. For `tests/python/golden/make_smollm2_chats.py`.
//!
//! A bundle does not show it: what a claim commits to is salted.

use std::num::NonZeroUsize;
use std::sync::Arc;

use credence_exec::{Append, Engine, Isa, Options};
use credence_model::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, prompt, answer] = arguments.as_slice() else {
        return Err("usage: trace_root MODEL PROMPT ANSWER".into());
    };
    let (model, _) = Model::from_safetensors(&std::fs::read(model)?)?;
    let mut tokens: Vec<u32> = serde_json::from_str(prompt)?;
    let answer: Vec<u32> = serde_json::from_str(answer)?;
    // The last token is drawn, and read by nobody.
    tokens.extend(answer.iter().rev().skip(1).rev());
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let engine = Engine::new(Arc::new(model), options)?;
    let mut session = engine.session()?;
    let mut appends = [Append {
        session: &mut session,
        tokens: &tokens,
        sampled: answer.len(),
    }];
    engine.advance(&mut appends, &mut |_, _, _| {})?;
    let mut out = std::io::stdout().lock();
    Ok(std::io::Write::write_fmt(
        &mut out,
        format_args!("{}\n", session.trace_root()),
    )?)
}
