//! LSTM and GRU, step by step over a sequence of fixed length: each step is products, sums and tables like any other.
//!
//! ```text
//! all x·W + b, once ─slice t─▶ + h·R ─▶ gates ─▶ h, c of the next step
//! ```
//!
//! The length comes from the operand's shape (`--dim` binds it). Lengths that differ inside a batch, peepholes, clips and other functions than the
//! usual ones are refused by name.

use credence_import::{AffineOp, Function, GraphOp, LinearOp, Run, ValueId};

use super::parts::sliced;
use crate::attributes::Attributes;
use crate::constant::Values;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// Most steps that are written out.
const STEPS_MAX: usize = 1024;

/// Which cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lstm,
    Gru {
        /// Whether the reset gate comes behind the recurrent product.
        after: bool,
    },
}

impl Kind {
    const fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru { .. } => 3,
        }
    }
}

/// What one direction computes with.
struct Direction<'a> {
    kind: Kind,
    hidden: usize,
    /// `[gates·H, I]`.
    input: &'a [f32],
    /// `[gates·H, H]`.
    recurrent: &'a [f32],
    /// Of the input's product and of the recurrent one.
    bias: [Vec<f32>; 2],
}

/// The state between steps; none stands for zeros.
#[derive(Clone, Copy, Default)]
struct State {
    h: Option<ValueId>,
    c: Option<ValueId>,
}

/// Sizes of an operator's operands.
struct Sizes {
    steps: usize,
    input: usize,
    hidden: usize,
    directions: usize,
}

/// A long short-term memory.
pub(crate) fn lstm(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(8)?;
    let known = [
        "activations",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
    ];
    let attributes = node.attributes(&known)?;
    attributes.only("input_forget", 0)?;
    if let Some(peepholes) = node.constant(7)?
        && peepholes
            .floats()
            .is_none_or(|all| all.iter().any(|&p| p != 0.0))
    {
        return Err(node.operand_error(7, "absent: peepholes are not supported", "given"));
    }
    recurrent(
        t,
        node,
        &attributes,
        (Kind::Lstm, &["Sigmoid", "Tanh", "Tanh"]),
    )
}

/// A gated recurrent unit.
pub(crate) fn gru(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(6)?;
    let known = [
        "activations",
        "direction",
        "hidden_size",
        "layout",
        "linear_before_reset",
    ];
    let attributes = node.attributes(&known)?;
    let after = attributes.int_or("linear_before_reset", 0)? != 0;
    recurrent(
        t,
        node,
        &attributes,
        (Kind::Gru { after }, &["Sigmoid", "Tanh"]),
    )
}

fn recurrent(
    t: &mut Translator,
    node: &Node<'_>,
    attributes: &Attributes<'_>,
    (kind, functions): (Kind, &[&str]),
) -> Result<Vec<Slot>, OnnxError> {
    let (x, batch) = node.placed(0)?;
    let layout = attributes.int_or("layout", 0)?;
    let expected = usize::from(layout == 0);
    if batch != expected || ![0, 1].contains(&layout) {
        let expected =
            format!("a sequence whose batch is on axis {expected} (export with the batch first)");
        return Err(node.operand_error(0, expected, format!("one with its batch on axis {batch}")));
    }
    let sizes = sizes(t, node, attributes, (kind, x))?;
    for (at, given) in attributes.strings("activations")?.iter().enumerate() {
        let usual = functions[at % functions.len()];
        if !given.eq_ignore_ascii_case(usual.as_bytes()) {
            let got = String::from_utf8_lossy(given);
            return Err(attributes.error("activations", functions.join(", "), got));
        }
    }
    lengths(node, sizes.steps)?;
    let mut all: Vec<Vec<ValueId>> = Vec::with_capacity(sizes.directions);
    let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
    for at in 0..sizes.directions {
        let direction = direction(node, kind, &sizes, at)?;
        let start = State {
            h: initial(t, node, 5, (&sizes, at))?,
            c: match kind {
                Kind::Lstm => initial(t, node, 6, (&sizes, at))?,
                Kind::Gru { .. } => None,
            },
        };
        let back = at == 1 || attributes.string("direction")? == Some("reverse");
        let (steps, end) = direction.unrolled(t, node, (x, start), (sizes.steps, back))?;
        last_h.extend(end.h);
        last_c.extend(end.c);
        all.push(steps);
    }
    let steps: Vec<Vec<ValueId>> = (0..sizes.steps)
        .map(|step| all.iter().map(|direction| direction[step]).collect())
        .collect();
    let hidden = sizes.hidden;
    let parts = steps
        .iter()
        .map(|both| joined(t, node, both, &[1, 1, hidden], 1));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let y = concatenated(t, node, parts, 0)?;
    let h = joined(t, node, &last_h, &[1, hidden], 0)?;
    let places = if layout == 0 { (2, 1) } else { (0, 0) };
    let mut slots = vec![Slot::placed(y, places.0), Slot::placed(h, places.1)];
    if kind == Kind::Lstm {
        let c = joined(t, node, &last_c, &[1, hidden], 0)?;
        slots.push(Slot::placed(c, places.1));
    }
    Ok(slots)
}

