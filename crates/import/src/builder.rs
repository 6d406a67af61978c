//! Making a graph node by node, each checked as it comes.
//!
//! Whatever a format's parser passes in, the result is a sound graph or an error that names the node: a parser need not repeat these checks.

use std::collections::BTreeSet;

use credence_model::BorderType;

use crate::graph::{Graph, GraphInput, GraphNode, GraphOp, GraphOutput, Kind, ValueId};
use crate::infer::{Inferred, infer};

/// Most nodes of a graph.
const NODES_MAX: usize = 16_384;
/// Most inputs, and most outputs.
const PORTS_MAX: usize = 256;
/// Most elements of all values of one position together.
const CELLS_MAX: usize = 1 << 28;
/// Most multiply-adds and comparisons of one position.
const WORK_MAX: u64 = 1 << 38;
/// Longest name of an input or output in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Why a graph is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// An operand, weight or attribute is not what the op takes.
    #[error("node `{node}` ({op}): {what} must be {expected}, but is {got}")]
    Operand {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
        /// Which operand, weight or attribute.
        what: &'static str,
        /// What the op takes.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "node `{node}` ({op}): element {index} of {what} is {got}; repair the model before importing it"
    )]
    NotFinite {
        /// The node.
        node: String,
        /// Its op.
        op: &'static str,
        /// Which weight.
        what: &'static str,
        /// The element's index.
        index: usize,
        /// The element.
        got: f64,
    },
    /// A name is empty, doubled, longer than 256 bytes, or has control characters.
    #[error(
        "{what} name {name:?} is empty, doubled, longer than 256 bytes, or has control characters"
    )]
    Name {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Too many or too few of something.
    #[error("the graph has {got} {what}; between {min} and {max} are allowed")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        got: u64,
        /// Fewest.
        min: u64,
        /// Most.
        max: u64,
    },
}

