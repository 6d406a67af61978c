//! The fidelity report of an import.

use credence_hub::{FloatReference, Measured, output_error};
use credence_import::fidelity::{OutputFidelity, Saturation};
use serde::Serialize;

use crate::view::table::{Side, Table};

/// Most saturated nodes that are listed for people.
const SATURATED_MAX: usize = 8;

/// How faithful an exact model is.
#[derive(Debug, Serialize)]
pub(crate) struct FidelityView {
    items: u64,
    error: f64,
    reference: &'static str,
    reference_reason: Option<String>,
    outputs: Vec<OutputView>,
    saturated: Vec<SaturationView>,
}

#[derive(Debug, Serialize)]
struct OutputView {
    name: String,
    error: f64,
    max_error: Option<f64>,
    mean_error: Option<f64>,
    cosine: Option<f64>,
    magnitude: Option<f64>,
    top_1: Option<f64>,
    top_1_same: Option<u64>,
    top_1_of: Option<u64>,
}

#[derive(Debug, Serialize)]
struct SaturationView {
    node: String,
    cells: u64,
    of: u64,
}

impl FidelityView {
    pub(crate) fn new(measured: &Measured) -> Self {
        let (reference, reference_reason) = match &measured.reference {
            FloatReference::Independent => ("independent", None),
            FloatReference::Own { reason } => ("own", Some(reason.clone())),
        };
        Self {
            items: measured.fidelity.positions,
            error: measured.error(),
            reference,
            reference_reason,
            outputs: measured.fidelity.outputs.iter().map(output).collect(),
            saturated: measured.fidelity.saturated.iter().map(saturation).collect(),
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let mut table = Table::new(&[
            ("output", Side::Left),
            ("max error", Side::Right),
            ("mean error", Side::Right),
            ("largest", Side::Right),
            ("cosine", Side::Right),
            ("top-1 agreement", Side::Right),
            ("error", Side::Right),
        ]);
        let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.6}"));
        for output in &self.outputs {
            let top_1 = match (output.top_1, output.top_1_same, output.top_1_of) {
                (Some(share), Some(same), Some(of)) => {
                    format!("{same} of {of} = {:.2} %", share * 100.0)
                }
                _ => "-".to_owned(),
            };
            table.row(vec![
                output.name.clone(),
                number(output.max_error),
                number(output.mean_error),
                number(output.magnitude),
                number(output.cosine),
                top_1,
                format!("{:.3} %", output.error * 100.0),
            ]);
        }
        let compared = match &self.reference_reason {
            None => "the float model, run by an independent engine".to_owned(),
            Some(reason) => format!(
                "our own reading of the float model, which would share our mistakes ({reason})"
            ),
        };
        let items = self.items;
        let mut text = format!(
            "fidelity over {items} calibration inputs, compared with {compared}:\n\n{}\n",
            table.text()
        );
        for at in self.saturated.iter().take(SATURATED_MAX) {
            let SaturationView { node, cells, of } = at;
            text.push_str(&format!("\nsaturated: {cells} of {of} values of `{node}`"));
        }
        let more = self.saturated.len().saturating_sub(SATURATED_MAX);
        if more > 0 {
            text.push_str(&format!("\nsaturated: values of {more} more nodes"));
        }
        text.push_str(&format!("\nerror {:.3} %", self.error * 100.0));
        text
    }
}

fn output(output: &OutputFidelity) -> OutputView {
    OutputView {
        name: output.name.clone(),
        error: output_error(output),
        max_error: output.errors.map(|e| e.max),
        mean_error: output.errors.map(|e| e.mean),
        cosine: output.errors.map(|e| e.cosine),
        magnitude: output.errors.map(|e| e.magnitude),
        top_1: output.top_1.map(|t| t.share()),
        top_1_same: output.top_1.map(|t| t.same),
        top_1_of: output.top_1.map(|t| t.of),
    }
}

fn saturation(saturation: &Saturation) -> SaturationView {
    SaturationView {
        node: saturation.node.clone(),
        cells: saturation.cells,
        of: saturation.of,
    }
}
