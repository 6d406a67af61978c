//! Walks the program: which step computes which nodes, and how large the memory around them is.

use std::sync::Arc;

use credence_exact::{Dtype, NodeId, Op, ParamId, Shape};
use credence_model::{Model, NodeSpec, Part, TraceLayout, score_row_bytes};

use super::fuse::{Fate, fates, readers};
use super::placing::{Places, places};
use super::scope::Scope;
use super::tables::Tables;
use super::{
    Phase, Plan, Planned, Seen, TILE_BYTES, TILE_POSITIONS_MAX, TILE_TOKENS, TOKENS_BYTES,
};
use crate::cells::index;
use crate::kernel::{Layout, Rescaling};
use crate::step::{Entries, Place, Rounding, Step};
use crate::{Isa, PlanError};

/// What a rule of checked programs rests on, if it does not hold.
pub(super) type Broken = &'static str;

pub(super) struct Builder<'a> {
    pub(super) model: &'a Model,
    pub(super) isa: Isa,
    fates: &'a [Fate],
    places: Places,
    /// Those of all phases.
    pub(super) tables: &'a mut Tables,
    pub(super) tile_positions: usize,
    steps: Vec<Planned>,
    /// Nodes that need no step and stand before the first.
    known: Vec<(NodeId, Seen)>,
}

/// Plans a model.
///
/// # Errors
/// [`PlanError::Node`], which a checked model never gives.
pub(super) fn build(model: &Model, isa: Isa) -> Result<Plan, PlanError> {
    let program = model.program();
    let (fates, readers) = (fates(model), readers(model));
    let mut phases: Vec<(Phase, Places)> = Vec::new();
    let mut tables = Tables::default();
    for (number, scope) in Scope::phases(model).into_iter().enumerate() {
        let part = program.language().map(|language| match number {
            0 => language.positions(),
            _ => language.sampled(),
        });
        let layout = part.map_or(program.trace_layout(), Part::fixed);
        let places = places(model, &fates, &readers, (&scope, layout));
        let mut builder = Builder {
            model,
            isa,
            fates: &fates,
            tile_positions: tile_positions(model, layout.block_bytes() + places.arena_bytes),
            places,
            tables: &mut tables,
            steps: Vec::new(),
            known: Vec::new(),
        };
        for (id, node, shape) in program.nodes().filter(|(id, _, _)| scope.here[index(id.0)]) {
            let planned = builder.node(id, node, shape);
            planned.map_err(|reason| broken(&node.name, reason))?;
        }
        let copies = phases.last().map_or_else(Vec::new, |(_, before)| {
            let pairs = before.of.iter().zip(&builder.places.of).zip(&scope.copied);
            let copied = pairs.filter(|(_, copied)| **copied);
            copied.filter_map(|((from, to), _)| from.zip(*to)).collect()
        });
        phases.push(builder.finish(copies, layout, part));
    }
    finish(model, isa, phases)
}

fn broken(node: &str, reason: Broken) -> PlanError {
    PlanError::Node {
        node: node.to_owned(),
        reason,
    }
}

fn tile_positions(model: &Model, position_bytes: usize) -> usize {
    if let Some(layout) = model.program().language() {
        let language = model.program().spec().language.as_ref();
        let context = language.map_or(1, |language| index(language.context));
        let heads = layout.positions().heads().max(layout.sampled().heads());
        let bytes = position_bytes + heads * score_row_bytes(context);
        if language.is_some_and(|language| language.encoder.is_some()) {
            // A text is one tile, since each position reads all.
            return context.max(TILE_TOKENS);
        }
        return (TOKENS_BYTES / bytes.max(1)).clamp(1, TILE_TOKENS);
    }
    // Weights that no cache holds are read once for each tile.
    let large = model.params().iter().any(|bytes| bytes.len() > TILE_BYTES);
    let least = if large { 8 } else { 1 };
    (TILE_BYTES / position_bytes).clamp(least, TILE_POSITIONS_MAX)
}

fn finish(model: &Model, isa: Isa, phases: Vec<(Phase, Places)>) -> Result<Plan, PlanError> {
    let spec = model.program().spec();
    let mut phases = phases.into_iter();
    let (main, places) = phases.next().ok_or_else(|| broken("", "there is none"))?;
    let place = |places: &Places, node: NodeId, name: &str| {
        let place = places.of.get(index(node.0)).copied().flatten();
        place.ok_or_else(|| broken(name, "its value is not in memory"))
    };
    let outputs = spec
        .outputs
        .iter()
        .map(|output| place(&places, output.node, &output.name))
        .collect::<Result<Vec<Place>, _>>()?;
    let (mut sampled, mut logits) = (None, None);
    if let (Some(language), Some((phase, places))) = (&spec.language, phases.next()) {
        logits = Some(place(&places, language.logits, "logits")?);
        sampled = Some(phase);
    }
    Ok(Plan {
        isa,
        main,
        sampled,
        outputs,
        logits,
        names: spec.nodes.iter().map(|node| node.name.clone()).collect(),
    })
}

fn integers(model: &Model, param: ParamId) -> Result<Vec<i32>, Broken> {
    let view = model
        .param(param)
        .ok_or("it reads a parameter that is absent")?;
    Ok(view.to_i32_vec())
}

