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
        let mut nodes = Self {
            levels: vec![NEVER; all.len()],
            all,
            root,
        };
        // Levels only sink, and are at most `DEPTH_MAX` once they are known, so this ends.
        while nodes.improve() {}
        nodes
    }

    fn improve(&mut self) -> bool {
        let mut changed = false;
        for id in 0..self.all.len() {
            let found = self.all.get(id).map_or(NEVER, |node| self.level_of(node));
            if let Some(own) = self.levels.get_mut(id).filter(|own| found < **own) {
                *own = found;
                changed = true;
            }
        }
        changed
    }

    fn level_of(&self, node: &Node) -> usize {
        let above = |levels: &mut dyn Iterator<Item = usize>| {
            let deepest = levels.max().unwrap_or(0);
            let own = deepest.saturating_add(1);
            if own > DEPTH_MAX { NEVER } else { own }
        };
        match node {
            Node::Object { properties, .. } => {
                let required = properties.iter().filter(|property| property.required);
                above(&mut required.map(|property| self.levels(property.value)))
            }
            Node::List {
                first, others, min, ..
            } => {
                let further = others.map_or(NEVER, |others| self.levels(others));
                let own = first.iter().map(|&item| self.levels(item));
                let rest = (first.len() < *min).then_some(further);
                above(&mut own.take(*min).chain(rest))
            }
            Node::Text { min, max } => {
                if min <= max {
                    0
                } else {
                    NEVER
                }
            }
            Node::Number(range) => {
                if range.is_empty() {
                    NEVER
                } else {
                    0
                }
            }
            Node::Words(words) => {
                if words.is_empty() {
                    NEVER
                } else {
                    0
                }
            }
            Node::Either(ways) => {
                let levels = ways.iter().map(|&way| self.levels(way));
                levels.min().unwrap_or(NEVER)
            }
            Node::Framed { inner, .. } => above(&mut [self.levels(*inner)].into_iter()),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.all.get(id)
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
