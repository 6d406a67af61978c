//! A model's program, readable: ops, shapes, scales, bounds.

use std::collections::BTreeMap;

use credence_exact::{Dtype, NodeId, Op, Window};
use credence_model::{Decode, Encode, Model, NodeSpec, Provenance};
use serde::Serialize;

use crate::view::language::LanguageView;
use crate::view::table::{Side, Table};

/// What `model show --json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct ModelView {
    id: String,
    profile: String,
    parameter_count: u64,
    parameter_bytes: usize,
    /// For a language model what `language` says of tokens.
    trace_bytes_per_item: Option<usize>,
    /// Null for a model of tensors.
    language: Option<LanguageView>,
    inputs: Vec<PortView>,
    outputs: Vec<PortView>,
    nodes: Vec<NodeView>,
    provenance: BTreeMap<String, String>,
}

/// An input or output.
#[derive(Debug, Serialize)]
struct PortView {
    name: String,
    datatype: &'static str,
    /// For one item; the batch stands in front.
    shape: Vec<u64>,
    /// How elements and integers belong together, in words.
    coding: String,
}

/// A node.
#[derive(Debug, Serialize)]
struct NodeView {
    index: u32,
    name: String,
    op: &'static str,
    reads: Vec<u32>,
    shape: Vec<u64>,
    dtype: String,
    cut: bool,
    min: i64,
    max: i64,
    /// What else there is to say: scales, windows.
    detail: String,
}

impl ModelView {
    pub(crate) fn new(model: &Model, provenance: &Provenance) -> Self {
        let program = model.program();
        let spec = program.spec();
        let input = |input: &credence_model::InputSpec| PortView {
            name: input.name.clone(),
            datatype: input.dtype.name(),
            shape: input.shape.iter().map(|dim| u64::from(*dim)).collect(),
            coding: encode_words(&input.encode),
        };
        let output = |output: &credence_model::OutputSpec| PortView {
            name: output.name.clone(),
            datatype: output.decode.border_type().name(),
            shape: shape(model, output.node),
            coding: decode_words(&output.decode),
        };
        let nodes = spec.nodes.iter().zip(0_u32..);
        let language = LanguageView::new(model, provenance);
        Self {
            id: model.id().to_string(),
            profile: spec.profile.clone(),
            parameter_count: model.parameter_count(),
            parameter_bytes: model.params().iter().map(|param| param.len()).sum(),
            trace_bytes_per_item: (language.is_none())
                .then(|| program.trace_layout().block_bytes()),
            language,
            inputs: spec.inputs.iter().map(input).collect(),
            outputs: spec.outputs.iter().map(output).collect(),
            nodes: nodes.map(|(node, at)| node_view(model, node, at)).collect(),
            provenance: provenance.clone(),
        }
    }

    /// The words for people.
    pub(crate) fn text(&self) -> String {
        let mut parts = vec![format!(
            "model     {}\nprofile   {}\nsize      {} parameters in {} bytes",
            self.id, self.profile, self.parameter_count, self.parameter_bytes,
        )];
        if let (Some(bytes), Some(line)) = (self.trace_bytes_per_item, parts.first_mut()) {
            line.push_str(&format!("; a run commits to {bytes} bytes for each item"));
        }
        parts.extend(self.language.as_ref().map(LanguageView::text));
        let ports = [("input", &self.inputs), ("output", &self.outputs)];
        for (kind, ports) in ports {
            for port in ports {
                let name = &port.name;
                let dims = dims(&port.shape, true);
                parts.push(format!(
                    "{kind:<9} {name}: {} {dims}, {}",
                    port.datatype, port.coding
                ));
            }
        }
        for (key, value) in &self.provenance {
            parts.push(format!("{:<9} {key} = {value}", "noted"));
        }
        let mut table = Table::new(&[
            ("#", Side::Right),
            ("op", Side::Left),
            ("reads", Side::Left),
            ("shape", Side::Left),
            ("type", Side::Left),
            ("cut", Side::Left),
            ("least", Side::Right),
            ("most", Side::Right),
            ("detail", Side::Left),
            ("name", Side::Left),
        ]);
        for node in &self.nodes {
            table.row(vec![
                node.index.to_string(),
                node.op.to_owned(),
                node.reads
                    .iter()
                    .map(|n| format!("#{n}"))
                    .collect::<Vec<_>>()
                    .join(" "),
                dims(&node.shape, false),
                node.dtype.clone(),
                if node.cut {
                    "cut".to_owned()
                } else {
                    "-".to_owned()
                },
                node.min.to_string(),
                node.max.to_string(),
                node.detail.clone(),
                node.name.clone(),
            ]);
        }
        format!("{}\n\n{}", parts.join("\n"), table.text())
    }
}

fn node_view(model: &Model, node: &NodeSpec, index: u32) -> NodeView {
    let bounds = model.bounds(NodeId(index));
    NodeView {
        index,
        name: node.name.clone(),
        op: node.op.name(),
        reads: node.op.operands().iter().map(|n| n.0).collect(),
        shape: shape(model, NodeId(index)),
        dtype: dtype_name(node.dtype).to_owned(),
        cut: node.cut,
        min: bounds.map_or(i64::MIN, |b| b.min),
        max: bounds.map_or(i64::MAX, |b| b.max),
        detail: detail(model, &node.op),
    }
}

const fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::I8 => "i8",
        Dtype::I16 => "i16",
        Dtype::I32 => "i32",
    }
}

