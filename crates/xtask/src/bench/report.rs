//! The page: tables and what they mean, in words that hold whatever the figures are.

use std::fmt::Write as _;

use super::Row;
use super::kernels::{self, Kernel};
use super::peak::Peak;

const INTRODUCTION: &str = "\
# Performance

Made by `cargo xtask bench`, which times Credence and onnxruntime in turns, in one run, on the models of `models/` with their held-out inputs. Times are medians per
call, in microseconds of wall time; machines are noisy, so read the ratios. onnxruntime runs in f32 from Python with its inputs bound beforehand; `empty call` is what a call costs it on a graph that
does nothing, which Credence, called from Rust, does not pay: the last column takes it off onnxruntime's time. With two threads onnxruntime's workers spin between calls.
";

const PARTS: &str = "\
`run` computes answer and trace; `root` hashes the trace; `receipt` is all that follows: commitments, claim, signature, digest; `verify` checks a bundle under the
strict policy: signature, commitments, replay, comparison.
";

const FLOORS: &str = "\
A product is bound by arithmetic when its weights stay in cache and by memory when they do not. The floor of a model is its multiply-adds at the arithmetic peak (its weights are kilobytes, and stay in cache);
what is above it is rounding, pooling, moving between layers, and, at batch 1, the cost of a call. A forest makes no multiply-adds: it is bound by the latency of dependent loads.
";

const KERNELS: &str = "\
A run of steps with a stopwatch on each. Cells are those that a kernel computes for one position; sums that never leave registers are not among them. Kernels below one hundredth are left out.
";

/// Writes the page.
pub(crate) fn page(
    rows: &[Row],
    kernels: &[(String, Vec<Kernel>)],
    (onnxruntime, processor): (&str, &str),
    peak: &Peak,
) -> String {
    let mut page = INTRODUCTION.to_owned();
    let written = write(&mut page, rows, onnxruntime, processor, peak);
    match written.and_then(|()| where_time_goes(&mut page, kernels, peak)) {
        Ok(()) => page,
        // Writing to a string does not fail.
        Err(error) => error.to_string(),
    }
}

fn where_time_goes(
    page: &mut String,
    kernels: &[(String, Vec<Kernel>)],
    peak: &Peak,
) -> std::fmt::Result {
    writeln!(page, "\n## Where the time goes, one thread\n\n{KERNELS}")?;
    writeln!(page, "{}", kernels::HEAD)?;
    for (what, kernels) in kernels {
        kernels::rows(page, what, kernels, peak.in_cache_g)?;
    }
    Ok(())
}

fn us(seconds: f64) -> String {
    let us = seconds * 1e6;
    if us < 100.0 {
        format!("{us:.1}")
    } else {
        format!("{us:.0}")
    }
}

fn write(
    page: &mut String,
    rows: &[Row],
    onnxruntime: &str,
    processor: &str,
    peak: &Peak,
) -> std::fmt::Result {
    let isa = peak.isa;
    writeln!(
        page,
        "\nProcessor: {processor}; instructions: {isa}; onnxruntime {onnxruntime}.\n"
    )?;
    against_peer(page, rows)?;
    let alone: Vec<&Row> = rows.iter().filter(|row| row.threads == 1).collect();
    parts(page, &alone)?;
    limits(page, &alone, peak)
}

fn against_peer(page: &mut String, rows: &[Row]) -> std::fmt::Result {
    writeln!(page, "## Run with trace, against onnxruntime f32\n")?;
    writeln!(
        page,
        "| model | batch | threads | Credence: run, trace, root | onnxruntime | empty call | ratio | ratio without its empty call |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let Some((theirs, empty)) = row.theirs else {
            continue;
        };
        let (theirs, empty) = (theirs.wall_median_s, empty.wall_median_s);
        let ours = row.ours.run_and_root.wall_median_s;
        let cells = [
            us(ours),
            us(theirs),
            us(empty),
            format!("**{:.2}**", ours / theirs),
            format!("{:.2}", ours / (theirs - empty)),
        ];
        writeln!(
            page,
            "| {} | {} | {} | {} |",
            row.model,
            row.batch,
            row.threads,
            cells.join(" | ")
        )?;
    }
    Ok(())
}

fn parts(page: &mut String, rows: &[&Row]) -> std::fmt::Result {
    writeln!(page, "\n## Parts, one thread\n\n{PARTS}")?;
    writeln!(
        page,
        "| model | batch | run | root | root, of both | trace, bytes | receipt | verify | verify / (run, trace, root) |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        let case = &row.ours;
        let both = case.run_and_root.wall_median_s;
        let verify = case.verify.wall_median_s;
        let cells = [
            us(case.run.wall_median_s),
            us(case.root.wall_median_s),
            format!("{:.1} %", case.root.wall_median_s / both * 100.0),
            case.trace_bytes.to_string(),
            us((case.receipt.wall_median_s - both).max(0.0)),
            us(verify),
            format!("{:.2}", verify / both),
        ];
        writeln!(
            page,
            "| {} | {} | {} |",
            row.model,
            row.batch,
            cells.join(" | ")
        )?;
    }
    Ok(())
}

fn limits(page: &mut String, rows: &[&Row], peak: &Peak) -> std::fmt::Result {
    writeln!(page, "\n## Which limit\n\n{FLOORS}")?;
    let (cache, memory) = (peak.in_cache_g, peak.from_memory_g);
    writeln!(
        page,
        "On this machine and one thread the engine reaches {cache:.0} G multiply-adds/s with weights in cache, and {memory:.1} G/s with weights from memory.\n"
    )?;
    writeln!(
        page,
        "| model | batch | multiply-adds | floor | run / floor |\n|---|---|---|---|---|"
    )?;
    for row in rows.iter().filter(|row| row.multiply_adds > 0) {
        let products = row.multiply_adds * u64::try_from(row.batch).unwrap_or(1);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let floor = products as f64 / (cache * 1e9);
        let over = row.ours.run.wall_median_s / floor;
        writeln!(
            page,
            "| {} | {} | {products} | {} | {over:.1} |",
            row.model,
            row.batch,
            us(floor)
        )?;
    }
    Ok(())
}
