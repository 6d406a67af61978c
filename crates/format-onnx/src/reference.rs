//! The float reference: tract's own reading of the file, run position by position.
//!
//! It is independent of our translation and of everything behind it, which is what a fidelity report needs. Nothing but files that have passed our own
//! checks reaches it. What tract cannot run, or is known to run differently from the specification, it is not asked to: then there is an
//! error, the import goes on, and `credence_import::evaluate` (our own reading in f64) can stand in, if the report says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use credence_import::{BorderType, Elements, Graph, Tensor, TensorError, Tensors};
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor as TractTensor,
    TypedRunnableModel, tvec,
};

use crate::attributes::node_name;
use crate::model::Onnx;

/// Why there is no float reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// tract has no such operator, or a known mistake in it.
    #[error("the float reference cannot run node `{node}` ({op}): {reason}")]
    Operator {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// Why not.
        reason: &'static str,
    },
    /// tract refused the model or an input.
    #[error("the float reference refused {what}: {message}")]
    Tract {
        /// What it refused.
        what: &'static str,
        /// What it said. Its errors have no other form that outlives them.
        message: String,
    },
    /// tract panicked.
    #[error("the float reference failed on {what}")]
    Panic {
        /// On what.
        what: &'static str,
    },
    /// The inputs are not the model's.
    #[error("input `{name}` is missing, or not of the type and shape that the model takes")]
    Input {
        /// The input.
        name: String,
    },
    /// An output of a type that no tensor here has.
    #[error("output `{name}` is of type {got}")]
    Output {
        /// The output.
        name: String,
        /// Its type.
        got: String,
    },
    /// Outputs could not be put together.
    #[error("the float outputs cannot be put into tensors")]
    Tensors(#[from] TensorError),
}

/// A model in tract, for a batch of one.
#[derive(Debug)]
pub struct Runner {
    model: Arc<TypedRunnableModel>,
    inputs: Vec<(String, BorderType, Vec<usize>)>,
    outputs: Vec<String>,
}

fn guarded<T>(
    what: &'static str,
    run: impl FnOnce() -> tract_onnx::prelude::TractResult<T>,
) -> Result<T, ReferenceError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(ReferenceError::Tract {
            what,
            message: format!("{error:#}"),
        }),
        Err(_) => Err(ReferenceError::Panic { what }),
    }
}

impl Runner {
    /// Prepares tract's reading of a file.
    ///
    /// # Errors
    /// [`ReferenceError`] if tract cannot run it.
    pub fn new(onnx: &Onnx) -> Result<Self, ReferenceError> {
        let proto = adapted(&onnx.proto)?;
        let inputs = inputs(onnx.graph());
        let model = guarded("the model", || {
            let mut model = tract_onnx::onnx().model_for_proto_model(&proto)?;
            for (at, (name, dtype, shape)) in inputs.iter().enumerate() {
                let slot = model
                    .input_outlets()?
                    .iter()
                    .position(|outlet| model.nodes()[outlet.node].name == *name)
                    .unwrap_or(at);
                let mut dims = vec![1];
                dims.extend_from_slice(shape);
                model = model.with_input_fact(slot, fact(*dtype, &dims))?;
            }
            // As it is read, not optimised: a pass of the optimiser moves a step of 2 behind a padded convolution, and changes its sums.
            model.into_typed()?.into_runnable()
        })?;
        let outputs = onnx.graph().outputs().iter();
        Ok(Self {
            model,
            inputs,
            outputs: outputs.map(|output| output.name.clone()).collect(),
        })
    }

    /// Runs a batch, one position at a time.
    ///
    /// # Errors
    /// [`ReferenceError`] naming the input or output.
    pub fn run(&self, tensors: &Tensors) -> Result<Tensors, ReferenceError> {
        let positions = self.batch(tensors)?;
        let mut columns: Vec<Option<Column>> = self.outputs.iter().map(|_| None).collect();
        for position in 0..positions {
            let operands = self
                .inputs
                .iter()
                .map(|input| operand(input, tensors, position))
                .collect::<Result<Vec<_>, _>>()?;
            let results = guarded("an input", || {
                let mut values = tvec!();
                for operand in operands {
                    values.push(operand.into_tvalue());
                }
                self.model.run(values)
            })?;
            for ((column, name), result) in columns.iter_mut().zip(&self.outputs).zip(&results) {
                append(column, name, result)?;
            }
        }
        let named = self.outputs.iter().zip(columns);
        let tensors = named.map(|(name, column)| {
            let column = column.ok_or_else(|| ReferenceError::Output {
                name: name.clone(),
                got: "none".to_owned(),
            })?;
            let mut shape = vec![u64::try_from(positions).unwrap_or(u64::MAX)];
            shape.extend(column.shape);
            Ok(Tensor::new(name.clone(), shape, column.elements)?)
        });
        let tensors = tensors.collect::<Result<Vec<_>, ReferenceError>>()?;
        Ok(Tensors::new(tensors)?)
    }

