//! Values of uncut cells that a relation has computed already, so that none is computed twice.
//!
//! Nodes of everyday size have a table; what does not fit the memory set aside for tables goes into a map. It deliberately forgets everything between positions.

use std::collections::BTreeMap;

use credence_exact::NodeId;

/// Entries of all tables together: 16 MiB.
const ENTRIES_MAX: usize = 1 << 20;

/// Computed values by node and cell.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    tables: Vec<Vec<Option<i64>>>,
    used: Vec<usize>,
    entries: usize,
    rest: BTreeMap<(usize, usize), i64>,
}

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

impl Memo {
    /// An empty one for a program of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            tables: vec![Vec::new(); nodes],
            ..Self::default()
        }
    }

    pub(crate) fn get(&self, node: NodeId, index: usize) -> Option<i64> {
        match self.tables.get(at(node)) {
            Some(table) if !table.is_empty() => table.get(index).copied().flatten(),
            Some(_) | None if self.rest.is_empty() => None,
            Some(_) | None => self.rest.get(&(at(node), index)).copied(),
        }
    }

    /// Keeps the value of a node of `cells` cells.
    pub(crate) fn set(&mut self, node: NodeId, cells: usize, index: usize, value: i64) {
        let number = at(node);
        if let Some(table) = self.tables.get_mut(number) {
            let entries = self.entries.saturating_add(cells);
            if table.is_empty() && entries <= ENTRIES_MAX {
                table.resize(cells, None);
                self.entries = entries;
                self.used.push(number);
            }
            if let Some(entry) = table.get_mut(index) {
                *entry = Some(value);
                return;
            }
        }
        self.rest.insert((number, index), value);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for number in self.used.drain(..) {
            if let Some(table) = self.tables.get_mut(number) {
                table.clear();
            }
        }
        self.entries = 0;
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_nodes_are_remembered_until_cleared() {
        let mut memo = Memo::new(3);
        let huge = ENTRIES_MAX + 1;
        memo.set(NodeId(0), 4, 2, 7);
        memo.set(NodeId(1), huge, huge - 1, 8);
        memo.set(NodeId(2), ENTRIES_MAX, 5, 9);
        assert_eq!(memo.get(NodeId(0), 2), Some(7));
        assert_eq!(memo.get(NodeId(0), 1), None);
        assert_eq!(memo.get(NodeId(1), huge - 1), Some(8));
        assert_eq!(memo.get(NodeId(2), 5), Some(9));
        assert_eq!(memo.get(NodeId(9), 5), None);
        memo.clear();
        assert_eq!(memo.get(NodeId(0), 2), None);
        assert_eq!(memo.get(NodeId(1), huge - 1), None);
        assert_eq!(memo.get(NodeId(2), 5), None);
    }
}
