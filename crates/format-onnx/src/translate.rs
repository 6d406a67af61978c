//! Node by node from a file's graph to ours: names become values or constants, and each operator's function adds what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credence_import::{BorderType, Codes, Graph, GraphBuilder, GraphOp, Kind, ValueId};
use tract_onnx::pb::{GraphProto, NodeProto};

use crate::attributes::{Attributes, node_name};
use crate::constant::{Constant, Values};
use crate::error::OnnxError;
use crate::ports::Dims;
use crate::{ops, ports};

/// What a name of the file stands for.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    /// A value that depends on the inputs.
    Value(ValueId),
    /// One whose batch stands on this axis of the file's tensor, not the first.
    Moved(ValueId, usize),
    /// What is 1 at the place of an integer, and 0 at all others.
    OneHot(Arc<OneHot>),
    /// The integers that a value has been rounded to.
    Codes(Coded),
    /// A constant.
    Constant(Arc<Constant>),
}

/// Integers of 8 bits, by the value that they stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded {
    /// The value.
    pub(crate) value: ValueId,
    /// Its integers.
    pub(crate) codes: Codes,
    /// Whether the file has them as −128 … 127, not as 0 … 255.
    pub(crate) signed: bool,
}

impl Slot {
    /// A value whose batch stands on an axis.
    pub(crate) const fn placed(value: ValueId, batch: usize) -> Self {
        if batch == 0 {
            Self::Value(value)
        } else {
            Self::Moved(value, batch)
        }
    }
}

/// An integer beside a row of integers that it is compared with.
#[derive(Clone, Debug)]
pub(crate) struct OneHot {
    /// The integer, with a last axis of length 1.
    pub(crate) x: ValueId,
    /// What it is compared with.
    pub(crate) values: Vec<i64>,
}

/// Most cells of all constants that nodes make, besides four for each of the file's own: a small file must not grow into a large memory by many nodes.
const MADE_CELLS_MAX: usize = 1 << 26;

/// Up to here every whole number is a 32-bit float.
const FLOAT_WHOLE_MAX: u64 = 1 << 24;

/// A graph in the making, and the names of the file.
pub(crate) struct Translator {
    pub(crate) builder: GraphBuilder,
    slots: BTreeMap<String, Slot>,
    /// Cells that constants may still have.
    cells_left: usize,
    pub(crate) notes: Vec<String>,
    /// Values of which every element is an integer, though the graph has them for reals: integer inputs, comparisons.
    integers: BTreeSet<ValueId>,
    /// Integers that are 0 or 1.
    truths: BTreeSet<ValueId>,
    /// Values of which each row sums to one, other than softmaxes.
    sums_of_one: BTreeSet<ValueId>,
}

/// One node of the file while it is being translated.
pub(crate) struct Node<'a> {
    pub(crate) proto: &'a NodeProto,
    pub(crate) name: String,
    /// Version of ONNX's own operators.
    pub(crate) opset: i64,
    operands: Vec<Option<Slot>>,
}

