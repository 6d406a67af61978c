//! A grammar as nodes, each naming others by number; and how deep the shortest JSON that fits each of them is.

use crate::json::DEPTH_MAX;
use crate::number::Range;

/// Names a node.
pub(crate) type NodeId = usize;

/// Any JSON value: the node that all grammars have first.
pub(crate) const ANY: NodeId = 0;
/// What nothing fits.
const NEVER: usize = usize::MAX;

/// A member of an object that its schema names.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    /// The name as JSON writes it, quotes and all.
    pub(crate) key: Vec<u8>,
    pub(crate) value: NodeId,
    pub(crate) required: bool,
}

/// A part of a grammar.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Object {
        properties: Vec<Property>,
        /// The names of the properties, sorted, as bytes without quotes: what no other member is called.
        names: Vec<Vec<u8>>,
        /// What other members hold, if there may be any.
        others: Option<NodeId>,
    },
    List {
        /// What the first items are.
        first: Vec<NodeId>,
        /// What the others are, if there may be any.
        others: Option<NodeId>,
        min: usize,
        max: usize,
    },
    /// Characters.
    Text {
        min: usize,
        max: usize,
    },
    Number(Range),
    /// Literal JSON texts, sorted as bytes, each once.
    Words(Vec<Vec<u8>>),
    /// One of several.
    Either(Vec<NodeId>),
    /// Another node between two texts.
    Framed {
        before: Vec<u8>,
        inner: NodeId,
        after: Vec<u8>,
    },
}

/// A whole grammar.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    all: Vec<Node>,
    /// For each node, levels that the shallowest JSON that fits it has.
    levels: Vec<usize>,
    root: NodeId,
}

/// The nodes of any JSON value.
pub(crate) fn any() -> Vec<Node> {
    let words = ["false", "null", "true"].map(|word| word.as_bytes().to_vec());
    vec![
        Node::Either(vec![1, 2, 3, 4, 5]),
        Node::Object {
            properties: Vec::new(),
            names: Vec::new(),
            others: Some(ANY),
        },
        Node::List {
            first: Vec::new(),
            others: Some(ANY),
            min: 0,
            max: usize::MAX,
        },
        Node::Text {
            min: 0,
            max: usize::MAX,
        },
        Node::Number(Range::any()),
        Node::Words(words.to_vec()),
    ]
}

impl Nodes {
    pub(crate) fn new(all: Vec<Node>, root: NodeId) -> Self {
        let levels = levels(&all);
        Self { all, levels, root }
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.all.get(id)
    }

    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) const fn root(&self) -> NodeId {
        self.root
    }

    /// Levels of the shallowest JSON that fits; more than any if none does.
    fn levels(&self, id: NodeId) -> usize {
        self.levels.get(id).copied().unwrap_or(NEVER)
    }

    /// Whether something fits the node below so many levels.
    pub(crate) fn fits(&self, id: NodeId, depth: usize) -> bool {
        self.levels(id).saturating_add(depth) <= DEPTH_MAX
    }
}

/// What a node needs: one or all of others; none if nothing fits it.
enum Needs {
    /// Nothing, and is no level.
    Nothing,
    /// One of these.
    One(Vec<NodeId>),
    /// All of these, one level below.
    All(Vec<NodeId>),
    /// What there is not.
    Never,
}

fn needs(node: &Node) -> Needs {
    let fits = |fits: bool| if fits { Needs::Nothing } else { Needs::Never };
    match node {
        Node::Object { properties, .. } => {
            let required = properties.iter().filter(|property| property.required);
            Needs::All(required.map(|property| property.value).collect())
        }
        Node::List {
            first, others, min, ..
        } => {
            let own = first.iter().copied().take(*min);
            match (first.len() < *min, others) {
                (false, _) => Needs::All(own.collect()),
                (true, Some(others)) => Needs::All(own.chain([*others]).collect()),
                (true, None) => Needs::Never,
            }
        }
        Node::Text { min, max } => fits(min <= max),
        Node::Number(range) => fits(!range.is_empty()),
        Node::Words(words) => fits(!words.is_empty()),
        Node::Either(ways) => Needs::One(ways.clone()),
        Node::Framed { inner, .. } => Needs::All(vec![*inner]),
    }
}

