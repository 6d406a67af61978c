//! A program whose form has been checked: names, references, shapes, cuts, relation sizes.
//!
//! Weights are not needed for any of it, so whoever holds only the program (a spot check, a referee) checks the same.

mod language;
mod relations;

use std::collections::BTreeSet;

use credence_base::Profile;
use credence_exact::shape::{ShapeError, Shapes, infer};
use credence_exact::{Dtype, NodeId, Op, ParamId, Shape};

pub use self::relations::RelationCost;
use self::relations::Relations;
use crate::language::LanguageLayout;
use crate::layout::TraceLayout;
use crate::spec::{BorderType, Decode, Encode, NodeSpec, OutputSpec, ProgramSpec};

/// Most nodes, and most parameters, of a program.
const COUNT_MAX: usize = 65_536;
/// Most inputs, and most outputs.
const PORTS_MAX: usize = 256;
/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Most bytes that the values of one position take.
const POSITION_BYTES_MAX: usize = 1 << 31;
/// The same of a language model, of which many tokens are run side by side.
const TOKEN_BYTES_MAX: usize = 1 << 28;
/// Most entries of an output's lookup, and their largest magnitude: JSON's exact integers.
const LOOKUP_MAX: usize = 65_536;
const LOOKUP_VALUE_MAX: u64 = 1 << 53;

/// Why a program is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// The profile is not one this version runs.
    #[error("profile `{got}` is not known; this version runs `exact-1`")]
    Profile {
        /// The profile found.
        got: String,
    },
    /// Too many or too few of something.
    #[error("{got} {what}; between 1 and {max} are allowed")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A name is empty, long, doubled, or has control characters.
    #[error(
        "name {name:?} of {what} is doubled, empty, longer than 256 bytes, or has control characters"
    )]
    Name {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A node, parameter or input is referred to that does not stand before.
    #[error("node `{node}` reads {what} {index}, which does not stand before it")]
    Reference {
        /// The reading node.
        node: String,
        /// What it reads.
        what: &'static str,
        /// The index it reads.
        index: u32,
    },
    /// Something is never read: a program has no dead parts.
    #[error("{what} `{name}` is never used")]
    Unused {
        /// What is unused.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A shape does not fit.
    #[error("{what} `{name}` has a shape that does not fit")]
    Shape {
        /// Whose shape.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ShapeError,
    },
    /// An input's or output's coding is outside its range.
    #[error("{what} `{name}`: its coding is not one the profile has: {reason}")]
    Coding {
        /// Whose coding.
        what: &'static str,
        /// Its name.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// An output shows a node that is not cut.
    #[error("output `{name}` shows node {node}, which is absent or not cut")]
    OutputNode {
        /// The output.
        name: String,
        /// The node.
        node: u32,
    },
    /// One cell's relation reads too much.
    #[error(
        "one cell of node `{node}` reads {got}, counted in 8-bit values; at most {max} are allowed"
    )]
    Relation {
        /// The node.
        node: String,
        /// The cost counted.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// What makes a program a language model's does not fit together.
    #[error("the program is not a language model's: {reason}")]
    Language {
        /// The rule it breaks.
        reason: &'static str,
    },
    /// One position's values take too many bytes.
    #[error("one position takes {got} bytes; at most {max} are allowed")]
    Size {
        /// The bytes counted.
        got: usize,
        /// The limit.
        max: usize,
    },
}

/// A checked program. Made by [`Program::check`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    spec: ProgramSpec,
    inputs: Vec<Shape>,
    params: Vec<Shape>,
    nodes: Vec<Shape>,
    layout: TraceLayout,
    language: Option<LanguageLayout>,
}

/// Converts an index of the wire form; indices past the address space refer to nothing.
fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

impl Program {
    /// Checks everything about a program that does not depend on weights.
    ///
    /// # Errors
    /// [`ProgramError`], naming the node, parameter, input or output.
    pub fn check(spec: ProgramSpec) -> Result<Self, ProgramError> {
        check_counts(&spec)?;
        check_names(&spec)?;
        let inputs = shapes_of(
            "input",
            spec.inputs.iter().map(|i| (&i.name, i.shape.as_slice())),
        )?;
        let params = shapes_of(
            "parameter",
            spec.params.iter().map(|p| (&p.name, p.shape.as_slice())),
        )?;
        check_encodings(&spec)?;
        language::check_form(&spec)?;
        let nodes = check_nodes(&spec, &inputs, &params)?;
        check_outputs(&spec)?;
        check_use(&spec)?;
        let layout = lay_out(&spec, &nodes)?;
        let language = match &spec.language {
            Some(language) => Some(language::lay_out(&spec, language, &nodes)?),
            None => None,
        };
        let program = Self {
            spec,
            inputs,
            params,
            nodes,
            layout,
            language,
        };
        let view = program.view();
        let cuts = |node: NodeId| view.is_cut(node);
        let relations = Relations::new(&view, &cuts).map_err(|source| ProgramError::Shape {
            what: "node",
            name: String::new(),
            source,
        })?;
        relations.check()?;
        Ok(program)
    }

