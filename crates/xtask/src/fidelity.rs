//! `cargo xtask fidelity`: how close the exact model and llama.cpp are to the float model, on the texts of `bench/texts`; writes `docs/fidelity.md`.

mod chat;
mod compare;
mod cut;
mod report;
mod run;
mod texts;

use std::path::Path;

use crate::bench::flags::Flags;
use crate::bench::language::peer::Llama;
use crate::bench::language::subject::Subject;

/// Lengths of runs.
const CONTEXTS: [usize; 2] = [512, 2048];
/// Threads of the exact model; no figure depends on them.
const THREADS: usize = 2;

/// What was measured.
struct About {
    file: String,
    model_id: String,
}

/// Measures and writes the page. `--tokens` takes fewer, the same of each kind.
///
/// # Errors
/// What could not be imported, run or written.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let flags = Flags::read(arguments, &["--gguf", "--python", "--tokens"])?;
    let gguf = flags.gguf(root)?;
    let llama = Llama::new(root, flags.python(root)?, "llama_logits.py");
    let subject = Subject::import(&gguf)?;
    let language = subject.language(THREADS)?;
    let texts = texts::read(root, language.text())?;
    let mut kinds: Vec<&str> = texts.iter().map(|text| &*text.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let most = flags.count("--tokens", usize::MAX)?;
    let most = most.div_ceil(kinds.len().max(1));
    let file = gguf.to_string_lossy();
    let mut tables = Vec::new();
    for context in CONTEXTS {
        let runs = cut::cut(&texts, context.min(language.context()), most);
        tables.push(run::compare(&subject, &language, (&llama, &file), &runs)?);
    }
    let chats = chat::ask(&language, &llama, &file)?;
    let about = About {
        file: subject.file.clone(),
        model_id: subject.model.id().to_string(),
    };
    let page = report::page(&about, &tables, &chats);
    let path = root.join("docs/fidelity.md");
    std::fs::write(&path, &page).map_err(|error| format!("{}: {error}\n", path.display()))?;
    Ok(page)
}
