//! Imports an encoder's folder and compares it with its float run on the sentences of texts, and times it.
//!
//!     cargo run --release -p credence-format-safetensors --example fidelity -- FOLDER TEXT…
//!
//! Prints the `ModelId`, cosines, and milliseconds for texts of 128 tokens, one and 16 at once, with the trace. `--vectors FILE` before the folder writes the
//! tokens and exact vectors, a line of JSON for each sentence, for whoever compares with another program.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example is for people"
)]

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use credence_format_safetensors::{
    CONFIG_FILE, Folder, MODULES_FILE, POOLING_FILE, TOKENIZER_FILE, WEIGHTS_FILE, encoder_graph,
};
use credence_import::Options;
use credence_import::language::{
    CALIBRATION_TEXT, LanguageOptions, encoder_fidelity, import_encoder, pinned_text, sentences,
};

/// As `credence model import` has it.
const CALIBRATION_TOKENS_MAX: usize = 8192;

fn folder(path: &Path) -> Folder {
    let file = |name: &str| std::fs::read(path.join(name));
    Folder {
        config: file(CONFIG_FILE).unwrap(),
        tokenizer: file(TOKENIZER_FILE).unwrap(),
        modules: file(MODULES_FILE).ok(),
        pooling: file(POOLING_FILE).ok(),
        weights: Arc::new(file(WEIGHTS_FILE).unwrap()),
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut vectors = None;
    if arguments.first().is_some_and(|flag| flag == "--vectors") {
        arguments.remove(0);
        vectors = Some(arguments.remove(0));
    }
    let graph = encoder_graph(&folder(Path::new(&arguments.remove(0)))).unwrap();
    let text = pinned_text(&graph.text).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let exec = Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        isa: credence_exec::Isa::detect(),
    };
    let context = graph.context;
    let calibration = sentences(&text, CALIBRATION_TEXT, (context, CALIBRATION_TOKENS_MAX));
    let started = Instant::now();
    let options = LanguageOptions {
        context,
        calibration: calibration.unwrap(),
        exec,
    };
    let made = import_encoder(&graph, &options).unwrap();
    let model = Arc::new(made.model);
    println!("model   {}", model.id());
    println!(
        "import  {:.1} s, {threads} threads",
        started.elapsed().as_secs_f64()
    );
    let mut texts = Vec::new();
    for path in arguments {
        let document = std::fs::read_to_string(path).unwrap();
        texts.extend(sentences(&text, &document, (context, usize::MAX)).unwrap());
    }
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let report = encoder_fidelity(&graph, &model, &texts, exec, &mut |_| {}).unwrap();
    println!("texts   {} of {tokens} tokens", report.texts);
    println!(
        "cosine  {:.6} mean, {:.6} least",
        report.cosine_mean, report.cosine_min
    );
    if let Some(path) = vectors {
        std::fs::write(path, lines(&model, &texts, exec)).unwrap();
    }
    if graph.context >= 128 && graph.vocabulary > 2000 {
        timed(&model, exec);
    }
}

/// The exact vectors.
fn lines(model: &Arc<credence_model::Model>, texts: &[Vec<u32>], exec: Options) -> String {
    let engine = credence_exec::Engine::new(Arc::clone(model), exec).unwrap();
    let mut out = String::new();
    for tokens in texts {
        let mut session = engine.session().unwrap();
        let mut cells = Vec::new();
        let mut appends = [credence_exec::Append {
            session: &mut session,
            tokens,
            sampled: 1,
        }];
        engine
            .advance(&mut appends, &mut |_, _, got: &[i32]| cells = got.to_vec())
            .unwrap();
        writeln!(out, "{{\"tokens\":{tokens:?},\"cells\":{cells:?}}}").unwrap();
    }
    out
}

/// The best of some rounds.
fn timed(model: &Arc<credence_model::Model>, exec: Options) {
    for (threads, batch) in [(1, 1), (1, 16), (2, 1), (2, 16)] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let exec = Options { threads, ..exec };
        let engine = credence_exec::Engine::new(Arc::clone(model), exec).unwrap();
        let tokens: Vec<u32> = (0..128).map(|t| 999 + 7 * t).collect();
        let mut best = f64::INFINITY;
        for _ in 0..if batch > 1 { 4 } else { 12 } {
            let mut sessions: Vec<_> = (0..batch).map(|_| engine.session().unwrap()).collect();
            let started = Instant::now();
            let mut appends: Vec<_> = sessions
                .iter_mut()
                .map(|session| credence_exec::Append {
                    session,
                    tokens: &tokens,
                    sampled: 1,
                })
                .collect();
            engine.advance(&mut appends, &mut |_, _, _| {}).unwrap();
            for session in &sessions {
                std::hint::black_box(session.trace_root());
            }
            best = best.min(started.elapsed().as_secs_f64() * 1e3);
        }
        println!("time    {best:.2} ms for {batch} × 128 tokens, {threads} threads");
    }
}
