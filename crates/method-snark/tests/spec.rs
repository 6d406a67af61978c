//! The tables of `docs/spec/snark-pcs.md` are what this build computes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use credence_method_snark::pcs::soundness::{
    Bound, Term, report, total, total_by, total_by_unique_decoding, total_without_work,
};
use credence_method_snark::pcs::{Bits, Params, Round, Security};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/snark-pcs.md");

fn decimal(bits: Bits) -> String {
    let tenths = bits.tenths();
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn shapes(security: Security) -> String {
    let mut text = String::from(
        "| n | rounds: variables/fold, rate, queries | last | bits | without work | by the bound of 2020 | by unique decoding |\n|---|---|---|---|---|---|---|\n",
    );
    for log_len in 12..=28 {
        let params = Params::new(log_len, security).unwrap();
        let rounds: Vec<String> = params
            .rounds()
            .iter()
            .map(|r| {
                let Round {
                    variables, fold, ..
                } = r;
                format!("{variables}/{fold} 2^-{} {}", r.log_inverse_rate, r.queries)
            })
            .collect();
        let last = params.rounds().last().unwrap().variables_left();
        text += &format!(
            "| {log_len} | {} | 2^{last} | {} | {} | {} | {} |\n",
            rounds.join("; "),
            decimal(total(&params)),
            decimal(total_without_work(&params)),
            decimal(total_by(&params, Bound::Johnson2020)),
            decimal(total_by_unique_decoding(&params)),
        );
    }
    text
}

fn terms(log_len: u32, security: Security) -> String {
    let mut text = String::from("| round | term | bits | work |\n|---|---|---|---|\n");
    let params = Params::new(log_len, security).unwrap();
    let mut step = 0;
    for entry in report(&params, Bound::Johnson2025) {
        let name = match entry.term {
            Term::Sample => "sample".to_owned(),
            Term::Join => {
                step = 0;
                "join".to_owned()
            }
            Term::Sumcheck => {
                step += 1;
                format!("sumcheck, step {step}")
            }
            Term::Fold => format!("fold, step {step}"),
            Term::Query => "queries".to_owned(),
        };
        text += &format!(
            "| {} | {name} | {} | {} |\n",
            entry.round,
            decimal(entry.bits),
            entry.work
        );
    }
    text += &format!("| all | sum | {} | counted |\n", decimal(total(&params)));
    text
}

#[test]
fn the_page_has_the_tables() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let tables = [
        shapes(Security::Bits100),
        shapes(Security::Bits128),
        terms(20, Security::Bits100),
    ];
    let missing = tables.into_iter().filter(|table| !page.contains(table));
    let missing: Vec<String> = missing.collect();
    assert!(
        missing.is_empty(),
        "the page should have:\n{}",
        missing.join("\n")
    );
}
