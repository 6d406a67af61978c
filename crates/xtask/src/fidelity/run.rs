//! Runs texts through all three and sums up what they say.
//!
//! ```text
//! runs of tokens ─▶ float logits ──┐
//!                ─▶ exact logits ──┼─ by position ─▶ sums, by kind
//!                ─▶ llama.cpp ─pipe┘
//! ```

use std::collections::BTreeMap;
use std::io::Read as _;

use credence_exec::Append;
use credence_generate::Language;
use credence_import::language::FloatRun;
use rayon::prelude::*;
use serde_json::json;

use super::compare::{Sums, position};
use super::cut::Tokens;
use crate::bench::language::chain;
use crate::bench::language::peer::Llama;
use crate::bench::language::subject::Subject;

/// Sums by kind.
pub(crate) type ByKind = BTreeMap<String, Sums>;

/// Compares all positions of all runs.
///
/// # Errors
/// What any of the three says.
pub(crate) fn compare(
    subject: &Subject,
    language: &Language,
    (llama, file): (&Llama, &str),
    runs: &[Tokens],
) -> Result<ByKind, String> {
    let ids: Vec<&[u32]> = runs.iter().map(|run| &*run.ids).collect();
    let mut child = llama.spawn(&["logits", file], &json!(ids))?;
    let mut pipe = child.stdout.take().ok_or("llama.cpp has no output\n")?;
    let mut by_kind = ByKind::new();
    for run in runs {
        let mut bytes = vec![0; run.ids.len() * subject.graph.vocabulary * size_of::<f32>()];
        // First what is computed elsewhere, so that both sides do not compute at once.
        pipe.read_exact(&mut bytes)
            .map_err(|error| format!("llama.cpp's logits end early: {error}\n"))?;
        let sums = one(subject, language, &run.ids, &bytes)?;
        let kind = by_kind.entry(run.kind.clone()).or_default();
        *kind = kind.add(sums);
    }
    let mut rest = Vec::new();
    let read = pipe.read_to_end(&mut rest);
    let status = child.wait().map_err(|e| format!("{e}\n"))?;
    if read.is_err() || !rest.is_empty() || !status.success() {
        return Err(
            "llama.cpp gave other logits than were asked for; it says why above\n".to_owned(),
        );
    }
    Ok(by_kind)
}

/// One run.
fn one(subject: &Subject, language: &Language, ids: &[u32], llama: &[u8]) -> Result<Sums, String> {
    let positions: Vec<usize> = (0..ids.len()).collect();
    let float = FloatRun::new(&subject.graph).logits(ids, &positions);
    let float = float.map_err(|e| chain(&e))?;
    let mut exact = vec![Vec::new(); ids.len()];
    let mut session = language.engine().session().map_err(|e| chain(&e))?;
    let mut appends = [Append {
        session: &mut session,
        tokens: ids,
        sampled: ids.len(),
    }];
    let mut sink = |_: usize, position: usize, logits: &[i32]| {
        exact[position] = logits.to_vec();
    };
    let done = language.engine().advance(&mut appends, &mut sink);
    done.map_err(|e| chain(&e))?;
    let row = subject.graph.vocabulary * size_of::<f32>();
    let rows = llama.par_chunks_exact(row).zip(&float).zip(&exact);
    let sums = rows.enumerate().map(|(at, ((llama, float), exact))| {
        let (words, _) = llama.as_chunks();
        let llama: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let next = ids.get(at + 1).and_then(|&id| usize::try_from(id).ok());
        position(float, exact, &llama, next)
    });
    Ok(sums.reduce(Sums::default, Sums::add))
}