fn sizes(
    t: &Translator,
    node: &Node<'_>,
    attributes: &Attributes<'_>,
    (kind, x): (Kind, ValueId),
) -> Result<Sizes, OnnxError> {
    t.real(node, 0, x)?;
    let &[steps, input] = t.shape(x).as_slice() else {
        return Err(node.operand_error(0, "a sequence of vectors", format!("{:?}", t.shape(x))));
    };
    let directions = match attributes.string("direction")?.unwrap_or("forward") {
        "forward" | "reverse" => 1,
        "bidirectional" => 2,
        other => {
            return Err(attributes.error("direction", "forward, reverse or bidirectional", other));
        }
    };
    let matrix = node.floats(1)?;
    let hidden = match *matrix.shape.as_slice() {
        [count, rows, columns]
            if count == directions && columns == input && rows % kind.gates() == 0 =>
        {
            rows / kind.gates()
        }
        _ => 0,
    };
    let declared = attributes.int("hidden_size")?;
    let agrees = declared.is_none_or(|n| usize::try_from(n) == Ok(hidden));
    if hidden == 0 || !agrees {
        let expected = format!(
            "[{directions}, {}·H, {input}] for the hidden size H",
            kind.gates()
        );
        return Err(node.operand_error(1, expected, matrix.describe()));
    }
    if steps > STEPS_MAX {
        let expected = format!("a sequence of at most {STEPS_MAX} steps");
        return Err(node.operand_error(0, expected, steps.to_string()));
    }
    Ok(Sizes {
        steps,
        input,
        hidden,
        directions,
    })
}

/// Lengths of the batch's sequences, if they are given: all of them.
fn lengths(node: &Node<'_>, steps: usize) -> Result<(), OnnxError> {
    let given = node.ints(4)?.unwrap_or_default();
    if given.iter().all(|&n| usize::try_from(n) == Ok(steps)) {
        return Ok(());
    }
    Err(node.operand_error(
        4,
        format!("absent, or {steps} for all"),
        format!("{given:?}"),
    ))
}

/// A part of a constant of one direction.
fn part<'a>(
    node: &'a Node<'_>,
    index: usize,
    (at, directions, length): (usize, usize, usize),
) -> Result<&'a [f32], OnnxError> {
    let constant = node.floats(index)?;
    let all = constant.floats().unwrap_or_default();
    if directions.checked_mul(length) != Some(all.len()) {
        let expected = format!("of {directions} times {length} elements");
        return Err(node.operand_error(index, expected, constant.describe()));
    }
    Ok(&all[at * length..(at + 1) * length])
}

fn direction<'a>(
    node: &'a Node<'_>,
    kind: Kind,
    sizes: &Sizes,
    at: usize,
) -> Result<Direction<'a>, OnnxError> {
    let rows = kind.gates() * sizes.hidden;
    let of = |index: usize, length: usize| part(node, index, (at, sizes.directions, length));
    let bias = match node.operand(3) {
        Some(_) => {
            let both = of(3, 2 * rows)?;
            [both[..rows].to_vec(), both[rows..].to_vec()]
        }
        None => [vec![0.0; rows], vec![0.0; rows]],
    };
    Ok(Direction {
        kind,
        hidden: sizes.hidden,
        input: of(1, rows * sizes.input)?,
        recurrent: of(2, rows * sizes.hidden)?,
        bias,
    })
}

