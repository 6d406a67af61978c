//! Threads within an object: its members' names, and what may stand between them (`docs/spec/grammar.md`, section 3).

use crate::machine::{At, Machine, Moves, NOTHING, Thread, narrow, white};
use crate::nodes::{Node, NodeId, Property};
use crate::stacks::{Back, StackId};
use crate::strings::{self, Moved, Part};

impl Machine<'_> {
    pub(crate) fn in_object(&mut self, thread: Thread, byte: u8, to: &mut Moves<'_>) {
        let Thread { at, stack } = thread;
        match at {
            At::Member {
                node,
                next,
                comma,
                white: before,
            } => {
                if let Some(white) = white(before, byte) {
                    to.add(
                        At::Member {
                            node,
                            next,
                            comma,
                            white,
                        },
                        stack,
                    );
                }
                match byte {
                    b'"' => self.names(node, next, stack, to),
                    b'}' if !comma && self.may_close(node, next) => self.finish(stack, to),
                    _ => {}
                }
            }
            At::Key {
                node,
                property,
                pos,
            } => self.in_key(node, (property, pos), stack, byte, to),
            At::Name { .. } => self.in_name(thread, byte, to),
            At::Colon { node, value, next } if byte == b':' => {
                let stack = self.stacks.push(stack, Back::Object { node, next });
                let white = Some(NOTHING);
                to.add(At::Start { node: value, white }, stack);
            }
            At::Object {
                node,
                next,
                white: before,
            } => {
                if let Some(white) = white(before, byte) {
                    to.add(At::Object { node, next, white }, stack);
                }
                match byte {
                    b',' if self.goes_on(node, next, stack) => {
                        let (comma, white) = (true, NOTHING);
                        to.add(
                            At::Member {
                                node,
                                next,
                                comma,
                                white,
                            },
                            stack,
                        );
                    }
                    b'}' if self.may_close(node, next) => self.finish(stack, to),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Whether no property from `next` on is required.
    fn may_close(&mut self, node: NodeId, next: usize) -> bool {
        match self.nodes.node(node) {
            Some(Node::Object { properties, .. }) => {
                let rest = properties.get(next..).unwrap_or_default();
                !self.any(rest, |property| property.required)
            }
            _ => false,
        }
    }

    /// Whether one of some properties is such; each that is looked at is a move.
    fn any(&mut self, properties: &[Property], is: impl Fn(&Property) -> bool) -> bool {
        let found = properties.iter().position(is);
        self.moves += found.map_or(properties.len(), |at| at + 1);
        found.is_some()
    }

    /// Whether a further member may come.
    fn goes_on(&mut self, node: NodeId, next: usize, stack: StackId) -> bool {
        let nodes = self.nodes;
        let Some(Node::Object {
            properties, others, ..
        }) = nodes.node(node)
        else {
            return false;
        };
        let depth = self.stacks.depth(stack) + 1;
        let rest = properties.get(next..).unwrap_or_default();
        let named = self.any(rest, |own| nodes.fits(own.value, depth));
        named || others.is_some_and(|others| nodes.fits(others, depth))
    }

    /// Behind the quote of a name: each property up to the next that is required, or any other name if none is.
    fn names(&mut self, node: NodeId, next: usize, stack: StackId, to: &mut Moves<'_>) {
        let Some(Node::Object {
            properties,
            names,
            others,
        }) = self.nodes.node(node)
        else {
            return;
        };
        let depth = self.stacks.depth(stack) + 1;
        for (property, own) in properties.iter().enumerate().skip(next) {
            self.moves += 1;
            if self.nodes.fits(own.value, depth) {
                let pos = 1;
                to.add(
                    At::Key {
                        node,
                        property,
                        pos,
                    },
                    stack,
                );
            }
            if own.required {
                return;
            }
        }
        if others.is_some_and(|others| self.nodes.fits(others, depth)) {
            let (low, high, pos, part) = (0, names.len(), 0, Part::Between);
            to.add(
                At::Name {
                    node,
                    low,
                    high,
                    pos,
                    part,
                },
                stack,
            );
        }
    }

    fn in_key(
        &self,
        node: NodeId,
        (property, pos): (usize, usize),
        stack: StackId,
        byte: u8,
        to: &mut Moves<'_>,
    ) {
        let Some(Node::Object { properties, .. }) = self.nodes.node(node) else {
            return;
        };
        let Some(own) = properties.get(property) else {
            return;
        };
        if own.key.get(pos) != Some(&byte) {
            return;
        }
        let pos = pos + 1;
        if pos < own.key.len() {
            to.add(
                At::Key {
                    node,
                    property,
                    pos,
                },
                stack,
            );
        } else {
            let (value, next) = (own.value, property + 1);
            to.add(At::Colon { node, value, next }, stack);
        }
    }

    /// A name that is none of the properties'. It has no escapes, so that a property's name cannot be spelt otherwise.
    fn in_name(&self, thread: Thread, byte: u8, to: &mut Moves<'_>) {
        let Thread { at, stack } = thread;
        let At::Name {
            node,
            low,
            high,
            pos,
            part,
        } = at
        else {
            return;
        };
        let Some(Node::Object {
            properties,
            names,
            others: Some(value),
        }) = self.nodes.node(node)
        else {
            return;
        };
        match strings::step(part, byte, false) {
            Some(Moved::Closed) => {
                let taken = low < high && names.get(low).is_some_and(|name| name.len() == pos);
                if !taken {
                    // Behind another name no property comes, so each comes at most once and in its place.
                    let (value, next) = (*value, properties.len());
                    to.add(At::Colon { node, value, next }, stack);
                }
            }
            Some(Moved::On(part, _)) => {
                let (low, high) = narrow(names, (low, high), pos, byte);
                // A name that no property's begins with is one place, however long it is.
                let (low, high, pos) = if low < high {
                    (low, high, pos + 1)
                } else {
                    (0, 0, 0)
                };
                to.add(
                    At::Name {
                        node,
                        low,
                        high,
                        pos,
                        part,
                    },
                    stack,
                );
            }
            None => {}
        }
    }
}
