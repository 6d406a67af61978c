//! Tokens by their bytes, so that what tokens begin with alike is tried once.

use crate::machine::{Machine, Moves, Thread};
use crate::seen::Seen;

/// A byte of tokens, in the order of a walk: each before those that go on from it.
#[derive(Clone, Debug)]
struct Branch {
    byte: u8,
    /// Bytes before it.
    depth: usize,
    /// Behind the last branch that goes on from it.
    end: usize,
    /// Its tokens, as a range of `Trie::tokens`.
    tokens: (usize, usize),
}

/// A prefix tree of tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trie {
    branches: Vec<Branch>,
    tokens: Vec<u32>,
}

impl Trie {
    /// From tokens with at least one byte each.
    pub(crate) fn new(mut words: Vec<(&[u8], u32)>) -> Self {
        words.sort_unstable();
        let mut trie = Self::default();
        // Branches that the word before leads along.
        let mut path: Vec<usize> = Vec::new();
        for (word, token) in words {
            let alike = |(at, &byte): (usize, &u8)| {
                let branch = path.get(at).and_then(|&id| trie.branches.get(id));
                branch.is_some_and(|branch| branch.byte == byte)
            };
            let shared = word
                .iter()
                .enumerate()
                .take_while(|one| alike(*one))
                .count();
            trie.close(&mut path, shared);
            for (depth, &byte) in word.iter().enumerate().skip(shared) {
                path.push(trie.branches.len());
                let tokens = (trie.tokens.len(), trie.tokens.len());
                trie.branches.push(Branch {
                    byte,
                    depth,
                    end: 0,
                    tokens,
                });
            }
            trie.tokens.push(token);
            let until = trie.tokens.len();
            let last = path.last().and_then(|&id| trie.branches.get_mut(id));
            if let Some(last) = last {
                last.tokens.1 = until;
            }
        }
        trie.close(&mut path, 0);
        trie
    }

    fn close(&mut self, path: &mut Vec<usize>, keep: usize) {
        let end = self.branches.len();
        for id in path.drain(keep.min(path.len())..) {
            if let Some(branch) = self.branches.get_mut(id) {
                branch.end = end;
            }
        }
    }

    /// Calls `found` with every token along whose bytes some thread can move. False if that is too much work.
    pub(crate) fn walk(
        &self,
        machine: &mut Machine<'_>,
        threads: &[Thread],
        mut found: impl FnMut(u32),
    ) -> bool {
        let mut buffer = threads.to_vec();
        // Of each depth, the threads behind that many bytes, as a range of the buffer.
        let mut ranges = vec![(0, buffer.len())];
        let (mut at, mut seen) = (0, Seen::default());
        while let Some(branch) = self.branches.get(at) {
            ranges.truncate(branch.depth + 1);
            let Some(&(start, end)) = ranges.last() else {
                return false;
            };
            buffer.truncate(end);
            seen.begin();
            for index in start..end {
                let Some(&thread) = buffer.get(index) else {
                    return false;
                };
                let threads = &mut buffer;
                let (from, seen) = (end, &mut seen);
                let mut to = Moves {
                    threads,
                    from,
                    seen,
                };
                if !machine.step(thread, branch.byte, &mut to) {
                    return false;
                }
            }
            if buffer.len() == end {
                at = branch.end;
                continue;
            }
            ranges.push((end, buffer.len()));
            let (first, last) = branch.tokens;
            let own = self.tokens.get(first..last).unwrap_or_default();
            own.iter().for_each(|&token| found(token));
            at += 1;
        }
        true
    }
}
