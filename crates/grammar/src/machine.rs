//! Threads through a grammar: a byte moves each to where it may stand next, or ends it (`docs/spec/grammar.md`, section 3).
//!
//! A thread is a place and a stack of what to go back to ([`crate::stacks`]). What happens within an object stands in [`crate::objects`].

use std::collections::BTreeSet;

use crate::nodes::{Node, NodeId, Nodes};
use crate::number::Digits;
use crate::seen::{FEW, Seen};
use crate::stacks::{Back, EMPTY, StackId, Stacks};
use crate::strings::{self, Moved, Part};

/// Most threads at once.
pub(crate) const THREADS_MAX: usize = 256;
/// Most moves that one bitmap, or one token, may take.
pub(crate) const MOVES_MAX: usize = 4_000_000;
/// White space: none yet.
pub(crate) const NOTHING: u8 = 0;
/// One space, after which there is no more.
const SPACE: u8 = 1;
/// A line break; each space or tab behind it adds one, up to `INDENT_MAX` more.
const LINE: u8 = 2;
const INDENT_MAX: u8 = 64;

/// A place in a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    /// Behind the end.
    Done,
    /// Before a value; white space may come if it is told how much there was.
    Start {
        node: NodeId,
        white: Option<u8>,
    },
    /// In the text before or behind a framed value.
    Before {
        node: NodeId,
        pos: usize,
    },
    After {
        node: NodeId,
        pos: usize,
    },
    /// In one of the words of that range, which begin alike.
    Words {
        node: NodeId,
        low: usize,
        high: usize,
        pos: usize,
    },
    /// In a string of so many characters.
    Text {
        node: NodeId,
        count: usize,
        part: Part,
    },
    Number {
        node: NodeId,
        digits: Digits,
    },
    /// Behind `{`, or behind a comma.
    Member {
        node: NodeId,
        next: usize,
        comma: bool,
        white: u8,
    },
    /// In the name of a property.
    Key {
        node: NodeId,
        property: usize,
        pos: usize,
    },
    /// In another name, which the names of that range begin with.
    Name {
        node: NodeId,
        low: usize,
        high: usize,
        pos: usize,
        part: Part,
    },
    /// Behind a name; the value, and the number of the next property.
    Colon {
        node: NodeId,
        value: NodeId,
        next: usize,
    },
    /// Behind a member's value.
    Object {
        node: NodeId,
        next: usize,
        white: u8,
    },
    /// Behind `[`.
    Open {
        node: NodeId,
        white: u8,
    },
    /// Behind an item.
    List {
        node: NodeId,
        count: usize,
        white: u8,
    },
}

/// A place with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Thread {
    pub(crate) at: At,
    pub(crate) stack: StackId,
}

/// What white space there is with one more byte of it, if that may come.
pub(crate) const fn white(before: u8, byte: u8) -> Option<u8> {
    match (before, byte) {
        (NOTHING, b' ') => Some(SPACE),
        (NOTHING, b'\n') => Some(LINE),
        (LINE.., b' ' | b'\t') if before < LINE + INDENT_MAX => Some(before + 1),
        (_, _) => None,
    }
}

/// Moves threads by bytes.
pub(crate) struct Machine<'a> {
    pub(crate) nodes: &'a Nodes,
    pub(crate) stacks: &'a mut Stacks,
    /// Threads moved by a byte so far, and alternatives and properties looked at for them.
    pub(crate) moves: usize,
    /// The most of them.
    pub(crate) moves_max: usize,
}