/// Translates a file's graph; returns notes for the user as well.
pub(crate) fn translate(
    proto: &GraphProto,
    opset: i64,
    dims: &Dims,
) -> Result<(Graph, Vec<String>), OnnxError> {
    let mut translator = Translator {
        builder: GraphBuilder::new(),
        slots: BTreeMap::new(),
        cells_left: MADE_CELLS_MAX,
        notes: Vec::new(),
        integers: BTreeSet::new(),
        truths: BTreeSet::new(),
        sums_of_one: BTreeSet::new(),
    };
    let mut bound = BTreeSet::new();
    for tensor in &proto.initializer {
        let constant = Constant::new(tensor)?;
        let own = constant.values.len().saturating_mul(5);
        translator.cells_left = translator.cells_left.saturating_add(own);
        translator.define(&tensor.name, Slot::Constant(Arc::new(constant)))?;
    }
    for info in &proto.input {
        // Files of the first IR versions list initializers among the inputs.
        if let Some(Slot::Constant(_)) = translator.slots.get(&info.name) {
            continue;
        }
        let (dtype, shape) = ports::input(info, dims, &mut bound)?;
        let value = translator.builder.input(&info.name, dtype, shape)?;
        if dtype != BorderType::Fp32 {
            translator.integers.insert(value);
        }
        translator.define(&info.name, Slot::Value(value))?;
    }
    if let Some(name) = dims.keys().find(|name| !bound.contains(*name)) {
        return Err(OnnxError::Dimension { name: name.clone() });
    }
    for node in &proto.node {
        translator.node(node, opset)?;
    }
    for info in &proto.output {
        match translator.slots.get(&info.name) {
            Some(&Slot::Value(value)) => {
                ports::output(info, translator.builder.kind(value))?;
                translator.builder.output(&info.name, value)?;
            }
            Some(Slot::Moved(_, batch)) => {
                return Err(OnnxError::Unsupported {
                    what: "output",
                    name: info.name.clone(),
                    feature: format!("a batch on axis {batch}"),
                    remedy: "transpose it to the first axis",
                });
            }
            Some(Slot::Constant(_) | Slot::OneHot(_) | Slot::Codes(_)) => {
                return Err(OnnxError::Unsupported {
                    what: "output",
                    name: info.name.clone(),
                    feature: "a constant output, one of a bare comparison, or one of 8 bits,"
                        .to_owned(),
                    remedy: "take it out of the model's outputs, or put a DequantizeLinear behind it",
                });
            }
            None => {
                return Err(OnnxError::Unknown {
                    node: info.name.clone(),
                    name: info.name.clone(),
                });
            }
        }
    }
    Ok((translator.builder.finish()?, translator.notes))
}

