//! The language half of the page: tables, and what they mean in words that hold whatever the figures are.

use std::fmt::{Result, Write as _};

use super::super::kernels;
use super::{ANSWER, GENERATE, PROMPT, Part, Parts, Results, Round, Rounds, SIDES, STREAMS, real};

/// A part's name, and where it stands.
type Named = (&'static str, fn(&Parts) -> Part);

const PARTS: [Named; 5] = [
    ("prefill", |parts| parts.prefill),
    ("decode", |parts| parts.decode),
    ("make", |parts| parts.make),
    ("verify", |parts| parts.verify),
    ("streams", |parts| parts.streams),
];

const SPEEDS: &str = "\
`prefill`: a prompt in one call. `decode`: tokens one after another, each the likeliest. `make`: prompt and a longer answer, drawn by the sampler, as a server does it. `verify`: the
same answer checked: prompt and answer in one pass, each token drawn anew and the trace's root made; for llama.cpp, the logits of the same positions in one call, without any
check. `streams`: several sequences side by side, tokens of all together. Credence's figures contain its trace: every value that a claim commits to is kept and hashed. Ratios
are of speed: above 1, Credence is faster. CPU time counts all threads; llama.cpp's wait by spinning.
";

const SHARES: &str = "\
Hashing is timed apart, over as many bytes cut in the same way: with more threads than one the engine does it beside the head's product, so there the share is an upper bound. The root
is made once for an answer, a signature once for a receipt.
";

const LIMITS: &str = "\
Decoding one token must read every weight once (one byte each) and the keys and values of what came before: its floor is those bytes at the speed at which the engine's own
kernel reads a matrix that fits no cache. A pass over many tokens reads weights seldom: its floor is its multiply-adds, attention's included, at the speed of a product whose weights
stay in the second cache. Attention's are 16-bit and half as fast at best, which the floor does not grant.
";

/// Writes the half.
pub(super) fn text(results: &Results) -> String {
    let mut page = String::new();
    match write(&mut page, results) {
        Ok(()) => page,
        // Writing to a string does not fail.
        Err(error) => error.to_string(),
    }
}

fn write(page: &mut String, results: &Results) -> Result {
    let rounds = results.by_threads.first().map_or(0, |all| all.rounds.len());
    writeln!(page, "# Language models\n")?;
    writeln!(
        page,
        "Made by `cargo xtask bench language`, which times Credence and llama.cpp in turns, {rounds} rounds, on one file: `{}`, imported as `{}` in {:.0} s, which \
         llama.cpp runs as it is and as its own Q8_0. A prompt has {PROMPT} tokens, the decoded answer {GENERATE}, the made and verified one {ANSWER}; {STREAMS} sequences run side by \
         side. Figures are medians; ± is how far the lowest and the highest round are apart, as a share of the median.\n",
        results.file, results.model_id, results.import_s
    )?;
    writeln!(
        page,
        "Processor: {}; llama.cpp of llama-cpp-python {}, which says of itself: {}\n",
        results.processor,
        results.version,
        results.system.trim().trim_end_matches('|').trim()
    )?;
    speeds(page, results)?;
    one_pass(page, results)?;
    shares(page, results)?;
    starts(page, results)?;
    limits(page, results)?;
    where_time_goes(page, results)
}

/// Tokens a second of one side's part.
fn speed(side: usize, part: fn(&Parts) -> Part) -> impl Fn(&Round) -> f64 {
    move |round| {
        round.sides.get(side).map_or(0.0, |parts| {
            let part = part(parts);
            part.tokens / part.wall_s.max(f64::MIN_POSITIVE)
        })
    }
}

fn cpu_ms(side: usize, part: fn(&Parts) -> Part) -> impl Fn(&Round) -> f64 {
    move |round| {
        round.sides.get(side).map_or(0.0, |parts| {
            let part = part(parts);
            part.cpu_s * 1e3 / part.tokens.max(1.0)
        })
    }
}

fn speeds(page: &mut String, results: &Results) -> Result {
    writeln!(page, "## Tokens a second, against llama.cpp\n\n{SPEEDS}")?;
    write!(page, "| part | threads |")?;
    for side in SIDES {
        write!(page, " {side} | ± | CPU ms |")?;
    }
    writeln!(page, " ratio to Q8_0 | ratio to the file |")?;
    writeln!(page, "|{}", "---|".repeat(2 + 3 * SIDES.len() + 2))?;
    for (name, part) in PARTS {
        for all in &results.by_threads {
            write!(page, "| {name} | {} |", all.threads)?;
            let mut middles = Vec::new();
            for side in 0..SIDES.len() {
                let (middle, spread) = all.figure(speed(side, part));
                let (cpu, _) = all.figure(cpu_ms(side, part));
                write!(page, " {middle:.0} | {:.0} % | {cpu:.2} |", spread * 100.0)?;
                middles.push(middle);
            }
            if let [ours, first, second] = middles[..] {
                writeln!(
                    page,
                    " **{:.2}** | **{:.2}** |",
                    ours / first,
                    ours / second
                )?;
            }
        }
    }
    Ok(())
}

fn one_pass(page: &mut String, results: &Results) -> Result {
    writeln!(
        page,
        "\n## Checking against making, {STREAMS} streams against one\n"
    )?;
    writeln!(
        page,
        "| threads | side | make / verify, time | {STREAMS} streams / one, tokens a second |\n|---|---|---|---|"
    )?;
    for all in &results.by_threads {
        for (side, name) in SIDES.iter().enumerate() {
            let of = |part| all.figure(speed(side, part)).0;
            writeln!(
                page,
                "| {} | {name} | **{:.2}** | {:.2} |",
                all.threads,
                of(|parts| parts.verify) / of(|parts| parts.make),
                of(|parts| parts.streams) / of(|parts| parts.decode)
            )?;
        }
    }
    Ok(())
}

fn shares(page: &mut String, results: &Results) -> Result {
    writeln!(page, "\n## What evidence costs\n\n{SHARES}")?;
    writeln!(
        page,
        "| threads | trace, bytes a token | hashing a token, µs | of decoding it | hashing a prompt and its root, of prefill | root, ms | of making the answer | signature, µs | drawing a token (top-p), µs |\n\
         |---|---|---|---|---|---|---|---|---|"
    )?;
    for all in &results.by_threads {
        let of = |get: fn(&Round) -> f64| all.figure(get).0;
        let token_s = 1.0 / all.figure(speed(0, |parts| parts.decode)).0;
        let make_s = of(|round| round.sides[0].make.wall_s);
        let (hash, root) = (of(|r| r.evidence.blocks_s), of(|r| r.evidence.root_s));
        writeln!(
            page,
            "| {} | {:.0} | {:.0} | {:.1} % | {:.1} % | {:.1} | {:.2} % | {:.0} | {:.0} |",
            all.threads,
            of(|r| r.evidence.block_bytes),
            hash * 1e6,
            hash / token_s * 100.0,
            of(|r| r.evidence.prefill_s) / of(|r| r.sides[0].prefill.wall_s) * 100.0,
            root * 1e3,
            root / make_s * 100.0,
            of(|r| r.evidence.sign_s) * 1e6,
            of(|r| r.evidence.draw_s) * 1e6
        )?;
    }
    Ok(())
}

fn where_time_goes(page: &mut String, results: &Results) -> Result {
    let peak = results.by_threads.first();
    let peak_g = peak.map_or(0.0, |all| all.peak.in_cache_g);
    writeln!(
        page,
        "\n## Where the time goes, one thread\n\nSteps with a stopwatch on each, hashing apart; kernels below one hundredth are left out.\n"
    )?;
    writeln!(page, "{}", kernels::HEAD)?;
    let [prefill, decode] = &results.kernels;
    kernels::rows(page, "prefill", prefill, peak_g)?;
    kernels::rows(page, "decode", decode, peak_g)
}

fn starts(page: &mut String, results: &Results) -> Result {
    writeln!(
        page,
        "\n## Starting, and memory\n\nStarting is from a stored file to a model that is ready; Credence checks the whole of it and recomputes its id. Memory is the most that a \
         process of its own held while it decoded, Python's own share taken off; llama.cpp maps its file, whose pages count.\n"
    )?;
    writeln!(
        page,
        "| threads | side | start, ms | memory, MB |\n|---|---|---|---|"
    )?;
    for all in &results.by_threads {
        for (side, name) in SIDES.iter().enumerate() {
            let (load, _) = all.figure(|round| round.starts.get(side).map_or(0.0, |s| s.load_s));
            let (peak, _) = all.figure(|round| round.starts.get(side).map_or(0.0, |s| s.peak_mb));
            writeln!(
                page,
                "| {} | {name} | {:.0} | {peak:.0} |",
                all.threads,
                load * 1e3
            )?;
        }
    }
    Ok(())
}

fn limits(page: &mut String, results: &Results) -> Result {
    writeln!(page, "\n## Which limit\n\n{LIMITS}")?;
    for all in &results.by_threads {
        writeln!(
            page,
            "With {} thread{}: {:.0} G multiply-adds/s from the second cache, {:.1} GB/s of weights from memory.{}",
            all.threads,
            if all.threads == 1 { "" } else { "s" },
            all.peak.in_cache_g,
            all.peak.from_memory_g,
            if all.threads == 1 { "\\" } else { "" }
        )?;
    }
    writeln!(
        page,
        "\n| part | threads | needs | floor, ms | Credence, ms | Credence / floor | llama.cpp Q8_0 / floor |\n|---|---|---|---|---|---|---|"
    )?;
    let limits = &results.limits;
    for all in &results.by_threads {
        let memory = all.peak.from_memory_g * 1e9;
        let cache = all.peak.in_cache_g * 1e9;
        let bytes = limits.decode_bytes();
        let needs = format!("{:.1} MB", bytes / 1e6);
        let per_token: Of = (|parts| parts.decode, real(GENERATE));
        row(
            page,
            all,
            ("decode, a token", &needs, bytes / memory),
            per_token,
        )?;
        let whole = |name, part, sums: f64| {
            let needs = format!("{:.2} G multiply-adds", sums / 1e9);
            ((name, needs, sums / cache), (part, 1.0))
        };
        let prefill: fn(&Parts) -> Part = |parts| parts.prefill;
        let verify: fn(&Parts) -> Part = |parts| parts.verify;
        for ((name, needs, floor), of) in [
            whole("prefill", prefill, limits.pass(PROMPT, 1)),
            whole("verify", verify, limits.pass(PROMPT + ANSWER - 1, ANSWER)),
        ] {
            row(page, all, (name, &needs, floor), of)?;
        }
        // Eight rows at once: weights are read once for all of them.
        let bytes = limits.products + limits.drawn;
        let sums = real(STREAMS) * bytes;
        let (by_memory, by_sums) = (bytes / memory, sums / cache);
        let needs = format!("{:.1} MB, {:.2} G multiply-adds", bytes / 1e6, sums / 1e9);
        let steps: Of = (|parts| parts.streams, real(super::STEPS));
        row(
            page,
            all,
            ("streams, a step", &needs, by_memory.max(by_sums)),
            steps,
        )?;
    }
    Ok(())
}

/// Which part, and into how many its time is cut.
type Of = (fn(&Parts) -> Part, f64);

fn row(
    page: &mut String,
    all: &Rounds,
    (name, needs, floor_s): (&str, &str, f64),
    (part, times): Of,
) -> Result {
    let wall_s = |side: usize| {
        let of = move |round: &Round| {
            round
                .sides
                .get(side)
                .map_or(0.0, |parts| part(parts).wall_s)
        };
        all.figure(of).0 / times
    };
    let (ours, theirs) = (wall_s(0), wall_s(1));
    writeln!(
        page,
        "| {name} | {} | {needs} | {:.2} | {:.2} | {:.2} | {:.2} |",
        all.threads,
        floor_s * 1e3,
        ours * 1e3,
        ours / floor_s,
        theirs / floor_s
    )
}