/// The state before the first step: a value, or zeros.
fn initial(
    t: &mut Translator,
    node: &Node<'_>,
    index: usize,
    (sizes, at): (&Sizes, usize),
) -> Result<Option<ValueId>, OnnxError> {
    match node.operand(index) {
        None => Ok(None),
        Some(Slot::Constant(constant)) => {
            let zeros = match &constant.values {
                Values::Floats(all) => all.iter().all(|&x| x == 0.0),
                Values::Ints(_) | Values::Sizes(_) => false,
            };
            if zeros {
                return Ok(None);
            }
            Err(node.operand_error(
                index,
                "zeros, or something that depends on the inputs",
                constant.describe(),
            ))
        }
        Some(_) => {
            let (x, _) = node.placed(index)?;
            let shape = [sizes.directions, sizes.hidden];
            if t.shape(x) != shape {
                let got = format!("{:?}", t.shape(x));
                return Err(node.operand_error(
                    index,
                    format!("{shape:?} for each of the batch"),
                    got,
                ));
            }
            let run = Run {
                start: at,
                step: 1,
                count: 1,
            };
            let one = sliced(t, node, x, 0, run)?;
            t.reshape(node, one, vec![sizes.hidden]).map(Some)
        }
    }
}

/// Vectors as one value, each of this shape, along an axis.
fn joined(
    t: &mut Translator,
    node: &Node<'_>,
    parts: &[ValueId],
    shape: &[usize],
    axis: usize,
) -> Result<ValueId, OnnxError> {
    let parts = parts.iter().map(|&x| t.reshape(node, x, shape.to_vec()));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    concatenated(t, node, parts, axis)
}

fn concatenated(
    t: &mut Translator,
    node: &Node<'_>,
    xs: Vec<ValueId>,
    axis: usize,
) -> Result<ValueId, OnnxError> {
    match xs.as_slice() {
        &[only] => Ok(only),
        _ => t.push(node, GraphOp::Concat { xs, axis }),
    }
}

