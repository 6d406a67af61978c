//! Values of uncut cells that a relation has computed already, so that none is computed twice.
//!
//! A node's values stand in pages of 64, made when one of them is first needed; what does not fit the memory set aside goes into a map. It deliberately forgets
//! everything between cells.

use std::collections::BTreeMap;

use credence_exact::NodeId;

/// Values of a page.
const PAGE: usize = 64;
/// Pages and places for pages of all nodes together: some 32 MiB.
const PAGES_MAX: usize = 1 << 15;
const PLACES_MAX: usize = 1 << 20;

type Page = Box<[Option<i64>; PAGE]>;

/// Computed values by node and cell.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    nodes: Vec<Vec<Option<Page>>>,
    used: Vec<usize>,
    pages: usize,
    places: usize,
    rest: BTreeMap<(usize, usize), i64>,
}

fn at(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap_or(usize::MAX)
}

/// The page and the place in it.
fn split(index: usize) -> (usize, usize) {
    let page = index.checked_div(PAGE).unwrap_or(0);
    (page, index.checked_rem(PAGE).unwrap_or(0))
}

impl Memo {
    /// An empty one for a program of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![Vec::new(); nodes],
            ..Self::default()
        }
    }

    pub(crate) fn get(&self, node: NodeId, index: usize) -> Option<i64> {
        let (page, place) = split(index);
        let found = self.nodes.get(at(node)).and_then(|pages| pages.get(page));
        match found.and_then(Option::as_ref) {
            Some(page) => page.get(place).copied().flatten(),
            None if self.rest.is_empty() => None,
            None => self.rest.get(&(at(node), index)).copied(),
        }
    }

    /// Keeps the value of a node of `cells` cells.
    pub(crate) fn set(&mut self, node: NodeId, cells: usize, index: usize, value: i64) {
        let (page, place) = split(index);
        if let Some(slot) = self.page(at(node), cells, page)
            && let Some(entry) = slot.get_mut(place)
        {
            *entry = Some(value);
        } else {
            self.rest.insert((at(node), index), value);
        }
    }

    /// A page, made if there is room.
    fn page(&mut self, number: usize, cells: usize, page: usize) -> Option<&mut Page> {
        let pages = self.nodes.get_mut(number)?;
        if pages.is_empty() {
            let wanted = cells.div_ceil(PAGE);
            let places = self.places.saturating_add(wanted);
            if places > PLACES_MAX {
                return None;
            }
            self.places = places;
            pages.resize(wanted, None);
            self.used.push(number);
        }
        let slot = pages.get_mut(page)?;
        if slot.is_none() {
            if self.pages >= PAGES_MAX {
                return None;
            }
            self.pages = self.pages.saturating_add(1);
            *slot = Some(Box::new([None; PAGE]));
        }
        slot.as_mut()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for number in self.used.drain(..) {
            if let Some(pages) = self.nodes.get_mut(number) {
                pages.clear();
            }
        }
        (self.pages, self.places) = (0, 0);
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_nodes_are_remembered_until_cleared() {
        let mut memo = Memo::new(3);
        let huge = PLACES_MAX * PAGE + 1;
        let cases = [
            (NodeId(0), 4, 2, 7),
            (NodeId(1), huge, huge - 1, 8),
            (NodeId(2), PLACES_MAX * PAGE / 2, 5, 9),
            (NodeId(2), PLACES_MAX * PAGE / 2, 500, 10),
            (NodeId(9), 4, 0, 11),
        ];
        for (node, cells, index, value) in cases {
            memo.set(node, cells, index, value);
        }
        for (node, _, index, value) in cases {
            assert_eq!(memo.get(node, index), Some(value), "{node:?}");
        }
        assert_eq!(memo.get(NodeId(0), 1), None);
        memo.clear();
        for (node, _, index, _) in cases {
            assert_eq!(memo.get(node, index), None, "{node:?}");
        }
    }

    #[test]
    fn more_pages_than_there_is_room_for_are_remembered_too() {
        let mut memo = Memo::new(1);
        let cells = (PAGES_MAX + 10) * PAGE;
        for index in (0..cells).step_by(PAGE) {
            memo.set(NodeId(0), cells, index, 3);
        }
        assert!(
            (0..cells)
                .step_by(PAGE)
                .all(|index| memo.get(NodeId(0), index) == Some(3))
        );
        assert_eq!(memo.rest.len(), 10);
    }
}
