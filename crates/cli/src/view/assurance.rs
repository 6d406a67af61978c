//! What a check earned, or why it refused.

use credence_claim::{Finding, Soundness};
use credence_verify::{Receipt, Verified};
use serde::Serialize;

use crate::error::CliError;
use crate::time::rfc3339;

/// What `verify --json` prints when the policy is met.
#[derive(Debug, Serialize)]
pub(crate) struct AcceptedView {
    accepted: bool,
    receipt: String,
    operator: String,
    time: String,
    model: String,
    nonce: Option<String>,
    input_count: u64,
    output_count: u64,
    findings: Vec<FindingView>,
    confidence: ConfidenceView,
}

/// What `verify --json` prints when it refuses.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedView {
    accepted: bool,
    kind: &'static str,
    exit_code: u8,
    reason: String,
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct FindingView {
    basis: String,
    shown: Vec<String>,
    numbers: Vec<NumberView>,
    trusted: Vec<String>,
    not_checked: Vec<String>,
    soundness_bits: Option<u32>,
}

#[derive(Debug, Serialize)]
struct NumberView {
    name: &'static str,
    quantity: String,
}

#[derive(Debug, Serialize)]
struct ConfidenceView {
    wrong_output_bits: Option<u32>,
    assumptions: Vec<String>,
    words: String,
}

const fn bits(soundness: Soundness) -> Option<u32> {
    match soundness {
        Soundness::None => None,
        Soundness::Bits(bits) => Some(bits),
    }
}

impl AcceptedView {
    pub(crate) fn new(verified: &Verified<Receipt>) -> Self {
        let receipt = verified.value();
        let inference = receipt.inference();
        let claim = inference.claim.fields();
        let confidence = verified.assurance().confidence();
        Self {
            accepted: true,
            receipt: receipt.digest().to_string(),
            operator: inference.operator.to_string(),
            time: rfc3339(inference.time_unix_s),
            model: claim.model.to_string(),
            nonce: claim.nonce.map(|nonce| nonce.to_string()),
            input_count: claim.counts.input,
            output_count: claim.counts.output,
            findings: verified
                .assurance()
                .findings()
                .iter()
                .map(finding_view)
                .collect(),
            confidence: ConfidenceView {
                wrong_output_bits: bits(confidence.wrong_output),
                words: confidence.to_string(),
                assumptions: confidence.assumptions,
            },
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let nonce = self.nonce.as_deref().unwrap_or("none");
        let head = format!(
            "accepted: the policy is met\n\n  receipt   {}\n  operator  {}\n  signed    {} by the operator's clock\n  \
             model     {}\n  nonce     {nonce}\n  items     {} in, {} out\n",
            self.receipt, self.operator, self.time, self.model, self.input_count, self.output_count
        );
        let findings: Vec<String> = self.findings.iter().map(FindingView::text).collect();
        format!(
            "{head}\n{}\n\nconfidence: {}",
            findings.join("\n\n"),
            self.confidence.words
        )
    }
}

impl RefusedView {
    pub(crate) fn new(error: &CliError) -> Self {
        Self {
            accepted: false,
            kind: error.exit().name(),
            exit_code: error.exit().code(),
            reason: error.reason(),
            hint: error.hint_text().map(ToOwned::to_owned),
        }
    }
}

fn finding_view(finding: &Finding) -> FindingView {
    let number = |number: &credence_claim::Number| NumberView {
        name: number.name,
        quantity: number.quantity.to_string(),
    };
    FindingView {
        basis: finding.basis.to_string(),
        shown: finding.shown.clone(),
        numbers: finding.numbers.iter().map(number).collect(),
        trusted: finding.trusted.clone(),
        not_checked: finding.not_checked.clone(),
        soundness_bits: bits(finding.soundness),
    }
}

impl FindingView {
    fn text(&self) -> String {
        let numbers = self.numbers.iter();
        let numbers: Vec<String> = numbers
            .map(|number| format!("{}: {}", number.name, number.quantity))
            .collect();
        let lists = [
            ("shown", &self.shown),
            ("numbers", &numbers),
            ("trusted", &self.trusted),
            ("not checked", &self.not_checked),
        ];
        let mut text = self.basis.clone();
        for (name, list) in lists {
            for (at, line) in list.iter().enumerate() {
                let name = if at == 0 { name } else { "" };
                text.push_str(&format!("\n  {name:<12} {line}"));
            }
        }
        text
    }
}
