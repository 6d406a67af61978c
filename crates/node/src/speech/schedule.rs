//! Which tokens run next: a plan, made of numbers alone.
//!
//! ```text
//! arrive ─▶ waiting ─(room)─▶ reading its prompt ─▶ speaking ─ended─▶ closing ─closed─▶ gone
//! ```
//!
//! Each round takes one token of every answer that speaks, and of those that still read at most [`Caps::prompt_tokens_max`] together, in the order in which they came. Answers that
//! speak so wait for no prompt longer than that. An answer holds its place until its receipt is kept: until then it holds its memory.
//!
//! Sessions, tokens and clients are not known here, so tests run thousands of rounds.

use std::collections::VecDeque;

/// How much a model does at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most answers that run at once, at least 1. Each holds memory for a whole context.
    pub running_max: usize,
    /// Most answers that wait for one of them to end.
    pub waiting_max: usize,
    /// Most prompt tokens of one round, at least 1.
    pub prompt_tokens_max: usize,
    /// Most tokens that a client may ask for in one answer.
    pub answer_tokens_max: u32,
}

impl Caps {
    /// 16 that run, 64 that wait, 64 prompt tokens a round, 32,768 tokens an answer.
    #[must_use]
    pub const fn usual() -> Self {
        Self {
            running_max: 16,
            waiting_max: 64,
            prompt_tokens_max: 64,
            answer_tokens_max: 32_768,
        }
    }
}

/// Names a request's choices over one prompt.
pub(super) type GroupId = u64;

/// Answers over one prompt, which is read once for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    id: GroupId,
    answers: usize,
    unread: usize,
}

/// What a group does in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Reads that many further tokens of its prompt; after the last of them each answer draws its first token.
    Read {
        /// Who.
        id: GroupId,
        /// How many tokens, at least 1.
        tokens: usize,
        /// Whether the prompt ends with them.
        last: bool,
    },
    /// Each answer takes the token it drew last, and draws another.
    Speak {
        /// Who.
        id: GroupId,
    },
}

/// Who waits, who runs, and who is about to leave.
#[derive(Debug)]
pub(super) struct Schedule {
    caps: Caps,
    waiting: VecDeque<Group>,
    running: Vec<Group>,
    closing: usize,
}

impl Schedule {
    pub(super) const fn new(caps: Caps) -> Self {
        Self {
            caps,
            waiting: VecDeque::new(),
            running: Vec::new(),
            closing: 0,
        }
    }

    /// A group comes: so many answers over a prompt of so many tokens. More answers than may ever run at once must not come.
    pub(super) fn arrive(&mut self, id: GroupId, answers: usize, prompt: usize) {
        self.waiting.push_back(Group {
            id,
            answers,
            unread: prompt,
        });
    }

