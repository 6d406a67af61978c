//! The reference run of a language model: node after node, position after position, every cell by its relation.

use credence_base::{TraceRoot, domain};
use credence_commit::TreeHasher;
use credence_exact::cell::{CellError, Context, evaluate};
use credence_exact::{Dtype, NodeId, Op, ParamId, Shape, Sight};
use credence_model::{LanguageLayout, Model, NodeSpec, Part, TILE_POSITIONS, score_row_bytes};

use super::absent;
use crate::cells::index;
use crate::session::SessionError;
use crate::trace::{
    SECTION_KEYS, SECTION_POSITIONS, SECTION_SAMPLED, SECTION_VALUES, root_of_sections,
};

/// A run with all of its values.
#[derive(Debug)]
pub struct Tokens {
    /// `values[position][node][cell]`; no cells where the node does not exist at the position. A score of a position that is not seen is 0.
    pub values: Vec<Vec<Vec<i64>>>,
    /// What a claim commits to of the inside.
    pub trace_root: TraceRoot,
}

/// Why there is no reference run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The tokens do not fit the model.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A cell of a checked model has no value: a fault of this program.
    #[error("node `{node}`, cell {index}: a checked program gave an error; please report this")]
    Cell {
        /// The node.
        node: String,
        /// The cell.
        index: usize,
        /// The error.
        #[source]
        source: CellError,
    },
}

/// Runs a model on tokens, drawing at the positions for which `sampled` holds.
///
/// # Errors
/// [`TokensError`] if the tokens do not fit the model.
pub fn run_tokens(
    model: &Model,
    tokens: &[u32],
    sampled: impl Fn(usize) -> bool,
) -> Result<Tokens, TokensError> {
    let program = model.program();
    let (Some(layout), Some(language)) = (program.language(), &program.spec().language) else {
        return Err(SessionError::NotLanguage.into());
    };
    let (got, max) = (tokens.len(), index(language.context));
    if got > max {
        return Err(SessionError::Context { got, max }.into());
    }
    let vocabulary = language.vocabulary;
    if let Some(&got) = tokens.iter().find(|&&token| token >= vocabulary) {
        return Err(SessionError::Token { got, vocabulary }.into());
    }
    let mut known = Known {
        model,
        tokens,
        here: 0,
        values: vec![Vec::new(); tokens.len()],
    };
    // Node by node, since what an encoder's position reads stands at positions before and behind it.
    for (id, node, shape) in program.nodes() {
        for position in 0..tokens.len() {
            known.here = position;
            let exists = layout.is_carried(id) || sampled(position);
            let cells = if exists {
                let cells = (0..shape.cells()).map(|at| known.cell(node, shape, at));
                cells.collect::<Result<Vec<i64>, TokensError>>()?
            } else {
                Vec::new()
            };
            if let Some(nodes) = known.values.get_mut(position) {
                nodes.push(cells);
            }
        }
    }
    let trace_root = Sections {
        model,
        layout,
        values: &known.values,
    }
    .root(sampled);
    Ok(Tokens {
        values: known.values,
        trace_root,
    })
}

/// The values known so far, and the position in question.
struct Known<'a> {
    model: &'a Model,
    tokens: &'a [u32],
    here: usize,
    values: Vec<Vec<Vec<i64>>>,
}

impl Known<'_> {
    fn cell(&mut self, node: &NodeSpec, shape: &Shape, at: usize) -> Result<i64, TokensError> {
        if let Op::Scores(op) = &node.op
            && !op
                .sight()
                .range(self.here, self.tokens.len())
                .contains(&(at % shape.last()))
        {
            return Ok(0);
        }
        let value = evaluate(&node.op, shape, at, self);
        let value = value.and_then(|value| Ok(node.dtype.check(value)?));
        value.map_err(|source| TokensError::Cell {
            node: node.name.clone(),
            index: at,
            source,
        })
    }
}