    /// The wire form.
    #[must_use]
    pub const fn spec(&self) -> &ProgramSpec {
        &self.spec
    }

    /// The nodes with their ids and shapes, operands first.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeSpec, &Shape)> {
        let ids = (0_u32..).map(NodeId);
        ids.zip(self.spec.nodes.iter().zip(&self.nodes))
            .map(|(id, (spec, shape))| (id, spec, shape))
    }

    /// A node's wire form.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&NodeSpec> {
        self.spec.nodes.get(at(node.0))
    }

    /// A node's shape.
    #[must_use]
    pub fn shape(&self, node: NodeId) -> Option<&Shape> {
        self.nodes.get(at(node.0))
    }

    /// A parameter's shape.
    #[must_use]
    pub fn param_shape(&self, param: ParamId) -> Option<&Shape> {
        self.params.get(at(param.0))
    }

    /// An input's shape for one position.
    #[must_use]
    pub fn input_shape(&self, index: u32) -> Option<&Shape> {
        self.inputs.get(at(index))
    }

    /// An output's shape for one position: its node's.
    #[must_use]
    pub fn output_shape(&self, output: &OutputSpec) -> Option<&Shape> {
        self.shape(output.node)
    }

    /// Where cut nodes stand in the trace.
    #[must_use]
    pub const fn trace_layout(&self) -> &TraceLayout {
        &self.layout
    }

    /// How the trace is laid out if this is a language model's program.
    #[must_use]
    pub const fn language(&self) -> Option<&LanguageLayout> {
        self.language.as_ref()
    }

    /// What the relation of one cell of this node reads at most, back to cut cells and parameters, in 8-bit values.
    #[must_use]
    pub fn relation_cost(&self, node: NodeId) -> Option<u64> {
        let view = self.view();
        let cuts = |node| view.is_cut(node);
        let relations = Relations::new(&view, &cuts).ok()?;
        Some(relations.cost(node)?.reads)
    }

    /// What the relations of all nodes would take if just those nodes were cut.
    #[must_use]
    pub fn relation_costs(&self, cuts: &dyn Fn(NodeId) -> bool) -> Vec<RelationCost> {
        let view = self.view();
        let Ok(relations) = Relations::new(&view, cuts) else {
            return Vec::new();
        };
        let nodes = self.nodes();
        nodes.filter_map(|(id, _, _)| relations.cost(id)).collect()
    }

    fn view(&self) -> View<'_> {
        View {
            spec: &self.spec,
            inputs: &self.inputs,
            params: &self.params,
            nodes: &self.nodes,
        }
    }
}

fn check_counts(spec: &ProgramSpec) -> Result<(), ProgramError> {
    if Profile::from_name(&spec.profile) != Some(Profile::Exact1) {
        return Err(ProgramError::Profile {
            got: spec.profile.clone(),
        });
    }
    let ports_min = usize::from(spec.language.is_none());
    let counts = [
        ("inputs", spec.inputs.len(), ports_min, PORTS_MAX),
        ("outputs", spec.outputs.len(), ports_min, PORTS_MAX),
        ("nodes", spec.nodes.len(), 1, COUNT_MAX),
        ("parameters", spec.params.len(), 0, COUNT_MAX),
    ];
    match counts
        .into_iter()
        .find(|&(_, got, min, max)| got < min || got > max)
    {
        Some((what, got, _, max)) => Err(ProgramError::Count { what, got, max }),
        None => Ok(()),
    }
}

