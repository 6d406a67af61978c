//! A graph with fewer nodes and the same meaning: what exporters take apart is put together again before anything is quantised.
//!
//! - Steps on one value, and sums, products and quotients of such (`x·sigmoid(x)`, `x·clip(x + 3)/6`, GELU in its eight nodes), become one table.
//! - Steps on rows of a table become part of the table.
//! - Means, differences, squares and roots that make up a normalisation become one, exponentials over their sum a softmax (`norms`).
//!
//! A rule is applied only where it is shown by structure and by values that the result is the same function. Whatever is not recognised stays as it is.

mod norms;

use std::sync::Arc;

use crate::builder::{GraphBuilder, GraphError};
use crate::formula::{Combination, Formula, STEPS_MAX};
use crate::graph::{AffineOp, Function, Graph, GraphOp, ValueId};

/// The same graph, simpler where a rule applies.
pub(crate) fn simplify(graph: &Graph) -> Graph {
    // A graph that is within the builder's limits may leave them while old and new nodes stand side by side.
    rebuilt(graph).unwrap_or_else(|_| graph.clone())
}

fn rebuilt(graph: &Graph) -> Result<Graph, GraphError> {
    let mut simplifier = Simplifier {
        builder: GraphBuilder::new(),
    };
    let mut renamed: Vec<ValueId> = Vec::with_capacity(graph.nodes().len());
    for input in graph.inputs() {
        let shape = input.shape.clone();
        renamed.push(
            simplifier
                .builder
                .input(input.name.clone(), input.dtype, shape)?,
        );
    }
    for node in graph.nodes().iter().skip(graph.inputs().len()) {
        let mut op = node.op().clone();
        op.rename(&renamed);
        renamed.push(simplifier.node(node.name(), op)?);
    }
    for output in graph.outputs() {
        let value = renamed[output.value.0];
        simplifier.builder.output(output.name.clone(), value)?;
    }
    simplifier.builder.finish()
}

struct Simplifier {
    builder: GraphBuilder,
}

/// A value as a function of another.
struct Link {
    root: ValueId,
    formula: Formula,
}

/// A named function as a formula.
fn formula_of(function: &Function) -> Formula {
    use crate::formula::Elementary;
    match function {
        Function::LeakyRelu { alpha } => {
            let below = Formula::x()
                .clipped(f64::NEG_INFINITY, 0.0)
                .scaled(*alpha, 0.0);
            Formula::x()
                .clipped(0.0, f64::INFINITY)
                .with(Combination::Add, &below)
        }
        Function::Sigmoid => Formula::x().apply(Elementary::Sigmoid),
        Function::Tanh => Formula::x().apply(Elementary::Tanh),
        Function::Formula(formula) => Formula::clone(formula),
    }
}

impl Simplifier {
    fn op(&self, value: ValueId) -> Option<&GraphOp> {
        self.builder.op(value)
    }

    fn shape(&self, value: ValueId) -> &[usize] {
        self.builder.shape(value)
    }

    fn push(&mut self, name: &str, op: GraphOp) -> Result<ValueId, GraphError> {
        self.builder.push(name, op)
    }

    fn node(&mut self, name: &str, op: GraphOp) -> Result<ValueId, GraphError> {
        let better = match &op {
            GraphOp::Unary { x, function } => Some(self.unary(*x, formula_of(function), false)),
            GraphOp::Affine(affine) if affine.scale.len() == 1 => {
                let formula = Formula::x().scaled(affine.scale[0], affine.shift[0]);
                Some(self.unary(affine.x, formula, true))
            }
            GraphOp::Clip { x, min, max } => self
                .in_rows(*x, &Formula::x().clipped(*min, *max))
                .map(Some),
            GraphOp::Affine(affine) => self.scaled_rows(affine).map(Some),
            GraphOp::Add { a, b, subtract } => {
                let how = if *subtract {
                    Combination::Subtract
                } else {
                    Combination::Add
                };
                Some(self.combined(*a, *b, how))
            }
            GraphOp::Mul { a, b } => {
                if let Some(value) = self.normalisation(name, *a, *b, false)? {
                    return Ok(value);
                }
                if let Some(value) = self.normalisation(name, *b, *a, false)? {
                    return Ok(value);
                }
                Some(self.combined(*a, *b, Combination::Multiply))
            }
            GraphOp::Div { a, b } => {
                if let Some(value) = self.normalisation(name, *a, *b, true)? {
                    return Ok(value);
                }
                if let Some(value) = self.softmax(name, *a, *b)? {
                    return Ok(value);
                }
                Some(self.combined(*a, *b, Combination::Divide))
            }
            _ => None,
        };
        self.push(name, better.flatten().unwrap_or(op))
    }