    fn batch(&self, tensors: &Tensors) -> Result<usize, ReferenceError> {
        let mut batch = None;
        for (name, dtype, shape) in &self.inputs {
            let error = || ReferenceError::Input { name: name.clone() };
            let tensor = tensors.get(name).ok_or_else(error)?;
            let (&first, rest) = tensor.shape().split_first().ok_or_else(error)?;
            let first = usize::try_from(first).map_err(|_| error())?;
            let rest = rest.iter().map(|&dim| usize::try_from(dim).ok());
            let fits = rest.eq(shape.iter().map(|&dim| Some(dim)))
                && tensor.elements().border_type() == *dtype
                && *batch.get_or_insert(first) == first;
            if !fits {
                return Err(error());
            }
        }
        Ok(batch.unwrap_or(0))
    }
}

fn inputs(graph: &Graph) -> Vec<(String, BorderType, Vec<usize>)> {
    let inputs = graph.inputs().iter();
    inputs
        .map(|input| (input.name.clone(), input.dtype, input.shape.clone()))
        .collect()
}

fn fact(dtype: BorderType, dims: &[usize]) -> tract_onnx::prelude::InferenceFact {
    let datum = match dtype {
        BorderType::Fp32 => DatumType::F32,
        BorderType::Int32 => DatumType::I32,
        BorderType::Int64 => DatumType::I64,
    };
    tract_onnx::prelude::InferenceFact::dt_shape(datum, dims)
}

fn operand(
    (name, _, shape): &(String, BorderType, Vec<usize>),
    tensors: &Tensors,
    position: usize,
) -> Result<TractTensor, ReferenceError> {
    let error = || ReferenceError::Input { name: name.clone() };
    let tensor = tensors.get(name).ok_or_else(error)?;
    let size: usize = shape.iter().product();
    let range = position * size..(position + 1) * size;
    let mut dims = vec![1];
    dims.extend_from_slice(shape);
    let made = match tensor.elements() {
        Elements::Fp32(all) => all.get(range).map(|e| TractTensor::from_shape(&dims, e)),
        Elements::Int32(all) => all.get(range).map(|e| TractTensor::from_shape(&dims, e)),
        Elements::Int64(all) => all.get(range).map(|e| TractTensor::from_shape(&dims, e)),
    };
    made.and_then(Result::ok).ok_or_else(error)
}

/// One output while positions are being appended.
struct Column {
    shape: Vec<u64>,
    elements: Elements,
}

fn append(
    column: &mut Option<Column>,
    name: &str,
    result: &TractTensor,
) -> Result<(), ReferenceError> {
    let error = || ReferenceError::Output {
        name: name.to_owned(),
        got: format!("{:?}", result.datum_type()),
    };
    let shape = result.shape().iter().skip(1);
    let shape: Vec<u64> = shape
        .map(|&dim| u64::try_from(dim).unwrap_or(u64::MAX))
        .collect();
    let datum = result.datum_type();
    let more = if datum == DatumType::F32 {
        Elements::Fp32(
            result
                .to_plain_array_view::<f32>()
                .map_err(|_| error())?
                .iter()
                .copied()
                .collect(),
        )
    } else {
        let wide = result.cast_to_dt(DatumType::I64).map_err(|_| error())?;
        Elements::Int64(
            wide.to_plain_array_view::<i64>()
                .map_err(|_| error())?
                .iter()
                .copied()
                .collect(),
        )
    };
    match (column.as_mut().map(|column| &mut column.elements), more) {
        (None, elements) => *column = Some(Column { shape, elements }),
        (Some(Elements::Fp32(all)), Elements::Fp32(more)) => all.extend(more),
        (Some(Elements::Int64(all)), Elements::Int64(more)) => all.extend(more),
        _ => return Err(error()),
    }
    Ok(())
}

