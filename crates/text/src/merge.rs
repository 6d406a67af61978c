//! Joins neighbouring symbols, best pair first, until no pair is left that the vocabulary joins.
//!
//! Both kinds of tokeniser do this and differ only in what a pair is worth: byte-level BPE goes by the place of the pair in the list
//! of merges, sentencepiece by the score of the token that the pair makes. Among equals the leftmost goes first. A heap holds the pairs;
//! one whose symbols have changed since is dropped when it comes up, so the work is O(n log n).
//!
//! It deliberately knows no vocabulary: what a pair is worth is asked of the caller.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// A stretch of text that is, or is not yet, a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Where it begins, in bytes.
    pub(crate) start: u32,
    /// Its length in bytes; 0 once it is part of the one before.
    pub(crate) len: u32,
    /// Its token, where it is one.
    pub(crate) id: Option<u32>,
}

/// What joining a pair is worth, least first, and the token it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Join {
    pub(crate) rank: u32,
    pub(crate) id: u32,
}

/// A pair in the heap, as it was when it was put there.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    rank: u32,
    left: usize,
    right: usize,
    len: u32,
    id: u32,
}

/// The chain of symbols that are left.
struct Chain {
    symbols: Vec<Symbol>,
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    heap: BinaryHeap<Reverse<Pair>>,
}

/// Joins `symbols`, which lie one after the other, for as long as `join` says what a pair makes.
pub(crate) fn merge(
    symbols: Vec<Symbol>,
    join: impl Fn(Symbol, Symbol) -> Option<Join>,
) -> Vec<Symbol> {
    let count = symbols.len();
    let mut chain = Chain {
        symbols,
        before: (0..count).map(|at| at.checked_sub(1)).collect(),
        after: (1..=count).map(|at| (at < count).then_some(at)).collect(),
        heap: BinaryHeap::new(),
    };
    for right in 1..count {
        chain.offer(Some(right - 1), Some(right), &join);
    }
    while let Some(Reverse(pair)) = chain.heap.pop() {
        if !chain.apply(&pair) {
            continue;
        }
        chain.offer(chain.before_of(pair.left), Some(pair.left), &join);
        chain.offer(Some(pair.left), chain.after_of(pair.left), &join);
    }
    chain.symbols.retain(|symbol| symbol.len > 0);
    chain.symbols
}

impl Chain {
    fn before_of(&self, at: usize) -> Option<usize> {
        self.before.get(at).copied().flatten()
    }

    fn after_of(&self, at: usize) -> Option<usize> {
        self.after.get(at).copied().flatten()
    }

    fn both(&self, left: usize, right: usize) -> Option<(Symbol, Symbol)> {
        Some((*self.symbols.get(left)?, *self.symbols.get(right)?))
    }

    /// Puts a pair into the heap if there is one and it makes a token.
    fn offer(
        &mut self,
        left: Option<usize>,
        right: Option<usize>,
        join: &impl Fn(Symbol, Symbol) -> Option<Join>,
    ) {
        let (Some(left), Some(right)) = (left, right) else {
            return;
        };
        let Some((a, b)) = self.both(left, right) else {
            return;
        };
        if let Some(Join { rank, id }) = join(a, b) {
            self.heap.push(Reverse(Pair {
                rank,
                left,
                right,
                len: a.len + b.len,
                id,
            }));
        }
    }

    /// Joins a pair, unless one of its symbols has changed since it was offered.
    fn apply(&mut self, pair: &Pair) -> bool {
        let Some((a, b)) = self.both(pair.left, pair.right) else {
            return false;
        };
        // Symbols only grow or vanish, so an unchanged sum says that neither changed.
        if a.len == 0 || b.len == 0 || a.len + b.len != pair.len {
            return false;
        }
        let next = self.after_of(pair.right);
        if let Some(symbol) = self.symbols.get_mut(pair.left) {
            symbol.len = pair.len;
            symbol.id = Some(pair.id);
        }
        if let Some(symbol) = self.symbols.get_mut(pair.right) {
            symbol.len = 0;
        }
        if let Some(after) = self.after.get_mut(pair.left) {
            *after = next;
        }
        if let Some(before) = next.and_then(|next| self.before.get_mut(next)) {
            *before = Some(pair.left);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn symbols(ids: &[u32]) -> Vec<Symbol> {
        let numbered = (0..).zip(ids);
        numbered
            .map(|(start, &id)| Symbol {
                start,
                len: 1,
                id: Some(id),
            })
            .collect()
    }

    fn ids(symbols: &[Symbol]) -> Vec<u32> {
        symbols.iter().filter_map(|symbol| symbol.id).collect()
    }

    /// Merging as it is told: look at all pairs, join the best, begin again.
    fn plain(mut ids: Vec<u32>, rule: impl Fn(u32, u32) -> Option<Join>) -> Vec<u32> {
        loop {
            let pairs = ids.windows(2).enumerate();
            let best = pairs
                .filter_map(|(at, pair)| {
                    rule(pair[0], pair[1]).map(|join| (join.rank, at, join.id))
                })
                .min();
            let Some((_, at, id)) = best else {
                return ids;
            };
            ids.splice(at..at + 2, [id]);
        }
    }

    #[test]
    fn the_best_pair_goes_first_and_the_leftmost_of_equals() {
        let rule = |a: Symbol, b: Symbol| {
            let id = a.id? * 10 + b.id?;
            let rank = [12, 23, 11].iter().position(|&known| known == id)?;
            Some(Join {
                rank: u32::try_from(rank).ok()?,
                id,
            })
        };
        assert_eq!(ids(&merge(symbols(&[1, 2, 3]), rule)), [12, 3]);
        assert_eq!(ids(&merge(symbols(&[1, 1, 1]), rule)), [11, 1]);
        assert_eq!(ids(&merge(symbols(&[1, 1, 2, 3]), rule)), [1, 12, 3]);
        assert_eq!(merge(Vec::new(), rule), []);
    }

    proptest! {
        /// Pairs of any of 24 tokens join by an arbitrary table, with many ties.
        #[test]
        fn the_heap_merges_as_the_plain_way_does(
            start in prop::collection::vec(0_u32..4, 0..40),
            table in prop::collection::vec(prop::option::of((0_u32..6, 0_u32..24)), 24 * 24),
        ) {
            // One pair has one rank of its own, as in a list of merges.
            let rule = |a: u32, b: u32| {
                let at = usize::try_from(a * 24 + b).unwrap();
                table[at].map(|(rank, id)| Join { rank: rank * 1000 + a * 24 + b, id })
            };
            let merged = merge(symbols(&start), |a, b| rule(a.id?, b.id?));
            prop_assert_eq!(ids(&merged), plain(start, rule));
        }
    }
}