    /// The step that makes a value from one other, if it is one on each element alike.
    fn link(&self, value: ValueId) -> Option<Link> {
        let link = |root: ValueId, formula| Link { root, formula };
        match self.op(value)? {
            GraphOp::Affine(op) if op.scale.len() == 1 => {
                let formula = Formula::x().scaled(op.scale[0], op.shift[0]);
                Some(link(op.x, formula))
            }
            // Integers are clipped to what a table holds exactly: no table goes back behind that.
            GraphOp::Clip { x, .. } if self.builder.is_integer_input(*x) => None,
            GraphOp::Clip { x, min, max } => Some(link(*x, Formula::x().clipped(*min, *max))),
            GraphOp::Unary { x, function } => Some(link(*x, formula_of(function))),
            _ => None,
        }
    }

    /// The value as a function of itself, of what it is made from, of what that is made from, and so on.
    fn chain(&self, value: ValueId) -> Vec<Link> {
        let mut chain = vec![Link {
            root: value,
            formula: Formula::x(),
        }];
        while let Some(last) = chain.last()
            && let Some(link) = self.link(last.root)
        {
            let formula = link.formula.then(&last.formula);
            if formula.steps() > STEPS_MAX {
                break;
            }
            chain.push(Link {
                root: link.root,
                formula,
            });
        }
        chain
    }

    fn table(root: ValueId, formula: Formula) -> Option<GraphOp> {
        let short = formula.steps() <= STEPS_MAX;
        short.then(|| GraphOp::Unary {
            x: root,
            function: Function::Formula(Arc::new(formula)),
        })
    }

    /// A function behind others: one table instead of two. A scaling and shifting alone is left to what is in front of it, unless a clip of a table is.
    fn unary(&self, x: ValueId, formula: Formula, affine: bool) -> Option<GraphOp> {
        if let Some(rows) = self.in_rows(x, &formula) {
            return Some(rows);
        }
        let behind_clip = matches!(self.op(x), Some(GraphOp::Clip { .. }));
        if affine && !behind_clip {
            return None;
        }
        let chain = self.chain(x);
        // Behind the last table of the chain.
        let behind = (1..chain.len())
            .rev()
            .find(|&at| matches!(self.op(chain[at - 1].root), Some(GraphOp::Unary { .. })))?;
        let link = &chain[behind];
        Self::table(link.root, link.formula.clone().then(&formula))
    }

    /// Two functions of one value, combined.
    fn combined(&self, a: ValueId, b: ValueId, how: Combination) -> Option<GraphOp> {
        let (first, second) = (self.chain(a), self.chain(b));
        let shared = first.iter().find_map(|one| {
            let other = second.iter().find(|other| other.root == one.root)?;
            Some((one.root, one.formula.clone().with(how, &other.formula)))
        });
        let (root, formula) = shared?;
        // Sums of integers are exact as sums, however large they are.
        let sum = matches!(how, Combination::Add | Combination::Subtract);
        if sum && self.builder.is_integer_input(root) {
            return None;
        }
        if let Some(rows) = self.in_rows(root, &formula) {
            return Some(rows);
        }
        Self::table(root, formula)
    }

    /// A function of each element of rows of a table, as rows of another table.
    fn in_rows(&self, x: ValueId, formula: &Formula) -> Option<GraphOp> {
        self.mapped_rows(x, |_, entry| formula.of(entry))
    }

    fn scaled_rows(&self, op: &AffineOp) -> Option<GraphOp> {
        if op.axis + 1 != self.shape(op.x).len() {
            return None;
        }
        self.mapped_rows(op.x, |at, entry| entry * op.scale[at] + op.shift[at])
    }

    fn mapped_rows(&self, x: ValueId, map: impl Fn(usize, f64) -> f64) -> Option<GraphOp> {
        let Some(GraphOp::Rows { x, table, width }) = self.op(x) else {
            return None;
        };
        let entries = table.iter().enumerate();
        let table: Vec<f32> = entries
            .map(|(at, &entry)| crate::number::narrow(map(at % width, f64::from(entry))))
            .collect();
        // What has no value there stays where the evaluation names it.
        table
            .iter()
            .all(|entry| entry.is_finite())
            .then_some(GraphOp::Rows {
                x: *x,
                table,
                width: *width,
            })
    }
}