impl Builder<'_> {
    fn finish(
        self,
        copies: Vec<(Place, Place)>,
        layout: &TraceLayout,
        part: Option<&Part>,
    ) -> (Phase, Places) {
        let tile_positions = self.tile_positions;
        let panel = |planned: &Planned| match &planned.step {
            Step::Product(product) => product
                .operand
                .panel_bytes(Layout::of(self.isa), tile_positions),
            Step::TreeLeaves(trees) => trees.panel_bytes(tile_positions),
            _ => 0,
        };
        let sums = |(_, seen): &(NodeId, Seen)| match *seen {
            Seen::Place(_) | Seen::Scores(_) => 0,
            Seen::Sums { cells } => cells,
        };
        let watched = self.steps.iter().flat_map(|planned| &planned.nodes);
        let works = self.steps.iter().map(|planned| planned.work);
        let phase = Phase {
            copies,
            arena_bytes: self.places.arena_bytes,
            block_bytes: layout.block_bytes(),
            panel_bytes: self.steps.iter().map(panel).max().unwrap_or(0),
            tile_positions,
            sums: watched.map(sums).max().unwrap_or(0),
            work: works.fold(0, usize::saturating_add),
            heads: part.map_or(0, Part::heads),
            steps: self.steps,
        };
        (phase, self.places)
    }

    pub(super) fn place(&self, node: NodeId) -> Result<Place, Broken> {
        let place = self.places.of.get(index(node.0)).copied().flatten();
        place.ok_or("it reads a value that is not in memory")
    }

    pub(super) fn shape(&self, node: NodeId) -> Result<&Shape, Broken> {
        self.model
            .program()
            .shape(node)
            .ok_or("it reads a node that is absent")
    }

    pub(super) fn param(&self, param: ParamId) -> Result<Vec<i32>, Broken> {
        integers(self.model, param)
    }

    /// A function's table, which other nodes may look things up in too.
    pub(super) fn entries(&mut self, param: ParamId) -> Result<Arc<Entries>, Broken> {
        let model = self.model;
        self.tables.entries(param, || integers(model, param))
    }

    /// Integers that other nodes may read too.
    pub(super) fn shared(&mut self, param: ParamId) -> Result<Arc<[i32]>, Broken> {
        let model = self.model;
        self.tables.integers(param, || integers(model, param))
    }

    fn node(&mut self, id: NodeId, node: &NodeSpec, shape: &Shape) -> Result<(), Broken> {
        let step = match self.fates[index(id.0)] {
            Fate::Fused { .. } => return Ok(()),
            Fate::Alias { .. } => {
                // The operand's cells are in memory since an earlier step, and still are.
                let seen = (id, Seen::Place(self.place(id)?));
                match self.steps.last_mut() {
                    Some(planned) => planned.nodes.push(seen),
                    // What the phase before has computed.
                    None => self.known.push(seen),
                }
                return Ok(());
            }
            Fate::Scores => {
                let Op::Scores(op) = &node.op else {
                    return Err("it has no scores");
                };
                let (step, place, work) = self.scores(id, op, shape)?;
                let nodes = vec![(id, Seen::Scores(place))];
                self.steps.push(Planned { step, nodes, work });
                return Ok(());
            }
            Fate::Rounds => self.rounded(id, node)?,
            Fate::Own => self.step(&node.op, shape, self.place(id)?)?,
        };
        let mut nodes = Vec::new();
        if let (Op::Rescale(op), Fate::Rounds) = (&node.op, self.fates[index(id.0)]) {
            nodes.push((
                op.x,
                Seen::Sums {
                    cells: shape.cells(),
                },
            ));
        }
        nodes.push((id, Seen::Place(self.place(id)?)));
        nodes.append(&mut self.known);
        let work = match &step {
            Step::Product(product) => product.work(),
            Step::DirectConv(conv) => conv.work(),
            Step::TreeLeaves(trees) => trees.work(),
            Step::Attend(attend) => attend.work(),
            Step::MatMul(step) => step.work(),
            _ => shape.cells(),
        };
        self.steps.push(Planned { step, nodes, work });
        for step in self.remember(id)? {
            self.steps.push(Planned {
                step,
                nodes: Vec::new(),
                work: shape.cells(),
            });
        }
        Ok(())
    }

    /// The product whose sums this node rounds.
    fn rounded(&self, id: NodeId, node: &NodeSpec) -> Result<Step, Broken> {
        let Op::Rescale(op) = &node.op else {
            return Err("it rounds nothing");
        };
        let multipliers = self.param(op.multiplier)?;
        let outputs = self.shape(id)?.last();
        let rescaling = Rescaling {
            multipliers: match multipliers[..] {
                [one] => vec![one; outputs],
                _ => multipliers,
            },
            rounding: Rounding {
                shift: op.shift.bits(),
                min: op.min,
                max: op.max,
            },
        };
        let y = self.place(id)?;
        let product = self.model.program().node(op.x).map(|node| &node.op);
        match product {
            Some(Op::Linear(op)) => self.linear(op, y, Some(rescaling)),
            Some(Op::Conv(op)) => self.conv(op, y, Some(rescaling)),
            _ => Err("it rounds what no kernel computes"),
        }
    }

    pub(super) fn weights(&self, param: ParamId) -> Result<&[i8], Broken> {
        let view = self
            .model
            .param(param)
            .filter(|view| view.dtype() == Dtype::I8);
        Ok(bytemuck::cast_slice(
            view.ok_or("its weights are not 8-bit")?.bytes(),
        ))
    }

    pub(super) fn bias(&self, param: Option<ParamId>) -> Result<Option<Vec<i32>>, Broken> {
        param.map(|param| self.param(param)).transpose()
    }
}
