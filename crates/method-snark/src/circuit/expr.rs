//! A sum of slots times integers, while a circuit is built.
//!
//! Most sums are short, and a circuit has millions: the first terms are held in place. It deliberately does not gather terms of one slot.

use super::{ONE, Term};

/// Terms that are held in place.
const INLINE: usize = 7;

/// A sum of slots times integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expr {
    inline: [(u32, i64); INLINE],
    len: usize,
    more: Vec<(u32, i64)>,
}

impl Expr {
    pub(super) fn slot(slot: u32) -> Self {
        Self::default().and(slot, 1)
    }

    pub(super) fn constant(value: i64) -> Self {
        Self::default().and(ONE, value)
    }

    /// The same, and a slot times a factor.
    pub(super) fn and(mut self, slot: u32, factor: i64) -> Self {
        if factor == 0 {
            return self;
        }
        match self.inline.get_mut(self.len) {
            Some(place) => {
                *place = (slot, factor);
                self.len = self.len.saturating_add(1);
            }
            None => self.more.push((slot, factor)),
        }
        self
    }

    /// The same, and another times a factor; `None` if a coefficient leaves 64 bits.
    pub(super) fn and_times(mut self, other: &Self, factor: i64) -> Option<Self> {
        for (slot, own) in other.all() {
            self = self.and(slot, own.checked_mul(factor)?);
        }
        Some(self)
    }

    fn all(&self) -> impl Iterator<Item = (u32, i64)> {
        let inline = self.inline.iter().take(self.len);
        inline.chain(&self.more).copied()
    }

    /// The slot that this sum is, if it is no more than one.
    pub(super) fn single(&self) -> Option<u32> {
        let (slot, factor) = self.all().next()?;
        let single = factor == 1 && self.all().nth(1).is_none();
        single.then_some(slot)
    }

    /// The terms, as a component of a tuple.
    pub(super) fn terms(&self, power: u8) -> impl Iterator<Item = Term> {
        self.all().map(move |(slot, coefficient)| Term {
            slot,
            power,
            coefficient,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_kept_in_order_however_many() {
        let mut sum = Expr::default();
        for slot in 0..20 {
            sum = sum.and(slot, i64::from(slot));
        }
        let twice = Expr::constant(5).and_times(&sum, -2).unwrap();
        let terms: Vec<(u32, i64)> = twice.terms(0).map(|t| (t.slot, t.coefficient)).collect();
        let expected = (1..20).map(|slot| (slot, -2 * i64::from(slot)));
        let expected: Vec<(u32, i64)> = [(ONE, 5)].into_iter().chain(expected).collect();
        assert_eq!(terms, expected);
        assert!(sum.terms(3).all(|term| term.power == 3));
        assert_eq!(
            Expr::constant(i64::MAX).and_times(&Expr::constant(i64::MAX), 2),
            None
        );
    }
}