fn check_names(spec: &ProgramSpec) -> Result<(), ProgramError> {
    fn distinct<'a>(
        what: &'static str,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), ProgramError> {
        let mut seen = BTreeSet::new();
        for name in names {
            let plain = !name.is_empty()
                && name.len() <= NAME_BYTES_MAX
                && !name.chars().any(char::is_control);
            if !plain || !seen.insert(name) {
                return Err(ProgramError::Name {
                    what,
                    name: name.clone(),
                });
            }
        }
        Ok(())
    }
    distinct("an input", spec.inputs.iter().map(|i| &i.name))?;
    distinct("a parameter", spec.params.iter().map(|p| &p.name))?;
    distinct("a node", spec.nodes.iter().map(|n| &n.name))?;
    distinct("an output", spec.outputs.iter().map(|o| &o.name))
}

fn shapes_of<'a>(
    what: &'static str,
    named: impl Iterator<Item = (&'a String, &'a [u32])>,
) -> Result<Vec<Shape>, ProgramError> {
    named
        .map(|(name, dims)| {
            Shape::new(dims).map_err(|source| ProgramError::Shape {
                what,
                name: name.clone(),
                source,
            })
        })
        .collect()
}

fn check_encodings(spec: &ProgramSpec) -> Result<(), ProgramError> {
    for input in &spec.inputs {
        let coding = |reason| {
            Err(ProgramError::Coding {
                what: "input",
                name: input.name.clone(),
                reason,
            })
        };
        let float = input.dtype == BorderType::Fp32;
        match input.encode {
            Encode::Quantise { .. } | Encode::OrderKey {} if !float => {
                return coding("it takes FP32 alone");
            }
            Encode::Quantise { multiplier, .. } if !(1..1 << 24).contains(&multiplier) => {
                return coding("its multiplier is in 1..2^24");
            }
            Encode::Quantise { shift, .. } if !(-126..=126).contains(&shift) => {
                return coding("its shift is in -126..=126");
            }
            Encode::Integer { .. } if float => return coding("it takes INT32 or INT64"),
            Encode::Quantise { min, max, .. } | Encode::Integer { min, max } if min > max => {
                return coding("its minimum is at most its maximum");
            }
            Encode::Quantise { .. } | Encode::OrderKey {} | Encode::Integer { .. } => {}
        }
    }
    Ok(())
}

/// A program under construction, as shape inference sees it.
struct View<'a> {
    spec: &'a ProgramSpec,
    inputs: &'a [Shape],
    params: &'a [Shape],
    nodes: &'a [Shape],
}

fn absent(what: &'static str, index: u32) -> ShapeError {
    ShapeError::Operand {
        what,
        expected: "one that stands before".to_owned(),
        got: index.to_string(),
    }
}

impl View<'_> {
    fn is_cut(&self, node: NodeId) -> bool {
        let spec = self.spec.nodes.get(at(node.0));
        spec.is_some_and(|spec| spec.cut)
    }
}

impl Shapes for View<'_> {
    fn node(&self, node: NodeId) -> Result<(&Shape, Dtype), ShapeError> {
        let shape = self
            .nodes
            .get(at(node.0))
            .zip(self.spec.nodes.get(at(node.0)));
        shape
            .map(|(shape, spec)| (shape, spec.dtype))
            .ok_or_else(|| absent("node", node.0))
    }

    fn param(&self, param: ParamId) -> Result<(&Shape, Dtype), ShapeError> {
        let shape = self
            .params
            .get(at(param.0))
            .zip(self.spec.params.get(at(param.0)));
        shape
            .map(|(shape, spec)| (shape, spec.dtype))
            .ok_or_else(|| absent("parameter", param.0))
    }

    fn input(&self, index: u32) -> Result<&Shape, ShapeError> {
        self.inputs
            .get(at(index))
            .ok_or_else(|| absent("input", index))
    }

    fn context(&self) -> Result<usize, ShapeError> {
        let language = self.spec.language.as_ref();
        let context = language.map(|language| at(language.context));
        context.ok_or_else(|| ShapeError::Operand {
            what: "the program",
            expected: "a language model's".to_owned(),
            got: "one of tensors".to_owned(),
        })
    }

    fn is_scores(&self, node: NodeId) -> bool {
        let spec = self.spec.nodes.get(at(node.0));
        spec.is_some_and(|spec| matches!(spec.op, Op::Scores(_)))
    }
}