impl Translator {
    fn define(&mut self, name: &str, slot: Slot) -> Result<(), OnnxError> {
        if let Slot::Constant(constant) = &slot {
            let left = self.cells_left.checked_sub(constant.values.len());
            self.cells_left = left.ok_or_else(|| OnnxError::Constants {
                name: name.to_owned(),
                max: MADE_CELLS_MAX,
            })?;
        }
        if self.slots.insert(name.to_owned(), slot).is_some() {
            return Err(OnnxError::Doubled {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn node(&mut self, proto: &NodeProto, opset: i64) -> Result<(), OnnxError> {
        let name = node_name(proto);
        let operator = ops::find(proto)?;
        let mut operands = Vec::with_capacity(proto.input.len());
        for input in &proto.input {
            let slot = self.slots.get(input).cloned();
            if slot.is_none() && !input.is_empty() {
                return Err(OnnxError::Unknown {
                    node: name,
                    name: input.clone(),
                });
            }
            operands.push(slot.filter(|_| !input.is_empty()));
        }
        let node = Node {
            proto,
            name,
            opset,
            operands,
        };
        let results = match ops::moved_codes(&node) {
            Some(coded) => ops::as_codes(operator(self, &node.with_value(coded.value))?, coded),
            None => operator(self, &node)?,
        };
        let mut results = results.into_iter();
        for output in &proto.output {
            let slot = results.next();
            if output.is_empty() {
                continue;
            }
            match slot {
                Some(slot) => self.define(output, slot)?,
                None => {
                    return Err(OnnxError::Unsupported {
                        what: "output",
                        name: output.clone(),
                        feature: format!("this further output of `{}`", proto.op_type),
                        remedy: "export the model without it",
                    });
                }
            }
        }
        Ok(())
    }

    /// Shape of a value for one position.
    pub(crate) fn shape(&self, value: ValueId) -> Vec<usize> {
        self.builder.shape(value).to_vec()
    }

    /// Appends a node of the graph under the file's name for it.
    pub(crate) fn push(&mut self, node: &Node<'_>, op: GraphOp) -> Result<ValueId, OnnxError> {
        Ok(self.builder.push(node.name.clone(), op)?)
    }

    /// A value under another shape; itself if it has it.
    pub(crate) fn reshape(
        &mut self,
        node: &Node<'_>,
        x: ValueId,
        shape: Vec<usize>,
    ) -> Result<ValueId, OnnxError> {
        if self.builder.shape(x) == shape {
            return Ok(x);
        }
        let y = self.push(node, GraphOp::Reshape { x, shape })?;
        self.note_as(x, y);
        Ok(y)
    }

    /// A value repeated along axes of length 1; itself if it has the shape.
    pub(crate) fn expand(
        &mut self,
        node: &Node<'_>,
        x: ValueId,
        shape: Vec<usize>,
    ) -> Result<ValueId, OnnxError> {
        if self.builder.shape(x) == shape {
            return Ok(x);
        }
        let y = self.push(node, GraphOp::Expand { x, shape })?;
        self.note_as(x, y);
        Ok(y)
    }

    /// Notes that every element of a value is an integer.
    pub(crate) fn note_integers(&mut self, value: ValueId) {
        self.integers.insert(value);
    }

    /// Notes that every element of a value is 0 or 1.
    pub(crate) fn note_truths(&mut self, value: ValueId) {
        self.integers.insert(value);
        self.truths.insert(value);
    }

    /// Notes of a value whose elements are some of another's that they are integers, or truths, if that one's are.
    pub(crate) fn note_as(&mut self, x: ValueId, y: ValueId) {
        if self.is_integers(x) {
            self.integers.insert(y);
        }
        if self.is_truths(x) {
            self.truths.insert(y);
        }
    }

    /// Whether every element of a value is known to be 0 or 1.
    pub(crate) fn is_truths(&self, value: ValueId) -> bool {
        self.truths.contains(&value)
    }

    /// Notes that rows of a value sum to one.
    pub(crate) fn note_sum_of_one(&mut self, value: ValueId) {
        self.sums_of_one.insert(value);
    }

    /// Whether rows of a value are known to sum to one.
    pub(crate) fn sums_to_one(&self, value: ValueId) -> bool {
        matches!(self.builder.op(value), Some(GraphOp::Softmax { .. }))
            || self.sums_of_one.contains(&value)
    }

    /// Whether every element of a value is known to be an integer.
    pub(crate) fn is_integers(&self, value: ValueId) -> bool {
        self.integers.contains(&value) || self.builder.kind(value) == Kind::Index
    }

    /// Refuses what is not real.
    pub(crate) fn real(
        &self,
        node: &Node<'_>,
        index: usize,
        value: ValueId,
    ) -> Result<ValueId, OnnxError> {
        match self.builder.kind(value) {
            Kind::Real => Ok(value),
            Kind::Index => Err(node.operand_error(index, "of real numbers", "an index or label")),
        }
    }
}

impl<'a> Node<'a> {
    /// Its attributes, all of them among the `known`.
    pub(crate) fn attributes(&self, known: &[&str]) -> Result<Attributes<'a>, OnnxError> {
        Attributes::new(self.proto, known)
    }

    /// The same node with other operands.
    pub(crate) fn with(&self, operands: Vec<Option<Slot>>) -> Self {
        Self {
            proto: self.proto,
            name: self.name.clone(),
            opset: self.opset,
            operands,
        }
    }

    /// The same node with a value for its first operand.
    fn with_value(&self, value: ValueId) -> Self {
        let mut operands = self.operands.clone();
        if let Some(first) = operands.first_mut() {
            *first = Some(Slot::Value(value));
        }
        self.with(operands)
    }

    /// An error about an operand.
    pub(crate) fn operand_error(
        &self,
        index: usize,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> OnnxError {
        OnnxError::Operand {
            node: self.name.clone(),
            op: self.proto.op_type.clone(),
            index,
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// Refuses more operands than the operator takes.
    pub(crate) fn operands_max(&self, max: usize) -> Result<(), OnnxError> {
        if self.operands.len() > max {
            return Err(self.operand_error(max, "absent", "present"));
        }
        Ok(())
    }

    /// Number of operands.
    pub(crate) fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// An operand, if it is there.
    pub(crate) fn operand(&self, index: usize) -> Option<&Slot> {
        self.operands.get(index)?.as_ref()
    }

    /// An operand that depends on the inputs.
    pub(crate) fn value(&self, index: usize) -> Result<ValueId, OnnxError> {
        match self.operand(index) {
            Some(&Slot::Value(value)) => Ok(value),
            Some(Slot::Moved(_, batch)) => Err(self.operand_error(
                index,
                "a value whose first axis is the batch",
                format!("one whose batch is on axis {batch}"),
            )),
            Some(Slot::OneHot(_)) => Err(self.operand_error(
                index,
                "a value",
                "a comparison of an integer with a row of integers, which is supported in front of a matrix product",
            )),
            Some(Slot::Codes(_)) => Err(self.operand_error(
                index,
                "real numbers",
                "integers of 8 bits, which a DequantizeLinear must turn into reals first",
            )),
            Some(Slot::Constant(constant)) => Err(self.operand_error(
                index,
                "something that depends on the inputs",
                constant.describe(),
            )),
            None => Err(self.operand_error(index, "given", "absent")),
        }
    }

    /// An operand that depends on the inputs, and the axis of the file's tensor on which its batch stands.
    pub(crate) fn placed(&self, index: usize) -> Result<(ValueId, usize), OnnxError> {
        match self.operand(index) {
            Some(&Slot::Moved(value, batch)) => Ok((value, batch)),
            _ => Ok((self.value(index)?, 0)),
        }
    }

    /// A constant operand of one number.
    pub(crate) fn number(&self, index: usize) -> Result<f64, OnnxError> {
        let constant = self.constant(index)?;
        let found = constant.and_then(|constant| match &constant.values {
            Values::Floats(all) => match all.as_slice() {
                [single] => Some(f64::from(*single)),
                _ => None,
            },
            Values::Ints(all) => match all.as_slice() {
                [single] => Some(crate::ops::real(*single)),
                _ => None,
            },
            Values::Sizes(_) => None,
        });
        let got = || constant.map_or_else(|| "absent".to_owned(), Constant::describe);
        let finite = found.filter(|x| !x.is_nan());
        finite.ok_or_else(|| self.operand_error(index, "one number", got()))
    }

    /// A constant operand of numbers, as floats.
    pub(crate) fn numbers(&self, index: usize) -> Result<Constant, OnnxError> {
        match self.constant(index)? {
            Some(Constant {
                name,
                shape,
                values: Values::Ints(all),
                ..
            }) => {
                if let Some(large) = all.iter().find(|x| x.unsigned_abs() > FLOAT_WHOLE_MAX) {
                    let expected = "of whole numbers that a 32-bit float holds, at most 2^24";
                    return Err(self.operand_error(index, expected, large.to_string()));
                }
                let all = all.iter();
                let all = all.map(|&x| crate::constant::narrow(crate::ops::real(x)));
                let values = Values::Floats(all.collect());
                Ok(Constant::made(name.clone(), shape.clone(), values))
            }
            _ => self.floats(index).cloned(),
        }
    }

    /// A constant operand of sizes, the batch's open, if it is there.
    pub(crate) fn sizes(&self, index: usize) -> Result<Option<Vec<Option<i64>>>, OnnxError> {
        match self.constant(index)? {
            Some(constant) => match constant.sizes() {
                Some(sizes) => Ok(Some(sizes)),
                None => Err(self.operand_error(index, "of integers", constant.describe())),
            },
            None => Ok(None),
        }
    }

    /// A constant operand, if it is there.
    pub(crate) fn constant(&self, index: usize) -> Result<Option<&Constant>, OnnxError> {
        match self.operand(index) {
            Some(Slot::Constant(constant)) => Ok(Some(constant)),
            Some(Slot::Value(_) | Slot::Moved(..) | Slot::OneHot(_) | Slot::Codes(_)) => Err(self
                .operand_error(
                    index,
                    "a constant (an initializer)",
                    "something that depends on the inputs",
                )),
            None => Ok(None),
        }
    }

    /// A constant operand of floats, each a finite number.
    pub(crate) fn floats(&self, index: usize) -> Result<&Constant, OnnxError> {
        match self.constant(index)? {
            Some(constant) if constant.floats().is_some() => {
                let all = constant.floats().unwrap_or_default().iter();
                match all.enumerate().find(|(_, x)| !x.is_finite()) {
                    None => Ok(constant),
                    Some((element, got)) => Err(OnnxError::NotFinite {
                        tensor: self.proto.input.get(index).cloned().unwrap_or_default(),
                        element,
                        got: *got,
                        node: self.name.clone(),
                    }),
                }
            }
            Some(constant) => Err(self.operand_error(index, "of floats", constant.describe())),
            None => Err(self.operand_error(index, "given", "absent")),
        }
    }

    /// A constant operand of integers, if it is there.
    pub(crate) fn ints(&self, index: usize) -> Result<Option<&[i64]>, OnnxError> {
        match self.constant(index)? {
            Some(constant) => match constant.ints() {
                Some(ints) => Ok(Some(ints)),
                None => Err(self.operand_error(index, "of integers", constant.describe())),
            },
            None => Ok(None),
        }
    }
}