    /// Lets in whom there is room for, in the order of coming.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.front() {
            if self.held() + next.answers > self.caps.running_max {
                return;
            }
            self.running.extend(self.waiting.pop_front());
        }
    }

    /// Answers that hold memory.
    pub(super) fn held(&self) -> usize {
        let running: usize = self.running.iter().map(|group| group.answers).sum();
        running + self.closing
    }

    /// Whether a round would do nothing.
    pub(super) fn idle(&mut self) -> bool {
        self.admit();
        self.running.is_empty()
    }

    /// What runs now. Prompt tokens named here count as read.
    pub(super) fn round(&mut self) -> Vec<Turn> {
        self.admit();
        let mut left = self.caps.prompt_tokens_max;
        let turn = |group: &mut Group| {
            let id = group.id;
            if group.unread == 0 {
                return Some(Turn::Speak { id });
            }
            let tokens = group.unread.min(left);
            left -= tokens;
            group.unread -= tokens;
            let last = group.unread == 0;
            (tokens > 0).then_some(Turn::Read { id, tokens, last })
        };
        self.running.iter_mut().filter_map(turn).collect()
    }

    /// An answer of a group has ended; `keeps` says whether its memory is held until [`Self::closed`].
    pub(super) fn ended(&mut self, id: GroupId, keeps: bool) {
        for group in &mut self.running {
            if group.id == id && group.answers > 0 {
                group.answers -= 1;
                self.closing += usize::from(keeps);
            }
        }
        self.running.retain(|group| group.answers > 0);
    }

    /// An answer that had ended gave its memory back.
    pub(super) const fn closed(&mut self) {
        self.closing = self.closing.saturating_sub(1);
    }

    /// Nobody waits or runs any more; what is being closed still is.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.running.clear();
    }

    /// A group that waits no longer.
    pub(super) fn forget(&mut self, id: GroupId) {
        self.waiting.retain(|group| group.id != id);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps {
        running_max: 3,
        waiting_max: 10,
        prompt_tokens_max: 4,
        answer_tokens_max: 9,
    };

    fn read(id: GroupId, tokens: usize, last: bool) -> Turn {
        Turn::Read { id, tokens, last }
    }

    #[test]
    fn answers_join_and_leave_between_rounds() {
        let mut schedule = Schedule::new(CAPS);
        assert!(schedule.idle());
        schedule.arrive(1, 1, 6);
        schedule.arrive(2, 1, 1);
        schedule.arrive(3, 2, 5);
        assert!(!schedule.idle());
        assert_eq!(schedule.round(), [read(1, 4, false)]);
        assert_eq!(schedule.round(), [read(1, 2, true), read(2, 1, true)]);
        let speak = |id| Turn::Speak { id };
        assert_eq!(schedule.round(), [speak(1), speak(2)]);
        schedule.ended(1, true);
        // Its memory is still held, so the two of the third do not fit yet.
        assert_eq!(schedule.round(), [speak(2)]);
        schedule.closed();
        assert_eq!(schedule.round(), [speak(2), read(3, 4, false)]);
        schedule.ended(2, false);
        assert_eq!(schedule.round(), [read(3, 1, true)]);
        schedule.ended(3, false);
        assert_eq!(schedule.round(), [speak(3)]);
        schedule.ended(3, false);
        assert!(schedule.idle());
        assert_eq!(schedule.held(), 0);
    }

    #[test]
    fn who_leaves_before_its_turn_is_not_run() {
        let mut schedule = Schedule::new(CAPS);
        schedule.arrive(1, 3, 1);
        schedule.arrive(2, 3, 1);
        schedule.arrive(3, 3, 1);
        assert_eq!(schedule.round(), [read(1, 1, true)]);
        schedule.forget(2);
        for _ in 0..3 {
            schedule.ended(1, false);
        }
        assert_eq!(schedule.round(), [read(3, 1, true)]);
    }

    proptest! {
        #[test]
        fn everyone_reads_its_prompt_once_and_is_done(
            groups in prop::collection::vec((1_usize..4, 1_usize..20, 1_usize..6), 1..20),
            keeps in any::<bool>(),
        ) {
            let mut schedule = Schedule::new(CAPS);
            let mut left = BTreeMap::new();
            for (id, &(answers, prompt, length)) in (0_u64..).zip(&groups) {
                schedule.arrive(id, answers, prompt);
                left.insert(id, (prompt, length));
            }
            let mut rounds = 0;
            let mut begun = 0;
            while !schedule.idle() {
                rounds += 1;
                prop_assert!(rounds < 2000);
                let turns = schedule.round();
                prop_assert!(!turns.is_empty());
                prop_assert!(schedule.held() <= CAPS.running_max);
                let mut prompts = 0;
                for turn in turns {
                    let drew = match turn {
                        Turn::Read { id, tokens, last } => {
                            prop_assert!(id >= begun, "in the order of coming");
                            begun = id;
                            prompts += tokens;
                            let own = left.get_mut(&id).unwrap();
                            own.0 -= tokens;
                            prop_assert_eq!(last, own.0 == 0);
                            last.then_some(id)
                        }
                        Turn::Speak { id } => {
                            prop_assert_eq!(left[&id].0, 0);
                            Some(id)
                        }
                    };
                    let Some(id) = drew else { continue };
                    let own = left.get_mut(&id).unwrap();
                    own.1 -= 1;
                    if own.1 == 0 {
                        for _ in 0..groups[usize::try_from(id).unwrap()].0 {
                            schedule.ended(id, keeps);
                            if keeps {
                                schedule.closed();
                            }
                        }
                    }
                }
                prop_assert!(prompts <= CAPS.prompt_tokens_max);
                begun = 0;
            }
            prop_assert!(left.values().all(|own| *own == (0, 0)));
        }
    }
}
