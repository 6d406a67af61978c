//! How slots are filled that read several positions, columns, or quotients.
//!
//! It deliberately checks nothing: what has no sense is filled in as 0.

use credence_method_snark::F;
use credence_method_snark::circuit::Hint;

use super::{Filler, bits};

impl Filler<'_> {
    /// The value of a hint of the larger ops.
    pub(super) fn of_two(&self, hint: Hint, position: usize) -> F {
        let integer = match hint {
            Hint::Weighted { of } => return self.weighted(of, position),
            Hint::Rounded {
                of,
                shift,
                min,
                max,
            } => {
                let rounded = self.row(of, position) >> shift;
                let clamped = rounded.clamp(min.into(), max.into());
                i64::try_from(clamped).unwrap_or(0)
            }
            Hint::Pair { pair, cell } => return self.product(pair, cell, position),
            Hint::Beyond {
                of,
                by,
                y,
                below,
                low,
                width,
            } => {
                let by = self.row(by, position).max(1);
                let quotient = self.row(of, position).div_euclid(by);
                let beyond = quotient - i128::from(self.slots.integer(y, position));
                let beyond = if below { -beyond } else { beyond };
                bits(beyond.max(0).saturating_mul(by), low, width)
            }
            Hint::Farthest { of } => {
                let cells = of.range().filter_map(|slot| u32::try_from(slot).ok());
                let cells = cells.map(|slot| self.slots.integer(slot, position));
                let farthest = cells.max_by_key(|cell| cell.unsigned_abs());
                farthest.filter(|&cell| cell != 0).unwrap_or(1)
            }
            Hint::Root { of, low, width } => {
                bits(self.row(of, position).max(0).isqrt(), low, width)
            }
            Hint::Seen { of, column } => {
                let cells = of.range().filter_map(|slot| u32::try_from(slot).ok());
                let seen = cells.zip(column..).filter(|(_, column)| {
                    let at = usize::try_from(*column).unwrap_or(usize::MAX);
                    let column = self.circuit.columns.get(at);
                    column.is_some_and(|column| column.values.get(position) == Some(&1))
                });
                let cells = seen.map(|(slot, _)| self.slots.integer(slot, position));
                cells.max().unwrap_or(0)
            }
            _ => 0,
        };
        F::from_i64(integer)
    }

    fn weighted(&self, row: usize, position: usize) -> F {
        let terms = self.circuit.weighted.get(row).iter();
        let values = terms.map(|term| {
            let at = usize::try_from(term.column).unwrap_or(usize::MAX);
            let column = self.circuit.columns.get(at);
            let column = column.and_then(|column| column.values.get(position));
            let factor = F::from_i64(column.copied().unwrap_or(0));
            self.slots.get(term.slot, position) * factor * F::from_i64(term.coefficient)
        });
        values.sum()
    }

    fn product(&self, pair: usize, cell: usize, position: usize) -> F {
        let Some(pair) = self.circuit.pairs.get(pair) else {
            return F::ZERO;
        };
        let factors = pair.factors(cell, position);
        let products =
            factors.map(|[(a, at_a), (b, at_b)]| self.slots.get(a, at_a) * self.slots.get(b, at_b));
        products.sum()
    }
}