impl Machine<'_> {
    /// Adds to `to` what becomes of a thread with a byte, each thread once. False if there are too many of them, or too many moves.
    pub(crate) fn step(&mut self, thread: Thread, byte: u8, to: &mut Moves<'_>) -> bool {
        self.moves += 1;
        let stack = thread.stack;
        match thread.at {
            At::Done => {}
            At::Start {
                node,
                white: before,
            } => {
                if let Some(now) = before.and_then(|before| white(before, byte)) {
                    let white = Some(now);
                    to.add(At::Start { node, white }, stack);
                }
                self.start(node, stack, byte, to);
            }
            At::Before { .. } | At::After { .. } => self.in_frame(thread, byte, to),
            At::Words {
                node,
                low,
                high,
                pos,
            } => {
                self.word(node, (low, high, pos), stack, byte, to);
                if self.is_word(node, low, pos) {
                    self.leave(stack, byte, to);
                }
            }
            At::Text { node, count, part } => self.in_text(node, (count, part), stack, byte, to),
            At::Number { node, digits } => {
                if let Some(Node::Number(range)) = self.nodes.node(node) {
                    if let Some(digits) = range.step(digits, byte) {
                        to.add(At::Number { node, digits }, stack);
                    }
                    if range.is_whole(digits) {
                        self.leave(stack, byte, to);
                    }
                }
            }
            At::Member { .. }
            | At::Key { .. }
            | At::Name { .. }
            | At::Colon { .. }
            | At::Object { .. } => self.in_object(thread, byte, to),
            At::Open { .. } | At::List { .. } => self.in_list(thread, byte, to),
        }
        self.moves <= self.moves_max && to.threads.len() - to.from <= THREADS_MAX
    }

    /// Whether an answer may end where a thread stands.
    pub(crate) fn may_end(&self, thread: Thread) -> bool {
        let whole = match thread.at {
            At::Done => return true,
            At::Words { node, low, pos, .. } => self.is_word(node, low, pos),
            At::Number { node, digits } => match self.nodes.node(node) {
                Some(Node::Number(range)) => range.is_whole(digits),
                _ => false,
            },
            _ => false,
        };
        whole && thread.stack == EMPTY
    }

    /// Whether a thread stands in a string in which so many further characters may come, whichever they are.
    pub(crate) fn is_plain(&self, thread: Thread, chars: usize) -> bool {
        match thread.at {
            At::Text {
                node,
                count,
                part: Part::Between,
            } => match self.nodes.node(node) {
                Some(Node::Text { max, .. }) => count.saturating_add(chars) <= *max,
                _ => false,
            },
            At::Name {
                part: Part::Between,
                ..
            } => true,
            _ => false,
        }
    }

    /// Where a thread stands when a value is whole.
    fn back(&self, stack: StackId) -> Thread {
        let Some((back, stack)) = self.stacks.pop(stack) else {
            return Thread {
                at: At::Done,
                stack: EMPTY,
            };
        };
        let white = NOTHING;
        let at = match back {
            Back::Object { node, next } => At::Object { node, next, white },
            Back::List { node, count } => At::List { node, count, white },
            Back::Frame { node } => At::After { node, pos: 0 },
        };
        Thread { at, stack }
    }

    /// A value was whole before this byte.
    fn leave(&mut self, stack: StackId, byte: u8, to: &mut Moves<'_>) {
        let thread = self.back(stack);
        match thread.at {
            At::Object { .. } => self.in_object(thread, byte, to),
            At::List { .. } => self.in_list(thread, byte, to),
            At::After { .. } => self.in_frame(thread, byte, to),
            _ => {}
        }
    }

    /// A value is whole with this byte.
    pub(crate) fn finish(&self, stack: StackId, to: &mut Moves<'_>) {
        let Thread { at, stack } = self.back(stack);
        to.add(at, stack);
    }

    /// The first byte of a value. Each node that alternatives lead to is tried once, by whatever ways they do; each way is a move.
    fn start(&mut self, id: NodeId, stack: StackId, byte: u8, to: &mut Moves<'_>) {
        let nodes = self.nodes;
        let depth = self.stacks.depth(stack);
        let Some(Node::Either(ways)) = nodes.node(id) else {
            if nodes.fits(id, depth) {
                self.begin(id, stack, byte, to);
            }
            return;
        };
        let (mut seen, mut left) = (BTreeSet::from([id]), ways.clone());
        while let Some(way) = left.pop() {
            self.moves += 1;
            if !nodes.fits(way, depth) || !seen.insert(way) {
                continue;
            }
            match nodes.node(way) {
                Some(Node::Either(ways)) => left.extend(ways),
                _ => self.begin(way, stack, byte, to),
            }
        }
    }

    /// The first byte of a value of a node that is no choice.
    fn begin(&mut self, id: NodeId, stack: StackId, byte: u8, to: &mut Moves<'_>) {
        let nodes = self.nodes;
        match (nodes.node(id), byte) {
            (Some(Node::Object { .. }), b'{') => {
                let (next, comma, white) = (0, false, NOTHING);
                to.add(
                    At::Member {
                        node: id,
                        next,
                        comma,
                        white,
                    },
                    stack,
                );
            }
            (Some(Node::List { .. }), b'[') => {
                let white = NOTHING;
                to.add(At::Open { node: id, white }, stack);
            }
            (Some(Node::Text { .. }), b'"') => {
                let (count, part) = (0, Part::Between);
                to.add(
                    At::Text {
                        node: id,
                        count,
                        part,
                    },
                    stack,
                );
            }
            (Some(Node::Number(range)), _) => {
                let digits = range.step(Digits::Sign { negative: false }, byte);
                if let Some(digits) = digits {
                    to.add(At::Number { node: id, digits }, stack);
                }
            }
            (Some(Node::Words(words)), _) => {
                self.word(id, (0, words.len(), 0), stack, byte, to);
            }
            (Some(Node::Framed { .. }), _) => {
                let at = At::Before { node: id, pos: 0 };
                self.in_frame(Thread { at, stack }, byte, to);
            }
            (_, _) => {}
        }
    }

    fn in_frame(&mut self, thread: Thread, byte: u8, to: &mut Moves<'_>) {
        let Thread { at, stack } = thread;
        let nodes = self.nodes;
        let (At::Before { node, pos } | At::After { node, pos }) = at else {
            return;
        };
        let Some(Node::Framed {
            before,
            inner,
            after,
        }) = nodes.node(node)
        else {
            return;
        };
        let is_before = matches!(at, At::Before { .. });
        let text = if is_before { before } else { after };
        if text.get(pos) != Some(&byte) {
            return;
        }
        let pos = pos + 1;
        match (is_before, pos < text.len()) {
            (true, true) => to.add(At::Before { node, pos }, stack),
            (false, true) => to.add(At::After { node, pos }, stack),
            (true, false) => {
                let stack = self.stacks.push(stack, Back::Frame { node });
                let (node, white) = (*inner, None);
                to.add(At::Start { node, white }, stack);
            }
            (false, false) => self.finish(stack, to),
        }
    }

    /// Narrows a range of words, all alike up to `pos`, to those that go on with the byte.
    fn word(
        &self,
        node: NodeId,
        (low, high, pos): (usize, usize, usize),
        stack: StackId,
        byte: u8,
        to: &mut Moves<'_>,
    ) {
        let Some(Node::Words(words)) = self.nodes.node(node) else {
            return;
        };
        let (low, high) = narrow(words, (low, high), pos, byte);
        if low < high {
            let pos = pos + 1;
            to.add(
                At::Words {
                    node,
                    low,
                    high,
                    pos,
                },
                stack,
            );
        }
    }

    /// Whether the first word of a range ends here; it is the shortest.
    fn is_word(&self, node: NodeId, low: usize, pos: usize) -> bool {
        match self.nodes.node(node) {
            Some(Node::Words(words)) => words.get(low).is_some_and(|word| word.len() == pos),
            _ => false,
        }
    }

    fn in_text(
        &self,
        node: NodeId,
        (count, part): (usize, Part),
        stack: StackId,
        byte: u8,
        to: &mut Moves<'_>,
    ) {
        let Some(Node::Text { min, max }) = self.nodes.node(node) else {
            return;
        };
        match strings::step(part, byte, true) {
            Some(Moved::Closed) if count >= *min => self.finish(stack, to),
            Some(Moved::On(part, begins)) if !begins || count < *max => {
                // Beyond the least, only a greatest number needs counting; so a string without one is one place.
                let count = if *max == usize::MAX && count >= *min {
                    count
                } else {
                    count + usize::from(begins)
                };
                to.add(At::Text { node, count, part }, stack);
            }
            Some(_) | None => {}
        }
    }

    fn in_list(&mut self, thread: Thread, byte: u8, to: &mut Moves<'_>) {
        let Thread { at, stack } = thread;
        let nodes = self.nodes;
        let (node, count, before) = match at {
            At::Open { node, white } => (node, 0, white),
            At::List { node, count, white } => (node, count, white),
            _ => return,
        };
        let Some(Node::List {
            first,
            others,
            min,
            max,
        }) = nodes.node(node)
        else {
            return;
        };
        if let Some(white) = white(before, byte) {
            let at = match at {
                At::Open { .. } => At::Open { node, white },
                _ => At::List { node, count, white },
            };
            to.add(at, stack);
        }
        if byte == b']' {
            if count >= *min {
                self.finish(stack, to);
            }
            return;
        }
        let item = first.get(count).copied().or(*others);
        let Some(item) = item.filter(|_| count < *max) else {
            return;
        };
        // Beyond what is counted, all items are alike; so a list without a greatest number is one place.
        let counted = first.len().max(*min);
        let behind = if *max == usize::MAX && count >= counted {
            count
        } else {
            count + 1
        };
        if !nodes.fits(item, self.stacks.depth(stack) + 1) {
            return;
        }
        let back = Back::List {
            node,
            count: behind,
        };
        match at {
            At::Open { .. } => {
                let inner = self.stacks.push(stack, back);
                self.start(item, inner, byte, to);
            }
            _ if byte == b',' => {
                let inner = self.stacks.push(stack, back);
                let white = Some(NOTHING);
                to.add(At::Start { node: item, white }, inner);
            }
            _ => {}
        }
    }
}

