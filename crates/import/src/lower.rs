//! From a graph to a program: every value in the forms that the plan asks for.
//!
//! ```text
//! Graph ─plan─▶ forms of each value ─▶ nodes and parameters (one function per op, below and in `product`, `input`, `forest`) ─cut─▶ ProgramSpec
//! ```

mod channels;
mod norms;
mod outputs;
mod pairs;
mod parts;
mod tables;

use std::collections::BTreeMap;

use credence_base::Profile;
use credence_exact::fixed::exp_neg;
use credence_exact::shape::SOFTMAX_MAX;
use credence_exact::{Add, Concat, Dtype, MaxPool, Multiplier, Op, Softmax, Table};
use credence_model::{InputSpec, ProgramSpec};

use crate::emit::{Emitter, Raw};
use crate::error::LowerError;
use crate::forest;
use crate::graph::{GraphOp, ValueId};
use crate::input::StoredFeatures;
use crate::number::{dim32, pow2};
use crate::plan::{Demands, Form, Left, PROBABILITY_BITS, Planner, SOFTMAX_BITS, itself};
use crate::producer::{Fold, Producer, producer};
use crate::quant::{Quant, Scale, multipliers};
use crate::view::View;

use self::tables::TableOf;

/// The order of an `[H, W, C]` node's axes in a `[C, H, W]` value.
pub(crate) const IMAGE: [usize; 3] = [1, 2, 0];

/// A program and its tensors, not yet checked.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) spec: ProgramSpec,
    pub(crate) params: Vec<Vec<u8>>,
}

pub(crate) struct Lowering<'a> {
    pub(crate) planner: &'a Planner<'a>,
    pub(crate) emitter: Emitter,
    views: BTreeMap<(ValueId, Form), View>,
    /// Sums and the like, before any rescaling, by the value they are of and the form whose zero they are shifted by, if any.
    pub(crate) sums: BTreeMap<(ValueId, Option<(Scale, i32)>), Raw>,
    /// Inputs as two limbs, the high one first.
    pub(crate) limbs: BTreeMap<ValueId, [View; 2]>,
    /// Scales and centres of features, for inputs stored so.
    pub(crate) features: BTreeMap<(ValueId, Form), StoredFeatures>,
}

/// Lowers a planned graph.
pub(crate) fn lower(planner: &Planner<'_>) -> Result<Lowered, LowerError> {
    let demands = planner.demands()?;
    let mut lowering = Lowering {
        planner,
        emitter: Emitter::default(),
        views: BTreeMap::new(),
        sums: BTreeMap::new(),
        limbs: BTreeMap::new(),
        features: BTreeMap::new(),
    };
    let inputs = lowering.inputs(&demands)?;
    for value in planner.graph.values().skip(inputs.len()) {
        for &form in &demands[value.0] {
            let view = lowering.value(value, form)?;
            lowering.views.insert((value, form), view);
        }
    }
    let outputs = planner.graph.outputs().iter();
    let outputs = outputs
        .map(|output| lowering.output(&output.name, output.value))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Lowered {
        spec: ProgramSpec {
            profile: Profile::Exact1.as_str().to_owned(),
            inputs,
            params: lowering.emitter.params,
            nodes: lowering.emitter.nodes,
            outputs,
            language: None,
        },
        params: lowering.emitter.bytes,
    })
}

