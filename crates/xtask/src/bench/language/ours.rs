//! Times Credence on a language model: prefill, decode, making an answer, drawing it again, streams side by side, and what evidence costs.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use cpu_time::ProcessTime;
use credence_base::{SigningKey, domain};
use credence_commit::TreeHasher;
use credence_exec::sampling::{Counts, Parameters, Place, Sampler, Settings, Step};
use credence_exec::{Append, Engine, Isa, Options, Session};
use credence_generate::{Generation, Language, Limits, Prompt, retrace};
use credence_model::Model;

use super::super::kernels::{Kernel, kernels as kernels_of};
use super::{Part, Parts, Work, chain};

/// Bytes of a statement that is signed: a receipt's, roughly.
const STATEMENT_BYTES: usize = 2048;
/// Any seed will do.
const SEED: [u8; 32] = [7; 32];
/// What keeps tokens that end a turn from being drawn, in millionths of a nat, so that answers are as long as they are to be.
const NEVER: i32 = -100_000_000;

/// What evidence costs, in seconds of one thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    /// Hashing the trace's blocks of one token of the decoded answer.
    pub(crate) blocks_s: f64,
    /// Bytes of these blocks.
    pub(crate) block_bytes: f64,
    /// The root at the end of prompt and decoded answer, keys and values included.
    pub(crate) root_s: f64,
    /// Hashing the trace's blocks of the prompt, and the root behind it.
    pub(crate) prefill_s: f64,
    /// One signature.
    pub(crate) sign_s: f64,
    /// Drawing one token at temperature 0.7, top-p 0.9.
    pub(crate) draw_s: f64,
}

/// A clock of wall and CPU time.
struct Clock(Instant, ProcessTime);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), ProcessTime::now())
    }

    fn part(&self, tokens: usize) -> Part {
        Part {
            tokens: super::real(tokens),
            wall_s: self.0.elapsed().as_secs_f64(),
            cpu_s: self.1.elapsed().as_secs_f64(),
        }
    }
}

/// Advances one session; the logits of the last token.
fn advance(
    language: &Language,
    session: &mut Session,
    tokens: &[u32],
    logits: &mut Vec<i32>,
) -> Result<(), String> {
    let mut appends = [Append {
        session,
        tokens,
        sampled: 1,
    }];
    let mut sink = |_: usize, _: usize, got: &[i32]| {
        logits.clear();
        logits.extend_from_slice(got);
    };
    let done = language.engine().advance(&mut appends, &mut sink);
    done.map_err(|e| chain(&e))
}

/// The likeliest token, the lowest of several.
pub(crate) fn likeliest(logits: &[i32]) -> u32 {
    let mut best = (0, i32::MIN);
    for (id, &logit) in (0_u32..).zip(logits) {
        if logit > best.1 {
            best = (id, logit);
        }
    }
    best.0
}

/// Greedy, never at an end before `tokens`.
fn parameters(language: &Language, tokens: usize) -> Result<Parameters, String> {
    let mut settings = Settings::neutral(u32::try_from(tokens).unwrap_or(u32::MAX));
    settings.temperature = 0;
    settings.logit_bias = (language.text().ends().iter())
        .map(|&end| (end, NEVER))
        .collect();
    Parameters::new(settings).map_err(|e| chain(&e))
}

/// Makes an answer as a server does.
fn make(language: &Language, prompt: &Prompt, tokens: usize) -> Result<Vec<u32>, String> {
    let parameters = parameters(language, tokens)?;
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(language.text(), &parameters, (SEED, 0), limits);
    let mut session = language.engine().session().map_err(|e| chain(&e))?;
    let mut logits = Vec::new();
    advance(language, &mut session, prompt.ids(), &mut logits)?;
    loop {
        let piece = generation.step(&logits).map_err(|e| chain(&e))?;
        if piece.finish.is_some() {
            return Ok(generation.tokens().to_vec());
        }
        advance(language, &mut session, &[piece.token], &mut logits)?;
    }
}

/// The answer that is made and drawn again: it is the work of both sides.
///
/// # Errors
/// What the engine says.
pub(crate) fn answer(
    language: &Language,
    prompt: &[u32],
    tokens: usize,
) -> Result<Vec<u32>, String> {
    let prompt = Prompt::tokens(prompt.to_vec(), 0).map_err(|e| chain(&e))?;
    make(language, &prompt, tokens)
}

/// Times every part once, after a warm-up.
///
/// # Errors
/// What the engine says.
pub(crate) fn time(language: &Language, work: &Work) -> Result<(Parts, Evidence), String> {
    let prompt = Prompt::tokens(work.prompt.clone(), 0).map_err(|e| chain(&e))?;
    make(language, &prompt, 8)?;

    let mut logits = Vec::new();
    let mut session = language.engine().session().map_err(|e| chain(&e))?;
    let clock = Clock::start();
    advance(language, &mut session, &work.prompt, &mut logits)?;
    let prefill = clock.part(work.prompt.len());
    let start = Instant::now();
    black_box(session.trace_root());
    let prompt_root_s = start.elapsed().as_secs_f64();
    let clock = Clock::start();
    for _ in 0..work.generate {
        let token = likeliest(&logits);
        advance(language, &mut session, &[token], &mut logits)?;
    }
    let decode = clock.part(work.generate);
    let mut evidence = evidence(language, &session, work, &logits)?;
    evidence.prefill_s += prompt_root_s;

    let clock = Clock::start();
    let tokens = make(language, &prompt, work.answer.len())?;
    let made = clock.part(tokens.len());
    let parameters = parameters(language, work.answer.len())?;
    let clock = Clock::start();
    retrace(language, &prompt, &parameters, SEED, &tokens).map_err(|e| chain(&e))?;
    let verify = clock.part(tokens.len());

    Ok((
        Parts {
            prefill,
            decode,
            make: made,
            verify,
            streams: streams(language, work)?,
        },
        evidence,
    ))
}