fn check_nodes(
    spec: &ProgramSpec,
    inputs: &[Shape],
    params: &[Shape],
) -> Result<Vec<Shape>, ProgramError> {
    let mut nodes: Vec<Shape> = Vec::with_capacity(spec.nodes.len());
    let mut next_input = 0;
    for (index, node) in spec.nodes.iter().enumerate() {
        let reference = |what, index| ProgramError::Reference {
            node: node.name.clone(),
            what,
            index,
        };
        if let Some(later) = node
            .op
            .operands()
            .into_iter()
            .find(|operand| at(operand.0) >= index)
        {
            return Err(reference("node", later.0));
        }
        if let Some(absent) = node
            .op
            .params()
            .into_iter()
            .find(|param| at(param.0) >= params.len())
        {
            return Err(reference("parameter", absent.0));
        }
        if let Op::Input(input) = &node.op {
            if input.index != next_input {
                return Err(reference("input", input.index));
            }
            next_input += 1;
        }
        let shape = infer(
            &node.op,
            &View {
                spec,
                inputs,
                params,
                nodes: &nodes,
            },
        )
        .map_err(|source| ProgramError::Shape {
            what: "node",
            name: node.name.clone(),
            source,
        })?;
        nodes.push(shape);
    }
    match spec.inputs.get(at(next_input)) {
        Some(unread) => Err(ProgramError::Unused {
            what: "input",
            name: unread.name.clone(),
        }),
        None => Ok(nodes),
    }
}

fn check_outputs(spec: &ProgramSpec) -> Result<(), ProgramError> {
    for output in &spec.outputs {
        if !spec
            .nodes
            .get(at(output.node.0))
            .is_some_and(|node| node.cut)
        {
            return Err(ProgramError::OutputNode {
                name: output.name.clone(),
                node: output.node.0,
            });
        }
        let coding = |reason| {
            Err(ProgramError::Coding {
                what: "output",
                name: output.name.clone(),
                reason,
            })
        };
        match &output.decode {
            Decode::Scale { multiplier, .. } if *multiplier < 1 => {
                return coding("its multiplier is in 1..2^31");
            }
            Decode::Scale { shift, .. } if !(0..=126).contains(shift) => {
                return coding("its shift is in 0..=126");
            }
            Decode::Lookup { values } if values.is_empty() || values.len() > LOOKUP_MAX => {
                return coding("its lookup has between 1 and 65,536 values");
            }
            Decode::Lookup { values }
                if values.iter().any(|v| v.unsigned_abs() >= LOOKUP_VALUE_MAX) =>
            {
                return coding("its lookup's values are below 2^53 in magnitude");
            }
            Decode::Scale { .. } | Decode::Integer {} | Decode::Lookup { .. } => {}
        }
    }
    Ok(())
}

fn check_use(spec: &ProgramSpec) -> Result<(), ProgramError> {
    let operands = spec.nodes.iter().flat_map(|node| node.op.operands());
    let shown = spec.outputs.iter().map(|output| output.node);
    let language = spec.language.as_ref();
    let logits = language.map(|language| language.logits);
    let used: BTreeSet<NodeId> = operands.chain(shown).chain(logits).collect();
    for (node, id) in spec.nodes.iter().zip(0_u32..) {
        // An input that nothing reads is still a part of the request, and stays.
        if !used.contains(&NodeId(id)) && !matches!(node.op, Op::Input(_)) {
            return Err(ProgramError::Unused {
                what: "node",
                name: node.name.clone(),
            });
        }
    }
    let used: BTreeSet<ParamId> = spec
        .nodes
        .iter()
        .flat_map(|node| node.op.params())
        .chain(language.map(|language| language.text))
        .collect();
    match spec
        .params
        .iter()
        .zip(0_u32..)
        .find(|(_, id)| !used.contains(&ParamId(*id)))
    {
        Some((param, _)) => Err(ProgramError::Unused {
            what: "parameter",
            name: param.name.clone(),
        }),
        None => Ok(()),
    }
}

fn lay_out(spec: &ProgramSpec, nodes: &[Shape]) -> Result<TraceLayout, ProgramError> {
    let bytes =
        |(node, shape): (&NodeSpec, &Shape)| shape.cells().saturating_mul(node.dtype.width());
    let all = spec.nodes.iter().zip(nodes);
    let got = all.clone().map(bytes).fold(0, usize::saturating_add);
    let size = |got| ProgramError::Size {
        got,
        max: POSITION_BYTES_MAX,
    };
    let max = if spec.language.is_some() {
        TOKEN_BYTES_MAX
    } else {
        POSITION_BYTES_MAX
    };
    if got > max {
        return Err(ProgramError::Size { got, max });
    }
    TraceLayout::new(all.map(|node| node.0.cut.then(|| bytes(node))))
        .ok_or_else(|| size(usize::MAX))
}
