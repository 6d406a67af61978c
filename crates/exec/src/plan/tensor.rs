//! The steps of the ops that larger tensor models add.

use credence_exact::{Divide, Gather, MatMul, Shape};

use super::build::{Broken, Builder};
use crate::step::{self, Place, Step};

impl Builder<'_> {
    pub(super) fn gather(&self, op: &Gather, y: Place) -> Result<Step, Broken> {
        let table = self.model.param(op.table).ok_or("its table is absent")?;
        Ok(Step::Gather(step::Gather {
            x: self.place(op.x)?,
            y,
            table: op.table,
            dtype: table.dtype(),
            width: table.shape().last(),
        }))
    }

    pub(super) fn mat_mul(&self, op: &MatMul, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let &[.., rows, columns] = shape.dims() else {
            return Err("it has no matrices");
        };
        Ok(Step::MatMul(step::MatMul {
            a: self.place(op.a)?,
            b: self.place(op.b)?,
            y,
            sizes: [rows, self.shape(op.a)?.last(), columns],
        }))
    }

    pub(super) fn divide(&self, op: &Divide, shape: &Shape, y: Place) -> Result<Step, Broken> {
        let length = shape.last();
        Ok(Step::Divide(step::Divide {
            a: self.place(op.a)?,
            b: self.place(op.b)?,
            y,
            length,
            each: self.shape(op.b)?.last() == length,
            factor: op.factor.get(),
            min: op.min,
            max: op.max,
        }))
    }
}