/// Levels of the shallowest JSON that fits each node, level by level: each need of a node is followed once.
fn levels(all: &[Node]) -> Vec<usize> {
    let mut levels = vec![NEVER; all.len()];
    // Those that need a node; whether one is enough; and how many more are needed.
    let mut from: Vec<Vec<NodeId>> = vec![Vec::new(); all.len()];
    let mut wants: Vec<(bool, usize)> = Vec::new();
    let (mut here, mut above) = (Vec::new(), Vec::new());
    for (id, node) in all.iter().enumerate() {
        let (one, needed) = match needs(node) {
            Needs::Nothing => {
                here.push(id);
                (true, Vec::new())
            }
            Needs::Never => (true, Vec::new()),
            Needs::One(ways) => (true, ways),
            Needs::All(needed) => {
                if needed.is_empty() {
                    above.push(id);
                }
                (false, needed)
            }
        };
        wants.push((one, needed.len()));
        for other in needed {
            if let Some(own) = from.get_mut(other) {
                own.push(id);
            }
        }
    }
    for level in 0..=DEPTH_MAX {
        while let Some(id) = here.pop() {
            match levels.get_mut(id) {
                Some(own) if *own == NEVER => *own = level,
                _ => continue,
            }
            for &before in from.get(id).into_iter().flatten() {
                match wants.get_mut(before) {
                    Some((true, _)) => here.push(before),
                    Some((false, left)) => {
                        *left -= 1;
                        if *left == 0 {
                            above.push(before);
                        }
                    }
                    None => {}
                }
            }
        }
        here = core::mem::take(&mut above);
    }
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DEPTH_MAX, NEVER, Needs, Node, NodeId, Property, levels, needs};

    /// Levels by whole passes until nothing sinks: the slow twin.
    fn passes(all: &[Node]) -> Vec<usize> {
        let mut levels = vec![NEVER; all.len()];
        loop {
            let of = |id: &NodeId| levels.get(*id).copied().unwrap_or(NEVER);
            let each = all.iter().map(|node| match needs(node) {
                Needs::Nothing => 0,
                Needs::Never => NEVER,
                Needs::One(ways) => ways.iter().map(of).min().unwrap_or(NEVER),
                Needs::All(needed) => {
                    let own = needed.iter().map(of).max().unwrap_or(0).saturating_add(1);
                    if own > DEPTH_MAX { NEVER } else { own }
                }
            });
            let next: Vec<usize> = each.collect();
            if next == levels {
                return levels;
            }
            levels = next;
        }
    }

    fn node() -> impl Strategy<Value = Node> {
        let ids = || prop::collection::vec(0..40_usize, 0..4);
        prop_oneof![
            (0..2_usize).prop_map(|min| Node::Text { min, max: 0 }),
            ids().prop_map(Node::Either),
            prop::collection::vec((0..40_usize, any::<bool>()), 0..4).prop_map(|own| {
                let property = |(value, required)| Property {
                    key: Vec::new(),
                    value,
                    required,
                };
                Node::Object {
                    properties: own.into_iter().map(property).collect(),
                    names: Vec::new(),
                    others: None,
                }
            }),
            (ids(), prop::option::of(0..40_usize), 0..5_usize).prop_map(|(first, others, min)| {
                let max = usize::MAX;
                Node::List {
                    first,
                    others,
                    min,
                    max,
                }
            }),
            (0..40_usize).prop_map(|inner| Node::Framed {
                before: Vec::new(),
                inner,
                after: Vec::new()
            }),
        ]
    }

    proptest! {
        #[test]
        fn levels_are_those_of_whole_passes(all in prop::collection::vec(node(), 40)) {
            prop_assert_eq!(levels(&all), passes(&all));
        }
    }

    /// The last level there may be, and the one beyond it.
    #[test]
    fn levels_end_at_the_greatest() {
        let frames = (1..=DEPTH_MAX + 1).map(|inner| Node::Framed {
            before: Vec::new(),
            inner,
            after: Vec::new(),
        });
        let mut all: Vec<Node> = frames.collect();
        all.push(Node::Text { min: 0, max: 0 });
        let found = levels(&all);
        assert_eq!(found, passes(&all));
        assert_eq!(
            (found.first(), found.get(1)),
            (Some(&NEVER), Some(&DEPTH_MAX))
        );
    }
}