/// What each kernel takes of a prompt, and of tokens one after another.
///
/// # Errors
/// What the engine says.
pub(crate) fn kernels(model: &Arc<Model>, work: &Work) -> Result<[Vec<Kernel>; 2], String> {
    let options = Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    };
    let engine = || Engine::new(Arc::clone(model), options).map(Engine::timed);
    let mut all = Vec::new();
    for step in [work.prompt.len(), 1] {
        let engine = engine().map_err(|e| chain(&e))?;
        let mut session = engine.session().map_err(|e| chain(&e))?;
        for tokens in work.prompt.chunks(step) {
            let mut appends = [Append {
                session: &mut session,
                tokens,
                sampled: 1,
            }];
            let done = engine.advance(&mut appends, &mut |_, _, _| {});
            done.map_err(|e| chain(&e))?;
        }
        let positions = super::real(work.prompt.len());
        all.push(kernels_of(model.program(), &engine.step_times(), positions));
    }
    let mut all = all.into_iter();
    Ok([
        all.next().unwrap_or_default(),
        all.next().unwrap_or_default(),
    ])
}

/// Sessions side by side, one token each at a time.
fn streams(language: &Language, work: &Work) -> Result<Part, String> {
    let mut logits = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..work.streams {
        let mut session = language.engine().session().map_err(|e| chain(&e))?;
        advance(language, &mut session, &work.prompt, &mut logits)?;
        sessions.push(session);
    }
    let clock = Clock::start();
    for token in work.answer.iter().take(work.steps) {
        let tokens = [*token];
        let mut appends: Vec<Append<'_>> = sessions
            .iter_mut()
            .map(|session| Append {
                session,
                tokens: &tokens,
                sampled: 1,
            })
            .collect();
        let mut sink = |_: usize, _: usize, got: &[i32]| {
            black_box(got);
        };
        let done = language.engine().advance(&mut appends, &mut sink);
        done.map_err(|e| chain(&e))?;
    }
    Ok(clock.part(work.steps * work.streams))
}

/// Hashes as many bytes, cut as the engine cuts them; roots, signs and draws.
fn evidence(
    language: &Language,
    session: &Session,
    work: &Work,
    logits: &[i32],
) -> Result<Evidence, String> {
    let layout = language.model().program().language();
    let layout = layout.ok_or("not a language model\n")?;
    let (first, last) = (work.prompt.len(), work.prompt.len() + work.generate);
    let most = layout.positions().block_bytes(last);
    let some: Vec<u8> = (0..=255_u8).cycle().take(most).collect();
    let (mut all, mut blocks_s) = (0_usize, 0.0);
    let mut positions = TreeHasher::new(domain::TRACE_SECTION);
    let mut sampled = TreeHasher::new(domain::TRACE_SECTION);
    let start = Instant::now();
    for position in 0..first {
        let fixed = layout.positions().fixed().block_bytes();
        let block = layout.positions().block_bytes(position);
        for len in [fixed, block - fixed] {
            positions.update(some.get(..len).unwrap_or_default());
        }
    }
    let prefill_s = start.elapsed().as_secs_f64();
    for position in first..last {
        let fixed = layout.positions().fixed().block_bytes();
        let block = layout.positions().block_bytes(position);
        let drawn = layout.sampled().block_bytes(position);
        let bytes = |len: usize| some.get(..len).unwrap_or_default();
        let start = Instant::now();
        positions.update(bytes(fixed));
        positions.update(bytes(block - fixed));
        for at in (0..drawn).step_by(most) {
            sampled.update(bytes((drawn - at).min(most)));
        }
        blocks_s += start.elapsed().as_secs_f64();
        all += block + drawn;
    }
    black_box((positions.finish(), sampled.finish()));
    let tokens = super::real(work.generate);
    let start = Instant::now();
    black_box(session.trace_root());
    let root_s = start.elapsed().as_secs_f64();
    let key = SigningKey::from_seed(&[1; 32]);
    let statement = vec![1; STATEMENT_BYTES];
    let sign_s = often(16, || {
        black_box(key.sign(&statement));
        Ok(())
    })?;
    Ok(Evidence {
        blocks_s: blocks_s / tokens,
        block_bytes: super::real(all) / tokens,
        root_s,
        prefill_s,
        sign_s,
        draw_s: draw(logits)?,
    })
}

/// Seconds of drawing a token from real logits.
fn draw(logits: &[i32]) -> Result<f64, String> {
    let settings = Settings {
        temperature: 700_000,
        top_p: 900_000,
        ..Settings::neutral(1)
    };
    let parameters = Parameters::new(settings).map_err(|e| chain(&e))?;
    let (mut sampler, counts) = (Sampler::new(), Counts::new());
    often(16, || {
        let step = Step {
            logits,
            counts: &counts,
            allowed: None,
            place: Place {
                seed: SEED,
                choice: 0,
                step: 0,
            },
        };
        let token = sampler.sample(&parameters, &step).map_err(|e| chain(&e))?;
        black_box(token);
        Ok(())
    })
}

/// Seconds of one of `times` calls, after one that warms up.
fn often(times: u32, mut call: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    call()?;
    let start = Instant::now();
    for _ in 0..times {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(times))
}