/// Axes of a value in their own order.
pub(crate) fn row_major(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

impl Lowering<'_> {
    /// Inputs, and all forms that are asked of them, come first.
    fn inputs(&mut self, demands: &Demands) -> Result<Vec<InputSpec>, LowerError> {
        let graph = self.planner.graph;
        let mut specs = Vec::with_capacity(graph.inputs().len());
        let mut encoded = Vec::new();
        for (value, input) in graph.values().zip(graph.inputs()) {
            let forms: Vec<Form> = demands[value.0].iter().copied().collect();
            let (encode, raw, stored) = self.input(value, &forms)?;
            specs.push(InputSpec {
                name: input.name.clone(),
                dtype: input.dtype,
                shape: input.shape.iter().copied().map(dim32).collect(),
                encode,
            });
            encoded.push((value, forms, (raw, stored)));
        }
        for (value, forms, (raw, stored)) in encoded {
            for form in forms {
                let view = self.input_form(value, form, (&raw, stored))?;
                self.views.insert((value, form), view);
            }
        }
        Ok(specs)
    }

    /// The view of an operand, emitted before.
    pub(crate) fn view(&self, operand: (ValueId, Form)) -> Result<View, LowerError> {
        // The plan asked for it, or it is a mistake of this crate, which the program's own check would find.
        self.views.get(&operand).cloned().ok_or(LowerError::Size)
    }

    pub(crate) fn name(&self, value: ValueId) -> &str {
        self.planner.graph.node(value).name()
    }

    pub(crate) fn dims(&self, value: ValueId) -> &[usize] {
        self.planner.graph.node(value).shape()
    }

    fn value(&mut self, value: ValueId, form: Form) -> Result<View, LowerError> {
        let operands = self.planner.operands(value, form)?;
        let views = operands
            .iter()
            .map(|&operand| self.view(operand))
            .collect::<Result<Vec<_>, _>>()?;
        match (form, views.as_slice()) {
            (Form::Real(quant), views) => self.real(value, quant, &operands, views),
            (Form::Index, [x]) => self.index(value, x),
            (Form::Channels { of, rectified }, views) => {
                self.channels(value, (of, rectified), (&operands, views))
            }
            (_, views) => self.moved(value, form, views),
        }
    }

    fn real(
        &mut self,
        value: ValueId,
        quant: Quant,
        operands: &[(ValueId, Form)],
        views: &[View],
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        match (producer(self.planner.graph, value), operands, views) {
            (Producer::Product { base, fold }, &[(x, form)], _) => {
                let raw = self.product_sums(value, (base, &fold), quant, (x, form))?;
                self.emitter.stored(&name, &raw, quant)
            }
            (Producer::Table { function, fold, .. }, &[(_, Form::Real(x))], [view]) => {
                self.table(&name, &TableOf { function, fold, x }, view, quant)
            }
            (Producer::Diagonal(op), &[(_, Form::Real(x))], [view]) => {
                match self.planner.left(op) {
                    // The operand has been asked for at the scale that makes it this value.
                    Left::Nothing(_) => Ok(view.clone()),
                    Left::Table => {
                        let of = TableOf {
                            function: itself(),
                            fold: Fold::identity().then(&op.scale, &op.shift),
                            x,
                        };
                        self.table(&name, &of, view, quant)
                    }
                    Left::Each => self.each(value, op, (view, x), quant),
                }
            }
            (Producer::Plain(op), operands, views) => self.plain(value, op, quant, operands, views),
            _ => Err(LowerError::Size),
        }
    }

    /// The accumulators of a product, emitted once for all forms whose zero they are shifted by.
    fn product_sums(
        &mut self,
        value: ValueId,
        (base, fold): (ValueId, &Fold),
        quant: Quant,
        operand: (ValueId, Form),
    ) -> Result<Raw, LowerError> {
        // What the form's zero adds is part of the bias.
        let shifted = (quant.zero != 0).then_some((quant.scale, quant.zero));
        if let Some(raw) = self.sums.get(&(value, shifted)) {
            return Ok(raw.clone());
        }
        let fold = fold.shifted(quant.offset());
        let raw = self.product(value, base, &fold, operand)?;
        self.sums.insert((value, shifted), raw.clone());
        Ok(raw)
    }

    /// What a value is before any rescaling, emitted once however many forms are asked of it.
    fn once(
        &mut self,
        value: ValueId,
        emit: impl FnOnce(&mut Self) -> Result<Raw, LowerError>,
    ) -> Result<Raw, LowerError> {
        if let Some(raw) = self.sums.get(&(value, None)) {
            return Ok(raw.clone());
        }
        let raw = emit(self)?;
        self.sums.insert((value, None), raw.clone());
        Ok(raw)
    }

    fn plain(
        &mut self,
        value: ValueId,
        op: &GraphOp,
        quant: Quant,
        operands: &[(ValueId, Form)],
        views: &[View],
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        match (op, operands, views) {
            (GraphOp::Clip { .. }, _, [x]) => Ok(x.clone()),
            (GraphOp::Quantised { .. }, &[(_, Form::Real(from))], [x]) => {
                // What it reads is at its integers already.
                if from == quant {
                    return Ok(x.clone());
                }
                let function = itself();
                let fold = Fold::identity();
                let of = TableOf {
                    function,
                    fold,
                    x: from,
                };
                self.table(&name, &of, x, quant)
            }
            (GraphOp::Add { subtract, .. }, &[(_, Form::Real(a)), (_, Form::Real(b))], [x, y]) => {
                let [x, y] = self.aligned(&name, value, [x, y])?;
                self.add(&name, (&x, a), (&y, b), *subtract, quant)
            }
            (GraphOp::MaxPool { window, .. }, &[(x, _)], [view]) => {
                let x = self.image(&name, x, view)?;
                let op = Op::MaxPool(MaxPool { x, window: *window });
                self.pooled(value, &name, op, quant.dtype)
            }
            (GraphOp::AveragePool { window, .. }, &[(x, Form::Real(from))], [view]) => {
                let raw = self.once(value, |this| {
                    let x = this.image(&name, x, view)?;
                    let area = f64::from(window.kernel[0]) * f64::from(window.kernel[1]);
                    let dims = this.dims(value).to_vec();
                    let shape = IMAGE.map(|axis| dims[axis]);
                    let node = this.pooled_sums(&format!("{name}.sum"), x, *window, &shape)?;
                    Ok(Raw {
                        view: View::permuted(node, &dims, &IMAGE),
                        scales: vec![from.scale.get() / area],
                    })
                })?;
                self.emitter.stored(&name, &raw, quant)
            }
            (GraphOp::Softmax { .. }, &[(x, _)], [view]) => {
                let long = self
                    .dims(x)
                    .last()
                    .is_some_and(|&count| count > SOFTMAX_MAX);
                let raw = self.once(value, |this| match long {
                    true => this.long_softmax(value, x, view),
                    false => this.softmax(value, x, view),
                })?;
                self.fixed(&name, raw, quant)
            }
            (GraphOp::Trees { ensemble, .. }, &[(x, _)], [view]) => {
                let raw = self.once(value, |this| {
                    let features = this.features_of(value, x)?;
                    let dims = this.dims(x).to_vec();
                    let x = this.emitter.arranged(&name, view, &[0], &dims)?;
                    let node = forest::emit(&mut this.emitter, &name, x, ensemble, features)?;
                    Ok(Raw {
                        view: View::row_major(node, this.dims(value)),
                        scales: vec![pow2(forest::leaf_scale(ensemble))],
                    })
                })?;
                self.fixed(&name, raw, quant)
            }
            (op, operands, views) => self.combined(value, op, quant, (operands, views)),
        }
    }

    /// Ops on two values, reductions, parts.
    fn combined(
        &mut self,
        value: ValueId,
        op: &GraphOp,
        quant: Quant,
        (operands, views): (&[(ValueId, Form)], &[View]),
    ) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        match (op, operands, views) {
            (GraphOp::Mul { .. } | GraphOp::Div { .. }, &[(a, of_a), (b, of_b)], [x, y]) => {
                let pair = [
                    (a, x, Self::real_form(of_a)?),
                    (b, y, Self::real_form(of_b)?),
                ];
                match op {
                    GraphOp::Mul { .. } => self.mul(value, pair, quant),
                    _ => self.divide(value, pair, quant),
                }
            }
            (GraphOp::MatMul { .. }, &[(a, of_a), (b, of_b)], [x, y]) => {
                let (of_a, of_b) = (Self::real_form(of_a)?, Self::real_form(of_b)?);
                let raw = self.once(value, |this| {
                    this.mat_mul(value, [(a, x, of_a), (b, y, of_b)])
                })?;
                self.emitter.stored(&name, &raw, quant)
            }
            (GraphOp::Sum { .. }, &[(x, form)], [view]) => {
                let scales = vec![Self::real_form(form)?.scale.get()];
                let raw = self.once(value, |this| {
                    let view = this.reduced(&name, (x, view), None)?;
                    Ok(Raw { view, scales })
                })?;
                self.emitter.stored(&name, &raw, quant)
            }
            (GraphOp::Max { .. }, &[(x, _)], [view]) => {
                self.reduced(&name, (x, view), Some(quant.dtype))
            }
            (
                GraphOp::Normalise {
                    epsilon, centred, ..
                },
                &[(x, form)],
                [view],
            ) => {
                let from = Self::real_form(form)?;
                self.normalise(value, (x, view, from), (*epsilon, *centred), quant)
            }
            (GraphOp::Pad { .. }, _, [view]) => self.pad(value, view, quant),
            (GraphOp::Rows { table, width, .. }, &[(x, _)], [view]) => {
                self.rows(value, (x, view), (table, *width), quant)
            }
            (_, _, views) => self.moved(value, Form::Real(quant), views),
        }
    }

    /// Values whose elements only move.
    fn moved(&mut self, value: ValueId, form: Form, views: &[View]) -> Result<View, LowerError> {
        let name = self.name(value).to_owned();
        let graph = self.planner.graph;
        match (graph.node(value).op(), views) {
            (GraphOp::Reshape { x, shape }, [view]) => {
                if let Some(view) = view.reshaped(shape) {
                    return Ok(view);
                }
                let dims = self.dims(*x).to_vec();
                let order = row_major(dims.len());
                let node = self.emitter.arranged(&name, view, &order, &dims)?;
                // One run splits at any place.
                View::row_major(node, &dims)
                    .reshaped(shape)
                    .ok_or(LowerError::Size)
            }
            (GraphOp::Transpose { order, .. }, [view]) => Ok(view.transposed(order)),
            (GraphOp::Slice { .. } | GraphOp::Expand { .. }, [view]) => self.part(value, view),
            (GraphOp::Concat { xs, axis }, views) => {
                let dims = self.dims(value).to_vec();
                let order = canonical_order(dims.len());
                let mut nodes = Vec::with_capacity(views.len());
                for (&x, view) in xs.iter().zip(views) {
                    let view = self.canonical(&name, x, view)?;
                    nodes.push(view.node);
                }
                let along = order.iter().position(|k| k == axis).unwrap_or(0);
                let dtype = match form {
                    Form::Real(quant) => quant.dtype,
                    _ => Dtype::I32,
                };
                let op = Op::Concat(Concat {
                    xs: nodes,
                    axis: dim32(along),
                });
                let shape: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
                let node = self.emitter.node(&name, op, dtype, &shape)?;
                Ok(View::permuted(node, &dims, &order))
            }
            // The plan asks nothing else of any other op.
            _ => Err(LowerError::Size),
        }
    }

    /// A value in the arrangement that ops on two values agree on: images channels last, others row-major.
    fn canonical(&mut self, name: &str, value: ValueId, view: &View) -> Result<View, LowerError> {
        let dims = self.dims(value).to_vec();
        let order = canonical_order(dims.len());
        let shape: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let node = self.emitter.arranged(name, view, &order, &shape)?;
        Ok(View::permuted(node, &dims, &order))
    }

    /// The `[H, W, C]` node of an image.
    pub(crate) fn image(
        &mut self,
        name: &str,
        value: ValueId,
        view: &View,
    ) -> Result<credence_exact::NodeId, LowerError> {
        let dims = self.dims(value).to_vec();
        let shape: Vec<usize> = IMAGE.iter().map(|&axis| dims[axis]).collect();
        self.emitter.arranged(name, view, &IMAGE, &shape)
    }

    fn pooled(
        &mut self,
        value: ValueId,
        name: &str,
        op: Op,
        dtype: Dtype,
    ) -> Result<View, LowerError> {
        let dims = self.dims(value).to_vec();
        let shape: Vec<usize> = IMAGE.iter().map(|&axis| dims[axis]).collect();
        let node = self.emitter.node(name, op, dtype, &shape)?;
        Ok(View::permuted(node, &dims, &IMAGE))
    }

    fn add(
        &mut self,
        name: &str,
        (a, from_a): (&View, Quant),
        (b, from_b): (&View, Quant),
        subtract: bool,
        quant: Quant,
    ) -> Result<View, LowerError> {
        let ratios = [from_a, from_b].map(|from| from.scale.get() / quant.scale.get());
        let (entries, shift) = multipliers(&ratios).map_err(|error| LowerError::Ratio {
            node: name.to_owned(),
            ratio: error.got,
        })?;
        let multiplier =
            |at: usize| Multiplier::try_from(entries[at]).map_err(|_| LowerError::Size);
        let op = Op::Add(Add {
            a: a.node,
            b: b.node,
            a_multiplier: multiplier(0)?,
            b_multiplier: multiplier(1)?,
            negate_b: subtract,
            shift,
            min: quant.min,
            max: quant.max,
        });
        let shape = self.emitter.shape(a.node);
        let node = self.emitter.node(name, op, quant.dtype, &shape)?;
        Ok(a.of(node))
    }

    /// Fixed-point integers in the form asked for; most often they have it already.
    fn fixed(&mut self, name: &str, raw: Raw, quant: Quant) -> Result<View, LowerError> {
        let as_is =
            Quant::symmetric(Dtype::I32, quant.scale) == quant && raw.scales == [quant.scale.get()];
        if as_is {
            Ok(raw.view)
        } else {
            self.emitter.stored(name, &raw, quant)
        }
    }

    fn softmax(&mut self, value: ValueId, x: ValueId, view: &View) -> Result<Raw, LowerError> {
        let name = self.name(value).to_owned();
        let dims = self.dims(x).to_vec();
        let order = row_major(dims.len());
        let x = self.emitter.arranged(&name, view, &order, &dims)?;
        let bits = u8::try_from(PROBABILITY_BITS).unwrap_or(0);
        // Up to and with the first zero, which stands for everything farther from the maximum.
        let mut entries: Vec<i32> = Vec::new();
        while entries.last() != Some(&0) {
            let at = dim32(entries.len());
            entries.push(i32::try_from(exp_neg(at, SOFTMAX_BITS, bits)).unwrap_or(0));
        }
        let exp = self.emitter.shared("exp", Dtype::I32, &entries)?;
        let op = Op::Softmax(Softmax { x, exp, bits });
        let node = self.emitter.node(&name, op, Dtype::I32, &dims)?;
        Ok(Raw {
            view: View::row_major(node, &dims),
            scales: vec![pow2(-PROBABILITY_BITS)],
        })
    }

    fn table(
        &mut self,
        name: &str,
        of: &TableOf,
        view: &View,
        quant: Quant,
    ) -> Result<View, LowerError> {
        let entries = of.entries(quant);
        let table = self
            .emitter
            .shared(&format!("{name}.table"), quant.dtype, &entries)?;
        let op = Op::Table(Table {
            x: view.node,
            table,
            base: of.x.min,
        });
        let shape = self.emitter.shape(view.node);
        let node = self.emitter.node(name, op, quant.dtype, &shape)?;
        Ok(view.of(node))
    }
}

/// Images have their channels last.
fn canonical_order(rank: usize) -> Vec<usize> {
    if rank == IMAGE.len() {
        IMAGE.to_vec()
    } else {
        row_major(rank)
    }
}
