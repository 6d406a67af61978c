//! `cargo xtask bench language`: times Credence and llama.cpp in turns on one GGUF file and writes the second half of `docs/performance.md`.
//!
//! ```text
//! GGUF ─import─▶ exact model ──┐
//!   └─llama.cpp─▶ Q8_0, and the file itself ─┴─ rounds: ours, theirs, 1 and 2 threads ─▶ medians, spreads ─▶ page
//! ```

pub(crate) mod child;
mod limits;
pub(crate) mod ours;
pub(crate) mod peer;
mod report;
pub(crate) mod subject;

use std::path::Path;

use credence_text::{Context, Special};

use self::limits::Limits;
use self::ours::Evidence;
use self::peer::{Llama, Run};
use self::subject::Subject;
use super::flags::Flags;
use super::kernels::Kernel;
use super::measure::median;
use super::page::{Chapter, replace};
use super::peak::Peak;

/// Tokens of a prompt, and of the answer that is decoded after it.
const PROMPT: usize = 128;
const GENERATE: usize = 128;
/// Tokens of the answer that is made and drawn again.
const ANSWER: usize = 256;
/// Sequences side by side, and tokens of each.
const STREAMS: usize = 8;
const STEPS: usize = 64;
/// Each side is timed so often, in turns.
const ROUNDS: usize = 5;
const THREADS: [usize; 2] = [1, 2];
/// Seconds of each measurement of the machine.
const PEAK_SECONDS: f64 = 0.5;
/// Who is compared: Credence, and llama.cpp on two files.
const SIDES: [&str; 3] = ["Credence", "llama.cpp Q8_0", "llama.cpp, the file itself"];

/// What both sides do.
pub(crate) struct Work {
    pub(crate) prompt: Vec<u32>,
    pub(crate) generate: usize,
    pub(crate) answer: Vec<u32>,
    pub(crate) streams: usize,
    pub(crate) steps: usize,
}

/// One measured part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    pub(crate) tokens: f64,
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
}

/// All parts of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) prefill: Part,
    pub(crate) decode: Part,
    pub(crate) make: Part,
    pub(crate) verify: Part,
    pub(crate) streams: Part,
}

/// What it takes to start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) load_s: f64,
    pub(crate) peak_mb: f64,
}

/// One round of one number of threads.
struct Round {
    sides: [Parts; 3],
    starts: [Start; 3],
    evidence: Evidence,
}

/// All rounds of one number of threads.
struct Rounds {
    threads: usize,
    rounds: Vec<Round>,
    peak: Peak,
}

impl Rounds {
    /// The median of a figure, and how far apart its lowest and highest are, as a share of it.
    fn figure(&self, get: impl Fn(&Round) -> f64) -> (f64, f64) {
        let mut values: Vec<f64> = self.rounds.iter().map(get).collect();
        let middle = median(&mut values);
        let spread = values.last().zip(values.first());
        let spread = spread.map_or(0.0, |(high, low)| {
            (high - low) / middle.max(f64::MIN_POSITIVE)
        });
        (middle, spread)
    }
}

/// Everything that the page says.
struct Results {
    file: String,
    model_id: String,
    import_s: f64,
    processor: String,
    version: String,
    system: String,
    limits: Limits,
    /// Of a prompt in one call, and of tokens one after another; one thread.
    kernels: [Vec<Kernel>; 2],
    by_threads: Vec<Rounds>,
}

/// The chain of an error's reasons, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    format!("{text}\n")
}

/// A count as a number to divide by.
pub(crate) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Measures and writes the page.
///
/// # Errors
/// What could not be imported, run or written.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let flags = Flags::read(arguments, &["--gguf", "--python", "--rounds"])?;
    let gguf = flags.gguf(root)?;
    let llama = Llama::new(root, flags.python(root)?, "llama_bench.py");
    let rounds = flags.count("--rounds", ROUNDS)?;
    let folder = root.join("target/bench");
    let done = std::fs::create_dir_all(&folder);
    done.map_err(|error| format!("{}: {error}\n", folder.display()))?;

    let subject = Subject::import(&gguf)?;
    let stored = folder.join("model.safetensors");
    subject.store(&stored)?;
    let q8 = folder.join(format!("{}.q8_0.gguf", subject.file));
    llama.quantise(&gguf, &q8)?;
    let work = work(root, &subject)?;

    let mut by_threads = Vec::new();
    let mut last = None;
    for threads in THREADS {
        let language = subject.language(threads)?;
        let mut all = Vec::new();
        for _ in 0..rounds {
            let (ours, evidence) = ours::time(&language, &work)?;
            let ours_start = child::measure(&stored, threads)?;
            let first = llama.time(&q8, threads, &work)?;
            let second = llama.time(&gguf, threads, &work)?;
            all.push(Round {
                sides: [ours, first.parts, second.parts],
                starts: [ours_start, first.start, second.start],
                evidence,
            });
            last = Some(second);
        }
        let peak = Peak::measure(threads, PEAK_SECONDS)?;
        by_threads.push(Rounds {
            threads,
            rounds: all,
            peak,
        });
    }
    let Run {
        version,
        processor,
        system,
        ..
    } = last.ok_or("no round was made\n")?;
    let results = Results {
        kernels: ours::kernels(&subject.model, &work)?,
        limits: Limits::of(&subject.model)?,
        model_id: subject.model.id().to_string(),
        file: subject.file,
        import_s: subject.import_s,
        processor,
        version,
        system,
        by_threads,
    };
    let text = report::text(&results);
    write(root, Chapter::Language, &text)?;
    Ok(text)
}

/// Replaces a chapter of `docs/performance.md`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(root: &Path, chapter: Chapter, text: &str) -> Result<(), String> {
    let path = root.join("docs/performance.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    std::fs::write(&path, replace(&page, chapter, text))
        .map_err(|error| format!("{}: {error}\n", path.display()))
}

/// The beginning of a text, and what the model says after it.
fn work(root: &Path, subject: &Subject) -> Result<Work, String> {
    let path = root.join("bench/texts/fiction.alice.txt");
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}\n", path.display()))?;
    let language = subject.language(THREADS.len())?;
    let mut prompt = language
        .text()
        .tokenise(&text, Special::Plain, Context::Begin)
        .map_err(|e| chain(&e))?;
    prompt.truncate(PROMPT);
    Ok(Work {
        answer: ours::answer(&language, &prompt, ANSWER)?,
        prompt,
        generate: GENERATE,
        streams: STREAMS,
        steps: STEPS,
    })
}
