//! How much work a cell is, and which nodes read the request: both follow from the program alone (`docs/spec/spot.md`, section 3).
//!
//! A cell is drawn in proportion to its weight: 1 and the multiply-adds of its relation, those of uncut operands among them. It deliberately counts an `attend`
//! as if every position saw the whole run, so that a node's cells weigh the same at every position.

use credence_exact::reads::reads;
use credence_exact::shape::{ShapeError, Shapes};
use credence_exact::{Dtype, NodeId, Op, ParamId, Shape};
use credence_model::Program;

/// Most multiply-adds that are counted for one cell, fixed and for each position.
pub(crate) const WORK_MAX: u64 = 1 << 24;

/// Multiply-adds of one cell: `fixed + positions·each`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    fixed: u64,
    each: u64,
}

impl Work {
    fn plus(self, times: u64, other: Self) -> Self {
        Self {
            fixed: self.fixed.saturating_add(times.saturating_mul(other.fixed)),
            each: self.each.saturating_add(times.saturating_mul(other.each)),
        }
    }

    fn larger(self, other: Self) -> Self {
        Self {
            fixed: self.fixed.max(other.fixed),
            each: self.each.max(other.each),
        }
    }

    fn capped(self) -> Self {
        Self {
            fixed: self.fixed.min(WORK_MAX),
            each: self.each.min(WORK_MAX),
        }
    }

    /// The weight of a cell in a run of so many positions.
    pub(crate) fn weight(self, positions: u64) -> u64 {
        let each = self.each.saturating_mul(positions);
        self.fixed.saturating_add(each).saturating_add(1)
    }
}

struct View<'a>(&'a Program);

fn absent(what: &'static str, index: u32) -> ShapeError {
    ShapeError::Operand {
        what,
        expected: "one of the program".to_owned(),
        got: index.to_string(),
    }
}

impl Shapes for View<'_> {
    fn node(&self, node: NodeId) -> Result<(&Shape, Dtype), ShapeError> {
        let found = self.0.shape(node).zip(self.0.node(node));
        found
            .map(|(shape, spec)| (shape, spec.dtype))
            .ok_or_else(|| absent("node", node.0))
    }

    fn param(&self, param: ParamId) -> Result<(&Shape, Dtype), ShapeError> {
        let spec = usize::try_from(param.0)
            .ok()
            .and_then(|at| self.0.spec().params.get(at));
        let found = self.0.param_shape(param).zip(spec);
        found
            .map(|(shape, spec)| (shape, spec.dtype))
            .ok_or_else(|| absent("parameter", param.0))
    }

    fn input(&self, index: u32) -> Result<&Shape, ShapeError> {
        self.0
            .input_shape(index)
            .ok_or_else(|| absent("input", index))
    }

    fn context(&self) -> Result<usize, ShapeError> {
        let language = self.0.spec().language.as_ref();
        language
            .and_then(|language| usize::try_from(language.context).ok())
            .ok_or_else(|| absent("context", 0))
    }

    fn is_scores(&self, node: NodeId) -> bool {
        let node = self.0.node(node);
        node.is_some_and(|node| matches!(node.op, Op::Scores(_)))
    }
}

/// For each node, the work of one cell.
pub(crate) fn works(program: &Program) -> Result<Vec<Work>, ShapeError> {
    let view = View(program);
    let mut works: Vec<Work> = Vec::with_capacity(program.spec().nodes.len());
    for (_, node, _) in program.nodes() {
        let reads = reads(&node.op, &view)?;
        let mut work = own(&node.op, &view)?;
        let mut dearest = Work::default();
        for &(operand, count) in &reads.nodes {
            let uncut = program.node(operand).is_some_and(|operand| !operand.cut);
            let below = usize::try_from(operand.0).ok().and_then(|at| works.get(at));
            let below = below.copied().filter(|_| uncut).unwrap_or_default();
            if reads.alternatives {
                dearest = dearest.larger(below);
            } else {
                work = work.plus(count, below);
            }
        }
        works.push(work.plus(1, dearest).capped());
    }
    Ok(works)
}

/// The multiply-adds of the op itself.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an op that multiplies nothing counts nothing"
)]
fn own(op: &Op, view: &View<'_>) -> Result<Work, ShapeError> {
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let fixed = match op {
        Op::Linear(op) => wide(view.param(op.weight)?.0.last()),
        Op::Conv(op) => {
            let shape = view.param(op.weight)?.0;
            let rows = shape.dims().first().copied().unwrap_or(1);
            wide(shape.cells().checked_div(rows).unwrap_or(0))
        }
        Op::GatherSum(op) => wide(view.node(op.x)?.0.cells()),
        Op::Scores(op) => wide(view.node(op.q)?.0.last()),
        Op::Attend(_) => return Ok(Work { fixed: 0, each: 1 }),
        _ => 0,
    };
    Ok(Work { fixed, each: 0 })
}

/// The cut nodes that stand at the border of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    /// Those whose relation reads the request itself.
    pub(crate) direct: Vec<NodeId>,
    /// Those whose relation looks up the row of a cut token.
    pub(crate) rows: Vec<NodeId>,
}

/// Finds them.
pub(crate) fn entries(program: &Program) -> Entries {
    let mut entries = Entries::default();
    let (mut direct, mut rows) = (Vec::new(), Vec::new());
    for (id, node, _) in program.nodes() {
        let uncut = |known: &[bool], operand: &NodeId| {
            let read = usize::try_from(operand.0).ok().and_then(|at| known.get(at));
            let spec = program.node(*operand);
            read == Some(&true) && spec.is_some_and(|spec| !spec.cut)
        };
        let operands = node.op.operands();
        let own = matches!(node.op, Op::Input(_) | Op::Token(_));
        let reads = own || operands.iter().any(|operand| uncut(&direct, operand));
        let is_cut_token = |operand: &NodeId| {
            let spec = program.node(*operand);
            spec.is_some_and(|spec| spec.cut && matches!(spec.op, Op::Token(_)))
        };
        let row = matches!(node.op, Op::Embed(_)) && operands.iter().any(is_cut_token);
        let looks_up = row || operands.iter().any(|operand| uncut(&rows, operand));
        direct.push(reads);
        rows.push(looks_up);
        if node.cut && reads {
            entries.direct.push(id);
        }
        if node.cut && looks_up {
            entries.rows.push(id);
        }
    }
    entries
}
