//! Stacks of what to go back to, as numbers of an arena in which equal stacks have equal numbers: so threads that have come to one place by different ways are one.

use std::collections::HashMap;

use crate::nodes::NodeId;

/// Names a stack; this is the empty one.
pub(crate) type StackId = usize;
pub(crate) const EMPTY: StackId = 0;

/// Where to go on once a value is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Back {
    /// In an object, before its property of that number.
    Object { node: NodeId, next: usize },
    /// In a list of so many items.
    List { node: NodeId, count: usize },
    /// Before the text behind a framed value.
    Frame { node: NodeId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Link {
    back: Back,
    below: StackId,
}

/// All stacks that there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks {
    links: Vec<(Link, usize)>,
    known: HashMap<Link, StackId>,
}

impl Stacks {
    pub(crate) fn depth(&self, stack: StackId) -> usize {
        let link = stack.checked_sub(1).and_then(|at| self.links.get(at));
        link.map_or(0, |(_, depth)| *depth)
    }

    pub(crate) fn push(&mut self, below: StackId, back: Back) -> StackId {
        let link = Link { back, below };
        if let Some(&known) = self.known.get(&link) {
            return known;
        }
        let depth = self.depth(below) + 1;
        self.links.push((link, depth));
        self.known.insert(link, self.links.len());
        self.links.len()
    }

    pub(crate) fn pop(&self, stack: StackId) -> Option<(Back, StackId)> {
        let (link, _) = self.links.get(stack.checked_sub(1)?)?;
        Some((link.back, link.below))
    }

    pub(crate) const fn len(&self) -> usize {
        self.links.len()
    }

    /// Forgets the stacks that were made since there were so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        for (link, _) in self.links.drain(len.min(self.links.len())..) {
            self.known.remove(&link);
        }
    }
}
