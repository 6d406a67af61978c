//! `credence confidence`: how sure an answer or an operator is, by which formula and under which assumptions (`docs/confidence.md`).
//!
//! Every number is computed from integers and errs to the careful side: chances of missing and rates are rounded up, chances of finding and gains down.

use std::path::Path;
use std::sync::Arc;

use credence_base::{ModelId, PublicKey};
use credence_claim::{MethodId, Soundness};
use credence_hub::{Hub, HubError};
use credence_method_replay::Replay;
use credence_method_snark::Snark;
use credence_method_spot::Demand;
use credence_model::Model;
use credence_receipt::Bundle;
use credence_verify::{Facts, Policy, Refusal, check};
use credence_watch::auditor::{Board, Bounds, Counts, Tally, board_path};
use credence_watch::odds::{Chance, ONE_PPM, Side};
use credence_wiring::methods;
use serde::Serialize;

use crate::args::ConfidenceArgs;
use crate::commands::dispute_view::read;
use crate::commands::verify::{SpotAsked, read_policy, read_spot, refused};
use crate::context::{Context, engine_options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::policy::public_key;
use crate::time::now_unix_s;

/// What `confidence --json` prints.
#[derive(Debug, Serialize)]
struct ConfidenceView {
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<OperatorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detection: Option<DetectionView>,
    assumptions: Vec<String>,
}

/// Of one answer.
#[derive(Debug, Serialize)]
struct ReceiptView {
    receipt: String,
    operator: String,
    basis: Vec<String>,
    errors: Vec<ErrorView>,
    words: String,
}

/// One way in which a check may be wrong.
#[derive(Debug, Serialize)]
struct ErrorView {
    name: &'static str,
    /// The chance is at most 2 to the minus this; none if there is no bound.
    bits: Option<u32>,
    formula: &'static str,
}

/// Of one operator.
#[derive(Debug, Serialize)]
struct OperatorView {
    operator: String,
    drawn: CountsView,
    honeypots: CountsView,
}

#[derive(Debug, Serialize)]
struct CountsView {
    counts: Counts,
    settled: Bounds,
    strict: Bounds,
}

/// What audits at a rate find.
#[derive(Debug, Serialize)]
struct DetectionView {
    audit_rate_ppm: u32,
    /// An audit of a wrong answer misses it with a chance of at most 2 to the minus this.
    miss_bits: i64,
    miss_formula: &'static str,
    /// One wrong answer is found with at least this chance.
    found_ppm: u64,
    wrong: u64,
    /// That many wrong answers are none of them found with at most this chance.
    escape_ppm: u64,
    escape_bits: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stake: Option<u64>,
    /// A gain for each wrong answer that is no larger does not pay; none if no gain pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    gain: Option<u64>,
}

impl CountsView {
    fn new(counts: Counts, waits: u64) -> Self {
        Self {
            counts,
            settled: counts.settled(),
            strict: counts.strict(waits),
        }
    }

    fn text(&self, name: &str) -> String {
        let Counts {
            replayed,
            spot_checked,
            refuted,
            failed,
            unanswered,
        } = self.counts;
        format!(
            "{name}\n  right to the last bit  {replayed}\n  spot-checked           {spot_checked}\n  FALSE                  {refuted}\n  \
             not answered           {unanswered}\n  not settled here       {failed}\n  wrong answers          {}\n  … what is not settled  {}",
            bounds(&self.settled),
            bounds(&self.strict)
        )
    }
}

/// Both bounds at both levels: of a number of audits that was fixed beforehand, and of whatever moment one looks at.
fn bounds(own: &Bounds) -> String {
    format!(
        "at most {} at 95 %, {} at 99 %; at every look: {}, {}",
        percent(own.at_95_ppm.into()),
        percent(own.at_99_ppm.into()),
        percent(own.always_95_ppm.into()),
        percent(own.always_99_ppm.into())
    )
}

/// Millionths as a share of a hundred, exactly.
pub(crate) fn percent(ppm: u64) -> String {
    format!("{}.{:04} %", ppm / 10_000, ppm % 10_000)
}

/// Computes and prints.
pub(crate) fn run(context: &mut Context, args: &ConfidenceArgs) -> Result<(), CliError> {
    let mut view = ConfidenceView {
        receipt: None,
        operator: None,
        detection: None,
        assumptions: Vec::new(),
    };
    match public_key(&args.subject) {
        Ok(key) => view.operator = Some(of_operator(context, args, &key, &mut view.assumptions)?),
        Err(_) => view.receipt = Some(of_receipt(context, args, &mut view.assumptions)?),
    }
    if let Some(rate) = args.audit_rate {
        view.detection = Some(detection(args, rate, &mut view.assumptions));
    } else if args.stake.is_some() || args.cells.is_some() {
        let what = "without a rate of audits nothing follows from a stake or from cells";
        return Err(CliError::new(Exit::Usage, what).hint("`--audit-rate 0.05`, for instance"));
    }
    if context.console.json() {
        return context.console.data_json(&view);
    }
    context.console.data(&view.text())
}

fn of_operator(
    context: &Context,
    args: &ConfidenceArgs,
    key: &PublicKey,
    assumptions: &mut Vec<String>,
) -> Result<OperatorView, CliError> {
    let own = || Ok::<_, CliError>(board_path(&context.home()?.path().join("auditor")));
    let path = args.board.clone().map_or_else(own, Ok)?;
    let board = read_board(&path)?;
    let operator = key.to_string();
    let Some(Tally { drawn, honeypots }) = board.operators.get(&operator).copied() else {
        let what = format!(
            "the scoreboard `{}` has nothing of operator {operator}",
            path.display()
        );
        return Err(CliError::new(Exit::Missing, what)
            .hint("`credence auditor` keeps one; `--board FILE` names another"));
    };
    assumptions.extend([
        "entries were drawn by a secret that the operator did not have".to_owned(),
        "the operator could not tell the answers that this auditor may see from others".to_owned(),
        "wrong answers are as frequent among answers not seen as among those seen".to_owned(),
        "one-sided exact binomial bounds (Clopper–Pearson), for a number of audits fixed beforehand; at every look: a confidence sequence (uniform mixture, Ville); rounded up"
            .to_owned(),
    ]);
    Ok(OperatorView {
        operator,
        drawn: CountsView::new(drawn, board.waits_drawn()),
        honeypots: CountsView::new(honeypots, board.waits_own()),
    })
}

fn read_board(path: &Path) -> Result<Board, CliError> {
    Board::read(path).map_err(|e| {
        let what = format!("`{}` cannot be used", path.display());
        CliError::because(Exit::Malformed, what, e)
    })
}

/// The scoreboard in words, for whoever runs an auditor.
pub(crate) fn board_text(path: &Path) -> Result<String, CliError> {
    let board = read_board(path)?;
    let one = |(key, tally): (&String, &Tally)| {
        format!(
            "operator {key}\n{}\n{}",
            CountsView::new(tally.drawn, board.waits_drawn()).text("drawn from logs"),
            CountsView::new(tally.honeypots, board.waits_own()).text("our own requests")
        )
    };
    let all: Vec<String> = board.operators.iter().map(one).collect();
    Ok(format!(
        "{}\ndrawn and not ours to see: {}\nnot answered so far, asked again: {}\nnot answered, of nobody that is shown: {}",
        all.join("\n\n"),
        board.unseen(),
        board.pending.unanswered(),
        board.nobodys.drawn.unanswered
    ))
}

fn of_receipt(
    context: &Context,
    args: &ConfidenceArgs,
    assumptions: &mut Vec<String>,
) -> Result<ReceiptView, CliError> {
    let path = Path::new(&args.subject);
    let bundle = read(path)?;
    let refuse = |refusal: &Refusal| refused(path, refusal);
    let facts = Facts::at(now_unix_s()?);
    let policy = match &args.policy {
        Some(path) => Policy {
            required: Vec::new(),
            ..read_policy(path)?
        },
        None => Policy::signature_only(),
    };
    let signed = check(&bundle, &policy, &[], &facts).map_err(|e| refuse(&e))?;
    let id = signed.value().inference().claim.fields().model;
    let model = model_of(context, args, id)?;
    let mut required = Vec::new();
    let replay = match model {
        Some(model) => {
            required.push(MethodId::REPLAY);
            Replay::new(model, engine_options(args.engine.threads))
                .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?
        }
        None => Replay::without_model(),
    };
    if has_spot(&bundle) {
        required.push(MethodId::SPOT);
    }
    let demand = args
        .policy
        .as_deref()
        .map_or(Ok(Demand::USUAL), read_spot)?;
    let asked = SpotAsked {
        draws: args.challenge,
        cells: args.drawn_cells,
        rows: args.drawn_rows,
    };
    let spot = asked.method(&bundle, (&policy, demand), facts.now_unix_s)?;
    let policy = Policy { required, ..policy };
    let verified = check(
        &bundle,
        &policy,
        &methods(&replay, &spot, &Snark::without_model()),
        &facts,
    )
    .map_err(|e| refuse(&e))?;
    let confidence = verified.assurance().confidence();
    let findings = verified.assurance().findings();
    assumptions.extend(confidence.assumptions.iter().cloned());
    let bits = match confidence.wrong_output {
        Soundness::None => None,
        Soundness::Bits(bits) => Some(bits),
    };
    Ok(ReceiptView {
        receipt: verified.value().digest().to_string(),
        operator: verified.value().inference().operator.to_string(),
        basis: findings.iter().map(|own| own.basis.to_string()).collect(),
        errors: errors(bits),
        words: confidence.to_string(),
    })
}

/// The model that is named, or the claimed one if it is here.
fn model_of(
    context: &Context,
    args: &ConfidenceArgs,
    id: ModelId,
) -> Result<Option<Arc<Model>>, CliError> {
    if let Some(text) = &args.model {
        return Ok(Some(context.model(text)?.model));
    }
    match Hub::at(context.home()?.models()).load(id) {
        Ok(loaded) => Ok(Some(loaded.model.into())),
        Err(HubError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The ways in which a check may be wrong.
fn errors(bits: Option<u32>) -> Vec<ErrorView> {
    vec![
        ErrorView {
            name: "soundness error",
            bits,
            formula: "the chance that a wrong output passes the strongest check that was made",
        },
        ErrorView {
            name: "binding error",
            bits: Some(128),
            formula: "2^-128: two contents under one BLAKE3 root of 256 bits, by birthday",
        },
        ErrorView {
            name: "forgery",
            bits: Some(126),
            formula: "2^-126: a signature by another than the key's holder, Ed25519's group of 2^252 points, by square root",
        },
    ]
}

fn has_spot(bundle: &Bundle) -> bool {
    let mut all = bundle.evidence().iter();
    all.any(|evidence| evidence.method == MethodId::SPOT)
}

/// What follows from a rate of audits.
fn detection(args: &ConfidenceArgs, rate: u32, assumptions: &mut Vec<String>) -> DetectionView {
    let (miss, miss_formula) = match (args.cells, args.wrong_share) {
        (Some(cells), Some(share)) => {
            let left = Chance::ppm(ONE_PPM.saturating_sub(share), Side::Up);
            (
                left.power(cells.into()),
                "(1 − f)^k, f the wrong share of its work, k the cells",
            )
        }
        _ => {
            let half = Chance::ratio(1, 2, Side::Up);
            (half.power(128), "2^-128: audits run the answer again")
        }
    };
    // Each factor errs down, so what is found is at least this.
    let found = Chance::ppm(rate, Side::Down).times(miss.complement());
    let escape = found.complement().power(args.wrong);
    assumptions.extend([
        "each answer is audited with this chance, for itself, and the operator cannot foresee which".to_owned(),
        "whoever audits may see the answer, and says what it finds".to_owned(),
    ]);
    let found_ppm = found.to_ppm();
    let gain = args.stake.and_then(|stake| {
        assumptions.push(
            "who is found loses the stake once, and what it gained by that answer".to_owned(),
        );
        pays(stake, found_ppm, escape.to_ppm(), args.wrong)
    });
    DetectionView {
        audit_rate_ppm: rate,
        miss_bits: miss.bits(),
        miss_formula,
        found_ppm,
        wrong: args.wrong,
        escape_ppm: escape.to_ppm(),
        escape_bits: escape.bits(),
        stake: args.stake,
        gain,
    }
}

/// The largest gain for each of n wrong answers that does not pay, if all are given before the first is found: `⌊S·(1 − e) / (n·(1 − d))⌋` for a chance d that
/// one is found and a chance e that none is. None if every one is found.
fn pays(stake: u64, found_ppm: u64, escape_ppm: u64, wrong: u64) -> Option<u64> {
    let one = u128::from(ONE_PPM);
    let left = one
        .checked_sub(found_ppm.into())?
        .checked_mul(wrong.into())?;
    let lost = one.saturating_sub(escape_ppm.into());
    let gain = u128::from(stake).checked_mul(lost)?.checked_div(left)?;
    Some(u64::try_from(gain).unwrap_or(u64::MAX))
}

impl ConfidenceView {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(receipt) = &self.receipt {
            parts.push(receipt.text());
        }
        if let Some(operator) = &self.operator {
            parts.push(format!(
                "operator {}\n\n{}\n\n{}",
                operator.operator,
                operator.drawn.text("drawn from logs"),
                operator.honeypots.text("the auditor's own requests")
            ));
        }
        if let Some(detection) = &self.detection {
            parts.push(detection.text());
        }
        if !self.assumptions.is_empty() {
            parts.push(format!("provided\n  {}", self.assumptions.join("\n  ")));
        }
        parts.join("\n\n")
    }
}

impl ReceiptView {
    fn text(&self) -> String {
        let errors = self.errors.iter().map(|error| {
            let bound = error
                .bits
                .map_or("no bound".to_owned(), |bits| format!("at most 2^-{bits}"));
            format!("  {:<16} {bound:<16} {}", error.name, error.formula)
        });
        let errors: Vec<String> = errors.collect();
        format!(
            "receipt {}\n  operator         {}\n  checked          {}\n{}\n\nconfidence: {}",
            self.receipt,
            self.operator,
            self.basis.join(", "),
            errors.join("\n"),
            self.words
        )
    }
}

impl DetectionView {
    fn text(&self) -> String {
        let gain = match (self.stake, self.gain) {
            (None, _) => String::new(),
            (Some(stake), Some(gain)) => format!(
                "\n  gain it would need    more than {gain} for each, if {stake} are lost when found: S·(1 − (1 − d)^n) / (n·(1 − d))"
            ),
            (Some(_), None) => {
                "\n  gain it would need    none suffices: every one is found".to_owned()
            }
        };
        format!(
            "audits\n  rate                  {}\n  an audit misses       at most 2^-{}: {}\n  one wrong is found    at least {}: d = r·(1 − β)\n  \
             {} wrong, none found  at most {}, 2^-{}: (1 − d)^n{gain}",
            percent(self.audit_rate_ppm.into()),
            self.miss_bits,
            self.miss_formula,
            percent(self.found_ppm),
            self.wrong,
            percent(self.escape_ppm),
            self.escape_bits
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_rounded_down_and_certain_finding_has_none() {
        for (stake, found, expected) in [
            (1000, 500_000, Some(1000)),
            (1000, 50_000, Some(52)),
            (1000, 0, Some(0)),
            (1000, 999_999, Some(999_999_000)),
            (1000, 1_000_000, None),
            (u64::MAX, 999_999, Some(u64::MAX)),
        ] {
            let escape = u64::from(ONE_PPM) - found;
            assert_eq!(pays(stake, found, escape, 1), expected);
        }
        // Of many that are given before the first is found each gains less.
        let all = [1, 2, 100].map(|wrong| pays(1000, 50_000, 5_921, wrong));
        assert_eq!(all, [Some(1046), Some(523), Some(10)]);
    }
}
