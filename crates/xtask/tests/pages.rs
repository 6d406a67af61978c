//! What the pages of benchmarks and of fidelity are made with: comparing distributions, cutting texts, replacing half a page, reading flags.
//!
//! `xtask` is a program, so its pure files are read in here. The measurements themselves are not tested: they need a model, another
//! program and an idle machine.

#[path = "../src/fidelity/compare.rs"]
mod compare;
#[path = "../src/fidelity/cut.rs"]
mod cut;
#[path = "../src/bench/flags.rs"]
mod flags;
#[path = "../src/bench/log_report.rs"]
mod log_report;
#[path = "../src/bench/page.rs"]
mod page;

use std::path::Path;

use compare::{Sums, position};
use cut::{TAIL_MIN, Tokens, cut as cut_texts};
use flags::Flags;
use page::{Chapter, replace};

const ONE: i32 = 1 << 16;

fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-6, "{got}, not {expected}");
}

#[test]
fn equal_distributions_do_not_diverge() {
    let sums = position(
        &[0.0, 1.0, -2.0],
        &[0, ONE, -2 * ONE],
        &[5.0, 6.0, 3.0],
        Some(1),
    );
    for at in 0..3 {
        close(sums.mean_divergence()[at], 0.0);
        close(sums.agreement()[at], 1.0);
        close(sums.perplexity()[at], sums.perplexity()[0]);
    }
}

#[test]
fn each_figure_is_of_its_own_pair() {
    // Float says 3/4 and 1/4, exact a half each, llama.cpp 1/4 and 3/4.
    let three = 3.0_f32.ln();
    let sums = position(&[three, 0.0], &[0, 0], &[0.0, three], Some(0));
    let half = 0.5_f64;
    let exact = 0.75 * (0.75 / half).ln() + 0.25 * (0.25 / half).ln();
    let llama = 0.75 * 3.0_f64.ln() + 0.25 * (1.0_f64 / 3.0).ln();
    let got = sums.mean_divergence();
    close(got[0], exact);
    close(got[1], llama);
    close(got[2], exact);
    // Equal logits: the lowest id is the likeliest, as the exact model's rule has it.
    assert!(sums.agreement().map(|share| share > 0.5) == [true, false, false]);
    let perplexity = sums.perplexity();
    close(perplexity[0], 4.0 / 3.0);
    close(perplexity[1], 2.0);
    close(perplexity[2], 4.0);
}

#[test]
fn the_last_position_predicts_nothing_but_is_compared() {
    let last = position(&[1.0, 0.0], &[0, 0], &[1.0, 0.0], None);
    close(last.predicted, 0.0);
    close(last.positions, 1.0);
    assert!(last.mean_divergence()[0] > 0.0);
    let before = position(&[0.0, 0.0], &[0, 0], &[0.0, 0.0], Some(0));
    let both = last.add(before);
    close(both.positions, 2.0);
    close(both.predicted, 1.0);
    close(both.perplexity()[0], 2.0);
    close(both.mean_divergence()[0], last.mean_divergence()[0] / 2.0);
    close(both.divergence_max[0], last.divergence_max[0]);
    assert_eq!(both.add(Sums::default()), both);
}

fn text(kind: &str, len: usize) -> Tokens {
    Tokens {
        kind: kind.to_owned(),
        ids: (0..).take(len).collect(),
    }
}

#[test]
fn texts_are_cut_into_contexts_and_short_ends_are_left_out() {
    let lens = |texts: &[Tokens], context, most| -> Vec<usize> {
        let runs = cut_texts(texts, context, most);
        runs.iter().map(|run| run.ids.len()).collect()
    };
    let texts = [text("a", 1100), text("b", 300), text("a", TAIL_MIN - 1)];
    assert_eq!(lens(&texts, 512, usize::MAX), [512, 512, 76, 300]);
    assert_eq!(lens(&texts, 2048, usize::MAX), [1100, 300]);
    // As many of each kind, and no more.
    assert_eq!(lens(&texts, 512, 600), [512, 88, 300]);
    assert_eq!(lens(&texts, 512, 200), [200, 200]);
    assert_eq!(lens(&[text("a", 1088)], 512, usize::MAX), [512, 512, 64]);
    // A context shorter than the shortest end still gives runs.
    assert_eq!(lens(&[text("a", 20)], 8, usize::MAX), [8, 8]);
    assert!(cut_texts(&[], 512, 1).is_empty());
}