/// The file with operators that tract lacks put into ones it has, where that is plain to see; it refuses those it would run wrongly.
fn adapted(proto: &ModelProto) -> Result<ModelProto, ReferenceError> {
    let mut proto = proto.clone();
    let Some(graph) = proto.graph.as_mut() else {
        return Ok(proto);
    };
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in core::mem::take(&mut graph.node) {
        let refuse = |reason| {
            Err(ReferenceError::Operator {
                node: node_name(&node),
                op: node.op_type.clone(),
                reason,
            })
        };
        match node.op_type.as_str() {
            "ZipMap" => {
                node.op_type = "Identity".to_owned();
                node.domain.clear();
                node.attribute.clear();
                nodes.push(node);
            }
            "Scaler" => {
                for part in scaler(&node, &mut graph.initializer) {
                    nodes.push(part);
                }
            }
            "LSTM" | "GRU" if direction(&node) == b"reverse" => {
                return refuse("tract runs a single direction from the start, whichever it is");
            }
            "TreeEnsembleRegressor" => return refuse("tract has no such operator"),
            "TreeEnsembleClassifier" if is_binary(&node) => {
                return refuse(
                    "tract takes the first class for the winner where there is one score",
                );
            }
            "TreeEnsembleClassifier" if !is_numbered(&node) => {
                return refuse(
                    "tract takes nodes to be numbered from 0 in each tree, the root first",
                );
            }
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
    for output in &mut graph.output {
        // What was a list of maps is a tensor now.
        if output.r#type.as_ref().is_some_and(|t| t.value.is_none()) {
            output.r#type = None;
        }
    }
    Ok(proto)
}

fn ints<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    let found = node.attribute.iter().find(|a| a.name == name);
    found.map_or(&[], |a| a.ints.as_slice())
}

fn direction(node: &NodeProto) -> &[u8] {
    let found = node.attribute.iter().find(|a| a.name == "direction");
    found.map_or(b"forward", |a| a.s.as_slice())
}

fn is_binary(node: &NodeProto) -> bool {
    let labels = ints(node, "classlabels_int64s").len();
    labels <= 2 && ints(node, "class_ids").iter().all(|&id| id == 0)
}

/// Whether children stand where tract looks for them: it counts from the tree's first row and does not check.
fn is_numbered(node: &NodeProto) -> bool {
    let trees = ints(node, "nodes_treeids");
    let nodes = ints(node, "nodes_nodeids");
    let children = [
        ints(node, "nodes_truenodeids"),
        ints(node, "nodes_falsenodeids"),
    ];
    let counted = trees
        .iter()
        .zip(nodes)
        .scan((None, 0), |(tree, next), (&id, &number)| {
            if *tree != Some(id) {
                (*tree, *next) = (Some(id), 0);
            }
            *next += 1;
            Some(number == *next - 1)
        });
    // A sound tree whose root is node 0 has it as nobody's child; leaves name node 0 for want of another.
    let modes = node.attribute.iter().find(|a| a.name == "nodes_modes");
    let modes = modes.map_or(&[][..], |a| a.strings.as_slice());
    let rooted = children.iter().all(|side| {
        let pairs = side.iter().zip(modes);
        pairs
            .into_iter()
            .all(|(&child, mode)| child != 0 || mode == b"LEAF")
    });
    counted.into_iter().all(|fits| fits) && rooted
}

/// `(x − offset)·scale` as two nodes.
fn scaler(node: &NodeProto, initializers: &mut Vec<TensorProto>) -> [NodeProto; 2] {
    let name = node.output.first().cloned().unwrap_or_default();
    let mut constant = |attribute: &str, default: f32| {
        let found = node
            .attribute
            .iter()
            .find(|a: &&AttributeProto| a.name == attribute);
        let values = found.map(|a| a.floats.clone()).unwrap_or_default();
        let values = if values.is_empty() {
            vec![default]
        } else {
            values
        };
        let constant = format!("{name}/credence-{attribute}");
        initializers.push(TensorProto {
            dims: vec![i64::try_from(values.len()).unwrap_or(0)],
            data_type: 1,
            float_data: values,
            name: constant.clone(),
            ..TensorProto::default()
        });
        constant
    };
    let (offset, scale) = (constant("offset", 0.0), constant("scale", 1.0));
    let x = node.input.first().cloned().unwrap_or_default();
    let centred = format!("{name}/credence-centred");
    let part = |op: &str, input: [String; 2], output: &String| NodeProto {
        input: input.to_vec(),
        output: vec![output.clone()],
        name: format!("{output}/{op}"),
        op_type: op.to_owned(),
        ..NodeProto::default()
    };
    [
        part("Sub", [x, offset], &centred),
        part("Mul", [centred.clone(), scale], &name),
    ]
}
