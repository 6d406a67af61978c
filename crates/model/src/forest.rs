//! What holds of every path through decision trees: it ends, it is short, and it reads features that exist.
//!
//! Children stand behind their parents, so no path is a cycle, and heights are known when nodes are visited from the back.

/// An entry that breaks the rules: what it is, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEntry {
    pub(crate) what: &'static str,
    pub(crate) got: i64,
}

/// Checks node records `(feature, threshold, left, right)` and roots; returns the largest leaf number that is named.
pub(crate) fn check(
    nodes: &[i64],
    roots: &[i64],
    features: usize,
    depth: u32,
) -> Result<i64, BadEntry> {
    // heights[n]: most comparisons on a path that begins at node n.
    let mut heights = vec![0_u32; nodes.len() / 4];
    for (index, node) in nodes.chunks_exact(4).enumerate().rev() {
        let &[feature, _, left, right] = node else {
            continue;
        };
        if !usize::try_from(feature).is_ok_and(|f| f < features) {
            return Err(BadEntry {
                what: "a tree's feature",
                got: feature,
            });
        }
        let child = |child| {
            height(&heights, child, index + 1).ok_or(BadEntry {
                what: "a tree's child",
                got: child,
            })
        };
        let tall = child(left)?.max(child(right)?) + 1;
        if let Some(slot) = heights.get_mut(index) {
            *slot = tall;
        }
    }
    for &root in roots {
        let tall = height(&heights, root, 0).ok_or(BadEntry {
            what: "a tree's root",
            got: root,
        })?;
        if tall > depth {
            return Err(BadEntry {
                what: "the depth of a tree",
                got: tall.into(),
            });
        }
    }
    let children = nodes.chunks_exact(4).flat_map(|node| node.iter().skip(2));
    Ok(children
        .chain(roots)
        .map(|&child| -1 - child)
        .max()
        .unwrap_or(0)
        .max(0))
}

/// The height of a child: 0 for a leaf, `None` for a node before `first` or past the end.
fn height(heights: &[u32], child: i64, first: usize) -> Option<u32> {
    match usize::try_from(child) {
        Ok(node) => heights.get(node).copied().filter(|_| node >= first),
        Err(_) => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked() {
        // Node 0 tests feature 1 and leads to node 1 or leaf 0; node 1 leads to leaves 1 and 2.
        let good = [1, 5, 1, -1, 0, 7, -2, -3];
        assert_eq!(check(&good, &[0, -4], 2, 2), Ok(3));
        let bad = |what, got| Err(BadEntry { what, got });
        assert_eq!(check(&good, &[0], 1, 2), bad("a tree's feature", 1));
        assert_eq!(check(&good, &[0], 2, 1), bad("the depth of a tree", 2));
        assert_eq!(check(&good, &[2], 2, 2), bad("a tree's root", 2));
        assert_eq!(
            check(&[0, 5, 0, -1], &[0], 1, 9),
            bad("a tree's child", 0),
            "a cycle of one"
        );
        assert_eq!(
            check(&[0, 5, 1, -1, 0, 5, 0, -1], &[0], 1, 9),
            bad("a tree's child", 0),
            "a cycle of two"
        );
        assert_eq!(
            check(&[0, 5, 1, -1], &[0], 1, 9),
            bad("a tree's child", 1),
            "past the end"
        );
        assert_eq!(
            check(&[-1, 5, -1, -1], &[0], 1, 9),
            bad("a tree's feature", -1)
        );
    }
}
