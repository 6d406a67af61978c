//! What is known of a model by whoever builds its circuit: all of it, or all but the weights that a proof commits to.
//!
//! It deliberately runs nothing.

use core::fmt::Debug;
use std::sync::Arc;

use credence_base::ModelId;
use credence_exact::{NodeId, ParamId};
use credence_model::{Interval, Model, ParamView, Program};

use crate::weights::WeightsId;

/// A model, or a card of one.
pub trait Known: Debug + Send + Sync {
    /// The model's id.
    fn id(&self) -> ModelId;

    /// Its program.
    fn program(&self) -> &Program;

    /// What a node's cells can be.
    fn bounds(&self, node: NodeId) -> Option<Interval>;

    /// The commitment to the weights that are not known, if they are committed to.
    fn weights(&self) -> Option<WeightsId> {
        None
    }

    /// A parameter; `None` if it is not there, or committed to and not known.
    fn param(&self, param: ParamId) -> Option<ParamView<'_>>;
}

impl Known for Model {
    fn id(&self) -> ModelId {
        self.id()
    }

    fn program(&self) -> &Program {
        self.program()
    }

    fn bounds(&self, node: NodeId) -> Option<Interval> {
        self.bounds(node)
    }

    fn param(&self, param: ParamId) -> Option<ParamView<'_>> {
        self.param(param)
    }
}

impl<T: Known> Known for Arc<T> {
    fn id(&self) -> ModelId {
        self.as_ref().id()
    }

    fn program(&self) -> &Program {
        self.as_ref().program()
    }

    fn bounds(&self, node: NodeId) -> Option<Interval> {
        self.as_ref().bounds(node)
    }

    fn weights(&self) -> Option<WeightsId> {
        self.as_ref().weights()
    }

    fn param(&self, param: ParamId) -> Option<ParamView<'_>> {
        self.as_ref().param(param)
    }
}
