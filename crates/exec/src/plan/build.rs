//! Walks the program: which step computes which nodes, and how large the memory around them is.

use credence_exact::{Dtype, NodeId, Op, ParamId, Shape};
use credence_model::{Model, NodeSpec};

use super::fuse::{Fate, fates, readers};
use super::placing::{Places, places};
use super::{Plan, Planned, Seen, TILE_BYTES, TILE_POSITIONS_MAX};
use crate::cells::index;
use crate::kernel::{Layout, Rescaling};
use crate::step::{Place, Rounding, Step};
use crate::{Isa, PlanError};

/// What a rule of checked programs rests on, if it does not hold.
pub(super) type Broken = &'static str;

pub(super) struct Builder<'a> {
    pub(super) model: &'a Model,
    pub(super) isa: Isa,
    fates: Vec<Fate>,
    places: Places,
    pub(super) tile_positions: usize,
    steps: Vec<Planned>,
}

/// Plans a model.
///
/// # Errors
/// [`PlanError::Node`], which a checked model never gives.
pub(super) fn build(model: &Model, isa: Isa) -> Result<Plan, PlanError> {
    let program = model.program();
    let fates = fates(model);
    let places = places(model, &fates, &readers(model));
    let position_bytes = program.trace_layout().block_bytes() + places.arena_bytes;
    // Weights that no cache holds are read once for each tile.
    let large = model.params().iter().any(|bytes| bytes.len() > TILE_BYTES);
    let least = if large { 8 } else { 1 };
    let mut builder = Builder {
        model,
        isa,
        fates,
        places,
        tile_positions: (TILE_BYTES / position_bytes).clamp(least, TILE_POSITIONS_MAX),
        steps: Vec::new(),
    };
    for (id, node, shape) in program.nodes() {
        builder
            .node(id, node, shape)
            .map_err(|reason| PlanError::Node {
                node: node.name.clone(),
                reason,
            })?;
    }
    let outputs = program.spec().outputs.iter().map(|output| {
        let place = builder.place(output.node);
        place.map_err(|reason| PlanError::Node {
            node: output.name.clone(),
            reason,
        })
    });
    let outputs = outputs.collect::<Result<Vec<Place>, _>>()?;
    Ok(builder.finish(outputs))
}

impl Builder<'_> {
    fn finish(self, outputs: Vec<Place>) -> Plan {
        let program = self.model.program();
        let block_bytes = program.trace_layout().block_bytes();
        let arena_bytes = self.places.arena_bytes;
        let tile_positions = self.tile_positions;
        let panel = |planned: &Planned| match &planned.step {
            Step::Product(product) => product
                .operand
                .panel_bytes(Layout::of(self.isa), tile_positions),
            Step::TreeLeaves(trees) => trees.panel_bytes(tile_positions),
            _ => 0,
        };
        let sums = |(_, seen): &(NodeId, Seen)| match *seen {
            Seen::Place(_) => 0,
            Seen::Sums { cells } => cells,
        };
        Plan {
            isa: self.isa,
            outputs,
            arena_bytes,
            block_bytes,
            panel_bytes: self.steps.iter().map(panel).max().unwrap_or(0),
            tile_positions,
            sums: self
                .steps
                .iter()
                .flat_map(|planned| &planned.nodes)
                .map(sums)
                .max()
                .unwrap_or(0),
            work: self
                .steps
                .iter()
                .map(|planned| planned.work)
                .fold(0, usize::saturating_add),
            names: program
                .spec()
                .nodes
                .iter()
                .map(|node| node.name.clone())
                .collect(),
            steps: self.steps,
        }
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
        let view = self
            .model
            .param(param)
            .ok_or("it reads a parameter that is absent")?;
        Ok(view.to_i32_vec())
    }

    fn node(&mut self, id: NodeId, node: &NodeSpec, shape: &Shape) -> Result<(), Broken> {
        let step = match self.fates[index(id.0)] {
            Fate::Fused { .. } => return Ok(()),
            Fate::Alias { .. } => {
                // The operand's cells are in memory since an earlier step, and still are.
                let seen = (id, Seen::Place(self.place(id)?));
                self.steps
                    .last_mut()
                    .ok_or("it reads nothing")?
                    .nodes
                    .push(seen);
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
        let work = match &step {
            Step::Product(product) => product.work(),
            Step::DirectConv(conv) => conv.work(),
            Step::TreeLeaves(trees) => trees.work(),
            _ => shape.cells(),
        };
        self.steps.push(Planned { step, nodes, work });
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