fn shape(model: &Model, node: NodeId) -> Vec<u64> {
    let shape = model.program().shape(node);
    let dims = shape.map_or(&[][..], |shape| shape.dims());
    dims.iter()
        .map(|dim| u64::try_from(*dim).unwrap_or(u64::MAX))
        .collect()
}

fn dims(shape: &[u64], batch: bool) -> String {
    let batch = batch.then(|| "batch".to_owned());
    let all: Vec<String> = batch
        .into_iter()
        .chain(shape.iter().map(ToString::to_string))
        .collect();
    format!("[{}]", all.join(", "))
}

fn encode_words(encode: &Encode) -> String {
    match encode {
        Encode::Quantise {
            multiplier,
            shift,
            min,
            max,
        } => format!(
            "quantised: x·{multiplier}·2^{} rounded, {min} to {max}",
            -shift
        ),
        Encode::OrderKey {} => "by order: compared, never added".to_owned(),
        Encode::Integer { min, max } => format!("integers from {min} to {max}"),
    }
}

fn decode_words(decode: &Decode) -> String {
    match decode {
        Decode::Scale { multiplier, shift } => {
            let step = scale(i64::from(*multiplier), *shift);
            format!("steps of {step:.3e}: q·{multiplier}·2^{}", -shift)
        }
        Decode::Integer {} => "integers".to_owned(),
        Decode::Lookup { values } => format!("one of {} values", values.len()),
    }
}

/// `multiplier · 2^−shift`, for reading.
fn scale(multiplier: i64, shift: i32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number for people to read")]
    let multiplier = multiplier as f64;
    multiplier * 2_f64.powi(-shift)
}

fn detail(model: &Model, op: &Op) -> String {
    match op {
        Op::Rescale(op) => {
            let values = model.param(op.multiplier).map(|view| view.to_i32_vec());
            let values = values.unwrap_or_default();
            let shift = i32::from(op.shift.bits());
            let of = |m: Option<&i32>| scale(m.copied().unwrap_or(0).into(), shift);
            let (least, most) = (of(values.iter().min()), of(values.iter().max()));
            let clamp = format!("in {}..={}", op.min, op.max);
            if values.len() > 1 {
                format!("×{least:.3e} to ×{most:.3e} by channel, {clamp}")
            } else {
                format!("×{least:.3e}, {clamp}")
            }
        }
        Op::Conv(op) => {
            let groups = if op.groups == 1 {
                String::new()
            } else {
                format!(", {} groups", op.groups)
            };
            format!("{}{groups}", window(&op.window))
        }
        Op::MaxPool(op) => window(&op.window),
        Op::SumPool(op) => window(&op.window),
        Op::Add(op) => {
            let shift = i32::from(op.shift.bits());
            let (a, b) = (
                scale(op.a_multiplier.get(), shift),
                scale(op.b_multiplier.get(), shift),
            );
            let sign = if op.negate_b { '−' } else { '+' };
            format!("a·{a:.3e} {sign} b·{b:.3e}, in {}..={}", op.min, op.max)
        }
        Op::Softmax(op) => format!("2^{} is one", op.bits),
        Op::TreeLeaves(op) => format!("at most {} comparisons", op.depth),
        Op::Concat(op) => format!("along axis {}", op.axis),
        Op::Quantise(op) => format!("{} steps each way", op.limit),
        Op::Mul(op) => format!(
            "a·b·2^{}, in {}..={}",
            -i32::from(op.shift.bits()),
            op.min,
            op.max
        ),
        Op::Scores(op) => {
            let by = scale(op.multiplier.get(), i32::from(op.shift.bits()));
            format!("q·k·{by:.3e}, in {}..={}", op.min, op.max)
        }
        Op::Attend(op) => format!("means in steps of 2^{}", -i32::from(op.bits)),
        Op::Hadamard(op) => format!("blocks of {}", op.size),
        Op::Divide(op) => format!("{} is one", op.factor.get()),
        Op::Token(_) | Op::Position(_) | Op::MaxAbs(_) | Op::RmsRatio(_) | Op::MatMul(_) => {
            String::new()
        }
        Op::Table(_)
        | Op::Input(_)
        | Op::Linear(_)
        | Op::Reindex(_)
        | Op::ArgMax(_)
        | Op::GatherSum(_)
        | Op::Gather(_)
        | Op::Embed(_)
        | Op::Rope(_) => parameter(model, op),
    }
}

/// The shape of the op's first parameter, if it has one.
fn parameter(model: &Model, op: &Op) -> String {
    op.params()
        .first()
        .and_then(|param| model.param(*param))
        .map(|view| {
            let dims = view.shape().dims().iter().map(ToString::to_string);
            format!("parameter [{}]", dims.collect::<Vec<_>>().join(", "))
        })
        .unwrap_or_default()
}

fn window(window: &Window) -> String {
    let Window {
        kernel: [kh, kw],
        stride: [sh, sw],
        pad: [top, left, bottom, right],
        dilation: [dh, dw],
    } = window;
    let mut text = format!("{kh}×{kw}");
    if (*sh, *sw) != (1, 1) {
        text.push_str(&format!(", stride {sh}×{sw}"));
    }
    if [top, left, bottom, right].iter().any(|pad| **pad > 0) {
        text.push_str(&format!(", pad {top},{left},{bottom},{right}"));
    }
    if (*dh, *dw) != (1, 1) {
        text.push_str(&format!(", dilation {dh}×{dw}"));
    }
    text
}
