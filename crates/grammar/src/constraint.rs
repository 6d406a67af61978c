//! The grammar's side of one answer: which tokens may come, and which one came.

use std::sync::Arc;

use crate::error::GrammarError;
use crate::grammar::Grammar;
use crate::machine::{At, MOVES_MAX, Machine, Moves, Thread};
use crate::seen::Seen;
use crate::stacks::{EMPTY, Stacks};
use crate::vocabulary::{Tokens, has, set};

/// An answer that must fit a grammar, as far as it has come.
#[derive(Clone, Debug)]
pub struct Constraint {
    tokens: Arc<Tokens>,
    grammar: Arc<Grammar>,
    stacks: Stacks,
    threads: Vec<Thread>,
    allowed: Vec<u64>,
    /// Whether `allowed` is of these threads, or why there is none.
    found: Option<Result<(), GrammarError>>,
    /// The most moves to follow a token that came.
    moves_max: usize,
}

impl Constraint {
    pub(crate) fn new(tokens: Arc<Tokens>, grammar: Grammar) -> Self {
        let (node, white) = (grammar.nodes().root(), None);
        let at = At::Start { node, white };
        Self {
            tokens,
            grammar: Arc::new(grammar),
            stacks: Stacks::default(),
            threads: vec![Thread { at, stack: EMPTY }],
            allowed: Vec::new(),
            found: None,
            moves_max: MOVES_MAX,
        }
    }

    /// The same with less patience than the specification has: following a token that came is too much work beyond so many moves. Who makes an answer may lack patience; who checks one may not.
    #[must_use]
    pub fn within(self, moves_max: usize) -> Self {
        Self {
            moves_max: moves_max.min(MOVES_MAX),
            ..self
        }
    }

    /// The grammar.
    #[must_use]
    pub fn grammar(&self) -> &Grammar {
        &self.grammar
    }

    /// The tokens that may come now: token i at bit `i mod 64` of word `⌊i/64⌋`, at least one. A token that ends the answer may come only where the grammar lets it end.
    ///
    /// # Errors
    /// [`GrammarError::NoToken`] if there is none, [`GrammarError::Work`] if finding them is too much work.
    pub fn allowed(&mut self) -> Result<&[u64], GrammarError> {
        self.prepare();
        self.found.clone().unwrap_or(Ok(()))?;
        Ok(&self.allowed)
    }

    /// Finds what [`Self::allowed`] will say, which is most of the work of a token, unless it was found before.
    pub fn prepare(&mut self) {
        if self.found.is_none() {
            self.found = Some(self.find());
        }
    }

    fn find(&mut self) -> Result<(), GrammarError> {
        let before = self.stacks.len();
        let tokens = &self.tokens;
        let mut machine = Machine {
            nodes: self.grammar.nodes(),
            stacks: &mut self.stacks,
            moves: 0,
            moves_max: MOVES_MAX,
        };
        let chars = tokens.plain_chars_max;
        let in_string = |thread: &&Thread| machine.is_plain(**thread, chars);
        let (trie, from) = match self.threads.iter().find(in_string) {
            Some(_) => (&tokens.special, tokens.plain.as_slice()),
            None => (&tokens.all, &[][..]),
        };
        self.allowed.clear();
        self.allowed.extend_from_slice(from);
        self.allowed.resize(tokens.ends.len(), 0);
        let bitmap = &mut self.allowed;
        let done = trie.walk(&mut machine, &self.threads, |token| set(bitmap, token));
        if self.threads.iter().any(|&own| machine.may_end(own)) {
            let ends = self.allowed.iter_mut().zip(&tokens.ends);
            ends.for_each(|(own, end)| *own |= end);
        }
        self.stacks.truncate(before);
        if !done {
            return Err(GrammarError::Work);
        }
        if self.allowed.iter().all(|&word| word == 0) {
            return Err(GrammarError::NoToken);
        }
        Ok(())
    }

    /// Goes on behind a token that was allowed. One that ends the answer changes nothing.
    ///
    /// # Errors
    /// [`GrammarError::Token`] if the token is not allowed, [`GrammarError::Work`] if following it is too much work; nothing has changed then.
    pub fn take(&mut self, token: u32) -> Result<(), GrammarError> {
        let refused = GrammarError::Token { got: token };
        let mut machine = Machine {
            nodes: self.grammar.nodes(),
            stacks: &mut self.stacks,
            moves: 0,
            moves_max: self.moves_max,
        };
        if has(&self.tokens.ends, token) {
            let may_end = self.threads.iter().any(|&own| machine.may_end(own));
            return if may_end { Ok(()) } else { Err(refused) };
        }
        let (mut threads, mut seen) = (self.threads.clone(), Seen::default());
        for &byte in self.tokens.bytes(token).ok_or(refused.clone())? {
            let mut next = Vec::new();
            seen.begin();
            let mut to = Moves {
                threads: &mut next,
                from: 0,
                seen: &mut seen,
            };
            for thread in threads {
                if !machine.step(thread, byte, &mut to) {
                    return Err(GrammarError::Work);
                }
            }
            threads = next;
        }
        if threads.is_empty() {
            return Err(refused);
        }
        self.threads = threads;
        self.found = None;
        Ok(())
    }
}