/// A graph in the making.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    inputs: Vec<GraphInput>,
    nodes: Vec<GraphNode>,
    outputs: Vec<GraphOutput>,
    cells: usize,
    work: u64,
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl GraphBuilder {
    /// An empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the next input. All inputs come before the first node.
    ///
    /// # Errors
    /// [`GraphError`] if the name is doubled or the shape too large.
    pub fn input(
        &mut self,
        name: impl Into<String>,
        dtype: BorderType,
        shape: Vec<usize>,
    ) -> Result<ValueId, GraphError> {
        let name = name.into();
        if self.inputs.len() < self.nodes.len() || self.inputs.len() >= PORTS_MAX {
            return Err(GraphError::Count {
                what: "inputs before the first node",
                got: wide(self.inputs.len()) + 1,
                min: 1,
                max: wide(PORTS_MAX),
            });
        }
        plain_name(
            "input",
            &name,
            self.inputs.iter().map(|input| input.name.as_str()),
        )?;
        let index = self.inputs.len();
        self.inputs.push(GraphInput {
            name: name.clone(),
            dtype,
            shape,
        });
        self.push(name, GraphOp::Input { index })
    }

    /// Appends a node; `name` is for messages and need not be unique.
    ///
    /// # Errors
    /// [`GraphError`] naming the node and what does not fit.
    pub fn push(&mut self, name: impl Into<String>, op: GraphOp) -> Result<ValueId, GraphError> {
        let name = name.into();
        if self.nodes.len() >= NODES_MAX {
            return Err(GraphError::Count {
                what: "nodes",
                got: wide(self.nodes.len()) + 1,
                min: 1,
                max: wide(NODES_MAX),
            });
        }
        let Inferred {
            shape,
            kind,
            cells,
            work,
        } = infer(&name, &op, &self.inputs, &self.nodes)?;
        self.cells = self.cells.saturating_add(cells);
        self.work = self.work.saturating_add(work);
        let limits = [
            (
                "elements in one position's values",
                wide(self.cells),
                wide(CELLS_MAX),
            ),
            ("operations for one position", self.work, WORK_MAX),
        ];
        if let Some((what, got, max)) = limits.into_iter().find(|(_, got, max)| got > max) {
            return Err(GraphError::Count {
                what,
                got,
                min: 1,
                max,
            });
        }
        self.nodes.push(GraphNode {
            name,
            op,
            shape,
            kind,
        });
        Ok(ValueId(self.nodes.len() - 1))
    }

    /// Declares the next output.
    ///
    /// # Errors
    /// [`GraphError`] if the name is doubled, or there are too many.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) -> Result<(), GraphError> {
        let name = name.into();
        plain_name(
            "output",
            &name,
            self.outputs.iter().map(|output| output.name.as_str()),
        )?;
        if self.outputs.len() >= PORTS_MAX {
            return Err(GraphError::Count {
                what: "outputs",
                got: wide(self.outputs.len()) + 1,
                min: 1,
                max: wide(PORTS_MAX),
            });
        }
        self.outputs.push(GraphOutput { name, value });
        Ok(())
    }

    /// Shape of a value for one position.
    #[must_use]
    pub fn shape(&self, value: ValueId) -> &[usize] {
        self.nodes.get(value.0).map_or(&[], GraphNode::shape)
    }

    /// Kind of a value's elements.
    #[must_use]
    pub fn kind(&self, value: ValueId) -> Kind {
        self.nodes.get(value.0).map_or(Kind::Real, GraphNode::kind)
    }

    /// The op that makes a value.
    #[must_use]
    pub fn op(&self, value: ValueId) -> Option<&GraphOp> {
        self.nodes.get(value.0).map(GraphNode::op)
    }

    /// Whether a value is an input of integers.
    pub(crate) fn is_integer_input(&self, value: ValueId) -> bool {
        match self.op(value) {
            Some(GraphOp::Input { index }) => self
                .inputs
                .get(*index)
                .is_some_and(|input| input.dtype != BorderType::Fp32),
            _ => false,
        }
    }

    /// The graph, without nodes that no output depends on.
    ///
    /// # Errors
    /// [`GraphError::Count`] if there is no input or no output.
    pub fn finish(self) -> Result<Graph, GraphError> {
        for (what, count) in [
            ("inputs", self.inputs.len()),
            ("outputs", self.outputs.len()),
        ] {
            if count == 0 {
                return Err(GraphError::Count {
                    what,
                    got: 0,
                    min: 1,
                    max: wide(PORTS_MAX),
                });
            }
        }
        let mut live: BTreeSet<usize> = (0..self.inputs.len()).collect();
        live.extend(self.outputs.iter().map(|output| output.value.0));
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if live.contains(&index) {
                live.extend(node.op.operands().iter().map(|operand| operand.0));
            }
        }
        let mut renamed = vec![ValueId(0); self.nodes.len()];
        let mut nodes = Vec::with_capacity(live.len());
        for (index, mut node) in self.nodes.into_iter().enumerate() {
            if live.contains(&index) {
                renamed[index] = ValueId(nodes.len());
                node.op.rename(&renamed);
                nodes.push(node);
            }
        }
        let mut outputs = self.outputs;
        for output in &mut outputs {
            output.value = renamed[output.value.0];
        }
        Ok(Graph {
            inputs: self.inputs,
            nodes,
            outputs,
        })
    }
}

fn plain_name<'a>(
    what: &'static str,
    name: &str,
    mut others: impl Iterator<Item = &'a str>,
) -> Result<(), GraphError> {
    let plain =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    if plain && !others.any(|other| other == name) {
        Ok(())
    } else {
        Err(GraphError::Name {
            what,
            name: name.chars().take(NAME_BYTES_MAX).collect(),
        })
    }
}

impl GraphOp {
    /// The same op on other values.
    pub(crate) fn rename(&mut self, renamed: &[ValueId]) {
        let rename = |x: &mut ValueId| *x = renamed[x.0];
        match self {
            Self::Input { .. } => {}
            Self::Linear(op) => rename(&mut op.x),
            Self::Conv(op) => rename(&mut op.x),
            Self::Affine(op) => rename(&mut op.x),
            Self::Add { a, b, .. }
            | Self::Mul { a, b }
            | Self::Div { a, b }
            | Self::MatMul { a, b } => {
                rename(a);
                rename(b);
            }
            Self::Concat { xs, .. } => xs.iter_mut().for_each(rename),
            Self::Clip { x, .. }
            | Self::Unary { x, .. }
            | Self::MaxPool { x, .. }
            | Self::AveragePool { x, .. }
            | Self::Reshape { x, .. }
            | Self::Transpose { x, .. }
            | Self::Softmax { x }
            | Self::ArgMax { x }
            | Self::Trees { x, .. }
            | Self::Sum { x }
            | Self::Max { x }
            | Self::Normalise { x, .. }
            | Self::Slice { x, .. }
            | Self::Expand { x, .. }
            | Self::Pad { x, .. }
            | Self::Rows { x, .. }
            | Self::Quantised { x, .. }
            | Self::Lookup { x, .. } => rename(x),
        }
    }
}