#[test]
fn one_half_of_the_page_is_replaced_and_the_other_stays() {
    let only = replace("old\n", Chapter::Tensors, "tensors\n");
    assert_eq!(only, "tensors\n");
    let both = replace(&only, Chapter::Language, "language\n");
    assert!(both.starts_with("tensors\n\n<!--") && both.ends_with("-->\n\nlanguage\n"));
    assert_eq!(replace(&both, Chapter::Language, "language\n"), both);
    let newer = replace(&both, Chapter::Tensors, "newer\n");
    assert!(newer.starts_with("newer\n") && newer.ends_with("\nlanguage\n"));
    assert_eq!(replace(&newer, Chapter::Tensors, "tensors"), both);
    assert_eq!(replace(&both, Chapter::Language, ""), "tensors\n");
    let all = replace(&both, Chapter::Audits, "audits\n");
    assert!(all.starts_with(both.trim_end()) && all.ends_with("-->\n\naudits\n"));
    assert_eq!(replace(&all, Chapter::Audits, ""), both);
    let newer = replace(&all, Chapter::Language, "newer\n");
    assert!(newer.contains("\nnewer\n") && newer.ends_with("\naudits\n"));
    assert_eq!(replace(&newer, Chapter::Language, "language"), all);
}

#[test]
fn flags_are_pairs_of_known_names() {
    let known = ["--gguf", "--python", "--rounds"];
    let read = |arguments: &[&'static str]| Flags::read(arguments, &known);
    assert!(read(&["--gguf"]).is_err(), "a name without a value");
    assert!(read(&["--other", "1"]).is_err(), "an unknown name");
    assert_eq!(read(&[]).map(|flags| flags.count("--rounds", 5)), Ok(Ok(5)));
    let twice = read(&["--rounds", "2", "--rounds", "3"]);
    assert_eq!(twice.map(|flags| flags.count("--rounds", 5)), Ok(Ok(3)));
    for wrong in ["0", "-1", "x", ""] {
        let flags = read(&["--rounds", wrong]);
        assert!(flags.is_ok_and(|flags| flags.count("--rounds", 5).is_err()));
    }
    let root = Path::new("/nowhere");
    let absent = read(&["--gguf", "/nowhere/model.gguf"]);
    assert!(absent.is_ok_and(|flags| flags.gguf(root).is_err() && flags.python(root).is_err()));
    let absent = Flags::read(&["--model", "/nowhere/model"], &["--model"]);
    assert!(absent.is_ok_and(|flags| flags.model(root).is_err()));
}

#[test]
fn the_logs_part_is_behind_its_own_marker() {
    let two = replace(
        &replace("", Chapter::Tensors, "tensors\n"),
        Chapter::Language,
        "language\n",
    );
    let three = replace(&two, Chapter::Log, "log\n");
    assert!(three.starts_with(two.trim_end()) && three.ends_with("\n\nlog\n"));
    assert_eq!(replace(&three, Chapter::Log, ""), two);
    let newer = replace(&three, Chapter::Language, "newer");
    assert!(newer.contains("\nnewer\n") && newer.ends_with("\n\nlog\n"));
    assert_eq!(replace(&newer, Chapter::Language, "language"), three);
    let alone = replace("tensors", Chapter::Log, "log");
    assert!(alone.starts_with("tensors\n\n<!--") && alone.ends_with("\n\nlog\n"));
}

#[test]
fn the_ledgers_lines_make_a_table() {
    let said = "warm\n\
        ledger::fill/rows=10: 3 s\n\
        ledger::proof/entries=10: median 0.080 ms, p99 0.120 ms\n\
        ledger::verify/entries=10,hashes=4,cosignatures=3: median 0.500 ms, p99 0.900 ms\n\
        ledger::append/entries=10,rate=200: 199/s; append to durable checkpoint: median 130 ms, p99 260 ms, longest 300 ms\n\
        ledger::append/entries=10,rate=most: 4000/s; append to durable checkpoint: median 1 ms, p99 2 ms, longest 3 ms\n\
        ledger::proof/entries=20: median 1 ms, p99 2 ms\n";
    let lines: Vec<_> = said.lines().filter_map(log_report::Line::parse).collect();
    assert_eq!(lines.len(), 6);
    let text = log_report::text(&lines);
    assert!(
        text.contains("\n| 10 | 199 | 130 | 260 | 4000 | 0.080 | 0.120 | 4 | 0.500 |\n"),
        "{text}"
    );
    assert!(
        text.ends_with("\n| 20 | – | – | – | – | 1 | 2 | – | – |\n"),
        "{text}"
    );
}