impl Context for Known<'_> {
    fn shape(&self, node: NodeId) -> Result<&Shape, CellError> {
        let shape = self.model.program().shape(node);
        shape.ok_or_else(|| absent("shape", index(node.0)))
    }

    fn param_shape(&self, param: ParamId) -> Result<&Shape, CellError> {
        let shape = self.model.program().param_shape(param);
        shape.ok_or_else(|| absent("parameter's shape", index(param.0)))
    }

    fn value(&mut self, node: NodeId, at: usize) -> Result<i64, CellError> {
        self.past(node, self.here, at)
    }

    fn param(&mut self, param: ParamId, at: usize) -> Result<i64, CellError> {
        let entry = self.model.param(param).and_then(|view| view.get(at));
        entry.ok_or_else(|| absent("parameter", at))
    }

    fn input(&mut self, _input: u32, at: usize) -> Result<i64, CellError> {
        Err(absent("input", at))
    }

    fn position(&self) -> Result<usize, CellError> {
        Ok(self.here)
    }

    fn token(&mut self) -> Result<i64, CellError> {
        let token = self.tokens.get(self.here).copied();
        token
            .map(i64::from)
            .ok_or_else(|| absent("token", self.here))
    }

    fn past(&mut self, node: NodeId, position: usize, at: usize) -> Result<i64, CellError> {
        let nodes = self.values.get(position);
        let cell = nodes
            .and_then(|nodes| nodes.get(index(node.0)))
            .and_then(|cells| cells.get(at));
        cell.copied().ok_or_else(|| absent("node", at))
    }

    fn positions(&self) -> Result<usize, CellError> {
        Ok(self.tokens.len())
    }

    fn sight(&self, scores: NodeId) -> Result<Sight, CellError> {
        match self.model.program().node(scores).map(|node| &node.op) {
            Some(Op::Scores(op)) => Ok(op.sight()),
            _ => Err(absent("scores", index(scores.0))),
        }
    }
}

/// Lays the trace out as the specification says, a section at a time.
struct Sections<'a> {
    model: &'a Model,
    layout: &'a LanguageLayout,
    values: &'a [Vec<Vec<i64>>],
}

impl Sections<'_> {
    fn root(&self, sampled: impl Fn(usize) -> bool) -> TraceRoot {
        let section = || TreeHasher::new(domain::TRACE_SECTION);
        let mut all = [
            (SECTION_POSITIONS, section()),
            (SECTION_KEYS, section()),
            (SECTION_VALUES, section()),
            (SECTION_SAMPLED, section()),
        ];
        let [(_, positions), (_, keys), (_, values), (_, drawn)] = &mut all;
        for position in 0..self.values.len() {
            positions.update(&self.block(self.layout.positions(), position));
            if sampled(position) {
                drawn.update(&self.block(self.layout.sampled(), position));
            }
        }
        for &node in self.layout.keys() {
            let [groups, width] = self.dims(node);
            for cell in 0..groups {
                for nodes in self.values {
                    let row = &nodes[index(node.0)][cell * width..][..width];
                    keys.update(&bytes(Dtype::I16, row));
                }
            }
        }
        for &node in self.layout.values() {
            let [groups, width] = self.dims(node);
            for cell in 0..groups * width {
                let mut row: Vec<i64> = Vec::new();
                row.extend(self.values.iter().map(|nodes| nodes[index(node.0)][cell]));
                row.resize(row.len().next_multiple_of(TILE_POSITIONS), 0);
                values.update(&bytes(Dtype::I16, &row));
            }
        }
        root_of_sections(&all.map(|(kind, hasher)| {
            let len = usize::try_from(hasher.len()).unwrap_or(usize::MAX);
            (kind, len, hasher.finish())
        }))
    }

    fn dims(&self, node: NodeId) -> [usize; 2] {
        let shape = self.model.program().shape(node);
        let dims = shape.and_then(|shape| <[usize; 2]>::try_from(shape.dims()).ok());
        dims.unwrap_or_default()
    }

    fn block(&self, part: &Part, position: usize) -> Vec<u8> {
        let language = self.model.program().spec().language.as_ref();
        let whole = language.is_some_and(|language| language.encoder.is_some());
        let last = if whole {
            self.values.len() - 1
        } else {
            position
        };
        let mut block = vec![0; part.block_bytes(last)];
        let nodes = &self.values[position];
        for ((id, node, shape), cells) in self.model.program().nodes().zip(nodes) {
            if let Some(offset) = part.fixed().offset(id) {
                let bytes = bytes(node.dtype, cells);
                block[offset..][..bytes.len()].copy_from_slice(&bytes);
            }
            if let Some(before) = part.heads_before(id) {
                let row = score_row_bytes(last);
                for (head, scores) in cells.chunks_exact(shape.last()).enumerate() {
                    let bytes = bytes(Dtype::I16, &scores[..=last]);
                    let first = part.fixed().block_bytes() + (before + head) * row;
                    block[first..][..bytes.len()].copy_from_slice(&bytes);
                }
            }
        }
        block
    }
}

fn bytes(dtype: Dtype, cells: &[i64]) -> Vec<u8> {
    let width = dtype.width();
    let low = |cell: &i64| {
        cell.to_le_bytes()
            .into_iter()
            .take(width)
            .collect::<Vec<u8>>()
    };
    cells.iter().flat_map(low).collect()
}