impl Direction<'_> {
    /// The state's h behind each step, in the order of the sequence, and the state at the end.
    fn unrolled(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        (x, start): (ValueId, State),
        (steps, back): (usize, bool),
    ) -> Result<(Vec<ValueId>, State), OnnxError> {
        let rows = self.kind.gates() * self.hidden;
        // What the recurrent product adds in any case; behind a reset gate it stays with that product.
        let kept = match self.kind {
            Kind::Gru { after: true } => 2 * self.hidden,
            _ => rows,
        };
        let both = self.bias[0].iter().zip(&self.bias[1]).enumerate();
        let bias = both.map(|(r, (a, b))| if r < kept { a + b } else { *a });
        let linear = LinearOp {
            x,
            rows,
            weight: self.input.to_vec(),
            bias: bias.collect(),
            steps: Vec::new(),
        };
        let all = t.push(node, GraphOp::Linear(linear))?;
        let mut state = start;
        let mut found = vec![None; steps];
        for k in 0..steps {
            let at = if back { steps - 1 - k } else { k };
            let run = Run {
                start: at,
                step: 1,
                count: 1,
            };
            let own = sliced(t, node, all, 0, run)?;
            let own = t.reshape(node, own, vec![rows])?;
            state = match self.kind {
                Kind::Lstm => self.lstm(t, node, own, state)?,
                Kind::Gru { after } => self.gru(t, node, (own, after), state)?,
            };
            found[at] = state.h;
        }
        Ok((found.into_iter().flatten().collect(), state))
    }

    /// Rows of a recurrent product from one gate on.
    fn product(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        x: ValueId,
        gates: core::ops::Range<usize>,
    ) -> Result<ValueId, OnnxError> {
        let (hidden, rows) = (self.hidden, gates.len() * self.hidden);
        let from = gates.start * hidden;
        let linear = LinearOp {
            x,
            rows,
            weight: self.recurrent[from * hidden..(from + rows) * hidden].to_vec(),
            bias: Vec::new(),
            steps: Vec::new(),
        };
        t.push(node, GraphOp::Linear(linear))
    }

    fn gate(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        (x, at): (ValueId, usize),
        function: Function,
    ) -> Result<ValueId, OnnxError> {
        let x = self.slice(t, node, x, at..at + 1)?;
        t.push(node, GraphOp::Unary { x, function })
    }

    fn slice(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        x: ValueId,
        gates: core::ops::Range<usize>,
    ) -> Result<ValueId, OnnxError> {
        let run = Run {
            start: gates.start * self.hidden,
            step: 1,
            count: gates.len() * self.hidden,
        };
        sliced(t, node, x, 0, run)
    }

    /// Gates in the order input, output, forget, cell.
    fn lstm(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        own: ValueId,
        state: State,
    ) -> Result<State, OnnxError> {
        let sums = match state.h {
            Some(h) => {
                let more = self.product(t, node, h, 0..4)?;
                added(t, node, own, more, false)?
            }
            None => own,
        };
        let input = self.gate(t, node, (sums, 0), Function::Sigmoid)?;
        let output = self.gate(t, node, (sums, 1), Function::Sigmoid)?;
        let cell = self.gate(t, node, (sums, 3), Function::Tanh)?;
        let mut c = t.push(node, GraphOp::Mul { a: input, b: cell })?;
        if let Some(before) = state.c {
            let forget = self.gate(t, node, (sums, 2), Function::Sigmoid)?;
            let kept = t.push(
                node,
                GraphOp::Mul {
                    a: forget,
                    b: before,
                },
            )?;
            c = added(t, node, kept, c, false)?;
        }
        let function = Function::Tanh;
        let shown = t.push(node, GraphOp::Unary { x: c, function })?;
        let h = t.push(
            node,
            GraphOp::Mul {
                a: output,
                b: shown,
            },
        )?;
        Ok(State {
            h: Some(h),
            c: Some(c),
        })
    }

    /// Gates in the order update, reset, hidden.
    fn gru(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        (own, after): (ValueId, bool),
        state: State,
    ) -> Result<State, OnnxError> {
        let Some(before) = state.h else {
            return self.first_gru(t, node, (own, after));
        };
        let front = self.slice(t, node, own, 0..2)?;
        let more = self.product(t, node, before, 0..2)?;
        let sums = added(t, node, front, more, false)?;
        let update = self.gate(t, node, (sums, 0), Function::Sigmoid)?;
        let reset = self.gate(t, node, (sums, 1), Function::Sigmoid)?;
        let inner = if after {
            let product = self.product(t, node, before, 2..3)?;
            let product = self.with_bias(t, node, product)?;
            t.push(
                node,
                GraphOp::Mul {
                    a: product,
                    b: reset,
                },
            )?
        } else {
            let x = t.push(
                node,
                GraphOp::Mul {
                    a: before,
                    b: reset,
                },
            )?;
            self.product(t, node, x, 2..3)?
        };
        let x = self.slice(t, node, own, 2..3)?;
        let x = added(t, node, x, inner, false)?;
        let function = Function::Tanh;
        let fresh = t.push(node, GraphOp::Unary { x, function })?;
        // (1 − z)·fresh + z·before = fresh + z·(before − fresh).
        let change = added(t, node, before, fresh, true)?;
        let change = t.push(
            node,
            GraphOp::Mul {
                a: change,
                b: update,
            },
        )?;
        let h = Some(added(t, node, fresh, change, false)?);
        Ok(State { h, c: None })
    }

    /// A step from zeros: `(1 − z)·tanh(own + reset·bias)`.
    fn first_gru(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        (own, after): (ValueId, bool),
    ) -> Result<State, OnnxError> {
        let update = self.gate(t, node, (own, 0), Function::Sigmoid)?;
        let mut x = self.slice(t, node, own, 2..3)?;
        let bias = &self.bias[1][2 * self.hidden..];
        if after && bias.iter().any(|&b| b != 0.0) {
            let reset = self.gate(t, node, (own, 1), Function::Sigmoid)?;
            let scale = bias.iter().map(|&b| f64::from(b)).collect();
            let more = affine(t, node, reset, scale, vec![0.0; self.hidden])?;
            x = added(t, node, x, more, false)?;
        }
        let function = Function::Tanh;
        let fresh = t.push(node, GraphOp::Unary { x, function })?;
        let rest = super::elementwise::scaled(t, node, update, (-1.0, 1.0))?;
        let h = t.push(node, GraphOp::Mul { a: fresh, b: rest })?;
        Ok(State {
            h: Some(h),
            c: None,
        })
    }

    /// A recurrent product of the hidden gate with its bias.
    fn with_bias(
        &self,
        t: &mut Translator,
        node: &Node<'_>,
        product: ValueId,
    ) -> Result<ValueId, OnnxError> {
        let bias = &self.bias[1][2 * self.hidden..];
        let shift = bias.iter().map(|&b| f64::from(b)).collect();
        affine(t, node, product, vec![1.0; self.hidden], shift)
    }
}

fn affine(
    t: &mut Translator,
    node: &Node<'_>,
    x: ValueId,
    scale: Vec<f64>,
    shift: Vec<f64>,
) -> Result<ValueId, OnnxError> {
    let affine = AffineOp {
        x,
        axis: 0,
        scale,
        shift,
    };
    t.push(node, GraphOp::Affine(affine))
}

fn added(
    t: &mut Translator,
    node: &Node<'_>,
    a: ValueId,
    b: ValueId,
    subtract: bool,
) -> Result<ValueId, OnnxError> {
    t.push(node, GraphOp::Add { a, b, subtract })
}