/// Those of sorted words, alike up to `pos`, that go on with a byte.
pub(crate) fn narrow(
    words: &[Vec<u8>],
    (low, high): (usize, usize),
    pos: usize,
    byte: u8,
) -> (usize, usize) {
    let range = words.get(low..high).unwrap_or_default();
    let next = |word: &Vec<u8>| word.get(pos).copied();
    let from = range.partition_point(|word| next(word) < Some(byte));
    let until = range.partition_point(|word| next(word) <= Some(byte));
    (low + from, low + until)
}

/// Threads that are being moved to: those from `from` on are of this byte, each once.
pub(crate) struct Moves<'a> {
    pub(crate) threads: &'a mut Vec<Thread>,
    pub(crate) from: usize,
    /// Begun with the byte.
    pub(crate) seen: &'a mut Seen,
}

impl Moves<'_> {
    /// Adds a thread; none any more once there are too many, which ends the step.
    pub(crate) fn add(&mut self, at: At, stack: StackId) {
        let thread = Thread { at, stack };
        let own = self.threads.get(self.from..).unwrap_or_default();
        let is_new = match own.len() {
            len if len > THREADS_MAX => false,
            len if len < FEW => !own.contains(&thread),
            len => {
                if len == FEW {
                    own.iter().for_each(|&one| {
                        self.seen.insert(one);
                    });
                }
                self.seen.insert(thread)
            }
        };
        if is_new {
            self.threads.push(thread);
        }
    }
}
